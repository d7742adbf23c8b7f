//! Stops the server and brings it back.

use super::command::Back;
use super::hold::Held;
use super::ways::{Deed, Way, When};
use super::{Options, reload};
use crate::clock;
use crate::http::{Again, Killer};
use crate::report::Lane;
use crate::stream::run::{Moments, Stage};
use anyhow::Context as _;
use std::collections::BTreeSet;
use std::time::Duration;

/// How long the server may take to end after SIGTERM: as long as `docker stop` gives it.
const TERM_WAIT: Duration = Duration::from_secs(10);
/// How long after SIGTERM the provider continues with an answer that is under way.
const GOES_ON: Duration = Duration::from_millis(500);

/// Why there is a server to stop.
const THERE: &str = "it was there a moment ago";

/// What is looked up before the last turn: when the server is to be stopped there is no time for it.
pub(super) struct Prepared {
    /// The processes that listen on its port.
    old: BTreeSet<u32>,
    /// The processes that it consists of.
    processes: BTreeSet<u32>,
    /// What kills it.
    pub(super) killer: Option<Killer>,
}

/// Gets everything ready to stop the server in this way.
pub(super) fn prepare(stage: &mut Stage<'_>, way: &Way) -> Prepared {
    let server = stage.server().filter(|_| way.deed != Deed::Command);
    let Some(server) = server else {
        return Prepared {
            old: BTreeSet::new(),
            processes: BTreeSet::new(),
            killer: None,
        };
    };
    Prepared {
        old: server.holders(),
        processes: server.processes(),
        killer: Some(server.killer()),
    }
}

/// What became of the server.
pub(super) enum After {
    /// It answers again.
    Up(Up),
    /// It does not, and why.
    Down(String),
}

/// A server that answers again.
#[derive(Default)]
pub(super) struct Up {
    /// What it wrote since.
    pub(super) lines: Vec<String>,
    /// What is to be known of its end where something is lost.
    pub(super) end: Option<String>,
    /// Why it may be another program that answers.
    pub(super) stranger: Option<String>,
}

/// Stops the server in this way, unless that was done at the final marker, and waits until it is
/// ready again. `held`: the conversation that is under way.
pub(super) async fn restart(
    stage: &mut Stage<'_>,
    way: &Way,
    (prepared, held): (&Prepared, &mut Held),
    options: &Options,
    moments: &mut Moments,
) -> anyhow::Result<After> {
    match way.deed {
        Deed::Terminate | Deed::Kill => start_again(stage, way, (prepared, held), moments).await,
        Deed::Touch => touch(stage, prepared, options, moments).await,
        Deed::Command => command(options, moments).await,
    }
}

async fn start_again(
    stage: &mut Stage<'_>,
    way: &Way,
    (prepared, held): (&Prepared, &mut Held),
    moments: &mut Moments,
) -> anyhow::Result<After> {
    let server = stage
        .server()
        .expect("these methods need a server that chatctl starts");
    let killer = prepared.killer.as_ref();
    let killer = killer.expect("these methods kill what is left");
    let mut end = None;
    match (way.deed, way.when) {
        // It was killed when the marker was seen.
        (Deed::Kill, When::Final) => {}
        (Deed::Kill, _) => {
            killer.kill();
            moments.now(Lane::Server, "SIGKILL");
        }
        (_, when) => {
            server.ask_to_end();
            moments.now(Lane::Server, "SIGTERM");
            if when.is_in_a_turn() && !server.ends_within(GOES_ON).await {
                held.let_go();
                stage.let_commits_through().await?;
                moments.now(Lane::Gateway, when.goes_on());
            }
            let server = stage.server().expect(THERE);
            if !server.ends_within(TERM_WAIT).await {
                killer.kill();
                let patience = humantime::format_duration(TERM_WAIT);
                let what = format!(
                    "it did not end within {patience} of SIGTERM, so it was killed, as `docker stop` does"
                );
                moments.now(Lane::Server, what.clone());
                end = Some(what);
            }
        }
    }
    stage.server().expect(THERE).end().await;
    moments.now(Lane::Server, "ended");
    if way.kills() {
        stage.drop_withheld().await?;
    } else {
        stage.let_commits_through().await?;
    }
    stage.forget_its_gate();
    if way.when.is_in_a_turn() && held.catch_up().await {
        moments.now(Lane::Client, "the answer came to its final marker");
    }
    let server = stage.server().expect(THERE);
    if let Again::Broken(why) = server.start_again(&prepared.old).await? {
        return Ok(After::Down(why));
    }
    moments.now(Lane::Server, "ready again");
    Ok(After::Up(Up {
        lines: lines(stage, clock::Tick::ZERO),
        end,
        stranger: None,
    }))
}

async fn touch(
    stage: &mut Stage<'_>,
    prepared: &Prepared,
    options: &Options,
    moments: &mut Moments,
) -> anyhow::Result<After> {
    let file = options.reload_file.as_ref().context("no file to touch")?;
    let server = stage
        .server()
        .expect("this method needs a server that chatctl starts");
    let since = clock::now();
    reload::touch(file)?;
    moments.now(Lane::Server, format!("`{}` touched", file.display()));
    reload::wait(server, &prepared.processes).await?;
    moments.now(Lane::Server, "reloaded");
    Ok(After::Up(Up {
        lines: lines(stage, since),
        ..Up::default()
    }))
}

async fn command(options: &Options, moments: &mut Moments) -> anyhow::Result<After> {
    let around = options.around.as_ref().context("no restart command")?;
    moments.now(Lane::Server, "the restart command is run");
    match around.restart().await? {
        Back::Restarted { wrote, stranger } => {
            moments.now(Lane::Server, "ready again");
            Ok(After::Up(Up {
                lines: wrote.lines().map(str::to_owned).collect(),
                stranger,
                ..Up::default()
            }))
        }
        Back::Gone(why) => Ok(After::Down(why)),
    }
}

fn lines(stage: &mut Stage<'_>, since: clock::Tick) -> Vec<String> {
    let server = stage.server().expect("it was started");
    server
        .output_since(since)
        .into_iter()
        .map(|line| line.text)
        .collect()
}
