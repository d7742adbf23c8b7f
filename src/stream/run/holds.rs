//! How long a trial may withhold commits.

use crate::clock::Tick;
use std::time::Duration;

/// How long a trial holds the gate.
#[derive(Clone, Copy)]
pub(super) struct Holds {
    /// One hold.
    pub(super) hold: Duration,
    /// The shortest hold that shows something of this server: for where several have to fit.
    pub(super) least: Duration,
    /// The longest that the gate may stay closed in one piece.
    pub(super) longest: Duration,
    /// All holds of a trial together: servers give up waiting for a lock.
    pub(super) budget: Duration,
}

impl Holds {
    /// A hold that so many commits can be withheld for, one after the other, before the first of them, which
    /// came then, has to be let through.
    pub(super) fn that_fits(self, first: Tick, from: Tick, count: usize) -> Duration {
        let count = u32::try_from(count.max(1)).unwrap_or(u32::MAX);
        let room = (first + self.longest).saturating_sub(from) / count;
        room.clamp(self.least, self.hold)
    }
}

#[cfg(test)]
mod tests {
    use super::Holds;
    use std::time::Duration;

    #[test]
    fn holds_of_several_commits_fit_before_the_first_has_to_go() {
        let s = Duration::from_secs_f64;
        let holds = Holds {
            hold: s(5.0),
            least: s(1.0),
            longest: s(8.0),
            budget: s(12.0),
        };
        for (first, from, count, fits) in [
            (3.0, 3.0, 1, 5.0),
            (3.0, 3.0, 2, 4.0),
            // The first of two has waited for one hold.
            (3.0, 7.0, 1, 4.0),
            // No room is left for what shows something.
            (3.0, 10.5, 1, 1.0),
            (3.0, 99.0, 2, 1.0),
        ] {
            assert_eq!(holds.that_fits(s(first), s(from), count), s(fits));
        }
    }
}
