//! `_prisma_migrations` of Prisma Migrate: a log by name, with what was rolled back.

use super::{History, Recognition, Recorded, Row, applied, cell};
use crate::cli_error::CliError;
use crate::migrate::plan::{Applied, Reached};
use crate::migrate::source::{Migration, Version};
use crate::text::hex;
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;

/// The row of Prisma.
pub const HISTORY: History = History {
    order: "started_at",
    recognition: Recognition {
        by_columns: true,
        ..Recognition::ANY
    },
    read,
    checksums,
    names,
    ..History::of(
        "prisma",
        "_prisma_migrations",
        &[
            "migration_name",
            "checksum",
            "finished_at",
            "rolled_back_at",
        ],
    )
};

#[allow(
    clippy::unnecessary_wraps,
    reason = "every row of the table has this type"
)]
fn read(_: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let mut newest = BTreeMap::new();
    for row in rows.iter().filter(|row| cell(row, 3).is_none()) {
        let name = cell(row, 0).unwrap_or_default().to_owned();
        let state = Applied {
            description: name.clone(),
            checksum: cell(row, 1).unwrap_or_default().as_bytes().to_vec(),
            reached: Reached::end(cell(row, 2).is_some()),
            installed_on: cell(row, 2).map(str::to_owned),
            ..applied(Version::unplaced(&name))
        };
        newest.insert(name, state);
    }
    Ok(Recorded {
        by_name: newest
            .into_iter()
            .map(|(name, row)| (vec![name], row))
            .collect(),
        ..Recorded::default()
    })
}

/// The folder's name; that of a file where someone has put all of them into one folder.
fn names(file: &Migration) -> Vec<String> {
    vec![file.stem()]
}

/// SHA-256 in hexadecimal, whatever the line ends; older versions left zeros out.
fn checksums(file: &Migration) -> Vec<Vec<u8>> {
    let text = String::from_utf8_lossy(&file.raw);
    let lf = text.replace("\r\n", "\n");
    let crlf = lf.replace('\n', "\r\n");
    let digests = [&*text, &lf, &crlf].map(|text| Sha256::digest(text.as_bytes()));
    let short = |digest: &[u8]| {
        digest
            .iter()
            .map(|byte| format!("{byte:x}"))
            .collect::<String>()
    };
    digests
        .iter()
        .flat_map(|digest| [hex(digest), short(digest)])
        .map(String::into_bytes)
        .collect()
}
