//! Gates: withhold the server's commits while they are closed.
//!
//! The strongest ones withhold the server's own commits, one by one, and then the reply to each:
//! on the wire to its database ([`Proxy`]), or at its system calls ([`Syscalls`]). Where neither
//! can be used, a [`Gate`] locks the store. A wrong lock makes a wrong proof, so another
//! connection first verifies that the lock holds.
//!
//! A gate never outlives the process nor its `--max-hold`, and never waits for the server without
//! a deadline.

pub mod alarm;
mod begin_immediate;
mod commits;
mod constraint_trigger;
mod control;
mod fault;
pub mod holder;
mod ofd;
mod proxy;
mod raw_locks;
mod syscalls;
mod table_lock;
mod turnstile;

use crate::clock::Tick;
use crate::db::{Db, Tried};
use crate::model::Engine;
use anyhow::Context as _;
use std::time::Duration;
use tokio::sync::watch;

pub use commits::{
    Carries, CommitFault, CommitGate, CommitOutcome, Elsewhere, FaultPlace, Hold, Lasts, Order,
    Passed, Stage, Traffic, Withheld,
};
pub use control::{Control, ControlAddress, RemoteProxy};
pub use fault::{Fault, ON_PURPOSE, Triggers};
pub use proxy::{Listen, Proxy};
pub use syscalls::Syscalls;

/// A gate on one store. Dropping it opens it.
pub trait Gate: Send {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Closes the gate and verifies from another connection that it is closed.
    fn close(&mut self) -> Tried<'_, Closed>;

    /// Reports what waits at the closed gate.
    fn waiting(&mut self) -> Tried<'_, Waiting>;

    /// Lets exactly one waiting write through and closes again. Stops waiting for a
    /// writer to appear once `seen` turns true: the final marker is there.
    fn step(&mut self, seen: watch::Receiver<bool>) -> Tried<'_, Step>;

    /// Opens the gate. Opening an open gate does nothing.
    fn open(&mut self) -> Tried<'_, Tick>;

    /// Whether a trial with it can prove an order. The error says why not: then it only finds
    /// violations.
    fn proves(&self) -> Result<(), &'static str> {
        Ok(())
    }

    /// Opens it finally, and removes what it left in the store.
    fn end(&mut self) -> Tried<'_, ()> {
        Box::pin(async { self.open().await.map(|_| ()) })
    }
}

/// The result of closing a gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Closed {
    /// Closed and verified.
    Held {
        /// When it closed.
        at: Tick,
        /// The reply that a second connection got.
        verified: String,
    },
    /// A write transaction was open all the time, so the gate could not be closed.
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
    /// A writer waits, and the store can be read.
    Writer,
}

/// One step: the gate opened, a write passed, the gate closed.
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

/// What a lock gate locks.
#[derive(Clone, Copy)]
pub struct LockTarget<'a> {
    /// The store.
    pub db: &'a dyn Db,
    /// The longest that it may stay closed in one hold.
    pub max_hold: Duration,
    /// Where the answers are; absent where their texts can't be read.
    pub answers: Option<Answers<'a>>,
}

/// Where chatctl's answers are.
#[derive(Clone, Copy)]
pub struct Answers<'a> {
    pub table: &'a str,
    /// The column that holds their text.
    pub column: &'a str,
    /// A text that each of them contains, and no other text does.
    pub mark: &'a str,
}

impl<'a> LockTarget<'a> {
    fn answers(&self) -> anyhow::Result<Answers<'a>> {
        self.answers.context(
            "chatctl cannot read the store's texts, so it does not know the table of answers",
        )
    }
}

/// Takes out of a store what a run left there that was killed. Says what it was.
///
/// # Errors
/// If the store can't be written, or another process holds a lock.
pub async fn sweep(db: &dyn Db) -> anyhow::Result<Vec<String>> {
    let engine = db.target().engine();
    let mut swept = Vec::new();
    if let Some(triggers) = triggers(engine)
        && triggers.sweep(db).await?
    {
        swept.push("the triggers chatctl_fault_*".to_owned());
    }
    for sweep in on(engine, None).filter_map(|kind| kind.sweep) {
        swept.extend(sweep(db).await?);
    }
    Ok(swept)
}

