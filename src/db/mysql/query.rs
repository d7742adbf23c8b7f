//! MySQL and MariaDB: a transaction that is read-only, and a statement that the server has
//! prepared, so that it is one.
//!
//! A read-only transaction still lets a query write and read files of the server, and take locks.
//! No catalogue shows which functions have an effect: those that have are listed here, and those
//! that were loaded into the server are refused.

mod behind;
mod statements;

use super::values::{is_binary, number};
use crate::cli_error::CliError;
use crate::db::query::{
    Failure, Query, QueryColumn, QueryOutput, QueryRow, guard, no_expression, refused,
};
use crate::db::{Target, server};
use crate::model::Value;
use crate::sql::Dialect;
use futures_util::TryStreamExt as _;
use sqlx::mysql::{MySqlColumn, MySqlConnectOptions, MySqlDatabaseError, MySqlRow};
use sqlx::{
    AssertSqlSafe, Column as _, Connection as _, Executor as _, MySqlConnection, Row as _,
    SqlSafeStr as _, Statement as _, TypeInfo as _, ValueRef as _,
};
use std::collections::BTreeSet;
use std::time::Instant;

/// The statements that read.
const BEGINS: &[&str] = &[
    "select", "with", "values", "table", "show", "explain", "describe", "desc",
];

/// Words, one behind the other, that make a query write a file, lock rows or count up.
const ACTS: &[(&[&str], &str)] = &[
    (&["into"], "it writes its rows elsewhere"),
    (&["for", "update"], "it locks rows"),
    (&["for", "share"], "it locks rows"),
    (&["lock", "in", "share", "mode"], "it locks rows"),
    (&["next", "value", "for"], "it advances a sequence"),
];

/// Functions that act on the server, read its files, or wait for what may never come; `SLEEP` and
/// `BENCHMARK` are bounded by the statement's timeout.
const ACTING: &[&str] = &[
    "get_lock",
    "load_file",
    "master_gtid_wait",
    "master_pos_wait",
    "nextval",
    "release_all_locks",
    "release_lock",
    "setval",
    "source_pos_wait",
    "sys_bineval",
    "sys_eval",
    "sys_exec",
    "sys_set",
    "wait_for_executed_gtid_set",
    "wait_until_sql_thread_after_gtids",
];

/// How the functions that plugins bring are called.
const OF_PLUGINS: &[&str] = &[
    "async_replication_",
    "asynchronous_connection_failover_",
    "audit_log_",
    "group_replication_",
    "keyring_",
    "mysql_firewall_",
    "mysql_query_attribute",
    "service_",
    "set_firewall_",
    "spider_",
    "version_tokens_",
];

/// In this mode a quote and a backslash are what the tokens of the guard take them for, in a query
/// and in the definition of a view.
const AS_THE_GUARD_READS: &str = "SET SESSION sql_mode = ''";

/// Refuses statements that could do more than read, without running them.
pub(super) async fn judged(
    target: &Target,
    options: &MySqlConnectOptions,
    statements: &[String],
) -> anyhow::Result<()> {
    let mut connection: MySqlConnection = server::connect(target, options).await?;
    connection.execute(AS_THE_GUARD_READS).await?;
    connection.execute("START TRANSACTION READ ONLY").await?;
    for statement in statements {
        let named = guard::names(statement, Dialect::Mysql, BEGINS)?;
        acts(&named)?;
        loaded(&mut connection, &named).await?;
        behind::judge(&mut connection, &named).await?;
        let sql = AssertSqlSafe(statement.clone()).into_sql_str();
        let prepared = (&mut connection).prepare(sql).await;
        prepared.map_err(|error| match error.as_database_error() {
            Some(told) => no_expression(told.message()).into(),
            None => server::reading(target, error),
        })?;
    }
    connection.close().await?;
    Ok(())
}

