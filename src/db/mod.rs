//! Databases: one folder per backend, with native drivers behind [`Db`]. sqlx is used only here.
//!
//! The traits and the tables are in the files of this folder, which name no backend; a backend's row
//! leads from here into its folder.

mod backend;
mod catalog;
mod client_tools;
mod driver;
mod dump;
mod evidence;
mod foreign_url;
mod mysql;
mod postgres;
mod query;
mod reader;
mod safety;
mod scratch;
mod sentinel;
mod server;
mod session;
mod snapshot_read;
mod sqlite;
mod target;

pub use catalog::{Catalog, Started};
pub use dump::{Dump, Restore, refused, unusable};
pub use evidence::{Depth, Facts, Mark, Marks};
pub use query::{Query, QueryColumn, QueryOutput, QueryRow};
pub use reader::{BoxFuture, Db, Each, Reading, Tried, WordIndex, WriteError, Writer};
pub use safety::Durability;
pub use scratch::{CONFINE, Extent, Scratch};
pub use sentinel::Act;
pub use server::{grant, is_missing_table};
pub use session::{
    Access, Copied, Copying, Door, Failed, ForeignKey, Found, HISTORY as HISTORY_TABLE,
    Interrupter, Isolation, Measure, Missing, Needs, OWN as OWN_TABLES, Object, Orphan, Placed,
    PlacedRows, Reached, Reader, SESSION_PRAGMAS, SWITCHED_OFF, Seeds, Session, UNREAD, Waits, Why,
    reached,
};
pub use snapshot_read::{Log, Moment, SnapshotRead};
pub use sqlite::{Undone, stop_reading, where_else};
pub use target::{Login, Target, Tls};

use crate::model::Engine;
use crate::sql::Dialect;
use backend::Backend;
use std::time::Duration;

/// Opens a database, read-only; each read sees what is committed by then.
pub async fn open(target: Target) -> anyhow::Result<Box<dyn Db>> {
    open_for(target, Reading::Live).await
}

/// Opens a database, read-only, to be read for long without being in anybody's way.
pub async fn open_unobtrusive(target: Target) -> anyhow::Result<Box<dyn Db>> {
    open_for(target, Reading::Unobtrusive).await
}

async fn open_for(target: Target, reading: Reading) -> anyhow::Result<Box<dyn Db>> {
    (row(target.engine()).open)(target, reading).await
}

/// The row of an engine. An engine without one does not compile.
fn row(engine: Engine) -> &'static Backend {
    match engine {
        Engine::Sqlite => &sqlite::BACKEND,
        Engine::Postgres => &postgres::BACKEND,
        Engine::Mysql => &mysql::BACKEND,
    }
}

/// How a whole database of an engine is written to a file, checked and brought back.
pub fn dump(engine: Engine) -> &'static Dump {
    row(engine).dump
}

/// Whose SQL an engine speaks.
pub fn dialect(engine: Engine) -> Dialect {
    row(engine).dialect
}

/// What an engine's catalogue and SQL are like.
pub fn catalog(engine: Engine) -> &'static Catalog {
    row(engine).catalog
}

/// Opens a view of a database in which these tables are kept as they are; with none named, all of
/// them. It holds a transaction open for as long as it lives, `limit` at most.
pub async fn open_snapshot_read(
    target: Target,
    tables: &[String],
    limit: Duration,
) -> anyhow::Result<Box<dyn SnapshotRead>> {
    let mut views = open_several_snapshot_reads(target, tables, limit, 1).await?;
    Ok(views.swap_remove(0))
}

/// Opens views of one and the same moment, each on a connection of its own, to read at a time.
///
/// They are `count`, or one where the moment can't be shared; its warnings say why then.
pub async fn open_several_snapshot_reads(
    target: Target,
    tables: &[String],
    limit: Duration,
    count: usize,
) -> anyhow::Result<Vec<Box<dyn SnapshotRead>>> {
    (row(target.engine()).open_snapshot_read)(target, tables, limit, count).await
}

/// Opens a connection that migrates.
pub fn open_session(
    target: &Target,
    missing: Missing,
    waits: Waits,
) -> anyhow::Result<Box<dyn Session>> {
    (row(target.engine()).open_session)(target, missing, waits)
}

/// Opens a connection to a database that is there.
pub fn enter(door: Door<'_>, waits: Waits) -> anyhow::Result<Box<dyn Session>> {
    match door {
        Door::Database(target) => open_session(target, Missing::Fail, waits),
        Door::Copy(copy) => mysql::open_copy(&copy, waits),
    }
}

/// Refuses statements that could do more than read, or that are more than one each; none is run. For
/// text that is in a file and becomes a part of statements.
pub async fn judge(target: &Target, statements: Vec<String>) -> anyhow::Result<()> {
    (row(target.engine()).judge)(target, statements).await
}
