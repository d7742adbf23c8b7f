//! The lock of a table on MariaDB.

use super::super::turnstile::{CLOSE_WAIT, GRACE, Lock};
use super::super::{Gate, LockTarget, turnstile};
use super::{KIND, ONLY_WRITES};
use crate::db::{Tried, WriteError, Writer};
use std::time::Duration;

/// What a connection is in that waits for such a lock.
const WAITS: &str = "db = DATABASE() AND state = 'Waiting for table metadata lock'";

/// `READ` keeps writers out and no reader. A writer that waits goes before a reader's lock that is
/// asked for later.
pub(super) async fn open(on: LockTarget<'_>) -> anyhow::Result<Box<dyn Gate>> {
    let db = on.db;
    let look = db.writer(CLOSE_WAIT).await?;
    let lock = MysqlLock {
        table: db.quote(on.answers()?.table),
        idle: (on.max_hold + GRACE).as_secs(),
    };
    let gate = turnstile::connect(db, KIND.name, Box::new(lock), look, &[]).await?;
    Ok(Box::new(gate))
}

struct MysqlLock {
    table: String,
    /// After so many seconds the server itself ends a connection that holds it.
    idle: u64,
}

impl Lock for MysqlLock {
    fn take(&self, patience: Duration) -> String {
        format!(
            "SET SESSION wait_timeout = {}, lock_wait_timeout = {}; LOCK TABLES {} READ",
            self.idle,
            patience.as_millis().div_ceil(1000),
            self.table
        )
    }

    fn give(&self) -> &'static str {
        "UNLOCK TABLES; SET SESSION wait_timeout = 28800"
    }

    fn number(&self) -> &'static str {
        "SELECT connection_id()"
    }

    /// A lock for writing is not to be had at the moment.
    fn is_held<'a>(
        &'a self,
        _look: &'a mut dyn Writer,
        other: &'a mut dyn Writer,
        _holder: i64,
    ) -> Tried<'a, bool> {
        let sql = format!("LOCK TABLES {} WRITE NOWAIT", self.table);
        Box::pin(async move {
            match other.execute(&sql).await {
                Err(WriteError::Busy) => Ok(true),
                Ok(()) => {
                    other.execute("UNLOCK TABLES").await?;
                    Ok(false)
                }
                Err(error) => Err(anyhow::Error::from(error)
                    .context("the lock can't be verified; MariaDB from 10.3 on can do that")),
            }
        })
    }

    fn waiting(&self, holder: i64, other: i64) -> String {
        format!(
            "SELECT count(*) FROM information_schema.processlist WHERE {WAITS} AND id NOT IN ({holder}, {other})"
        )
    }

    fn is_queued(&self, other: i64) -> String {
        format!(
            "SELECT count(*) FROM information_schema.processlist WHERE {WAITS} AND id = {other}"
        )
    }

    fn proves(&self) -> Result<(), &'static str> {
        Err(ONLY_WRITES)
    }

    fn ahead(&self, holder: i64, other: i64) -> String {
        self.waiting(holder, other)
    }
}
