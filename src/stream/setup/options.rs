//! The options of a run: each from its flag, the environment, the file or its default.

use super::{Wanted, duration};
use crate::cli_error::CliError;
use crate::config::Config;
use crate::db::Target;
use crate::gate;
use crate::gate::{CommitFault, FaultPlace, How, Kind};
use crate::gateway::faults::Mix;
use crate::stream::run::{
    ADDED, Choice, LEAST_HOLD, Options, Proof, Require, SUITES, Shard, Suite,
};
use clap::ValueEnum as _;
use std::ops::RangeInclusive;
use std::time::Duration;

/// SQLite servers wait 5 s for a lock; a hold must stay well below.
const MAX_HOLD: Duration = Duration::from_millis(2500);
/// Servers wait 30 s for a connection of their pool, and longer for a commit.
const MAX_HOLD_ON_A_WIRE: Duration = Duration::from_secs(10);

/// Nobody waits longer for a commit.
const LONGEST_HOLD: Duration = Duration::from_secs(600);
/// How many trials may be asked for: fewer show nothing, more end on no day.
const TRIALS: RangeInclusive<usize> = 3..=10_000;
/// In how many conversations turns may overlap: each holds a connection and a port.
const CHATS: RangeInclusive<usize> = 1..=10_000;

/// How the run goes, on this store.
///
/// # Errors
/// When a setting can't be read.
pub fn options(wanted: &Wanted, config: &Config, target: &Target) -> anyhow::Result<Options> {
    let proof = match wanted.proof {
        Some(proof) => proof,
        None => config
            .parsed("proof", None, |name| Proof::from_str(name, true).ok())?
            .expect("the setting has a default"),
    };
    let require = match wanted.require {
        Some(require) => require,
        None => config
            .parsed("require", None, |name| Require::from_str(name, true).ok())?
            .expect("the setting has a default"),
    };
    let hold = config.parsed("hold", wanted.hold.as_deref(), |text| match text {
        "auto" => Some(None),
        text => duration(text)
            .filter(|hold| *hold <= LONGEST_HOLD)
            .map(Some),
    })?;
    let gate = config.parsed("gate", wanted.gate.as_deref(), |name| {
        gate::ALL.iter().find(|kind| kind.name == name)
    })?;
    let patterns = config.forbid.iter().map(|pattern| {
        regex::Regex::new(pattern).map_err(|error| {
            CliError::usage(format!(
                "`{pattern}` in [logs] forbid is not a regular expression: {error}"
            ))
            .hint("write `\\\\` before a character that is meant literally, such as `\\\\(`")
        })
    });
    let (provider_faults, every_provider_fault) = provider_faults(wanted, config)?;
    let concurrency = config.parsed("concurrency", wanted.concurrency.as_deref(), |text| {
        text.parse().ok().filter(|chats| CHATS.contains(chats))
    })?;
    let suite = suite(wanted, config)?;
    if suite == Suite::Quick && !every_provider_fault && concurrency.is_none() {
        has_its_suite(wanted)?;
    }
    Ok(Options {
        provider_faults,
        every_provider_fault,
        suite,
        cases: wanted.cases.clone(),
        concurrency,
        watch: config
            .parsed("watch", wanted.watch.as_deref(), duration)?
            .expect("the setting has a default"),
        choice: Choice {
            named: wanted.named.clone(),
            shard: wanted.shard.as_deref().map(Shard::parse).transpose()?,
        },
        proof,
        require,
        faults: faults(wanted, config, (proof, gate, target))?,
        allow_gate: wanted.allow_gate,
        gate: gate.map(|kind| kind.name.to_owned()),
        trials: config
            .parsed("trials", wanted.trials.as_deref(), |text| {
                text.parse().ok().filter(|trials| TRIALS.contains(trials))
            })?
            .expect("the setting has a default"),
        hold: hold.flatten(),
        max_hold: config
            .parsed("max-hold", wanted.max_hold.as_deref(), |text| {
                duration(text).filter(|hold| (LEAST_HOLD..=LONGEST_HOLD).contains(hold))
            })?
            .unwrap_or(if target.is_file() {
                MAX_HOLD
            } else {
                MAX_HOLD_ON_A_WIRE
            }),
        settle: config
            .parsed("settle", wanted.settle.as_deref(), duration)?
            .expect("the setting has a default"),
        response_timeout: config
            .parsed(
                "response-timeout",
                wanted.response_timeout.as_deref(),
                |text| duration(text).filter(|timeout| !timeout.is_zero()),
            )?
            .expect("the setting has a default"),
        seed: wanted.seed.unwrap_or_else(|| fastrand::u64(..1_000_000)),
        forbid: patterns.collect::<Result<_, _>>()?,
        fail_fast: wanted.fail_fast,
    })
}

/// Which cases are played.
fn suite(wanted: &Wanted, config: &Config) -> anyhow::Result<Suite> {
    let every = config.parsed("sweep-every", wanted.sweep_every.as_deref(), |text| {
        text.parse().ok().filter(|every| *every > 0)
    })?;
    let name = config
        .value("suite", wanted.suite.as_deref())?
        .expect("the setting has a default");
    Suite::named(&name, every)?.ok_or_else(|| {
        CliError::usage(format!("unknown suite `{name}`"))
            .hint(format!("one of {}", SUITES.join(", ")))
            .into()
    })
}

