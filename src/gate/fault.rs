//! Fault injection by triggers: makes exactly the save of one answer fail.
//!
//! A trigger refuses every row that holds a nonce which was never sent before, so no other
//! row can meet it. A final marker that still comes does not depend on that save.

use crate::db::{Db, WriteError, Writer};
use std::time::Duration;

/// What chatctl's own errors say, so that they can be distinguished from the server's in its log.
pub const ON_PURPOSE: &str = "fail on purpose";

const WAIT: Duration = Duration::from_secs(2);

/// How an engine's triggers are written that refuse one answer.
pub struct Triggers {
    /// Statements that put them in, for a table, a column (both quoted) and a nonce.
    install: fn(&str, &str, &str) -> String,
    /// A query whose first value is the number of those that a run left.
    left: &'static str,
    /// Statements that take them out, if they are there.
    remove: &'static str,
    /// Begins a transaction that may write.
    begin: &'static str,
}

/// The triggers of SQLite. Their error ends as [`ON_PURPOSE`] says.
pub(super) static SQLITE: Triggers = Triggers {
    install: |table, column, nonce| {
        let events = ["insert", "update"].map(|event| {
            // One of a run that was killed does no harm, but it is in the way.
            format!(
                "DROP TRIGGER IF EXISTS chatctl_fault_{event}; \
                 CREATE TRIGGER chatctl_fault_{event} BEFORE {event} ON {table} \
                 WHEN instr(NEW.{column}, '{nonce}') > 0 \
                 BEGIN SELECT RAISE(ABORT, 'chatctl makes this save {ON_PURPOSE}'); END;"
            )
        });
        events.concat()
    },
    left: "SELECT count(*) FROM sqlite_master \
           WHERE type = 'trigger' AND name IN ('chatctl_fault_insert', 'chatctl_fault_update')",
    remove: "DROP TRIGGER IF EXISTS chatctl_fault_insert; DROP TRIGGER IF EXISTS chatctl_fault_update;",
    begin: "BEGIN IMMEDIATE",
};

impl Triggers {
    /// Takes out what a run left that was killed. Says whether there was anything.
    pub async fn sweep(&'static self, db: &dyn Db) -> anyhow::Result<bool> {
        let rows = db.rows(self.left, &[]).await?;
        let left = rows.first().and_then(|row| row.first()?.int());
        let is_left = left.unwrap_or(0) > 0;
        if is_left {
            Fault::new(self, db).await?.remove().await?;
        }
        Ok(is_left)
    }
}

/// Triggers in the store; [`Fault::remove`] takes them out again.
pub struct Fault {
    triggers: &'static Triggers,
    writer: Box<dyn Writer>,
}

impl Fault {
    /// A connection for the triggers; none is in the store yet.
    pub async fn new(triggers: &'static Triggers, db: &dyn Db) -> anyhow::Result<Self> {
        let writer = db.writer(WAIT).await?;
        Ok(Self { triggers, writer })
    }

    /// Makes every write of a row whose `column` holds `nonce` fail. All triggers or none.
    pub async fn install(
        &mut self,
        db: &dyn Db,
        table: &str,
        column: &str,
        nonce: &str,
    ) -> Result<(), WriteError> {
        let install = (self.triggers.install)(&db.quote(table), &db.quote(column), nonce);
        self.together(&install).await
    }

    /// Takes the triggers out of the store.
    pub async fn remove(&mut self) -> Result<(), WriteError> {
        self.together(self.triggers.remove).await
    }

    async fn together(&mut self, statements: &str) -> Result<(), WriteError> {
        let all = format!("{}; {statements} COMMIT", self.triggers.begin);
        let done = self.writer.execute(&all).await;
        if done.is_err() {
            // Fails when nothing was begun, which is as good.
            let _ = self.writer.execute("ROLLBACK").await;
        }
        done
    }
}
