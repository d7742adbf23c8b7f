//! `chatctl audit`: its sub-commands.

mod arm;
mod check;
mod compare;
mod look;
mod quick;
mod rate;
mod restart;
mod snapshot;

use super::moment::{micros, moment, now};
use super::{Done, Env};
use std::time::Duration;

/// Tell whether every stored conversation survived, and how many questions got their answer
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Keep digests of every conversation and message in a file
    Snapshot(snapshot::Args),
    /// Tell what was lost or altered since a snapshot
    Compare(compare::Args),
    /// Mark the tables, so that one that was made anew is told for certain
    Arm(arm::Args),
    /// Hold chats, restart the server, and ask for every message
    Restart(restart::Args),
    /// Look for what is lost or broken, with no earlier snapshot; changes nothing
    Check(check::Args),
    /// Tell the share of questions that got a stored answer, or send some and count what is stored
    Rate(Box<rate::Args>),
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

/// `60s`, `24h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// `0.99`.
fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    if (0.0..=1.0).contains(&number) {
        Ok(number)
    } else {
        Err("it is not from 0 to 1; 99 % is 0.99".to_owned())
    }
}
