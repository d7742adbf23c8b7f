//! The helper process between chatctl and a server that it starts.
//!
//! It puts the server into a process group of its own and ends the whole group when the pipe from
//! chatctl closes, which also happens when chatctl is killed. As the server's parent it is also
//! what may trace it. One thread does it all, since only the thread that traces a process may wait
//! for it; two others do only wake it.

use super::helper::Asked;
use crate::clock;
use crate::clock::Tick;
use crate::trace::Server;
use crate::trace::wire::TracerMessage;
use nix::sys::signal::{SigSet, Signal, killpg};
use nix::unistd::Pid;
use std::io::{BufRead as _, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
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

/// What the helper wakes up for.
enum Event {
    /// chatctl asks for something.
    Asked(Asked),
    /// chatctl is gone.
    Alone,
    /// A process or a traced thread has stopped or ended.
    Stopped,
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
            match error.kind() {
                std::io::ErrorKind::NotFound => anyhow::anyhow!(
                    "`{name}` was not found, neither on PATH nor as a file; {}",
                    instead_of(name)
                ),
                _ => anyhow::anyhow!("starting `{name}`: {error}"),
            }
        })?;
    let group = Pid::from_raw(i32::try_from(child.id())?);
    let mut server = Server::new(group);
    say(out, &TracerMessage::Group(child.id()));
    let (events, inbox) = mpsc::channel();
    // Not before the server is started, which would begin with the mask.
    tell_stops(events.clone());
    // One sender stays: an inbox without any no longer waits.
    tell_asks(events.clone());
    let code = follow(group, &mut server, &inbox, out);
    let _ = killpg(group, Signal::SIGKILL);
    Ok(code.unwrap_or(1))
}

/// What to write in place of a command that was not found.
fn instead_of(name: &str) -> String {
    if name == "cd" || name.contains('=') {
        "no shell runs the command: begin with `env NAME=VALUE`, or use sh -c '…'".to_owned()
    } else if name.contains('/') {
        "check the path, which begins in the folder that chatctl runs in".to_owned()
    } else {
        format!("install it, or write its path, such as .venv/bin/{name}")
    }
}

/// Passes on what chatctl asks, until it is gone.
fn tell_asks(events: mpsc::Sender<Event>) {
    std::thread::spawn(move || {
        let lines = std::io::stdin().lock().lines();
        for asked in lines.map_while(Result::ok) {
            let Ok(asked) = serde_json::from_str(&asked) else {
                break;
            };
            if events.send(Event::Asked(asked)).is_err() {
                return;
            }
        }
        let _ = events.send(Event::Alone);
    });
}

/// Tells of each stop and end. The signal is blocked from here on, also in threads that begin
/// later, so that none is lost while nobody waits for it.
fn tell_stops(events: mpsc::Sender<Event>) {
    let stops = SigSet::from(Signal::SIGCHLD);
    if stops.thread_block().is_err() {
        return;
    }
    std::thread::spawn(
        move || while stops.wait().is_ok() && events.send(Event::Stopped).is_ok() {},
    );
}

/// Waits until the server has ended or its time is over. The exit code, where it is known.
fn follow(
    group: Pid,
    server: &mut Server,
    inbox: &mpsc::Receiver<Event>,
    out: &mut dyn Write,
) -> Option<i32> {
    let mut ends = Ends::WithServer;
    loop {
        match inbox.recv_timeout(server.pause()) {
            Ok(Event::Asked(Asked::Trace(ask))) => {
                server.ask(ask).iter().for_each(|told| say(out, told));
            }
            Ok(Event::Asked(Asked::End)) => {
                // A group that is gone already can't be signalled, and needn't be.
                let _ = killpg(group, Signal::SIGTERM);
                ends = Ends::WithGroup;
            }
            Ok(Event::Alone) => {
                // A thread that is held hears no signal.
                server.let_go();
                let _ = killpg(group, Signal::SIGTERM);
                ends = Ends::At(clock::now() + GRACE);
            }
            Ok(Event::Stopped) | Err(_) => {}
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

#[cfg(test)]
mod tests {
    use super::instead_of;

    #[test]
    fn a_command_that_is_not_there_names_a_way_out() {
        for (name, says) in [
            ("uvicorn", ".venv/bin/uvicorn"),
            ("./server", "check the path"),
            ("PORT=1", "env NAME=VALUE"),
            ("cd", "sh -c"),
        ] {
            assert!(instead_of(name).contains(says), "{name}");
        }
    }
}
