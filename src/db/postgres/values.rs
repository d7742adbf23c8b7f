//! Values of PostgreSQL: as literals, and as cells.

use super::error::{failed, write_error};
use crate::db::WriteError;
use crate::db::driver::Driver;
use crate::db::session::Failed;
use crate::model::Cell;
use crate::text::hex;
use sqlx::postgres::{PgRow, PgValueRef};
use sqlx::{Postgres, Row as _, TypeInfo as _, ValueRef as _};

impl Driver for Postgres {
    fn literal(cell: &Cell) -> anyhow::Result<String> {
        Ok(match cell {
            Cell::Null => "NULL".to_owned(),
            Cell::Int(number) => format!("'{number}'::int8"),
            Cell::Real(number) => format!("'{number}'::float8"),
            Cell::Text(text) => {
                anyhow::ensure!(
                    !text.contains('\0'),
                    "PostgreSQL can't store a NUL character in a text"
                );
                format!("'{}'", text.replace('\'', "''"))
            }
            Cell::Blob(bytes) => format!("'\\x{}'::bytea", hex(bytes)),
        })
    }

    /// By the type of each column; what has no kind of its own is the text that the server prints.
    fn cells(row: &PgRow) -> anyhow::Result<Vec<Cell>> {
        each(row, |index, value| {
            let text = || value.as_str().map_err(anyhow::Error::from_boxed);
            Ok(match value.type_info().name() {
                "BOOL" => Cell::Int(i64::from(text()? == "t")),
                "INT2" | "INT4" | "INT8" | "OID" => Cell::Int(text()?.parse()?),
                "FLOAT4" | "FLOAT8" => Cell::Real(text()?.parse()?),
                "BYTEA" => Cell::Blob(row.try_get_unchecked(index)?),
                _ => Cell::Text(text()?.to_owned()),
            })
        })
    }

    fn as_written(row: &PgRow) -> anyhow::Result<Vec<Cell>> {
        each(row, |_, value| {
            let text = value.as_str().map_err(anyhow::Error::from_boxed)?;
            Ok(Cell::Text(text.to_owned()))
        })
    }

    fn write_error(error: sqlx::Error) -> WriteError {
        write_error(error)
    }

    fn failed(error: &sqlx::Error) -> Failed {
        failed(error)
    }
}

/// The values of a row, where NULL is NULL.
fn each(
    row: &PgRow,
    cell: impl Fn(usize, PgValueRef<'_>) -> anyhow::Result<Cell>,
) -> anyhow::Result<Vec<Cell>> {
    let cells = (0..row.len()).map(|index| {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            Ok(Cell::Null)
        } else {
            cell(index, value)
        }
    });
    cells.collect()
}
