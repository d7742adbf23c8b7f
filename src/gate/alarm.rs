//! The helper process that ends a chatctl which is stopped while a server's connections lead through
//! it.
//!
//! A proxy that is stopped relays nothing: the server waits, and so does everybody who waits for a
//! lock of its open transactions. No alarm of the stopped process can go off, and the kernel closes
//! connections only of a process that ends. So another process ends it; its connections break, and
//! the database rolls back what was not committed.

use crate::{clock, current_exe};
use anyhow::Context as _;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use std::io::Read as _;
use std::process::Stdio;
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;
use tokio::io::AsyncWriteExt as _;
use tokio::process::Child;
use tokio::task::JoinHandle;

/// How often chatctl shows that it runs.
const BEAT: Duration = Duration::from_millis(250);
/// What is granted beyond the longest hold.
const GRACE: Duration = Duration::from_secs(2);

/// The helper's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// For so many milliseconds chatctl may be stopped.
    #[arg(long)]
    longest_ms: u64,
}

/// A helper that watches this process. It ends when this is dropped, or when this process ends.
pub struct Alarm {
    _helper: Child,
    beats: JoinHandle<()>,
}

impl Alarm {
    /// Starts it.
    ///
    /// # Errors
    /// When the system starts no process.
    pub fn start(max_hold: Duration) -> anyhow::Result<Self> {
        let longest = (max_hold + GRACE).as_millis().to_string();
        let mut helper = tokio::process::Command::new(current_exe::program()?)
            .args(["gate-alarm", "--longest-ms", &longest])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("starting the helper that ends a stopped chatctl")?;
        let mut pipe = helper.stdin.take().context("stdin is piped")?;
        let beats = tokio::spawn(async move {
            // A helper that is gone is not missed: it does nothing for a chatctl that runs.
            while pipe.write_all(b".").await.is_ok() {
                tokio::time::sleep(BEAT).await;
            }
        });
        Ok(Self {
            _helper: helper,
            beats,
        })
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        self.beats.abort();
    }
}

/// Runs until chatctl is gone, and ends one that is stopped for too long.
///
/// # Errors
/// When it can't be ended.
pub fn run(args: &Args) -> anyhow::Result<()> {
    let chatctl = getppid();
    // A session of its own: what stops chatctl from a terminal must not stop the helper.
    let _ = nix::unistd::setsid();
    let longest = Duration::from_millis(args.longest_ms);
    let (beat, beats) = mpsc::channel();
    std::thread::spawn(move || {
        let mut byte = [0];
        while std::io::stdin().read(&mut byte).is_ok_and(|read| read > 0) {
            if beat.send(()).is_err() {
                break;
            }
        }
    });
    let mut last = clock::now();
    loop {
        match beats.recv_timeout(BEAT) {
            Ok(()) => last = clock::now(),
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
            Err(RecvTimeoutError::Timeout) => {
                // One that is only slow is not ended.
                let is_due = clock::now() - last >= longest && is_stopped(chatctl);
                if is_due && getppid() == chatctl {
                    kill(chatctl, Signal::SIGKILL).context("ending a stopped chatctl")?;
                    return Ok(());
                }
            }
        }
    }
}

/// Whether a process is stopped, by a signal or a debugger. Where the system does not tell it in
/// this way, one that gives no sign counts as stopped.
fn is_stopped(process: Pid) -> bool {
    let Ok(stat) = std::fs::read_to_string(format!("/proc/{process}/stat")) else {
        return !cfg!(target_os = "linux");
    };
    // The state follows the name, which is in brackets and may hold any character.
    let state = stat.rsplit_once(')').map(|(_, rest)| rest.trim_start());
    state.is_some_and(|state| state.starts_with(['T', 't']))
}
