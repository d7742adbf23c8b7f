//! What must not shrink: a store before and after, compared. Pure.
//!
//! No statement is read for this. A DELETE, a cascade, a trigger, a truncating cast or a
//! rebuild that forgets a column all show in the same way: less is there than before.
//! Sums over hashes tell which tables are as they were; every other one is a [`Suspect`], which
//! the driver compares row by row with a copy that it put aside.

#[cfg(test)]
mod tests;

use crate::model::Measured;
use crate::model::MeasuredTable;
use std::collections::BTreeMap;
use std::fmt;

/// Names that a migration gives to what was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// Table name before, in lower case, to the name after.
    pub tables: BTreeMap<String, String>,
    /// Column name before, in lower case, to the name after; whatever the table was called then.
    pub columns: BTreeMap<String, String>,
}

impl Renames {
    /// Follows a renamed table; renames come in the order of the statements.
    pub fn table(&mut self, from: &str, to: &str) {
        follow(&mut self.tables, from, to);
    }

    /// Follows a renamed column.
    pub fn column(&mut self, from: &str, to: &str) {
        follow(&mut self.columns, from, to);
    }
}

fn follow(names: &mut BTreeMap<String, String>, from: &str, to: &str) {
    match names
        .values_mut()
        .find(|name| name.eq_ignore_ascii_case(from))
    {
        Some(name) => to.clone_into(name),
        None => {
            names.insert(from.to_lowercase(), to.to_owned());
        }
    }
}

/// A table that is on both sides and is not as it was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suspect {
    /// Its name before and after.
    pub table: (String, String),
    /// The columns of the old key, by their names before and after; none when there was no key or
    /// it is not there any more. Then rows are compared as a whole.
    pub key: Vec<(String, String)>,
    /// The columns on both sides, by their names before and after.
    pub columns: Vec<(String, String)>,
}

/// What a row-by-row comparison of a suspect counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Counted {
    /// Rows of before that are not there after.
    pub rows: u64,
    /// In rows that are still there, by column (its name before): values that became NULL, and
    /// values that are other ones.
    pub columns: BTreeMap<String, (u64, u64)>,
}

/// Something that was there before and is not there after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The table, by its name before.
    pub table: String,
    /// The column, when not whole rows are lost.
    pub column: Option<String>,
    /// What is lost.
    pub what: What,
    /// How many rows are concerned.
    pub rows: u64,
    /// The number before: rows, or values of the column.
    pub before: u64,
}

/// What can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The table is gone, and it had rows.
    TableGone,
    /// Rows are gone.
    RowsGone,
    /// The column is gone, and it had values.
    ColumnGone,
    /// Values became NULL.
    ValuesGone,
    /// Values are other ones.
    ValuesChanged,
}

/// An acknowledged loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The table.
    pub table: String,
    /// The column; whole rows of the table when absent.
    pub column: Option<String>,
    /// At most so many rows.
    pub rows: Option<u64>,
}

/// The tables after, by their names before. A table after stands for one table before: where two
/// claim it, the one that was renamed to it has it.
fn pairs<'a>(
    before: &'a Measured,
    after: &'a Measured,
    renames: &'a Renames,
) -> BTreeMap<&'a str, &'a str> {
    let mut pairs = BTreeMap::new();
    let mut taken = Vec::new();
    for name in before.tables.keys() {
        let new = renames.tables.get(&name.to_lowercase());
        if let Some((new, _)) = new.and_then(|new| after.tables.get_key_value(new)) {
            pairs.insert(name.as_str(), new.as_str());
            taken.push(new.as_str());
        }
    }
    for name in before.tables.keys().map(String::as_str) {
        // Gone under its new name and back under the old one: rebuilt under its own name.
        if !pairs.contains_key(name) && after.tables.contains_key(name) && !taken.contains(&name) {
            pairs.insert(name, name);
        }
    }
    pairs
}

/// A column's name after.
fn column<'a>(name: &'a str, after: &'a MeasuredTable, renames: &'a Renames) -> Option<&'a str> {
    let renamed = renames
        .columns
        .get(&name.to_lowercase())
        .filter(|new| after.columns.contains_key(*new));
    match renamed {
        Some(new) => Some(new),
        None => after.columns.contains_key(name).then_some(name),
    }
}

