//! Gates: a lock that chatctl holds so that nothing can be committed while it is closed.
//!
//! A gate that is wrong makes a proof wrong, so every gate is verified to be closed by
//! another connection before it is believed. A gate never outlives the process nor its
//! `--max-hold`, and never waits for the server without a deadline.

mod begin_immediate;
mod commits;
mod fault;
pub mod holder;
mod ofd;
mod proxy;
mod raw_locks;
mod syscalls;

use crate::clock::Tick;
use crate::db::Db;
use crate::db::Target;
use crate::db::Tried;
use crate::stop::Stop;
use std::time::Duration;
use tokio::sync::watch;

pub use commits::Carries;
pub use commits::CommitGate;
pub use commits::CommitOutcome;
pub use commits::Hold;
pub use commits::Passed;
pub use commits::Withheld;
pub use fault::Fault;
pub use fault::ON_PURPOSE;
pub use proxy::Fault as ProxyFault;
pub use proxy::Listen;
pub use proxy::Proxy;
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
    /// The backend it works on.
    pub backend: &'static str,
    /// What it locks, in words for the person whose store it is.
    pub what: &'static str,
    /// Opens it; an error says why it can't be used here.
    pub open: for<'a> fn(&'a dyn Db, Limits) -> Tried<'a, Box<dyn Gate>>,
}

/// Every gate, strongest first.
pub static ALL: &[Kind] = &[raw_locks::KIND, begin_immediate::KIND];

/// Refuses a store on which no gate and no fault works, before anything is started.
pub fn works_on(target: &Target) -> Result<(), Stop> {
    if ALL.iter().any(|kind| kind.backend == target.backend()) {
        return Ok(());
    }
    Err(Stop::refused(format!(
        "no write can be held back on {}: no gate works on `{target}`",
        target.backend()
    ))
    .hint("use --proof observe, which needs no lock and proves less"))
}

/// Opens the gate of that name, or the strongest that works on this store.
/// Also gives the reasons why stronger ones were passed over.
pub async fn open(
    name: Option<&str>,
    db: &dyn Db,
    limits: Limits,
) -> anyhow::Result<(Box<dyn Gate>, Vec<String>)> {
    let backend = db.target().backend();
    let mut passed_over = Vec::new();
    let fitting = ALL
        .iter()
        .filter(|kind| kind.backend == backend && name.is_none_or(|name| name == kind.name));
    for kind in fitting {
        match (kind.open)(db, limits).await {
            Ok(gate) => return Ok((gate, passed_over)),
            Err(error) if error.downcast_ref::<Stop>().is_some() => return Err(error),
            Err(error) => passed_over.push(format!("{}: {error:#}", kind.name)),
        }
    }
    let why = match passed_over.is_empty() {
        true => format!("no gate of that name works on {backend}"),
        false => passed_over.join("; "),
    };
    Err(
        Stop::unreachable(format!("no gate can be held on `{}`: {why}", db.target()))
            .hint("use --proof observe, which needs no lock and proves less")
            .into(),
    )
}
