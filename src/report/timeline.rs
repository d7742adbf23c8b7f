//! What happened in a trial, in order, on one clock.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// chatctl in the browser's place.
    Client,
    /// chatctl in the provider's place.
    Gateway,
    /// The store and the gate on it.
    Store,
    /// The server under test and its output.
    Server,
}

impl Lane {
    /// The word used in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Gateway => "gateway",
            Self::Store => "store",
            Self::Server => "server",
        }
    }
}

/// What was done to a commit of the server, for a program to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitMoment {
    /// What was done to it.
    pub event: CommitEvent,
    /// Whose it is: the connection, or the thread.
    pub by: String,
    /// The server's own statement, or system call, that commits.
    pub commit: String,
    /// The statements of its transaction since the gate closed, shortened.
    pub statements: Vec<String>,
    /// Whether the transaction carries the answer.
    pub carries_answer: bool,
    /// Which one it was that was let through, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// For how long it, or its answer, was withheld before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld_ms: Option<u64>,
    /// Who else waited, at the gate or in the database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Whether the answer's row is complete afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_complete: Option<bool>,
}

/// Where a client ended a turn, for a program to read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMoment {
    /// How: `fin`, `rst`, `half-close`, `stall` or `stop`.
    pub by: String,
    /// At which point of the answer.
    pub point: String,
    /// How many bytes of the response's body it had received.
    pub received_bytes: usize,
}

/// What is done to a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitEvent {
    /// It came to the gate, and is withheld.
    Withheld,
    /// It was let through, and its answer is withheld.
    LetThrough,
    /// The server was given the answer.
    AnswerGiven,
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Since the start of the trial, or since the time from which the timeline counts.
    pub at: Duration,
    /// Who did it.
    pub lane: Lane,
    /// What, in a few words.
    pub what: String,
    /// The same of a commit, for a program to read.
    pub commit: Option<CommitMoment>,
    /// The same of a client that ends a turn.
    pub client: Option<ClientMoment>,
}

/// The moments of one trial, sorted by time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    moments: Vec<Moment>,
    from: Option<SystemTime>,
}

impl Timeline {
    /// A timeline of days and hours, which is shown by the clock.
    pub fn by_the_clock(from: SystemTime) -> Self {
        Self {
            moments: Vec::new(),
            from: Some(from),
        }
    }

    /// Whether it is shown by the clock.
    pub fn is_by_the_clock(&self) -> bool {
        self.from.is_some()
    }

    /// When a moment was by the clock; nothing where only the time since the start matters.
    pub fn time_of(&self, moment: &Moment) -> Option<SystemTime> {
        self.from.and_then(|from| from.checked_add(moment.at))
    }

    /// Adds a moment at its place; moments at the same time keep the order they came in.
    pub fn add(&mut self, at: Duration, lane: Lane, what: impl Into<String>) {
        let what = what.into();
        self.insert(Moment {
            at,
            lane,
            what,
            commit: None,
            client: None,
        });
    }

    /// Adds what was done to a commit.
    pub fn add_commit(&mut self, at: Duration, what: impl Into<String>, commit: CommitMoment) {
        self.insert(Moment {
            at,
            lane: Lane::Store,
            what: what.into(),
            commit: Some(commit),
            client: None,
        });
    }

    /// Adds where a client ended a turn.
    pub fn add_client(&mut self, at: Duration, what: impl Into<String>, client: ClientMoment) {
        self.insert(Moment {
            at,
            lane: Lane::Client,
            what: what.into(),
            commit: None,
            client: Some(client),
        });
    }

    fn insert(&mut self, moment: Moment) {
        let place = self.moments.partition_point(|it| it.at <= moment.at);
        self.moments.insert(place, moment);
    }

    /// Hands out what every moment says.
    pub(super) fn each_text(&mut self, change: &mut impl FnMut(&mut String)) {
        for moment in &mut self.moments {
            change(&mut moment.what);
            if let Some(commit) = &mut moment.commit {
                change(&mut commit.commit);
                commit.statements.iter_mut().for_each(&mut *change);
            }
        }
    }

    /// The moments, earliest first.
    pub fn moments(&self) -> &[Moment] {
        &self.moments
    }
}

#[cfg(test)]
mod tests {
    use super::{Duration, Lane, Timeline};

    #[test]
    fn moments_are_sorted_by_time() {
        let mut timeline = Timeline::default();
        timeline.add(Duration::from_millis(9), Lane::Store, "late");
        timeline.add(Duration::from_millis(3), Lane::Client, "early");
        let order: Vec<_> = timeline.moments().iter().map(|m| m.what.as_str()).collect();
        assert_eq!(order, ["early", "late"]);
    }
}
