//! PostgreSQL.

mod catalog;
mod connection;
mod dump;
mod error;
mod evidence;
mod query;
mod reader;
mod safety;
mod scratch;
mod sentinel;
mod session;
mod snapshot_read;
mod stretches;
mod tools;
mod values;

use super::{Backend, Db};
use crate::sql::Dialect;

pub(super) static BACKEND: Backend = Backend {
    dialect: Dialect::Postgres,
    catalog: &catalog::CATALOG,
    open: |target, _| {
        Box::pin(async move { Ok(Box::new(reader::Postgres::open(target).await?) as Box<dyn Db>) })
    },
    open_snapshot_read: |target, tables, limit, count| {
        Box::pin(snapshot_read::open(target, tables, limit, count))
    },
    open_session: session::open,
    dump: &dump::DUMP,
    scratch: scratch::PLACE,
    judge: |target, statements| Box::pin(reader::judged(target, statements)),
};
