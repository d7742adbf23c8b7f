//! Values of PostgreSQL: as literals, and as cells.

use crate::model::Cell;
use crate::text::hex;
use sqlx::postgres::PgRow;
use sqlx::{Row as _, TypeInfo as _, ValueRef as _};

/// A value in the text of a statement.
pub(super) fn literal(cell: &Cell) -> anyhow::Result<String> {
    Ok(match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Int(number) => format!("'{number}'::int8"),
        Cell::Real(number) => format!("'{number}'::float8"),
        Cell::Text(text) => {
            anyhow::ensure!(
                !text.contains('\0'),
                "PostgreSQL can't hold a NUL character in a text"
            );
            format!("'{}'", text.replace('\'', "''"))
        }
        Cell::Blob(bytes) => format!("'\\x{}'::bytea", hex(bytes)),
    })
}

/// By the type of each column; what has no kind of its own is the text that the server prints.
pub(super) fn cells(row: &PgRow) -> anyhow::Result<Vec<Cell>> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let text = || value.as_str().map_err(anyhow::Error::from_boxed);
            Ok(match value.type_info().name() {
                "BOOL" => Cell::Int(i64::from(text()? == "t")),
                "INT2" | "INT4" | "INT8" | "OID" => Cell::Int(text()?.parse()?),
                "FLOAT4" | "FLOAT8" => Cell::Real(text()?.parse()?),
                "BYTEA" => Cell::Blob(row.try_get_unchecked(index)?),
                _ => Cell::Text(text()?.to_owned()),
            })
        })
        .collect()
}
