//! What must not shrink: a table before and after, compared. Pure.
//!
//! No statement is read for this. A DELETE, a cascade, a trigger, a truncating cast or a
//! rebuild that forgets a column all show in the same way: less is there than before.

#[cfg(test)]
mod tests;

use crate::model::Compared;
use crate::model::ComparedColumn;
use crate::model::Content;
use crate::model::Shape;
use crate::model::ShapeColumn;
use crate::model::Successor;
use std::collections::BTreeMap;
use std::fmt;

/// Names that a migration gives to what was there before.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Renames {
    /// Table name before, in lower case, to the name after.
    pub tables: BTreeMap<String, String>,
    /// Table and column before, in lower case, to the column's name after.
    pub columns: BTreeMap<(String, String), String>,
}

impl Renames {
    /// Follows a renamed table; renames come in the order of the statements.
    pub fn table(&mut self, from: &str, to: &str) {
        follow(&mut self.tables, from, to);
    }

    /// Follows a renamed column of a table, whatever the table is called by then.
    pub fn column(&mut self, table: &str, from: &str, to: &str) {
        let was = self
            .tables
            .iter()
            .find(|(_, now)| now.eq_ignore_ascii_case(table));
        let table = was.map_or_else(|| table.to_lowercase(), |(was, _)| was.clone());
        let known = self
            .columns
            .iter_mut()
            .find(|((of, _), name)| *of == table && name.eq_ignore_ascii_case(from));
        match known {
            Some((_, name)) => to.clone_into(name),
            None => {
                self.columns
                    .insert((table, from.to_lowercase()), to.to_owned());
            }
        }
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

/// By its name: written exactly so, else whatever its case.
fn called<'a>(shapes: &'a [Shape], name: &str) -> Option<&'a Shape> {
    let exact = shapes.iter().find(|shape| shape.name == name);
    exact.or_else(|| {
        shapes
            .iter()
            .find(|shape| shape.name.eq_ignore_ascii_case(name))
    })
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
    /// Whether both numbers are those of parts of the table only.
    pub in_parts: bool,
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

/// What a table has become: by the engine's own identity, else by the names that the statements
/// gave, else by its name. A table that was dropped and made anew counts as the same.
///
/// A table after stands for one table before: where two claim it, the one that was renamed to it
/// has it.
pub fn successor(
    was: &Shape,
    before: &[Shape],
    after: &[Shape],
    renames: &Renames,
) -> Option<Successor> {
    let now = same_table(was, before, after, renames)?;
    let same = was.id.is_some() && was.id == now.id;
    // The rows of a part may move to another part of the same whole, which holds them all; a part
    // that became a table of its own has taken its rows out of the whole.
    let whole = was
        .whole
        .as_ref()
        .map(|was| now.whole.as_ref().unwrap_or(was));
    let of_whole = whole.and_then(|whole| after.iter().find(|shape| shape.name == *whole));
    let now = of_whole.unwrap_or(now);
    let by_id = same && was.whole == now.whole && now.id == was.id;
    let columns: Vec<_> = was
        .columns
        .iter()
        .filter_map(|column| {
            Some((
                column.clone(),
                column_after((was, column), now, by_id, renames)?,
            ))
        })
        .collect();
    let key: Option<Vec<_>> = was
        .key
        .iter()
        .map(|name| columns.iter().find(|(old, _)| old.name == *name).cloned())
        .collect();
    let key = key.unwrap_or_default();
    let keyed = key.iter().map(|(_, new)| &new.name).eq(now.key.iter());
    Some(Successor {
        table: now.name.clone(),
        columns,
        keyed: keyed && !key.is_empty(),
        key,
    })
}

fn same_table<'a>(
    was: &Shape,
    before: &[Shape],
    after: &'a [Shape],
    renames: &Renames,
) -> Option<&'a Shape> {
    let new_name = |shape: &Shape| renames.tables.get(&shape.name.to_lowercase());
    let named = |name: &str| {
        let found = called(after, name)?;
        let mut others = before.iter().filter(|other| other.name != was.name);
        let claimed = others.any(|other| {
            let same = other.id.is_some() && other.id == found.id;
            same || new_name(other).is_some_and(|new| new.eq_ignore_ascii_case(name))
        });
        (!claimed).then_some(found)
    };
    let by_id = was
        .id
        .and_then(|id| after.iter().find(|shape| shape.id == Some(id)));
    by_id
        .or_else(|| called(after, new_name(was)?))
        .or_else(|| named(&was.name))
        // The whole has its own rows' name; a part of it that is gone may have given it its rows.
        .or_else(|| called(after, was.whole.as_deref()?))
}

