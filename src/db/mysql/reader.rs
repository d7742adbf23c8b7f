//! Reading MySQL and MariaDB.

use super::catalog::CATALOG;
use super::error::write_error;
use super::{query as queries, snapshot_read};
use crate::db::{BoxFuture, Catalog, Db, Each, Query, Target, Tried, WriteError, Writer, server};
use crate::model::{Cell, Table};
use crate::text::hex;
use sqlx::mysql::{MySqlConnectOptions, MySqlPoolOptions, MySqlRow, MySqlTypeInfo};
use sqlx::{
    Connection as _, Executor as _, MySqlConnection, MySqlPool, Row as _, SqlSafeStr as _, Type,
    TypeInfo as _, ValueRef as _,
};
use std::time::Duration;

const COLUMNS: &str = "
    SELECT c.table_name, c.column_name, c.column_type
    FROM information_schema.columns c JOIN information_schema.tables t
        ON t.table_schema = c.table_schema AND t.table_name = c.table_name
    WHERE c.table_schema = database() AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')
    ORDER BY c.table_name, c.ordinal_position";

/// Apart from the columns: a view of the catalogue is slow to look up row by row.
const KEYS: &str = "
    SELECT table_name, column_name, constraint_name = 'PRIMARY', referenced_table_name
    FROM information_schema.key_column_usage WHERE table_schema = database()
    ORDER BY table_name, column_name, constraint_name";

pub(super) struct MySql {
    target: Target,
    version: String,
    readers: MySqlPool,
}

impl MySql {
    pub(super) async fn open(target: Target) -> anyhow::Result<Self> {
        let options = options(&target)?;
        let mut first: MySqlConnection = server::connect(&target, &options).await?;
        let reading = |error| server::reading(&target, error);
        let version: String = sqlx::query_scalar("SELECT version()")
            .fetch_one(&mut first)
            .await
            .map_err(reading)?;
        let cluster = first.fetch_optional("SHOW VARIABLES LIKE 'wsrep_on'").await;
        let cluster = cluster.map_err(reading)?;
        let is_cluster = cluster.is_some_and(|row| row.try_get(1).is_ok_and(|is: &str| is == "ON"));
        first.close().await?;
        let mut settings = settings(&version, server::READ);
        if is_cluster {
            // A reader waits until its node has what was committed on the others.
            settings = format!("SET SESSION wsrep_sync_wait = 1; {settings}");
        }
        let pool = MySqlPoolOptions::new()
            .max_connections(server::READERS)
            .acquire_timeout(server::CONNECT)
            .after_connect(move |connection, _| {
                let settings = settings.clone();
                Box::pin(async move {
                    let settings = sqlx::raw_sql(sqlx::AssertSqlSafe(settings));
                    connection.execute(settings).await.map(|_| ())
                })
            });
        Ok(Self {
            target,
            version,
            readers: pool.connect_lazy_with(options),
        })
    }
}

/// What every reading connection is set to. MariaDB and MySQL bound a read by different variables; neither bounds
/// a wait for a table's definition by them.
fn settings(version: &str, limit: Duration) -> String {
    // A chain of messages is longer than the thousand steps that both allow for by themselves:
    // MariaDB would cut it without a word.
    let bound = match (version.contains("MariaDB"), version.starts_with("5.")) {
        (true, _) => format!(
            "max_statement_time = {}, SESSION max_recursive_iterations = 4294967295",
            limit.as_secs_f64()
        ),
        (false, true) => format!("max_execution_time = {}", limit.as_millis()),
        (false, false) => format!(
            "max_execution_time = {}, SESSION cte_max_recursion_depth = 4294967295",
            limit.as_millis()
        ),
    };
    let limit = limit.as_secs().max(1);
    format!(
        "SET SESSION {bound}, SESSION lock_wait_timeout = {limit}; SET SESSION TRANSACTION READ ONLY"
    )
}

pub(super) fn options(target: &Target) -> anyhow::Result<MySqlConnectOptions> {
    let options: MySqlConnectOptions = target
        .secret_url()
        .parse()
        .map_err(|error| server::unusable(target, &error))?;
    Ok(options.charset("utf8mb4"))
}

impl Db for MySql {
    fn target(&self) -> &Target {
        &self.target
    }

