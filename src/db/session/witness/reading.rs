//! The rows of a table while they are read.

use super::digest::{Form, NULL, Row, Secret, Value};
use super::rows::Rows;
use crate::model::{CellRef, Shape, ShapeColumn};
use std::io;

/// How a value is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::db) struct Field {
    /// The expression that gives it.
    pub(in crate::db) sql: String,
    /// How it is digested.
    pub(in crate::db) form: Form,
}

/// How a column's value is read in a form that it has in another type too.
pub(in crate::db) type Forms = fn(&ShapeColumn, &ShapeColumn) -> Field;

/// The rows of a table while they are read: each value as it is, and in the form of another type
/// where it is to be compared with one.
pub(in crate::db) struct Reading {
    pub(super) secret: Secret,
    pub(super) fields: Vec<Field>,
    /// The field that is compared, by the column.
    pub(super) slots: Vec<usize>,
    /// The fields that a row is found by.
    pub(super) key: Vec<usize>,
    /// Whether no row has NULL in its key.
    pub(super) keyed: bool,
    pub(super) rows: Rows,
    /// Whether the place of each row among all is kept, behind its values.
    pub(in crate::db) placed: bool,
    count: u64,
    values: Vec<Value>,
}

impl Reading {
    /// Of a table whose columns are compared with other ones, each where there is one.
    pub(super) fn new(
        secret: Secret,
        forms: Forms,
        shape: &Shape,
        other: impl Fn(&ShapeColumn) -> Option<ShapeColumn>,
        key: &[String],
    ) -> Self {
        let own = shape.columns.iter().map(|column| forms(column, column));
        let mut fields: Vec<_> = own.collect();
        let mut slots = Vec::new();
        for (index, column) in shape.columns.iter().enumerate() {
            let form = other(column).map(|other| forms(column, &other));
            match form.filter(|form| *form != fields[index]) {
                None => slots.push(index),
                Some(form) => {
                    slots.push(fields.len());
                    fields.push(form);
                }
            }
        }
        let place = |name: &String| shape.columns.iter().position(|it| it.name == *name);
        let key: Vec<_> = key
            .iter()
            .filter_map(place)
            .map(|index| slots[index])
            .collect();
        Self {
            secret,
            rows: Rows::new(fields.len() + usize::from(shape.placed)),
            placed: shape.placed,
            count: 0,
            fields,
            slots,
            keyed: !key.is_empty(),
            key,
            values: Vec::new(),
        }
    }

    /// Whether a value is read in the form of another type, which it may not have.
    pub(in crate::db) fn casts(&self) -> bool {
        let own = 0..self.slots.len();
        !self.slots.iter().copied().eq(own)
    }

    /// The expressions to read.
    pub(in crate::db) fn list(&self) -> String {
        let fields: Vec<_> = self.fields.iter().map(|field| field.sql.as_str()).collect();
        if fields.is_empty() {
            "NULL".to_owned()
        } else {
            fields.join(", ")
        }
    }

    /// One row.
    pub(in crate::db) fn take<'a>(
        &mut self,
        cells: impl Iterator<Item = CellRef<'a>>,
    ) -> io::Result<()> {
        self.values.clear();
        let values = cells
            .zip(&self.fields)
            .map(|(cell, field)| self.secret.value(cell, field.form));
        self.values.extend(values);
        self.keyed &= !self.key.iter().any(|slot| self.values[*slot] == NULL);
        let by = if self.key.is_empty() {
            &self.slots
        } else {
            &self.key
        };
        let by = self.secret.row(by.iter().map(|slot| self.values[*slot]));
        if self.placed {
            self.values.push(self.count);
        }
        self.count += 1;
        self.rows.push(by, &self.values)
    }
}

/// What a row is known by among those that the run made: its key as it is, or all of it.
pub(super) struct Known(Vec<usize>, Secret);

impl Known {
    pub(super) fn of(shape: &Shape, secret: Secret) -> Self {
        let place = |name: &String| shape.columns.iter().position(|it| it.name == *name);
        let key: Vec<_> = shape.key.iter().filter_map(place).collect();
        if key.is_empty() {
            Self((0..shape.columns.len()).collect(), secret)
        } else {
            Self(key, secret)
        }
    }

    pub(super) fn row(&self, value: impl Fn(usize) -> Value) -> Row {
        self.1.row(self.0.iter().map(|slot| value(*slot)))
    }
}
