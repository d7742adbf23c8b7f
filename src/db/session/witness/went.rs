//! What went of the users' rows, and whether a row that the run made is a copy of it: with its origin
//! gone, the copy is the users' row.

use super::digest::{Form, NULL, Row, Secret, Value, tells};
use crate::model::Cell;
use std::collections::{HashMap, HashSet};

/// More than this is not kept: any row that the run made may be a copy then.
const MOST: usize = 4_000_000;
/// Of so many short values of a row each two are kept.
const PAIRED: usize = 10;
/// So many rows are hardly like others by chance.
const FEW: usize = 3;
/// By single short values so many: fewer may be a list of roles or states.
const MANY: usize = 10;

/// What went, as far as a copy is known by it.
#[derive(Debug, Default)]
pub(super) struct Went {
    /// Long texts that are hardly in two rows by chance, and whether only one of these rows has it: what
    /// several have may be a default.
    telling: HashMap<Value, bool>,
    /// Two short values of one row.
    pairs: HashSet<Value>,
    /// Short values.
    short: HashSet<Value>,
    /// Rows that went as a whole, by all their values.
    whole: HashSet<Row>,
}

/// What the run made of a row: its values, by the column.
pub(super) type Values = Vec<(u64, Value)>;

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
        if left.is_empty() {
            self.whole.insert(secret.row(gone.iter().copied()));
        }
        for value in &gone {
            if tells(*value) {
                let only = self.telling.entry(*value);
                only.and_modify(|only| *only = false).or_insert(true);
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
        self.telling.len() + self.pairs.len() + self.short.len() + self.whole.len() > MOST
    }

    pub(super) fn is_empty(&self) -> bool {
        self.telling.is_empty() && self.short.is_empty()
    }

    /// Which rows of a table that the run made are copies of rows that went, or of parts of them. A row
    /// alone is one by a text that no other row has. Short values, such as small numbers and status words, are
    /// in seeds as well: by these, most rows of a table have to be copies, or all of them whole ones.
    pub(super) fn copies(&self, secret: Secret, rows: &[Values]) -> Vec<bool> {
        if self.is_too_much() {
            return vec![true; rows.len()];
        }
        let constant = constants(rows);
        let is_alike = |row: &&Values| {
            let values = row.iter().filter(|it| !constant.contains(*it));
            let values = distinct(values.map(|(_, value)| *value));
            let is_one = || matches!(values[..], [one] if self.short.contains(&one));
            self.has(secret, &values)
                || row.len() - constant.len() == 1 && rows.len() >= MANY && is_one()
        };
        let alike = rows.iter().filter(is_alike).count();
        let are_most = alike >= FEW && alike * 2 > rows.len();
        if are_most || self.has_whole(secret, rows) {
            return vec![true; rows.len()];
        }
        let tells = |(_, value): &(u64, Value)| self.telling.get(value) == Some(&true);
        rows.iter().map(|row| row.iter().any(tells)).collect()
    }

    fn has_whole(&self, secret: Secret, rows: &[Values]) -> bool {
        let mut is_wide = false;
        let mut is_whole = |row: &Values| {
            let values = distinct(row.iter().map(|(_, value)| *value));
            is_wide |= values.len() > 1;
            self.whole.contains(&secret.row(values.into_iter()))
        };
        rows.iter().all(&mut is_whole) && is_wide
    }

    fn has(&self, secret: Secret, values: &[Value]) -> bool {
        let short: Vec<_> = values.iter().filter(|it| !tells(**it)).collect();
        let paired = |(index, one): (usize, &&Value)| {
            let mut others = short[index + 1..].iter();
            others.any(|other| self.pairs.contains(&secret.pair(**one, **other)))
        };
        values.iter().any(|it| self.telling.contains_key(it))
            || short.iter().enumerate().any(paired)
    }
}

/// Values that all rows of a table have in a column, as where it is a default.
fn constants(rows: &[Values]) -> HashSet<(u64, Value)> {
    let (Some(first), true) = (rows.first(), rows.len() > 1) else {
        return HashSet::new();
    };
    let in_all = |it: &&(u64, Value)| rows.iter().all(|row| row.contains(it));
    first.iter().filter(in_all).copied().collect()
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

    /// Whether rows of a table are copies of such that went, or of parts of them.
    pub(in crate::db) fn have(&self, rows: &[Vec<Cell>]) -> bool {
        let of = |row: &Vec<Cell>| (0..).zip(self.values(row)).collect();
        let rows: Vec<Values> = rows.iter().map(of).collect();
        self.went.copies(self.secret, &rows).contains(&true)
    }
}
