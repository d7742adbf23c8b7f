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
use rusqlite::types::ValueRef;
use std::hash::BuildHasher as _;
use std::hash::Hash as _;
use std::hash::Hasher as _;
use std::hash::RandomState;
use std::time::Duration;

/// Whether a database that is not there is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is made.
    Create,
    /// It is an error.
    Fail,
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
    /// What the database said.
    pub message: String,
    /// The statement's number in its text, from 0.
    pub statement: usize,
}

impl Session {
    /// Opens the database; `wait` bounds how long a statement waits for a lock.
    pub fn open(target: &Target, missing: Missing, wait: Duration) -> anyhow::Result<Self> {
        let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
        flags |= match (missing, target.read_only()) {
            (_, true) => OpenFlags::SQLITE_OPEN_READ_ONLY,
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

    /// Runs statements one by one; `each` is called after every one with its number.
    pub fn run(
        &self,
        sql: &str,
        mut each: impl FnMut(usize) -> anyhow::Result<()>,
    ) -> Result<(), Failed> {
        let mut batch = Batch::new(&self.connection, sql);
        let mut number = 0;
        let failed = |error: &dyn std::fmt::Display, statement| Failed {
            message: error.to_string(),
            statement,
        };
        while let Some(mut statement) = batch.next().map_err(|error| failed(&error, number))? {
            let mut rows = statement.raw_query();
            while rows
                .next()
                .map_err(|error| failed(&error, number))?
                .is_some()
            {}
            drop(rows);
            each(number).map_err(|error| failed(&format!("{error:#}"), number))?;
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

    /// Counts every row and hashes every value of the tables, but those that `skip` names.
    pub fn measure(&self, skip: impl Fn(&str) -> bool) -> anyhow::Result<Measured> {
        // Shadow tables belong to a virtual one, and what it holds is read through it.
        let names = self.rows(
            "SELECT name FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual') \
             AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\' ORDER BY name",
        )?;
        let mut measured = Measured::default();
        for name in names
            .iter()
            .filter_map(|row| row[0].text())
            .filter(|name| !skip(name))
        {
            let table = self
                .measure_table(name)
                .with_context(|| format!("measuring table `{name}`"))?;
            measured.tables.insert(name.to_owned(), table);
        }
        Ok(measured)
    }

    /// Puts a column's values aside with their keys, in a table that only this connection sees.
    pub fn remember(
        &self,
        number: usize,
        table: &str,
        key: &[String],
        column: &str,
    ) -> anyhow::Result<()> {
        let mut list: Vec<_> = key
            .iter()
            .enumerate()
            .map(|(index, key)| format!("{} AS k{index}", quoted(key)))
            .collect();
        list.push(format!("{} AS v", quoted(column)));
        let sql = format!(
            "CREATE TEMP TABLE chatctl_before_{number} AS SELECT {} FROM main.{} WHERE {} IS NOT NULL",
            list.join(", "),
            quoted(table),
            quoted(column)
        );
        self.connection.execute_batch(&sql)?;
        Ok(())
    }

    /// How many of the values that were put aside are not there any more.
    pub fn altered(
        &self,
        number: usize,
        table: &str,
        key: &[String],
        column: &str,
    ) -> anyhow::Result<u64> {
        let (table, column) = (quoted(table), quoted(column));
        let lost = match key {
            // Without a key a value may be in any row.
            [] => format!(
                "SELECT v FROM temp.chatctl_before_{number} EXCEPT SELECT {column} FROM main.{table}"
            ),
            key => {
                let same: Vec<_> = key
                    .iter()
                    .enumerate()
                    .map(|(index, key)| format!("now.{} IS was.k{index}", quoted(key)))
                    .collect();
                format!(
                    "SELECT 1 FROM temp.chatctl_before_{number} AS was LEFT JOIN main.{table} AS now ON {} \
                     WHERE now.{column} IS NOT was.v",
                    same.join(" AND ")
                )
            }
        };
        let count = self.rows(&format!("SELECT count(*) FROM ({lost})"))?[0][0]
            .int()
            .unwrap_or(0);
        self.connection
            .execute_batch(&format!("DROP TABLE temp.chatctl_before_{number}"))?;
        Ok(u64::try_from(count)?)
    }

    fn measure_table(&self, name: &str) -> anyhow::Result<MeasuredTable> {
        // Generated columns can't be written, and are made anew from what can.
        let info = self.rows(&format!(
            "SELECT name, pk FROM pragma_table_xinfo({}) WHERE hidden = 0 ORDER BY cid",
            text_literal(name)
        ))?;
        let columns: Vec<_> = info.iter().filter_map(|row| row[0].text()).collect();
        let keys: Vec<_> = (0..info.len())
            .filter(|index| info[*index][1].int().unwrap_or(0) > 0)
            .collect();
        let list: Vec<_> = columns.iter().map(|column| quoted(column)).collect();
        let mut statement = self.connection.prepare(&format!(
            "SELECT {} FROM {}",
            list.join(", "),
            quoted(name)
        ))?;
        let mut measures = vec![
            MeasuredColumn {
                filled: 0,
                keyed: Some(0),
                values: Some(0),
            };
            columns.len()
        ];
        let mut rows = statement.raw_query();
        let mut count = 0;
        while let Some(row) = rows.next()? {
            count += 1;
            let mut of_key = self.hashers();
            for index in &keys {
                feed(&mut of_key, row.get_ref(*index)?);
            }
            for (index, measure) in measures.iter_mut().enumerate() {
                let value = row.get_ref(index)?;
                if matches!(value, ValueRef::Null) {
                    continue;
                }
                measure.filled += 1;
                let mut plain = self.hashers();
                feed(&mut plain, value);
                let mut keyed = of_key.clone();
                feed(&mut keyed, value);
                add(&mut measure.values, &plain);
                add(&mut measure.keyed, &keyed);
            }
        }
        Ok(MeasuredTable {
            rows: count,
            key: keys
                .iter()
                .map(|index| columns[*index].to_owned())
                .collect(),
            columns: columns
                .into_iter()
                .map(str::to_owned)
                .zip(measures)
                .collect(),
        })
    }

    fn hashers(&self) -> [std::hash::DefaultHasher; 2] {
        [self.hashes[0].build_hasher(), self.hashes[1].build_hasher()]
    }
}

/// Adds a hash to a sum, in which the order of the rows does not matter.
fn add(sum: &mut Option<u128>, [high, low]: &[std::hash::DefaultHasher; 2]) {
    let hash = u128::from(high.finish()) << 64 | u128::from(low.finish());
    *sum = sum.map(|sum| sum.wrapping_add(hash));
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

    fn session(sql: &str) -> (tempfile::TempDir, Session) {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("t.db").display());
        let session = Session::open(
            &Target::parse(&url).unwrap(),
            Missing::Create,
            Duration::ZERO,
        )
        .unwrap();
        session.run(sql, |_| Ok(())).unwrap();
        (folder, session)
    }

    fn after(session: &Session, sql: &str) -> Measured {
        session.run(sql, |_| Ok(())).unwrap();
        session.measure(|_| false).unwrap()
    }

    #[test]
    fn a_rebuild_measures_the_same_and_a_swap_does_not() {
        let (_folder, session) = session(
            "CREATE TABLE m (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO m VALUES (1, 'a'), (2, 'b'), (3, NULL)",
        );
        let before = session.measure(|_| false).unwrap();
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
        let column = |measured: &Measured| measured.tables["m"].columns["body"];
        assert_ne!(column(&swapped).keyed, column(&before).keyed);
        assert_eq!(column(&swapped).values, column(&before).values);
    }

    #[test]
    fn a_statement_that_fails_is_named() {
        let (_folder, session) = session("");
        let failed = session
            .run("CREATE TABLE a (x); CREATE TABLE a (x); SELECT 1", |_| {
                Ok(())
            })
            .unwrap_err();
        assert_eq!(failed.statement, 1);
        assert!(failed.message.contains("already exists"));
    }
}
