//! Databases: a folder each backend, with native drivers behind [`Db`]. sqlx is named only here.
//!
//! The traits and the tables are in the files of this folder, which name no backend; a backend's row
//! leads from here into its folder.

mod backend;
mod catalog;
mod mysql;
mod postgres;
mod query;
mod reader;
mod server;
mod session;
mod sqlite;
mod steady;
mod target;

pub use backend::{Backend, Place};
pub use catalog::Catalog;
pub use query::{Answer, Named, Query, Row};
pub use reader::{BoxFuture, Db, Each, Reading, Tried, WordIndex, WriteError, Writer};
pub use session::{
    Copied, Door, Failed, HISTORY as HISTORY_TABLE, Interrupter, Isolation, Measure, Missing,
    OWN as OWN_TABLES, Object, SENTINEL_COMMENT, SENTINEL_INDEX, Session, Waits,
};
pub use sqlite::{overwrite, stop_reading, where_else};
pub use steady::{Log, Moment, Steady};
pub use target::{Login, Target, Tls};

use std::time::Duration;

/// Every backend.
pub static ALL: &[Backend] = &[sqlite::BACKEND, postgres::BACKEND, mysql::BACKEND];

/// Opens a database, read-only; each read sees what is committed by then.
pub async fn open(target: Target) -> anyhow::Result<Box<dyn Db>> {
    open_for(target, Reading::Live).await
}

/// Opens a database, read-only, to be read for long without being in anybody's way.
pub async fn open_aside(target: Target) -> anyhow::Result<Box<dyn Db>> {
    open_for(target, Reading::Aside).await
}

async fn open_for(target: Target, reading: Reading) -> anyhow::Result<Box<dyn Db>> {
    (backend(&target).open)(target, reading).await
}

fn backend(target: &Target) -> &'static Backend {
    ALL.iter()
        .find(|backend| backend.name == target.backend())
        .expect("a target is only made for a backend of the table")
}

/// Opens a view of a database in which these tables are kept as they are; with none named, all of
/// them. It holds a transaction open for as long as it lives, `limit` at most.
pub async fn open_steady(
    target: Target,
    tables: &[String],
    limit: Duration,
) -> anyhow::Result<Box<dyn Steady>> {
    let mut views = open_several_steady(target, tables, limit, 1).await?;
    Ok(views.swap_remove(0))
}

/// Opens views of one and the same moment, each on a connection of its own, to read at a time.
///
/// They are `count`, or one where the moment can't be shared; its warnings say why then.
pub async fn open_several_steady(
    target: Target,
    tables: &[String],
    limit: Duration,
    count: usize,
) -> anyhow::Result<Vec<Box<dyn Steady>>> {
    (backend(&target).open_steady)(target, tables, limit, count).await
}

/// Opens a connection that migrates.
pub fn open_session(
    target: &Target,
    missing: Missing,
    waits: Waits,
) -> anyhow::Result<Box<dyn Session>> {
    (backend(target).open_session)(target, missing, waits)
}

/// Opens a connection to a database that is there.
pub fn enter(door: Door<'_>, waits: Waits) -> anyhow::Result<Box<dyn Session>> {
    match door {
        Door::Database(target) => open_session(target, Missing::Fail, waits),
        Door::Copy(copy) => mysql::open_copy(&copy, waits),
    }
}

/// Refuses statements that could do more than read, or that are more than one each; none is run. For
/// text that stands in a file and becomes a part of statements.
pub async fn judge(target: &Target, statements: Vec<String>) -> anyhow::Result<()> {
    (backend(target).judge)(target, statements).await
}
