//! `goose_db_version` of goose 3: a log, in which the newest row of a version decides.

use super::{History, Recognition, Recorded, Row, applied, cell, truth};
use crate::cli_error::CliError;
use crate::migrate::plan::Applied;
use crate::migrate::source::Version;
use std::collections::BTreeMap;

/// The row of goose.
pub const HISTORY: History = History {
    order: "id",
    recognition: Recognition {
        by_columns: true,
        ..Recognition::ANY
    },
    read,
    ..History::of(
        "goose",
        "goose_db_version",
        &["version_id", "is_applied", "tstamp"],
    )
};

fn read(history: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let mut newest: BTreeMap<Version, Option<Applied>> = BTreeMap::new();
    for row in rows {
        let version = history.version(row)?;
        let state = truth(row, 1).then(|| Applied {
            installed_on: cell(row, 2).map(str::to_owned),
            ..applied(version.clone())
        });
        newest.insert(version, state);
    }
    // goose writes a row for version 0 when it makes the table; no file belongs to it.
    newest.remove(&Version::number(0));
    Ok(Recorded {
        each: newest.into_values().flatten().collect(),
        ..Recorded::default()
    })
}
