//! The rows of a table, as they stream out of the server.

use super::{Postgres, failed, large_objects};
use crate::db::catalog::quoted;
use crate::db::server;
use crate::db::session::measured::{Measured, counted, counting};
use crate::db::session::witness::{Reading, Witness};
use crate::db::session::{Failed, OWN, Session as _};
use crate::model::{CellRef, Compared, Content, Shape, ShapeColumn, Successor};
use futures_util::TryStreamExt as _;
use sqlx::PgConnection;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use tokio::runtime::Handle;

/// A table with fewer rows is read at once.
const FEW: usize = 200;

impl Measured for Postgres {
    fn witness(&mut self) -> &mut Witness {
        &mut self.witness
    }

    fn counts(&mut self) -> &mut BTreeMap<String, Content> {
        &mut self.counts
    }

    fn hold(&mut self, shape: &Shape) -> Result<(), Failed> {
        self.own(|session| session.hold_rows(shape))
    }

    fn count(&mut self, table: &str, columns: &[String]) -> anyhow::Result<Content> {
        let columns = columns.iter().map(|column| quoted(column));
        let sql = counting(columns, &self.from(table));
        let row = self.own(|session| session.rows(&sql))?.remove(0);
        Ok(counted(&row))
    }

    fn compare_rows(
        &mut self,
        shape: &Shape,
        successor: &Successor,
    ) -> anyhow::Result<Option<Compared>> {
        let now = self.shape(&successor.table)?;
        // Rows mostly stay in the part that they are in, and the whole is read only where some did not.
        if let Some((part, within)) = self.in_its_part(shape, successor)? {
            let Some(compared) = self.compare_with(shape, &within, &part)? else {
                return Ok(None);
            };
            if compared.missing == 0 {
                return Ok(Some(compared));
            }
        }
        self.compare_with(shape, successor, &now)
    }

    fn explain(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        compared: &mut Compared,
    ) -> anyhow::Result<()> {
        self.explain_columns(shape, successor, compared)
    }
}

impl Postgres {
    /// Reads the rows that a table has before. Nobody else writes it from here on, so that what
    /// differs later is the migration's doing.
    pub(super) fn hold_rows(&mut self, shape: &Shape) -> Result<(), Failed> {
        // Only a superuser may lock a table of the system.
        if shape.id != Some(large_objects::ID) {
            let table = self.quote(&shape.name);
            self.send(&format!(
                "LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE"
            ))?;
        }
        let from = self.from(&shape.name);
        let mut reading = self.witness.before(shape);
        // A value that has no form in the type that it becomes must not end the run.
        let casts = reading.casts();
        if casts {
            self.send("SAVEPOINT chatctl_cast")?;
        }
        let done = self.read(&from, &mut reading);
        if casts && done.is_err() {
            self.send("ROLLBACK TO chatctl_cast")?;
        }
        if casts {
            self.send("RELEASE chatctl_cast")?;
        }
        match done {
            Err(failed) if failed.lost || !self.witness.formless(shape) => return Err(failed),
            Err(_) => {
                reading = self.witness.before(shape);
                self.read(&from, &mut reading)?;
            }
            Ok(()) => {}
        }
        self.witness.hold(shape, reading);
        Ok(())
    }

    /// Reads rows; each comes as a line of `COPY`'s text, in which no two values are written alike.
    pub(super) fn read(&mut self, from: &str, reading: &mut Reading) -> Result<(), Failed> {
        let list = reading.list();
        // sqlx loses its place when a COPY fails before it begins: what is wrong with it is found out
        // by another statement.
        self.send(&format!("SELECT {list} FROM {from} LIMIT 0"))?;
        copy_out(&self.runtime, &mut self.connection, (from, reading))
    }

    /// Large objects as everybody else has them: nobody may lock them, so that others may delete some
    /// meanwhile. It is asked before this connection is, so that it never sees more gone.
    fn others(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        now: &Shape,
    ) -> anyhow::Result<Option<Compared>> {
        if shape.id != Some(large_objects::ID) {
            return Ok(None);
        }
        let Some(mut reading) = self.witness.after(shape, successor, now) else {
            return Ok(None);
        };
        let connecting = server::connect(&self.target, &self.options);
        let mut other: PgConnection = self.runtime.block_on(connecting)?;
        let from = self.from(&successor.table);
        copy_out(&self.runtime, &mut other, (&from, &mut reading))?;
        let compared = self.witness.compare(shape, successor, (now, reading))?;
        Ok(Some(compared))
    }

    /// Reads the rows of a table that has few, by one way to the server and back; none where it has more.
    fn read_small(&mut self, from: &str, mut reading: Reading) -> anyhow::Result<Option<Reading>> {
        let sql = format!("SELECT {} FROM {from} LIMIT {FEW}", reading.list());
        let rows = match self.rows(&sql) {
            Ok(rows) => rows,
            Err(error) if error.is::<Failed>() => return Err(error),
            // Not every database's texts are UTF-8.
            Err(_) => return Ok(None),
        };
        if rows.len() == FEW {
            return Ok(None);
        }
        for row in &rows {
            reading.take(row.iter().map(CellRef::from))?;
        }
        Ok(Some(reading))
    }

