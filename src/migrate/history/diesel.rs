//! `__diesel_schema_migrations` of Diesel: the versions without their dashes.

use super::{
    Column, History, Recognition, Recorded, Row, applied, cell, no_checksums, no_names, version,
};
use crate::cli_error::CliError;
use crate::migrate::plan::Applied;
use crate::migrate::source::Version;

/// The row of Diesel.
pub const HISTORY: History = History {
    tool: "diesel",
    table: "__diesel_schema_migrations",
    columns: &[Column::Text("version"), Column::Text("run_on")],
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
    let mut recorded = Recorded::default();
    for row in rows {
        let text = cell(row, 0).unwrap_or_default();
        recorded.each.push(Applied {
            installed_on: cell(row, 1).map(str::to_owned),
            ..applied(Version::of_diesel(text).map_or_else(|| version(row, 0, HISTORY.table), Ok)?)
        });
    }
    Ok(recorded)
}
