//! `chatctl audit arm`: a mark that survives everything except DROP TABLE and removal by hand.

use super::{duration, look};
use crate::audit::arm;
use crate::audit::arm::Act;
use crate::cli_error::CliError;
use crate::commands::{Done, Env};
use crate::report::{Report, Verdict};
use std::time::{Duration, Instant};

/// Mark the tables, so that a recreated table is recognized for certain
///
/// This is the only part of audit that writes: a comment on each table, in SQLite an empty index.
/// The mark survives restarts, VACUUM, rebuilds and dumps, but not DROP TABLE, nor DROP INDEX or a new
/// comment.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Remove the marks
    #[arg(long)]
    remove: bool,

    /// How long to wait for a lock
    #[arg(long, default_value = "3s", value_name = "DURATION", value_parser = duration)]
    lock_timeout: Duration,
}

pub(super) async fn run(args: Args, env: Env) -> anyhow::Result<Done> {
    let began = Instant::now();
    let chats = env.live_chats().await?;
    if chats.db.target().read_only() {
        return Err(
            CliError::refused(format!("`{}` forbids writing", chats.db.target()))
                .hint("leave `?mode=ro` out of the URL")
                .into(),
        );
    }
    let tables = chats.mapping.table_names();
    let act = if args.remove { Act::Remove } else { Act::Arm };
    let changed = arm::run(chats.db.as_ref(), &tables, act, args.lock_timeout).await?;
    let mut report = Report::new("audit arm");
    report.store = Some(chats.line());
    report.took = began.elapsed();
    report.checked = tables.len() as u64;
    for table in &tables {
        let reason = match (changed.contains(table), args.remove) {
            (true, false) => {
                "marked; the mark survives everything except DROP TABLE and removal by hand"
            }
            (true, true) => {
                "as it was before it was marked; take a new snapshot before the next comparison"
            }
            (false, false) => "was marked before",
            (false, true) => "had no mark",
        };
        report
            .cases
            .push(look::case(table, Verdict::Held, reason.to_owned()));
    }
    Ok(Done::Report(Box::new(report)))
}
