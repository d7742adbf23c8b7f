//! `schema_migrations` of Supabase, in a schema of its own.

use super::{
    Column, History, Recognition, Recorded, Row, applied, no_checksums, no_names, version,
};
use crate::cli_error::CliError;

/// The row of Supabase.
pub const HISTORY: History = History {
    tool: "supabase",
    table: "schema_migrations",
    columns: &[Column::Text("version")],
    order: "version",
    recognition: Recognition {
        by_columns: false,
        exact: false,
        schema: Some("supabase_migrations"),
        ..Recognition::ANY
    },
    read,
    checksums: no_checksums,
    names: no_names,
};

fn read(rows: &[Row]) -> Result<Recorded, CliError> {
    let mut recorded = Recorded::default();
    for row in rows {
        recorded.each.push(applied(version(row, 0, HISTORY.table)?));
    }
    Ok(recorded)
}
