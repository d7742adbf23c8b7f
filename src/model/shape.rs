//! Tables as a migration finds and leaves them.

use std::collections::BTreeSet;

/// A table, as the catalogue describes it at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Shape {
    /// What stays the same as long as it is the same table, whatever it is called; absent where
    /// the engine has no such thing.
    pub id: Option<u64>,
    /// Its name; with its schema when that is not the default one.
    pub name: String,
    /// The partitioned table that it is a part of, and that holds its rows too.
    pub whole: Option<String>,
    /// Whether it holds no rows itself, but its parts do.
    pub parted: bool,
    /// Its stored columns, in order.
    pub columns: Vec<ShapeColumn>,
    /// The columns of its primary key; none when it has no key.
    pub key: Vec<String>,
}

/// A column of a [`Shape`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ShapeColumn {
    /// What stays the same as long as it is the same column of the same table.
    pub id: Option<u64>,
    /// Its name.
    pub name: String,
    /// Its type, as the engine writes it.
    pub declared: String,
}

/// What may have happened to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Touch {
    /// Anything: rows may be gone.
    Rows,
    /// Values may be other ones; every row is there.
    Values {
        /// Of these columns.
        columns: BTreeSet<String>,
        /// In these rows, by the engine's number; in any row when absent.
        rows: Option<BTreeSet<i64>>,
    },
}

impl Touch {
    /// Both.
    pub fn and(&mut self, other: Self) {
        match (self, other) {
            (Self::Rows, _) => {}
            (this, Self::Rows) => *this = Self::Rows,
            (
                Self::Values { columns, rows },
                Self::Values {
                    columns: more,
                    rows: others,
                },
            ) => {
                columns.extend(more);
                *rows = rows.take().zip(others).map(|(mut rows, others)| {
                    rows.extend(others);
                    rows
                });
            }
        }
    }

    /// Whether what was put aside for this is enough for the other.
    pub fn covers(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Rows, _) => true,
            (Self::Values { .. }, Self::Rows) => false,
            (
                Self::Values { columns, rows },
                Self::Values {
                    columns: some,
                    rows: others,
                },
            ) => {
                let rows = match (rows, others) {
                    (None, _) => true,
                    (Some(_), None) => false,
                    (Some(rows), Some(others)) => others.is_subset(rows),
                };
                rows && some.is_subset(columns)
            }
        }
    }

    /// The rows that it is about, when it is not about all.
    pub fn rows(&self) -> Option<&BTreeSet<i64>> {
        match self {
            Self::Values { rows, .. } => rows.as_ref(),
            Self::Rows => None,
        }
    }

    /// The same about every row.
    pub fn in_all_rows(&mut self) {
        if let Self::Values { rows, .. } = self {
            *rows = None;
        }
    }

    /// The part of a table that it is about: its key, and the columns.
    pub fn of(&self, shape: &Shape) -> Shape {
        let mut shape = shape.clone();
        if let Self::Values { columns, .. } = self {
            let key = shape.key.clone();
            shape
                .columns
                .retain(|column| columns.contains(&column.name) || key.contains(&column.name));
        }
        shape
    }
}

/// What a table has become.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Successor {
    /// The table that holds its rows now.
    pub table: String,
    /// The columns on both sides: name and type before, name and type after.
    pub columns: Vec<(ShapeColumn, ShapeColumn)>,
    /// Those of them that were the key before; none when one of them is gone.
    pub key: Vec<(ShapeColumn, ShapeColumn)>,
    /// Whether they are the key still.
    pub keyed: bool,
}

/// How many rows a table has, and how many values each of its columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Content {
    /// Rows.
    pub rows: u64,
    /// Values that are not NULL, by the order of the columns.
    pub filled: Vec<u64>,
}

/// A table beside the copy of what it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Compared {
    /// Rows before.
    pub before: u64,
    /// Rows of before that are not there after.
    pub missing: u64,
    /// By column of before, in order.
    pub columns: Vec<ComparedColumn>,
}

/// A column beside the copy of what it was.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ComparedColumn {
    /// Values before.
    pub filled: u64,
    /// Values that became NULL, in rows that are still there.
    pub nulled: u64,
    /// Values that are other ones, in rows that are still there.
    pub changed: u64,
}
