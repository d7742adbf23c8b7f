//! The rows of a table, as the engine steps through them.

use super::{Sqlite, failed, quoted, text_literal};
use crate::db::session::measured::{Measured, counted, counting};
use crate::db::session::witness::{Field, Form, Reading, Witness, digested};
use crate::db::session::{Failed, OWN, Session as _};
use crate::model::{CellRef, Compared, Content, Shape, ShapeColumn, Successor};
use rusqlite::types::ValueRef;
use std::collections::BTreeMap;
use std::io;

/// A value of a column, to be compared with one of another: SQLite stores what it is given, so only
/// a number, a time or bytes may be written in another way.
pub(super) fn form(own: &ShapeColumn, other: &ShapeColumn) -> Field {
    let is_time = |column: &ShapeColumn| {
        let declared = column.declared.to_ascii_uppercase();
        declared.contains("DATE") || declared.contains("TIME")
    };
    let is_bytes = |column: &ShapeColumn| column.declared.eq_ignore_ascii_case("BLOB");
    Field {
        sql: quoted(&own.name),
        form: if own.declared == other.declared {
            Form::Raw
        } else if is_time(own) || is_time(other) {
            Form::Time
        } else if is_text(&own.declared) && is_text(&other.declared) {
            Form::Raw
        } else if is_bytes(own) || is_bytes(other) {
            Form::Coded
        } else {
            Form::Number
        },
    }
}

/// Whether the engine stores numbers as texts in a column of this type
/// (sqlite.org/datatype3.html#determination_of_column_affinity).
fn is_text(declared: &str) -> bool {
    let declared = declared.to_ascii_uppercase();
    let mut texts = ["CHAR", "CLOB", "TEXT"].into_iter();
    !declared.contains("INT") && texts.any(|it| declared.contains(it))
}

impl Measured for Sqlite {
    fn witness(&mut self) -> &mut Witness {
        &mut self.witness
    }

    fn counts(&mut self) -> &mut BTreeMap<String, Content> {
        &mut self.counts
    }

    fn hold(&mut self, shape: &Shape) -> Result<(), Failed> {
        let mut reading = self.witness.before(shape);
        self.read(&shape.name, &mut reading)?;
        self.witness.hold(shape, reading);
        let searched = self.searched(&shape.name);
        let searched = searched.map_err(|error| Failed::because(format!("{error:#}")))?;
        self.indexes
            .extend(searched.map(|it| (shape.name.clone(), it)));
        Ok(())
    }

    fn count(&mut self, table: &str, columns: &[String]) -> anyhow::Result<Content> {
        let columns = columns.iter().map(|column| quoted(column));
        let sql = counting(columns, &self.source(table)?);
        Ok(counted(&self.rows(&sql)?.remove(0)))
    }

