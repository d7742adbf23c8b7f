//! The gate's clock, read on this side.
//!
//! Two processes of one machine share the kernel's clock. Those of two machines don't, and what is known
//! then is a difference with an error. A verdict asks whether the final marker came before a commit
//! was let through, or before its answer was given: the error is taken so that neither is ever
//! answered with yes by it.

use crate::clock::Tick;
use std::time::Duration;

/// How far the clocks of two machines may drift apart while a gate is closed: 100 µs a second.
const DRIFT: u32 = 10_000;

/// One question for the time.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    /// When it was asked, here.
    pub(super) asked: Tick,
    /// What the gate said.
    pub(super) there: Tick,
    /// When its answer was here.
    pub(super) answered: Tick,
}

/// How the gate's clock is read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Clock {
    /// It is this one.
    Same,
    /// It differs, in nanoseconds: that much is added to the gate's time.
    Other {
        difference: i128,
        error: Duration,
        since: Tick,
    },
}

impl Clock {
    /// What the questions tell; `same_boot` says whether both sides name the same start of a machine.
    pub(super) fn of(samples: &[Sample], same_boot: bool) -> Self {
        let span = |sample: &Sample| sample.answered.saturating_sub(sample.asked);
        let Some(best) = samples.iter().min_by_key(|sample| span(sample)) else {
            return Self::Same;
        };
        // A container may have a clock of its own even there.
        let is_between = |sample: &Sample| (sample.asked..=sample.answered).contains(&sample.there);
        if same_boot && samples.iter().all(is_between) {
            return Self::Same;
        }
        let middle = best.asked + span(best) / 2;
        Self::Other {
            difference: nanos(middle) - nanos(best.there),
            error: span(best) / 2,
            since: best.answered,
        }
    }

    /// A time of the gate, as likely too early as too late.
    pub(super) fn likely(self, there: Tick) -> Tick {
        match self {
            Self::Same => there,
            Self::Other { difference, .. } => moved(there, difference),
        }
    }

    /// A time of the gate, surely not too late.
    pub(super) fn earliest(self, there: Tick) -> Tick {
        self.likely(there).saturating_sub(self.error(there))
    }

    /// A time of the gate, surely not too early.
    pub(super) fn latest(self, there: Tick) -> Tick {
        self.likely(there) + self.error(there)
    }

    fn error(self, there: Tick) -> Duration {
        match self {
            Self::Same => Duration::ZERO,
            Self::Other { error, since, .. } => {
                error + self.likely(there).saturating_sub(since) / DRIFT
            }
        }
    }
}

fn nanos(tick: Tick) -> i128 {
    // A machine does not run for as long as this overflows.
    i128::try_from(tick.as_nanos()).unwrap_or(i128::MAX)
}

fn moved(there: Tick, difference: i128) -> Tick {
    let here = nanos(there) + difference;
    Duration::from_nanos(u64::try_from(here).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::{Clock, Sample};
    use std::time::Duration;

    fn sample(asked: u64, there: u64, answered: u64) -> Sample {
        let [asked, there, answered] = [asked, there, answered].map(Duration::from_micros);
        Sample {
            asked,
            there,
            answered,
        }
    }

    #[test]
    fn one_machine_has_one_clock() {
        let samples = [sample(100, 130, 200), sample(300, 301, 310)];
        assert_eq!(Clock::of(&samples, true), Clock::Same);
        let at = Duration::from_micros(500);
        assert_eq!((Clock::Same.earliest(at), Clock::Same.latest(at)), (at, at));
        // A clock of its own, on the same machine.
        let samples = [sample(100, 90, 200)];
        assert_ne!(Clock::of(&samples, true), Clock::Same);
    }

    #[test]
    fn the_true_time_lies_between_the_two() {
        // There it is 5 ms earlier; ways of 30 and 70 µs, and of 10 and 10.
        let samples = [
            sample(10_000, 5_030, 10_100),
            sample(20_000, 15_010, 20_020),
        ];
        let clock = Clock::of(&samples, false);
        let (there, here) = (Duration::from_micros(25_000), Duration::from_micros(30_000));
        assert_eq!(clock.likely(there), here);
        assert!(clock.earliest(there) < here && clock.latest(there) > here);
        // The best sample decides, and what the clocks may drift apart since.
        let width = clock.latest(there).saturating_sub(clock.earliest(there));
        let (least, most) = (Duration::from_micros(20), Duration::from_micros(24));
        assert!((least..most).contains(&width), "{width:?}");
    }
}
