//! The rows of a table, as the engine steps through them.

use super::{Sqlite, failed, quoted};
use crate::db::session::measured::{Measured, counted, counting};
use crate::db::session::witness::{Field, Form, Reading, Witness};
use crate::db::session::{Failed, OWN, Session as _};
use crate::model::{CellRef, Compared, Content, Shape, ShapeColumn, Successor};
use rusqlite::types::ValueRef;
use std::collections::BTreeMap;

/// A value of a column, to be compared with one of another: SQLite stores what it is given, so only
/// a number may be written in another way.
pub(super) fn form(own: &ShapeColumn, other: &ShapeColumn) -> Field {
    Field {
        sql: quoted(&own.name),
        form: if own.declared == other.declared {
            Form::Raw
        } else {
            Form::Number
        },
    }
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
        let all = self.catalog()?;
        let now = all.iter().find(|it| it.name == successor.table);
        let now =
            now.ok_or_else(|| anyhow::anyhow!("`{}` is not there any more", successor.table))?;
        let Some(mut reading) = self.witness.after(shape, successor, now) else {
            return Ok(None);
        };
        self.read(&successor.table, &mut reading)?;
        let mut compared = self.witness.compare(shape, successor, (now, reading))?;
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
        let order = if reading.placed {
            " ORDER BY rowid"
        } else {
            ""
        };
        let from = self.source(table)?;
        let sql = format!("SELECT {} FROM {from}{order}", reading.list());
        let mut statement = self.connection.prepare(&sql).map_err(|it| failed(&it))?;
        let count = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().map_err(|it| failed(&it))? {
            let cells = (0..count).map(|index| row.get_ref(index).map_or(CellRef::Null, cell));
            let taken = reading.take(cells);
            taken
                .map_err(|error| Failed::because(format!("keeping what the rows were: {error}")))?;
        }
        Ok(())
    }

    /// Notes which rows and values of tables that are not compared were made since.
    pub(super) fn note_made(&mut self, after: &[Shape]) -> anyhow::Result<()> {
        let is_own = |shape: &&Shape| OWN.contains(&shape.table.as_str());
        for shape in after.iter().filter(|shape| !is_own(shape)) {
            if self.witness.knows(shape) {
                continue;
            }
            let Some(was) = self.before.iter().find(|was| was.name == shape.name) else {
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

fn cell(value: ValueRef<'_>) -> CellRef<'_> {
    match value {
        ValueRef::Null => CellRef::Null,
        ValueRef::Integer(number) => CellRef::Int(number),
        ValueRef::Real(number) => CellRef::Real(number),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => CellRef::Text(text),
            Err(_) => CellRef::Garbled(bytes),
        },
        ValueRef::Blob(bytes) => CellRef::Blob(bytes),
    }
}
