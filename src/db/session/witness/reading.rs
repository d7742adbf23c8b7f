//! The rows of a table while they are read.

use super::digest::{Form, NULL, Row, Secret, Value};
use super::number;
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

/// Columns of a table, each with one that it is compared with.
pub(super) type Pairs<'a> = &'a [(ShapeColumn, ShapeColumn)];

/// The rows of a table while they are read: each value as it is, and in the form of another type
/// where it is to be compared with one.
pub(in crate::db) struct Reading {
    pub(super) secret: Secret,
    /// The columns as they are, and then the other forms. A number is followed by how it is
    /// written.
    fields: Vec<Field>,
    /// How many columns there are.
    pub(super) width: usize,
    /// Which fields have a text that is no number, although it was to be read as one.
    words: Vec<Words>,
    /// The fields that a row is found by.
    key: Vec<usize>,
    /// Whether no row has NULL in its key.
    pub(super) keyed: bool,
    pub(super) rows: Rows,
    /// Whether the place of each row among all is kept, behind its values.
    pub(in crate::db) placed: bool,
    count: u64,
    values: Vec<Value>,
}

impl Reading {
    /// Of a table of which these columns are compared with other ones, and those of its key.
    pub(super) fn new(
        secret: Secret,
        form: impl Fn(&ShapeColumn, &ShapeColumn) -> Field,
        shape: &Shape,
        (pairs, key): (Pairs<'_>, Pairs<'_>),
    ) -> Self {
        let own = shape.columns.iter().map(|column| form(column, column));
        let mut fields: Vec<_> = own.collect();
        let mut slot = |(own, other): &(ShapeColumn, ShapeColumn)| {
            let field = form(own, other);
            if let Some(place) = fields.iter().position(|it| *it == field) {
                return place;
            }
            let place = fields.len();
            let written = (field.form == Form::Number).then(|| Field {
                form: Form::Written,
                ..field.clone()
            });
            fields.push(field);
            fields.extend(written);
            place
        };
        for pair in pairs {
            slot(pair);
        }
        let key: Vec<_> = key.iter().map(slot).collect();
        Self {
            secret,
            rows: Rows::new(fields.len() + usize::from(shape.placed)),
            placed: shape.placed,
            count: 0,
            width: shape.columns.len(),
            words: vec![Words::default(); fields.len()],
            fields,
            keyed: !key.is_empty(),
            key,
            values: Vec::new(),
        }
    }

    /// Where among the values of a row one is that is read so, if it is read so.
    pub(super) fn slot(&self, field: &Field) -> Option<usize> {
        self.fields.iter().position(|it| it == field)
    }

    /// The same, where a number is a text as it is written if there are words among the numbers:
    /// they are not what an application reckons with.
    pub(super) fn slot_in(&self, field: &Field, words: bool) -> Option<usize> {
        let slot = self.slot(field)?;
        Some(slot + usize::from(words && field.form == Form::Number))
    }

    /// Whether there are words among what is read so.
    pub(super) fn has_words(&self, field: &Field) -> bool {
        self.slot(field)
            .is_some_and(|slot| self.words[slot].others && self.words[slot].numbers)
    }

    /// How many values of a row come before its place.
    pub(super) fn place(&self) -> usize {
        self.fields.len()
    }

    /// Whether a value is read in the form of another type, which it may not have.
    pub(in crate::db) fn casts(&self) -> bool {
        self.fields.len() > self.width
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

    /// Whether the rows of both have the same values in the same places.
    pub(super) fn reads_as(&self, other: &Self) -> bool {
        (&self.fields, &self.key, self.placed) == (&other.fields, &other.key, other.placed)
    }

    /// How many values a row has.
    pub(in crate::db) fn width(&self) -> usize {
        self.fields.len().max(1)
    }

    /// One row.
    pub(in crate::db) fn take<'a>(
        &mut self,
        cells: impl Iterator<Item = CellRef<'a>>,
    ) -> io::Result<()> {
        self.values.clear();
        for (cell, (field, words)) in cells.zip(self.fields.iter().zip(&mut self.words)) {
            if field.form == Form::Number {
                words.see(cell);
            }
            self.values.push(self.secret.value(cell, field.form));
        }
        self.keyed &= !self.key.iter().any(|slot| self.values[*slot] == NULL);
        let by = if self.key.is_empty() {
            // Rows without a key are put into another order before they are compared.
            self.secret.row(self.values[..self.width].iter().copied())
        } else {
            self.secret
                .row(self.key.iter().map(|slot| self.values[*slot]))
        };
        if self.placed {
            self.values.push(self.count);
        }
        self.count += 1;
        self.rows.push(by, &self.values)
    }
}

/// Which texts there are among values that are read as numbers.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    /// Texts that are written like numbers.
    numbers: bool,
    /// Other texts.
    others: bool,
}

impl Words {
    fn see(&mut self, cell: CellRef<'_>) {
        if (!self.numbers || !self.others) && matches!(cell, CellRef::Text(_)) {
            match number::canonical(cell) {
                Some(_) => self.numbers = true,
                None => self.others = true,
            }
        }
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