/// The tables that are on both sides and are not as they were.
pub fn suspects(before: &Measured, after: &Measured, renames: &Renames) -> Vec<Suspect> {
    let mut suspects = Vec::new();
    for (name, new_name) in pairs(before, after, renames) {
        let (old, new) = (&before.tables[name], &after.tables[new_name]);
        let common: Vec<_> = old
            .columns
            .keys()
            .filter_map(|was| Some((was.clone(), column(was, new, renames)?.to_owned())))
            .collect();
        let after_of = |was: &String| {
            common
                .iter()
                .find(|(old, _)| old == was)
                .map(|(_, new)| new.clone())
        };
        let key: Option<Vec<_>> = old
            .key
            .iter()
            .map(|was| Some((was.clone(), after_of(was)?)))
            .collect();
        let key = key.filter(|_| !old.null_keys).unwrap_or_default();
        let same_key = !key.is_empty() && key.iter().map(|(_, new)| new).eq(new.key.iter());
        let same = match same_key {
            true => {
                old.rows == new.rows
                    && common.iter().all(|(was, is)| {
                        let (was, is) = (&old.columns[was], &new.columns[is]);
                        was.filled == is.filled && was.keyed == is.keyed
                    })
            }
            // Without a key only a table that is the same as a whole is the same.
            false => old.columns.keys().eq(new.columns.keys()) && old.whole == new.whole,
        };
        if !same && old.rows > 0 {
            suspects.push(Suspect {
                table: (name.to_owned(), new_name.to_owned()),
                key,
                columns: common,
            });
        }
    }
    suspects
}

/// Tables and columns that are gone, and had something in them.
pub fn gone(before: &Measured, after: &Measured, renames: &Renames) -> Vec<Lost> {
    let pairs = pairs(before, after, renames);
    let mut lost = Vec::new();
    for (name, old) in before.tables.iter().filter(|(_, old)| old.rows > 0) {
        let Some(new) = pairs.get(name.as_str()) else {
            lost.push(Lost {
                table: name.clone(),
                column: None,
                what: What::TableGone,
                rows: old.rows,
                before: old.rows,
            });
            continue;
        };
        for (was, measured) in old
            .columns
            .iter()
            .filter(|(_, measured)| measured.filled > 0)
        {
            if column(was, &after.tables[*new], renames).is_none() {
                lost.push(Lost {
                    table: name.clone(),
                    column: Some(was.clone()),
                    what: What::ColumnGone,
                    rows: measured.filled,
                    before: measured.filled,
                });
            }
        }
    }
    lost
}

/// What the comparison of a suspect says is lost.
pub fn lost(before: &Measured, suspect: &Suspect, counted: &Counted) -> Vec<Lost> {
    let name = &suspect.table.0;
    let old = &before.tables[name];
    let mut lost = Vec::new();
    if counted.rows > 0 {
        lost.push(Lost {
            table: name.clone(),
            column: None,
            what: What::RowsGone,
            rows: counted.rows,
            before: old.rows,
        });
    }
    for (column, (gone, changed)) in &counted.columns {
        for (what, rows) in [(What::ValuesGone, *gone), (What::ValuesChanged, *changed)] {
            if rows > 0 {
                lost.push(Lost {
                    table: name.clone(),
                    column: Some(column.clone()),
                    what,
                    rows,
                    before: old.columns[column].filled,
                });
            }
        }
    }
    lost
}

/// Losses that nobody acknowledged, or not so many rows of. Rows may go by `table`; values of
/// rows that stay only by `table.column`.
pub fn unacknowledged<'a>(lost: &'a [Lost], allowed: &[Allowed]) -> Vec<&'a Lost> {
    let covers = |lost: &Lost, allowed: &Allowed| {
        let same = |a: &Option<String>, b: &Option<String>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => a.eq_ignore_ascii_case(b),
            _ => false,
        };
        allowed.table.eq_ignore_ascii_case(&lost.table)
            && same(&allowed.column, &lost.column)
            && allowed.rows.is_none_or(|rows| lost.rows <= rows)
    };
    lost.iter()
        .filter(|lost| !allowed.iter().any(|allowed| covers(lost, allowed)))
        .collect()
}

/// Whether the subject of a loss is as it was before.
pub fn is_whole(lost: &Lost, before: &Measured, now: &Measured) -> bool {
    let (Some(old), Some(new)) = (before.tables.get(&lost.table), now.tables.get(&lost.table))
    else {
        return false;
    };
    match &lost.column {
        None => old.rows == new.rows && old.whole == new.whole,
        Some(column) => old.columns.get(column) == new.columns.get(column),
    }
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            before,
            rows,
            ..
        } = self;
        let column = self.column.as_deref().unwrap_or("-");
        match self.what {
            What::TableGone => write!(f, "table `{table}` is gone with its {before} rows"),
            What::RowsGone => write!(f, "{rows} of {before} rows of `{table}` are gone"),
            What::ColumnGone => write!(
                f,
                "column `{table}.{column}` is gone with its {before} values"
            ),
            What::ValuesGone => write!(
                f,
                "{rows} of {before} values of `{table}.{column}` became NULL"
            ),
            What::ValuesChanged => write!(
                f,
                "{rows} of {before} values of `{table}.{column}` are other ones"
            ),
        }
    }
}
