//! The rows of a table while they are read.

use super::codes::{Code, Parts};
use super::digest::{Form, NULL, Row, Secret, Value};
use super::rows::Rows;
use super::{json, number};
use crate::model::{CellRef, Shape, ShapeColumn};
use std::collections::HashSet;
use std::io;
use std::sync::Arc;

/// How a value is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::db) struct Field {
    /// The expression that gives it.
    pub(in crate::db) sql: String,
    /// How it is digested.
    pub(in crate::db) form: Form,
}

/// How a column's value is read in a form that it has in another type too.
pub(in crate::db) type Forms = Arc<dyn Fn(&ShapeColumn, &ShapeColumn) -> Field + Send + Sync>;

/// Columns of a table, each with one that it is compared with.
pub(super) type Pairs<'a> = &'a [(ShapeColumn, ShapeColumn)];

/// The rows of a table while they are read: each value as it is, and in the form of another type
/// where it is to be compared with one.
pub(in crate::db) struct Reading {
    pub(super) secret: Secret,
    /// The columns as they are, and then the other forms. A number is followed by how it is
    /// written and by the time that it is, a document by the text that it is and by the one that it
    /// would be made of; a text that may stand for something else by what it may stand for.
    fields: Vec<Field>,
    /// How many columns there are.
    pub(super) width: usize,
    /// What is among the values of the fields that are read as numbers or documents.
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
            let also = also(field.form).into_iter().map(|form| Field {
                form,
                ..field.clone()
            });
            let also: Vec<_> = also.collect();
            fields.push(field);
            fields.extend(also);
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

    /// The same, for what is read on both sides so, in each way in which a value may be the same.
    /// Where there are words among numbers, a number is a text as it is written: they are not what
    /// an application reckons with. Where one side has only texts as documents, and the other one
    /// anything else, these are the texts.
    pub(super) fn slots(
        (before, old): (&Self, &Field),
        (after, new): (&Self, &Field),
    ) -> Vec<(usize, usize)> {
        let (Some(a), Some(b)) = (before.slot(old), after.slot(new)) else {
            return Vec::new();
        };
        let (were, are) = (before.words[a], after.words[b]);
        let is_time = [old.form, new.form].contains(&Form::Time);
        // A text that is no number is never a number, but it may be the time that one is.
        let are_times = were.are_texts() && (are.are_none() || is_time && are.are_texts())
            || are.are_texts() && were.are_none();
        let (more_a, more_b) = match (old.form, new.form) {
            (old, new) if is_number(old) && is_number(new) && are_times => (2, 2),
            (old, new) if is_number(old) || is_number(new) => {
                let written = usize::from(were.others && were.special);
                let of = |form| if is_number(form) { written } else { 0 };
                (of(old), of(new))
            }
            (Form::Document | Form::Composed, Form::Document | Form::Composed) => {
                match (were.is_special(), are.is_special()) {
                    (true, false) => (1, 2),
                    (false, true) => (2, 1),
                    (true, true) | (false, false) => (0, 0),
                }
            }
            _ => (0, 0),
        };
        let mut all = vec![(a + more_a, b + more_b)];
        let others = others(old.form, new.form).into_iter();
        all.extend(others.map(|(of_a, of_b)| (a + of_a, b + of_b)));
        all
    }

    /// The same of a column of a key: a text that stands for bytes is found by them, a time in its zone.
    pub(super) fn slots_of_key(
        (before, old): (&Self, &Field),
        (after, new): (&Self, &Field),
    ) -> Vec<(usize, usize)> {
        match (old.form, new.form) {
            (Form::Plain, Form::Hex)
            | (Form::Hex, Form::Plain)
            | (Form::Coded, Form::Coded)
            | (Form::InUtc, Form::InUtc) => Self::slots((before, old), (after, new)),
            _ => before.slot(old).zip(after.slot(new)).into_iter().collect(),
        }
    }

