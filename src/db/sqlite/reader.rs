//! Reading SQLite.
//!
//! This process never closes a plain file descriptor of the database file: that would silently drop
//! SQLite's own locks.

use super::file::Opened;
use super::{file, query as queries};
use crate::cli_error::CliError;
use crate::db::server::while_reading;
use crate::db::{BoxFuture, Db, Each, Query, Reading, Target, Tried, WriteError, Writer};
use crate::model::{Cell, Column, Table};
use anyhow::Context as _;
use rusqlite::{Connection, ErrorCode};
use sqlx::sqlite::{SqliteArguments, SqliteConnectOptions, SqliteRow};
use sqlx::{
    Connection as _, Executor as _, Row as _, SqliteConnection, TypeInfo as _, ValueRef as _,
};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long a read waits for a writer. Long enough for any commit; while a gate stops
/// commits, the gate says that reading is pointless, so it is never waited for in vain.
pub(super) const READ_WAIT: Duration = Duration::from_secs(1);

/// How long a scan waits for a writer.
const SCAN_WAIT: Duration = Duration::from_secs(5);

/// How long a read of [`Reading::Unobtrusive`] may keep others from committing; then a copy is read.
const SHORT: Duration = Duration::from_millis(200);

/// How long making a copy may take.
const COPYING: Duration = Duration::from_secs(120);

/// How many steps of the engine's machine pass between two looks at the clock.
const STEPS: i32 = 10_000;

/// How often a read is tried that a writer's file kept changing under.
const ATTEMPTS: u32 = 3;

pub(super) struct Sqlite {
    target: Target,
    file: Arc<Shared>,
}

/// The file, and what it is read through.
struct Shared {
    target: Target,
    reading: Reading,
    /// The file as it is. What opens it again is a change that this connection would not see.
    reader: Mutex<Opened>,
    /// A copy that is read in its place.
    copy: Mutex<Option<Opened>>,
}

impl Sqlite {
    pub(super) async fn open(target: Target, reading: Reading) -> anyhow::Result<Self> {
        let opened = {
            let target = target.clone();
            tokio::task::spawn_blocking(move || Opened::open(&target, READ_WAIT)).await??
        };
        Ok(Self {
            file: Arc::new(Shared {
                target: target.clone(),
                reading,
                reader: Mutex::new(opened),
                copy: Mutex::new(None),
            }),
            target,
        })
    }
}

impl Shared {
    fn rows(&self, sql: &str, args: &[Cell]) -> anyhow::Result<Vec<Vec<Cell>>> {
        if let Some(copy) = &*locked(&self.copy) {
            return Ok(file::rows(copy, sql, args)?);
        }
        let mut reader = locked(&self.reader);
        if self.reading == Reading::Live || !reader.locks() {
            return self.current(&mut reader, |connection| file::rows(connection, sql, args));
        }
        let late = Instant::now() + SHORT;
        let is_late = move || Instant::now() > late;
        reader.progress_handler(STEPS, Some(is_late))?;
        let rows = file::rows(&reader, sql, args);
        reader.progress_handler(0, None::<fn() -> bool>)?;
        match rows {
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => {
                let mut copy = locked(&self.copy);
                let copy = self.copied(&reader, &mut copy)?;
                Ok(file::rows(copy, sql, args)?)
            }
            rows => Ok(rows?),
        }
    }

    /// Reads what is committed by now, also where the file is read without a lock.
    fn current<T>(
        &self,
        reader: &mut Opened,
        read: impl Fn(&Connection) -> rusqlite::Result<T>,
    ) -> anyhow::Result<T> {
        for _ in 0..ATTEMPTS {
            if !reader.is_current() {
                *reader = Opened::open(&self.target, READ_WAIT)?;
            }
            let done = read(reader);
            if reader.is_current() {
                return Ok(done?);
            }
        }
        Err(file::written(&self.target).into())
    }

