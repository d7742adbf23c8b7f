//! What must not shrink: the measure of a store before and after, compared. Pure.
//!
//! No statement is read for this. A DELETE, a cascade, a trigger, a truncating cast or a
//! rebuild that forgets a column all show in the same way: less is there than before.

use crate::model::Measured;
use crate::model::MeasuredColumn;
use crate::model::MeasuredTable;
use std::collections::BTreeMap;
use std::fmt;

/// Names that a migration gives to what was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// Old table name to new.
    pub tables: BTreeMap<String, String>,
    /// Table (its new name) and old column name, to the new column name.
    pub columns: BTreeMap<(String, String), String>,
}

impl Renames {
    /// A table's name after. Where the new name is gone again and the old one is back, the table
    /// was rebuilt under its own name.
    fn table<'a>(&'a self, name: &'a str, after: &Measured) -> &'a str {
        let renamed = self
            .tables
            .get(name)
            .filter(|name| after.tables.contains_key(*name));
        renamed.map_or(name, String::as_str)
    }

    /// A column's name after, likewise; a rebuild may rename it under another table's name.
    fn column<'a>(&'a self, table: &str, column: &'a str, after: &MeasuredTable) -> &'a str {
        if after.columns.contains_key(column) {
            return column;
        }
        let renamed = self
            .columns
            .iter()
            .filter(|((_, old), new)| old == column && after.columns.contains_key(*new));
        let best = renamed.max_by_key(|((of, _), _)| of == table);
        best.map_or(column, |(_, new)| new)
    }
}

/// A column of which counts and sums don't tell whether the values that were there still are: rows
/// or values were added to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Doubt {
    /// The table, by its name before and after.
    pub table: (String, String),
    /// The column, by its name before and after.
    pub column: (String, String),
    /// The key that identifies a row before and after; empty when there is none.
    pub key: Vec<String>,
}

/// The columns that must be compared value by value.
pub fn doubts(before: &Measured, after: &Measured, renames: &Renames) -> Vec<Doubt> {
    let mut doubts = Vec::new();
    for (name, old) in &before.tables {
        let new_name = renames.table(name, after);
        let Some(new) = after.tables.get(new_name) else {
            continue;
        };
        for (column, was) in &old.columns {
            let new_column = renames.column(name, column, new);
            let Some(is) = new.columns.get(new_column) else {
                continue;
            };
            // Fewer are a loss already; as many are compared by their sums.
            if was.filled > 0 && is.filled > was.filled && is.keyed != was.keyed {
                let same_key = old.key == new.key;
                doubts.push(Doubt {
                    table: (name.clone(), new_name.to_owned()),
                    column: (column.clone(), new_column.to_owned()),
                    key: if same_key {
                        old.key.clone()
                    } else {
                        Vec::new()
                    },
                });
            }
        }
    }
    doubts
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
    /// How many rows are concerned, at least.
    pub rows: u64,
    /// The number before: rows, or values of the column.
    pub before: u64,
    /// The number after.
    pub after: u64,
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
    /// Values became NULL, or went with their rows.
    ValuesGone,
    /// As many values are there, but other ones.
    ValuesChanged,
}

/// An acknowledged loss.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The table.
    pub table: String,
    /// The column; all of the table when absent.
    pub column: Option<String>,
    /// At most so many rows.
    pub rows: Option<u64>,
}

/// What is in `before` and not in `after`.
pub fn compare(before: &Measured, after: &Measured, renames: &Renames) -> Vec<Lost> {
    let mut lost = Vec::new();
    for (name, old) in &before.tables {
        let new_name = renames.table(name, after);
        let Some(new) = after.tables.get(new_name) else {
            if old.rows > 0 {
                lost.push(whole(name, What::TableGone, old.rows, 0));
            }
            continue;
        };
        if new.rows < old.rows {
            lost.push(whole(name, What::RowsGone, old.rows, new.rows));
        }
        for (column, was) in &old.columns {
            let new_column = renames.column(name, column, new);
            let part = |what, rows, after| Lost {
                table: name.clone(),
                column: Some(column.clone()),
                what,
                rows,
                before: was.filled,
                after,
            };
            match new.columns.get(new_column) {
                None if was.filled > 0 => lost.push(part(What::ColumnGone, was.filled, 0)),
                None => {}
                // Rows that are gone took their values along; that is told once, by the rows.
                Some(_) if new.rows < old.rows => {}
                Some(is) if is.filled < was.filled => {
                    lost.push(part(What::ValuesGone, was.filled - is.filled, is.filled));
                }
                Some(is) if changed(old, new, was, is) => {
                    lost.push(part(What::ValuesChanged, 1, is.filled));
                }
                Some(_) => {}
            }
        }
    }
    lost
}

/// Whether values are other ones. Where rows or values were added, the sums differ by what was
/// added, and say nothing of the rest: those are [`doubts`].
fn changed(
    old: &MeasuredTable,
    new: &MeasuredTable,
    was: &MeasuredColumn,
    is: &MeasuredColumn,
) -> bool {
    if is.filled != was.filled {
        return false;
    }
    let (before, after) = match old.key == new.key {
        true => (was.keyed, is.keyed),
        false => (was.values, is.values),
    };
    matches!((before, after), (Some(before), Some(after)) if before != after)
}

fn whole(table: &str, what: What, before: u64, after: u64) -> Lost {
    Lost {
        table: table.to_owned(),
        column: None,
        what,
        rows: before - after,
        before,
        after,
    }
}

