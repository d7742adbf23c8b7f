//! What gates have in common that withhold the server's own commits, one by one, and then the
//! answer to each.
//!
//! Such a gate blocks nobody else and has no lock to close in time: between "the commit is
//! withheld" and "the commit is done, and the server does not know it yet" lies one step of
//! chatctl, not a race.

use crate::clock::Tick;
use crate::db::Tried;
use crate::trace::wire::Order;
use std::time::Duration;
use tokio::sync::watch;

/// A gate that withholds commits. Dropping it opens it.
pub trait CommitGate: Send {
    /// Its name in the table.
    fn name(&self) -> &'static str;

    /// Withholds every commit of the server from now on.
    fn close<'a>(&'a mut self, hold: Hold<'a>) -> Tried<'a, Tick>;

    /// Changes whenever a commit comes to the gate, passes it, or is answered.
    fn changes(&self) -> watch::Receiver<u64>;

    /// The commits that wait now, in the order in which they came.
    fn withheld(&mut self) -> Tried<'_, Vec<Withheld>>;

    /// Writers that are not at the gate and may be on their way to it: they wait in the store, for
    /// a lock of a transaction whose commit is withheld. Each as a person is told of it.
    fn waiting_in_store(&mut self) -> Tried<'_, Vec<String>>;

    /// Lets one commit through and withholds its answer. Returns when the store has answered.
    fn pass(&mut self, id: u64) -> Tried<'_, Passed>;

    /// Gives the server the answer to a commit that was let through.
    fn answer(&mut self, id: u64) -> Tried<'_, Tick>;

    /// Lets everything through. Opening an open gate does nothing.
    fn open(&mut self) -> Tried<'_, Tick>;
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
}

/// A commit that waits at the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Withheld {
    /// Names it at this gate, and no other.
    pub id: u64,
    /// Who commits: the number of the connection, or of the thread.
    pub connection: u64,
    /// The statement or system call that is withheld.
    pub what: String,
    /// The statements of its transaction since the gate closed, shortened.
    pub statements: Vec<String>,
    /// Whether it writes the nonce.
    pub carries: Carries,
    /// When it came to the gate.
    pub since: Tick,
}

/// Whether a transaction writes the nonce, and so the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Carries {
    /// The nonce was not seen in it.
    Other,
    /// The nonce was seen in it, or could not be looked for.
    Answer,
}

/// What became of a commit that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    /// When the gate let it through.
    pub let_through: Tick,
    /// When the store's answer was there, and was withheld.
    pub answered: Tick,
    /// What the store said.
    pub outcome: CommitOutcome,
}

/// What the store said of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CommitOutcome {
    /// It is done.
    Done,
    /// It failed, with the store's words.
    Failed(String),
    /// The connection ended before there was an answer.
    Lost,
}
