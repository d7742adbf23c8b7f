//! PostgreSQL: a transaction that is read-only, and a statement that the server has prepared, so
//! that it is one.
//!
//! A read-only transaction still lets functions end sessions, take locks that outlive it, and
//! write and read files of the server. The catalogue says of each function whether it may have an
//! effect: those that are `VOLATILE` are refused, but for the few that only tell something.

use super::Answer;
use super::Failure;
use super::Named;
use super::Query;
use super::Row;
use super::guard;
use super::refused;
use crate::db::Target;
use crate::db::server;
use crate::model::Value;
use crate::sql::Dialect;
use futures_util::TryStreamExt as _;
use sqlx::AssertSqlSafe;
use sqlx::Column as _;
use sqlx::Connection as _;
use sqlx::Executor as _;
use sqlx::PgConnection;
use sqlx::Row as _;
use sqlx::SqlSafeStr as _;
use sqlx::Statement as _;
use sqlx::TypeInfo as _;
use sqlx::ValueRef as _;
use sqlx::postgres::PgColumn;
use sqlx::postgres::PgConnectOptions;
use sqlx::postgres::PgRow;

/// The statements that read. What EXPLAIN ANALYZE would write, the transaction forbids.
const BEGINS: &[&str] = &["select", "with", "values", "table", "show", "explain"];

/// Functions of PostgreSQL that are volatile because they give another value each time, and do
/// nothing. `pg_sleep` is bounded by the statement's timeout.
const HARMLESS: &[&str] = &[
    "clock_timestamp",
    "current_query",
    "currval",
    "gen_random_uuid",
    "lastval",
    "pg_blocking_pids",
    "pg_collation_actual_version",
    "pg_control_checkpoint",
    "pg_control_init",
    "pg_control_recovery",
    "pg_control_system",
    "pg_current_wal_flush_lsn",
    "pg_current_wal_insert_lsn",
    "pg_current_wal_lsn",
    "pg_database_size",
    "pg_indexes_size",
    "pg_is_in_recovery",
    "pg_is_wal_replay_paused",
    "pg_last_wal_receive_lsn",
    "pg_last_wal_replay_lsn",
    "pg_last_xact_replay_timestamp",
    "pg_lock_status",
    "pg_notification_queue_usage",
    "pg_partition_ancestors",
    "pg_partition_tree",
    "pg_relation_size",
    "pg_safe_snapshot_blocking_pids",
    "pg_sequence_last_value",
    "pg_sleep",
    "pg_sleep_for",
    "pg_sleep_until",
    "pg_table_size",
    "pg_tablespace_size",
    "pg_total_relation_size",
    "pg_xact_commit_timestamp",
    "pg_xact_status",
    "random",
    "timeofday",
    "txid_status",
];

/// The longest name that the server tells apart from a longer one (`NAMEDATALEN`, less one).
const LONGEST_NAME: usize = 63;

pub(in crate::db) async fn run(
    target: &Target,
    options: &PgConnectOptions,
    query: &Query,
) -> anyhow::Result<()> {
    let named = guard::names(&query.sql, Dialect::Postgres, BEGINS)?;
    // The engine would let it make a table, which only the rollback takes back.
    if named.words.first().is_some_and(|word| word == "explain")
        && named.words.iter().any(|word| word == "create")
    {
        return Err(refused("it would explain how something is made by making it").into());
    }
    let mut connection: PgConnection = server::connect(target, options).await?;
    allowed(&mut connection, &named.called).await?;
    connection.execute("BEGIN READ ONLY").await?;
    let pid: i32 = sqlx::query_scalar("SELECT pg_backend_pid()")
        .fetch_one(&mut connection)
        .await?;
    let done = tokio::select! {
        done = read(&mut connection, query) => done.map_err(|error| failed(target, query, error)),
        () = query.answers.closed() => cancel(target, options, pid).await,
        () = query.over() => {
            cancel(target, options, pid).await?;
            Err(query.late().into())
        }
    };
    // What the transaction held is given back by the server when the connection ends.
    connection.close_hard().await?;
    done
}

/// Stops the query: the server does not look for a client that has gone.
async fn cancel(target: &Target, options: &PgConnectOptions, pid: i32) -> anyhow::Result<()> {
    let mut other: PgConnection = server::connect(target, options).await?;
    let cancel = sqlx::query("SELECT pg_cancel_backend($1)").bind(pid);
    cancel.execute(&mut other).await?;
    Ok(())
}

