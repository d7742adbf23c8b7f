//! A connection of the server under test, as the queue of commits knows it.

use crate::clock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// An open connection.
pub(super) struct Connection {
    /// From 1.
    pub(super) number: u64,
    /// Since when the database owes it a reply, in microseconds of the run's clock; 0 if it owes
    /// none.
    busy_since: AtomicU64,
    /// What a request to cancel its statement names; 0 where the protocol has no such request.
    key: AtomicU64,
    /// Whether its statement is withheld: the database can't cancel what it has not been sent.
    is_withheld: AtomicBool,
    cancelled: Notify,
}

/// The server under test cancelled its statement.
pub(super) struct Cancelled;

impl Connection {
    pub(super) fn new(number: u64) -> Self {
        Self {
            number,
            busy_since: AtomicU64::new(0),
            key: AtomicU64::new(0),
            is_withheld: AtomicBool::new(false),
            cancelled: Notify::new(),
        }
    }

    /// What a request to cancel its statement names.
    pub(super) fn known_by(&self, key: u64) {
        self.key.store(key, Ordering::Relaxed);
    }

    pub(super) fn is_known_by(&self, key: u64) -> bool {
        key != 0 && self.key.load(Ordering::Relaxed) == key
    }

    /// Withholds its statement for as long as something lasts, and ends that where the server cancels it.
    pub(super) async fn withheld<T>(&self, lasts: impl Future<Output = T>) -> Result<T, Cancelled> {
        let cancelled = self.cancelled.notified();
        self.is_withheld.store(true, Ordering::Release);
        let ended = tokio::select! {
            biased;
            over = lasts => Ok(over),
            () = cancelled => Err(Cancelled),
        };
        self.is_withheld.store(false, Ordering::Release);
        ended
    }

    /// Cancels its statement. False where it is not withheld.
    pub(super) fn cancel(&self) -> bool {
        let is_withheld = self.is_withheld.load(Ordering::Acquire);
        if is_withheld {
            self.cancelled.notify_waiters();
        }
        is_withheld
    }

    /// Sets whether the database owes a reply.
    pub(super) fn busy(&self, is: bool) {
        if !is {
            self.busy_since.store(0, Ordering::Relaxed);
        } else if self.busy_since.load(Ordering::Relaxed) == 0 {
            let now = u64::try_from(clock::now().as_micros()).unwrap_or(u64::MAX);
            self.busy_since.store(now, Ordering::Relaxed);
        }
    }

    pub(super) fn busy_for(&self) -> Option<Duration> {
        match self.busy_since.load(Ordering::Relaxed) {
            0 => None,
            since => Some(clock::now().saturating_sub(Duration::from_micros(since))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Connection;
    use std::future::{pending, ready};

    #[tokio::test]
    async fn only_a_withheld_statement_is_cancelled() {
        let connection = Connection::new(1);
        assert!(!connection.cancel());
        let cancels = async {
            tokio::task::yield_now().await;
            connection.cancel()
        };
        let (ended, is_cancelled) = tokio::join!(connection.withheld(pending::<()>()), cancels);
        assert!(ended.is_err() && is_cancelled);
        // What was cancelled before is not cancelled again.
        assert!(connection.withheld(ready(())).await.is_ok());
        assert!(!connection.cancel());
    }

    #[test]
    fn a_connection_without_a_key_is_known_by_none() {
        let connection = Connection::new(1);
        assert!(!connection.is_known_by(0));
        connection.known_by(7);
        assert!(connection.is_known_by(7) && !connection.is_known_by(8));
    }
}
