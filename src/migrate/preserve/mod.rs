//! Compares a table before and after: nothing may shrink. Pure.
//!
//! No statement is read for this. A DELETE, a cascade, a trigger, a truncating cast or a
//! rebuild that forgets a column all show in the same way: less exists than before.

mod acknowledged;
mod first;
mod generated;
mod names;
#[cfg(test)]
mod tests;

pub use acknowledged::{Allowed, Matter, unacknowledged};
pub use first::{Called, First, as_called, successor_as};
pub use generated::stored_since;
pub use names::{Meaning, Named, Renames, Subject, Tables};

use crate::model::{Compared, Derived, Names, Sequence, Shape, ShapeColumn, Successor};
use std::fmt;

/// Something that existed before and does not exist after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lost {
    /// The table, by its name before.
    pub table: String,
    /// The column, when not whole rows are lost.
    pub column: Option<String>,
    /// What an acknowledgement has to name.
    pub subject: String,
    /// What is lost.
    pub what: What,
    /// How many rows are concerned.
    pub rows: u64,
    /// The number before: rows, or values of the column.
    pub before: u64,
    /// Whether both numbers are those of parts of the table only.
    pub in_parts: bool,
    /// The loss that occurs only after the migration, in words.
    pub by: Option<String>,
    /// Its explanation, if there is one: then it is reported, and needs no acknowledgement.
    pub derived: Option<Derived>,
}

/// What can be lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// The table is gone, and it had rows.
    TableGone,
    RowsGone,
    /// The column is gone, and it had values.
    ColumnGone,
    /// Values became NULL.
    ValuesGone,
    ValuesChanged,
    /// The table keeps its rows, but only until the server crashes or is restarted.
    Volatile,
    /// Rows have another place in the table, which readers that do not sort them see.
    Moved,
    /// Rows were written, and counts do not show how.
    Unseen,
    /// An object of the migration will delete or overwrite rows.
    Later,
    /// An object of the migration will delete one row of another table with each new row.
    Cleared,
    /// An object of the migration will keep new values out of the column.
    Unstored,
    /// A view replaced the table, and takes no new rows.
    Unwritable,
    /// A role that could read the rows no longer can.
    Unreadable,
    /// A query for all columns no longer shows the column.
    Unshown,
    /// The engine of the table no longer supports transactions.
    Loose,
    /// New sessions find another table under the name, which lacks these rows.
    Hidden,
    /// New rows will get ids that rows had before.
    Rewound,
    /// Times without a zone were read in UTC, and applications may read them in another zone.
    InUtc,
}

/// What a table has become: by the engine's own identity, else by the names that the statements
/// gave, else by its name. A table that was dropped and created again counts as the same.
///
/// A table after stands for one table before: where two claim it, the one that was renamed to it
/// has it.
pub fn successor(
    was: &Shape,
    before: Tables<'_>,
    after: Tables<'_>,
    renames: &Renames,
) -> Option<Successor> {
    let now = same_table(was, before, after, renames)?;
    let same = was.id.is_some() && was.id == now.id;
    let new = in_its_place(was, now, before, after);
    let unnamed = Renames::default();
    let (now, renames) = match new {
        // The names that the statements gave are those of the table that was kept under another name.
        Some(new) => (new, &unnamed),
        None => (of_whole(was, now, before, after).unwrap_or(now), renames),
    };
    let by_id = same && was.whole == now.whole && now.id == was.id;
    let followed = |column: &ShapeColumn| {
        let new = column_after((was, column), (now, after.names), by_id, renames)?;
        Some((column.clone(), new))
    };
    let is_read = is_read(was, now, before, after);
    let read = |column: &ShapeColumn| {
        let namesake = named(&column.name, (now, after.names)).filter(|_| is_read);
        let read = namesake.map(|new| (column.clone(), new.clone()));
        read.or_else(|| followed(column))
    };
    let columns: Vec<_> = was.columns.iter().filter_map(read).collect();
    // A row is the same one by the column that it was known by, whatever that is called now.
    let key: Option<Vec<_>> = was
        .key
        .iter()
        .map(|name| followed(was.columns.iter().find(|it| it.name == *name)?))
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

/// Whether an application that reads by the names of before finds another column under one of them,
/// in a table that the engine knows again and may not call touched.
pub fn hides_column(was: &Shape, before: Tables<'_>, after: Tables<'_>, renames: &Renames) -> bool {
    let Some(now) = same_table(was, before, after, renames) else {
        return false;
    };
    let is_other = |column: &ShapeColumn| {
        let other = named(&column.name, (now, after.names));
        column.id.is_some() && other.is_some_and(|it| it.id != column.id)
    };
    was.id.is_some() && was.id == now.id && was.columns.iter().any(is_other)
}

/// The table that has got another name while a new one took its own, or took the one by which it is looked
/// for: an application that reads by the name finds the rows of the new one.
pub fn put_aside<'a>(
    (was, called): (&Shape, &Shape),
    (before, as_called): (Tables<'_>, Tables<'_>),
    after: Tables<'a>,
    renames: &Renames,
) -> Option<&'a Shape> {
    let now = same_table(was, before, after, renames)?;
    let other = after.namesake(called).filter(|it| it.name != now.name);
    let is_called = (&was.schema, &was.table) != (&called.schema, &called.table);
    let other = other.filter(|_| is_called);
    let other = other.or_else(|| in_its_place(called, now, as_called, after));
    other.map(|_| now)
}

