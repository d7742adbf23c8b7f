//! Streams the rows of a table from the server.

use super::{Postgres, Seen, failed, large_objects};
use crate::db::catalog::quoted;
use crate::db::server;
use crate::db::server::Waiter;
use crate::db::session::measured::{Measured, counted, counting};
use crate::db::session::witness::{Reading, Witness, digested};
use crate::db::session::{Failed, OWN, Session as _};
use crate::model::{CellRef, Compared, Content, Shape, ShapeColumn, Successor};
use futures_util::TryStreamExt as _;
use sqlx::PgConnection;
use std::collections::BTreeMap;
use std::io;
use std::ops::Range;

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
        let now = now.with_generated(|it| successor.reads(it));
        // Rows mostly stay in the part that they are in, and the whole is read only where some did not.
        if let Some((part, within)) = self.in_its_part(shape, successor)? {
            let Some(compared) = self.compare_with(shape, &within, &part)? else {
                return Ok(None);
            };
            if compared.missing == 0 {
                return Ok(Some(compared));
            }
        }
        let compared = self.compare_with(shape, successor, &now)?;
        // What the view reads is a copy of the users' rows, whose origin is gone.
        if compared.is_some() && self.views.contains_key(&successor.table) {
            self.witness.gone(shape)?;
        }
        Ok(compared)
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
            Err(failed) if failed.lost => return Err(failed),
            Err(failed) => {
                let formless = self.formless(shape, &from)?;
                if formless.is_empty() {
                    return Err(failed);
                }
                self.witness.formless(shape, formless);
                reading = self.witness.before(shape);
                self.read(&from, &mut reading)?;
            }
            Ok(()) => {}
        }
        self.witness.hold(shape, reading);
        Ok(())
    }

    /// The columns that have a value without a form in the type that they become.
    fn formless(&mut self, shape: &Shape, from: &str) -> Result<Vec<ShapeColumn>, Failed> {
        let mut formless = Vec::new();
        for (column, form) in self.witness.casts(shape) {
            self.send("SAVEPOINT chatctl_cast")?;
            match self.send(&format!("SELECT pg_catalog.count({form}) FROM {from}")) {
                Ok(()) => {}
                Err(failed) if failed.lost => return Err(failed),
                Err(_) => {
                    self.send("ROLLBACK TO chatctl_cast")?;
                    formless.push(column);
                }
            }
            self.send("RELEASE chatctl_cast")?;
        }
        Ok(formless)
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

    /// Keeps what was compared, and notes what the run made.
    pub(super) fn accept_compared(&mut self) -> anyhow::Result<()> {
        self.counts.clear();
        let shapes = |seen: &BTreeMap<u64, Seen>| -> Vec<_> {
            seen.values().map(|seen| seen.shape.clone()).collect()
        };
        let before = shapes(&self.before);
        let after = if self.witness.remembers() {
            let after = shapes(self.seen()?);
            self.own(|session| session.note_made(&before, &after))?;
            after
        } else {
            Vec::new()
        };
        self.witness.accept(&before, &after);
        Ok(())
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
            let mut columns = part.columns.iter().chain(&part.generated);
            Some((pair.0.clone(), columns.find(named)?.clone()))
        };
        let within = Successor {
            table: part.name.clone(),
            columns: successor.columns.iter().filter_map(own).collect(),
            key: successor.key.iter().filter_map(own).collect(),
            keyed: successor.keyed,
        };
        let part = part.with_generated(|it| within.reads(it));
        Ok(Some((part, within)))
    }

    fn compare_with(
        &mut self,
        shape: &Shape,
        successor: &Successor,
        now: &Shape,
    ) -> anyhow::Result<Option<Compared>> {
        let by_others = self.others(shape, successor, now)?;
        let reading = match self.by_versions(shape, successor, now)? {
            Some(reading) => reading,
            None => {
                let Some(mut reading) = self.witness.after(shape, successor, now) else {
                    return Ok(None);
                };
                // What went out of a table that inherits is searched for in all that the heir's
                // rows were read by.
                let from = if shape.heir && shape.id != now.id {
                    self.quote(&successor.table)
                } else {
                    self.from(&successor.table)
                };
                self.own(|session| session.read(&from, &mut reading))?;
                reading
            }
        };
        let compared = self.witness.compare(shape, successor, (now, reading))?;
        Ok(Some(match by_others {
            Some(by_others) => large_objects::without(compared, &by_others),
            None => compared,
        }))
    }
}

