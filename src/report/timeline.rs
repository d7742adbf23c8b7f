//! What happened in a trial, in order, on one clock.

use serde::Serialize;
use std::time::{Duration, SystemTime};

/// Who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
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

/// One thing that happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// Since the start of the trial, or since the time from which the timeline counts.
    pub at: Duration,
    /// Who did it.
    pub lane: Lane,
    /// What, in a few words.
    pub what: String,
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
        let place = self.moments.partition_point(|moment| moment.at <= at);
        let what = what.into();
        self.moments.insert(place, Moment { at, lane, what });
    }

    /// Hands out what every moment says.
    pub(super) fn each_text(&mut self, change: &mut impl FnMut(&mut String)) {
        self.moments
            .iter_mut()
            .for_each(|moment| change(&mut moment.what));
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
