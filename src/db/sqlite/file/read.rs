//! Reading rows of a file.

use crate::db::Each;
use crate::db::sqlite::values::{cell, value};
use crate::model::{Cell, CellRef};
use rusqlite::Connection;
use rusqlite::types::ValueRef;

/// All rows of one statement. What is stored as a text and is not UTF-8 is read as one, as in [`scan`].
pub(in crate::db::sqlite) fn rows(
    connection: &Connection,
    sql: &str,
    args: &[Cell],
) -> rusqlite::Result<Vec<Vec<Cell>>> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(args.iter().map(value)))?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        let cells = (0..columns).map(|index| Ok(cell(row.get_ref(index)?)));
        found.push(cells.collect::<rusqlite::Result<_>>()?);
    }
    Ok(found)
}

/// Hands over the rows of one statement. In the order in which the rows are stored, if the statement asks for no other. It blocks the
/// task that it is called in.
pub(in crate::db::sqlite) fn scan(
    connection: &Connection,
    sql: &str,
    args: &[Cell],
    each: Each<'_>,
) -> anyhow::Result<()> {
    let mut statement = connection.prepare(sql)?;
    let columns = statement.column_count();
    let mut rows = statement.query(rusqlite::params_from_iter(args.iter().map(value)))?;
    while let Some(row) = rows.next()? {
        let mut cells = Vec::with_capacity(columns);
        let mut broken = Vec::new();
        for index in 0..columns {
            cells.push(match row.get_ref(index)? {
                ValueRef::Null => CellRef::Null,
                ValueRef::Integer(number) => CellRef::Int(number),
                ValueRef::Real(number) => CellRef::Real(number),
                ValueRef::Blob(bytes) => CellRef::Blob(bytes),
                ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                    Ok(text) => CellRef::Text(text),
                    Err(_) => {
                        broken.push((index, String::from_utf8_lossy(bytes)));
                        CellRef::Null
                    }
                },
            });
        }
        for (index, text) in &broken {
            cells[*index] = CellRef::Text(text);
        }
        if each(&cells)?.is_break() {
            break;
        }
    }
    Ok(())
}