/// The table that a renamed one is called now, where that is another one: not where a view has its old name.
pub fn renamed<'a>(
    was: &Shape,
    before: Tables<'_>,
    after: Tables<'a>,
    renames: &Renames,
) -> Option<&'a Shape> {
    let now = same_table(was, before, after, renames)?;
    after.namesake(was).is_none().then_some(now)
}

/// The other table that has the name which one had before: a new one, or one that was there.
fn in_its_place<'a>(
    was: &Shape,
    now: &Shape,
    before: Tables<'_>,
    after: Tables<'a>,
) -> Option<&'a Shape> {
    let named = match &was.whole {
        None => was,
        Some(_) if was.heir => return None,
        Some(whole) => before.called(whole)?,
    };
    let moved = match (&was.whole, &now.whole) {
        (None, _) => now,
        (Some(_), Some(whole)) => after.called(whole)?,
        (Some(_), None) => return None,
    };
    after.namesake(named).filter(|it| it.name != moved.name)
}

/// Whether an application that reads by the name which a table had before reads this one.
fn is_read(was: &Shape, now: &Shape, before: Tables<'_>, after: Tables<'_>) -> bool {
    let whole = was.whole.as_deref().filter(|_| !was.heir);
    let named = whole.and_then(|whole| before.called(whole)).unwrap_or(was);
    after.namesake(named).is_some_and(|it| it.name == now.name)
}

/// The table that an application finds the rows of a part in: they may move to another part of the
/// same whole, which holds them all; a part that became a table of its own, or a part of another one,
/// has taken its rows out of the whole.
fn of_whole<'a>(
    was: &Shape,
    now: &'a Shape,
    before: Tables<'_>,
    after: Tables<'a>,
) -> Option<&'a Shape> {
    let (old, new) = (was.whole.as_deref()?, now.whole.as_deref());
    let whole = new.and_then(|new| after.called(new));
    let id = |shape: Option<&Shape>| shape.and_then(|shape| shape.id);
    let stayed = whole.is_some() && id(before.called(old)) == id(whole);
    match stayed {
        // An heir has its rows for itself.
        true if was.heir => None,
        true => whole,
        // The name that the rows are read by may be that of a new table, which has the part now.
        false => after.called(old).or(whole),
    }
}

fn same_table<'a>(
    was: &Shape,
    before: Tables<'_>,
    after: Tables<'a>,
    renames: &Renames,
) -> Option<&'a Shape> {
    if let Some(same) = after
        .shapes
        .iter()
        .find(|shape| was.id.is_some() && shape.id == was.id)
    {
        return Some(same);
    }
    // Where the engine knows a table again, one that it does not know any more is gone, and no
    // other name can be its own.
    let renamed = was.id.is_none().then(|| renames.of_table(was, after));
    let named = || {
        let found = after.namesake(was)?;
        let mut others = before.shapes.iter().filter(|other| other.name != was.name);
        let claimed = others.any(|other| {
            let same = other.id.is_some() && other.id == found.id;
            same || other.id.is_none()
                && renames
                    .claims(other, after)
                    .is_some_and(|new| new.name == found.name)
        });
        (!claimed).then_some(found)
    };
    renamed
        .flatten()
        .or_else(named)
        // The whole has its own rows' name; a part of it that is gone may have given it its rows.
        .or_else(|| after.called(was.whole.as_deref()?))
}

/// The column that is called so.
fn named<'a>(name: &str, (now, names): (&'a Shape, Names)) -> Option<&'a ShapeColumn> {
    // An application reads what the engine computes as it reads what is stored.
    let mut columns = now.columns.iter().chain(&now.generated);
    columns.find(|column| names.columns.same(&column.name, name))
}

