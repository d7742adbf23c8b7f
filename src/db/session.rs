//! A connection that migrates SQLite: one transaction, statement by statement, measured.

use super::Target;
use crate::model::Cell;
use crate::model::Measured;
use crate::model::MeasuredColumn;
use crate::model::MeasuredTable;
use anyhow::Context as _;
use rusqlite::Batch;
use rusqlite::Connection;
use rusqlite::InterruptHandle;
use rusqlite::OpenFlags;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::AuthAction;
use rusqlite::hooks::AuthContext;
use rusqlite::hooks::Authorization;
use rusqlite::types::ValueRef;
use std::collections::BTreeMap;
use std::hash::BuildHasher as _;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::hash::RandomState;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

/// By column: values that became NULL, and values that are other ones.
pub type Compared = BTreeMap<String, (u64, u64)>;

/// Whether a database that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is made.
    Create,
    /// It is an error.
    Fail,
    /// It is an error, and nothing is ever written: not even a write-ahead log is folded in.
    Look,
}

/// A connection of its own. Dropping it rolls back what was not committed.
pub struct Session {
    connection: Connection,
    /// Two keyed hashes make 128 bits; the keys are new in every run, so nobody can prepare a collision.
    hashes: [RandomState; 2],
}

/// A statement that failed.
#[derive(Debug)]
pub struct Failed {
    /// What the database said, or why the statement was not let through.
    pub message: String,
    /// The statement's number in its text, from 0.
    pub statement: usize,
    /// Whether another connection held a lock that it needs.
    pub busy: bool,
}

/// Why a statement may not stand in a migration: it would get around what is measured.
fn forbidden(action: &AuthAction<'_>, history: &str) -> Option<String> {
    let of_history = |table: &str| table.eq_ignore_ascii_case(history);
    match action {
        AuthAction::Transaction { .. } => Some(
            "a migration runs in chatctl's own transaction, which it must not end: remove BEGIN, COMMIT and ROLLBACK".into(),
        ),
        AuthAction::Attach { .. } | AuthAction::Detach { .. } => {
            Some("another database can't be measured: remove ATTACH and DETACH".into())
        }
        AuthAction::Pragma { pragma_name, pragma_value: Some(_) }
            if ["writable_schema", "schema_version", "query_only"].iter().any(|name| pragma_name.eq_ignore_ascii_case(name)) =>
        {
            Some(format!("`PRAGMA {pragma_name}` gets around what is measured: remove it"))
        }
        AuthAction::Insert { table_name }
        | AuthAction::Delete { table_name }
        | AuthAction::Update { table_name, .. }
        | AuthAction::DropTable { table_name }
        | AuthAction::AlterTable { table_name, .. }
            if of_history(table_name) =>
        {
            Some(format!("the history `{history}` is not a migration's to change"))
        }
        _ => None,
    }
}

impl Session {
    /// Opens the database; `wait` bounds how long a statement waits for a lock.
    pub fn open(target: &Target, missing: Missing, wait: Duration) -> anyhow::Result<Self> {
        let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags |= match (missing, target.read_only()) {
            (Missing::Look, _) | (_, true) => OpenFlags::SQLITE_OPEN_READ_ONLY,
            (Missing::Create, false) => {
                OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
            }
            (Missing::Fail, false) => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        let connection = Connection::open_with_flags(target.path(), flags)
            .with_context(|| format!("opening `{target}`"))?;
        connection.busy_timeout(wait)?;
        Ok(Self {
            connection,
            hashes: [RandomState::new(), RandomState::new()],
        })
    }

    /// Stops a statement that runs, from another thread.
    pub fn interrupter(&self) -> InterruptHandle {
        self.connection.get_interrupt_handle()
    }

    /// Runs chatctl's own statement.
    pub fn command(&self, sql: &str) -> Result<(), Failed> {
        self.connection
            .execute_batch(sql)
            .map_err(|error| failed(&error, 0))
    }

    /// Runs a migration's statements one by one, but none that would get around what is measured;
    /// `each` is called after every one with its number.
    pub fn run(
        &self,
        sql: &str,
        history: &str,
        each: impl FnMut(usize) -> anyhow::Result<()>,
    ) -> Result<(), Failed> {
        let (history, why) = (history.to_owned(), Arc::new(Mutex::new(None)));
        let told = Arc::clone(&why);
        let judge = move |context: AuthContext<'_>| match forbidden(&context.action, &history) {
            None => Authorization::Allow,
            Some(reason) => {
                *told.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
                Authorization::Deny
            }
        };
        self.connection
            .authorizer(Some(judge))
            .map_err(|error| failed(&error, 0))?;
        let done = self.run_each(sql, each);
        let freed = self
            .connection
            .authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
        let reason = why.lock().unwrap_or_else(PoisonError::into_inner).take();
        match (done, reason) {
            (Err(failed), Some(reason)) => Err(Failed {
                message: reason,
                ..failed
            }),
            (Err(failed), None) => Err(failed),
            (Ok(()), _) => freed.map_err(|error| failed(&error, 0)),
        }
    }

