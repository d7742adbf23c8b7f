//! `chatctl audit`: its sub-commands.

mod arm;
mod check;
mod compare;
mod look;
mod probe;
mod quick;
mod rate;
mod restart;
mod snapshot;

use super::Done;
use super::Env;
use crate::stop::Stop;
use crate::store::time_of_text;
use std::time::Duration;
use std::time::SystemTime;
use std::time::UNIX_EPOCH;

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

/// Now, in microseconds since 1970 UTC.
fn now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    micros(since.unwrap_or_default())
}

/// A duration in microseconds.
fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

/// `60s`, `24h`, `7d`.
fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| error.to_string())
}

/// `0.99`.
fn share(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|_| "it is no number".to_owned())?;
    match (0.0..=1.0).contains(&number) {
        true => Ok(number),
        false => Err("it is not from 0 to 1; 99 % is 0.99".to_owned()),
    }
}

/// How long ago, or a moment: `24h`, `2026-11-21T08:00:00Z`; in microseconds since 1970 UTC.
fn moment(flag: &str, text: &str) -> Result<i64, Stop> {
    let ago = humantime::parse_duration(text).ok();
    ago.map(|ago| now().saturating_sub(micros(ago)))
        .or_else(|| time_of_text(text))
        .ok_or_else(|| {
            Stop::usage(format!("`{flag} {text}` is neither a time nor a duration"))
                .hint(format!("{flag} 24h, or {flag} 2026-11-21T08:00:00Z"))
        })
}
