//! `chatctl inspect tables`: lists the tables and their sizes.

use super::show;
use crate::commands::Env;
use crate::db::Db;
use crate::model::{Cell, Value};
use crate::report::{Column, Head, Holds, Note, Piece, Sheet};

/// Tables with more rows are not counted to their end.
const COUNTED: u64 = 1_000_000;

/// List the tables: rows, size, last write, and what identifies each one
///
/// `evidence` holds what the database stores about a table's identity. If it differs from an earlier
/// run, the table was recreated or rewritten, even if its rows are the same.
#[derive(Debug, clap::Args)]
pub(super) struct Args {}

pub(super) async fn run(_args: &Args, db: &dyn Db, env: &Env) -> anyhow::Result<()> {
    let catalog = db.catalog();
    let tables = db.rows(catalog.tables, &[]).await?;
    let head = Sheet {
        command: "inspect tables",
        title: format!("tables of {}", db.target()),
        columns: vec![
            Column::of(Holds::Names, "table"),
            Column::number("rows"),
            Column::number("bytes").spare(1),
            Column::of(Holds::Times, "last write").spare(2),
            Column::text("evidence").spare(0),
        ],
    };
    show(env, Piece::Head(Head::Sheet(head))).await;
    let mut estimated = false;
    for row in &tables {
        let rows = count(db, &row[0].to_string(), &row[1]).await?;
        estimated |= matches!(rows, Value::Text(_));
        let values = vec![
            row[0].to_string().into(),
            rows,
            value(&row[2]),
            value(&row[3]),
            value(&row[4]),
        ];
        show(env, Piece::Row(values)).await;
    }
    let more_than = format!(
        "`~`: more than {COUNTED} rows; chatctl did not count them, and the number is the engine's estimate"
    );
    let notes = [catalog.last_write].map(str::to_owned);
    for text in notes.into_iter().chain(estimated.then_some(more_than)) {
        show(env, Piece::Note(Note { text, cut: false })).await;
    }
    Ok(())
}

/// How many rows: counted, or what the engine thinks when there are many.
async fn count(db: &dyn Db, table: &str, estimate: &Cell) -> anyhow::Result<Value> {
    let table = db.quote(table);
    let limit = COUNTED + 1;
    let sql = format!("SELECT count(*) FROM (SELECT 1 FROM {table} LIMIT {limit}) counted");
    let rows = db.rows(&sql, &[]).await?;
    let counted = rows.first().and_then(|row| row[0].int()).unwrap_or(0);
    Ok(match u64::try_from(counted) {
        Ok(counted) if counted <= COUNTED => Value::Number(counted.to_string()),
        _ => Value::Text(format!("~{}", estimate.int().unwrap_or(0).max(counted))),
    })
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Int(number) => Value::Number(number.to_string()),
        other => Value::number(other.to_string()),
    }
}