    fn catalog(&self) -> &'static Catalog {
        &CATALOG
    }

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(schema(self))
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
            let settings = settings(&self.version, query.timeout);
            queries::run(&self.target, &options(&self.target)?, &settings, &query).await
        })
    }

    /// A node of a Galera cluster does not lag: its readers wait for what the others committed.
    fn lags(&self) -> Tried<'_, Option<String>> {
        Box::pin(async move {
            let replicas = if self.version.contains("MariaDB") {
                "SHOW ALL SLAVES STATUS"
            } else {
                "SHOW REPLICA STATUS"
            };
            let group = "SELECT 1 FROM performance_schema.global_variables
                WHERE variable_name = 'group_replication_group_name' AND variable_value <> ''";
            match self.rows(replicas, &[]).await {
                Err(error) => {
                    return Ok(Some(format!(
                        "whether it is a replica is not known ({error:#})"
                    )));
                }
                Ok(rows) if !rows.is_empty() => return Ok(Some("it is a replica".to_owned())),
                Ok(_) => {}
            }
            // MariaDB has no such groups, and older servers have no such table.
            let group = self.rows(group, &[]).await.unwrap_or_default();
            Ok((!group.is_empty()).then(|| "it is a member of a replication group".to_owned()))
        })
    }

    fn writer(&self, wait: Duration) -> Tried<'_, Box<dyn Writer>> {
        Box::pin(async move {
            // The driver would read `||` in another way and change the time zone: a statement is
            // to do what it does in any other client.
            let options = options(&self.target)?
                .pipes_as_concat(false)
                .no_engine_substitution(false)
                .timezone(None);
            let mut connection: MySqlConnection = server::connect(&self.target, &options).await?;
            let wait = wait.as_millis().div_ceil(1000);
            let settings = format!(
                "SET SESSION innodb_lock_wait_timeout = {wait}, SESSION lock_wait_timeout = {wait}"
            );
            connection.execute(sqlx::AssertSqlSafe(settings)).await?;
            Ok(Box::new(MySqlWriter { connection }) as Box<dyn Writer>)
        })
    }
}

/// The user's tables.
pub(super) async fn schema(db: &dyn Db) -> anyhow::Result<Vec<Table>> {
    let keys = db.rows(KEYS, &[]).await?;
    let mut columns = db.rows(COLUMNS, &[]).await?;
    for row in &mut columns {
        let mine = keys.iter().filter(|key| key[..2] == row[..2]);
        let key = mine.clone().any(|key| key[2] == Cell::Int(1));
        let reference = mine.map(|key| &key[3]).find(|name| **name != Cell::Null);
        row.push(Cell::Int(i64::from(key)));
        row.push(reference.cloned().unwrap_or(Cell::Null));
    }
    Ok(server::tables(&columns))
}

struct MySqlWriter {
    connection: MySqlConnection,
}

impl Writer for MySqlWriter {
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

/// Texts in hexadecimal: whether a backslash escapes depends on the session's mode.
pub(super) fn literal(cell: &Cell) -> anyhow::Result<String> {
    Ok(match cell {
        Cell::Null => "NULL".to_owned(),
        Cell::Int(number) => number.to_string(),
        Cell::Real(number) => {
            anyhow::ensure!(number.is_finite(), "MySQL can't hold the number {number}");
            format!("{number:e}")
        }
        Cell::Text(text) => format!("_utf8mb4 x'{}'", hex(text.as_bytes())),
        Cell::Blob(bytes) => format!("x'{}'", hex(bytes)),
    })
}

/// How the text of a value is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Whole,
    Real,
    /// As a number, which is how it is written and compared; it comes as its bytes.
    Bits,
    Bytes,
    Text,
}

/// By the type of a column; what has no kind of its own is the text that the server prints.
pub(super) fn kind(info: &MySqlTypeInfo) -> Kind {
    match info.name() {
        "TINYINT" | "SMALLINT" | "MEDIUMINT" | "INT" | "BIGINT" | "BOOLEAN" | "YEAR"
        | "TINYINT UNSIGNED" | "SMALLINT UNSIGNED" | "MEDIUMINT UNSIGNED" | "INT UNSIGNED"
        | "BIGINT UNSIGNED" => Kind::Whole,
        "FLOAT" | "DOUBLE" => Kind::Real,
        "BIT" => Kind::Bits,
        "GEOMETRY" => Kind::Bytes,
        _ if is_binary(info) => Kind::Bytes,
        _ => Kind::Text,
    }
}

pub(super) fn cells(row: &MySqlRow) -> anyhow::Result<Vec<Cell>> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let kind = kind(&value.type_info());
            let bytes: &[u8] = row.try_get_unchecked(index)?;
            let text = || std::str::from_utf8(bytes);
            Ok(match kind {
                Kind::Whole => whole(text()?),
                Kind::Real => Cell::Real(text()?.parse()?),
                Kind::Bits => bits(bytes),
                Kind::Bytes => Cell::Blob(bytes.to_vec()),
                Kind::Text => Cell::Text(text()?.to_owned()),
            })
        })
        .collect()
}

/// By the collation: by name, the driver takes a text that is compared byte by byte for a blob too.
pub(super) fn is_binary(info: &MySqlTypeInfo) -> bool {
    <[u8] as Type<sqlx::MySql>>::compatible(info) && !<str as Type<sqlx::MySql>>::compatible(info)
}

/// A number, or its text when it is beyond the range of one.
fn whole(text: &str) -> Cell {
    text.parse()
        .map_or_else(|_| Cell::Text(text.to_owned()), Cell::Int)
}

/// A row of bits as the number that they write.
pub(super) fn bits(bytes: &[u8]) -> Cell {
    whole(&number(bytes).to_string())
}

/// The number of a BIT, which comes as its bytes.
pub(super) fn number(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0, |number, byte| number << 8 | u64::from(*byte))
}