/// Refuses functions that may have an effect.
async fn allowed(connection: &mut PgConnection, called: &[String]) -> anyhow::Result<()> {
    if let Some(name) = called.iter().find(|name| name.len() > LONGEST_NAME) {
        return Err(refused(&format!("`{name}` is longer than a name can be")).into());
    }
    let harmless: Vec<_> = HARMLESS.iter().map(|name| (*name).to_owned()).collect();
    let volatile: Option<(String, String)> = sqlx::query_as(
        "SELECT n.nspname::text, p.proname::text
         FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
         WHERE p.provolatile = 'v' AND lower(p.proname) = ANY ($1)
            AND NOT (n.nspname = 'pg_catalog' AND p.proname = ANY ($2))
         ORDER BY 1, 2 LIMIT 1",
    )
    .bind(called)
    .bind(harmless)
    .fetch_optional(connection)
    .await?;
    match volatile {
        None => Ok(()),
        Some((schema, name)) if schema == "pg_catalog" => {
            Err(refused(&format!("`{name}` can act on the server")).into())
        }
        Some((schema, name)) => Err(refused(&format!(
            "`{schema}.{name}` is VOLATILE: it may have an effect that no rollback takes back"
        ))
        .into()),
    }
}

async fn read(connection: &mut PgConnection, query: &Query) -> Result<(), sqlx::Error> {
    let sql = AssertSqlSafe(query.sql.clone()).into_sql_str();
    let statement = (&mut *connection).prepare(sql.clone()).await?;
    // With the first row: until then it may still fail, and nothing has been shown.
    let mut columns = Some(statement.columns().iter().map(named).collect());
    // Without preparing it again: so the server prints every type that it has.
    let mut rows = sqlx::raw_sql(sql).fetch(connection);
    while let Some(row) = rows.try_next().await? {
        let first = columns.take().map(Answer::Columns);
        for answer in first
            .into_iter()
            .chain([Answer::Row(values(&row, query.longest)?)])
        {
            if query.answers.send(answer).await.is_err() {
                return Ok(());
            }
        }
    }
    if let Some(columns) = columns {
        // Nobody who takes it is nobody who misses it.
        let _ = query.answers.send(Answer::Columns(columns)).await;
    }
    Ok(())
}

/// PostgreSQL, appendix A: 57014 query_canceled, 55P03 lock_not_available, 25006
/// read_only_sql_transaction, 42501 insufficient_privilege; class 42 is what is wrong in the text,
/// 22 in the data.
fn failed(target: &Target, query: &Query, error: sqlx::Error) -> anyhow::Error {
    let told = error.as_database_error();
    let (code, message) = match told.map(|told| (told.code(), told.message().to_owned())) {
        Some((Some(code), message)) => (code.into_owned(), message),
        _ => return server::reading(target, error),
    };
    let failure = match code.as_str() {
        "25006" => Failure::Writes,
        "57014" => Failure::Late,
        "42501" => return server::reading(target, error),
        code if code.starts_with("42") || code.starts_with("22") || code.starts_with("0A") => {
            Failure::Wrong
        }
        _ => return server::reading(target, error),
    };
    query.failed(failure, &message).into()
}

fn named(column: &PgColumn) -> Named {
    Named {
        name: column.name().to_owned(),
        declared: column.type_info().name().to_lowercase(),
    }
}

fn values(row: &PgRow, longest: usize) -> Result<Row, sqlx::Error> {
    let mut shown = Row::default();
    for index in 0..row.len() {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            shown.values.push(Value::Null);
            continue;
        }
        let text = value.as_str().map_err(sqlx::Error::Decode)?;
        match value.type_info().name() {
            "BOOL" => shown.values.push(Value::Bool(text == "t")),
            "INT2" | "INT4" | "INT8" | "OID" | "FLOAT4" | "FLOAT8" | "NUMERIC" => {
                shown.values.push(Value::number(text));
            }
            "BYTEA" => shown.blob(&row.try_get_unchecked::<Vec<u8>, _>(index)?, longest),
            _ => shown.text(text, longest),
        }
    }
    Ok(shown)
}
