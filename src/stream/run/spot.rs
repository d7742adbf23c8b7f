//! Acts as soon as the client sees the final marker, and measures the delay.

use crate::clock;
use crate::clock::Tick;
use std::time::Duration;
use tokio::sync::oneshot;

/// What is done at the final marker.
pub type Act = Box<dyn FnOnce() + Send>;

/// How it went.
#[derive(Debug, Clone, Copy)]
pub struct Acted {
    /// When it was done.
    pub at: Tick,
    /// How long after the marker came in, at most; without what the system does not tell.
    pub gap: Duration,
    /// Whether the time for which the marker lay unread is part of it.
    pub whole: bool,
}

/// An act that waits for the final marker, in the thread that reads the response.
pub(super) struct Spot {
    act: Act,
    told: oneshot::Sender<Acted>,
    waits: Waits,
    /// How long the bytes at hand may have lain unread.
    unread: Option<Duration>,
}

/// What this thread had been busy for when it last began to wait for bytes, and the time before.
///
/// When it began to wait there was nothing to read, but for what came while the bytes before were
/// taken apart. So what came is not older than the wait before the last one; and since then the
/// thread either slept, which an arrival ends, or was busy or held up by others.
struct Waits {
    last: Option<Duration>,
    before: Option<Duration>,
}

impl Spot {
    /// For the thread that calls it.
    pub(super) fn new(act: Act, told: oneshot::Sender<Acted>) -> Self {
        let now = clock::busy();
        Self {
            act,
            told,
            waits: Waits {
                last: now,
                before: now,
            },
            unread: None,
        }
    }

    /// There is nothing to read.
    pub(super) fn waits(&mut self) {
        self.waits.before = self.waits.last;
        self.waits.last = clock::busy();
    }

    /// Bytes are at hand.
    pub(super) fn has_bytes(&mut self) {
        let since = |before: Duration| Some(clock::busy()?.saturating_sub(before));
        self.unread = self.waits.before.and_then(since);
    }

    /// The final marker came then.
    pub(super) fn act(self, marker: Tick) {
        (self.act)();
        let at = clock::now();
        // Whoever waited for it may be gone.
        let _ = self.told.send(Acted {
            at,
            gap: at.saturating_sub(marker) + self.unread.unwrap_or_default(),
            whole: self.unread.is_some(),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::Spot;
    use crate::clock;
    use std::time::Duration;
    use tokio::sync::oneshot;

    /// Keeps this thread busy for a time.
    fn work(time: Duration) {
        let until = clock::busy().unwrap() + time;
        while clock::busy().unwrap() < until {}
    }

    #[test]
    fn sleep_is_no_gap_and_work_is_one() {
        const WORK: Duration = Duration::from_millis(20);
        let gap = |between: fn(&mut Spot)| {
            let (told, acted) = oneshot::channel();
            let mut spot = Spot::new(Box::new(|| {}), told);
            spot.waits();
            spot.waits();
            between(&mut spot);
            spot.has_bytes();
            spot.act(clock::now());
            acted.blocking_recv().unwrap()
        };
        let slept = gap(|_| std::thread::sleep(WORK * 10));
        let worked = gap(|_| work(WORK));
        let worked_before = gap(|spot| {
            work(WORK);
            spot.waits();
        });
        assert!(slept.whole && slept.gap < WORK * 10, "{slept:?}");
        assert!(worked.gap >= WORK, "{worked:?}");
        assert!(worked_before.gap >= WORK, "{worked_before:?}");
    }
}
