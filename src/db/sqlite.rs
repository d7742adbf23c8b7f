//! SQLite, embedded.
//!
//! This process never opens the database file in any other way than through SQLite:
//! closing a plain file descriptor of it would silently drop SQLite's own locks.

use super::Backend;
use super::BoxFuture;
use super::Catalog;
use super::Db;
use super::Each;
use super::Place;
use super::Query;
use super::Target;
use super::Tried;
use super::WordIndex;
use super::WriteError;
use super::Writer;
use super::catalog;
use super::query as queries;
use super::steady;
use crate::model::Cell;
use crate::model::Column;
use crate::model::Table;
use crate::stop::Stop;
use anyhow::Context as _;
use sqlx::Connection as _;
use sqlx::Executor as _;
use sqlx::Row as _;
use sqlx::SqliteConnection;
use sqlx::TypeInfo as _;
use sqlx::ValueRef as _;
use sqlx::sqlite::SqliteArguments;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::sqlite::SqliteRow;
use std::time::Duration;
use tokio::sync::Mutex;

pub(super) const BACKEND: Backend = Backend {
    name: "sqlite",
    schemes: &["sqlite"],
    place: Place::File,
    open: |target| {
        Box::pin(async move { Ok(Box::new(Sqlite::open(target).await?) as Box<dyn Db>) })
    },
};

/// How long a read waits for a writer. Long enough for any commit; while a gate stops
/// commits, the gate says that reading is pointless, so it is never waited for in vain.
const READ_WAIT: Duration = Duration::from_secs(1);

struct Sqlite {
    target: Target,
    reader: Mutex<SqliteConnection>,
}

impl Sqlite {
    async fn open(target: Target) -> anyhow::Result<Self> {
        if !target.path().exists() {
            return Err(
                Stop::unreachable(format!("no database at `{}`", target.path().display()))
                    .hint(
                        "check --database-url; chatctl never creates the store that it looks at \
                 (SQLAlchemy's sqlite:///chat.db is sqlite:chat.db here)",
                    )
                    .into(),
            );
        }
        let options = options(&target).read_only(true).busy_timeout(READ_WAIT);
        let mut reader = SqliteConnection::connect_with(&options)
            .await
            .with_context(|| format!("opening `{target}`"))?;
        // Opening is lazy: only a first read tells whether it is a database at all.
        reader
            .execute("SELECT count(*) FROM sqlite_master")
            .await
            .with_context(|| format!("reading `{target}`"))?;
        Ok(Self {
            target,
            reader: Mutex::new(reader),
        })
    }
}

fn options(target: &Target) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(target.path())
        .create_if_missing(false)
}

impl Db for Sqlite {
    fn target(&self) -> &Target {
        &self.target
    }

    fn catalog(&self) -> &'static Catalog {
        &catalog::SQLITE
    }

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(schema(self))
    }

    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>> {
        Box::pin(async move {
            let mut reader = self.reader.lock().await;
            let rows = query(sql, args)
                .fetch_all(&mut *reader)
                .await
                .with_context(|| format!("reading `{}`", self.target))?;
            rows.iter().map(cells).collect()
        })
    }

    fn word_index<'a>(&'a self, table: &'a str, column: &'a str) -> Tried<'a, Option<WordIndex>> {
        Box::pin(async move {
            // Only an index over the table's own rows has their numbers.
            let sql = "SELECT f.name, f.sql FROM sqlite_master f, pragma_table_info(f.name) c
                WHERE f.type = 'table' AND lower(f.sql) LIKE '%using fts5%' AND lower(c.name) = lower(?)";
            let found = self.rows(sql, &[Cell::Text(column.to_owned())]).await?;
            let of_table = |row: &&Vec<Cell>| {
                let sql = row[1].to_string().to_lowercase();
                // A column may have that name too, and `content_rowid` begins with it.
                let options = sql
                    .split("content")
                    .filter_map(|rest| rest.trim_start().strip_prefix('='));
                let content = options.last().unwrap_or_default();
                let name = content.split([',', ')']).next().unwrap_or_default();
                name.trim_matches(['\'', '"', '`', '[', ']', ' ', '\n']) == table.to_lowercase()
            };
            Ok(found.iter().find(of_table).map(|row| {
                let name = self.quote(&row[0].to_string());
                WordIndex {
                    condition: format!(
                        "m.rowid IN (SELECT rowid FROM {name} WHERE {name} MATCH '{{' || {} || '}} : ' || ?)",
                        format_args!("'{}'", self.quote(column).replace('\'', "''")),
                    ),
                    name: row[0].to_string(),
                }
            }))
        })
    }

    fn scan<'a>(&'a self, sql: &'a str, args: &'a [Cell], each: Each<'a>) -> Tried<'a, ()> {
        Box::pin(async move { steady::scan_sqlite(&self.target, sql, args, each) })
    }

    fn query(&self, query: Query) -> Tried<'_, ()> {
        let target = self.target.clone();
        Box::pin(queries::sqlite::run(target, READ_WAIT, query))
    }

    fn writer(&self, wait: Duration) -> Tried<'_, Box<dyn Writer>> {
        Box::pin(async move {
            if self.target.read_only() {
                return Err(WriteError::ReadOnly.into());
            }
            let options = options(&self.target).busy_timeout(wait);
            let connection = SqliteConnection::connect_with(&options)
                .await
                .with_context(|| format!("opening `{}` for writing", self.target))?;
            Ok(Box::new(SqliteWriter { connection }) as Box<dyn Writer>)
        })
    }
}

