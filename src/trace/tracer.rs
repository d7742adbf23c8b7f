//! Traces the threads of a server while a gate is closed, and holds those that [`super::watch`]
//! says.
//!
//! All requests of a traced thread must come from the thread that traces it, so nothing here runs
//! anywhere else. When this process ends, the kernel lets the server run on.
//!
//! Source: ptrace(2).

use super::processes;
use super::registers::Registers;
use super::watch::{Call, Entry, Exit, Thread, Watch};
use super::wire::{
    Answered, Ask, Close, Commit, Errno as Ends, Lasts, Order, State, TracerMessage,
};
use crate::clock;
use crate::clock::Tick;
use calls::Files;
use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::ptrace::Options;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use std::collections::BTreeMap;
use std::time::Duration;

mod calls;

/// How long every thread may take to be traced: one that waits for a busy disk does not stop before that
/// has answered.
const ALL_TRACED: Duration = Duration::from_secs(4);
/// And to be let go.
const ALL_LET_GO: Duration = Duration::from_secs(2);
/// Between two looks while every thread is stopped or let go.
const LOOK: Duration = Duration::from_micros(50);
/// After so many stops chatctl is heard and what is held is timed: threads that are never quiet
/// have always another one.
const STOPS_AT_ONCE: usize = 256;

/// A server that this process has started, and may trace.
pub struct Server {
    root: Pid,
    threads: BTreeMap<Thread, Traced>,
    gate: Gate,
    /// The exit code of the server, once it has ended.
    ended: Option<i32>,
    /// Whether the last look left stops that nothing announces again.
    has_more: bool,
}

/// What is done with a thread that stops.
enum Gate {
    /// Nothing is traced.
    Open,
    /// Calls are examined.
    Closed(Box<Closed>),
    /// Each thread that stops is let go.
    Opening,
}

struct Closed {
    close: Close,
    files: Files,
    watch: Watch,
    next: u64,
    /// The commit that was let through and has not shown its row yet.
    passing: Option<u64>,
    faults: u32,
    state: State,
    /// Whether chatctl has been told the state.
    told: bool,
}

/// A thread that is traced.
#[derive(Default)]
struct Traced {
    /// Whether it has stopped once, so that each of its calls is seen.
    attached: bool,
    inside: Option<Call>,
    /// The error that the call it is in ends with, in place of being made.
    failing: Option<Errno>,
    held: Option<Held>,
}

#[derive(Debug, Clone, Copy)]
struct Held {
    what: HeldAt,
    since: Tick,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum HeldAt {
    Commit(u64),
    Answer(u64),
    Sleep,
}

impl Server {
    /// It was just started, and is not traced.
    pub fn new(root: Pid) -> Self {
        Self {
            root,
            threads: BTreeMap::new(),
            gate: Gate::Open,
            ended: None,
            has_more: false,
        }
    }

    /// Its exit code, once it has ended; 1 when a signal ended it.
    pub fn ended(&self) -> Option<i32> {
        self.ended
    }

    /// How long the next look may be put off while no thread stops: what is held has its time, and a thread
    /// that sleeps takes the lock as soon as it is free. Stops and ends are announced.
    pub fn pause(&self) -> Duration {
        let sleeps = |traced: &Traced| traced.held.is_some_and(|held| held.what == HeldAt::Sleep);
        match self.gate {
            _ if self.has_more => Duration::ZERO,
            Gate::Open => Duration::from_millis(100),
            Gate::Closed(_) if !self.threads.values().any(sleeps) => Duration::from_millis(10),
            Gate::Closed(_) | Gate::Opening => Duration::from_millis(1),
        }
    }

    /// Does what chatctl asks.
    pub fn ask(&mut self, ask: Ask) -> Vec<TracerMessage> {
        match ask {
            Ask::Close(close) => match self.close(close) {
                Ok(told) => vec![told],
                Err(told) => {
                    self.open();
                    vec![told]
                }
            },
            Ask::Pass(id) => self.release(HeldAt::Commit(id)),
            Ask::Answer(id) => self.release(HeldAt::Answer(id)),
            Ask::Open => vec![self.open()],
        }
    }

    /// Handles the stops that are there. Tells what is new.
    pub fn look(&mut self) -> Vec<TracerMessage> {
        self.has_more = (0..STOPS_AT_ONCE).all(|_| self.one_stop());
        let Gate::Closed(closed) = &mut self.gate else {
            return Vec::new();
        };
        let now = clock::now();
        let max_hold = closed.close.max_hold;
        // One that sleeps waits for the lock of another thread, which is bounded itself; SQLite does not count
        // the time.
        let too_long =
            |held: Held| held.what != HeldAt::Sleep && now.saturating_sub(held.since) > max_hold;
        if self
            .threads
            .values()
            .filter_map(|thread| thread.held)
            .any(too_long)
        {
            return vec![self.open_after(1)];
        }
        self.wake_sleepers(now);
        self.news()
    }

