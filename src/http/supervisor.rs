//! The helper process between chatctl and a server that it starts.
//!
//! It puts the server into a process group of its own and ends the whole group when the
//! pipe from chatctl closes, which also happens when chatctl is killed. As the server's parent it
//! is also what may trace it. One thread does it all: only the thread that traces a process may
//! wait for it.

use super::helper::Asked;
use crate::clock;
use crate::clock::Tick;
use crate::trace::Server;
use crate::trace::wire::TracerMessage;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::io::{BufRead as _, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::Duration;

/// How long the server may take to end by itself once chatctl is gone.
const GRACE: Duration = Duration::from_secs(3);

/// The helper's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The server's command.
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

/// When the helper ends.
#[derive(Clone, Copy)]
enum Ends {
    /// When the server does.
    WithServer,
    /// When nothing of the group is left: a shell or a runner that began it may end at once while
    /// the server still writes what it has. chatctl's patience ends it, by closing the pipe.
    WithGroup,
    /// When the server does, and then at the latest: chatctl is gone.
    At(Tick),
}

/// Runs the command until it ends or chatctl is gone. The first line that it writes to `out` tells
/// the process group's number; the server's own output follows on stderr. Gives its exit code.
pub fn run(args: &Args, out: &mut dyn Write) -> anyhow::Result<i32> {
    // Ctrl-C in the terminal is chatctl's to handle, in order.
    let _ = nix::unistd::setsid();
    let child = Command::new(&args.command[0])
        .args(&args.command[1..])
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(std::io::stderr())
        .spawn()
        .map_err(|error| {
            let name = &args.command[0];
            let is_for_a_shell = name == "cd" || name.contains('=');
            let hint = if is_for_a_shell {
                "; no shell runs the command: begin with `env NAME=VALUE`, or use sh -c '…'"
            } else {
                ""
            };
            match error.kind() {
                std::io::ErrorKind::NotFound => {
                    anyhow::anyhow!("`{name}` was not found, neither on PATH nor as a file{hint}")
                }
                _ => anyhow::anyhow!("starting `{name}`: {error}{hint}"),
            }
        })?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    let mut server = Server::new(group);
    say(out, &TracerMessage::Group(child.id()));
    let code = follow(group, &mut server, &asks(), out);
    let _ = killpg(group, Signal::SIGKILL);
    Ok(code.unwrap_or(1))
}

/// What chatctl asks, as it comes. The channel closes with the pipe.
fn asks() -> mpsc::Receiver<Asked> {
    let (asks, inbox) = mpsc::channel();
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        for asked in lines.map_while(Result::ok) {
            let Ok(asked) = serde_json::from_str(&asked) else {
                break;
            };
            if asks.send(asked).is_err() {
                break;
            }
        }
    });
    inbox
}

/// Waits until the server has ended or its time is over. The exit code, where it is known.
fn follow(
    group: Pid,
    server: &mut Server,
    inbox: &mpsc::Receiver<Asked>,
    out: &mut dyn Write,
) -> Option<i32> {
    let mut ends = Ends::WithServer;
    loop {
        match inbox.recv_timeout(server.pause()) {
            Ok(Asked::Trace(ask)) => server.ask(ask).iter().for_each(|told| say(out, told)),
            Ok(Asked::End) => {
                // A group that is gone already can't be signalled, and needn't be.
                let _ = killpg(group, Signal::SIGTERM);
                ends = Ends::WithGroup;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                if !matches!(ends, Ends::At(_)) {
                    // A thread that is held hears no signal.
                    server.let_go();
                    let _ = killpg(group, Signal::SIGTERM);
                    ends = Ends::At(clock::now() + GRACE);
                }
                std::thread::sleep(server.pause());
            }
        }
        server.look().iter().for_each(|told| say(out, told));
        let over = match ends {
            Ends::WithServer => server.ended().is_some(),
            Ends::WithGroup => server.ended().is_some() && killpg(group, None).is_err(),
            Ends::At(deadline) => server.ended().is_some() || clock::now() >= deadline,
        };
        if over {
            return server.ended();
        }
    }
}

/// chatctl may be gone; then there is nobody to tell.
fn say(out: &mut dyn Write, told: &TracerMessage) {
    let mut line = serde_json::to_vec(told).expect("what is told has a JSON form");
    line.push(b'\n');
    let _ = out.write_all(&line).and_then(|()| out.flush());
}
