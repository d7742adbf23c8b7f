//! The system-call gate: a thread of the server that is about to commit to SQLite is stopped at
//! the call that commits, and then before it learns that it has.
//!
//! The helper that started the server traces it; this side asks. Linux only.

use super::commits::{
    Carries, CommitFault, CommitGate, CommitOutcome, Elsewhere, Hold, Passed, Stage, Traffic,
    Withheld,
};
use super::{Fails, How, Kind};
use crate::clock;
use crate::clock::Tick;
use crate::db::Tried;
use crate::http::{Server, Tracing};
use crate::model::Engine;
use crate::trace::wire::{Ask, Close, Errno, Fault, Lasts, Order, State, TracerMessage};
use anyhow::Context as _;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::{mpsc, watch};

pub(super) const KIND: Kind = Kind {
    name: "syscalls",
    engines: &[Engine::Sqlite],
    what: "the server's commits, each at its system call, in the thread that makes it",
    how: How::SystemCalls,
    fault: Fails::AtCommit,
    sweep: None,
};

/// Much longer than the helper takes to trace every thread and, where one does not stop, to let go
/// of all: a busy machine may not run the helper for seconds. One that is gone is known at once.
const ANSWER_WAIT: Duration = Duration::from_secs(30);
/// How long a server may have a thread that does not stop, such as one that waits for a busy disk.
const ALL_STOP: Duration = Duration::from_secs(30);
/// Between two tries to trace every thread.
const AGAIN: Duration = Duration::from_millis(200);

/// A gate at the system calls of a server that chatctl has started.
pub struct Syscalls {
    asks: mpsc::UnboundedSender<Ask>,
    answers: mpsc::UnboundedReceiver<TracerMessage>,
    state: watch::Receiver<State>,
    changes: watch::Receiver<u64>,
    database: PathBuf,
    max_hold: Duration,
    closed: bool,
    expired: u32,
    faults: u32,
}

impl Syscalls {
    /// On a server and the file of its database. Nothing is held yet.
    ///
    /// # Errors
    /// When another gate traces this server already.
    pub fn new(server: &mut Server, database: PathBuf, max_hold: Duration) -> anyhow::Result<Self> {
        let tracing = server
            .tracing()
            .context("the server's system calls are traced already")?;
        let (asks, to_ask) = mpsc::unbounded_channel();
        let (answered, answers) = mpsc::unbounded_channel();
        let (state_in, state) = watch::channel(State::default());
        let (changed, changes) = watch::channel(0);
        // Ends when this side or the helper is gone.
        tokio::spawn(talk(tracing, to_ask, answered, state_in, changed));
        Ok(Self {
            asks,
            answers,
            state,
            changes,
            database,
            max_hold,
            closed: false,
            expired: 0,
            faults: 0,
        })
    }

    async fn start(&mut self, hold: Hold<'_>, fault: Option<Fault>) -> anyhow::Result<Tick> {
        // What an earlier hold still told is of no use.
        while self.answers.try_recv().is_ok() {}
        (self.expired, self.faults) = (0, 0);
        let close = Close {
            database: self.database.clone(),
            nonce: hold.nonce.to_owned(),
            order: hold.order,
            patience: hold.patience,
            max_hold: self.max_hold,
            fault,
        };
        self.closed = true;
        let deadline = clock::now() + ALL_STOP;
        loop {
            match self.asked(Ask::Close(close.clone())).await? {
                TracerMessage::Closed { at, .. } => return Ok(at),
                TracerMessage::Late(_) if clock::now() < deadline => {
                    tokio::time::sleep(AGAIN).await;
                }
                TracerMessage::Late(why) | TracerMessage::Failed(why) => anyhow::bail!("{why}"),
                other => anyhow::bail!("the helper that traces the server said {other:?}"),
            }
        }
    }

    async fn asked(&mut self, ask: Ask) -> anyhow::Result<TracerMessage> {
        self.asks
            .send(ask)
            .ok()
            .context("the helper that traces the server is gone")?;
        self.answer_of_helper().await
    }

    async fn answer_of_helper(&mut self) -> anyhow::Result<TracerMessage> {
        tokio::time::timeout(ANSWER_WAIT, self.answers.recv())
            .await
            .context("the helper that traces the server does not answer")?
            .context("the helper that traces the server is gone")
    }

    /// Waits until the state is as wanted, or the gate opened by itself.
    async fn until(&mut self, mut wanted: impl FnMut(&State) -> bool) -> anyhow::Result<bool> {
        let mut state = self.state.clone();
        tokio::select! {
            came = state.wait_for(|state| wanted(state)) => {
                came.context("the helper that traces the server is gone")?;
                Ok(true)
            }
            told = self.answers.recv() => match told {
                Some(TracerMessage::Open { expired, faults, .. }) => {
                    (self.closed, self.expired, self.faults) = (false, expired, faults);
                    Ok(false)
                }
                Some(TracerMessage::Failed(why)) => anyhow::bail!("{why}"),
                _ => anyhow::bail!("the helper that traces the server is gone"),
            },
        }
    }
}

impl Drop for Syscalls {
    fn drop(&mut self) {
        // Sent before the task is ended: it sends what it has.
        let _ = self.asks.send(Ask::Open);
    }
}

