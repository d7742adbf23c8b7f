//! Which of a suite's cases a run plays.

use crate::cli_error::CliError;
use crate::gate::CommitFault;
use crate::gateway::faults::Mix;
use crate::text;
use clap::ValueEnum as _;
use std::fmt;

/// A part of a run's cases.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choice {
    /// Names of cases, as a report has them, with or without the session; all where there are none.
    pub named: Vec<String>,
    /// Which share of them.
    pub shard: Option<Shard>,
}

/// The cases of every suite, besides those of faults.
const NAMES: &[&str] = &[
    "broke-off",
    "close-at-final",
    "finish-without-done",
    "history",
    "limits",
    "look-again",
    "no-case",
    "order",
    "require-proven",
    "rows",
    "save-fails",
];

/// How the names of the cases begin that `full` and `sweep` add.
pub const ADDED: &[&str] = &[
    "aborted-streams",
    "approval-",
    "edited",
    "left-",
    "regenerated",
    "resumed-",
    "sent-twice-",
    "side-by-side",
    "side-job",
    "stale-page",
    "stopped-",
    "tool-fails",
    "two-turns",
];

/// One share of so many, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shard {
    /// Which one.
    pub number: u64,
    /// Of how many.
    pub of: u64,
}

impl Choice {
    /// Whether a case is played.
    pub fn holds(&self, session: &str, what: &str) -> bool {
        let name = format!("{session}/{what}");
        let is_named = self.named.is_empty()
            || self
                .named
                .iter()
                .any(|named| *named == name || named == what);
        is_named && self.shard.is_none_or(|shard| shard.holds(&name))
    }
}

/// Whether a case may have this name, without its session.
pub(super) fn is_case(name: &str) -> bool {
    let begins = |start: &&str| name.starts_with(start);
    NAMES.contains(&name)
        || ADDED.iter().any(begins)
        || name
            .strip_prefix("provider-")
            .is_some_and(|mix| Mix::parse(mix).is_ok())
        || CommitFault::from_str(name, false).is_ok()
}

/// Refuses names of cases that no run of these sessions can have, before anything starts.
///
/// # Errors
/// With the name that may have been meant.
pub fn all_known(named: &[String], sessions: &[&str]) -> Result<(), CliError> {
    for named in named {
        // The name of a session may have a slash, and that of a case has none.
        let (session, what) = match named.rsplit_once('/') {
            Some((session, what)) => (Some(session), what),
            None => (None, named.as_str()),
        };
        if let Some(session) = session.filter(|session| !sessions.contains(session)) {
            let there = sessions.join("`, `");
            return Err(CliError::usage(format!(
                "--case {named}: this run has no session `{session}`"
            ))
            .hint(format!("the sessions of this run: `{there}`")));
        }
        if !is_case(what) {
            let faults = CommitFault::value_variants().iter().map(|it| it.name());
            let near = text::nearest(what, NAMES.iter().chain(ADDED).copied().chain(faults));
            let meant = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            return Err(
                CliError::usage(format!("--case {named}: chatctl has no case `{what}`")).hint(
                    format!("{meant}A report without --case lists the names of all cases"),
                ),
            );
        }
    }
    Ok(())
}

impl Shard {
    /// Reads `2/4`.
    ///
    /// # Errors
    /// When that is no share.
    pub fn parse(text: &str) -> Result<Self, CliError> {
        let numbers = text.split_once('/');
        let numbers = numbers.and_then(|(number, of)| {
            Some(Self {
                number: number.parse().ok()?,
                of: of.parse().ok()?,
            })
        });
        numbers
            .filter(|shard| (1..=shard.of).contains(&shard.number))
            .ok_or_else(|| {
                CliError::usage(format!("`{text}` is not a share of a run's cases"))
                    .hint("--shard 1/4 to --shard 4/4 are the shares of four machines")
            })
    }

    /// Whether a case belongs to this share: by its name, so that every machine decides alike.
    fn holds(self, name: &str) -> bool {
        // FNV-1a: the same on every machine and in every version.
        let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
        // The low bits of FNV are the weakest.
        (hash ^ (hash >> 32)) % self.of == self.number - 1
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::{Choice, Shard, all_known, is_case};
    use crate::stream::faults::{DOUBLED, FINISH_WITHOUT_DONE};

    #[test]
    fn every_case_is_in_exactly_one_share() {
        let mut sizes = [0; 4];
        for number in 0..400 {
            let what = format!("left-at-event-{number}-by-fin");
            let holds = |number: &u64| {
                let choice = Choice {
                    shard: Some(Shard {
                        number: *number,
                        of: 4,
                    }),
                    ..Choice::default()
                };
                choice.holds("hello", &what)
            };
            let of: Vec<u64> = (1..=4).filter(holds).collect();
            let [only] = of[..] else {
                panic!("{what} is in {of:?}");
            };
            sizes[usize::try_from(only - 1).unwrap()] += 1;
        }
        assert!(sizes.iter().all(|size| *size > 60), "{sizes:?}");
    }

    #[test]
    fn a_case_is_named_with_its_session_or_without() {
        let choice = |named: &str| Choice {
            named: vec![named.to_owned()],
            shard: None,
        };
        assert!(choice("hello/order").holds("hello", "order"));
        assert!(choice("order").holds("hello", "order"));
        assert!(!choice("other/order").holds("hello", "order"));
        assert!(Choice::default().holds("hello", "order"));
    }

    #[test]
    fn a_name_that_no_case_has_is_refused_with_the_one_that_was_meant() {
        let known = |named: &str| all_known(&[named.to_owned()], &["hello", "tools"]);
        for name in [
            "order",
            "hello/order",
            "tools/left-at-event-2-by-rst",
            "stopped-at-last-delta",
            "resumed-after-the-end",
            "approval-refused-twice",
            "regenerated-provider-rst",
            "provider-rst",
            "lost-after",
        ] {
            assert!(known(name).is_ok(), "{name}");
        }
        assert!(DOUBLED.iter().all(|it| is_case(it.name)));
        assert!(is_case(FINISH_WITHOUT_DONE.name));
        for (name, hint) in [
            ("ordre", "`order`"),
            ("hello/close-at-finl", "`close-at-final`"),
            ("helo/order", "`hello`, `tools`"),
            ("provider-nothing", "lists the names"),
            ("", "lists the names"),
        ] {
            let error = known(name).unwrap_err();
            assert_eq!(error.kind, crate::cli_error::Kind::Usage);
            let said = error.hint.unwrap();
            assert!(said.contains(hint), "{name}: {said}");
        }
    }

    #[test]
    fn a_share_is_one_of_so_many() {
        assert_eq!(Shard::parse("2/4").unwrap().to_string(), "2/4");
        for wrong in ["", "2", "0/4", "5/4", "1/0", "a/b", "-1/4"] {
            assert!(Shard::parse(wrong).is_err(), "{wrong}");
        }
    }
}
