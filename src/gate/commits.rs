//! What gates have in common that withhold the server's own commits, one by one, and then the
//! answer to each.
//!
//! Such a gate blocks nobody else and has no lock to close in time: between "the commit is
//! withheld" and "the commit is done, and the server does not know it yet" lies one step of
//! chatctl, not a race.

use crate::clock::Tick;
use crate::db::Tried;
pub use crate::trace::wire::{Lasts, Order};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use tokio::sync::watch;

/// A gate that withholds commits. Dropping it opens it.
pub trait CommitGate: Send {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Withholds every commit of the server from now on.
    fn close<'a>(&'a mut self, hold: Hold<'a>) -> Tried<'a, Tick>;

    /// Whether it can withhold what the store says to others: [`Elsewhere::Waits`].
    fn can_quiet(&self) -> bool;

    /// Looks for a text in what the server writes from now on, whether the gate is closed or not.
    fn look_for<'a>(&'a mut self, text: &'a str) -> Tried<'a, ()>;

    /// What came through the gate; none where an open gate sees nothing.
    fn traffic(&mut self) -> Tried<'_, Option<Traffic>>;

    /// Changes whenever a commit comes to the gate, passes it, or is answered.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The commits that wait now, in the order in which they came.
    fn withheld(&mut self) -> Tried<'_, Vec<Withheld>>;

    /// Writers that are not at the gate and may be on their way to it: they wait in the store, for
    /// a lock of a transaction whose commit is withheld. Each as a person is told of it.
    fn waiting_in_store(&mut self) -> Tried<'_, Vec<String>>;

    /// Lets one commit through and withholds its answer. Returns when the store has answered.
    fn pass(&mut self, id: u64) -> Tried<'_, Passed>;

    /// Gives the server the answer to a commit that was let through. Tells the time right before.
    fn answer(&mut self, id: u64) -> Tried<'_, Tick>;

    /// Whether it can make a commit fail in this way.
    fn can(&self, fault: CommitFault) -> bool;

    /// Does this to the commit that carries the nonce, at the longest until the gate is opened. Holds
    /// back nothing else.
    fn arm<'a>(&'a mut self, nonce: &'a str, fault: CommitFault, lasts: Lasts) -> Tried<'a, Tick>;

    /// How many commits, or answers, were let through because they had been withheld for as long as
    /// allowed. To be asked after the gate was opened.
    fn expired(&self) -> u32;

    /// How many commits met the fault as it was meant. To be asked after the gate was opened.
    fn faults_done(&self) -> u32;

    /// Lets everything through. Opening an open gate does nothing.
    fn open(&mut self) -> Tried<'_, Tick>;

    /// The server was killed: what it had sent, and is withheld, never comes to the store. Then the gate
    /// is open.
    fn sever(&mut self) -> Tried<'_, ()>;
}

/// What came through a gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Traffic {
    /// How many connections.
    pub connections: u64,
    /// Whether one of them carried the text that is searched for.
    pub carried: bool,
    /// Why the last connection broke that did not end in order.
    pub broken: Option<String>,
    /// How many statements the server cancelled while they were withheld, since the gate was closed.
    #[serde(default)]
    pub cancelled: u32,
}

/// How commits are withheld.
#[derive(Debug, Clone, Copy)]
pub struct Hold<'a> {
    /// A transaction that writes this text is the answer's own.
    pub nonce: &'a str,
    /// Which of several writers goes first, where the gate can choose.
    pub order: Order,
    /// How long a writer that lets another one pass waits for it to come.
    pub patience: Duration,
    /// What happens to everything else that the store says while the answer to a commit is withheld.
    pub elsewhere: Elsewhere,
}

/// What the store says to others while the answer to a commit is withheld.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Elsewhere {
    /// It comes through: only the one that commits waits.
    Flows,
    /// It waits too. A server may learn of its commit from a notification, or by looking for the row over
    /// another connection.
    Waits,
}

/// A commit that waits at the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Withheld {
    /// Names it at this gate, and no other.
    pub id: u64,
    /// Who commits: the connection or the thread, as a person reads it.
    pub by: String,
    /// What is withheld of its transaction.
    pub stage: Stage,
    /// The statement or system call that is withheld.
    pub what: String,
    /// The statements of its transaction since the gate closed, shortened.
    pub statements: Vec<String>,
    /// Whether it writes the nonce.
    pub carries: Carries,
    /// When it came to the gate.
    pub since: Tick,
}

/// What is withheld of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// Its first write, so that another writer can go first: [`Order::SecondFirst`].
    Write,
    /// A lock that keeps others from reading what is stored. It commits nothing.
    Lock,
    /// Its commit.
    Commit,
}

/// Whether a transaction writes the nonce, and so the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Carries {
    /// The nonce was not seen in it.
    Other,
    /// The nonce was seen in it, or could not be looked for.
    Answer,
}

/// What became of a commit that was let through.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Passed {
    /// When the gate let it through.
    pub let_through: Tick,
    /// When the store's answer was there, and was withheld.
    pub answered: Tick,
    /// What the store said.
    pub outcome: CommitOutcome,
}

/// What the store said of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitOutcome {
    /// It is done.
    Done,
    /// It failed, with the store's words.
    Failed(String),
    /// The connection ended before there was an answer.
    Lost,
}

/// What can be done to the very commit that carries the answer, without any right in the store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitFault {
    /// The transaction is rolled back, and the commit is answered with an error
    CommitError,
    /// The connection breaks before the commit reaches the database: nothing is committed
    LostBefore,
    /// The connection breaks after the commit and before the reply: the server can't know
    LostAfter,
    /// The commit takes 3 seconds
    Slow,
    /// Every connection breaks, and new ones break too, for 3 seconds
    DatabaseGone,
    /// The connection breaks, and for 3 seconds new ones are refused as too many
    TooManyConnections,
    /// SQLite's commit fails once: no space is left on the device
    DiskFull,
    /// SQLite's commit fails once: the device reports an error
    IoError,
}

impl CommitFault {
    /// How long a slow commit takes.
    pub const SLOW: Duration = Duration::from_secs(3);

    /// Its name, as a person types it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::CommitError => "commit-error",
            Self::LostBefore => "lost-before",
            Self::LostAfter => "lost-after",
            Self::Slow => "slow",
            Self::DatabaseGone => "database-gone",
            Self::TooManyConnections => "too-many-connections",
            Self::DiskFull => "disk-full",
            Self::IoError => "io-error",
        }
    }

    /// How long it lasts where it really happens.
    pub const fn lasts(self) -> Lasts {
        match self {
            Self::CommitError
            | Self::LostBefore
            | Self::LostAfter
            | Self::Slow
            | Self::DiskFull
            | Self::IoError => Lasts::OneCommit,
            Self::DatabaseGone | Self::TooManyConnections => Lasts::UntilOpened,
        }
    }

    /// Where it is made.
    pub const fn place(self) -> FaultPlace {
        match self {
            Self::CommitError
            | Self::LostBefore
            | Self::LostAfter
            | Self::Slow
            | Self::DatabaseGone
            | Self::TooManyConnections => FaultPlace::Wire,
            Self::DiskFull | Self::IoError => FaultPlace::SystemCall,
        }
    }
}

/// Where a commit can be made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultPlace {
    /// On the wire to a database server.
    Wire,
    /// At the system call of a server that writes a file.
    SystemCall,
}
