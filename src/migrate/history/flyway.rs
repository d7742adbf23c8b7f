//! `flyway_schema_history` of Flyway: a log with types.

use super::{History, Recognition, Recorded, Row, applied, cell, truth};
use crate::cli_error::CliError;
use crate::migrate::plan::{Applied, Reached};
use crate::migrate::source::{Migration, Version};
use std::collections::BTreeMap;

/// The row of Flyway.
pub const HISTORY: History = History {
    order: "installed_rank",
    recognition: Recognition {
        by_columns: true,
        ..Recognition::ANY
    },
    read,
    checksums,
    ..History::of(
        "flyway",
        "flyway_schema_history",
        &[
            "version",
            "description",
            "type",
            "checksum",
            "installed_on",
            "execution_time",
            "success",
        ],
    )
};

/// Flyway records milliseconds.
const NS_PER_MS: i64 = 1_000_000;

fn read(history: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let mut newest: BTreeMap<Version, Applied> = BTreeMap::new();
    let mut up_to = None;
    for row in rows {
        // Repeatable migrations and the creation of schemas have no version.
        if cell(row, 0).is_none() {
            continue;
        }
        let version = history.version(row)?;
        let kind = cell(row, 2).unwrap_or_default();
        let success = truth(row, 6);
        if kind == "DELETE" || (kind.starts_with("UNDO") && success) {
            newest.remove(&version);
        } else if kind == "BASELINE" || (kind.ends_with("_BASELINE") && success) {
            up_to = Some(version);
        } else if !kind.starts_with("UNDO") {
            let took: Option<i64> = cell(row, 5).and_then(|it| it.parse().ok());
            let checksum: Option<i32> = cell(row, 3).and_then(|it| it.parse().ok());
            let state = Applied {
                description: cell(row, 1).unwrap_or_default().to_owned(),
                checksum: checksum.map_or_else(Vec::new, |it| it.to_be_bytes().to_vec()),
                reached: Reached::end(success),
                installed_on: cell(row, 4).map(str::to_owned),
                execution_ns: took.map_or(-1, |ms| ms.saturating_mul(NS_PER_MS)),
                ..applied(version.clone())
            };
            newest.insert(version, state);
        }
    }
    Ok(Recorded {
        each: newest.into_values().collect(),
        up_to,
        ..Recorded::default()
    })
}

fn checksums(file: &Migration) -> Vec<Vec<u8>> {
    vec![crc_of_lines(&file.raw).to_be_bytes().to_vec()]
}

/// CRC-32 over the lines without their ends and without a byte-order mark (Flyway's `ChecksumCalculator`).
pub(super) fn crc_of_lines(bytes: &[u8]) -> i32 {
    let bytes = bytes.strip_prefix("\u{FEFF}".as_bytes()).unwrap_or(bytes);
    let mut crc = u32::MAX;
    for byte in bytes.iter().filter(|byte| !b"\r\n".contains(byte)) {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            let mask = (crc & 1).wrapping_neg();
            crc = (crc >> 1) ^ (0xEDB8_8320 & mask);
        }
    }
    (!crc).cast_signed()
}
