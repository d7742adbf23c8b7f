//! `refinery_schema_history` of refinery 0.10.

use super::{History, Recognition, Recorded, Row, cell};
use crate::cli_error::CliError;
use crate::migrate::plan::Applied;
use crate::migrate::source::Migration;
use std::hash::{DefaultHasher, Hash, Hasher};

/// The row of refinery.
pub const HISTORY: History = History {
    recognition: Recognition {
        by_columns: true,
        exact: true,
        ..Recognition::ANY
    },
    read,
    checksums,
    ..History::of(
        "refinery",
        "refinery_schema_history",
        &["version", "name", "applied_on", "checksum"],
    )
};

fn read(history: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let mut recorded = Recorded::default();
    for row in rows {
        let checksum: Option<u64> = cell(row, 3).and_then(|it| it.parse().ok());
        recorded.each.push(Applied {
            checksum: checksum.map_or_else(Vec::new, |it| it.to_be_bytes().to_vec()),
            ..history.row(row)?
        });
    }
    Ok(recorded)
}

/// refinery numbers in 32 bits, or in 64 with its feature `int8-versions`; the hash distinguishes them.
fn checksums(file: &Migration) -> Vec<Vec<u8>> {
    let (Some(number), Ok(sql)) = (file.version.as_number(), std::str::from_utf8(&file.raw)) else {
        return Vec::new();
    };
    // Flyway's reading of the same file has spaces in the description; the name has the underscores.
    let stem = file.file_name();
    let name = stem.split_once("__").map_or("", |(_, rest)| rest);
    let name = name.strip_suffix(".sql").unwrap_or(name);
    let long = hash(name, |hasher| number.hash(hasher), sql);
    let short = i32::try_from(number).ok();
    short
        .map(|number| hash(name, |hasher| number.hash(hasher), sql))
        .into_iter()
        .chain([long])
        .map(|hash| hash.to_be_bytes().to_vec())
        .collect()
}

/// SipHash-1-3 with zero keys. The standard library does not promise to keep it: a test pins its value.
pub(super) fn hash(name: &str, version: impl Fn(&mut DefaultHasher), sql: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    name.hash(&mut hasher);
    version(&mut hasher);
    sql.hash(&mut hasher);
    hasher.finish()
}
