//! SQLite's own write lock, by `BEGIN IMMEDIATE`: works wherever SQLite works.
//!
//! It can't count the writes that pass in a step, so it proves violations and never an order.

use super::{Closed, Fails, Gate, How, Kind, LockTarget, Step, Waiting, fault};
use crate::cli_error::CliError;
use crate::clock;
use crate::clock::Tick;
use crate::db::{Db, Tried, WriteError, Writer};
use crate::model::Engine;
use std::time::Duration;
use tokio::sync::watch;

pub(super) const KIND: Kind = Kind {
    name: "begin-immediate",
    engines: &[Engine::Sqlite],
    what: "every write to the database file, by a write transaction of chatctl itself (released when chatctl \
        ends, but not while it is stopped)",
    how: How::Lock(|on| Box::pin(open(on))),
    fault: Fails::ByTriggers(&fault::SQLITE),
    sweep: None,
};

/// How long closing may wait for another writer.
const CLOSE_WAIT: Duration = Duration::from_millis(400);
/// How long a step waits for a writer to come.
const STEP_WAIT: Duration = Duration::from_millis(400);
const RETRY: Duration = Duration::from_micros(500);

struct BeginImmediate {
    holder: Box<dyn Writer>,
    witness: Box<dyn Writer>,
    closed: bool,
}

async fn open(on: LockTarget<'_>) -> anyhow::Result<Box<dyn Gate>> {
    let db = on.db;
    Ok(Box::new(BeginImmediate {
        holder: writer(db).await?,
        witness: writer(db).await?,
        closed: false,
    }))
}

/// A connection that gets no patience: being told "busy" is the measurement.
pub(super) async fn writer(db: &dyn Db) -> anyhow::Result<Box<dyn Writer>> {
    db.writer(Duration::ZERO)
        .await
        .map_err(|error| match error.downcast_ref::<WriteError>() {
            Some(WriteError::ReadOnly) => read_only(db).into(),
            _ => error,
        })
}

/// A write lock on a read-only database succeeds and locks nothing.
pub(super) fn read_only(db: &dyn Db) -> CliError {
    CliError::unreachable(format!(
        "`{}` is read-only, so a gate would lock nothing",
        db.target()
    ))
    .hint("give a writable URL of the same database, or use --proof observe")
}

/// Tries a write transaction and gives it back at once. `Busy` is what a closed gate answers.
pub(super) async fn try_write(witness: &mut dyn Writer) -> Result<(), WriteError> {
    witness.execute("BEGIN IMMEDIATE").await?;
    witness.execute("ROLLBACK").await
}

impl BeginImmediate {
    async fn lock(&mut self, patience: Duration) -> anyhow::Result<bool> {
        let deadline = clock::now() + patience;
        loop {
            match self.holder.execute("BEGIN IMMEDIATE").await {
                Ok(()) => {
                    self.closed = true;
                    return Ok(true);
                }
                Err(WriteError::Busy) if clock::now() < deadline => tokio::time::sleep(RETRY).await,
                Err(WriteError::Busy) => return Ok(false),
                Err(error) => return Err(error.into()),
            }
        }
    }
}

impl Gate for BeginImmediate {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn close(&mut self) -> Tried<'_, Closed> {
        Box::pin(async move {
            if !self.lock(CLOSE_WAIT).await? {
                return Ok(Closed::WriterInTheWay);
            }
            let at = clock::now();
            match try_write(self.witness.as_mut()).await {
                Err(WriteError::Busy) => Ok(Closed::Held {
                    at,
                    verified: "a second connection's BEGIN IMMEDIATE was answered SQLITE_BUSY"
                        .into(),
                }),
                Ok(()) => anyhow::bail!("the lock did not hold: a second connection could write"),
                Err(error) => Err(error.into()),
            }
        })
    }

    fn waiting(&mut self) -> Tried<'_, Waiting> {
        Box::pin(async { Ok(Waiting::Unobservable) })
    }

    fn step(&mut self, seen: watch::Receiver<bool>) -> Tried<'_, Step> {
        Box::pin(async move {
            let before = self.witness.value("PRAGMA data_version").await?;
            let opened = self.open().await?;
            let deadline = opened + STEP_WAIT;
            let mut writer_after = None;
            while clock::now() < deadline && !*seen.borrow() {
                if self.witness.value("PRAGMA data_version").await? != before {
                    writer_after = Some(clock::now() - opened);
                    break;
                }
                tokio::time::sleep(RETRY).await;
            }
            anyhow::ensure!(
                self.lock(CLOSE_WAIT).await?,
                "the gate could not be closed again"
            );
            Ok(Step {
                opened,
                closed: clock::now(),
                writes: None,
                writer_after,
            })
        })
    }

    fn open(&mut self) -> Tried<'_, Tick> {
        Box::pin(async move {
            if self.closed {
                self.holder.execute("ROLLBACK").await?;
                self.closed = false;
            }
            Ok(clock::now())
        })
    }
}
