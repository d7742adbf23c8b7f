//! The store as a whole, before and after a restart: what shows that tables are not the ones they were.

use super::ways::Way;
use crate::db::Db;
use crate::report::Finding;
use crate::report::Severity;
use crate::report::Source;
use crate::store::Mapping;

/// What the store looked like at one moment.
pub(super) struct Look {
    table: String,
    /// Rows of the table of messages, whosever they are.
    rows: i64,
}

/// Looks at the store.
pub(super) async fn look(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Look> {
    let table = mapping.table().to_owned();
    let count = format!("SELECT count(*) FROM {}", db.quote(&table));
    let rows = db.rows(&count, &[]).await?;
    Ok(Look {
        table,
        rows: rows[0][0].int().unwrap_or(0),
    })
}

/// What two looks tell. `ours`: rows that are told of elsewhere.
pub(super) fn compare(
    session: &str,
    way: &Way,
    before: &Look,
    after: &Look,
    ours: i64,
) -> Vec<Finding> {
    let gone = before.rows - after.rows - ours;
    if gone <= 0 {
        return Vec::new();
    }
    let harm = format!(
        "`{}` has {gone} rows of other conversations less after {}",
        before.table, way.words
    );
    let help = "look for a clean-up at the start of the server; if it is meant to be, all is well";
    vec![
        Finding::new(
            "message-lost-on-restart",
            Severity::Warning,
            format!("{session}: table {}", before.table),
            harm,
            help,
        )
        .with(
            Source::Store,
            format!("{} rows before, {} after", before.rows, after.rows),
        ),
    ]
}
