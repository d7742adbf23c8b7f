//! Reading PostgreSQL.

use super::catalog::CATALOG;
use super::error::write_error;
use super::{query as queries, snapshot_read};
use crate::db::{BoxFuture, Catalog, Db, Each, Query, Target, Tried, WriteError, Writer, server};
use crate::model::{Cell, Table};
use crate::text::hex;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions, PgRow};
use sqlx::{
    Connection as _, Executor as _, PgConnection, PgPool, Row as _, SqlSafeStr as _, TypeInfo as _,
    ValueRef as _,
};
use std::time::Duration;

/// The tables of the schema that a bare name means; a partition's rows are its parent's.
pub(super) const TABLES: &str = "
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
        EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND a.attnum = ANY (i.indkey)),
        (SELECT f.relname FROM pg_constraint k JOIN pg_class f ON f.oid = k.confrelid
            WHERE k.conrelid = c.oid AND k.contype = 'f' AND a.attnum = ANY (k.conkey) ORDER BY k.oid LIMIT 1)
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE n.nspname = current_schema() AND c.relkind IN ('r', 'p') AND NOT c.relispartition
    ORDER BY c.relname, a.attnum";

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

/// What the URL says of a connection.
pub(super) fn from_url(target: &Target) -> anyhow::Result<PgConnectOptions> {
    let options: PgConnectOptions = target
        .secret_url()
        .parse()
        .map_err(|error| server::unusable(target, &error))?;
    Ok(match target.search_path() {
        Some(path) => options.options([("search_path", path)]),
        None => options,
    })
}

fn options(target: &Target) -> anyhow::Result<PgConnectOptions> {
    let options = from_url(target)?;
    Ok(options
        .application_name("chatctl")
        // Literals are written for it.
        .options([("standard_conforming_strings", "on")]))
}

/// The settings of a connection that only reads, and no statement longer than `limit`.
pub(super) fn reading(target: &Target, limit: Duration) -> anyhow::Result<PgConnectOptions> {
    let limit = format!("{}ms", limit.as_millis().max(1));
    Ok(options(target)?.options([
        ("default_transaction_read_only", "on"),
        ("statement_timeout", limit.as_str()),
        // What a value reads like must not depend on the settings of a role or a database.
        ("bytea_output", "hex"),
        ("intervalstyle", "postgres"),
    ]))
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

/// The rows that a statement gives on a connection.
pub(super) async fn rows(
    connection: &mut PgConnection,
    sql: &str,
) -> anyhow::Result<Vec<Vec<Cell>>> {
    if server::may_be_several(sql) {
        let sql = sqlx::AssertSqlSafe(sql.to_owned()).into_sql_str();
        (&mut *connection).prepare(sql).await?;
    }
    let sql = sqlx::raw_sql(sqlx::AssertSqlSafe(sql));
    sql.fetch_all(connection).await?.iter().map(cells).collect()
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

pub(super) fn literal(cell: &Cell) -> anyhow::Result<String> {
    Ok(match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Int(number) => format!("'{number}'::int8"),
        Cell::Real(number) => format!("'{number}'::float8"),
        Cell::Text(text) => {
            anyhow::ensure!(
                !text.contains('\0'),
                "PostgreSQL can't hold a NUL character in a text"
            );
            format!("'{}'", text.replace('\'', "''"))
        }
        Cell::Blob(bytes) => format!("'\\x{}'::bytea", hex(bytes)),
    })
}

/// By the type of each column; what has no kind of its own is the text that the server prints.
fn cells(row: &PgRow) -> anyhow::Result<Vec<Cell>> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let text = || value.as_str().map_err(anyhow::Error::from_boxed);
            Ok(match value.type_info().name() {
                "BOOL" => Cell::Int(i64::from(text()? == "t")),
                "INT2" | "INT4" | "INT8" | "OID" => Cell::Int(text()?.parse()?),
                "FLOAT4" | "FLOAT8" => Cell::Real(text()?.parse()?),
                "BYTEA" => Cell::Blob(row.try_get_unchecked(index)?),
                _ => Cell::Text(text()?.to_owned()),
            })
        })
        .collect()
}
