//! Shared by the server engines behind their drivers: rows on a connection, and writing.

use super::session::Failed;
use super::{BoxFuture, Target, Tried, WriteError, Writer, server};
use crate::model::Cell;
use sqlx::{AssertSqlSafe, Connection, Database, Executor, Pool, SqlSafeStr as _};

/// How a server's values are written into a statement and read out of a row.
pub(super) trait Driver: Database {
    /// A value in the text of a statement.
    fn literal(cell: &Cell) -> anyhow::Result<String>;

    fn cells(row: &Self::Row) -> anyhow::Result<Vec<Cell>>;

    /// The values of a row, each as the text that the server writes.
    fn as_written(row: &Self::Row) -> anyhow::Result<Vec<Cell>>;

    /// Why a statement of a writer failed.
    fn write_error(error: sqlx::Error) -> WriteError;

    /// Why a statement of a migration failed.
    fn failed(error: &sqlx::Error) -> Failed;
}

/// Fails if it is more than one statement: the protocol for prepared ones takes no more.
pub(super) async fn alone<C: Connection>(connection: &mut C, sql: &str) -> Result<(), sqlx::Error>
where
    C::Database: Driver,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    if server::may_be_several(sql) {
        let sql = AssertSqlSafe(sql.to_owned()).into_sql_str();
        (&mut *connection).prepare(sql).await?;
    }
    Ok(())
}

/// The rows that one statement gives on a connection.
pub(super) async fn rows<C: Connection>(
    connection: &mut C,
    sql: &str,
) -> anyhow::Result<Vec<Vec<Cell>>>
where
    C::Database: Driver,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    alone(connection, sql).await?;
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let rows = sql.fetch_all(&mut *connection).await?;
    rows.iter().map(<C::Database as Driver>::cells).collect()
}

/// The rows that one statement of a migration gives, each value as the server writes it.
pub(super) async fn as_written<C: Connection>(
    connection: &mut C,
    sql: &str,
) -> anyhow::Result<Vec<Vec<Cell>>>
where
    C::Database: Driver,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    let sql = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()));
    let rows = sql.fetch_all(&mut *connection).await;
    let rows = rows.map_err(|error| <C::Database as Driver>::failed(&error))?;
    rows.iter()
        .map(<C::Database as Driver>::as_written)
        .collect()
}

/// The rows that one statement gives on one of several connections.
pub(super) async fn pooled<D: Driver>(
    readers: &Pool<D>,
    target: &Target,
    sql: &str,
    args: &[Cell],
) -> anyhow::Result<Vec<Vec<Cell>>>
where
    for<'c> &'c mut D::Connection: Executor<'c, Database = D>,
{
    let sql = server::inlined(sql, args, D::literal)?;
    let reader = readers.acquire().await;
    let mut reader = reader.map_err(|error| server::reading(target, error))?;
    let rows = rows(&mut *reader, &sql).await;
    rows.map_err(|error| server::failed(target, error))
}

/// A connection to a server that may write.
pub(super) struct ServerWriter<C>(pub(super) C);

impl<C: Connection> Writer for ServerWriter<C>
where
    C::Database: Driver,
    for<'c> &'c mut C: Executor<'c, Database = C::Database>,
{
    fn execute<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), WriteError>> {
        self.write(sql, &[])
    }

    fn write<'a>(
        &'a mut self,
        sql: &'a str,
        args: &'a [Cell],
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move {
            // Without values it is a text of several statements, and a `?` is not ours.
            let sql = if args.is_empty() {
                sql.to_owned()
            } else {
                server::inlined(sql, args, <C::Database as Driver>::literal)
                    .map_err(WriteError::Other)?
            };
            let done = sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut self.0).await;
            done.map(|_| ())
                .map_err(<C::Database as Driver>::write_error)
        })
    }

    fn value<'a>(&'a mut self, sql: &'a str) -> Tried<'a, Cell> {
        Box::pin(async move {
            let row = sqlx::raw_sql(AssertSqlSafe(sql.to_owned()))
                .fetch_one(&mut self.0)
                .await?;
            Ok(<C::Database as Driver>::cells(&row)?
                .into_iter()
                .next()
                .unwrap_or(Cell::Null))
        })
    }
}
