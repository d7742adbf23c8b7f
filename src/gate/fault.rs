//! Fault injection: makes exactly the save of one answer fail.
//!
//! A trigger refuses every row that holds a nonce which was never sent before, so no other
//! row can meet it. A final marker that still comes does not depend on that save.

use crate::db::{Db, WriteError, Writer};
use crate::model::Engine;
use std::time::Duration;

/// What chatctl's own errors say, so that they can be told from the server's in its log.
pub const ON_PURPOSE: &str = "fail on purpose";
/// The trigger's own words, as they appear in the server's log; they end as [`ON_PURPOSE`] says.
const WORDS: &str = "chatctl makes this save fail on purpose";

const NAMES: [(&str, &str); 2] = [
    ("chatctl_fault_insert", "INSERT"),
    ("chatctl_fault_update", "UPDATE"),
];
const WAIT: Duration = Duration::from_secs(2);

/// Triggers in the store; [`Fault::remove`] takes them out again.
pub struct Fault {
    writer: Box<dyn Writer>,
}

impl Fault {
    /// Whether its triggers are written for this engine.
    pub fn works_on(engine: Engine) -> bool {
        match engine {
            Engine::Sqlite => true,
            Engine::Postgres | Engine::Mysql => false,
        }
    }

    /// A connection for the triggers; none is in the store yet.
    pub async fn new(db: &dyn Db) -> anyhow::Result<Self> {
        let engine = db.target().engine();
        anyhow::ensure!(Self::works_on(engine), "no trigger is written for {engine}");
        let writer = db.writer(WAIT).await?;
        Ok(Self { writer })
    }

    /// Takes out what a run left that was killed. Tells whether there was anything.
    pub async fn sweep(db: &dyn Db) -> anyhow::Result<bool> {
        let names = NAMES.map(|(name, _)| format!("'{name}'")).join(", ");
        let left = format!(
            "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name IN ({names})"
        );
        let left = db.rows(&left, &[]).await?[0][0].int().unwrap_or(0) > 0;
        if left {
            Self::new(db).await?.remove().await?;
        }
        Ok(left)
    }

    /// Makes every write of a row whose `column` holds `nonce` fail. Both triggers or none.
    pub async fn install(
        &mut self,
        db: &dyn Db,
        table: &str,
        column: &str,
        nonce: &str,
    ) -> Result<(), WriteError> {
        let (table, column) = (db.quote(table), db.quote(column));
        let create = NAMES.map(|(name, event)| {
            // One of a run that was killed does no harm, but it is in the way.
            format!(
                "DROP TRIGGER IF EXISTS {name}; \
                 CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN instr(NEW.{column}, '{nonce}') > 0 \
                 BEGIN SELECT RAISE(ABORT, '{WORDS}'); END;"
            )
        });
        self.together(&create).await
    }

    /// Takes the triggers out of the store.
    pub async fn remove(&mut self) -> Result<(), WriteError> {
        self.together(&NAMES.map(|(name, _)| format!("DROP TRIGGER IF EXISTS {name};")))
            .await
    }

    async fn together(&mut self, statements: &[String]) -> Result<(), WriteError> {
        let all = format!("BEGIN IMMEDIATE; {} COMMIT", statements.concat());
        let done = self.writer.execute(&all).await;
        if done.is_err() {
            // Fails when nothing was begun, which is as good.
            let _ = self.writer.execute("ROLLBACK").await;
        }
        done
    }
}
