//! What went of the users' rows, and whether a row that the run made is a copy of it: with its origin
//! gone, the copy is the users' row.

use super::digest::{Form, NULL, Secret, Value, tells};
use crate::model::Cell;
use std::collections::HashSet;

/// More than this is not kept: any row that the run made may be a copy then.
const MOST: usize = 4_000_000;
/// Of so many short values of a row each two are kept.
const PAIRED: usize = 10;

/// What went, as far as a copy is known by it.
#[derive(Debug, Default)]
pub(super) struct Went {
    /// Values that are in no other row by chance.
    telling: HashSet<Value>,
    /// Two short values of one row.
    pairs: HashSet<Value>,
    /// Short values.
    short: HashSet<Value>,
}

impl Went {
    /// These values of a row went, and those others of it are there still.
    pub(super) fn add(
        &mut self,
        secret: Secret,
        gone: impl Iterator<Item = Value>,
        left: impl Iterator<Item = Value>,
    ) {
        if self.is_too_much() {
            return;
        }
        let (gone, left) = (distinct(gone), distinct(left));
        for value in &gone {
            if tells(*value) {
                self.telling.insert(*value);
                continue;
            }
            self.short.insert(*value);
            let others = gone.iter().chain(&left).filter(|it| !tells(**it));
            let others = others.filter(|it| *it != value).take(PAIRED);
            self.pairs
                .extend(others.map(|other| secret.pair(*value, *other)));
        }
    }

    fn is_too_much(&self) -> bool {
        self.telling.len() + self.pairs.len() + self.short.len() > MOST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.telling.is_empty() && self.short.is_empty()
    }

    /// Whether a row of the run's with these values is a copy of one that went, or of a part of it.
    pub(super) fn has_copy(&self, secret: Secret, values: impl Iterator<Item = Value>) -> bool {
        let values = distinct(values);
        let is_one = || matches!(values[..], [one] if self.short.contains(&one));
        is_one() || self.has(secret, &values)
    }

    /// Whether these values of a row that was there before are copies.
    pub(super) fn has_values(&self, secret: Secret, values: impl Iterator<Item = Value>) -> bool {
        self.has(secret, &distinct(values))
    }

    fn has(&self, secret: Secret, values: &[Value]) -> bool {
        if self.is_too_much() {
            return true;
        }
        let short: Vec<_> = values.iter().filter(|it| !tells(**it)).collect();
        let paired = |(index, one): (usize, &&Value)| {
            let mut others = short[index + 1..].iter();
            others.any(|other| self.pairs.contains(&secret.pair(**one, **other)))
        };
        values.iter().any(|it| self.telling.contains(it)) || short.iter().enumerate().any(paired)
    }
}

fn distinct(values: impl Iterator<Item = Value>) -> Vec<Value> {
    let mut all: Vec<_> = values.filter(|value| *value != NULL).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// The same where values are texts, and are not kept otherwise.
pub(in crate::db) struct Copies {
    secret: Secret,
    went: Went,
}

impl Copies {
    pub(in crate::db) fn new() -> Self {
        Self {
            secret: Secret::new(),
            went: Went::default(),
        }
    }

    fn values<'a>(&self, row: &'a [Cell]) -> impl Iterator<Item = Value> + use<'a> {
        let secret = self.secret;
        row.iter()
            .map(move |cell| secret.value(cell.into(), Form::Raw))
    }

    /// These values of a row went, and those others of it are there still.
    pub(in crate::db) fn add(&mut self, gone: &[Cell], left: &[Cell]) {
        let (gone, left) = (self.values(gone), self.values(left));
        self.went.add(self.secret, gone, left);
    }

    pub(in crate::db) fn is_empty(&self) -> bool {
        self.went.is_empty()
    }

    /// Whether a row is a copy of one that went, or of a part of it.
    pub(in crate::db) fn has(&self, row: &[Cell]) -> bool {
        self.went.has_copy(self.secret, self.values(row))
    }
}
