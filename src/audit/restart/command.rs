//! The user's own restart command, and how chatctl notices that the server is back.

use crate::cli_error::CliError;
use crate::http::{Client, Listener, Outgoing};
use crate::{clock, http, mask};
use anyhow::Context as _;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::collections::BTreeSet;
use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt as _;
use std::process::Stdio;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::process::Child;
use url::{Host, Url};

/// How often it is asked whether the server answers.
const ASK: Duration = Duration::from_millis(20);
/// How long a connection may take: one that is refused is refused at once.
const CONNECT: Duration = Duration::from_millis(500);
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
    /// When the command can't be run, does not end, or fails, and when no restart of the server was seen.
    pub(super) async fn restart(&self) -> anyhow::Result<Back> {
        let client = Client::new(self.ready.join("/")?, None)?;
        let mut seen = Seen {
            before: self.listeners(),
            ..Seen::default()
        };
        // A file and no pipe: the server may keep it open for as long as it lives.
        let output = tempfile::tempfile().context("making a file for the command's output")?;
        let mut running = self.start(&output)?;
        let deadline = clock::now() + self.patience;
        let status = loop {
            if let Some(status) = running.0.try_wait()? {
                break status;
            }
            self.look(&client, &mut seen).await;
            if clock::now() >= deadline {
                let patience = humantime::format_duration(self.patience);
                return Err(CliError::unreachable(format!("`{}` did not end within {patience}", self.words()))
                    .hint("use a command that ends, such as `docker compose restart backend`, or give it more \
                        time with --ready-timeout")
                    .into());
            }
            tokio::time::sleep(ASK).await;
        };
        seen.after = self.listeners();
        let old_one = clock::now() + OLD_ONE;
        while seen.restarted().is_err() && clock::now() < old_one {
            self.look(&client, &mut seen).await;
            tokio::time::sleep(ASK).await;
            seen.after = self.listeners();
        }
        let deadline = clock::now() + self.patience;
        while !self.look(&client, &mut seen).await {
            if clock::now() >= deadline {
                let patience = humantime::format_duration(self.patience);
                return Ok(Back::Gone(format!(
                    "`{}` ended ({status}), and `{}` did not answer within {patience}{}",
                    self.words(),
                    mask::url(&self.ready),
                    tail(&wrote(&output))
                )));
            }
            tokio::time::sleep(ASK).await;
        }
        seen.after = self.listeners();
        if !status.success() {
            let tail = tail(&wrote(&output));
            return Err(CliError::unreachable(format!(
                "`{}` failed ({status}){tail}",
                self.words()
            ))
            .hint("run the command by hand")
            .into());
        }
        seen.restarted().map_err(|why| {
            CliError::unreachable(format!("the restart command ended, and {why}")).hint(
                "give a command that stops the server and starts it, and the server's own address",
            )
        })?;
        Ok(Back::Restarted {
            wrote: wrote(&output),
            stranger: stranger(&programs(&seen.before), &programs(&seen.after)),
        })
    }

    /// Looks once, and gives whether the server answers.
    async fn look(&self, client: &Client, seen: &mut Seen) -> bool {
        let answers = self.answers(client).await;
        if !answers {
            seen.failed = true;
            seen.refused |= self.refuses().await;
        }
        answers
    }

    /// Whether nobody listens where the server is asked.
    async fn refuses(&self) -> bool {
        let place = self
            .ready
            .host_str()
            .zip(self.ready.port_or_known_default());
        let Some((host, port)) = place else {
            return false;
        };
        // The name of an IPv6 address is in brackets in a URL.
        let host = host.trim_matches(['[', ']']);
        match tokio::time::timeout(CONNECT, TcpStream::connect((host, port))).await {
            Ok(Err(error)) => error.kind() == ErrorKind::ConnectionRefused,
            Ok(Ok(_)) | Err(_) => false,
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

    /// The processes that listen where the server is asked, where that is this machine.
    fn listeners(&self) -> BTreeSet<Listener> {
        let is_here = match self.ready.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(address)) => address.is_loopback(),
            Some(Host::Ipv6(address)) => address.is_loopback(),
            None => false,
        };
        match self.ready.port_or_known_default() {
            Some(port) if is_here => http::listeners_on(port),
            _ => BTreeSet::new(),
        }
    }
}

/// What was seen of the server around the command.
#[derive(Debug, Default)]
struct Seen {
    /// Who listened before the command; nobody where that can't be known.
    before: BTreeSet<Listener>,
    /// Who listens now.
    after: BTreeSet<Listener>,
    /// A connection was refused meanwhile.
    refused: bool,
    /// Something that was asked meanwhile was not answered well.
    failed: bool,
}

impl Seen {
    /// Whether the server was restarted. A failed request does not show it: the readiness check also fails
    /// while another service is away.
    fn restarted(&self) -> Result<(), String> {
        let stayed = self.before.intersection(&self.after).next();
        match (stayed, self.failed) {
            (None, _) if self.refused || !self.before.is_empty() => Ok(()),
            (_, false) => {
                Err("the server never stopped answering: no restart was seen".to_owned())
            }
            (Some(stayed), true) => Err(format!(
                "no restart was seen: requests failed meanwhile, but the same process listens as before \
                 ({}, process {}); has the command restarted another service?",
                stayed.program.as_deref().unwrap_or("an unknown program"),
                stayed.pid
            )),
            (None, true) => Err(
                "no restart was seen: requests failed meanwhile, but no connection was refused; has the command \
                 restarted another service, or does a proxy answer?"
                    .to_owned(),
            ),
        }
    }
}

/// The programs of processes.
fn programs(listeners: &BTreeSet<Listener>) -> BTreeSet<String> {
    let programs = listeners.iter().filter_map(|it| it.program.clone());
    programs.collect()
}

/// The end of what a command wrote.
fn wrote(output: &File) -> String {
    let length = output.metadata().map_or(0, |about| about.len());
    let mut bytes = vec![0; usize::try_from(length.min(WROTE)).unwrap_or(0)];
    let from = length.saturating_sub(WROTE);
    let read = output.read_exact_at(&mut bytes, from);
    read.map_or(String::new(), |()| {
        String::from_utf8_lossy(&bytes).into_owned()
    })
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

#[cfg(test)]
mod tests {
    use super::{Listener, Seen};

    fn listener(pid: u32, started: u64) -> Listener {
        Listener {
            pid,
            started: Some(started),
            program: Some("python3".to_owned()),
        }
    }

    #[test]
    fn a_restart_is_another_process_or_a_refused_connection() {
        let (old, new, worker) = (listener(7, 1), listener(7, 2), listener(9, 2));
        for (before, after, refused, failed, is_one) in [
            (&[&old][..], &[&new][..], false, false, true),
            (&[&old], &[&new], true, true, true),
            // The readiness check failed, and the server is the same.
            (&[&old], &[&old], false, true, false),
            (&[&old], &[&old], true, true, false),
            (&[&old], &[&old], false, false, false),
            (&[&old], &[&old, &worker], false, true, false),
            // Of a server elsewhere nothing is known but its connections.
            (&[], &[], true, true, true),
            (&[], &[], false, true, false),
            (&[], &[], false, false, false),
        ] {
            let all = |of: &[&Listener]| of.iter().map(|it| (*it).clone()).collect();
            let seen = Seen {
                before: all(before),
                after: all(after),
                refused,
                failed,
            };
            assert_eq!(seen.restarted().is_ok(), is_one, "{seen:?}");
        }
    }
}