/// Carries asks to the helper and what it tells back: states to whoever looks, the rest as answers.
async fn talk(
    mut tracing: Tracing,
    mut to_ask: mpsc::UnboundedReceiver<Ask>,
    answered: mpsc::UnboundedSender<TracerMessage>,
    state: watch::Sender<State>,
    changed: watch::Sender<u64>,
) {
    loop {
        tokio::select! {
            ask = to_ask.recv() => match ask {
                Some(ask) => tracing.ask(ask),
                None => break,
            },
            told = tracing.next_message() => match told {
                Some(TracerMessage::State(new)) => {
                    state.send_replace(new);
                    changed.send_modify(|count| *count += 1);
                }
                Some(told) => {
                    if matches!(told, TracerMessage::Open { .. } | TracerMessage::Closed { .. }) {
                        state.send_replace(State::default());
                    }
                    if answered.send(told).is_err() {
                        break;
                    }
                    changed.send_modify(|count| *count += 1);
                }
                None => break,
            },
        }
    }
}

impl CommitGate for Syscalls {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn close<'a>(&'a mut self, hold: Hold<'a>) -> Tried<'a, Tick> {
        Box::pin(self.start(hold, None))
    }

    fn can_quiet(&self) -> bool {
        false
    }

    fn look_for<'a>(&'a mut self, _text: &'a str) -> Tried<'a, ()> {
        Box::pin(async { Ok(()) })
    }

    fn traffic(&mut self) -> Tried<'_, Option<Traffic>> {
        // An open gate traces nothing, so it sees nothing.
        Box::pin(async { Ok(None) })
    }

    fn changes(&self) -> watch::Receiver<u64> {
        self.changes.clone()
    }

    fn withheld(&mut self) -> Tried<'_, Vec<Withheld>> {
        Box::pin(async {
            let state = self.state.borrow();
            let commits = state.commits.iter();
            let withheld = commits.map(|commit| Withheld {
                id: commit.id,
                by: match commit.name.as_str() {
                    "" => format!("thread {}", commit.thread),
                    name => format!("thread {} ({name})", commit.thread),
                },
                stage: Stage::Commit,
                what: commit.what.clone(),
                statements: Vec::new(),
                carries: if commit.carries {
                    Carries::Answer
                } else {
                    Carries::Other
                },
                since: commit.since,
            });
            Ok(withheld.collect())
        })
    }

    fn waiting_in_store(&mut self) -> Tried<'_, Vec<String>> {
        Box::pin(async {
            let state = self.state.borrow();
            let waiting = state.waiting.iter();
            Ok(waiting.map(|thread| format!("thread {thread}")).collect())
        })
    }

    fn pass(&mut self, id: u64) -> Tried<'_, Passed> {
        Box::pin(async move {
            let let_through = clock::now();
            self.asks
                .send(Ask::Pass(id))
                .ok()
                .context("the helper that traces the server is gone")?;
            let longest = self.max_hold;
            let held = self.until(|state| state.answered.is_some_and(|answered| answered.id == id));
            // A server that never gives its lock back must not be waited for.
            let held = tokio::time::timeout(longest, held)
                .await
                .unwrap_or(Ok(false))?;
            let answered = self.state.borrow().answered;
            Ok(Passed {
                let_through,
                answered: answered.map_or_else(clock::now, |answered| answered.at),
                outcome: if held {
                    CommitOutcome::Done
                } else {
                    CommitOutcome::Lost
                },
            })
        })
    }

    fn answer(&mut self, id: u64) -> Tried<'_, Tick> {
        Box::pin(async move {
            // Right before: on a busy machine the server may act upon it before this side is told.
            let at = clock::now();
            self.asks
                .send(Ask::Answer(id))
                .ok()
                .context("the helper that traces the server is gone")?;
            self.until(|state| state.answered.is_none()).await?;
            Ok(at)
        })
    }

    fn can(&self, fault: CommitFault) -> bool {
        errno(fault).is_some()
    }

    fn arm<'a>(&'a mut self, nonce: &'a str, fault: CommitFault, lasts: Lasts) -> Tried<'a, Tick> {
        let hold = Hold {
            nonce,
            order: Order::Arrival,
            patience: Duration::ZERO,
            elsewhere: Elsewhere::Flows,
        };
        Box::pin(async move {
            let errno = errno(fault).context("this gate can't make a commit fail in this way")?;
            self.start(hold, Some(Fault { errno, lasts })).await
        })
    }

    fn expired(&self) -> u32 {
        self.expired
    }

    fn faults_done(&self) -> u32 {
        self.faults
    }

    fn sever(&mut self) -> Tried<'_, ()> {
        // A thread that was stopped at the call that commits ended there, and the helper with the server.
        self.closed = false;
        Box::pin(async { Ok(()) })
    }

    fn open(&mut self) -> Tried<'_, Tick> {
        Box::pin(async move {
            if !std::mem::take(&mut self.closed) {
                return Ok(clock::now());
            }
            let mut told = self.asked(Ask::Open).await?;
            loop {
                match told {
                    TracerMessage::Open {
                        at,
                        expired,
                        faults,
                    } => {
                        self.expired += expired;
                        self.faults += faults;
                        return Ok(at);
                    }
                    // An answer to what was asked before.
                    TracerMessage::Late(_)
                    | TracerMessage::Failed(_)
                    | TracerMessage::Closed { .. } => {
                        told = self.answer_of_helper().await?;
                    }
                    other => anyhow::bail!("the helper that traces the server said {other:?}"),
                }
            }
        })
    }
}

/// What the system call of a commit ends with; none for what only a wire can do.
fn errno(fault: CommitFault) -> Option<Errno> {
    match fault {
        CommitFault::DiskFull => Some(Errno::NoSpace),
        CommitFault::IoError => Some(Errno::Io),
        CommitFault::CommitError
        | CommitFault::LostBefore
        | CommitFault::LostAfter
        | CommitFault::Slow
        | CommitFault::DatabaseGone
        | CommitFault::TooManyConnections => None,
    }
}