    fn compare_rows(
        &mut self,
        shape: &Shape,
        successor: &Successor,
    ) -> anyhow::Result<Option<Compared>> {
        let all = self.look()?;
        let now = all.tables.iter().find(|it| it.name == successor.table);
        let view = self.views.get(&successor.table);
        let view_is_read = now.is_none() && view.is_some();
        let now = now.or(view);
        let now = now.ok_or_else(|| anyhow::anyhow!("`{}` no longer exists", successor.table))?;
        let now = &now.clone().with_generated(|it| successor.reads(it));
        let Some(mut reading) = self.witness.after(shape, successor, now) else {
            return Ok(None);
        };
        self.read(&successor.table, &mut reading)?;
        let mut compared = self.witness.compare(shape, successor, (now, reading))?;
        // What the view reads is a copy of the users' rows, whose origin is gone.
        if view_is_read {
            self.witness.gone(shape)?;
        }
        self.compare_index((&shape.name, &successor.table), &mut compared)?;
        Ok(Some(compared))
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

impl Sqlite {
    fn read(&mut self, table: &str, reading: &mut Reading) -> Result<(), Failed> {
        let order = if !reading.placed {
            ""
        } else if self.has_row_numbers(table)? {
            " ORDER BY rowid"
        } else {
            // Its rows are in the order of its key, whatever collation and direction that has.
            " NOT INDEXED"
        };
        let from = self.source(table)?;
        let sql = format!("SELECT {} FROM {from}{order}", reading.list());
        let mut statement = self.connection.prepare(&sql).map_err(|it| failed(&it))?;
        let count = statement.column_count();
        let mut rows = statement.raw_query();
        digested(reading, take, |pages| {
            while let Some(row) = rows.next().map_err(|it| failed(&it))? {
                pages.add(|page| {
                    for index in 0..count {
                        write(page, row.get_ref(index).unwrap_or(ValueRef::Null));
                    }
                })?;
            }
            Ok(())
        })
    }

    /// Whether the rows of a table have numbers.
    pub(super) fn has_row_numbers(&mut self, table: &str) -> Result<bool, Failed> {
        let sql = format!(
            "SELECT 1 FROM temp.pragma_table_list({}) WHERE schema = 'main' AND wr = 0",
            text_literal(table)
        );
        let found = self.rows(&sql);
        let found = found.map_err(|error| Failed::because(format!("{error:#}")))?;
        Ok(!found.is_empty())
    }

    /// Notes which rows and values of tables that are not compared were made since.
    pub(super) fn note_made(&mut self, after: &[Shape]) -> anyhow::Result<()> {
        let is_own = |shape: &&Shape| OWN.contains(&shape.table.as_str());
        for shape in after.iter().filter(|shape| !is_own(shape)) {
            if self.witness.knows(shape) {
                continue;
            }
            let mut before = self.before.tables.iter();
            let Some(was) = before.find(|was| was.name == shape.name).cloned() else {
                let mut reading = self.witness.of_new(shape);
                self.read(&shape.name, &mut reading)?;
                self.witness.all_made(shape, reading)?;
                continue;
            };
            let is_new =
                |column: &&ShapeColumn| was.columns.iter().all(|it| it.name != column.name);
            let new: Vec<_> = shape.columns.iter().filter(is_new).collect();
            for column in new {
                // No statement wrote a row, so all have the same value in it.
                let sql = format!(
                    "SELECT {} FROM {} LIMIT 1",
                    quoted(&column.name),
                    self.quote(&shape.name)
                );
                if let Some(row) = self.rows(&sql)?.first() {
                    self.witness.added(shape, column, (&row[0]).into());
                }
            }
        }
        Ok(())
    }
}

/// Writes a value of a row into a page: its type, and its eight bytes or its length and its bytes.
fn write(page: &mut Vec<u8>, value: ValueRef<'_>) {
    let (kind, number, bytes): (u8, [u8; 8], &[u8]) = match value {
        ValueRef::Null => (NULL, [0; 8], &[]),
        ValueRef::Integer(number) => (INTEGER, number.to_le_bytes(), &[]),
        ValueRef::Real(number) => (REAL, number.to_le_bytes(), &[]),
        ValueRef::Text(bytes) => (TEXT, (bytes.len() as u64).to_le_bytes(), bytes),
        ValueRef::Blob(bytes) => (BLOB, (bytes.len() as u64).to_le_bytes(), bytes),
    };
    page.push(kind);
    page.extend_from_slice(&number);
    page.extend_from_slice(bytes);
}

const NULL: u8 = 0;
const INTEGER: u8 = 1;
const REAL: u8 = 2;
const TEXT: u8 = 3;
const BLOB: u8 = 4;

/// Takes the rows of a page.
fn take(page: &mut [u8], reading: &mut Reading) -> io::Result<()> {
    let (mut rest, width) = (&*page, reading.width());
    while !rest.is_empty() {
        reading.take((0..width).map(|_| read(&mut rest)))?;
    }
    Ok(())
}

fn read<'a>(rest: &mut &'a [u8]) -> CellRef<'a> {
    let Some(((kind, number), behind)) = rest
        .split_first()
        .and_then(|(kind, rest)| Some((*kind, rest.split_first_chunk::<8>()?)))
        .map(|(kind, (number, behind))| ((kind, *number), behind))
    else {
        unreachable!("a page has whole values")
    };
    let length = match kind {
        TEXT | BLOB => usize::try_from(u64::from_le_bytes(number)).unwrap_or(usize::MAX),
        _ => 0,
    };
    let (bytes, behind) = behind.split_at(length);
    *rest = behind;
    match kind {
        INTEGER => CellRef::Int(i64::from_le_bytes(number)),
        REAL => CellRef::Real(f64::from_le_bytes(number)),
        TEXT => match std::str::from_utf8(bytes) {
            Ok(text) => CellRef::Text(text),
            Err(_) => CellRef::Garbled(bytes),
        },
        BLOB => CellRef::Blob(bytes),
        _ => CellRef::Null,
    }
}

#[cfg(test)]
mod tests {
    use super::{Form, ShapeColumn, ValueRef, form, read, write};
    use crate::model::CellRef;

    #[test]
    fn two_types_of_texts_hold_the_same_texts_only() {
        let of = |own: &str, other: &str| {
            let [own, other] = [own, other].map(|declared| ShapeColumn {
                id: None,
                name: "c".into(),
                declared: declared.into(),
            });
            form(&own, &other).form
        };
        for (own, other, expected) in [
            ("text", "TEXT", Form::Raw),
            ("VARCHAR(255)", "TEXT", Form::Raw),
            ("CLOB", "nvarchar(9)", Form::Raw),
            ("VARCHAR", "BLOB", Form::Coded),
            ("TEXT", "DATETIME", Form::Time),
            ("TEXT", "INTEGER", Form::Number),
            ("CHARINT", "TEXT", Form::Number),
            ("TEXT", "JSON", Form::Number),
        ] {
            assert_eq!(of(own, other), expected, "{own} {other}");
        }
    }

    #[test]
    fn a_page_gives_the_values_that_were_written() {
        let values = [
            (ValueRef::Null, CellRef::Null),
            (ValueRef::Integer(-7), CellRef::Int(-7)),
            (ValueRef::Real(0.5), CellRef::Real(0.5)),
            (ValueRef::Text(b""), CellRef::Text("")),
            (
                ValueRef::Text("h\u{e9}".as_bytes()),
                CellRef::Text("h\u{e9}"),
            ),
            (ValueRef::Text(b"\xff"), CellRef::Garbled(b"\xff")),
            (ValueRef::Blob(b"\0\x01"), CellRef::Blob(b"\0\x01")),
        ];
        let mut page = Vec::new();
        values
            .iter()
            .for_each(|(value, _)| write(&mut page, *value));
        let mut rest = &page[..];
        for (_, is) in values {
            assert_eq!(read(&mut rest), is);
        }
        assert!(rest.is_empty());
    }
}
