//! Views of one moment, and reading rows by the million.
//!
//! All that is read through a [`SnapshotRead`] is from the same moment, whatever the servers that use the
//! store do meanwhile, and a table that is emptied or dropped under it is never taken for one whose
//! rows are gone: the engine is asked to keep the tables before the moment is fixed.

use super::{Db, Target, Tried};
use crate::cli_error::CliError;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// A database at one moment, read-only.
///
/// It is over with the first read that fails or is given up, or after its time limit.
pub trait SnapshotRead: Db {
    /// How the moment was fixed.
    fn moment(&self) -> &Moment;

    /// Fails if one of the view's tables is not the one any more that it was when the view was
    /// made: then what was read is worth nothing. To be asked after the last read.
    fn unchanged(&self) -> Tried<'_, ()>;
}

/// How the moment of a view was fixed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Moment {
    /// What whoever reads the results should know, in whole sentences.
    pub warnings: Vec<String>,
    /// PostgreSQL's `pg_current_snapshot()`: which transactions the view doesn't see although they
    /// began before it; a standby doesn't list them. None elsewhere.
    pub snapshot: Option<String>,
    /// Where in PostgreSQL's write-ahead log the moment is. None elsewhere.
    pub log: Option<Log>,
}

/// Where in a write-ahead log a moment is, in bytes from its beginning: between two places, for
/// neither can be asked at the moment itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Log {
    /// What was committed before this place is seen.
    pub from: u64,
    /// What is seen was committed before this place.
    pub to: u64,
    /// Whether the log is another server's, and is replayed here.
    pub standby: bool,
}

impl Log {
    /// A place as PostgreSQL prints it.
    pub fn printed(place: u64) -> String {
        format!("{:X}/{:X}", place >> 32, place & 0xffff_ffff)
    }
}

/// The connection of a view, for one read at a time and until the view's time is over.
pub(super) struct ViewConnection<C> {
    target: Target,
    /// Taken out for each read and put back when it went well: a connection that was left in the
    /// middle of an answer would give the rest of it as the answer to the next question.
    connection: Mutex<Option<C>>,
    limit: Duration,
    deadline: Instant,
    failed: Explain,
}

/// What an error of a read means.
type Explain = fn(&Target, anyhow::Error) -> anyhow::Error;

impl<C> ViewConnection<C> {
    /// A view that ends `limit` after it was begun.
    pub(super) fn new(
        target: Target,
        connection: C,
        begun: Instant,
        limit: Duration,
        failed: Explain,
    ) -> Self {
        Self {
            target,
            connection: Mutex::new(Some(connection)),
            limit,
            deadline: begun + limit,
            failed,
        }
    }

    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// Another connection for the same view.
    pub(super) fn with(&self, connection: C) -> Self {
        Self {
            target: self.target.clone(),
            connection: Mutex::new(Some(connection)),
            ..*self
        }
    }

    /// How long the view may last in all.
    pub(super) fn limit(&self) -> Duration {
        self.limit
    }

    /// Lets a read have the connection.
    pub(super) async fn read<T, F>(&self, read: impl FnOnce(C) -> F) -> anyhow::Result<T>
    where
        F: Future<Output = anyhow::Result<(C, T)>>,
    {
        let mut place = self.connection.lock().await;
        let connection = place.take().ok_or_else(|| over(&self.target))?;
        let done = tokio::time::timeout_at(self.deadline, read(connection)).await;
        let done = done.map_err(|_| too_long(&self.target, self.limit))?;
        let (connection, value) = done.map_err(|error| (self.failed)(&self.target, error))?;
        *place = Some(connection);
        Ok(value)
    }
}

/// The view is over, by an error or by its limit.
pub(super) fn over(target: &Target) -> CliError {
    CliError::unreachable(format!(
        "the snapshot of `{target}` has ended: an earlier read failed or took too long"
    ))
    .hint("take the snapshot again, with more time for it")
}

pub(super) fn too_long(target: &Target, limit: Duration) -> CliError {
    CliError::unreachable(format!(
        "reading `{target}` took longer than the {limit:?} that a transaction may last"
    ))
    .hint("give it more time, or read at a quieter time")
}

/// Tables were dropped, made or emptied at the moment of the view.
pub(super) fn redefined(target: &Target) -> CliError {
    CliError::unreachable(format!(
        "tables of `{target}` were redefined while they were read"
    ))
    .hint("wait until the schema change is over, and read again")
}

/// A view reads, and everything that writes has a connection of its own.
pub(super) fn reads_only<T>(target: &Target) -> Tried<'_, T> {
    let stop = CliError::refused(format!(
        "a snapshot view of `{target}` runs only chatctl's own queries"
    ));
    Box::pin(async move { Err(stop.into()) })
}
