//! Stopping the server and having it again.

use super::Options;
use super::command::Back;
use super::reload;
use super::ways::Deed;
use super::ways::Way;
use crate::clock;
use crate::http::Again;
use crate::report::Lane;
use crate::stop::Stop;
use crate::stream::run::Moments;
use crate::stream::run::Stage;
use anyhow::Context as _;
use std::time::Duration;

/// How long the server may take to end after SIGTERM: as long as `docker stop` gives it.
const TERM_WAIT: Duration = Duration::from_secs(10);

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

/// Stops the server in this way and waits until it is ready again.
pub(super) async fn restart(
    stage: &mut Stage<'_>,
    way: &Way,
    options: &Options,
    moments: &mut Moments,
) -> anyhow::Result<After> {
    match way.deed {
        Deed::Terminate | Deed::Kill => anew(stage, way, moments).await,
        Deed::Touch => touch(stage, options, moments).await,
        Deed::Command => command(options, moments).await,
    }
}

async fn anew(stage: &mut Stage<'_>, way: &Way, moments: &mut Moments) -> anyhow::Result<After> {
    let server = stage
        .server()
        .expect("these ways are for a server that chatctl starts");
    let old = server.holders();
    let mut end = None;
    if way.kills() {
        server.kill();
        moments.now(Lane::Server, "SIGKILL");
        server.end().await;
    } else {
        moments.now(Lane::Server, "SIGTERM");
        if !server.terminate(TERM_WAIT).await {
            let patience = humantime::format_duration(TERM_WAIT);
            let what = format!(
                "it did not end within {patience} of SIGTERM, so it was killed, as `docker stop` does"
            );
            moments.now(Lane::Server, what.clone());
            end = Some(what);
        }
    }
    moments.now(Lane::Server, "ended");
    if let Again::Broken(why) = server.start_again(&old).await? {
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
    options: &Options,
    moments: &mut Moments,
) -> anyhow::Result<After> {
    let file = options.reload_file.as_ref().context("no file to touch")?;
    let server = stage
        .server()
        .expect("this way is for a server that chatctl starts");
    let (before, since) = (server.processes(), clock::now());
    reload::touch(file)?;
    moments.now(Lane::Server, format!("`{}` touched", file.display()));
    reload::wait(server, &before).await?;
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
        Back::NeverAway => Err(Stop::unreachable("the restart command ended, and the server never stopped answering: no restart was seen")
            .hint("give a command that stops the server and starts it")
            .into()),
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