/// The user's tables.
pub(super) async fn schema(db: &dyn Db) -> anyhow::Result<Vec<Table>> {
    let names = db
        .rows(
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
            &[],
        )
        .await?;
    let mut tables = Vec::new();
    for name in names.iter().filter_map(|row| row[0].text()) {
        let arg = [Cell::Text(name.to_owned())];
        let keys = db
            .rows(
                "SELECT \"from\", \"table\" FROM pragma_foreign_key_list(?)",
                &arg,
            )
            .await?;
        let columns = db
            .rows(
                "SELECT name, type, pk FROM pragma_table_xinfo(?) WHERE hidden <> 1",
                &arg,
            )
            .await?;
        let columns = columns.iter().map(|row| column(row, &keys)).collect();
        tables.push(Table {
            name: name.to_owned(),
            columns,
        });
    }
    Ok(tables)
}

struct SqliteWriter {
    connection: SqliteConnection,
}

impl Writer for SqliteWriter {
    fn execute<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move {
            let done = self.connection.execute(sqlx::AssertSqlSafe(sql)).await;
            done.map(|_| ()).map_err(write_error)
        })
    }

    fn write<'a>(
        &'a mut self,
        sql: &'a str,
        args: &'a [Cell],
    ) -> BoxFuture<'a, Result<(), WriteError>> {
        Box::pin(async move {
            let done = query(sql, args).execute(&mut self.connection).await;
            done.map(|_| ()).map_err(write_error)
        })
    }

    fn value<'a>(&'a mut self, sql: &'a str) -> Tried<'a, Cell> {
        Box::pin(async move {
            let row = query(sql, &[]).fetch_one(&mut self.connection).await?;
            Ok(cells(&row)?.into_iter().next().unwrap_or(Cell::Null))
        })
    }
}

/// SQLite's primary result codes (sqlite.org/rescode.html): 5 BUSY, 6 LOCKED, 8 READONLY.
fn write_error(error: sqlx::Error) -> WriteError {
    let code = error
        .as_database_error()
        .and_then(|error| error.code())
        .and_then(|code| code.parse::<u32>().ok())
        .map(|code| code & 0xff);
    match code {
        Some(5 | 6) => WriteError::Busy,
        Some(8) => WriteError::ReadOnly,
        _ => WriteError::Other(error.into()),
    }
}

fn column(row: &[Cell], keys: &[Vec<Cell>]) -> Column {
    let name = row[0].to_string();
    let references = keys
        .iter()
        .find(|key| key[0].text() == Some(&name))
        .map(|key| key[1].to_string());
    Column {
        declared: row[1].to_string().to_uppercase(),
        key: row[2].int().unwrap_or(0) > 0,
        references,
        name,
    }
}

fn query<'a>(
    sql: &'a str,
    args: &'a [Cell],
) -> sqlx::query::Query<'a, sqlx::Sqlite, SqliteArguments> {
    // The texts are chatctl's own; names in them are quoted and values are bound.
    let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
    for arg in args {
        query = match arg {
            Cell::Null => query.bind(None::<i64>),
            Cell::Int(number) => query.bind(*number),
            Cell::Real(number) => query.bind(*number),
            Cell::Text(text) => query.bind(text.clone()),
            Cell::Blob(bytes) => query.bind(bytes.clone()),
        };
    }
    query
}

