//! Rows that came after the rehearsal: what a statement would do to them is looked at before it is
//! committed.

mod altered;
mod fallout;
mod prepared;
mod shut;

pub(super) use fallout::Fallout;
pub(super) use shut::Shut;

use crate::db::Session;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{Culprit, End, Failure, origin};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Matter, Renames, Tables, What, loss};
use crate::model::{Cell, Compared, Names, Shape, Successor};
use crate::sql::{AlterAction, Conflict, Facts, Kind, Name};

/// What a statement takes, as it was found before it.
#[derive(Debug, Default)]
struct Found {
    /// The tables of before the run, as acknowledgements name them.
    before: Vec<Shape>,
    seen: Vec<Seen>,
}

/// What was counted in a table before a statement that takes it.
#[derive(Debug, Clone)]
struct Seen {
    table: String,
    /// The query that counts it.
    rows: String,
    count: Count,
    /// What goes with the statement.
    lost: Lost,
    /// Whether another table has what stays, so that only one more look says what does.
    copied: bool,
    aside: Option<Aside>,
}

/// How many rows there were, and which: one that went and one that came make the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Count {
    rows: u64,
    /// A sum of their keys, where that was asked for.
    keys: Option<u64>,
}

/// A table that another one takes the name of.
#[derive(Debug, Clone)]
struct Aside {
    was: Shape,
    /// As it is called then.
    old: Shape,
    /// What has its name then.
    new: Successor,
}

impl Seen {
    /// What goes where this is there now.
    fn lost(&self, now: Count) -> Lost {
        let (were, are) = (self.count.rows, now.rows);
        let more = if self.copied {
            are.abs_diff(were).max(u64::from(now != self.count))
        } else {
            are.saturating_sub(were)
        };
        Lost {
            rows: self.lost.rows.saturating_add(more),
            before: self.lost.before.saturating_add(more),
            ..self.lost.clone()
        }
    }
}

/// What a statement does to the rows that it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Delete,
    Change,
    Nothing,
}

fn does(kind: &Kind) -> Does {
    match kind {
        Kind::Delete { .. } => Does::Delete,
        Kind::Update { .. } => Does::Change,
        Kind::Insert { conflict, .. } => match conflict {
            Conflict::Replace | Conflict::Update => Does::Change,
            Conflict::Fail | Conflict::Ignore => Does::Nothing,
        },
        Kind::With { writes } => match writes.last() {
            Some(main) => does(main),
            None => Does::Nothing,
        },
        _ => Does::Nothing,
    }
}

/// What a statement did to more rows than it did on the copy; it is not committed yet.
pub(super) fn changed(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    rehearsed: &Rehearsed,
) -> anyhow::Result<Option<End>> {
    let piece = &intent.pieces[number];
    let now = session.changed().last().copied();
    let then = rehearsed.rows.get(number).copied().flatten();
    let does = does(&piece.facts.kind);
    let (Some(then), Some(now), Some(table)) = (then, now, &piece.facts.table) else {
        return Ok(None);
    };
    if now <= then || does == Does::Nothing {
        return Ok(None);
    }
    let Some((shape, _)) = older(session, (intent, number), rehearsed, table)? else {
        return Ok(None);
    };
    let before = were(rehearsed);
    let before = Tables {
        shapes: &before,
        names: session.names(),
    };
    let lost = more((does, shape), now - then, &rehearsed.evidence.lost, before);
    let refused = refused((intent, rehearsed), &lost, before);
    if !refused.is_empty() {
        return Ok(Some(culprits(intent, number, refused)));
    }
    let is_new = does == Does::Change && lost.is_empty() && then == 0;
    Ok(is_new.then(|| {
        End::Failed(Failure {
            file: intent.migration.file_name(),
            line: Some(piece.line),
            message: format!(
                "it would change {now} rows of `{}` that came after the rehearsal, which had none for it",
                shape.name
            ),
            help: "run `chatctl migrate` again: it rehearses with these rows".into(),
            busy: false,
        })
    }))
}

/// The tables that were there before the run, as the file began.
fn were(rehearsed: &Rehearsed) -> Vec<Shape> {
    rehearsed
        .before
        .iter()
        .map(|(was, _)| was.clone())
        .collect()
}

