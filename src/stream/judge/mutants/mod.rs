//! Are the checks to be trusted? Transcripts of good runs are changed in one place, at random, and each mutant
//! must be caught by the check that owns it and by no other. `docs/why/mutants.md` has the table.

mod broken_turns;
mod repeated_turns;
mod sessions;
mod trials;

use fastrand::Rng;
use std::fmt::Write as _;

/// One way to change a transcript, and the code that has to catch it.
struct Mutant<T> {
    what: &'static str,
    owner: &'static str,
    mutate: fn(&mut T, &mut Rng),
}

/// What is written of a mutant that nothing may catch.
const NOBODY: &str = "nothing";

/// So many transcripts are made of each mutant.
const TRANSCRIPTS: u64 = 50;

/// Changes good transcripts in each way; returns the rows of the table.
fn table<T>(
    what: &str,
    good: fn(&mut Rng) -> T,
    caught: fn(&T) -> Vec<&'static str>,
    mutants: &[Mutant<T>],
) -> String {
    let mut rows = String::new();
    for mutant in mutants {
        for seed in 0..TRANSCRIPTS {
            let mut rng = Rng::with_seed(seed);
            let mut transcript = good(&mut rng);
            let silent = caught(&transcript);
            assert!(silent.is_empty(), "{what}, seed {seed}: {silent:?}");
            (mutant.mutate)(&mut transcript, &mut rng);
            let mut codes = caught(&transcript);
            codes.dedup();
            let expected = [mutant.owner];
            let expected = if mutant.owner == NOBODY {
                &[][..]
            } else {
                &expected
            };
            assert_eq!(codes, expected, "{what}: {}, seed {seed}", mutant.what);
        }
        let owner = match mutant.owner {
            NOBODY => NOBODY.to_owned(),
            code => format!("`{code}`"),
        };
        writeln!(rows, "| {what} | {} | {owner} |", mutant.what).unwrap();
    }
    rows
}

#[test]
fn each_mutant_is_caught_by_its_owner_and_by_no_other() {
    let tables = [
        sessions::table(),
        trials::table(),
        broken_turns::of_leaving(),
        broken_turns::of_restarts(),
        repeated_turns::of_resumes(),
        repeated_turns::of_doubles(),
        repeated_turns::of_providers(),
    ];
    let page = include_str!("../../../../docs/why/mutants.md");
    for table in tables {
        assert!(page.contains(&table), "the table has to be:\n{table}");
    }
}

/// A word that was never said before.
fn word(rng: &mut Rng) -> String {
    (0..12).map(|_| rng.lowercase()).collect()
}
