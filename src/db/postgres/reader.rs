//! Reading PostgreSQL.

use super::connection::{TABLES, options, reading};
use super::{query as queries, snapshot_read};
use crate::db::driver::ServerWriter;
use crate::db::{Db, Each, Query, Target, Tried, Writer, driver, server};
use crate::model::{Cell, Table};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection, PgPool};
use std::time::Duration;

pub(super) struct Postgres {
    target: Target,
    readers: PgPool,
}

impl Postgres {
    pub(super) async fn open(target: Target) -> anyhow::Result<Self> {
        let options = reading(&target, server::READ)?;
        let first: PgConnection = server::connect(&target, &options).await?;
        first.close().await?;
        let pool = PgPoolOptions::new()
            .max_connections(server::READERS)
            .acquire_timeout(server::CONNECT);
        Ok(Self {
            target,
            readers: pool.connect_lazy_with(options),
        })
    }
}

/// Refuses statements that could do more than read, without running them.
pub(super) async fn judged(target: &Target, statements: Vec<String>) -> anyhow::Result<()> {
    let options = reading(target, server::READ)?;
    queries::judged(target, &options, &statements).await
}

impl Db for Postgres {
    fn target(&self) -> &Target {
        &self.target
    }

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(async move { Ok(server::tables(&self.rows(TABLES, &[]).await?)) })
    }

    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>> {
        Box::pin(driver::pooled(&self.readers, &self.target, sql, args))
    }

    fn scan<'a>(&'a self, sql: &'a str, args: &'a [Cell], each: Each<'a>) -> Tried<'a, ()> {
        Box::pin(snapshot_read::scan(&self.target, sql, args, each))
    }

    fn query(&self, query: Query) -> Tried<'_, ()> {
        Box::pin(async move {
            let options = reading(&self.target, query.timeout)?;
            queries::run(&self.target, &options, &query).await
        })
    }

    fn lags(&self) -> Tried<'_, Option<String>> {
        Box::pin(async move {
            let rows = self.rows("SELECT pg_is_in_recovery()::int", &[]).await?;
            let is_standby = rows.first().and_then(|row| row[0].int()) == Some(1);
            Ok(is_standby.then(|| "it is a standby".to_owned()))
        })
    }

    fn writer(&self, wait: Duration) -> Tried<'_, Box<dyn Writer>> {
        Box::pin(async move {
            // 0 would mean to wait forever.
            let wait = format!("{}ms", wait.as_millis().max(1));
            let options = options(&self.target)?.options([("lock_timeout", wait)]);
            let connection: PgConnection = server::connect(&self.target, &options).await?;
            Ok(Box::new(ServerWriter(connection)) as Box<dyn Writer>)
        })
    }
}
