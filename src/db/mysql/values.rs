//! Values of MySQL and MariaDB: as literals, and as cells.

use super::error::{failed, write_error};
use crate::db::WriteError;
use crate::db::driver::Driver;
use crate::db::session::Failed;
use crate::model::Cell;
use crate::text::hex;
use sqlx::mysql::{MySqlRow, MySqlTypeInfo};
use sqlx::{MySql, Row as _, Type, TypeInfo as _, ValueRef as _};

impl Driver for MySql {
    /// Texts in hexadecimal: whether a backslash escapes depends on the session's mode.
    fn literal(cell: &Cell) -> anyhow::Result<String> {
        Ok(match cell {
            Cell::Null => "NULL".to_owned(),
            Cell::Int(number) => number.to_string(),
            Cell::Real(number) => {
                anyhow::ensure!(number.is_finite(), "MySQL can't store the number {number}");
                format!("{number:e}")
            }
            Cell::Text(text) => format!("_utf8mb4 x'{}'", hex(text.as_bytes())),
            Cell::Blob(bytes) => format!("x'{}'", hex(bytes)),
        })
    }

    fn cells(row: &MySqlRow) -> anyhow::Result<Vec<Cell>> {
        each(row, |info, bytes| {
            let text = || std::str::from_utf8(bytes);
            Ok(match kind(info) {
                Kind::Whole => whole(text()?),
                Kind::Real => Cell::Real(text()?.parse()?),
                Kind::Bits => bits(bytes),
                Kind::Bytes => Cell::Blob(bytes.to_vec()),
                Kind::Text => Cell::Text(text()?.to_owned()),
            })
        })
    }

    fn as_written(row: &MySqlRow) -> anyhow::Result<Vec<Cell>> {
        each(row, |_, bytes| {
            Ok(Cell::Text(String::from_utf8_lossy(bytes).into_owned()))
        })
    }

    fn write_error(error: sqlx::Error) -> WriteError {
        write_error(error)
    }

    fn failed(error: &sqlx::Error) -> Failed {
        failed(error)
    }
}

/// How the text of a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Real,
    /// As a number, which is how it is written and compared; it comes as its bytes.
    Bits,
    Bytes,
    Text,
}

/// By the type of a column; what has no kind of its own is the text that the server prints.
pub(super) fn kind(info: &MySqlTypeInfo) -> Kind {
    match info.name() {
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "BOOLEAN" | "YEAR"
        | "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED"
        | "BIGINT UNSIGNED" => Kind::Whole,
        "FLOAT" | "DOUBLE" => Kind::Real,
        "BIT" => Kind::Bits,
        "GEOMETRY" => Kind::Bytes,
        _ if is_binary(info) => Kind::Bytes,
        _ => Kind::Text,
    }
}

/// The bytes of each value of a row, where NULL is NULL.
fn each(
    row: &MySqlRow,
    cell: impl Fn(&MySqlTypeInfo, &[u8]) -> anyhow::Result<Cell>,
) -> anyhow::Result<Vec<Cell>> {
    let cells = (0..row.len()).map(|index| {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            Ok(Cell::Null)
        } else {
            cell(&value.type_info(), row.try_get_unchecked(index)?)
        }
    });
    cells.collect()
}

/// By the collation: by name, the driver takes a text that is compared byte by byte for a blob too.
pub(super) fn is_binary(info: &MySqlTypeInfo) -> bool {
    <[u8] as Type<MySql>>::compatible(info) && !<str as Type<MySql>>::compatible(info)
}

/// A number, or its text when it is beyond the range of one.
fn whole(text: &str) -> Cell {
    text.parse()
        .map_or_else(|_| Cell::Text(text.to_owned()), Cell::Int)
}

/// A row of bits as the number that they write.
pub(super) fn bits(bytes: &[u8]) -> Cell {
    whole(&number(bytes).to_string())
}

/// The number of a BIT, which comes as its bytes.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
