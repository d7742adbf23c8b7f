//! The commits that wait at the proxy: which arrived, which may pass, whose reply may be released.
//!
//! Connections ask for a [`Passage`] before they forward what may commit; [`super::Proxy`]
//! decides. Nothing here reads a wire.

use super::connection::{Cancelled, Connection};
use crate::clock;
use crate::clock::Tick;
use crate::gate::commits::{
    Carries, CommitFault, CommitOutcome, Elsewhere, Hold, Lasts, Passed, Stage, Withheld,
};
use crate::trace::wire::Order;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::sync::{oneshot, watch};

/// A statement that takes longer than this may wait for a lock.
const BLOCKED: Duration = Duration::from_millis(50);
/// How long connections may take to break.
const ALL_BROKEN: Duration = Duration::from_secs(5);
/// The interval between two checks for one that has not.
const ASK: Duration = Duration::from_millis(2);

/// All commits at one proxy.
pub(super) struct Queue {
    /// Whether commits are withheld; the same as in the state, readable without the lock.
    closed: AtomicBool,
    state: Mutex<State>,
    changes: watch::Sender<u64>,
    /// Turns true when every connection must break.
    gone: watch::Sender<bool>,
    /// The longest that one message may be withheld.
    max_hold: Duration,
}

#[derive(Default)]
struct State {
    nonce: Option<Arc<[u8]>>,
    next: u64,
    waiting: BTreeMap<u64, Waiting>,
    connections: u64,
    /// The open ones, by number.
    open: BTreeMap<u64, Arc<Connection>>,
    carriers: Vec<u64>,
    /// Whether a text that was searched for was ever seen: then it is known which transaction is
    /// the answer's.
    sees: bool,
    /// Whether the last connection that let others pass was the answer's writer.
    prefers_answer: bool,
    /// Whose first write is withheld: the connection that writes first.
    lets_pass: Option<LetsPass>,
    expired: u32,
    /// How many the server cancelled while they were withheld.
    cancelled: u32,
    /// The database's messages to others while a reply is withheld; absent while the gate is open.
    elsewhere: Option<Elsewhere>,
    fault: Option<Armed>,
    faults_done: u32,
    broken: Option<String>,
}

impl State {
    /// Whether a commit was released but the reply to it was not, and everything else waits with
    /// it.
    fn is_quiet(&self) -> bool {
        self.elsewhere == Some(Elsewhere::Waits)
            && self
                .waiting
                .values()
                .any(|waiting| match (&waiting.phase, waiting.commit.stage) {
                    (Phase::LetThrough(_) | Phase::Answer(..), Stage::Commit) => true,
                    (Phase::LetThrough(_) | Phase::Answer(..), Stage::Write | Stage::Lock)
                    | (Phase::Commit(_), _) => false,
                })
    }
}

/// A fault that waits for its commit.
#[derive(Clone, Copy)]
struct Armed {
    fault: CommitFault,
    lasts: Lasts,
    /// Whether a commit has met it.
    met: bool,
}

/// Which connection lets another one go first.
#[derive(Clone, Copy, PartialEq, Eq)]
enum LetsPass {
    /// The next writer of the answer: others may wait in the store for its locks, and then they
    /// would not arrive.
    Answer,
    /// The next writer.
    Next,
    /// This one has.
    Done,
}

/// Removes an ended connection from the list.
pub(super) struct Connected {
    connection: Arc<Connection>,
    queue: Arc<Queue>,
}

impl std::ops::Deref for Connected {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.queue.state().open.remove(&self.connection.number);
    }
}

struct Waiting {
    connection: u64,
    commit: Withheld,
    phase: Phase,
}

enum Phase {
    /// The message is withheld.
    Commit(oneshot::Sender<()>),
    /// It was released, and the reply has not arrived.
    LetThrough(Tick),
    /// The reply to it is withheld.
    Answer(Passed, oneshot::Sender<()>),
}

/// A message that a connection asks to forward.
pub(super) struct Commit {
    /// Whether it commits, or only writes.
    pub(super) stage: Stage,
    /// The statement that commits.
    pub(super) what: String,
    /// The statements of its transaction, shortened.
    pub(super) statements: Vec<String>,
    /// Whether the nonce was seen in it.
    pub(super) carries: Carries,
}

