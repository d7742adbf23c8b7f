//! PostgreSQL: one REPEATABLE READ transaction, or several of one moment, and COPY in binary.

mod copy_binary;
mod export_snapshot;
mod log;
mod text_format;
mod variant;

use super::connection;
use super::error::{CONFLICT, LOCKED};
use crate::cli_error::CliError;
use crate::db::driver::{Driver as _, rows};
use crate::db::snapshot_read::{Log, Moment, SnapshotRead, ViewConnection, reads_only, redefined};
use crate::db::{Db, Each, Query, Target, Tried, Writer, server};
use crate::model::{Cell, Table};
use copy_binary::{Kind, Tuples};
use futures_util::StreamExt as _;
use sqlx::{
    AssertSqlSafe, Column as _, Executor as _, PgConnection, SqlSafeStr as _, Statement as _,
    TypeInfo as _,
};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::Instant;
use variant::Variant;

/// The name of each table of the view, its file as the view's snapshot has it, and its file now:
/// the catalogue is read as of the snapshot, the function looks at what is committed.
const FILES: &str = "
    SELECT c.relname, c.relfilenode, pg_relation_filenode(c.oid)
    FROM pg_class c WHERE c.oid IN (SELECT l.relation FROM pg_locks l
        WHERE l.pid = pg_backend_pid() AND l.locktype = 'relation' AND l.mode = 'AccessShareLock')
        AND c.relkind = 'r' AND c.relnamespace <> 'pg_catalog'::regnamespace
    ORDER BY c.oid";

/// Tables that may not be read, and so not be locked: whoever needs one is refused when it is read.
const BARRED: &str = "
    SELECT relname::text FROM pg_class
    WHERE relkind IN ('r', 'p') AND pg_table_is_visible(oid) AND NOT has_table_privilege(oid, 'SELECT')";

/// How the transaction of a view begins.
const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Which transactions the moment sees.
const NOW: &str = "SELECT pg_current_snapshot()::text";

struct Postgres {
    view: ViewConnection<PgConnection>,
    moment: Moment,
    files: Vec<Vec<Cell>>,
}

/// Whether the server may sort the rows where an index has their order.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Sorts {
    /// If it takes less time until the last row.
    Yes,
    /// No: somebody waits for the first row.
    No,
}

async fn connect(target: &Target, limit: Duration, sorts: Sorts) -> anyhow::Result<PgConnection> {
    let idle = format!("{}ms", limit.as_millis());
    let wait = format!("{}ms", server::READ.as_millis());
    let sort = if sorts == Sorts::Yes { "on" } else { "off" };
    let options = connection::reading(target, limit)?.options([
        ("enable_sort", sort),
        // Sums of many conversations fit into it; else the rows would be read in an index's order,
        // from here and there.
        ("work_mem", "64MB"),
        // Zero disables the limit: a large table may take long.
        ("statement_timeout", idle.as_str()),
        // If chatctl stops in the middle, the application's changes of the schema wait no longer.
        ("idle_in_transaction_session_timeout", idle.as_str()),
        ("lock_timeout", wait.as_str()),
    ]);
    Ok(server::connect(target, &options).await?)
}

/// Views of one moment, `count` of them if the server can share it.
pub(super) async fn open(
    target: Target,
    tables: &[String],
    limit: Duration,
    count: usize,
) -> anyhow::Result<Vec<Box<dyn SnapshotRead>>> {
    let (mut first, lock, kin) = one(target, tables, limit).await?;
    let mut others = Vec::new();
    if count > 1 {
        match export_snapshot::obstacle(&first, kin).await? {
            None => others = export_snapshot::open(&first, &lock, count - 1).await?,
            Some(why) => first.moment.warnings.push(why),
        }
    }
    let views = std::iter::once(first).chain(others);
    Ok(views
        .map(|view| Box::new(view) as Box<dyn SnapshotRead>)
        .collect())
}

