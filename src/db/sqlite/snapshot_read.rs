//! SQLite: one read transaction, or a copy if that would block the application's writes.

use super::file::Opened;
use super::{file, reader as base};
use crate::cli_error::CliError;
use crate::db::snapshot_read::{Moment, SnapshotRead, over, reads_only, too_long};
use crate::db::{Db, Each, Query, Target, Tried, Writer};
use crate::model::{Cell, Table};
use anyhow::Context as _;
use std::ops::ControlFlow;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// How many steps of the engine's machine pass between two looks at the clock.
const STEPS: i32 = 10_000;

/// How long a read waits for a writer's commit.
const WAIT: Duration = Duration::from_secs(5);

/// Each connection of SQLite has a separate snapshot.
const ALONE: &str = "The store is read in one range: connections to SQLite cannot share a snapshot, and one \
    connection already reads at the speed of the file.";

struct Sqlite {
    target: Target,
    reader: Mutex<Opened>,
    moment: Moment,
    limit: Duration,
    deadline: Instant,
}

pub(super) fn open(
    target: Target,
    limit: Duration,
    count: usize,
) -> anyhow::Result<Vec<Box<dyn SnapshotRead>>> {
    let deadline = Instant::now() + limit;
    let reader = Opened::open(&target, limit.min(WAIT))?;
    let mut moment = Moment::default();
    // Readers of a log keep nobody from writing, for as long as they like.
    let reader = if reader.locks() {
        file::copy(&reader, &target, deadline)?
    } else {
        begun(reader, &target)?
    };
    if count > 1 {
        moment.warnings.push(ALONE.to_owned());
    }
    let late = move || Instant::now() > deadline || file::is_stopped();
    reader.progress_handler(STEPS, Some(late))?;
    Ok(vec![Box::new(Sqlite {
        target,
        reader: Mutex::new(reader),
        moment,
        limit,
        deadline,
    })])
}

/// A transaction begins to see with its first read.
fn begun(reader: Opened, target: &Target) -> anyhow::Result<Opened> {
    let begin = "BEGIN; SELECT count(*) FROM sqlite_master";
    let done = reader.execute_batch(begin);
    done.with_context(|| format!("reading `{target}`"))?;
    Ok(reader)
}

impl Sqlite {
    fn read(&self, sql: &str, args: &[Cell], each: Each<'_>) -> anyhow::Result<()> {
        if Instant::now() > self.deadline {
            return Err(over(&self.target).into());
        }
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        let done = file::scan(&reader, sql, args, each);
        done.map_err(|error| match Instant::now() > self.deadline {
            _ if file::is_stopped() => CliError::interrupted().into(),
            true => too_long(&self.target, self.limit).into(),
            false => error.context(format!("reading `{}`", self.target)),
        })
    }
}

impl Db for Sqlite {
    fn target(&self) -> &Target {
        &self.target
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

    fn query(&self, _: Query) -> Tried<'_, ()> {
        reads_only(&self.target)
    }

    fn writer(&self, _: Duration) -> Tried<'_, Box<dyn Writer>> {
        reads_only(&self.target)
    }
}

impl SnapshotRead for Sqlite {
    fn moment(&self) -> &Moment {
        &self.moment
    }

    /// A transaction sees no change of the schema, and a copy has none. A file that was read without
    /// a lock must be the same still.
    fn unchanged(&self) -> Tried<'_, ()> {
        Box::pin(async move {
            self.read("SELECT 1", &[], &mut |_| Ok(ControlFlow::Break(())))?;
            let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
            if reader.is_current() {
                Ok(())
            } else {
                Err(file::written(&self.target).into())
            }
        })
    }
}
