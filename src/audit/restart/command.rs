//! The user's own restart command, and how chatctl notices that the server is back.

use crate::cli_error::CliError;
use crate::http::{Client, Outgoing};
use crate::{clock, http, mask};
use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::process::Child;
use url::{Host, Url};

/// How often it is asked whether the server answers.
const ASK: Duration = Duration::from_millis(20);
/// How long after the command's end the old process may continue answering.
const OLD_ONE: Duration = Duration::from_secs(2);

/// How much of what the command wrote is examined, from its end.
const WROTE: u64 = 64 << 10;

/// A restart command, and what it restarts.
pub struct Around {
    /// Its words; no shell is between.
    pub command: Vec<String>,
    /// Where the server is asked whether it is ready: the answer is below 500.
    pub ready: Url,
    /// How long the command may take, and then the server to be ready.
    pub patience: Duration,
}

/// How a restart went.
pub(super) enum Back {
    /// The server was away and is back.
    Restarted {
        /// What the command wrote.
        wrote: String,
        /// Why it may be another program that answers.
        stranger: Option<String>,
    },
    /// The server answers, and nobody saw it away.
    NeverAway,
    /// The server does not answer, and why it may be so.
    Gone(String),
}

/// The command at work: one that is left is ended, with all that it started.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let Some(group) = self.0.id().and_then(|id| i32::try_from(id).ok()) else {
            // It ended; a server that it started in the background is the user's.
            return;
        };
        let _ = killpg(Pid::from_raw(group), Signal::SIGKILL);
    }
}

impl Around {
    /// Runs the command and waits until the server is back.
    ///
    /// # Errors
    /// When the command can't be run, does not end, or fails and leaves the server as it was.
    pub(super) async fn restart(&self) -> anyhow::Result<Back> {
        let client = Client::new(self.ready.join("/")?, None)?;
        let before = self.programs();
        // A file and no pipe: the server may keep it open for as long as it lives.
        let output = tempfile::tempfile().context("making a file for the command's output")?;
        let mut running = self.start(&output)?;
        let mut away = false;
        let deadline = clock::now() + self.patience;
        let status = loop {
            if let Some(status) = running.0.try_wait()? {
                break status;
            }
            away |= !self.answers(&client).await;
            if clock::now() >= deadline {
                let patience = humantime::format_duration(self.patience);
                return Err(CliError::unreachable(format!("`{}` did not end within {patience}", self.words()))
                    .hint("use a command that ends, such as `docker compose restart backend`, or give it more \
                        time with --ready-timeout")
                    .into());
            }
            tokio::time::sleep(ASK).await;
        };
        let wrote = || {
            let length = output.metadata().map_or(0, |about| about.len());
            let mut bytes = vec![0; usize::try_from(length.min(WROTE)).unwrap_or(0)];
            let from = length.saturating_sub(WROTE);
            let read = output.read_exact_at(&mut bytes, from);
            read.map_or(String::new(), |()| {
                String::from_utf8_lossy(&bytes).into_owned()
            })
        };
        let old_one = clock::now() + OLD_ONE;
        while !away && clock::now() < old_one {
            away = !self.answers(&client).await;
            tokio::time::sleep(ASK).await;
        }
        let deadline = clock::now() + self.patience;
        while !self.answers(&client).await {
            away = true;
            if clock::now() >= deadline {
                let patience = humantime::format_duration(self.patience);
                return Ok(Back::Gone(format!(
                    "`{}` ended ({status}), and `{}` did not answer within {patience}{}",
                    self.words(),
                    mask::url(&self.ready),
                    tail(&wrote())
                )));
            }
            tokio::time::sleep(ASK).await;
        }
        match (status.success(), away) {
            (false, _) => Err(CliError::unreachable(format!(
                "`{}` failed ({status}){}",
                self.words(),
                tail(&wrote())
            ))
            .hint("run the command by hand")
            .into()),
            (true, true) => Ok(Back::Restarted {
                wrote: wrote(),
                stranger: stranger(&before, &self.programs()),
            }),
            (true, false) => Ok(Back::NeverAway),
        }
    }

    fn start(&self, output: &File) -> anyhow::Result<Running> {
        // One file with one place to write at, so that neither writes over the other.
        let out = output.try_clone()?;
        let err = out.try_clone()?;
        let child = tokio::process::Command::new(&self.command[0])
            .args(&self.command[1..])
            .process_group(0)
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| {
                CliError::usage(format!("`{}` can't be run: {error}", self.words()))
                    .hint("give a program and its arguments after `--`; for a line of shell give `-- sh -c '…'`")
            })?;
        Ok(Running(child))
    }

    async fn answers(&self, client: &Client) -> bool {
        let ask = Outgoing {
            method: "GET".to_owned(),
            path: self.ready[url::Position::BeforePath..url::Position::AfterQuery].to_owned(),
            headers: Vec::new(),
            body: Vec::new(),
        };
        client
            .send(&ask)
            .await
            .is_ok_and(|answer| answer.status < 500)
    }

    /// The command as it may be shown: it is the user's, and may hold keys.
    fn words(&self) -> String {
        mask::credentials(&self.command.join(" "))
    }

    /// The programs that listen where the server is asked, where that is this machine.
    fn programs(&self) -> BTreeSet<String> {
        let is_here = match self.ready.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match self.ready.port_or_known_default() {
            Some(port) if is_here => http::programs_on(port),
            _ => BTreeSet::new(),
        }
    }
}

/// Why what answers may be another program than before. By its name alone, since a release may
/// are in another folder and have other arguments.
fn stranger(before: &BTreeSet<String>, after: &BTreeSet<String>) -> Option<String> {
    if before.is_empty() || after.is_empty() || !before.is_disjoint(after) {
        return None;
    }
    let names = |programs: &BTreeSet<String>| {
        let names: Vec<_> = programs.iter().map(|name| format!("`{name}`")).collect();
        names.join(", ")
    };
    Some(format!(
        "{} answers now, and {} answered before the restart command: has another program taken the port?",
        names(after),
        names(before)
    ))
}

/// The end of what a command wrote, for a message.
fn tail(wrote: &str) -> String {
    let wrote = mask::credentials(wrote);
    let lines: Vec<_> = wrote.lines().collect();
    let tail: Vec<_> = lines
        .iter()
        .skip(lines.len().saturating_sub(8))
        .map(|line| format!("\n  {line}"))
        .collect();
    tail.concat()
}