    fn news(&mut self) -> Vec<TracerMessage> {
        let Gate::Closed(closed) = &mut self.gate else {
            return Vec::new();
        };
        let waiting: Vec<_> = self
            .threads
            .iter()
            .filter(|(_, traced)| traced.held.is_some_and(|held| held.what == HeldAt::Sleep))
            .map(|(thread, _)| *thread)
            .collect();
        if closed.state.waiting != waiting {
            closed.state.waiting = waiting;
            closed.told = false;
        }
        if std::mem::replace(&mut closed.told, true) {
            return Vec::new();
        }
        vec![TracerMessage::State(closed.state.clone())]
    }

    /// Traces every thread, and waits until each has stopped once.
    fn close(&mut self, close: Close) -> Result<TracerMessage, TracerMessage> {
        let files = Files::of(&close.database).map_err(|error| {
            TracerMessage::Failed(format!("`{}`: {error}", close.database.display()))
        })?;
        self.gate = Gate::Closed(Box::new(Closed {
            watch: Watch::new(close.order == Order::SecondFirst),
            files,
            next: 1,
            passing: None,
            faults: 0,
            state: State::default(),
            told: true,
            close,
        }));
        let deadline = clock::now() + ALL_TRACED;
        // A thread that is made by one that is not traced yet shows at the next look.
        loop {
            let new = self.seize_new().map_err(TracerMessage::Failed)?;
            self.until_attached(deadline)?;
            if new == 0 {
                break;
            }
        }
        Ok(TracerMessage::Closed {
            at: clock::now(),
            threads: self.threads.len(),
        })
    }

    fn seize_new(&mut self) -> Result<usize, String> {
        let options = Options::PTRACE_O_TRACESYSGOOD
            | Options::PTRACE_O_TRACECLONE
            | Options::PTRACE_O_TRACEFORK
            | Options::PTRACE_O_TRACEVFORK
            | Options::PTRACE_O_TRACEEXEC;
        let mut new = 0;
        // Also what has lost its parent: it is a child of this process then.
        let below = processes::below(std::process::id()).into_iter();
        for thread in below.flat_map(processes::threads) {
            if self.threads.contains_key(&thread) {
                continue;
            }
            let pid = pid(thread);
            match ptrace::seize(pid, options) {
                Ok(()) => {
                    // A thread that ended meanwhile is heard of by its end.
                    let _ = ptrace::interrupt(pid);
                    self.threads.insert(thread, Traced::default());
                    new += 1;
                }
                // One that has ended, and that its parent has not asked for, makes no more calls.
                Err(Errno::ESRCH) => {}
                Err(Errno::EPERM) if processes::has_ended(thread) => {}
                Err(error) => {
                    return Err(format!(
                        "thread {thread} of the server can't be traced: {error}"
                    ));
                }
            }
        }
        Ok(new)
    }

    fn until_attached(&mut self, deadline: Tick) -> Result<(), TracerMessage> {
        loop {
            let mut threads = self.threads.iter();
            let Some((&thread, _)) = threads.find(|(_, traced)| !traced.attached) else {
                return Ok(());
            };
            if clock::now() >= deadline {
                return Err(TracerMessage::Late(format!(
                    "thread {thread} ({}) of the server does not stop",
                    name_of(thread)
                )));
            }
            if !self.one_stop() {
                std::thread::sleep(LOOK);
            }
        }
    }

    /// Handles one stop. False when there is none.
    fn one_stop(&mut self) -> bool {
        let all = WaitPidFlag::__WALL | WaitPidFlag::WNOHANG;
        match waitpid(None, Some(all)) {
            Ok(WaitStatus::PtraceSyscall(pid)) => self.at_call(pid),
            Ok(WaitStatus::PtraceEvent(pid, signal, event)) => self.at_event(pid, signal, event),
            Ok(WaitStatus::Stopped(pid, signal)) => self.resume(pid, Some(signal)),
            Ok(WaitStatus::Exited(pid, code)) => self.gone(pid, code),
            Ok(WaitStatus::Signaled(pid, _, _)) => self.gone(pid, 1),
            Ok(WaitStatus::Continued(_)) => {}
            Ok(WaitStatus::StillAlive) | Err(Errno::ECHILD) => return false,
            // A stop by a real-time signal, which has no name here: it can't be passed on.
            Err(_) => self.resume_unnamed(),
        }
        true
    }

