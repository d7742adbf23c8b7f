//! Fault injection: makes exactly the save of one answer fail.
//!
//! A trigger refuses every row that holds a nonce which was never sent before, so no other
//! row can meet it. A final marker that still comes does not depend on that save.

use crate::db::Db;
use crate::db::Writer;
use std::time::Duration;

/// The trigger's own words, as they appear in the server's log.
const WORDS: &str = "chatctl: this save fails on purpose";

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
    /// Makes every write of a row whose `column` holds `nonce` fail.
    pub async fn install(
        db: &dyn Db,
        table: &str,
        column: &str,
        nonce: &str,
    ) -> anyhow::Result<Self> {
        let mut fault = Self {
            writer: db.writer(WAIT).await?,
        };
        // Triggers of a run that was killed would do no harm, but they would be in the way.
        fault.remove().await?;
        let (table, column) = (db.quote(table), db.quote(column));
        for (name, event) in NAMES {
            let sql = format!(
                "CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN instr(NEW.{column}, '{nonce}') > 0 \
                 BEGIN SELECT RAISE(ABORT, '{WORDS}'); END"
            );
            fault.writer.execute(&sql).await?;
        }
        Ok(fault)
    }

    /// Takes the triggers out of the store.
    pub async fn remove(&mut self) -> anyhow::Result<()> {
        for (name, _) in NAMES {
            self.writer
                .execute(&format!("DROP TRIGGER IF EXISTS {name}"))
                .await?;
        }
        Ok(())
    }
}
