//! The sentinel: a harmless mark that disappears only with its table, or if somebody removes it.
//!
//! It is a comment where tables have comments, and an index of no rows in SQLite. It outlives
//! restarts, TRUNCATE, VACUUM, rebuilds and dumps, and no DROP. Writing it is the only thing that
//! `audit` ever writes.

use crate::db::Db;
use anyhow::Context as _;
use std::time::Duration;

pub use crate::db::Act;

/// Arms or disarms tables, and gives those that were changed. Tables that are not there, or can
/// have no sentinel, are left out. `wait` is for a lock, each table's.
pub async fn run(
    db: &dyn Db,
    tables: &[String],
    act: Act,
    wait: Duration,
) -> anyhow::Result<Vec<String>> {
    let arm = db.catalog().arm;
    let mut writer = db.writer(wait).await?;
    let mut changed = Vec::new();
    for table in tables {
        let statement = arm(db, writer.as_mut(), table, act).await?;
        if let Some(statement) = statement {
            let done = writer.execute(&statement).await;
            done.with_context(|| format!("marking `{table}`"))?;
            changed.push(table.clone());
        }
    }
    Ok(changed)
}
