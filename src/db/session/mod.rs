//! A connection that migrates SQLite: one transaction, statement by statement, measured.

mod compare;
mod guard;
mod measure;
#[cfg(test)]
mod tests;

use super::Target;
use crate::model::Cell;
use anyhow::Context as _;
use rusqlite::Batch;
use rusqlite::Connection;
use rusqlite::InterruptHandle;
use rusqlite::OpenFlags;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::AuthContext;
use rusqlite::hooks::Authorization;
use rusqlite::types::ValueRef;
use std::collections::BTreeMap;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// By column: values that became NULL, and values that are other ones.
pub type Compared = BTreeMap<String, (u64, u64)>;

/// Whether a database that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is made.
    Create,
    /// It is an error.
    Fail,
    /// It is an error, and nothing is ever written: not even a write-ahead log is folded in.
    Look,
}

/// A connection of its own. Dropping it rolls back what was not committed.
pub struct Session {
    connection: Connection,
    /// Two keyed hashes make 128 bits; the keys are new in every run, so nobody can prepare a collision.
    hashes: [RandomState; 2],
}

/// A statement that failed.
#[derive(Debug)]
pub struct Failed {
    /// What the database said, or why the statement was not let through.
    pub message: String,
    /// The statement's number in its text, from 0.
    pub statement: usize,
    /// Whether another connection held a lock that it needs.
    pub busy: bool,
}

impl Session {
    /// Opens the database; `wait` bounds how long a statement waits for a lock.
    pub fn open(target: &Target, missing: Missing, wait: Duration) -> anyhow::Result<Self> {
        let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags |= match (missing, target.read_only()) {
            (Missing::Look, _) | (_, true) => OpenFlags::SQLITE_OPEN_READ_ONLY,
            (Missing::Create, false) => {
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
            }
            (Missing::Fail, false) => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let connection = Connection::open_with_flags(target.path(), flags)
            .with_context(|| format!("opening `{target}`"))?;
        connection.busy_timeout(wait)?;
        Ok(Self {
            connection,
            hashes: [RandomState::new(), RandomState::new()],
        })
    }

    /// Stops a statement that runs, from another thread.
    pub fn interrupter(&self) -> InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    /// Runs chatctl's own statement.
    pub fn command(&self, sql: &str) -> Result<(), Failed> {
        self.connection
            .execute_batch(sql)
            .map_err(|error| failed(&error, 0))
    }

    /// Runs a migration's statements one by one, but none that would get around what is measured;
    /// `each` is called after every one with its number.
    pub fn run(
        &self,
        sql: &str,
        history: &str,
        each: impl FnMut(usize) -> anyhow::Result<()>,
    ) -> Result<(), Failed> {
        let (history, why) = (history.to_owned(), Arc::new(Mutex::new(None)));
        let told = Arc::clone(&why);
        let judge =
            move |context: AuthContext<'_>| match guard::forbidden(&context.action, &history) {
                None => Authorization::Allow,
                Some(reason) => {
                    *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                    Authorization::Deny
                }
            };
        self.connection
            .authorizer(Some(judge))
            .map_err(|error| failed(&error, 0))?;
        let done = self.run_each(sql, each);
        let freed = self
            .connection
            .authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
        let reason = why.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (done, reason) {
            (Err(failed), Some(reason)) => Err(Failed {
                message: reason,
                ..failed
            }),
            (Err(failed), None) => Err(failed),
            (Ok(()), _) => freed.map_err(|error| failed(&error, 0)),
        }
    }

    fn run_each(
        &self,
        sql: &str,
        mut each: impl FnMut(usize) -> anyhow::Result<()>,
    ) -> Result<(), Failed> {
        let mut batch = Batch::new(&self.connection, sql);
        let mut number = 0;
        while let Some(mut statement) = batch.next().map_err(|error| failed(&error, number))? {
            let mut rows = statement.raw_query();
            while rows
                .next()
                .map_err(|error| failed(&error, number))?
                .is_some()
            {}
            drop(rows);
            each(number).map_err(|error| Failed {
                message: format!("{error:#}"),
                statement: number,
                busy: false,
            })?;
            number += 1;
        }
        Ok(())
    }

    /// Runs one statement with values.
    pub fn execute(&self, sql: &str, args: &[Cell]) -> anyhow::Result<()> {
        self.connection
            .execute(sql, rusqlite::params_from_iter(args.iter().map(value)))?;
        Ok(())
    }

    /// The rows that a statement gives.
    pub fn rows(&self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|index| Ok(cell(row.get_ref(index)?)));
            found.push(cells.collect::<anyhow::Result<_>>()?);
        }
        Ok(found)
    }
}

fn failed(error: &rusqlite::Error, statement: usize) -> Failed {
    Failed {
        message: error.to_string(),
        statement,
        busy: matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        ),
    }
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

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