/// What a column has become: by the engine's own identity, else by the names that the statements
/// gave.
fn column_after(
    (table, was): (&Shape, &ShapeColumn),
    (now, names): (&Shape, Names),
    by_id: bool,
    renames: &Renames,
) -> Option<ShapeColumn> {
    let same = now.columns.iter().find(|column| column.id == was.id);
    let same = same.filter(|_| by_id && was.id.is_some());
    let renamed = || named(&renames.of_column(table, &was.name, names), (now, names));
    // A column that was filled from the old one may have taken its name.
    let found = same.or_else(renamed);
    found.or_else(|| named(&was.name, (now, names))).cloned()
}

/// A loss, with how many rows or values go and how many there were.
pub fn loss(
    table: &Shape,
    column: Option<&str>,
    (what, rows, all): (What, u64, u64),
    before: Tables<'_>,
) -> Lost {
    Lost {
        table: table.name.clone(),
        column: column.map(str::to_owned),
        subject: before.subject(table, column),
        what,
        rows,
        before: all,
        in_parts: false,
        by: None,
        derived: None,
    }
}

/// The losses that the comparison of a table shows.
pub fn lost(
    was: &Shape,
    successor: Option<&Successor>,
    compared: &Compared,
    before: Tables<'_>,
) -> Vec<Lost> {
    let loss = |column: Option<&str>, what, rows, all| loss(was, column, (what, rows, all), before);
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
    all.push(loss(None, What::Moved, compared.moved, compared.before));
    for (column, counts) in was.columns.iter().zip(&compared.columns) {
        let name = Some(column.name.as_str());
        let kept = successor.columns.iter().any(|(old, _)| old == column);
        if kept {
            all.push(loss(name, What::ValuesGone, counts.nulled, counts.filled));
            all.push(Lost {
                derived: counts.derived,
                ..loss(name, What::ValuesChanged, counts.changed, counts.filled)
            });
        } else {
            all.push(loss(name, What::ColumnGone, counts.filled, counts.filled));
        }
    }
    all.retain(|lost| lost.rows > 0);
    all
}

/// The table that a crash or a restart of the server empties now, though it kept its rows before.
pub fn volatile(was: &Shape, now: &Shape, rows: u64, before: Tables<'_>) -> Option<Lost> {
    let becomes = now.volatile && !was.volatile && rows > 0;
    becomes.then(|| Lost {
        table: was.name.clone(),
        column: None,
        subject: before.subject(was, None),
        what: What::Volatile,
        rows,
        before: rows,
        in_parts: false,
        by: None,
        derived: None,
    })
}

/// What an application finds no more of a table that has its rows still, or not as safely.
pub fn weaker(
    (was, successor): (&Shape, &Successor),
    now: &Shape,
    compared: &Compared,
    before: Tables<'_>,
) -> Vec<Lost> {
    let rows = compared.before.saturating_sub(compared.missing);
    let lost = |column: Option<&str>, what, rows| Lost {
        rows,
        before: rows,
        by: None,
        ..later(what, (was, column), String::new(), before)
    };
    let mut all = vec![lost(
        None,
        What::Loose,
        if now.loose && !was.loose && !now.volatile {
            rows
        } else {
            0
        },
    )];
    for (column, counts) in was.columns.iter().zip(&compared.columns) {
        let mut pairs = successor.columns.iter();
        let new = pairs
            .find(|(old, _)| old == column)
            .map(|(_, new)| &new.name);
        let is_hidden = new.is_some_and(|new| now.unshown.contains(new));
        if is_hidden && !was.unshown.contains(&column.name) {
            let left = counts.filled.saturating_sub(counts.nulled);
            all.push(lost(Some(column.name.as_str()), What::Unshown, left));
        }
        if let (Some(zone), true) = (&compared.zone, counts.in_utc) {
            let words = format!(
                "{} of `{}.{}` were read as UTC, and new sessions of this database have the time zone {zone}",
                crate::text::plural(counts.filled, "time"),
                was.name,
                column.name
            );
            all.push(Lost {
                by: Some(words),
                ..lost(Some(column.name.as_str()), What::InUtc, counts.filled)
            });
        }
    }
    all.retain(|it| it.rows > 0);
    all
}