/// Losses that nobody acknowledged, or not so many rows of.
pub fn unacknowledged<'a>(lost: &'a [Lost], allowed: &[Allowed]) -> Vec<&'a Lost> {
    let covers = |lost: &Lost, allowed: &Allowed| {
        let column = match (&allowed.column, &lost.column) {
            (None, _) => true,
            (Some(allowed), Some(lost)) => allowed.eq_ignore_ascii_case(lost),
            (Some(_), None) => false,
        };
        column
            && allowed.table.eq_ignore_ascii_case(&lost.table)
            && allowed.rows.is_none_or(|rows| lost.rows <= rows)
    };
    lost.iter()
        .filter(|lost| !allowed.iter().any(|allowed| covers(lost, allowed)))
        .collect()
}

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            before,
            after,
            ..
        } = self;
        let column = self.column.as_deref().unwrap_or("-");
        match self.what {
            What::TableGone => write!(f, "table `{table}` is gone with its {before} rows"),
            What::RowsGone => write!(f, "`{table}` had {before} rows and has {after}"),
            What::ColumnGone => write!(
                f,
                "column `{table}.{column}` is gone with its {before} values"
            ),
            What::ValuesGone => write!(f, "`{table}.{column}` had {before} values and has {after}"),
            What::ValuesChanged => write!(
                f,
                "values in `{table}.{column}` are not those that were there"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Allowed;
    use super::Measured;
    use super::MeasuredColumn;
    use super::MeasuredTable;
    use super::Renames;
    use super::What;
    use super::compare;
    use super::unacknowledged;

    fn store(rows: u64, filled: u64, digest: u128) -> Measured {
        let column = MeasuredColumn {
            filled,
            keyed: Some(digest),
            values: Some(digest),
        };
        let table = MeasuredTable {
            rows,
            key: vec!["id".into()],
            columns: [("body".to_owned(), column)].into(),
        };
        Measured {
            tables: [("messages".to_owned(), table)].into(),
        }
    }

    fn lost(before: &Measured, after: &Measured) -> Vec<(What, u64)> {
        let lost = compare(before, after, &Renames::default());
        lost.iter().map(|lost| (lost.what, lost.rows)).collect()
    }

    #[test]
    fn growth_is_no_loss() {
        assert_eq!(lost(&store(3, 3, 7), &store(5, 5, 9)), []);
        assert_eq!(lost(&store(0, 0, 0), &Measured::default()), []);
        assert_eq!(lost(&store(3, 1, 7), &store(3, 3, 9)), []);
    }

    #[test]
    fn each_loss_is_named() {
        assert_eq!(
            lost(&store(3, 3, 7), &Measured::default()),
            [(What::TableGone, 3)]
        );
        assert_eq!(
            lost(&store(3, 3, 7), &store(1, 1, 2)),
            [(What::RowsGone, 2)]
        );
        assert_eq!(
            lost(&store(3, 3, 7), &store(3, 2, 5)),
            [(What::ValuesGone, 1)]
        );
        assert_eq!(
            lost(&store(3, 3, 7), &store(3, 3, 8)),
            [(What::ValuesChanged, 1)]
        );
        let mut narrow = store(3, 3, 7);
        for table in narrow.tables.values_mut() {
            table.columns.clear();
        }
        assert_eq!(lost(&store(3, 3, 7), &narrow), [(What::ColumnGone, 3)]);
    }

    #[test]
    fn a_rename_keeps_everything() {
        let mut after = store(3, 3, 7);
        let table = after.tables.remove("messages").unwrap_or_default();
        after.tables.insert("message".into(), table);
        let mut renames = Renames::default();
        assert_eq!(compare(&store(3, 3, 7), &after, &renames).len(), 1);
        renames.tables.insert("messages".into(), "message".into());
        assert_eq!(compare(&store(3, 3, 7), &after, &renames), []);
    }

    #[test]
    fn a_rebuild_that_moves_the_old_table_aside_is_no_loss() {
        let renames = Renames {
            tables: [("messages".to_owned(), "messages_old".to_owned())].into(),
            ..Renames::default()
        };
        assert_eq!(compare(&store(3, 3, 7), &store(3, 3, 7), &renames), []);
    }

    #[test]
    fn what_grew_is_in_doubt_and_what_did_not_is_not() {
        fn doubts(before: &Measured, after: &Measured) -> usize {
            super::doubts(before, after, &Renames::default()).len()
        }
        assert_eq!(doubts(&store(3, 2, 7), &store(3, 3, 9)), 1);
        assert_eq!(doubts(&store(3, 3, 7), &store(3, 3, 9)), 0);
        assert_eq!(doubts(&store(3, 0, 0), &store(3, 3, 9)), 0);
    }

    #[test]
    fn an_acknowledgement_is_narrow() {
        let lost = compare(&store(9, 9, 7), &store(1, 1, 2), &Renames::default());
        let allow = |table: &str, column: Option<&str>, rows| Allowed {
            table: table.into(),
            column: column.map(str::to_owned),
            rows,
        };
        assert_eq!(
            unacknowledged(&lost, &[allow("messages", None, Some(8))]).len(),
            0
        );
        for narrow in [
            allow("messages", None, Some(7)),
            allow("messages", Some("body"), None),
            allow("tasks", None, None),
        ] {
            assert_eq!(unacknowledged(&lost, &[narrow]).len(), 1);
        }
    }
}
