//! `pgmigrations` of node-pg-migrate 8: the names of the files without their ending.

use super::{Column, History, Recognition, Recorded, Row, applied, cell, no_checksums};
use crate::cli_error::CliError;
use crate::migrate::plan::Applied;
use crate::migrate::source::{Migration, Version};

/// The row of node-pg-migrate.
pub const HISTORY: History = History {
    tool: "node-pg-migrate",
    table: "pgmigrations",
    columns: &[Column::Text("name"), Column::Text("run_on")],
    order: "id",
    recognition: Recognition {
        by_columns: false,
        exact: false,
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
        let state = Applied {
            installed_on: cell(row, 1).map(str::to_owned),
            ..applied(Version::unplaced(&name))
        };
        (vec![name], state)
    });
    Ok(Recorded {
        by_name: by_name.collect(),
        ..Recorded::default()
    })
}

fn names(file: &Migration) -> Vec<String> {
    vec![file.recorded_as.clone().unwrap_or_else(|| file.stem())]
}
