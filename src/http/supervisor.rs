//! The helper process between chatctl and a server that it starts.
//!
//! It puts the server into a process group of its own, and takes over what loses its parent there: a
//! server that is started in a session of its own, or in the background. It ends all of them when
//! the pipe from chatctl closes, which also happens when chatctl is killed. As the server's parent
//! it is also what may trace it. One thread does it all, since only the thread that traces a process
//! may wait for it; two others do only wake it.

use super::helper::Asked;
use crate::clock;
use crate::clock::Tick;
use crate::trace::wire::TracerMessage;
use crate::trace::{Server, processes};
use nix::sys::signal::{SigSet, Signal, kill, killpg};
use nix::unistd::Pid;
use std::io::{BufRead as _, Write};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long the server may take to end by itself once chatctl is gone.
const GRACE: Duration = Duration::from_secs(3);
/// How long those that are killed may take to be gone, and how often that is looked for. One that may not be killed
/// stays.
const KILLED: Duration = Duration::from_secs(1);
const LOOK: Duration = Duration::from_millis(5);

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
    /// When the server does: one whose command ends well and leaves it in the background has not ended.
    WithServer,
    /// When nothing of it is left: a shell or a runner that began it may end at once while the
    /// server still writes what it has. chatctl's patience ends it, by closing the pipe.
    WithAll,
    /// When the server's command does, and then at the latest: chatctl is gone.
    At(Tick),
    /// The same where the command had ended before, and what it left is the server.
    AllBy(Tick),
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
    // Without it, what loses its parent is nobody's, and continues after the run.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::prctl::set_child_subreaper(true);
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
    end_all(group, &mut server);
    Ok(code.unwrap_or(1))
}

/// The server and everything that it started: all descendants of this process are the server's.
struct All {
    has_group: bool,
    outside: Vec<u32>,
}

impl All {
    fn of(group: Pid) -> Self {
        let own = u32::try_from(group.as_raw()).ok();
        let (inside, outside): (Vec<u32>, _) = processes::below(std::process::id())
            .into_iter()
            .partition(|pid| processes::group(*pid) == own);
        // A group that is gone may be another one's by now; where nobody knows, it is there.
        let has_group = !inside.is_empty() || !cfg!(target_os = "linux");
        Self { has_group, outside }
    }

    fn signal_outside(&self, signal: Signal) {
        let pids = self
            .outside
            .iter()
            .filter_map(|pid| i32::try_from(*pid).ok());
        for pid in pids {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// Asks the server to end. Its group first, as an operator does, who knows of no others: what forwards signals to a group
/// of its own would send a second one, and what the server needs to end is outside. Returns whether all are asked.
fn ask_to_end(group: Pid, is_first: bool) -> bool {
    let all = All::of(group);
    if all.has_group {
        if is_first {
            let _ = killpg(group, Signal::SIGTERM);
        }
        return false;
    }
    all.signal_outside(Signal::SIGTERM);
    true
}

/// Kills everything, also what is started meanwhile.
fn end_all(group: Pid, server: &mut Server) {
    let deadline = clock::now() + KILLED;
    loop {
        // Looked for first: what is below a process that ends is not for a moment.
        let all = All::of(group);
        if all.has_group {
            let _ = killpg(group, Signal::SIGKILL);
        }
        all.signal_outside(Signal::SIGKILL);
        server.look();
        if !is_any_left(group) || clock::now() >= deadline {
            return;
        }
        std::thread::sleep(LOOK);
    }
}

/// Whether anything of the server is left: what has lost its parent is a child of this process.
#[cfg(target_os = "linux")]
fn is_any_left(_group: Pid) -> bool {
    use nix::errno::Errno;
    use nix::sys::wait::{Id, WaitPidFlag, waitid};
    let only_look = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
    waitid(Id::All, only_look) != Err(Errno::ECHILD)
}

/// The same where only the group is known.
#[cfg(not(target_os = "linux"))]
fn is_any_left(group: Pid) -> bool {
    killpg(group, None).is_ok()
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
    // While it is asked to end: whether all of it is.
    let mut asked = None;
    loop {
        match inbox.recv_timeout(server.pause()) {
            Ok(Event::Asked(Asked::Trace(ask))) => {
                server.ask(ask).iter().for_each(|told| say(out, told));
            }
            Ok(Event::Asked(Asked::End)) => {
                asked = Some(ask_to_end(group, true));
                ends = Ends::WithAll;
            }
            Ok(Event::Alone) => {
                // A thread that is held hears no signal.
                server.let_go();
                asked = Some(ask_to_end(group, true));
                let deadline = clock::now() + GRACE;
                ends = match server.ended() {
                    None => Ends::At(deadline),
                    Some(_) => Ends::AllBy(deadline),
                };
            }
            Ok(Event::Stopped) | Err(_) => {}
        }
        server.look().iter().for_each(|told| say(out, told));
        if asked == Some(false) {
            asked = Some(ask_to_end(group, false));
        }
        let over = match ends {
            Ends::WithServer => match server.ended() {
                Some(0) => !is_any_left(group),
                ended => ended.is_some(),
            },
            Ends::WithAll => server.ended().is_some() && !is_any_left(group),
            Ends::At(deadline) => server.ended().is_some() || clock::now() >= deadline,
            Ends::AllBy(deadline) => !is_any_left(group) || clock::now() >= deadline,
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
