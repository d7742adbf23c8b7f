//! `chatctl audit`: its sub-commands.

mod arm;
mod check;
mod compare;
mod dropped;
mod look;
mod quick;
mod rate;
mod restart;
mod snapshot;

use super::moment::{duration, moment};
use super::{Done, Env};
use crate::report::Report;

/// Check whether every stored conversation survived, and how many questions have an answer
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Write digests of every conversation and message to a file
    Snapshot(snapshot::Args),
    /// Report what was lost or altered since a snapshot
    Compare(compare::Args),
    /// Mark the tables, so that a recreated table is recognized for certain
    Arm(arm::Args),
    /// Start conversations, restart the server, and check that every message survived
    Restart(restart::Args),
    /// Find lost and broken messages without an earlier snapshot; changes nothing
    Check(check::Args),
    /// Measure how many questions have a stored answer
    Rate(Box<rate::Args>),
}

/// The command of the reports that can be played again.
pub(super) const RESTART: &str = restart::COMMAND;

/// Plays a run of `audit restart` again from the arguments in its report; only the cases of these names, where
/// some are named.
///
/// # Errors
/// When the arguments can't be read, and as a run does.
pub(super) async fn restart_again(
    arguments: &[String],
    cases: &[String],
    env: &Env,
) -> anyhow::Result<Report> {
    restart::again(arguments, cases, env).await
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    match args.command {
        Command::Snapshot(args) => snapshot::run(args, env).await,
        Command::Compare(args) => compare::run(args, env).await,
        Command::Arm(args) => arm::run(args, env).await,
        Command::Restart(args) => restart::run(args, env).await,
        Command::Check(args) => Ok(Done::Report(Box::new(check::run(&args, &env).await?))),
        Command::Rate(args) => Ok(Done::Report(Box::new(rate::run(&args, &env).await?))),
    }
}

/// `0.99`.
fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err("it is not from 0 to 1; 99 % is 0.99".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::share;

    #[test]
    fn a_share_is_a_number_from_0_to_1() {
        for (text, number) in [
            ("0", Some(0.0)),
            ("0.99", Some(0.99)),
            ("1", Some(1.0)),
            ("1.01", None),
            ("-0.1", None),
            ("99", None),
            ("99%", None),
            ("NaN", None),
            ("inf", None),
            ("", None),
        ] {
            assert_eq!(share(text).ok(), number, "{text}");
        }
    }
}