/// Reads the lines of a `COPY`, each a row.
fn copy_out(
    runtime: &Waiter,
    connection: &mut PgConnection,
    (from, reading): (&str, &mut Reading),
) -> Result<(), Failed> {
    let sql = format!("COPY (SELECT {} FROM {from}) TO STDOUT", reading.list());
    digested(reading, take, |pages| {
        runtime.block_on(async {
            let lines = connection.copy_out_raw(&sql).await;
            let mut lines = lines.map_err(|error| failed(&error))?;
            let mut wrong = None;
            // What is not read to its end would be in the way of the next command.
            while let Some(line) = lines.try_next().await.map_err(|error| failed(&error))? {
                if wrong.is_none() {
                    wrong = pages.add(|page| page.extend_from_slice(&line)).err();
                }
            }
            wrong.map_or(Ok(()), Err)
        })
    })
}

/// Takes the lines of a page, each a row.
fn take(page: &mut [u8], reading: &mut Reading) -> io::Result<()> {
    let (mut rest, mut values) = (page, Vec::new());
    while let Some(end) = memchr::memchr(b'\n', rest) {
        let (line, behind) = rest.split_at_mut(end + 1);
        places(&mut line[..end], &mut values);
        let cells = values.iter().map(|place| match place {
            None => CellRef::Null,
            Some(place) => cell(&line[place.clone()]),
        });
        reading.take(cells)?;
        rest = behind;
    }
    if rest.is_empty() {
        Ok(())
    } else {
        Err(io::Error::other("the server divided a row"))
    }
}

/// Where the values of a line of `COPY`'s text are, once the backslashes are gone that it puts before what would
/// end a value.
fn places(line: &mut [u8], values: &mut Vec<Option<Range<usize>>>) {
    values.clear();
    let mut start = 0;
    loop {
        let tab = memchr::memchr(b'\t', &line[start..]);
        let end = tab.map_or(line.len(), |at| start + at);
        let field = &mut line[start..end];
        values.push(if field == b"\\N" {
            None
        } else {
            Some(start..start + unescape(field))
        });
        if tab.is_none() {
            return;
        }
        start = end + 1;
    }
}

fn cell(bytes: &[u8]) -> CellRef<'_> {
    match std::str::from_utf8(bytes) {
        Ok(text) => CellRef::Text(text),
        Err(_) => CellRef::Blob(bytes),
    }
}

/// Takes the backslashes out, and returns how long it is without them.
fn unescape(field: &mut [u8]) -> usize {
    let Some(first) = memchr::memchr(b'\\', field) else {
        return field.len();
    };
    let (mut from, mut to) = (first, first);
    while let Some(byte) = field.get(from).copied() {
        from += 1;
        field[to] = match (byte, field.get(from)) {
            (b'\\', Some(escaped)) => {
                from += 1;
                match escaped {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'v' => 11,
                    other => *other,
                }
            }
            _ => byte,
        };
        to += 1;
    }
    to
}

#[cfg(test)]
mod tests {
    use super::places;

    #[test]
    fn a_line_has_its_values_without_what_copy_writes_before_them() {
        for (line, values) in [
            ("1\ta", &[Some("1"), Some("a")][..]),
            ("\\N\t\t", &[None, Some(""), Some("")]),
            ("a\\tb\\nc\\\\N\t\\\\N", &[Some("a\tb\nc\\N"), Some("\\N")]),
            ("\\b\\f\\r\\v", &[Some("\u{8}\u{c}\r\u{b}")]),
        ] {
            let (mut bytes, mut found) = (line.as_bytes().to_vec(), Vec::new());
            places(&mut bytes, &mut found);
            let found = found.iter().map(|place| {
                let place = place.clone()?;
                Some(str::from_utf8(&bytes[place]).unwrap())
            });
            assert!(found.eq(values.iter().copied()), "{line}");
        }
    }
}
