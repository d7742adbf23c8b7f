//! `chatctl audit`: what survives.

pub mod arm;
pub mod compare;
mod look;
pub mod restart;
pub mod snapshot;

use super::Done;
use super::Env;

/// See what survives a restart
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
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    match args.command {
        Command::Snapshot(args) => snapshot::run(args, env).await,
        Command::Compare(args) => compare::run(args, env).await,
        Command::Arm(args) => arm::run(args, env).await,
        Command::Restart(args) => restart::run(args, env).await,
    }
}
