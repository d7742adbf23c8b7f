//! Reading PostgreSQL.

use super::catalog::CATALOG;
use super::connection::{TABLES, options, reading};
use super::error::write_error;
use super::values::{cells, literal};
use super::{query as queries, snapshot_read};
use crate::db::{BoxFuture, Catalog, Db, Each, Query, Target, Tried, WriteError, Writer, server};
use crate::model::{Cell, Table};
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, Executor as _, PgConnection, PgPool, SqlSafeStr as _};
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

    fn catalog(&self) -> &'static Catalog {
        &CATALOG
    }

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(async move { Ok(server::tables(&self.rows(TABLES, &[]).await?)) })
    }

    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>> {
        Box::pin(async move {
            let sql = server::inlined(sql, args, literal)?;
            let reading = |error| server::reading(&self.target, error);
            let mut reader = self.readers.acquire().await.map_err(reading)?;
            if server::may_be_several(&sql) {
                let sql = sqlx::AssertSqlSafe(sql.clone()).into_sql_str();
                (&mut *reader).prepare(sql).await.map_err(reading)?;
            }
            let rows = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .fetch_all(&mut *reader)
                .await
                .map_err(reading)?;
            rows.iter().map(cells).collect()
        })
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
            // 0 would mean to wait for ever.
            let wait = format!("{}ms", wait.as_millis().max(1));
            let options = options(&self.target)?.options([("lock_timeout", wait)]);
            let connection = server::connect(&self.target, &options).await?;
            Ok(Box::new(PostgresWriter { connection }) as Box<dyn Writer>)
        })
    }
}

struct PostgresWriter {
    connection: PgConnection,
}

impl Writer for PostgresWriter {
    fn execute<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), WriteError>> {
        self.write(sql, &[])
    }

    fn write<'a>(
        &'a mut self,
        sql: &'a str,
        args: &'a [Cell],
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move {
            // Without values it is a text of several statements, in which `?` is an operator.
            let sql = if args.is_empty() {
                sql.to_owned()
            } else {
                server::inlined(sql, args, literal).map_err(WriteError::Other)?
            };
            let done = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .execute(&mut self.connection)
                .await;
            done.map(|_| ()).map_err(write_error)
        })
    }

    fn value<'a>(&'a mut self, sql: &'a str) -> Tried<'a, Cell> {
        Box::pin(async move {
            let row = sqlx::raw_sql(sqlx::AssertSqlSafe(sql))
                .fetch_one(&mut self.connection)
                .await?;
            Ok(cells(&row)?.into_iter().next().unwrap_or(Cell::Null))
        })
    }
}
