//! `schema_migrations` of dbmate 2: one text column.

use super::{
    Column, History, Recognition, Recorded, Row, applied, no_checksums, no_names, version,
};
use crate::cli_error::CliError;

/// The row of dbmate.
pub const HISTORY: History = History {
    tool: "dbmate",
    table: "schema_migrations",
    columns: &[Column::Text("version")],
    order: "version",
    recognition: Recognition {
        by_columns: false,
        exact: true,
        // Rails has a table with this name and column too, and this one next to it.
        unless: &["ar_internal_metadata"],
        ..Recognition::ANY
    },
    read,
    checksums: no_checksums,
    names: no_names,
};

fn read(rows: &[Row]) -> Result<Recorded, CliError> {
    let mut recorded = Recorded::default();
    for row in rows {
        let version = version(row, 0, HISTORY.table)?;
        recorded.each.push(applied(version));
    }
    Ok(recorded)
}