/// The first view, the statement by which it keeps its tables, and who the server is.
async fn one(
    target: Target,
    tables: &[String],
    limit: Duration,
) -> anyhow::Result<(Postgres, String, Variant)> {
    let begun = Instant::now();
    let mut connection = connect(&target, limit, Sorts::Yes).await?;
    let who = rows(&mut connection, variant::WHO).await?;
    let version = who[0][0].text().unwrap_or_default();
    let kin = Variant::of(version, who[0][1] != Cell::Int(0));
    let mut warnings: Vec<_> = kin.said(&target, version)?.into_iter().collect();
    // Not every kin of PostgreSQL has such a log, and says so by an error.
    let from = log::place(&mut connection).await.ok();
    let mut lock = String::new();
    for attempt in 0.. {
        // Before the transaction, for the first SELECT in it fixes the moment.
        let there = rows(&mut connection, connection::TABLES).await?;
        let names = server::tables(&there).into_iter().map(|table| table.name);
        let barred: Vec<_> = match tables {
            [] => rows(&mut connection, BARRED).await.unwrap_or_default(),
            _ => Vec::new(),
        };
        let is_barred = |name: &String| {
            barred
                .iter()
                .any(|row| row[0].text() == Some(name.as_str()))
        };
        let wanted: Vec<_> = names
            .filter(|name| tables.is_empty() || tables.contains(name))
            .filter(|name| !is_barred(name))
            .map(|name| format!("\"{}\"", name.replace('"', "\"\"")))
            .collect();
        if !wanted.is_empty() {
            lock = format!("; LOCK TABLE {} IN ACCESS SHARE MODE", wanted.join(", "));
        }
        match connection
            .execute(AssertSqlSafe(format!("{BEGIN}{lock}")))
            .await
        {
            Ok(_) => break,
            // 42P01 undefined_table: it was dropped since it was listed.
            Err(error) if code(&error).as_deref() == Some("42P01") && attempt == 0 => {
                connection.execute("ROLLBACK").await?;
            }
            Err(error) => return Err(unlocked(&target, error)),
        }
    }
    let at = rows(&mut connection, NOW).await?;
    let files = rows(&mut connection, FILES).await?;
    let log = match from {
        Some((from, standby)) => Some(Log {
            from,
            to: log::place(&mut connection).await?.0,
            standby,
        }),
        None => None,
    };
    if log.is_some_and(|log| log.standby) {
        warnings.push(log::lagging(&mut connection, &target).await?);
    }
    let moment = Moment {
        warnings,
        snapshot: at[0][0].text().map(str::to_owned),
        log,
    };
    let view = Postgres {
        view: ViewConnection::new(target, connection, begun, limit, explained),
        moment,
        files,
    };
    view.unchanged().await?;
    Ok((view, lock, kin))
}

fn code(error: &sqlx::Error) -> Option<String> {
    Some(error.as_database_error()?.code()?.into_owned())
}

/// 42P01 undefined_table.
fn unlocked(target: &Target, error: sqlx::Error) -> anyhow::Error {
    match code(&error).as_deref() {
        Some(code) if LOCKED.contains(&code) => CliError::unreachable(format!(
            "tables of `{target}` are being redefined: no lock for reading within {:?}",
            server::READ
        ))
        .hint("wait until the schema change is over, and read again")
        .into(),
        Some("42P01") => redefined(target).into(),
        _ => server::reading(target, error),
    }
}

/// What only reads meets [`CONFLICT`] on a standby alone, whose replay of the log removes what the read
/// still sees.
fn explained(target: &Target, error: anyhow::Error) -> anyhow::Error {
    match server::driver(&error).and_then(code).as_deref() {
        Some(CONFLICT) => CliError::unreachable(format!(
            "the standby `{target}` cancelled a read that blocked its replay"
        ))
        .hint("set `hot_standby_feedback = on` there, or a longer `max_standby_streaming_delay`, and read again")
        .into(),
        _ => error,
    }
}

impl Db for Postgres {
    fn target(&self) -> &Target {
        self.view.target()
    }

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(async move { Ok(server::tables(&self.rows(connection::TABLES, &[]).await?)) })
    }

    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>> {
        Box::pin(self.view.read(async move |mut connection| {
            let sql = server::inlined(sql, args, sqlx::Postgres::literal)?;
            let rows = rows(&mut connection, &sql).await;
            let rows = rows.map_err(|error| server::failed(self.target(), error))?;
            Ok((connection, rows))
        }))
    }

    fn scan<'a>(&'a self, sql: &'a str, args: &'a [Cell], each: Each<'a>) -> Tried<'a, ()> {
        Box::pin(self.view.read(async move |mut connection| {
            let sql = server::inlined(sql, args, sqlx::Postgres::literal)?;
            copy(self.target(), &mut connection, &sql, each, Rest::Read).await?;
            Ok((connection, ()))
        }))
    }

    fn query(&self, _: Query) -> Tried<'_, ()> {
        reads_only(self.view.target())
    }

    fn writer(&self, _: Duration) -> Tried<'_, Box<dyn Writer>> {
        reads_only(self.view.target())
    }
}