    fn run_each(
        &self,
        sql: &str,
        mut each: impl FnMut(usize) -> anyhow::Result<()>,
    ) -> Result<(), Failed> {
        let mut batch = Batch::new(&self.connection, sql);
        let mut number = 0;
        while let Some(mut statement) = batch.next().map_err(|error| failed(&error, number))? {
            let mut rows = statement.raw_query();
            while rows
                .next()
                .map_err(|error| failed(&error, number))?
                .is_some()
            {}
            drop(rows);
            each(number).map_err(|error| Failed {
                message: format!("{error:#}"),
                statement: number,
                busy: false,
            })?;
            number += 1;
        }
        Ok(())
    }

    /// Runs one statement with values.
    pub fn execute(&self, sql: &str, args: &[Cell]) -> anyhow::Result<()> {
        self.connection
            .execute(sql, rusqlite::params_from_iter(args.iter().map(value)))?;
        Ok(())
    }

    /// The rows that a statement gives.
    pub fn rows(&self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|index| Ok(cell(row.get_ref(index)?)));
            found.push(cells.collect::<anyhow::Result<_>>()?);
        }
        Ok(found)
    }

    /// Counts every row and hashes every value of all tables but one.
    pub fn measure(&self, but: &str) -> anyhow::Result<Measured> {
        // A virtual table is read through its module. What lies in its shadow tables is its own
        // affair, but for `_content`: SQLite takes a table of the user's with such a name for one.
        let tables = self.rows(
            "SELECT name, type FROM pragma_table_list WHERE schema = 'main' AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' \
             AND (type IN ('table', 'virtual') OR type = 'shadow' AND name LIKE '%\\_content' ESCAPE '\\') ORDER BY name",
        )?;
        let mut measured = Measured::default();
        for row in &tables {
            let (name, is_virtual) = (row[0].to_string(), row[1].text() == Some("virtual"));
            if name == but || is_virtual && self.is_derived(&name)? {
                continue;
            }
            let table = self
                .measure_table(&name)
                .with_context(|| format!("measuring table `{name}`"))?;
            measured.tables.insert(name, table);
        }
        Ok(measured)
    }

    /// Whether a virtual table only shows what is stored elsewhere.
    fn is_derived(&self, name: &str) -> anyhow::Result<bool> {
        let sql = format!(
            "SELECT sql FROM main.sqlite_master WHERE name = {}",
            text_literal(name)
        );
        let made = self
            .rows(&sql)?
            .first()
            .map(|row| row[0].to_string().to_lowercase())
            .unwrap_or_default();
        Ok(["fts5vocab", "fts4aux", "dbstat"]
            .iter()
            .any(|module| made.contains(module)))
    }

    fn measure_table(&self, name: &str) -> anyhow::Result<MeasuredTable> {
        let (columns, keys) = self.columns(name)?;
        let list: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        let mut statement = self.connection.prepare(&format!(
            "SELECT {} FROM main.{}",
            list.join(", "),
            quoted(name)
        ))?;
        let mut measures = vec![MeasuredColumn::default(); columns.len()];
        let mut table = MeasuredTable {
            key: keys.iter().map(|index| columns[*index].clone()).collect(),
            ..MeasuredTable::default()
        };
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next()? {
            table.rows += 1;
            let mut of_key = self.hashers();
            for index in &keys {
                let value = row.get_ref(*index)?;
                table.null_keys |= matches!(value, ValueRef::Null);
                feed(&mut of_key, value);
            }
            let mut of_row = self.hashers();
            for (index, measure) in measures.iter_mut().enumerate() {
                let value = row.get_ref(index)?;
                feed(&mut of_row, value);
                if matches!(value, ValueRef::Null) {
                    continue;
                }
                measure.filled += 1;
                let mut keyed = of_key.clone();
                feed(&mut keyed, value);
                measure.keyed = measure.keyed.wrapping_add(sum(&keyed));
            }
            table.whole = table.whole.wrapping_add(sum(&of_row));
        }
        table.columns = columns.into_iter().zip(measures).collect();
        Ok(table)
    }

    /// The columns that are stored (generated ones are made anew from them), and which are the key.
    fn columns(&self, table: &str) -> anyhow::Result<(Vec<String>, Vec<usize>)> {
        let info = self.rows(&format!(
            "SELECT name, pk FROM pragma_table_xinfo({}, 'main') WHERE hidden = 0 ORDER BY cid",
            text_literal(table)
        ))?;
        let keys = (0..info.len())
            .filter(|index| info[*index][1].int().unwrap_or(0) > 0)
            .collect();
        Ok((info.iter().map(|row| row[0].to_string()).collect(), keys))
    }

    /// Puts a copy of a table aside, in one that only this connection sees.
    pub fn put_aside(&self, number: usize, table: &str) -> anyhow::Result<()> {
        let (columns, _) = self.columns(table)?;
        let list: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        self.connection.execute_batch(&format!(
            "CREATE TEMP TABLE {} AS SELECT {} FROM main.{}",
            aside(number),
            list.join(", "),
            quoted(table)
        ))?;
        Ok(())
    }

    /// Compares a table with the copy that was put aside, row by row and byte by byte.
    pub fn compare(
        &self,
        number: usize,
        table: &str,
        key: &[(String, String)],
        columns: &[(String, String)],
    ) -> anyhow::Result<(u64, Compared)> {
        let (was, now) = (
            format!("temp.{}", aside(number)),
            format!("main.{}", quoted(table)),
        );
        let count = |sql: &str| -> anyhow::Result<u64> {
            Ok(u64::try_from(self.rows(sql)?[0][0].int().unwrap_or(0))?)
        };
        let mut compared = Compared::new();
        let rows = if key.is_empty() {
            // Rows without a key are compared as a whole, and each as often as it stands there.
            let group = |side: fn(&(String, String)) -> &String, from: &str| {
                let exact: Vec<_> = columns
                    .iter()
                    .map(|pair| exact(&quoted(side(pair))))
                    .collect();
                let names: Vec<_> = (0..exact.len())
                    .map(|index| format!("{} AS e{index}", exact[index]))
                    .collect();
                let places: Vec<_> = (1..=exact.len()).map(|place| place.to_string()).collect();
                format!(
                    "SELECT {}, count(*) AS n FROM {from} GROUP BY {}",
                    names.join(", "),
                    places.join(", ")
                )
            };
            let same: Vec<_> = (0..columns.len())
                .map(|index| format!("a.e{index} IS b.e{index}"))
                .collect();
            count(&format!(
                "SELECT coalesce(sum(max(a.n - coalesce(b.n, 0), 0)), 0) FROM ({}) AS a LEFT JOIN ({}) AS b ON {}",
                group(|pair| &pair.0, &was),
                group(|pair| &pair.1, &now),
                same.join(" AND ")
            ))?
        } else {
            let on: Vec<_> = key
                .iter()
                .map(|(old, new)| format!("b.{} = a.{}", quoted(new), quoted(old)))
                .collect();
            let on = on.join(" AND ");
            for (old, new) in columns {
                let (a, b) = (format!("a.{}", quoted(old)), format!("b.{}", quoted(new)));
                let joined = format!(
                    "SELECT count(*) FROM {was} AS a JOIN {now} AS b ON {on} WHERE {a} IS NOT NULL"
                );
                let gone = count(&format!("{joined} AND {b} IS NULL"))?;
                let changed = count(&format!(
                    "{joined} AND {b} IS NOT NULL AND {} IS NOT {}",
                    exact(&a),
                    exact(&b)
                ))?;
                compared.insert(old.clone(), (gone, changed));
            }
            count(&format!(
                "SELECT count(*) FROM {was} AS a WHERE NOT EXISTS (SELECT 1 FROM {now} AS b WHERE {on})"
            ))?
        };
        self.connection
            .execute_batch(&format!("DROP TABLE {was}"))?;
        Ok((rows, compared))
    }

    fn hashers(&self) -> [std::hash::DefaultHasher; 2] {
        [self.hashes[0].build_hasher(), self.hashes[1].build_hasher()]
    }
}

