//! `schema_migrations` of golang-migrate 4: one row with the position.
//!
//! It cannot tell a migration that was passed over from one that was applied.

use super::{History, Recognition, Recorded, Row, applied, truth};
use crate::cli_error::CliError;
use crate::migrate::plan::{Applied, Reached};

/// The row of golang-migrate.
pub const HISTORY: History = History {
    recognition: Recognition {
        by_columns: true,
        exact: true,
        ..Recognition::ANY
    },
    read,
    ..History::of("golang-migrate", "schema_migrations", &["version", "dirty"])
};

fn read(history: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let Some(row) = rows.last() else {
        return Ok(Recorded::default());
    };
    if rows.len() > 1 {
        return Err(CliError::unreachable(format!(
            "`{}` holds {} rows; golang-migrate keeps one",
            history.table,
            rows.len()
        ))
        .hint("delete all rows except the one with the schema's version"));
    }
    let version = history.version(row)?;
    let position = Applied {
        reached: Reached::end(!truth(row, 1)),
        ..applied(version.clone())
    };
    Ok(Recorded {
        each: vec![position],
        up_to: Some(version),
        ..Recorded::default()
    })
}
