//! The messages of the two processes, one line of JSON each.
//!
//! The gate begins with a [`Greeting`]. Each [`Request`] of the controller gets one [`Said::Answer`] with
//! its number; in between the gate says [`Said::Changed`] when there is something new to look at.

use crate::clock::Tick;
use crate::gate::commits::{CommitFault, Elsewhere, Lasts, Order, Passed, Traffic, Withheld};
use crate::gate::proxy::Listen;
use crate::model::Engine;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The version of what is said. A gate and a controller of different versions don't work together.
pub(super) const VERSION: u32 = 2;
/// The longest line, in bytes: commits carry shortened statements.
pub(super) const LONGEST_LINE: u64 = 4 << 20;
/// How often a controller shows that it is there.
pub(super) const BEAT: Duration = Duration::from_millis(250);
/// How much longer than the longest hold it may give no sign of life.
pub(super) const GRACE: Duration = Duration::from_secs(2);

/// The gate's first line.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Greeting {
    /// It obeys from now on.
    Ready(About),
    /// It obeys somebody else.
    Busy {
        /// The version of the gate.
        version: u32,
    },
}

/// What a gate says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct About {
    /// The version of what is said.
    pub(super) version: u32,
    /// Where it listens as a database.
    pub(super) listen: Listen,
    /// The engine of the database behind it, by name.
    pub(super) engine: String,
    /// The longest that it withholds anything.
    pub(super) max_hold: Duration,
    /// Names the machine's start, where the system does: clocks of one start are one clock.
    pub(super) boot: Option<String>,
}

impl About {
    /// The engine of the database behind it, where this version knows it.
    pub(super) fn engine(&self) -> Option<Engine> {
        let mut all = Engine::ALL.iter().copied();
        all.find(|engine| engine.name() == self.engine)
    }
}

/// A line of the controller.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Request {
    pub(super) number: u64,
    pub(super) ask: Ask,
}

/// What the gate is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ask {
    /// What time it is there. Also shows that the controller is there.
    Time,
    /// Withhold every commit.
    Close {
        nonce: String,
        order: Order,
        patience: Duration,
        elsewhere: Elsewhere,
    },
    /// Look for a text in what the server writes.
    LookFor(String),
    /// What came through.
    Traffic,
    /// Which commits wait.
    Withheld,
    /// Who waits in the store.
    Waiting,
    /// Let one commit through, and withhold its answer.
    Pass(u64),
    /// Give the answer of a commit that was let through.
    Answer(u64),
    /// Do this to the commit that carries the nonce.
    Arm {
        nonce: String,
        fault: CommitFault,
        lasts: Lasts,
    },
    /// Let everything through.
    Open,
}

/// Any other line of the gate.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Said {
    /// The answer to the request with this number.
    Answer {
        /// Of the request.
        number: u64,
        answer: Answer,
    },
    /// A commit came to the gate, passed it, or was answered.
    Changed,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Answer {
    /// It is done, at this time of the gate's clock.
    At(Tick),
    Traffic(Option<Traffic>),
    Withheld(Vec<Withheld>),
    Waiting(Vec<String>),
    Passed(Passed),
    /// The gate is open.
    Open {
        at: Tick,
        expired: u32,
        faults_done: u32,
    },
    /// It could not be done.
    Failed(String),
}