pub(super) async fn run(
    target: &Target,
    options: &MySqlConnectOptions,
    settings: &str,
    query: &Query,
) -> anyhow::Result<()> {
    let named = guard::names(&query.sql, Dialect::Mysql, BEGINS)?;
    acts(&named)?;
    let mut connection: MySqlConnection = server::connect(target, options).await?;
    connection.execute(AS_THE_GUARD_READS).await?;
    loaded(&mut connection, &named).await?;
    behind::judge(&mut connection, &named).await?;
    let settings = format!("{settings}; {AS_THE_GUARD_READS}; START TRANSACTION READ ONLY");
    connection
        .execute(sqlx::raw_sql(AssertSqlSafe(settings)))
        .await?;
    let id: u64 = sqlx::query_scalar("SELECT connection_id()")
        .fetch_one(&mut connection)
        .await?;
    let begun = Instant::now();
    let done = tokio::select! {
        done = read(&mut connection, query) => match done {
            // A function that is broken off gives a value all the same, and no error.
            Ok(()) if begun.elapsed() >= query.timeout => {
                Err(query.failed(Failure::Late, "the server cancelled it").into())
            }
            done => done.map_err(|error| failed(target, query, error)),
        },
        () = query.answers.closed() => kill(target, options, id).await,
        // MySQL bounds a SELECT only.
        () = query.over() => {
            kill(target, options, id).await?;
            Err(query.late().into())
        }
    };
    // What the transaction held is given back by the server when the connection ends.
    connection.close_hard().await?;
    done
}

/// Stops the query: the server does not look for a client that has gone.
async fn kill(target: &Target, options: &MySqlConnectOptions, id: u64) -> anyhow::Result<()> {
    let mut other: MySqlConnection = server::connect(target, options).await?;
    let kill = AssertSqlSafe(format!("KILL QUERY {id}"));
    other.execute(sqlx::raw_sql(kill)).await?;
    Ok(())
}

/// Refuses what the words say.
fn acts(named: &guard::QueryColumn) -> Result<(), CliError> {
    for (words, what) in ACTS {
        if named
            .words
            .windows(words.len())
            .any(|found| found == *words)
        {
            return Err(refused(&format!(
                "`{}`: {what}",
                words.join(" ").to_uppercase()
            )));
        }
    }
    calls(&named.called)
}

/// Refuses functions that act.
fn calls(called: &[String]) -> Result<(), CliError> {
    let acting = called.iter().find(|name| {
        ACTING.contains(&name.as_str()) || OF_PLUGINS.iter().any(|start| name.starts_with(start))
    });
    match acting {
        Some(name) => Err(refused(&format!("`{name}` may act on the server"))),
        None => Ok(()),
    }
}

/// Where the servers list the functions that were loaded into them.
const LOADED: [&str; 2] = [
    "SELECT CAST(lower(name) AS CHAR) FROM mysql.func",
    "SELECT CAST(lower(udf_name) AS CHAR) FROM performance_schema.user_defined_functions",
];

/// Every other name that may be before a parenthesis; only MariaDB lists them.
const OTHERS: &str = "SELECT CAST(lower(function) AS CHAR) FROM information_schema.sql_functions \
    UNION SELECT CAST(lower(word) AS CHAR) FROM information_schema.keywords \
    UNION SELECT CAST(lower(routine_name) AS CHAR) FROM information_schema.routines \
    UNION SELECT CAST(lower(table_name) AS CHAR) FROM information_schema.tables";

/// Refuses functions that were loaded into the server: anybody may call them. To who may not read
/// their list, what is nothing else counts as one.
async fn loaded(
    connection: &mut MySqlConnection,
    named: &guard::QueryColumn,
) -> anyhow::Result<()> {
    for list in LOADED {
        let names = sqlx::query_scalar(list).fetch_all(&mut *connection).await;
        let names: Vec<String> = match names {
            Ok(names) => names,
            Err(_) => continue,
        };
        return match named.called.iter().find(|name| names.contains(name)) {
            Some(name) => Err(refused(&format!("`{name}` is a loadable function")).into()),
            None => Ok(()),
        };
    }
    let others = sqlx::query_scalar(OTHERS).fetch_all(connection).await;
    let others: BTreeSet<String> = match others {
        Ok(others) => others.into_iter().collect(),
        Err(_) => return Ok(()),
    };
    let mut called = named.called.iter();
    match called.find(|name| !others.contains(*name) && !named.defined.contains(name)) {
        Some(name) => Err(refused(&format!(
            "`{name}` may be a loadable function, and this user may not see which there are"
        ))
        .hint("GRANT SELECT ON mysql.func TO this user")
        .into()),
        None => Ok(()),
    }
}

