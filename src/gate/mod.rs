//! Gates: what keeps the server's commits back while it is closed.
//!
//! The strongest ones withhold the server's own commits, one by one, and then the answer to each:
//! on the wire to its database ([`Proxy`]), or at its system calls ([`Syscalls`]). Where neither
//! can be used, a [`Gate`] locks the store. A lock that is wrong makes a proof wrong, so another
//! connection verifies that it is closed before it is believed.
//!
//! A gate never outlives the process nor its `--max-hold`, and never waits for the server without
//! a deadline.

mod begin_immediate;
mod commits;
mod fault;
pub mod holder;
mod ofd;
mod proxy;
mod raw_locks;
mod syscalls;

use crate::clock::Tick;
use crate::db::{Db, Tried};
use crate::model::Engine;
use std::time::Duration;
use tokio::sync::watch;

pub use commits::{
    Carries, CommitFault, CommitGate, CommitOutcome, Hold, Order, Passed, Stage, Traffic, Withheld,
};
pub use fault::{Fault, ON_PURPOSE};
pub use proxy::{Listen, Proxy};
pub use syscalls::Syscalls;

/// A gate on one store. Dropping it opens it.
pub trait Gate: Send {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Closes the gate and verifies from another connection that it is closed.
    fn close(&mut self) -> Tried<'_, Closed>;

    /// What waits at the closed gate.
    fn waiting(&mut self) -> Tried<'_, Waiting>;

    /// Lets exactly one waiting write through and closes again. Stops waiting for a
    /// writer to appear once `seen` turns true: the final marker is there.
    fn step(&mut self, seen: watch::Receiver<bool>) -> Tried<'_, Step>;

    /// Opens the gate. Opening an open gate does nothing.
    fn open(&mut self) -> Tried<'_, Tick>;
}

/// The answer to closing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Closed and verified.
    Held {
        /// When it closed.
        at: Tick,
        /// What a second connection was told.
        verified: String,
    },
    /// A write transaction was open all the while, so that the gate could not be closed.
    WriterInTheWay,
}

/// What waits at a closed gate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waiting {
    /// This gate can't see who waits.
    Unobservable,
    /// Nobody waits.
    Nobody,
    /// A commit waits; nothing can be committed, and reading would wait too.
    Commit,
}

/// One step: the gate opened, something passed, the gate closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When it opened.
    pub opened: Tick,
    /// When it was closed again.
    pub closed: Tick,
    /// How many transactions were committed meanwhile; absent when this gate can't count.
    pub writes: Option<u32>,
    /// How long after opening the writer appeared; absent when none did.
    pub writer_after: Option<Duration>,
}

/// What a gate needs to know.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// The longest that the gate may stay closed in one hold.
    pub max_hold: Duration,
}

/// A row of the table.
pub struct Kind {
    /// What `--gate` takes.
    pub name: &'static str,
    /// The engines it works on.
    pub engines: &'static [Engine],
    /// What it holds back, in words for the person whose store it is.
    pub what: &'static str,
    /// How it holds commits back.
    pub how: How,
}

/// How a gate holds commits back.
pub enum How {
    /// On the wire: chatctl listens in front of the database, and the server connects there.
    Wire,
    /// At the system calls of a server that chatctl starts.
    SystemCalls,
    /// By a lock on the store. An error says why it can't be used here.
    Lock(for<'a> fn(&'a dyn Db, Limits) -> Tried<'a, Box<dyn Gate>>),
}

/// Every gate, strongest first.
pub static ALL: &[Kind] = &[
    proxy::KIND,
    syscalls::KIND,
    raw_locks::KIND,
    begin_immediate::KIND,
];

/// A gate that is ready to be closed.
pub enum AnyGate {
    /// It withholds commits, and then their answers.
    Commits(Box<dyn CommitGate>),
    /// It locks the store.
    Lock(Box<dyn Gate>),
}

impl AnyGate {
    /// Its row in the table.
    pub fn kind(&self) -> &'static Kind {
        let name = match self {
            Self::Commits(gate) => gate.name(),
            Self::Lock(gate) => gate.name(),
        };
        let kind = ALL.iter().find(|kind| kind.name == name);
        kind.expect("every gate has a row")
    }
}

/// The gates that work on an engine, strongest first; only the one of that name, where one is given.
pub fn on(engine: Engine, name: Option<&str>) -> impl Iterator<Item = &'static Kind> {
    ALL.iter().filter(move |kind| {
        kind.engines.contains(&engine) && name.is_none_or(|name| name == kind.name)
    })
}