/// The table of before the run that a statement names, as it was when the file began and as it is
/// now.
fn older<'a>(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    rehearsed: &'a Rehearsed,
    table: &Name,
) -> anyhow::Result<Option<(&'a Shape, Shape)>> {
    let (tables, names) = (session.catalog()?, session.names());
    let tables = Tables {
        shapes: &tables,
        names,
    };
    let done = intent.renames_of(rehearsed.first..number);
    // What the run itself made is its own.
    let mut older = rehearsed.before.iter();
    Ok(older.find_map(|(was, _)| {
        let shape = origin::present(was, &done, tables)?;
        let is_it = names.tables.same(&shape.table, &table.name);
        is_it.then_some((was, shape))
    }))
}

/// The losses of the rehearsal, with so many more rows.
fn more((does, shape): (Does, &Shape), more: u64, lost: &[Lost], before: Tables<'_>) -> Vec<Lost> {
    // Of what is lost later only, no row is gone or changed now.
    let of_table = lost
        .iter()
        .filter(|it| it.table == shape.name && it.by.is_none());
    let with_more = |lost: &Lost| Lost {
        rows: lost.rows + more,
        before: lost.before + more,
        ..lost.clone()
    };
    match does {
        Does::Change => of_table
            .filter(|it| it.column.is_some())
            .map(with_more)
            .collect(),
        Does::Delete => {
            let none = loss(shape, None, (What::RowsGone, 0, 0), before);
            let rows = of_table.rev().find(|it| it.column.is_none());
            vec![with_more(rows.unwrap_or(&none))]
        }
        Does::Nothing => Vec::new(),
    }
}

/// What a statement drops, or renames while another table takes its name, was looked at in the
/// database: what it would take that the rehearsal did not have is rows that came since, which the
/// table in its place has no copy of.
fn dropped(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    (rehearsed, facts): (&Rehearsed, &Facts),
) -> anyhow::Result<Result<Found, End>> {
    let Some((gone, stays)) = taken(facts) else {
        return Ok(Ok(Found::default()));
    };
    let (now, names) = (session.catalog()?, session.names());
    let end = intent.pieces.len();
    let done = intent.renames_of(rehearsed.first..number);
    let ahead = intent.renames_of(if stays { number } else { number + 1 }..end);
    let tables = Tables {
        shapes: &now,
        names,
    };
    let left: Vec<_> = rehearsed
        .before
        .iter()
        .filter_map(|(was, home)| Some((origin::present(was, &done, tables)?, was, home)))
        .collect();
    let shapes: Vec<_> = left
        .iter()
        .map(|(shape, was, home)| Shape {
            name: was.name.clone(),
            table: (*home).clone(),
            ..shape.clone()
        })
        .collect();
    let before = Tables {
        shapes: &shapes,
        names,
    };
    let mut seen = Vec::new();
    for table in gone {
        let is_it = |shape: &Shape| names.tables.same(&shape.table, &table.name);
        let Some((shape, start, _)) = left.iter().find(|(shape, ..)| is_it(shape)) else {
            continue;
        };
        let Some(was) = before.called(&start.name) else {
            continue;
        };
        // What there will be, under the names that it will have.
        let after: Vec<_> = now
            .iter()
            .filter(|other| other.name != shape.name)
            .map(|other| Shape {
                table: ahead.present(other, names).table,
                ..other.clone()
            })
            .collect();
        let after = Tables {
            shapes: &after,
            names,
        };
        let successor = preserve::successor(was, before, after, &Renames::default());
        if stays && successor.is_none() {
            continue;
        }
        // Before the comparison: what comes between the two makes another count.
        let rows = match &successor {
            Some(_) => which(session, shape, &shape.name),
            None => format!("SELECT count(*) FROM {}", session.quote(&shape.name)),
        };
        let count = counted(&session.rows(&rows)?)?;
        let compared = match &successor {
            Some(successor) => session.compare_with(shape, successor)?,
            None => None,
        };
        let compared = compared.unwrap_or_else(|| Compared {
            before: count.rows,
            ..Compared::default()
        });
        let lost = preserve::lost(was, successor.as_ref(), &compared, before);
        let refused = refused((intent, rehearsed), &lost, before);
        if !refused.is_empty() {
            return Ok(Err(culprits(intent, number, refused)));
        }
        let copied = successor.is_some();
        let gone = if copied {
            (What::RowsGone, compared.missing, compared.before)
        } else {
            (What::TableGone, compared.before, compared.before)
        };
        seen.push(Seen {
            table: shape.name.clone(),
            rows,
            count,
            lost: loss(was, None, gone, before),
            copied,
            aside: successor.filter(|_| stays).map(|successor| {
                let step = intent.renames_of(number..number + 1);
                put_aside((was, shape), successor, (&now, names), &step)
            }),
        });
    }
    Ok(Ok(Found {
        before: shapes,
        seen,
    }))
}

