//! The lock of a table on PostgreSQL, and what every lock there has in common.

use super::super::turnstile::{CLOSE_WAIT, GRACE, Lock};
use super::super::{Gate, LockTarget, turnstile};
use super::{KIND, ONLY_WRITES};
use crate::db::{Db, Tried, Writer};
use std::time::Duration;

/// `SHARE ROW EXCLUSIVE` keeps writers out, and itself, and no reader: not even `FOR UPDATE`.
pub(super) async fn open(on: LockTarget<'_>) -> anyhow::Result<Box<dyn Gate>> {
    let db = on.db;
    let table = db.quote(on.answers()?.table);
    let look = db.writer(CLOSE_WAIT).await?;
    let lock = PostgresLock {
        take: format!("LOCK TABLE {table} IN SHARE ROW EXCLUSIVE MODE"),
        object: format!(
            "locktype = 'relation' AND relation = '{}'::regclass AND database = \
             (SELECT oid FROM pg_database WHERE datname = current_database())",
            table.replace('\'', "''")
        ),
        mode: "ShareRowExclusiveLock",
        proves: Err(ONLY_WRITES),
        clear: None,
    };
    connect(db, KIND.name, lock, look, on.max_hold).await
}

/// A turnstile by a lock of PostgreSQL.
pub(in crate::gate) async fn connect(
    db: &dyn Db,
    name: &'static str,
    lock: PostgresLock,
    mut look: Box<dyn Writer>,
    max_hold: Duration,
) -> anyhow::Result<Box<dyn Gate>> {
    let longest = max_hold + GRACE;
    let mut settings = vec![format!(
        "SET idle_in_transaction_session_timeout = '{}ms'",
        longest.as_millis()
    )];
    settings.extend(looks_for_client(&mut *look).await?.map(str::to_owned));
    let gate = turnstile::connect(db, name, Box::new(lock), look, &settings).await?;
    Ok(Box::new(gate))
}

/// The statement after which a session that waits ends when its client is gone. Of version 14: without it a
/// connection that queues when chatctl is killed stays in the queue until its `lock_timeout`.
pub(in crate::gate) async fn looks_for_client(
    look: &mut dyn Writer,
) -> anyhow::Result<Option<&'static str>> {
    let checks = "SELECT count(*) FROM pg_settings WHERE name = 'client_connection_check_interval'";
    let is_there = look.value(checks).await?.int() == Some(1);
    Ok(is_there.then_some("SET client_connection_check_interval = '200ms'"))
}

/// A lock of PostgreSQL that ends with its transaction.
pub(in crate::gate) struct PostgresLock {
    /// The statement that takes it.
    pub(in crate::gate) take: String,
    /// The condition on `pg_locks` that distinguishes it from others.
    pub(in crate::gate) object: String,
    /// How it is held.
    pub(in crate::gate) mode: &'static str,
    /// Whether it holds back commits, or why a trial behind it proves nothing.
    pub(in crate::gate) proves: Result<(), &'static str>,
    /// The statement that takes out what was put into the database for it.
    pub(in crate::gate) clear: Option<String>,
}

impl Lock for PostgresLock {
    fn take(&self, patience: Duration) -> String {
        format!(
            "BEGIN; SET LOCAL lock_timeout = '{}ms'; {}",
            patience.as_millis(),
            self.take
        )
    }

    fn give(&self) -> &'static str {
        "ROLLBACK"
    }

    fn number(&self) -> &'static str {
        "SELECT pg_backend_pid()"
    }

    fn is_held<'a>(
        &'a self,
        look: &'a mut dyn Writer,
        _other: &'a mut dyn Writer,
        holder: i64,
    ) -> Tried<'a, bool> {
        let sql = format!(
            "SELECT count(*) FROM pg_locks WHERE {} AND pid = {holder} AND granted AND mode = '{}'",
            self.object, self.mode
        );
        Box::pin(async move { Ok(look.value(&sql).await?.int() == Some(1)) })
    }

    fn waiting(&self, holder: i64, other: i64) -> String {
        format!(
            "SELECT count(DISTINCT pid) FROM pg_locks WHERE {} AND NOT granted AND pid NOT IN ({holder}, {other})",
            self.object
        )
    }

    fn is_queued(&self, other: i64) -> String {
        format!(
            "SELECT count(*) FROM pg_locks WHERE {} AND NOT granted AND pid = {other}",
            self.object
        )
    }

    /// The queue is in order, so who waits ahead of it blocks it.
    fn ahead(&self, holder: i64, other: i64) -> String {
        format!(
            "SELECT count(DISTINCT pid) FROM unnest(pg_blocking_pids({other})) pid WHERE pid <> {holder}"
        )
    }

    fn proves(&self) -> Result<(), &'static str> {
        self.proves
    }

    fn clear<'a>(&'a self, look: &'a mut dyn Writer) -> Tried<'a, ()> {
        Box::pin(async move {
            if let Some(clear) = &self.clear {
                // Whoever comes meanwhile waits behind it, also who only reads.
                look.execute("SET lock_timeout = '200ms'").await?;
                look.execute(clear).await?;
            }
            Ok(())
        })
    }
}
