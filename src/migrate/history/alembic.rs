//! `alembic_version` of Alembic: the heads of the tree of revisions.

use super::{Column, History, Recognition, Recorded, Row, cell, no_checksums, no_names};
use crate::cli_error::CliError;

/// The row of alembic.
pub const HISTORY: History = History {
    tool: "alembic",
    table: "alembic_version",
    columns: &[Column::Text("version_num")],
    order: "version_num",
    recognition: Recognition {
        by_columns: true,
        exact: true,
        ..Recognition::ANY
    },
    read,
    checksums: no_checksums,
    names: no_names,
};

#[allow(
    clippy::unnecessary_wraps,
    reason = "every row of the table has this type"
)]
fn read(rows: &[Row]) -> Result<Recorded, CliError> {
    Ok(Recorded {
        heads: rows
            .iter()
            .filter_map(|row| cell(row, 0).map(str::to_owned))
            .collect(),
        ..Recorded::default()
    })
}
