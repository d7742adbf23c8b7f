//! SQLite: one read transaction, or a copy where that would keep the application from writing.

mod copy;
mod reader;

use super::Moment;
use super::Steady;
use super::over;
use super::reads_only;
use super::too_long;
use crate::db::Catalog;
use crate::db::Db;
use crate::db::Each;
use crate::db::Target;
use crate::db::Tried;
use crate::db::Writer;
use crate::db::catalog;
use crate::db::sqlite as base;
use crate::model::Cell;
use crate::model::CellRef;
use crate::model::Table;
use anyhow::Context as _;
use reader::Reader;
use rusqlite::Connection;
use rusqlite::types::ValueRef;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;
use std::time::Instant;

/// How many steps of the engine's machine pass between two looks at the clock.
const STEPS: i32 = 10_000;

/// How long a read that has no limit waits for a writer's commit.
const WAIT: Duration = Duration::from_secs(5);

/// Each connection of SQLite has a moment of its own.
const ALONE: &str = "The store is read in one range: connections to SQLite share no moment, and one reads as fast as a file is read.";

struct Sqlite {
    target: Target,
    reader: Mutex<Reader>,
    moment: Moment,
    limit: Duration,
    deadline: Instant,
}

pub(super) fn open(
    target: Target,
    limit: Duration,
    count: usize,
) -> anyhow::Result<Vec<Box<dyn Steady>>> {
    let deadline = Instant::now() + limit;
    let reader = Reader::open(&target, limit)?;
    let mut moment = Moment::default();
    moment.warnings.extend(reader.warning.clone());
    let reader = match reader.mode(&target)? {
        // Readers keep nobody from writing, for as long as they like.
        mode if mode == "wal" || reader.is_alone => begun(reader, &target)?,
        _ => match copy::of(&reader, &target, deadline)? {
            Some(copy) => copy,
            None => {
                moment.warnings.push(format!(
                    "`{target}` has no write-ahead log and there is no room for a copy of it in {}: \
                     its writers wait until it is read.",
                    std::env::temp_dir().display()
                ));
                begun(reader, &target)?
            }
        },
    };
    if count > 1 {
        moment.warnings.push(ALONE.to_owned());
    }
    let late = move || Instant::now() > deadline;
    reader.connection.progress_handler(STEPS, Some(late))?;
    Ok(vec![Box::new(Sqlite {
        target,
        reader: Mutex::new(reader),
        moment,
        limit,
        deadline,
    })])
}

/// A transaction begins to see with its first read.
fn begun(reader: Reader, target: &Target) -> anyhow::Result<Reader> {
    let begin = "BEGIN; SELECT count(*) FROM sqlite_master";
    let done = reader.connection.execute_batch(begin);
    done.with_context(|| format!("reading `{target}`"))?;
    Ok(reader)
}

impl Sqlite {
    fn read(&self, sql: &str, args: &[Cell], each: Each<'_>) -> anyhow::Result<()> {
        if Instant::now() > self.deadline {
            return Err(over(&self.target).into());
        }
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let done = read(&reader.connection, sql, args, each);
        done.map_err(|error| match Instant::now() > self.deadline {
            true => too_long(&self.target, self.limit).into(),
            false => error.context(format!("reading `{}`", self.target)),
        })
    }
}

impl Db for Sqlite {
    fn target(&self) -> &Target {
        &self.target
    }

    fn catalog(&self) -> &'static Catalog {
        &catalog::SQLITE
    }

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(base::schema(self))
    }

    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>> {
        Box::pin(async move {
            let mut rows = Vec::new();
            self.read(sql, args, &mut |row| {
                rows.push(row.iter().map(|cell| Cell::from(*cell)).collect());
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(rows)
        })
    }

    fn scan<'a>(&'a self, sql: &'a str, args: &'a [Cell], each: Each<'a>) -> Tried<'a, ()> {
        Box::pin(async move { self.read(sql, args, each) })
    }

    fn writer(&self, _: Duration) -> Tried<'_, Box<dyn Writer>> {
        Box::pin(async move { Err(reads_only(&self.target).into()) })
    }
}

impl Steady for Sqlite {
    fn moment(&self) -> &Moment {
        &self.moment
    }

    /// A transaction sees no change of the schema, and a copy has none.
    fn unchanged(&self) -> Tried<'_, ()> {
        Box::pin(async move { self.read("SELECT 1", &[], &mut |_| Ok(ControlFlow::Break(()))) })
    }
}

/// Hands over the rows of one statement, on a connection of its own.
pub(in crate::db) fn scan(
    target: &Target,
    sql: &str,
    args: &[Cell],
    each: Each<'_>,
) -> anyhow::Result<()> {
    let reader = Reader::open(target, WAIT)?;
    let done = read(&reader.connection, sql, args, each);
    done.with_context(|| format!("reading `{target}`"))
}

/// In the order in which the rows are stored, if the statement asks for no other. It blocks the
/// task that it is called in.
fn read(connection: &Connection, sql: &str, args: &[Cell], each: Each<'_>) -> anyhow::Result<()> {
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

fn value(cell: &Cell) -> rusqlite::types::Value {
    match cell {
        Cell::Null => rusqlite::types::Value::Null,
        Cell::Int(number) => rusqlite::types::Value::Integer(*number),
        Cell::Real(number) => rusqlite::types::Value::Real(*number),
        Cell::Text(text) => rusqlite::types::Value::Text(text.clone()),
        Cell::Blob(bytes) => rusqlite::types::Value::Blob(bytes.clone()),
    }
}
