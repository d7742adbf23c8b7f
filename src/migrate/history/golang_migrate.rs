//! `schema_migrations` of golang-migrate 4: one row with the position.
//!
//! It cannot tell a migration that was passed over from one that was applied.

use super::{
    Column, History, Recognition, Recorded, Row, applied, no_checksums, no_names, truth, version,
};
use crate::cli_error::CliError;
use crate::migrate::plan::{Applied, Reached};

/// The row of golang-migrate.
pub const HISTORY: History = History {
    tool: "golang-migrate",
    table: "schema_migrations",
    columns: &[Column::Text("version"), Column::Text("dirty")],
    order: "version",
    recognition: Recognition {
        by_columns: true,
        exact: true,
        ..Recognition::ANY
    },
    read,
    checksums: no_checksums,
    names: no_names,
};

fn read(rows: &[Row]) -> Result<Recorded, CliError> {
    let Some(row) = rows.last() else {
        return Ok(Recorded::default());
    };
    if rows.len() > 1 {
        return Err(CliError::unreachable(format!(
            "`{}` holds {} rows; golang-migrate keeps one",
            HISTORY.table,
            rows.len()
        ))
        .hint("delete all rows except the one with the schema's version"));
    }
    let version = version(row, 0, HISTORY.table)?;
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