/// By the storage class of each value, not by the declared type of its column.
fn cells(row: &SqliteRow) -> anyhow::Result<Vec<Cell>> {
    (0..row.len())
        .map(|index| {
            let value = row.try_get_raw(index)?;
            if value.is_null() {
                return Ok(Cell::Null);
            }
            let class = value.type_info().name().to_owned();
            Ok(match class.as_str() {
                "INTEGER" | "BOOLEAN" => Cell::Int(row.try_get_unchecked(index)?),
                "REAL" => Cell::Real(row.try_get_unchecked(index)?),
                "BLOB" => Cell::Blob(row.try_get_unchecked(index)?),
                // SQLite takes any bytes for a text: those that are none are told as bytes.
                _ => match String::from_utf8(row.try_get_unchecked(index)?) {
                    Ok(text) => Cell::Text(text),
                    Err(error) => Cell::Blob(error.into_bytes()),
                },
            })
        })
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Cell;
    use super::Duration;
    use super::Target;
    use super::WriteError;

    async fn scratch(sql: &str) -> (tempfile::TempDir, Target) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("t.db");
        std::fs::write(&path, b"").unwrap();
        let target = Target::parse(&format!("sqlite:{}", path.display())).unwrap();
        let db = crate::db::open(target.clone()).await.unwrap();
        db.writer(Duration::ZERO)
            .await
            .unwrap()
            .execute(sql)
            .await
            .unwrap();
        (folder, target)
    }

    #[tokio::test]
    async fn values_are_read_by_storage_class() {
        let (_folder, target) =
            scratch("CREATE TABLE t (a DATETIME, b, c REAL, d BLOB, e BOOLEAN); INSERT INTO t VALUES ('2026-01-01', 7, 1.5, x'00ff', NULL)").await;
        let db = crate::db::open(target).await.unwrap();
        let rows = db.rows("SELECT a, b, c, d, e FROM t", &[]).await.unwrap();
        let expected = [
            Cell::Text("2026-01-01".into()),
            Cell::Int(7),
            Cell::Real(1.5),
            Cell::Blob(vec![0, 255]),
            Cell::Null,
        ];
        assert_eq!(rows[0], expected);
    }

    #[tokio::test]
    async fn the_reader_cannot_write() {
        let (_folder, target) = scratch("CREATE TABLE t (a)").await;
        let db = crate::db::open(target).await.unwrap();
        assert!(db.rows("INSERT INTO t VALUES (1)", &[]).await.is_err());
        assert!(db.rows("SELECT count(*) FROM t", &[]).await.unwrap()[0][0] == Cell::Int(0));
    }

    #[tokio::test]
    async fn a_second_writer_is_told_that_it_is_busy() {
        let (_folder, target) = scratch("CREATE TABLE t (a)").await;
        let db = crate::db::open(target).await.unwrap();
        let mut first = db.writer(Duration::ZERO).await.unwrap();
        let mut second = db.writer(Duration::ZERO).await.unwrap();
        first.execute("BEGIN IMMEDIATE").await.unwrap();
        let refused = second.execute("BEGIN IMMEDIATE").await;
        assert!(matches!(refused, Err(WriteError::Busy)), "{refused:?}");
    }

    #[tokio::test]
    async fn the_schema_tells_keys_and_references() {
        let (_folder, target) = scratch(
            "CREATE TABLE c (id INTEGER PRIMARY KEY); CREATE TABLE m (id TEXT PRIMARY KEY, c_id INT REFERENCES c(id), content TEXT)",
        )
        .await;
        let schema = crate::db::open(target)
            .await
            .unwrap()
            .schema()
            .await
            .unwrap();
        let message = &schema[1];
        assert!(message.column("id").unwrap().key);
        assert_eq!(
            message.column("c_id").unwrap().references.as_deref(),
            Some("c")
        );
        assert!(message.column("content").unwrap().holds_text());
    }

    #[tokio::test]
    async fn a_missing_file_is_not_created() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("none.db");
        let target = Target::parse(&format!("sqlite:{}", path.display())).unwrap();
        assert!(crate::db::open(target).await.is_err());
        assert!(!path.exists());
    }
}
