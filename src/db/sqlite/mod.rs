//! SQLite, embedded.

mod catalog;
mod dump;
mod evidence;
mod file;
mod query;
mod reader;
mod sentinel;
mod session;
mod snapshot_read;
mod values;

pub use file::{Undone, stop_reading, where_else};

use super::scratch::Place;
use super::{Backend, Db};
use crate::sql::Dialect;

pub(super) static BACKEND: Backend = Backend {
    dialect: Dialect::Sqlite,
    catalog: &catalog::CATALOG,
    open: |target, reading| {
        Box::pin(async move {
            Ok(Box::new(reader::Sqlite::open(target, reading).await?) as Box<dyn Db>)
        })
    },
    open_snapshot_read: |target, _, limit, count| {
        Box::pin(async move { snapshot_read::open(target, limit, count) })
    },
    open_session: session::open,
    dump: &dump::DUMP,
    scratch: Place::File {
        copy: dump::copy_into,
    },
    judge: |target, statements| {
        Box::pin(async move {
            let target = target.clone();
            let judged = move || query::judged(&target, reader::READ_WAIT, &statements);
            tokio::task::spawn_blocking(judged).await?
        })
    },
};