async fn read(connection: &mut MySqlConnection, query: &Query) -> Result<(), sqlx::Error> {
    let sql = AssertSqlSafe(query.sql.clone()).into_sql_str();
    let statement = (&mut *connection).prepare(sql.clone()).await?;
    let prepared: Vec<_> = statement.columns().iter().map(named).collect();
    // Without preparing it again: so the server prints every type that it has.
    let mut rows = sqlx::raw_sql(sql).fetch(connection);
    let mut first = true;
    while let Some(row) = rows.try_next().await? {
        // Some statements tell their columns only with their rows.
        let columns = first.then(|| row.columns().iter().map(named).collect());
        first = false;
        for answer in columns
            .map(QueryOutput::Columns)
            .into_iter()
            .chain([QueryOutput::Row(values(&row, query.longest)?)])
        {
            if query.answers.send(answer).await.is_err() {
                return Ok(());
            }
        }
    }
    if first {
        // Nobody who takes it is nobody who misses it.
        let _ = query.answers.send(QueryOutput::Columns(prepared)).await;
    }
    Ok(())
}

/// By the numbers of the server's errors: 1792 a transaction that is read-only; 1205, 1317, 1969
/// and 3024 a wait or a statement that took too long; of the others, SQLSTATE 42000, 42S02, 42S22
/// and 22 are the query's fault.
fn failed(target: &Target, query: &Query, error: sqlx::Error) -> anyhow::Error {
    let told = error
        .as_database_error()
        .and_then(|error| error.try_downcast_ref::<MySqlDatabaseError>())
        .map(|error| {
            let state = error.code().unwrap_or_default().to_owned();
            (error.number(), state, error.message().to_owned())
        });
    let failure = match &told {
        Some((1792, _, _)) => Failure::Writes,
        Some((1205 | 1317 | 1969 | 3024, _, _)) => Failure::Late,
        // The user lacks a right.
        Some((1044 | 1045 | 1142 | 1143 | 1227 | 1370, _, _)) => {
            return server::reading(target, error);
        }
        Some((_, state, _)) if state.starts_with("42") || state.starts_with("22") => Failure::Wrong,
        _ => return server::reading(target, error),
    };
    let message = told.map(|(_, _, message)| message).unwrap_or_default();
    query.failed(failure, &message).into()
}

fn named(column: &MySqlColumn) -> QueryColumn {
    QueryColumn {
        name: column.name().to_owned(),
        declared: column.type_info().name().to_lowercase(),
    }
}

fn values(row: &MySqlRow, longest: usize) -> Result<QueryRow, sqlx::Error> {
    let mut shown = QueryRow::default();
    for index in 0..row.len() {
        let value = row.try_get_raw(index)?;
        if value.is_null() {
            shown.values.push(Value::Null);
            continue;
        }
        let info = value.type_info();
        let bytes: &[u8] = row.try_get_unchecked(index)?;
        let text = std::str::from_utf8(bytes);
        match (info.name(), text) {
            ("BIT", _) => shown.values.push(Value::number(number(bytes).to_string())),
            ("GEOMETRY", _) | (_, Err(_)) => shown.blob(bytes, bytes.len(), longest),
            ("DECIMAL" | "FLOAT" | "DOUBLE" | "YEAR" | "BOOLEAN", Ok(text)) => {
                shown.values.push(Value::number(text));
            }
            (name, Ok(text)) if name.contains("INT") => shown.values.push(Value::number(text)),
            _ if is_binary(&info) => shown.blob(bytes, bytes.len(), longest),
            (_, Ok(text)) => shown.text(text, text.len(), longest),
        }
    }
    Ok(shown)
}