/// The new parts that a crash of the server empties, of tables that keep their rows: each with its whole, as
/// it was.
pub fn volatile_parts<'a>(before: Tables<'a>, after: Tables<'a>) -> Vec<(&'a Shape, &'a Shape)> {
    let parts = after.shapes.iter().filter(|it| it.volatile && !it.heir);
    let parts = parts.filter_map(|part| {
        let now = after.called(part.whole.as_deref()?)?;
        let mut were = before.shapes.iter();
        let whole = were.find(|it| it.id.is_some() && it.id == now.id)?;
        let mut were = before.shapes.iter();
        let was_part = were.any(|it| it.id == part.id && it.whole.as_ref() == Some(&whole.name));
        (!whole.volatile && !was_part).then_some((whole, part))
    });
    parts.collect()
}

/// A table that was written, of which counts alone are known.
pub fn unseen(was: &Shape, rows: u64, before: Tables<'_>) -> Option<Lost> {
    (rows > 0).then(|| Lost {
        table: was.name.clone(),
        column: None,
        subject: before.subject(was, None),
        what: What::Unseen,
        rows,
        before: rows,
        in_parts: false,
        by: None,
        derived: None,
    })
}

/// The loss that occurs only after the migration, in words.
pub fn later(
    what: What,
    (was, column): (&Shape, Option<&str>),
    words: String,
    before: Tables<'_>,
) -> Lost {
    Lost {
        table: was.name.clone(),
        column: column.map(str::to_owned),
        subject: before.subject(was, column),
        what,
        rows: 0,
        before: 0,
        in_parts: false,
        by: Some(words),
        derived: None,
    }
}

/// A sequence that no column gets its numbers from, which was set back.
pub fn set_back(sequence: &Sequence, words: String) -> Lost {
    Lost {
        table: sequence.name.clone(),
        column: None,
        subject: sequence.subject.clone(),
        what: What::Rewound,
        rows: 0,
        before: 0,
        in_parts: false,
        by: Some(words),
        derived: None,
    }
}

/// The same, with what parts lost told of the table that they are parts of: an application reads
/// that one, and a bound that is acknowledged counts for all parts together.
pub fn of_wholes(lost: Vec<Lost>, before: Tables<'_>, after: Tables<'_>) -> Vec<Lost> {
    let mut all: Vec<Lost> = Vec::new();
    for mut lost in lost {
        let part = before.called(&lost.table).filter(|part| {
            let whole = |tables: Tables<'_>| tables.called(&part.name).map(|it| it.whole.clone());
            !part.heir || whole(before) != whole(after)
        });
        if let Some(whole) = part.and_then(|shape| shape.whole.as_deref()) {
            if lost.what == What::TableGone && after.called(whole).is_some() {
                lost.what = What::RowsGone;
            }
            if let Some(shape) = before.called(whole) {
                lost.subject = before.subject(shape, lost.column.as_deref());
            }
            whole.clone_into(&mut lost.table);
            lost.in_parts = true;
        }
        let same = |it: &&mut Lost| {
            (&it.table, &it.column, it.what, it.derived, &it.by)
                == (&lost.table, &lost.column, lost.what, lost.derived, &lost.by)
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

impl Lost {
    /// Whether it is reported, and needs no acknowledgement.
    pub fn is_explained(&self) -> bool {
        let warns = [
            What::Unreadable,
            What::Unshown,
            What::Loose,
            What::Cleared,
            What::Unstored,
            What::Unwritable,
            What::InUtc,
        ];
        self.derived.is_some() || warns.contains(&self.what)
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
                "{rows} of {before} values of `{table}.{column}` have changed{in_parts}"
            ),
            What::Moved => write!(
                f,
                "{rows} of {before} rows of `{table}` are returned in another order by a query without ORDER BY{in_parts}"
            ),
            What::Unseen => write!(
                f,
                "`{table}` was written, and its {rows} rows were only counted{in_parts}"
            ),
            What::Later
            | What::Cleared
            | What::Unstored
            | What::Hidden
            | What::Rewound
            | What::Unreadable
            | What::Unwritable
            | What::InUtc => f.write_str(self.by.as_deref().unwrap_or_default()),
            What::Unshown => write!(
                f,
                "`SELECT *` shows none of the {rows} values of `{table}.{column}` any more: the column is INVISIBLE"
            ),
            What::Loose => write!(
                f,
                "the engine of `{table}`, which has {rows} rows, no longer supports transactions: a rollback \
                    keeps its rows, and a crash of the server can lose committed rows"
            ),
            What::Volatile if self.by.is_some() => {
                f.write_str(self.by.as_deref().unwrap_or_default())
            }
            What::Volatile => write!(
                f,
                "a crash of the server would empty `{table}`, which has {rows} rows{in_parts}"
            ),
        }
    }
}
