//! `changelog` of MyBatis Migrations: the numbers before the names.

use super::{
    Column, History, Recognition, Recorded, Row, applied, cell, no_checksums, no_names, version,
};
use crate::cli_error::CliError;
use crate::migrate::plan::Applied;

/// The row of MyBatis.
pub const HISTORY: History = History {
    tool: "mybatis",
    table: "changelog",
    columns: &[
        Column::Text("id"),
        Column::Text("applied_at"),
        Column::Text("description"),
    ],
    order: "id",
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
        recorded.each.push(Applied {
            description: cell(row, 2).unwrap_or_default().to_owned(),
            installed_on: cell(row, 1).map(str::to_owned),
            ..applied(version(row, 0, HISTORY.table)?)
        });
    }
    Ok(recorded)
}
