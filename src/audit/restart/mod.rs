//! The experiment around a restart: run chats, stop the server, start it, and request every chat.
//!
//! The judges ([`account`], [`startup`]) are pure; [`experiment`] drives them. A restart that loses
//! nothing shows that this one lost nothing, so the best verdict is `held`.

mod account;
mod command;
mod experiment;
mod gap;
mod hold;
mod mounts;
mod places;
mod preflight;
mod reload;
mod round;
mod round_findings;
mod startup;
mod state;
mod stop;
mod tables;
mod ways;

use crate::report::Report;
use crate::stream::profiles::Profile;
use crate::stream::run;
use crate::stream::run::{Stage, World};
use crate::stream::session::Session;
use experiment::Experiment;
use std::path::PathBuf;

pub use command::Around;
pub use preflight::findings as preflight;
pub use reload::source_of;
pub use ways::{ALL as WAYS, COMMAND, Way};

/// The codes that only this experiment finds.
pub static CODES: &[&str] = &[
    "conversation-not-found",
    "logged-out-on-restart",
    "message-lost-on-kill",
    "message-lost-on-restart",
    "role-may-drop",
    "server-did-not-start",
    "startup-ddl",
    "store-not-durable",
];

/// What an experiment is asked to do.
pub struct Options {
    /// The ways to restart; each is gone through once a round.
    pub ways: Vec<&'static Way>,
    /// How many rounds.
    pub rounds: usize,
    /// The file that is touched for a reload.
    pub reload_file: Option<PathBuf>,
    /// The user's own restart command.
    pub around: Option<Around>,
}

/// Holds every session over every restart, and adds what was found to the report.
///
/// # Errors
/// When the first chats can't be held: then there is nothing that a restart could lose.
pub async fn run(
    world: &mut World,
    sessions: &[(Session, &'static Profile)],
    (options, stage_options): (&Options, &run::Options),
    report: &mut Report,
) -> anyhow::Result<()> {
    for (session, profile) in sessions {
        let mut stage = Stage::new(world, session, profile, stage_options);
        let mut ran = Experiment::new(&mut stage, options).run(report).await;
        // The first turn showed how the server's streams are to be read.
        if let (Err(_), Some(detected)) = (&ran, stage.take_detected()) {
            report.add(detected);
            ran = Experiment::new(&mut stage, options).run(report).await;
        }
        let goes_on = ran?;
        report.store = stage.store_line().or(report.store.take());
        if !goes_on {
            break;
        }
    }
    Ok(())
}
