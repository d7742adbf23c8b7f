//! `__drizzle_migrations` of Drizzle: the time in the journal and the hash of each file.

use super::{History, Recorded, Row, applied, cell};
use crate::cli_error::CliError;
use crate::migrate::plan::Applied;
use crate::migrate::source::{Migration, Version};
use crate::text::hex;
use sha2::{Digest as _, Sha256};

/// The row of Drizzle.
pub const HISTORY: History = History {
    order: "created_at",
    read,
    checksums: hashes,
    names,
    ..History::of("drizzle", "__drizzle_migrations", &["hash", "created_at"])
};

#[allow(
    clippy::unnecessary_wraps,
    reason = "every row of the table has this type"
)]
fn read(_: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let by_name = rows.iter().map(|row| {
        let hash = cell(row, 0).unwrap_or_default().to_owned();
        let when = cell(row, 1).unwrap_or_default().to_owned();
        let state = Applied {
            checksum: hash.as_bytes().to_vec(),
            ..applied(Version::unplaced(&when))
        };
        (vec![when, hash], state)
    });
    Ok(Recorded {
        by_name: by_name.collect(),
        ..Recorded::default()
    })
}

/// The journal's time, which stays when the file is edited; and the hash, where there is no journal.
fn names(file: &Migration) -> Vec<String> {
    let hashes = hashes(file).into_iter();
    let hashes = hashes.map(|hash| String::from_utf8_lossy(&hash).into_owned());
    file.recorded_as.clone().into_iter().chain(hashes).collect()
}

/// SHA-256 in hexadecimal, of the file with line ends LF or, by older versions, as it is.
fn hashes(file: &Migration) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(&file.raw);
    [text.replace("\r\n", "\n"), text.into_owned()]
        .map(|text| hex(Sha256::digest(text.as_bytes())).into_bytes())
        .to_vec()
}
