//! `schema_version` of tern 2: one row with the position.

use super::{History, Recognition, Recorded, Row};
use crate::cli_error::CliError;

/// The row of tern.
pub const HISTORY: History = History {
    recognition: Recognition {
        exact: true,
        ..Recognition::ANY
    },
    read,
    ..History::of("tern", "schema_version", &["version"])
};

fn read(history: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let up_to = rows.last().map(|row| history.version(row)).transpose()?;
    Ok(Recorded {
        up_to,
        ..Recorded::default()
    })
}