/// Both hashes as one number; sums of them do not depend on the order of the rows.
fn sum([high, low]: &[std::hash::DefaultHasher; 2]) -> u128 {
    u128::from(high.finish()) << 64 | u128::from(low.finish())
}

/// A value as SQL can compare it: with its storage class, and bytes instead of collation and
/// affinity. A real number keeps its own comparison, since its bytes go through text.
fn exact(value: &str) -> String {
    format!(
        "typeof({value}) || ':' || CASE typeof({value}) WHEN 'real' THEN printf('%!.17g', {value}) ELSE hex({value}) END"
    )
}

/// The name of a copy that was put aside.
fn aside(number: usize) -> String {
    format!("chatctl_before_{number}")
}

fn failed(error: &rusqlite::Error, statement: usize) -> Failed {
    Failed {
        message: error.to_string(),
        statement,
        busy: matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        ),
    }
}

/// The storage class counts: `1` and `'1'` are different values.
fn feed(hashers: &mut [std::hash::DefaultHasher; 2], value: ValueRef<'_>) {
    for hasher in hashers {
        match value {
            ValueRef::Null => 0_u8.hash(hasher),
            ValueRef::Integer(number) => (1_u8, number).hash(hasher),
            ValueRef::Real(number) => (2_u8, number.to_bits()).hash(hasher),
            ValueRef::Text(bytes) => (3_u8, bytes).hash(hasher),
            ValueRef::Blob(bytes) => (4_u8, bytes).hash(hasher),
        }
    }
}