/// Refuses what names cases that the suite `quick` does not have.
fn has_its_suite(wanted: &Wanted) -> Result<(), CliError> {
    let what = |named: &str| named.rsplit('/').next().unwrap_or_default().to_owned();
    let is_added = |named: &&String| ADDED.iter().any(|it| what(named).starts_with(it));
    let why = match (wanted.cases.first(), wanted.named.iter().find(is_added)) {
        (Some(text), _) => format!(
            "--cases {text} chooses among the cases that the suites full and sweep add, and this is the suite quick"
        ),
        (None, Some(named)) => format!("`{named}` is a case of the suites full and sweep"),
        (None, None) => return Ok(()),
    };
    Err(CliError::usage(why)
        .hint("add --suite full, or --suite sweep for every event of an answer"))
}

/// Every fault of a provider, as `--provider-fault` takes it.
const EVERY: &str = "all";

/// What the provider does; and whether all of it is asked for.
fn provider_faults(wanted: &Wanted, config: &Config) -> anyhow::Result<(Vec<Mix>, bool)> {
    let listed = config
        .value("provider-fault", wanted.provider_fault.as_deref())?
        .unwrap_or_default();
    let names = listed.split(',').map(str::trim).filter(|it| !it.is_empty());
    let (every, named): (Vec<_>, Vec<_>) = names.partition(|name| *name == EVERY);
    let mixes = named.into_iter().map(|name| {
        Mix::parse(name).map_err(|why| {
            CliError::usage(why)
                .hint("docs/provider-faults.md has the table; `+` combines several faults")
        })
    });
    Ok((mixes.collect::<Result<_, _>>()?, !every.is_empty()))
}

/// The faults that are asked for; refuses those that can't be made in this store.
fn faults(
    wanted: &Wanted,
    config: &Config,
    (proof, gate, target): (Proof, Option<&Kind>, &Target),
) -> anyhow::Result<Vec<CommitFault>> {
    let listed = |text: &str| {
        let names = text.split(',').filter(|name| !name.is_empty());
        names
            .map(|name| CommitFault::from_str(name.trim(), true).ok())
            .collect()
    };
    let faults = if wanted.faults.is_empty() {
        config.parsed("fault", None, listed)?.unwrap_or_default()
    } else {
        wanted.faults.clone()
    };
    let Some(first) = faults.first() else {
        return Ok(faults);
    };
    if proof == Proof::Observe {
        return Err(CliError::usage(format!(
            "--fault {} and --proof observe can't be used together: the first makes a commit fail, the second only reads",
            first.name()
        ))
        .hint("leave one of them out")
        .into());
    }
    for fault in &faults {
        let (is_made, instead) = match fault.place() {
            FaultPlace::Wire => (
                !target.is_file(),
                "it is a fault of the connection to PostgreSQL, MySQL or MariaDB: on SQLite use disk-full or io-error",
            ),
            FaultPlace::SystemCall => (
                target.is_file(),
                "it is a fault of SQLite's files: use commit-error or another fault of the connection",
            ),
        };
        if !is_made {
            return Err(CliError::usage(format!(
                "--fault {} can't be made in `{target}`",
                fault.name()
            ))
            .hint(instead)
            .into());
        }
    }
    if let Some(gate) = gate.filter(|gate| matches!(gate.how, How::Lock(_))) {
        return Err(CliError::usage(format!(
            "--fault {} can't be made by gate {}: it locks the store and withholds no commit",
            first.name(),
            gate.name
        ))
        .hint("leave --gate out; faults need the gate proxy, or syscalls with --start on Linux")
        .into());
    }
    Ok(faults)
}

#[cfg(test)]
mod tests {
    use super::{Wanted, options};
    use crate::config::Config;
    use crate::db::Target;

    #[test]
    fn what_no_run_could_hold_is_refused_with_its_bounds() {
        let target = Target::parse("sqlite:chat.db").unwrap();
        let said = |wanted: Wanted| {
            let error = options(&wanted, &Config::default(), &target).err()?;
            let error: crate::cli_error::CliError = error.downcast().unwrap();
            Some(format!("{} {}", error.message, error.hint.unwrap()))
        };
        let text = |text: &str| Some(text.to_owned());
        let trials = |value: &str| Wanted {
            trials: text(value),
            ..Wanted::default()
        };
        let hold = |value: &str| Wanted {
            hold: text(value),
            ..Wanted::default()
        };
        let max_hold = |value: &str| Wanted {
            max_hold: text(value),
            ..Wanted::default()
        };
        let concurrency = |value: &str| Wanted {
            concurrency: text(value),
            ..Wanted::default()
        };
        for good in [
            trials("3"),
            trials("10000"),
            hold("auto"),
            hold("10m"),
            max_hold("10m"),
            concurrency("10000"),
        ] {
            assert_eq!(said(good), None);
        }
        for (wrong, value, bound) in [
            (trials("2"), "2", "at least 3, at most 10000"),
            (trials("10001"), "10001", "at least 3, at most 10000"),
            (hold("11m"), "11m", "at most 10m"),
            (max_hold("1d"), "1d", "at least 300ms, at most 10m"),
            (concurrency("0"), "0", "at least 1, at most 10000"),
            (concurrency("999999"), "999999", "at least 1, at most 10000"),
        ] {
            let said = said(wrong).unwrap();
            assert!(said.contains(&format!("`{value}`")), "{said}");
            assert!(said.contains(bound), "{said}");
        }
    }
}
