//! The helper process between chatctl and a server that it starts.
//!
//! It puts the server into a process group of its own and ends the whole group when the
//! pipe from chatctl closes, which also happens when chatctl is killed.

use nix::sys::signal::Signal;
use nix::sys::signal::killpg;
use nix::unistd::Pid;
use std::io::Read as _;
use std::io::Write;
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

/// How long the server may take to end by itself.
const GRACE: Duration = Duration::from_secs(3);

/// The helper's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's command.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

enum Event {
    Ended(Option<i32>),
    ParentGone,
}

/// Runs the command until it ends or chatctl is gone. The first line that it writes to
/// `out` is the process group's number; the server's own output follows on stderr.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<i32> {
    // Ctrl-C in the terminal is chatctl's to handle, in order.
    let _ = nix::unistd::setsid();
    let mut child = Command::new(&args.command[0])
        .args(&args.command[1..])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .map_err(|error| anyhow::anyhow!("starting `{}`: {error}", args.command[0]))?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    writeln!(out, "{group}")?;
    out.flush()?;

    let (events, inbox) = mpsc::channel();
    let ended = events.clone();
    std::thread::spawn(move || {
        let status = child.wait().ok().and_then(|status| status.code());
        let _ = ended.send(Event::Ended(status));
    });
    std::thread::spawn(move || {
        // Nothing is ever sent: only the end of the pipe matters.
        let _ = std::io::stdin().read(&mut [0]);
        let _ = events.send(Event::ParentGone);
    });

    let code = match inbox.recv()? {
        Event::Ended(code) => code,
        Event::ParentGone => {
            // A group that is gone already can't be signalled, and needn't be.
            let _ = killpg(group, Signal::SIGTERM);
            match inbox.recv_timeout(GRACE) {
                Ok(Event::Ended(code)) => code,
                _ => None,
            }
        }
    };
    let _ = killpg(group, Signal::SIGKILL);
    Ok(code.unwrap_or(1))
}