/// The tables that a statement takes, and whether they stay under another name.
fn taken(facts: &Facts) -> Option<(Vec<&Name>, bool)> {
    match &facts.kind {
        Kind::DropTable {
            temporary: false, ..
        }
        | Kind::Truncate { .. }
        | Kind::CreateTable {
            or_replace: true,
            temporary: false,
            ..
        } => Some((facts.tables().collect(), false)),
        Kind::RenameTable { renames } => {
            Some((renames.iter().map(|(from, _)| from).collect(), true))
        }
        Kind::AlterTable { actions }
            if matches!(actions.as_slice(), [AlterAction::RenameTable { .. }]) =>
        {
            Some((facts.tables().collect(), true))
        }
        _ => None,
    }
}

/// A table and the one that has its name afterwards, as they are called then.
fn put_aside(
    (was, shape): (&Shape, &Shape),
    successor: Successor,
    (now, names): (&[Shape], Names),
    step: &Renames,
) -> Aside {
    let called = |it: &Shape| Shape {
        name: step.present(it, names).table,
        ..step.present(it, names)
    };
    let new = now.iter().find(|it| it.name == successor.table);
    let table = new.map_or(successor.table.clone(), |it| called(it).name);
    Aside {
        was: was.clone(),
        old: called(shape),
        new: Successor { table, ..successor },
    }
}

/// A query for the number of rows and for their keys, of a table that is called so.
fn which(session: &dyn Session, shape: &Shape, called: &str) -> String {
    let key = if shape.key.is_empty() {
        shape.columns.iter().map(|it| &it.name).collect()
    } else {
        shape.key.iter().collect::<Vec<_>>()
    };
    let key = key.into_iter();
    let key: Vec<_> = key
        .map(|it| format!("quote({})", session.quote(it)))
        .collect();
    format!(
        "SELECT count(*), bit_xor(crc32(concat_ws(',', {}))) FROM {}",
        key.join(", "),
        session.quote(called)
    )
}

/// What a query for a number gave.
fn counted(rows: &[Vec<Cell>]) -> anyhow::Result<Count> {
    let row = &rows[0];
    Ok(Count {
        rows: row[0].to_string().parse()?,
        keys: match row.get(1) {
            Some(keys) => Some(keys.to_string().parse()?),
            None => None,
        },
    })
}

/// Of what would be lost now, that for which no acknowledgement is left besides what the rehearsal
/// showed.
fn refused(
    (intent, rehearsed): (&Intent<'_>, &Rehearsed),
    lost: &[Lost],
    before: Tables<'_>,
) -> Vec<Lost> {
    let of_rows = |it: &&Lost| it.what.matter() == Matter::Rows;
    let others = rehearsed.evidence.lost.iter().filter(|it| !of_rows(it));
    let all: Vec<_> = lost.iter().chain(others).cloned().collect();
    let refused = preserve::unacknowledged(&all, &intent.allowed, before);
    refused.into_iter().filter(of_rows).cloned().collect()
}

fn culprits(intent: &Intent<'_>, number: usize, lost: Vec<Lost>) -> End {
    let piece = &intent.pieces[number];
    let culprit = |lost| Culprit {
        lost,
        file: intent.migration.file_name(),
        line: Some(piece.line),
        statement: piece.text.to_owned(),
    };
    End::Lost(lost.into_iter().map(culprit).collect())
}

#[cfg(test)]
mod tests {
    use super::{Count, Seen};
    use crate::migrate::preserve::{Tables, What, loss};
    use crate::model::{Names, Shape};

    #[test]
    fn a_row_that_went_does_not_hide_one_that_came() {
        let table = Shape::default();
        let before = Tables {
            shapes: std::slice::from_ref(&table),
            names: Names::SQLITE,
        };
        let count = |rows, keys| Count {
            rows,
            keys: Some(keys),
        };
        let seen = |copied| Seen {
            table: String::new(),
            rows: String::new(),
            count: count(3, 7),
            lost: loss(&table, None, (What::RowsGone, 0, 3), before),
            copied,
            aside: None,
        };
        let lost = |copied, now| seen(copied).lost(now).rows;
        assert_eq!(lost(true, count(3, 7)), 0);
        assert_eq!(lost(true, count(3, 8)), 1);
        assert_eq!(lost(true, count(1, 8)), 2);
        assert_eq!(lost(false, count(5, 8)), 2);
        assert_eq!(lost(false, count(2, 8)), 0);
    }
}
