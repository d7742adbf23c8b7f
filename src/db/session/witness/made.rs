//! What the run itself made: rows and values that were not there before it, as it left them. They
//! are the run's to change, until somebody else does.

use super::digest::{ByRow, Row, Secret, Value};
use super::went::{Values, Went};
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fmt::Write as _;

/// More values than this are forgotten: they count as the user's then, which refuses more.
const MOST: usize = 4_000_000;
/// As much is kept for a later run.
const MOST_KEPT: usize = 50_000;

/// What the run made, by the table.
pub(super) type Made = BTreeMap<u64, OfTable>;

/// What the run made of a table.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct OfTable {
    /// Rows, by their key; where there is none, by all their values, and how many they are.
    pub(super) rows: ByRow<u64>,
    /// Values, by the row and the column.
    pub(super) values: HashMap<(Row, u64), Value>,
    /// Columns that were added, and the value that each row had in it from then on.
    pub(super) columns: BTreeMap<u64, Value>,
}

impl OfTable {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.values.is_empty() && self.columns.is_empty()
    }

    fn len(&self) -> usize {
        self.rows.len() + self.values.len() + self.columns.len()
    }

    /// Whether a value is as the run left it.
    pub(super) fn left(&self, row: Row, column: u64, value: Value) -> bool {
        self.values.get(&(row, column)) == Some(&value) || self.columns.get(&column) == Some(&value)
    }

    pub(super) fn add_row(&mut self, row: Row) {
        if self.len() < MOST {
            *self.rows.entry(row).or_default() += 1;
        }
    }

    pub(super) fn add_value(&mut self, row: Row, column: u64, value: Value) {
        if self.len() < MOST {
            self.values.insert((row, column), value);
        }
    }

    /// Gives back to the users what is a copy of theirs whose origin went.
    pub(super) fn give_back(&mut self, went: &Went, secret: Secret) {
        let mut all: ByRow<Values> = ByRow::default();
        for ((row, column), value) in &self.values {
            all.entry(*row).or_default().push((*column, *value));
        }
        let (new, old): (Vec<_>, Vec<_>) = all
            .into_iter()
            .partition(|(row, _)| self.rows.contains_key(row));
        let mut users = HashSet::new();
        for part in [new, old] {
            let (rows, values): (Vec<_>, Vec<_>) = part.into_iter().unzip();
            let copies = went.copies(secret, &values);
            users.extend(
                rows.into_iter()
                    .zip(copies)
                    .filter(|it| it.1)
                    .map(|it| it.0),
            );
        }
        self.rows.retain(|row, _| !users.contains(row));
        self.values.retain(|(row, _), _| !users.contains(row));
    }

    /// Gives back to the users all rows that the run put there, or all values in these columns.
    pub(super) fn give_back_all(&mut self, columns: Option<&BTreeSet<u64>>) {
        match columns {
            None => {
                let rows = std::mem::take(&mut self.rows);
                self.values.retain(|(row, _), _| !rows.contains_key(row));
            }
            Some(columns) => {
                self.values
                    .retain(|(_, column), _| !columns.contains(column));
                self.columns.retain(|column, _| !columns.contains(column));
            }
        }
    }

    /// What both say that the run made: a row that came from either of two tables is the user's.
    pub(super) fn also(mut self, other: &Self) -> Self {
        self.rows.retain(|row, count| {
            let others = other.rows.get(row);
            *count = others.map_or(0, |others| (*count).min(*others));
            *count > 0
        });
        self.values
            .retain(|at, value| other.values.get(at) == Some(value));
        // Of a column as a whole the other one knows nothing.
        self.columns.clear();
        self
    }
}

/// In words that a later run reads; none when it is too much to be kept.
pub(super) fn text(made: &Made, secret: Secret) -> Option<String> {
    if made.values().map(OfTable::len).sum::<usize>() > MOST_KEPT {
        return None;
    }
    let mut text = format!("1 {:x} {:x}\n", secret.0, secret.1);
    for (table, of) in made {
        // Writing to a string does not fail.
        let _ = writeln!(text, "t {table:x}");
        for (row, count) in &of.rows {
            let _ = writeln!(text, "r {row:x} {count:x}");
        }
        for ((row, column), value) in &of.values {
            let _ = writeln!(text, "v {row:x} {column:x} {value:x}");
        }
        for (column, value) in &of.columns {
            let _ = writeln!(text, "c {column:x} {value:x}");
        }
    }
    Some(text)
}

/// What an earlier run wrote; none when it is not understood.
pub(super) fn parse(text: &str) -> Option<(Made, Secret)> {
    let mut lines = text.lines();
    let secret = match lines.next()?.split(' ').collect::<Vec<_>>()[..] {
        ["1", a, b] => Secret(number(a)?, number(b)?),
        _ => return None,
    };
    let mut made = Made::new();
    let mut table = 0;
    for line in lines {
        let words: Vec<_> = line.split(' ').collect();
        if let ["t", of] = words[..] {
            table = number(of)?;
            continue;
        }
        let of = made.entry(table).or_default();
        match words[..] {
            ["r", row, count] => {
                of.rows
                    .insert(Row::from_str_radix(row, 16).ok()?, number(count)?);
            }
            ["v", row, column, value] => {
                let at = (Row::from_str_radix(row, 16).ok()?, number(column)?);
                of.values.insert(at, number(value)?);
            }
            ["c", column, value] => {
                of.columns.insert(number(column)?, number(value)?);
            }
            _ => return None,
        }
    }
    Some((made, secret))
}

fn number(text: &str) -> Option<u64> {
    u64::from_str_radix(text, 16).ok()
}
