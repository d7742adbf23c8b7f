//! How long after the final marker the server was killed. Pure.

use crate::stream::run::Acted;
use std::time::Duration;

/// A server that saves after the marker may have done so by then: such a round shows nothing.
const LATE: Duration = Duration::from_millis(5);

/// The time between the final marker and SIGKILL, at most.
#[derive(Debug, Clone, Copy)]
pub(super) struct Gap(Acted);

impl Gap {
    pub(super) fn new(acted: Acted) -> Self {
        Self(acted)
    }

    /// Whether it is too long to show anything.
    pub(super) fn is_late(self) -> bool {
        self.0.gap > LATE
    }

    pub(super) fn shorter(self, other: Self) -> Self {
        if self.0.gap <= other.0.gap {
            self
        } else {
            other
        }
    }

    /// In milliseconds.
    pub(super) fn ms(self) -> f64 {
        self.0.gap.as_secs_f64() * 1000.0
    }

    /// When SIGKILL came.
    pub(super) fn words(self) -> String {
        let after = if self.0.whole {
            "the marker"
        } else {
            "the marker was read (this system does not report how long it was unread)"
        };
        format!("killed {:.1} ms after {after}", self.ms())
    }

    /// Why nothing was shown.
    pub(super) fn too_late(self, tries: usize) -> String {
        format!(
            "in {tries} tries the server was {} at best, and a save that takes {} ms is not caught: run it on a \
                machine with less load",
            self.words(),
            LATE.as_millis()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::Gap;
    use crate::stream::run::Acted;
    use std::time::Duration;

    fn gap(micros: u64) -> Gap {
        Gap::new(Acted {
            at: Duration::ZERO,
            gap: Duration::from_micros(micros),
            whole: true,
        })
    }

    #[test]
    fn more_than_five_milliseconds_are_late() {
        assert!(!gap(5_000).is_late());
        assert!(gap(5_001).is_late());
        assert_eq!(gap(640).words(), "killed 0.6 ms after the marker");
        let told = gap(9_000).shorter(gap(7_300)).too_late(10);
        assert!(told.contains("7.3 ms after the marker at best"), "{told}");
    }
}