/// A row of the table.
pub struct Kind {
    /// The value of `--gate`.
    pub name: &'static str,
    /// The engines it works on.
    pub engines: &'static [Engine],
    /// What it withholds, in words for the owner of the store.
    pub what: &'static str,
    /// How it withholds commits.
    pub how: How,
    /// How it makes a single save fail.
    pub fault: Fails,
    /// Removes what a gate of a killed run left in the store, and names it. `None` if the gate
    /// leaves nothing.
    pub sweep: Option<Sweep>,
}

/// Removes leftovers from a store.
pub type Sweep = for<'a> fn(&'a dyn Db) -> Tried<'a, Vec<String>>;

/// How to make a single save fail.
pub enum Fails {
    /// The gate makes its commit fail: [`CommitGate::arm`].
    AtCommit,
    /// Triggers in the store refuse its row.
    ByTriggers(&'static Triggers),
    /// This gate can't make it fail.
    Never,
}

/// How a gate withholds commits.
pub enum How {
    /// On the wire: chatctl listens in front of the database, and the server connects there.
    Wire,
    /// At the system calls of a server that chatctl starts.
    SystemCalls,
    /// By a lock on the store. The error says why it can't be used here.
    Lock(for<'a> fn(LockTarget<'a>) -> Tried<'a, Box<dyn Gate>>),
}

/// Every gate, strongest first.
pub static ALL: &[Kind] = &[
    proxy::KIND,
    syscalls::KIND,
    constraint_trigger::KIND,
    table_lock::KIND,
    raw_locks::KIND,
    begin_immediate::KIND,
];

/// A gate that is ready to be closed.
pub enum AnyGate {
    /// It withholds commits, and then the replies to them.
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

/// The gates that work on an engine, strongest first; if a name is given, only that one.
pub fn on(engine: Engine, name: Option<&str>) -> impl Iterator<Item = &'static Kind> {
    ALL.iter().filter(move |kind| {
        kind.engines.contains(&engine) && name.is_none_or(|name| name == kind.name)
    })
}

/// The triggers that make a save fail on an engine, if a gate has some.
pub fn triggers(engine: Engine) -> Option<&'static Triggers> {
    on(engine, None).find_map(|kind| match kind.fault {
        Fails::ByTriggers(triggers) => Some(triggers),
        Fails::AtCommit | Fails::Never => None,
    })
}

#[cfg(test)]
mod tests {
    use super::{ALL, Fails, How, on, triggers};
    use crate::model::Engine;

    #[test]
    fn every_engine_has_gates_the_strongest_first() {
        for (engine, names) in [
            (
                Engine::Sqlite,
                &["syscalls", "raw-locks", "begin-immediate"][..],
            ),
            (
                Engine::Postgres,
                &["proxy", "constraint-trigger", "table-lock"],
            ),
            (Engine::Mysql, &["proxy", "table-lock"]),
        ] {
            let found: Vec<_> = on(engine, None).map(|kind| kind.name).collect();
            assert_eq!(found, names, "{engine}");
        }
    }

    #[test]
    fn a_gate_is_found_by_its_name_where_it_works() {
        for kind in ALL {
            for engine in Engine::ALL {
                let found: Vec<_> = on(engine, Some(kind.name)).map(|it| it.name).collect();
                let works = kind.engines.contains(&engine);
                assert_eq!(found == [kind.name], works, "{} {engine}", kind.name);
                assert_eq!(found.is_empty(), !works, "{} {engine}", kind.name);
            }
        }
        assert_eq!(on(Engine::Sqlite, Some("none")).count(), 0);
    }

    /// A gate that withholds commits can make them fail. A lock can't, and triggers exist only for
    /// SQLite.
    #[test]
    fn a_save_fails_by_the_means_of_the_gate() {
        for kind in ALL {
            let at_commit = matches!(kind.fault, Fails::AtCommit);
            let is_lock = matches!(kind.how, How::Lock(_));
            assert_eq!(at_commit, !is_lock, "{}", kind.name);
        }
        assert!(triggers(Engine::Sqlite).is_some());
        assert!(triggers(Engine::Postgres).is_none() && triggers(Engine::Mysql).is_none());
    }
}
