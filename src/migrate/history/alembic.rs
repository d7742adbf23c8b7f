//! `alembic_version` of Alembic: the heads of the tree of revisions.

use super::{History, Recognition, Recorded, Row, cell};
use crate::cli_error::CliError;

/// The row of alembic.
pub const HISTORY: History = History {
    recognition: Recognition {
        by_columns: true,
        exact: true,
        ..Recognition::ANY
    },
    read,
    ..History::of("alembic", "alembic_version", &["version_num"])
};

#[allow(
    clippy::unnecessary_wraps,
    reason = "every row of the table has this type"
)]
fn read(_: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    Ok(Recorded {
        heads: rows
            .iter()
            .filter_map(|row| cell(row, 0).map(str::to_owned))
            .collect(),
        ..Recorded::default()
    })
}