    /// Notes which rows and values of tables that are not compared were made since.
    pub(super) fn note_made(&mut self, before: &[Shape], after: &[Shape]) -> anyhow::Result<()> {
        let is_own = |shape: &&Shape| OWN.contains(&shape.table.as_str());
        let looked_at = after.iter().filter(|shape| !shape.parted && !is_own(shape));
        for shape in looked_at {
            if self.witness.knows(shape) {
                continue;
            }
            let Some(was) = before.iter().find(|was| was.id == shape.id) else {
                // A new part may have rows that were in another part, or in what became the whole.
                let whole = |it: &&Shape| shape.whole.as_ref() == Some(&it.name);
                let of_users = |whole: &Shape| {
                    before.iter().any(|was| was.id == whole.id) || self.witness.knows(whole)
                };
                if after.iter().find(whole).is_some_and(of_users) {
                    continue;
                }
                let from = self.from(&shape.name);
                let reading = match self.read_small(&from, self.witness.of_new(shape))? {
                    Some(reading) => reading,
                    None => {
                        let mut reading = self.witness.of_new(shape);
                        self.read(&from, &mut reading)?;
                        reading
                    }
                };
                self.witness.all_made(shape, reading)?;
                continue;
            };
            let is_new = |column: &&ShapeColumn| was.columns.iter().all(|it| it.id != column.id);
            for column in shape.columns.iter().filter(is_new) {
                // No statement wrote a row, so all have the same value in it.
                let sql = format!(
                    "SELECT {} FROM ONLY {} LIMIT 1",
                    super::forms::form(column, column).sql,
                    self.quote(&shape.name)
                );
                if let Some(row) = self.rows(&sql)?.first() {
                    self.witness.added(shape, column, (&row[0]).into());
                }
            }
        }
        Ok(())
    }

    /// The part itself, where a part of a whole still is one.
    fn in_its_part(
        &mut self,
        shape: &Shape,
        successor: &Successor,
    ) -> anyhow::Result<Option<(Shape, Successor)>> {
        let whole = Some(successor.table.as_str());
        let mut all = self.seen()?.values().map(|seen| &seen.shape);
        let is_part = |part: &&Shape| part.id == shape.id && part.whole.as_deref() == whole;
        let Some(part) = all.find(is_part).cloned() else {
            return Ok(None);
        };
        let own = |pair: &(ShapeColumn, ShapeColumn)| {
            let named = |column: &&ShapeColumn| column.name == pair.1.name;
            Some((pair.0.clone(), part.columns.iter().find(named)?.clone()))
        };
        let within = Successor {
            table: part.name.clone(),
            columns: successor.columns.iter().filter_map(own).collect(),
            key: successor.key.iter().filter_map(own).collect(),
            keyed: successor.keyed,
        };
        Ok(Some((part, within)))
    }

    fn compare_with(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        now: &Shape,
    ) -> anyhow::Result<Option<Compared>> {
        let by_others = self.others(shape, successor, now)?;
        let Some(mut reading) = self.witness.after(shape, successor, now) else {
            return Ok(None);
        };
        // What went out of a table that inherits is looked for in all that the heir's rows were read by.
        let from = if shape.heir && shape.id != now.id {
            self.quote(&successor.table)
        } else {
            self.from(&successor.table)
        };
        self.own(|session| session.read(&from, &mut reading))?;
        let compared = self.witness.compare(shape, successor, (now, reading))?;
        Ok(Some(match by_others {
            Some(by_others) => large_objects::without(compared, &by_others),
            None => compared,
        }))
    }
}

/// Reads the lines of a `COPY`, each a row.
fn copy_out(
    runtime: &Handle,
    connection: &mut PgConnection,
    (from, reading): (&str, &mut Reading),
) -> Result<(), Failed> {
    let sql = format!("COPY (SELECT {} FROM {from}) TO STDOUT", reading.list());
    runtime.block_on(async {
        let mut lines = connection
            .copy_out_raw(&sql)
            .await
            .map_err(|error| failed(&error))?;
        let unwritable =
            |error: io::Error| Failed::because(format!("keeping what the rows were: {error}"));
        let mut wrong = None;
        // What is not read to its end would be in the way of the next command.
        while let Some(line) = lines.try_next().await.map_err(|error| failed(&error))? {
            if wrong.is_none() {
                let cells = cells(&line);
                wrong = reading.take(cells.iter().map(cell)).err();
            }
        }
        wrong.map_or(Ok(()), |error| Err(unwritable(error)))
    })
}

/// The values of a line of `COPY`'s text.
fn cells(line: &[u8]) -> Vec<Option<Cow<'_, [u8]>>> {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let fields = line.split(|byte| *byte == b'\t');
    fields
        .map(|field| (field != b"\\N").then(|| unescaped(field)))
        .collect()
}

fn cell<'a>(value: &'a Option<Cow<'_, [u8]>>) -> CellRef<'a> {
    let Some(bytes) = value else {
        return CellRef::Null;
    };
    match std::str::from_utf8(bytes) {
        Ok(text) => CellRef::Text(text),
        Err(_) => CellRef::Blob(bytes),
    }
}

/// Without the backslashes that `COPY` puts before what would end a value.
fn unescaped(field: &[u8]) -> Cow<'_, [u8]> {
    if !field.contains(&b'\\') {
        return Cow::Borrowed(field);
    }
    let mut bytes = field.iter();
    let mut text = Vec::with_capacity(field.len());
    while let Some(byte) = bytes.next() {
        text.push(match byte {
            b'\\' => match bytes.next() {
                Some(b'b') => 8,
                Some(b'f') => 12,
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b't') => b'\t',
                Some(b'v') => 11,
                Some(other) => *other,
                None => b'\\',
            },
            byte => *byte,
        });
    }
    Cow::Owned(text)
}