/// The decision for a connection that asks.
pub(super) enum Passage {
    /// Forward it; nobody looks.
    Free,
    /// Forward it, and withhold the reply until the ticket allows it.
    Step(Ticket),
    /// Do this instead of forwarding it.
    Fault(CommitFault),
    /// The server cancelled it meanwhile: answer as the database does then.
    Cancelled,
}

impl Queue {
    pub(super) fn new(max_hold: Duration) -> Self {
        Self {
            closed: AtomicBool::new(false),
            state: Mutex::default(),
            changes: watch::Sender::new(0),
            gone: watch::Sender::new(false),
            max_hold,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nobody panics with the lock held")
    }

    fn changed(&self) {
        self.changes.send_modify(|count| *count += 1);
    }

    /// Whether commits are withheld, or one must fail: only then messages must be read.
    pub(super) fn reads(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// A new connection of the server.
    pub(super) fn connected(self: &Arc<Self>) -> Connected {
        let mut state = self.state();
        state.connections += 1;
        let connection = Arc::new(Connection::new(state.connections));
        state
            .open
            .insert(connection.number, Arc::clone(&connection));
        drop(state);
        Connected {
            connection,
            queue: Arc::clone(self),
        }
    }

    /// The server asks to cancel the statement of a connection. False where it is not withheld: then the
    /// database decides.
    pub(super) fn cancel(&self, key: u64) -> bool {
        let state = self.state();
        let mut open = state.open.values();
        let named = open.find(|connection| connection.is_known_by(key));
        named.is_some_and(|connection| connection.cancel())
    }

    /// Connections that have waited for a reply longer than an unblocked statement takes, and
    /// whose commit is not withheld.
    pub(super) fn blocked(&self) -> Vec<u64> {
        let state = self.state();
        let at_gate = |number: u64| {
            let mut waiting = state.waiting.values();
            waiting.any(|waiting| waiting.connection == number)
        };
        let open = state.open.values();
        open.filter(|connection| connection.busy_for().is_some_and(|busy| busy >= BLOCKED))
            .map(|connection| connection.number)
            .filter(|number| !at_gate(*number))
            .collect()
    }

    /// The number of connections so far.
    pub(super) fn connections(&self) -> u64 {
        self.state().connections
    }

    /// The text that is searched for in what the server writes: while the gate is open only until
    /// it was seen once.
    pub(super) fn nonce(&self) -> Option<Arc<[u8]>> {
        let state = self.state();
        if self.reads() || state.carriers.is_empty() {
            state.nonce.clone()
        } else {
            None
        }
    }

    /// A connection has carried the nonce.
    pub(super) fn carried(&self, connection: u64) {
        let mut state = self.state();
        state.carriers.push(connection);
        state.sees = true;
    }

    /// The connections that carried the nonce since it was set.
    pub(super) fn carriers(&self) -> Vec<u64> {
        self.state().carriers.clone()
    }

    /// Searches for a text in the server's writes from now on.
    pub(super) fn look_for(&self, nonce: &str) {
        let mut state = self.state();
        state.nonce = Some(nonce.as_bytes().into());
        state.carriers.clear();
    }

    /// Withholds commits from now on.
    pub(super) fn close(&self, hold: Hold<'_>) -> Tick {
        self.look_for(hold.nonce);
        let mut state = self.state();
        state.expired = 0;
        state.cancelled = 0;
        state.elsewhere = Some(hold.elsewhere);
        state.lets_pass = match hold.order {
            Order::Arrival => None,
            // A connection whose first write is not the answer's may hold locks that the others
            // need, so the two take turns.
            Order::SecondFirst => {
                state.prefers_answer = state.sees && !state.prefers_answer;
                Some(if state.prefers_answer {
                    LetsPass::Answer
                } else {
                    LetsPass::Next
                })
            }
        };
        drop(state);
        self.closed.store(true, Ordering::Release);
        clock::now()
    }

    /// Makes the commit that carries the nonce fail.
    pub(super) fn arm(&self, nonce: &str, fault: CommitFault, lasts: Lasts) -> Tick {
        self.look_for(nonce);
        let mut state = self.state();
        state.fault = Some(Armed {
            fault,
            lasts,
            met: false,
        });
        state.faults_done = 0;
        state.lets_pass = None;
        drop(state);
        self.closed.store(true, Ordering::Release);
        clock::now()
    }

    /// A connection ended with an error.
    pub(super) fn broke(&self, why: String) {
        self.state().broken = Some(why);
    }

    /// The error of the last connection that did not end normally.
    pub(super) fn broken(&self) -> Option<String> {
        self.state().broken.clone()
    }

    /// Waits until every connection must break.
    pub(super) async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        // The sender lives as long as the queue.
        let _ = gone.wait_for(|gone| *gone).await;
    }

    /// Breaks every connection, with its withheld messages, and waits until none is left.
    ///
    /// # Errors
    /// When one does not end.
    pub(super) async fn sever(&self) -> anyhow::Result<()> {
        self.gone.send_replace(true);
        let deadline = clock::now() + ALL_BROKEN;
        while !self.state().open.is_empty() {
            anyhow::ensure!(
                clock::now() < deadline,
                "a connection of the server that was killed does not end"
            );
            tokio::time::sleep(ASK).await;
        }
        Ok(())
    }

    /// The fault for new connections.
    pub(super) fn refuses(&self) -> Option<CommitFault> {
        let met = self.state().fault.filter(|armed| armed.met)?;
        match met.fault {
            CommitFault::DatabaseGone | CommitFault::TooManyConnections => Some(met.fault),
            CommitFault::CommitError
            | CommitFault::LostBefore
            | CommitFault::LostAfter
            | CommitFault::Slow
            | CommitFault::DiskFull
            | CommitFault::IoError => None,
        }
    }

    /// A commit met the fault as intended.
    pub(super) fn fault_done(&self) {
        self.state().faults_done += 1;
    }

    /// How many commits were made to fail since a fault was armed.
    pub(super) fn faults_done(&self) -> u32 {
        self.state().faults_done
    }

    /// How many commits were released because they had been withheld for too long.
    pub(super) fn expired(&self) -> u32 {
        self.state().expired
    }

    /// How many statements the server cancelled while they were withheld.
    pub(super) fn cancelled(&self) -> u32 {
        self.state().cancelled
    }

    /// Releases everything, commits and replies.
    pub(super) fn open(&self) -> Tick {
        self.closed.store(false, Ordering::Release);
        let mut state = self.state();
        state.fault = None;
        state.elsewhere = None;
        self.gone.send_replace(false);
        // Dropping the senders wakes them all.
        state.waiting.clear();
        drop(state);
        self.changed();
        clock::now()
    }

    pub(super) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The waiting messages, in order of arrival.
    pub(super) fn withheld(&self) -> Vec<Withheld> {
        let state = self.state();
        let waiting = state.waiting.values();
        waiting
            .filter(|waiting| matches!(waiting.phase, Phase::Commit(_)))
            .map(|waiting| waiting.commit.clone())
            .collect()
    }

    /// Releases one commit, and waits until the reply to it is withheld.
    pub(super) async fn pass(&self, id: u64) -> anyhow::Result<Passed> {
        let let_through = clock::now();
        {
            let mut state = self.state();
            let waiting = state.waiting.get_mut(&id).context("it no longer waits")?;
            let phase = std::mem::replace(&mut waiting.phase, Phase::LetThrough(let_through));
            let Phase::Commit(go) = phase else {
                anyhow::bail!("it was let through already");
            };
            // One whose connection broke just now is gone at the next check.
            let _ = go.send(());
        }
        self.changed();
        let mut changes = self.changes();
        loop {
            changes.borrow_and_update();
            match self.state().waiting.get(&id).map(|waiting| &waiting.phase) {
                Some(Phase::Answer(passed, _)) => return Ok(passed.clone()),
                Some(Phase::LetThrough(_)) => {}
                Some(Phase::Commit(_)) | None => {
                    return Ok(Passed {
                        let_through,
                        answered: clock::now(),
                        outcome: CommitOutcome::Lost,
                    });
                }
            }
            changes
                .changed()
                .await
                .context("the proxy is gone while a commit is in progress")?;
        }
    }

    /// Releases the reply to a released commit. Returns the time right before: on a busy machine
    /// the server may act on it before this thread continues.
    pub(super) fn answer(&self, id: u64) -> Tick {
        let at = clock::now();
        if let Some(Waiting {
            phase: Phase::Answer(_, give),
            ..
        }) = self.state().waiting.remove(&id)
        {
            let _ = give.send(());
        }
        self.changed();
        at
    }

    /// Waits while no message of the database may reach the server: while the reply to a commit is
    /// withheld, and the others wait with it.
    pub(super) async fn may_speak(&self) {
        // Checked without the lock.
        if !self.reads() {
            return;
        }
        let mut changes = self.changes();
        let spoken = async {
            loop {
                changes.borrow_and_update();
                if !self.state().is_quiet() {
                    return;
                }
                // The sender lives as long as the queue.
                let _ = changes.changed().await;
            }
        };
        if tokio::time::timeout(self.max_hold, spoken).await.is_err() {
            self.state().expired += 1;
        }
    }

    /// Asks for a connection whether it may forward a commit. Waits while the gate is closed.
    pub(super) async fn ask(self: &Arc<Self>, connection: &Connection, commit: Commit) -> Passage {
        let (go, passed) = oneshot::channel();
        let ticket = {
            let mut state = self.state();
            // Checked with the lock held: `open` empties the queue with it.
            if !self.reads() {
                return Passage::Free;
            }
            if commit.stage == Stage::Write {
                match state.lets_pass {
                    Some(LetsPass::Next) => {}
                    Some(LetsPass::Answer) if commit.carries == Carries::Answer => {}
                    Some(LetsPass::Answer | LetsPass::Done) | None => return Passage::Free,
                }
                state.lets_pass = Some(LetsPass::Done);
            }
            if let Some(armed) = &mut state.fault {
                let is_over = armed.met && armed.lasts == Lasts::OneCommit;
                if commit.carries == Carries::Other || is_over {
                    return Passage::Free;
                }
                armed.met = true;
                let fault = armed.fault;
                if fault == CommitFault::DatabaseGone {
                    self.gone.send_replace(true);
                }
                return Passage::Fault(fault);
            }
            state.next += 1;
            let id = state.next;
            let connection = connection.number;
            let commit = Withheld {
                id,
                by: format!("connection {connection}"),
                stage: commit.stage,
                what: commit.what,
                statements: commit.statements,
                carries: commit.carries,
                since: clock::now(),
            };
            let phase = Phase::Commit(go);
            let waiting = Waiting {
                connection,
                commit,
                phase,
            };
            state.waiting.insert(id, waiting);
            Ticket {
                queue: Arc::clone(self),
                id,
            }
        };
        self.changed();
        let passed = tokio::time::timeout(self.max_hold, passed);
        match connection.withheld(passed).await {
            Err(Cancelled) => {
                self.state().cancelled += 1;
                Passage::Cancelled
            }
            Ok(Ok(Ok(()))) => Passage::Step(ticket),
            // The gate was opened.
            Ok(Ok(Err(_))) => Passage::Free,
            Ok(Err(_)) => {
                self.state().expired += 1;
                Passage::Free
            }
        }
    }
}

/// A commit at the gate. Dropping it removes it from the queue: its connection ended.
pub(super) struct Ticket {
    queue: Arc<Queue>,
    id: u64,
}

impl Ticket {
    /// The store's reply has arrived. Waits until it may be released.
    pub(super) async fn answered(self, outcome: CommitOutcome) {
        let (give, given) = oneshot::channel();
        {
            let mut state = self.queue.state();
            let Some(waiting) = state.waiting.get_mut(&self.id) else {
                // The gate was opened meanwhile.
                return;
            };
            let Phase::LetThrough(let_through) = waiting.phase else {
                return;
            };
            let passed = Passed {
                let_through,
                answered: clock::now(),
                outcome,
            };
            waiting.phase = Phase::Answer(passed, give);
        }
        self.queue.changed();
        // An error means that the gate was opened; a deadline releases the reply, too.
        let given = tokio::time::timeout(self.queue.max_hold, given).await;
        if given.is_err() {
            self.queue.state().expired += 1;
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if self.queue.state().waiting.remove(&self.id).is_some() {
            self.queue.changed();
        }
    }
}
