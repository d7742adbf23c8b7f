//! PostgreSQL.

mod catalog;
mod query;
mod reader;
mod session;
mod steady;

use super::{Backend, Db, Place};

pub(super) const BACKEND: Backend = Backend {
    name: "postgres",
    schemes: &["postgres", "postgresql"],
    place: Place::Server(5432),
    open: |target, _| {
        Box::pin(async move { Ok(Box::new(reader::Postgres::open(target).await?) as Box<dyn Db>) })
    },
    open_steady: |target, tables, limit, count| {
        Box::pin(steady::open(target, tables, limit, count))
    },
    open_session: session::open,
    judge: |target, statements| Box::pin(reader::judged(target, statements)),
};
