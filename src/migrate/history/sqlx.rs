//! `_sqlx_migrations` of sqlx 0.9.

use super::{History, Recognition, Recorded, Row, cell, truth};
use crate::cli_error::CliError;
use crate::migrate::plan::{Applied, Reached};
use crate::migrate::source::Migration;

/// The row of sqlx.
pub const HISTORY: History = History {
    recognition: Recognition {
        by_columns: true,
        // Flyway's table has these columns too, and more.
        exact: true,
        ..Recognition::ANY
    },
    read,
    bytes: &["checksum"],
    checksums,
    ..History::of(
        "sqlx",
        "_sqlx_migrations",
        &[
            "version",
            "description",
            "installed_on",
            "success",
            "checksum",
            "execution_time",
        ],
    )
};

fn read(history: &History, rows: &[Row]) -> Result<Recorded, CliError> {
    let mut recorded = Recorded::default();
    for row in rows {
        recorded.each.push(Applied {
            checksum: unhex(cell(row, 4).unwrap_or_default())?,
            reached: Reached::end(truth(row, 3)),
            execution_ns: cell(row, 5).and_then(|it| it.parse().ok()).unwrap_or(-1),
            ..history.row(row)?
        });
    }
    Ok(recorded)
}

fn unhex(text: &str) -> Result<Vec<u8>, CliError> {
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| {
            let pair = std::str::from_utf8(pair).ok().filter(|it| it.len() == 2)?;
            u8::from_str_radix(pair, 16).ok()
        })
        .collect::<Option<_>>()
        .ok_or_else(|| {
            CliError::unreachable(format!("`{}` holds `{text}`, which is not a checksum", HISTORY.table))
                .hint("inspect it: `chatctl inspect sql \"SELECT version, checksum FROM _sqlx_migrations\"`")
        })
}

fn checksums(file: &Migration) -> Vec<Vec<u8>> {
    vec![file.checksum.clone()]
}
