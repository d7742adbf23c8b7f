//! A backend: what each engine's folder gives to the rest of the program.

use super::{Db, Missing, Reading, Session, Steady, Target, Tried, Waits};
use std::time::Duration;

/// Where the databases of a backend are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Each in a file.
    File,
    /// With a server, which listens on this port if the URL names none.
    Server(u16),
}

/// A backend: how its URLs begin, and how to open one.
pub struct Backend {
    /// The name in reports: `sqlite`.
    pub name: &'static str,
    /// URL schemes that belong to it.
    pub schemes: &'static [&'static str],
    /// Where it is.
    pub place: Place,
    /// Opens an existing database, read-only; never creates one.
    pub(super) open: fn(Target, Reading) -> Tried<'static, Box<dyn Db>>,
    /// Opens views of one moment, read-only, in which the named tables are kept as they are; see
    /// [`super::open_several_steady`].
    pub(super) open_steady: OpenSteady,
    /// Opens a connection that migrates.
    pub(super) open_session: fn(&Target, Missing, Waits) -> anyhow::Result<Box<dyn Session>>,
    /// Refuses statements that could do more than read, without running them.
    pub(super) judge: for<'a> fn(&'a Target, Vec<String>) -> Tried<'a, ()>,
}

/// Opens so many views, each of these tables and for at most this long.
pub(super) type OpenSteady =
    for<'a> fn(Target, &'a [String], Duration, usize) -> Tried<'a, Vec<Box<dyn Steady>>>;
