//! The messages between chatctl and its helper: one line of JSON each.

use crate::clock::Tick;
use serde::{Deserialize, Serialize};
use std::path::PathBuf;
use std::time::Duration;

/// What the tracer is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Trace the server, and hold what commits to this database.
    Close(Close),
    /// Let one commit through, and hold its answer.
    Pass(u64),
    /// Give the answer of a commit that was let through.
    Answer(u64),
    /// Let everything through, and trace no more.
    Open,
}

/// How to close the gate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// The database's file.
    pub database: PathBuf,
    /// The text whose transaction is the answer's.
    pub nonce: String,
    /// Which of several writers goes first.
    pub order: Order,
    /// How long a writer is kept from its lock for another one to come.
    pub patience: Duration,
    /// The longest that anything may be held.
    pub max_hold: Duration,
    /// What happens at the commit that carries the nonce, in place of holding it.
    pub fault: Option<Fault>,
}

/// What a system call is made to end with, and how often.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// The error.
    pub errno: Errno,
    /// How often.
    pub lasts: Lasts,
}

/// How long a fault lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Lasts {
    /// For one commit: one that is tried again succeeds.
    OneCommit,
    /// Until the gate is opened.
    UntilOpened,
}

/// Which of several writers goes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Order {
    /// The first that comes.
    Arrival,
    /// The first that comes lets another one pass.
    SecondFirst,
}

/// An error that a system call is made to end with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Errno {
    /// `ENOSPC`: no space is left on the device.
    NoSpace,
    /// `EIO`: input or output failed.
    Io,
}

/// What the tracer tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TracerMessage {
    /// The server's process group, once it was started.
    Group(u32),
    /// Every thread of the server is traced.
    Closed {
        /// When.
        at: Tick,
        /// How many threads there are.
        threads: usize,
    },
    /// What is at the gate now.
    State(State),
    /// Nothing is traced any more.
    Open {
        /// When.
        at: Tick,
        /// How many holds ended because they were too long.
        expired: u32,
        /// How many calls were made to fail.
        faults: u32,
    },
    /// A thread did not stop in time, as one that waits for a busy disk. All were let go, and may
    /// be traced by another try.
    Late(String),
    /// It could not be done.
    Failed(String),
}

/// What is at the gate.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// Commits that are held.
    pub commits: Vec<Commit>,
    /// Threads that wait for a write lock, by number.
    pub waiting: Vec<u32>,
    /// The commit that was let through, once its row is visible and its answer is held.
    pub answered: Option<Answered>,
}

/// A commit that is held.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Commit {
    /// Names it, and no other.
    pub id: u64,
    /// The thread that commits.
    pub thread: u32,
    /// What the system calls that thread.
    pub name: String,
    /// The system call.
    pub what: String,
    /// Whether the nonce was seen in what it writes.
    pub carries: bool,
    /// When it came.
    pub since: Tick,
}

/// A commit whose answer is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answered {
    /// Which.
    pub id: u64,
    /// When its row was visible.
    pub at: Tick,
}