    /// The copy, which is made once.
    fn copied<'c>(
        &self,
        reader: &Opened,
        copy: &'c mut Option<Opened>,
    ) -> anyhow::Result<&'c Opened> {
        if copy.is_none() {
            let made = file::copy(reader, &self.target, Instant::now() + COPYING)?;
            made.progress_handler(STEPS, Some(file::is_stopped))?;
            *copy = Some(made);
        }
        Ok(copy.as_ref().expect("it was made a moment ago"))
    }

    /// On a connection of its own, or through a copy.
    fn scan(&self, sql: &str, args: &[Cell], each: Each<'_>) -> anyhow::Result<()> {
        let opened = Opened::open(&self.target, SCAN_WAIT)?;
        if self.reading == Reading::Unobtrusive && opened.locks() {
            let mut copy = locked(&self.copy);
            let copy = self.copied(&opened, &mut copy)?;
            drop(opened);
            return file::scan(copy, sql, args, each);
        }
        opened.progress_handler(STEPS, Some(file::is_stopped))?;
        file::scan(&opened, sql, args, each)?;
        if opened.is_current() {
            Ok(())
        } else {
            Err(file::written(&self.target).into())
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A read that failed.
fn failed(target: &Target, error: anyhow::Error) -> anyhow::Error {
    let told = error
        .chain()
        .find_map(|it| it.downcast_ref::<rusqlite::Error>());
    let code = told.and_then(rusqlite::Error::sqlite_error_code);
    if file::is_stopped() {
        CliError::interrupted().into()
    } else if code == Some(ErrorCode::DatabaseCorrupt) {
        file::damaged(target).into()
    } else {
        let locked = matches!(
            code,
            Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked)
        );
        let path = target.path().display();
        let hint = locked.then(|| {
            format!("another process holds a lock: `fuser -v {path}` lists who has the file open; end its transaction")
        });
        while_reading(target, error, hint)
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

    fn schema(&self) -> Tried<'_, Vec<Table>> {
        Box::pin(schema(self))
    }

    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>> {
        Box::pin(async move {
            let file = Arc::clone(&self.file);
            let (sql, args) = (sql.to_owned(), args.to_vec());
            let rows = tokio::task::spawn_blocking(move || file.rows(&sql, &args)).await?;
            rows.map_err(|error| failed(&self.target, error))
        })
    }

    fn scan<'a>(&'a self, sql: &'a str, args: &'a [Cell], each: Each<'a>) -> Tried<'a, ()> {
        Box::pin(async move {
            let done = self.file.scan(sql, args, each);
            done.map_err(|error| failed(&self.target, error))
        })
    }

    fn query(&self, query: Query) -> Tried<'_, ()> {
        let target = self.target.clone();
        Box::pin(queries::run(target, READ_WAIT, query))
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

/// A condition: the table `m` is not a virtual one whose module is missing.
const CAN_BE_READ: &str = "(lower(m.sql) NOT LIKE 'create virtual%' OR EXISTS ( \
    SELECT 1 FROM temp.pragma_module_list l WHERE lower(m.sql) LIKE '%using%' || lower(l.name) || '%'))";

/// The user's tables.
pub(super) async fn schema(db: &dyn Db) -> anyhow::Result<Vec<Table>> {
    let names = db
        .rows(
            &format!(
                "SELECT m.name FROM sqlite_master m WHERE m.type = 'table' AND {CAN_BE_READ} \
                 AND m.name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY m.name"
            ),
            &[],
        )
        .await?;
    let mut tables = Vec::new();
    for name in names.iter().filter_map(|row| row[0].text()) {
        let arg = [Cell::Text(name.to_owned())];
        let keys = db
            .rows(
                "SELECT \"from\", \"table\" FROM temp.pragma_foreign_key_list(?)",
                &arg,
            )
            .await?;
        let columns = db
            .rows(
                "SELECT name, type, pk FROM temp.pragma_table_xinfo(?) WHERE hidden <> 1",
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
                // SQLite takes any bytes for a text: those that are none are reported as bytes.
                _ => match String::from_utf8(row.try_get_unchecked(index)?) {
                    Ok(text) => Cell::Text(text),
                    Err(error) => Cell::Blob(error.into_bytes()),
                },
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{Cell, Duration, Target, WriteError};

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
    async fn a_second_writer_learns_that_it_is_busy() {
        let (_folder, target) = scratch("CREATE TABLE t (a)").await;
        let db = crate::db::open(target).await.unwrap();
        let mut first = db.writer(Duration::ZERO).await.unwrap();
        let mut second = db.writer(Duration::ZERO).await.unwrap();
        first.execute("BEGIN IMMEDIATE").await.unwrap();
        let refused = second.execute("BEGIN IMMEDIATE").await;
        assert!(matches!(refused, Err(WriteError::Busy)), "{refused:?}");
    }

    #[tokio::test]
    async fn the_schema_shows_keys_and_references() {
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