    /// Lets threads continue that are stopped and held by nobody.
    fn resume_unnamed(&mut self) {
        let free: Vec<_> = self
            .threads
            .iter()
            .filter(|(_, traced)| traced.held.is_none())
            .map(|(thread, _)| *thread)
            .collect();
        for thread in free {
            // One that runs refuses, and is none of ours to move.
            let _ = ptrace::syscall(pid(thread), None);
        }
    }

    fn gone(&mut self, pid: Pid, code: i32) {
        let thread = number(pid);
        if let (Some(traced), Gate::Closed(closed)) = (self.threads.remove(&thread), &mut self.gate)
        {
            closed.watch.ended(thread);
            closed.forget(traced.held);
        }
        if pid == self.root {
            self.ended = Some(code);
        }
    }

    fn at_event(&mut self, pid: Pid, signal: Signal, event: i32) {
        match event {
            libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK => {
                // One that was short may have been heard of, and its end too, before its maker is.
                if let Ok(new) = ptrace::getevent(pid)
                    && let Ok(new) = Thread::try_from(new)
                    && !processes::has_ended(new)
                {
                    self.threads.entry(new).or_default();
                }
            }
            libc::PTRACE_EVENT_EXEC => {
                // The thread that runs on has the number of its process.
                if let Ok(former) = ptrace::getevent(pid)
                    && let Ok(former) = Thread::try_from(former)
                    && former != number(pid)
                {
                    self.threads.remove(&former);
                }
            }
            _ => {
                let traced = self.threads.entry(number(pid)).or_default();
                traced.attached = true;
                // What it was in is made again, and seen then.
                traced.inside = None;
                // A job-control stop has another signal, and is not this program's to end; a
                // thread that is held back by it is let go when the gate opens.
                let _ = signal;
            }
        }
        self.resume(pid, None);
    }

    /// Lets a thread continue to its next call, or for good.
    fn resume(&mut self, pid: Pid, signal: Option<Signal>) {
        let gone = match self.gate {
            Gate::Closed(_) => ptrace::syscall(pid, signal).is_err(),
            Gate::Open | Gate::Opening => {
                let _ = ptrace::detach(pid, signal);
                true
            }
        };
        if gone {
            self.threads.remove(&number(pid));
        }
    }

    /// A thread enters or leaves a call.
    fn at_call(&mut self, pid: Pid) {
        let thread = number(pid);
        let traced = self.threads.entry(thread).or_default();
        traced.attached = true;
        let (Gate::Closed(closed), Ok(registers)) = (&mut self.gate, Registers::of(pid)) else {
            return self.resume(pid, None);
        };
        let enters = match registers.is_entry() {
            _ if traced.failing.is_some() => false,
            Some(enters) => enters,
            None => traced.inside.is_none(),
        };
        let goes_on = if enters {
            closed.enters(traced, thread, registers)
        } else {
            closed.leaves(traced, thread, registers)
        };
        if goes_on {
            self.resume(pid, None);
        }
    }

    /// Lets go of the thread that is held there.
    fn release(&mut self, at: HeldAt) -> Vec<TracerMessage> {
        let Gate::Closed(closed) = &mut self.gate else {
            return vec![TracerMessage::Failed("the gate is open".to_owned())];
        };
        let found = self
            .threads
            .iter_mut()
            .find(|(_, traced)| traced.held.is_some_and(|held| held.what == at));
        let Some((&thread, traced)) = found else {
            return vec![TracerMessage::Failed("it no longer waits".to_owned())];
        };
        closed.forget(traced.held.take());
        match at {
            HeldAt::Commit(id) => {
                closed.watch.lets_through(thread);
                closed.passing = Some(id);
            }
            HeldAt::Answer(_) | HeldAt::Sleep => closed.watch.gives_up(thread),
        }
        self.resume(pid(thread), None);
        self.wake_sleepers(clock::now());
        self.news()
    }

    /// Lets those continue that wait for a lock which nobody has any more.
    fn wake_sleepers(&mut self, now: Tick) {
        let Gate::Closed(closed) = &mut self.gate else {
            return;
        };
        let mut awake = Vec::new();
        for (thread, traced) in &mut self.threads {
            let sleeps = traced.held.is_some_and(|held| held.what == HeldAt::Sleep);
            if sleeps && !closed.watch.yields(*thread, now) && closed.watch.is_free() {
                traced.held = None;
                awake.push(*thread);
            }
        }
        for thread in awake {
            self.resume(pid(thread), None);
        }
    }

    /// Lets go of every thread.
    pub fn let_go(&mut self) {
        self.open();
    }

    fn open(&mut self) -> TracerMessage {
        self.open_after(0)
    }

