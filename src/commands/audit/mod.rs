//! `chatctl audit`: what survives.

pub mod restart;

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
    /// Hold chats, restart the server, and ask for every message
    Restart(restart::Args),
}

/// Runs it.
pub async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    match args.command {
        Command::Restart(args) => restart::run(args, env).await,
    }
}