fn value(cell: &Cell) -> rusqlite::types::Value {
    match cell {
        Cell::Null => rusqlite::types::Value::Null,
        Cell::Int(number) => rusqlite::types::Value::Integer(*number),
        Cell::Real(number) => rusqlite::types::Value::Real(*number),
        Cell::Text(text) => rusqlite::types::Value::Text(text.clone()),
        Cell::Blob(bytes) => rusqlite::types::Value::Blob(bytes.clone()),
    }
}

fn cell(value: ValueRef<'_>) -> Cell {
    match value {
        ValueRef::Null => Cell::Null,
        ValueRef::Integer(number) => Cell::Int(number),
        ValueRef::Real(number) => Cell::Real(number),
        ValueRef::Text(bytes) => Cell::Text(String::from_utf8_lossy(bytes).into_owned()),
        ValueRef::Blob(bytes) => Cell::Blob(bytes.to_vec()),
    }
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Duration;
    use super::Measured;
    use super::Missing;
    use super::Session;
    use super::Target;

    const HISTORY: &str = "_sqlx_migrations";

    fn session(sql: &str) -> (tempfile::TempDir, Session) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let session = Session::open(
            &Target::parse(&url).unwrap(),
            Missing::Create,
            Duration::ZERO,
        )
        .unwrap();
        session.command(sql).unwrap();
        (folder, session)
    }

    fn after(session: &Session, sql: &str) -> Measured {
        session.command(sql).unwrap();
        session.measure(HISTORY).unwrap()
    }

    #[test]
    fn a_rebuild_measures_the_same_and_a_swap_does_not() {
        let (_folder, session) = session(
            "CREATE TABLE m (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO m VALUES (1, 'a'), (2, 'b'), (3, NULL)",
        );
        let before = session.measure(HISTORY).unwrap();
        assert_eq!(
            (
                before.tables["m"].rows,
                before.tables["m"].columns["body"].filled
            ),
            (3, 2)
        );
        let rebuilt = after(
            &session,
            "CREATE TABLE n (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO n SELECT * FROM m ORDER BY id DESC;
             DROP TABLE m; ALTER TABLE n RENAME TO m",
        );
        assert_eq!(rebuilt, before);
        let swapped = after(
            &session,
            "UPDATE m SET body = CASE id WHEN 1 THEN 'b' ELSE 'a' END WHERE id < 3",
        );
        assert_ne!(
            swapped.tables["m"].columns["body"],
            before.tables["m"].columns["body"]
        );
    }

    #[test]
    fn a_temporary_table_does_not_hide_the_real_one() {
        let (_folder, session) =
            session("CREATE TABLE m (id INTEGER PRIMARY KEY); INSERT INTO m VALUES (1)");
        let now = after(
            &session,
            "CREATE TEMP TABLE m AS SELECT * FROM main.m; DELETE FROM main.m",
        );
        assert_eq!(now.tables["m"].rows, 0);
    }

    #[test]
    fn a_statement_that_fails_is_named() {
        let (_folder, session) = session("");
        let failed = session
            .run(
                "CREATE TABLE a (x); CREATE TABLE a (x); SELECT 1",
                HISTORY,
                |_| Ok(()),
            )
            .unwrap_err();
        assert_eq!(failed.statement, 1);
        assert!(failed.message.contains("already exists"));
    }

    #[test]
    fn what_would_get_around_the_measure_is_not_let_through() {
        let (_folder, session) = session("CREATE TABLE _sqlx_migrations (version)");
        session.command("BEGIN").unwrap();
        for (sql, says) in [
            ("COMMIT", "own transaction"),
            ("ROLLBACK", "own transaction"),
            ("BEGIN", "own transaction"),
            ("ATTACH ':memory:' AS o", "ATTACH"),
            ("PRAGMA writable_schema = ON", "writable_schema"),
            ("DELETE FROM _sqlx_migrations", "history"),
            ("DROP TABLE _sqlx_migrations", "history"),
        ] {
            let failed = session.run(sql, HISTORY, |_| Ok(())).unwrap_err();
            assert!(failed.message.contains(says), "{sql}: {}", failed.message);
        }
        session
            .run(
                "SAVEPOINT a; RELEASE a; PRAGMA foreign_keys = OFF",
                HISTORY,
                |_| Ok(()),
            )
            .unwrap();
        session.command("COMMIT").unwrap();
    }
}
