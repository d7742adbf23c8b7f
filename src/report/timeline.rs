//! What happened in a trial, in order, on one clock.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime};

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Lane {
    /// chatctl in the role of the browser.
    Client,
    /// chatctl in the role of the provider.
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

/// An event of a commit of the server, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitMoment {
    pub event: CommitEvent,
    /// Its origin: the connection, or the thread.
    pub by: String,
    /// The server's own statement, or system call, that commits.
    pub commit: String,
    /// The statements of its transaction since the gate closed, shortened.
    pub statements: Vec<String>,
    /// Whether the transaction carries the answer.
    pub carries_answer: bool,
    /// Its number among the released commits, from 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub step: Option<usize>,
    /// How long it, or the reply to it, was withheld before this.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub withheld_ms: Option<u64>,
    /// Who else waited, at the gate or in the database.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Whether the answer's row is complete afterwards.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub row_complete: Option<bool>,
}

/// Where a client ended a turn, for programs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientMoment {
    /// How: `fin`, `rst`, `half-close`, `stall` or `stop`.
    pub by: String,
    /// At which point of the answer.
    pub point: String,
    /// How many bytes of the response's body it had received.
    pub received_bytes: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CommitEvent {
    /// It arrived at the gate, and is withheld.
    Withheld,
    /// It was released, and the reply to it is withheld.
    LetThrough,
    /// The reply was released to the server.
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
    /// The same about a commit, for programs.
    pub commit: Option<CommitMoment>,
    /// The same about a client that ends a turn.
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

    /// The wall-clock time of a moment; `None` if only the time since the start matters.
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

    /// Adds an event of a commit.
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

    /// Visits the text of every moment.
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
