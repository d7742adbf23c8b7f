//! `migrations` of rambler 5: the names of the files.

use super::{Column, History, Recognition, Recorded, Row, applied, cell, no_checksums};
use crate::cli_error::CliError;
use crate::migrate::source::{Migration, Version};

/// The row of rambler.
pub const HISTORY: History = History {
    tool: "rambler",
    table: "migrations",
    columns: &[Column::Text("migration")],
    order: "migration",
    recognition: Recognition {
        by_columns: false,
        exact: true,
        ..Recognition::ANY
    },
    read,
    checksums: no_checksums,
    names,
};

#[allow(
    clippy::unnecessary_wraps,
    reason = "every row of the table has this type"
)]
fn read(rows: &[Row]) -> Result<Recorded, CliError> {
    let by_name = rows.iter().map(|row| {
        let name = cell(row, 0).unwrap_or_default().to_owned();
        let state = applied(Version::unplaced(&name));
        (vec![name], state)
    });
    Ok(Recorded {
        by_name: by_name.collect(),
        ..Recorded::default()
    })
}

fn names(file: &Migration) -> Vec<String> {
    vec![file.file_name()]
}