fn column_after(
    (table, was): (&Shape, &ShapeColumn),
    now: &Shape,
    by_id: bool,
    renames: &Renames,
) -> Option<ShapeColumn> {
    let named = |name: &str| {
        let mut columns = now.columns.iter();
        columns
            .find(|column| column.name.eq_ignore_ascii_case(name))
            .cloned()
    };
    let same = now.columns.iter().find(|column| column.id == was.id);
    if let Some(same) = same.filter(|_| by_id && was.id.is_some()) {
        return Some(same.clone());
    }
    // A column that was filled from the old one may have taken its name.
    let key = (table.name.to_lowercase(), was.name.to_lowercase());
    let renamed = renames.columns.get(&key);
    renamed
        .and_then(|new| named(new))
        .or_else(|| named(&was.name))
}

/// What the comparison of a table says is lost.
pub fn lost(was: &Shape, successor: Option<&Successor>, compared: &Compared) -> Vec<Lost> {
    let loss = |column: Option<&str>, what, rows, before| Lost {
        table: was.name.clone(),
        column: column.map(str::to_owned),
        what,
        rows,
        before,
        in_parts: false,
    };
    let Some(successor) = successor else {
        let gone = loss(None, What::TableGone, compared.before, compared.before);
        return if gone.rows > 0 {
            vec![gone]
        } else {
            Vec::new()
        };
    };
    let mut all = vec![loss(
        None,
        What::RowsGone,
        compared.missing,
        compared.before,
    )];
    for (column, counts) in was.columns.iter().zip(&compared.columns) {
        let name = Some(column.name.as_str());
        let kept = successor.columns.iter().any(|(old, _)| old == column);
        if kept {
            all.push(loss(name, What::ValuesGone, counts.nulled, counts.filled));
            all.push(loss(
                name,
                What::ValuesChanged,
                counts.changed,
                counts.filled,
            ));
        } else {
            all.push(loss(name, What::ColumnGone, counts.filled, counts.filled));
        }
    }
    all.retain(|lost| lost.rows > 0);
    all
}

/// The same, with what parts lost told of the table that they are parts of: an application reads
/// that one, and a bound that is acknowledged counts for all parts together.
pub fn of_wholes(lost: Vec<Lost>, before: &[Shape], after: &[Shape]) -> Vec<Lost> {
    let mut all: Vec<Lost> = Vec::new();
    for mut lost in lost {
        let part = before.iter().find(|shape| shape.name == lost.table);
        if let Some(whole) = part.and_then(|shape| shape.whole.clone()) {
            if lost.what == What::TableGone && after.iter().any(|shape| shape.name == whole) {
                lost.what = What::RowsGone;
            }
            lost.table = whole;
            lost.in_parts = true;
        }
        let same = |it: &&mut Lost| {
            (&it.table, &it.column, it.what) == (&lost.table, &lost.column, lost.what)
        };
        match all.iter_mut().find(same) {
            Some(sum) => {
                sum.rows += lost.rows;
                sum.before += lost.before;
            }
            None => all.push(lost),
        }
    }
    all
}

/// What counts alone can tell of a table that is too large to be copied.
pub fn by_counts(was: &Content, now: &Content, pairs: &[Option<usize>]) -> Compared {
    let missing = was.rows.saturating_sub(now.rows);
    let columns = was.filled.iter().zip(pairs).map(|(filled, pair)| {
        let after = pair.and_then(|index| now.filled.get(index));
        ComparedColumn {
            filled: *filled,
            nulled: after.map_or(0, |after| filled.saturating_sub(after + missing)),
            changed: 0,
        }
    });
    Compared {
        before: was.rows,
        missing,
        columns: columns.collect(),
    }
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

impl fmt::Display for Lost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            table,
            before,
            rows,
            ..
        } = self;
        let column = self.column.as_deref().unwrap_or("-");
        let in_parts = if self.in_parts {
            " (in the partitions that were touched)"
        } else {
            ""
        };
        match self.what {
            What::TableGone => write!(
                f,
                "table `{table}` is gone with its {before} rows{in_parts}"
            ),
            What::RowsGone => write!(f, "{rows} of {before} rows of `{table}` are gone{in_parts}"),
            What::ColumnGone => write!(
                f,
                "column `{table}.{column}` is gone with its {before} values{in_parts}"
            ),
            What::ValuesGone => write!(
                f,
                "{rows} of {before} values of `{table}.{column}` became NULL{in_parts}"
            ),
            What::ValuesChanged => write!(
                f,
                "{rows} of {before} values of `{table}.{column}` are other ones{in_parts}"
            ),
        }
    }
}