    /// The same, after so many holds that were too long.
    fn open_after(&mut self, expired: u32) -> TracerMessage {
        let faults = match std::mem::replace(&mut self.gate, Gate::Opening) {
            Gate::Closed(closed) => closed.faults,
            Gate::Open | Gate::Opening => 0,
        };
        let threads: Vec<_> = self
            .threads
            .iter()
            .map(|(thread, traced)| (*thread, traced.held))
            .collect();
        for (thread, held) in threads {
            if held.is_some() {
                self.resume(pid(thread), None);
            } else {
                let _ = ptrace::interrupt(pid(thread));
            }
        }
        let deadline = clock::now() + ALL_LET_GO;
        while !self.threads.is_empty() && clock::now() < deadline {
            if !self.one_stop() {
                std::thread::sleep(LOOK);
            }
        }
        // One that did not stop is let go when it does.
        if self.threads.is_empty() {
            self.gate = Gate::Open;
        }
        TracerMessage::Open {
            at: clock::now(),
            expired,
            faults,
        }
    }
}

impl Closed {
    /// A thread enters a call. Whether it continues.
    fn enters(&mut self, traced: &mut Traced, thread: Thread, registers: Registers) -> bool {
        let call = self
            .files
            .call(pid(thread), &registers, self.close.nonce.as_bytes());
        traced.inside = Some(call);
        let now = clock::now();
        match self.watch.enters(thread, call, now + self.close.patience) {
            Entry::Go => true,
            Entry::Refuse => {
                if registers.skip(pid(thread)) {
                    traced.failing = Some(Errno::EAGAIN);
                }
                true
            }
            Entry::HoldSleep => {
                traced.hold(HeldAt::Sleep, now);
                false
            }
            Entry::HoldAnswer => {
                self.answered(traced, now);
                false
            }
            Entry::HoldCommit => self.commits(traced, thread, registers, now),
        }
    }

    fn commits(
        &mut self,
        traced: &mut Traced,
        thread: Thread,
        registers: Registers,
        now: Tick,
    ) -> bool {
        let carries = self.watch.carries(thread);
        if let Some(fault) = self.close.fault {
            let is_over = fault.lasts == Lasts::OneCommit && self.faults > 0;
            if carries && !is_over && registers.skip(pid(thread)) {
                self.faults += 1;
                traced.failing = Some(match fault.errno {
                    Ends::NoSpace => Errno::ENOSPC,
                    Ends::Io => Errno::EIO,
                });
            }
            return true;
        }
        let id = self.next;
        self.next += 1;
        traced.hold(HeldAt::Commit(id), now);
        self.state.commits.push(Commit {
            id,
            thread,
            name: name_of(thread),
            what: self.files.shown(traced.inside),
            carries,
            since: now,
        });
        self.told = false;
        false
    }

    /// A thread leaves a call. Whether it continues.
    fn leaves(&mut self, traced: &mut Traced, thread: Thread, registers: Registers) -> bool {
        let call = traced.inside.take().unwrap_or(Call::Other);
        let failed = traced.failing.take();
        if let Some(error) = failed {
            // A thread that is gone can't be told, and needn't be.
            let _ = registers.fail(pid(thread), error);
        }
        let succeeded = failed.is_none() && registers.result() >= 0;
        match self.watch.leaves(thread, call, succeeded) {
            Exit::Go => true,
            Exit::HoldAnswer => {
                self.answered(traced, clock::now());
                false
            }
        }
    }

    fn answered(&mut self, traced: &mut Traced, at: Tick) {
        // Only the commit that was let through last can be answered: there is one write lock.
        let id = self.passing.take().unwrap_or(0);
        traced.hold(HeldAt::Answer(id), at);
        self.state.answered = Some(Answered { id, at });
        self.told = false;
    }

    /// What was held is held no longer.
    fn forget(&mut self, held: Option<Held>) {
        match held.map(|held| held.what) {
            Some(HeldAt::Commit(id)) => self.state.commits.retain(|commit| commit.id != id),
            Some(HeldAt::Answer(_)) => self.state.answered = None,
            Some(HeldAt::Sleep) | None => return,
        }
        self.told = false;
    }
}

impl Traced {
    fn hold(&mut self, what: HeldAt, since: Tick) {
        self.held = Some(Held { what, since });
    }
}

fn pid(thread: Thread) -> Pid {
    Pid::from_raw(thread.cast_signed())
}

fn number(pid: Pid) -> Thread {
    pid.as_raw().cast_unsigned()
}

/// What the kernel calls a thread: its program's name, unless the program has named it.
fn name_of(thread: Thread) -> String {
    let name = std::fs::read_to_string(format!("/proc/{thread}/comm")).unwrap_or_default();
    name.trim_end().to_owned()
}
