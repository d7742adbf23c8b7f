//! The helper process between chatctl and a server that it starts.
//!
//! It puts the server into a process group of its own and ends the whole group when the
//! pipe from chatctl closes, which also happens when chatctl is killed. A byte on the pipe
//! asks the group to end in its own time.

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

/// How long the server may take to end by itself once chatctl is gone.
const GRACE: Duration = Duration::from_secs(3);
/// How often it is looked whether anything of the group is left.
const ASK: Duration = Duration::from_millis(10);

/// The helper's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's command.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

enum Event {
    Ended(Option<i32>),
    AskedToEnd,
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
        // What is sent does not matter: each byte asks, and the end of the pipe tells.
        while matches!(std::io::stdin().read(&mut [0]), Ok(1)) {
            let _ = events.send(Event::AskedToEnd);
        }
        let _ = events.send(Event::ParentGone);
    });

    let code = follow(group, &inbox)?;
    let _ = killpg(group, Signal::SIGKILL);
    Ok(code.unwrap_or(1))
}

/// Waits until the server has ended or its time is over. The exit code, where it is known.
fn follow(group: Pid, inbox: &mpsc::Receiver<Event>) -> anyhow::Result<Option<i32>> {
    let event = inbox.recv()?;
    if let Event::Ended(code) = event {
        return Ok(code);
    }
    // A group that is gone already can't be signalled, and needn't be.
    let _ = killpg(group, Signal::SIGTERM);
    Ok(match event {
        Event::AskedToEnd => until_empty(group, inbox),
        _ => match inbox.recv_timeout(GRACE) {
            Ok(Event::Ended(code)) => code,
            _ => None,
        },
    })
}

/// Waits until nothing of the group is left: a shell or a runner that began it may end at once
/// while the server still writes what it has. chatctl's patience ends it, by closing the pipe.
fn until_empty(group: Pid, inbox: &mpsc::Receiver<Event>) -> Option<i32> {
    let mut code = None;
    while code.is_none() || killpg(group, None).is_ok() {
        match inbox.recv_timeout(ASK) {
            Ok(Event::Ended(ended)) => code = Some(ended.unwrap_or(1)),
            Ok(Event::ParentGone) | Err(mpsc::RecvTimeoutError::Disconnected) => break,
            Ok(Event::AskedToEnd) | Err(mpsc::RecvTimeoutError::Timeout) => {}
        }
    }
    code
}