impl SnapshotRead for Postgres {
    fn moment(&self) -> &Moment {
        &self.moment
    }

    fn unchanged(&self) -> Tried<'_, ()> {
        Box::pin(async move {
            let now = self.rows(FILES, &[]).await?;
            let same = self
                .files
                .iter()
                .all(|row| now.contains(row) && row[1] == row[2]);
            if same {
                Ok(())
            } else {
                Err(redefined(self.target()).into())
            }
        })
    }
}

/// Hands over the rows of one statement, on a connection of its own: its time is not limited, that
/// of its wait for a lock is.
pub(super) async fn scan(
    target: &Target,
    sql: &str,
    args: &[Cell],
    each: Each<'_>,
) -> anyhow::Result<()> {
    let sql = server::inlined(sql, args, sqlx::Postgres::literal)?;
    let mut connection = connect(target, Duration::ZERO, Sorts::No).await?;
    copy(target, &mut connection, &sql, each, Rest::Leave).await
}

/// What becomes of the rows after the last one that is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Rest {
    /// They are read: the connection is used again.
    Read,
    /// They are left: the connection is closed.
    Leave,
}

async fn copy(
    target: &Target,
    connection: &mut PgConnection,
    sql: &str,
    each: Each<'_>,
    rest: Rest,
) -> anyhow::Result<()> {
    let reading = |error| server::reading(target, error);
    let query = AssertSqlSafe(sql.to_owned()).into_sql_str();
    let statement = connection.prepare(query).await.map_err(reading)?;
    let kinds = statement.columns().iter().map(|column| column.type_info());
    let kinds: Vec<_> = kinds.map(|info| kind(info.name())).collect();
    drop(statement);
    let sql = format!("COPY ({}) TO STDOUT (FORMAT binary)", wrapped(sql, &kinds));
    let mut packets = connection.copy_out_raw(&sql).await.map_err(reading)?;
    let mut tuples = Tuples::new(kinds.into_iter().map(|(kind, _)| kind).collect());
    while let Some(packet) = packets.next().await {
        let end = tuples.take(&packet.map_err(reading)?, each)?;
        if let ControlFlow::Break(()) = end {
            while rest == Rest::Read && packets.next().await.transpose().map_err(reading)?.is_some()
            {
            }
            break;
        }
    }
    Ok(())
}

/// How a column is read, and whether the server has to print it: a cast prints an address, a
/// truth value and a padded text in another way than an answer does, `concat` in the same.
fn kind(name: &str) -> (Kind, bool) {
    match name {
        "BOOL" => (Kind::Bool, false),
        "INT2" => (Kind::Int2, false),
        "INT4" => (Kind::Int4, false),
        "INT8" => (Kind::Int8, false),
        "OID" => (Kind::Oid, false),
        "FLOAT4" => (Kind::Float4, false),
        "FLOAT8" => (Kind::Float8, false),
        "BYTEA" => (Kind::Bytes, false),
        "TIMESTAMP" => (Kind::Time(""), false),
        // A session of chatctl's is in UTC.
        "TIMESTAMPTZ" => (Kind::Time("+00"), false),
        "UUID" => (Kind::Uuid, false),
        "TEXT" | "VARCHAR" | "CHAR" | "NAME" | "JSON" => (Kind::Text, false),
        _ => (Kind::Text, true),
    }
}

/// The statement with the columns printed that have to be.
fn wrapped(sql: &str, kinds: &[(Kind, bool)]) -> String {
    let columns = kinds.iter().zip(0..).map(|((_, printed), index)| {
        match printed {
            // A row of only NULL is not NULL; only this comparison says so.
            true => format!("CASE WHEN c{index} IS DISTINCT FROM NULL THEN concat(c{index}) END"),
            false => format!("c{index}"),
        }
    });
    let names: Vec<_> = (0..kinds.len()).map(|index| format!("c{index}")).collect();
    format!(
        "SELECT {} FROM ({sql}\n) AS q({})",
        columns.collect::<Vec<_>>().join(", "),
        names.join(", ")
    )
}
