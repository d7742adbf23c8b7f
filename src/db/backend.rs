//! A backend: the interface of each engine's folder to the rest of the program.

use super::scratch::Place;
use super::{Catalog, Db, Dump, Missing, Reading, Session, SnapshotRead, Target, Tried, Waits};
use crate::sql::Dialect;
use std::time::Duration;

/// A backend: what the rest of `db` asks an engine's folder for.
pub(super) struct Backend {
    /// Whose SQL it speaks.
    pub(super) dialect: Dialect,
    /// What its catalogue answers, and how its SQL is written.
    pub(super) catalog: &'static Catalog,
    /// Opens an existing database, read-only; never creates one.
    pub(super) open: fn(Target, Reading) -> Tried<'static, Box<dyn Db>>,
    /// Opens views of one moment, read-only, in which the named tables are kept as they are; see
    /// [`super::open_several_snapshot_reads`].
    pub(super) open_snapshot_read: OpenSnapshotRead,
    /// Opens a connection that migrates.
    pub(super) open_session: fn(&Target, Missing, Waits) -> anyhow::Result<Box<dyn Session>>,
    /// How the whole database is written to a file and brought back.
    pub(super) dump: &'static Dump,
    /// Where databases are made to try things on.
    pub(super) scratch: Place,
    /// Refuses statements that could do more than read, without running them.
    pub(super) judge: for<'a> fn(&'a Target, Vec<String>) -> Tried<'a, ()>,
}

/// Opens so many views, each of these tables and for at most this long.
pub(super) type OpenSnapshotRead =
    for<'a> fn(Target, &'a [String], Duration, usize) -> Tried<'a, Vec<Box<dyn SnapshotRead>>>;
