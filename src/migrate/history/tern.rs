//! `schema_version` of tern 2: one row with the position.

use super::{Column, History, Recognition, Recorded, Row, no_checksums, no_names, version};
use crate::cli_error::CliError;

/// The row of tern.
pub const HISTORY: History = History {
    tool: "tern",
    table: "schema_version",
    columns: &[Column::Text("version")],
    order: "version",
    recognition: Recognition {
        by_columns: false,
        exact: true,
        ..Recognition::ANY
    },
    read,
    checksums: no_checksums,
    names: no_names,
};

fn read(rows: &[Row]) -> Result<Recorded, CliError> {
    let up_to = rows
        .last()
        .map(|row| version(row, 0, HISTORY.table))
        .transpose()?;
    Ok(Recorded {
        up_to,
        ..Recorded::default()
    })
}
