//! `__diesel_schema_migrations` of Diesel: the versions without their dashes.

use super::{History, Recognition, Recorded, Row, applied, cell};
use crate::cli_error::CliError;
use crate::migrate::plan::Applied;
use crate::migrate::source::Version;

/// The row of Diesel.
pub const HISTORY: History = History {
    recognition: Recognition {
        exact: true,
        ..Recognition::ANY
    },
    read,
    ..History::of(
        "diesel",
        "__diesel_schema_migrations",
        &["version", "run_on"],
    )
};

fn read(history: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let mut recorded = Recorded::default();
    for row in rows {
        let text = cell(row, 0).unwrap_or_default();
        recorded.each.push(Applied {
            installed_on: cell(row, 1).map(str::to_owned),
            ..applied(Version::of_diesel(text).map_or_else(|| history.version(row), Ok)?)
        });
    }
    Ok(recorded)
}
