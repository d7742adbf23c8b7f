//! MySQL and MariaDB.

mod catalog;
mod query;
mod reader;
mod session;
mod steady;

pub(super) use session::open_copy;

use super::{Backend, Db, Place};

pub(super) const BACKEND: Backend = Backend {
    name: "mysql",
    schemes: &["mysql", "mariadb"],
    place: Place::Server(3306),
    open: |target, _| {
        Box::pin(async move { Ok(Box::new(reader::MySql::open(target).await?) as Box<dyn Db>) })
    },
    open_steady: |target, tables, limit, count| {
        Box::pin(steady::open(target, tables, limit, count))
    },
    open_session: session::open,
    judge: |target, statements| {
        Box::pin(async move { query::judged(target, &reader::options(target)?, &statements).await })
    },
};