    /// From here on a row is found by these of its values.
    pub(super) fn find_by(&mut self, key: Vec<usize>) -> io::Result<()> {
        if key.len() == self.key.len() && key != self.key {
            let secret = self.secret;
            let by = |values: &[Value]| secret.row(key.iter().map(|slot| values[*slot]));
            self.rows = self.rows.found_by(by)?;
            self.key = key;
        }
        Ok(())
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

    /// How many rows were read.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// These rows with the written ones, each in the place of the one that has its key. None unless so many
    /// are left that no written one replaces: then rows are gone, and these do not tell which.
    pub(super) fn overwritten(&mut self, mut written: Self, left: u64) -> io::Result<Option<Self>> {
        if !(self.keyed && written.keyed && self.reads_as(&written)) {
            return Ok(None);
        }
        let words = self.words.iter().zip(&written.words);
        let mut after = Self {
            rows: self.rows.none(),
            words: words.map(|(a, b)| a.and(*b)).collect(),
            fields: self.fields.clone(),
            key: self.key.clone(),
            values: Vec::new(),
            ..*self
        };
        let (mut kept, mut values) = (0, Vec::new());
        for (old, new) in self.rows.parts().zip(written.rows.parts()) {
            let (old, new) = (old?, new?);
            let mut keys: HashSet<_> = (0..new.len()).map(|row| new.by(row)).collect();
            if keys.len() < new.len() {
                return Ok(None);
            }
            // Where an index is damaged, several rows may have one key: each is replaced by one.
            let olds = (0..old.len()).filter(|row| !keys.remove(&old.by(*row)));
            for (part, row) in olds.map(|row| (&old, row)) {
                kept += 1;
                part.values(row, &mut values);
                after.rows.push(part.by(row), &values)?;
            }
            for row in 0..new.len() {
                new.values(row, &mut values);
                after.rows.push(new.by(row), &values)?;
            }
        }
        after.count = kept + written.count;
        Ok((kept == left).then_some(after))
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
            words.see(cell, field.form);
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

const fn is_number(form: Form) -> bool {
    matches!(form, Form::Number | Form::Time | Form::Coded)
}

/// The texts in a document that may be the one of which it was made.
const LEAVES: [Form; 4] = [Form::Leaf(0), Form::Leaf(1), Form::Leaf(2), Form::Leaf(3)];
/// What may be between the parts of a list in its text; with nothing there, it has one part.
const BETWEEN: [Option<&str>; 7] = [
    None,
    Some(","),
    Some(", "),
    Some(";"),
    Some("|"),
    Some(" "),
    Some("\n"),
];
/// What may be in a list that a text is as a document.
const PARTS: [Parts; 2] = [Parts::Texts, Parts::Numbers];
/// How a text may encode bytes.
const BYTES: [Form; 5] = [
    Form::Bytes(Code::Lower),
    Form::Bytes(Code::Upper),
    Form::Bytes(Code::Base64),
    Form::Bytes(Code::Uuid),
    Form::Bytes(Code::UpperUuid),
];

/// The further forms in which a value is read that is read in this one.
fn also(form: Form) -> Vec<Form> {
    match form {
        Form::Number | Form::Time => vec![Form::Written, Form::Moment, Form::Truth],
        Form::Coded => [&[Form::Written, Form::Moment][..], &BYTES].concat(),
        Form::Document => vec![Form::Unwrapped, Form::Wrapped],
        Form::Composed => {
            let joined = BETWEEN.map(Form::Joined);
            [&[Form::Unwrapped, Form::Wrapped][..], &LEAVES, &joined].concat()
        }
        Form::Wrapped => PARTS.map(Form::ListOf).to_vec(),
        Form::Listed => {
            let joined = BETWEEN.map(Form::ArrayJoined);
            [&joined[..], &PARTS.map(Form::ArrayOf)].concat()
        }
        Form::Plain => BYTES.to_vec(),
        Form::InUtc => vec![Form::InZone],
        Form::Raw
        | Form::InZone
        | Form::Written
        | Form::Moment
        | Form::Truth
        | Form::Unwrapped
        | Form::Leaf(_)
        | Form::Joined(_)
        | Form::ArrayJoined(_)
        | Form::ListOf(_)
        | Form::ArrayOf(_)
        | Form::Hex
        | Form::Bytes(_) => Vec::new(),
    }
}

/// In which of these, by their distances from the first one, a value may be the same before and
/// after.
fn others(old: Form, new: Form) -> Vec<(usize, usize)> {
    let bytes = 1..=BYTES.len();
    let joined = 1..=BETWEEN.len();
    let (wrapped, leaves) = (2, LEAVES.len());
    let lists = (1..=PARTS.len()).map(|it| (it, BETWEEN.len() + it));
    match (old, new) {
        (Form::Number, Form::Number) => vec![(3, 3)],
        (Form::InUtc, Form::InUtc) => vec![(1, 1)],
        (Form::Coded, Form::Coded) => {
            let as_written = std::iter::once((1, 1));
            as_written.chain(bytes.map(|it| (2 + it, 2 + it))).collect()
        }
        (Form::Plain, Form::Hex) => bytes.map(|it| (it, 0)).collect(),
        (Form::Hex, Form::Plain) => bytes.map(|it| (0, it)).collect(),
        (Form::Wrapped, Form::Listed) => joined.map(|it| (0, it)).chain(lists).collect(),
        (Form::Listed, Form::Wrapped) => {
            let lists = lists.map(|(text, array)| (array, text));
            joined.map(|it| (it, 0)).chain(lists).collect()
        }
        // The rest of the document is what the migration writes.
        (Form::Document, Form::Composed) => (1..=leaves + BETWEEN.len())
            .map(|it| (wrapped, wrapped + it))
            .collect(),
        (Form::Composed, Form::Document) => {
            joined.map(|it| (wrapped + leaves + it, wrapped)).collect()
        }
        _ => Vec::new(),
    }
}

/// Which texts there are among values that are read as numbers, or as documents.
#[derive(Debug, Clone, Copy, Default)]
struct Words {
    /// Texts that are written like numbers; documents that are a text.
    special: bool,
    /// Other ones.
    others: bool,
}

impl Words {
    fn see(&mut self, cell: CellRef<'_>, form: Form) {
        if self.special && self.others {
            return;
        }
        let is_special = match (form, cell) {
            (form, CellRef::Text(_)) if is_number(form) => number::canonical(cell).is_some(),
            (Form::Document | Form::Composed, CellRef::Text(text)) => json::string(text).is_some(),
            _ => return,
        };
        self.special |= is_special;
        self.others |= !is_special;
    }

    /// What there is among both.
    const fn and(self, other: Self) -> Self {
        Self {
            special: self.special || other.special,
            others: self.others || other.others,
        }
    }

    /// Texts that are no numbers, and no other ones.
    const fn are_texts(self) -> bool {
        self.others && !self.special
    }

    const fn are_none(self) -> bool {
        !self.others && !self.special
    }

    const fn is_special(self) -> bool {
        self.special && !self.others
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
