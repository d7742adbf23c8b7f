//! Rows that came after the rehearsal: what a statement would do to them is examined before it is
//! committed.

mod altered;
mod aside;
mod fallout;
mod prepared;
mod shut;
mod taken;

pub(super) use aside::left_aside;
pub(super) use fallout::Fallout;
pub(super) use prepared::Prepared;
pub(super) use shut::Shut;

use crate::db::Session;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{Culprit, End, Failure, origin};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Matter, Tables, What, loss};
use crate::model::{Cell, Shape};
use crate::sql::{Conflict, Facts, Kind, Name};
use aside::Aside;
use std::collections::BTreeMap;

/// What others can do with the tables of a statement while they are examined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Others {
    /// Write them.
    Write,
    /// Wait for the locks of the file.
    Wait,
}

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
    sql: String,
    /// What it gave: numbers of what goes; or of rows, and a sum of their keys.
    counts: Vec<u64>,
    /// What goes with the statement: one for each number, or for the rows.
    lost: Vec<Lost>,
    /// Whether another table has what stays, so that only one more look says what does.
    copied: bool,
    aside: Option<Aside>,
}

impl Seen {
    /// What goes where this is there now.
    fn lost(&self, now: &[u64]) -> Vec<Lost> {
        let counts = self.counts.iter().zip(now).zip(&self.lost);
        let with_more = counts.map(|((were, are), lost)| {
            let more = if self.copied {
                are.abs_diff(*were).max(u64::from(now != self.counts))
            } else {
                are.saturating_sub(*were)
            };
            plus(lost, more)
        });
        with_more.collect()
    }
}

/// The same of more rows.
fn plus(lost: &Lost, more: u64) -> Lost {
    Lost {
        rows: lost.rows.saturating_add(more),
        before: lost.before.saturating_add(more),
        ..lost.clone()
    }
}

/// What the statements of a file took of each table and column, by their numbers: a limit is that of
/// all together.
#[derive(Debug, Default)]
pub(super) struct Late(BTreeMap<usize, Vec<(String, Option<String>, u64)>>);

impl Late {
    /// What the statements before this one took, of what it takes itself.
    fn before(&self, number: usize, lost: &Lost) -> u64 {
        let earlier = self.0.range(..number).flat_map(|(_, took)| took);
        let of_it =
            earlier.filter(|(table, column, _)| (table, column) == (&lost.table, &lost.column));
        of_it.map(|(.., rows)| rows).sum()
    }

    /// What this one is known to have taken already.
    fn by(&self, number: usize, lost: &Lost) -> u64 {
        let took = self.0.get(&number).into_iter().flatten();
        let of_it =
            took.filter(|(table, column, _)| (table, column) == (&lost.table, &lost.column));
        of_it.map(|(.., rows)| rows).sum()
    }

    /// Notes what a statement took.
    fn note<'a>(&mut self, number: usize, took: impl Iterator<Item = (&'a Lost, u64)>) {
        let took = took.map(|(lost, rows)| (lost.table.clone(), lost.column.clone(), rows));
        self.0.entry(number).or_default().extend(took);
    }

    /// A statement runs, maybe once more: what it and those behind it took was taken back.
    pub(super) fn forget(&mut self, number: usize) {
        self.0.split_off(&number);
    }
}

/// How much of the same loss the rehearsal showed.
fn known(rehearsed: &[Lost], lost: &Lost) -> u64 {
    let same = rehearsed.iter().filter(|it| {
        (&it.table, &it.column) == (&lost.table, &lost.column)
            && it.by.is_none()
            && it.what.matter() == Matter::Rows
    });
    let rows = same.map(|it| it.rows);
    if lost.column.is_some() {
        // A value may change in two stages of a file.
        rows.max().unwrap_or_default()
    } else {
        rows.sum()
    }
}

/// What goes with DDL, with what goes by the other statements of the file; and how much of it the
/// rehearsal did not have, which had so much for this statement, if that is known.
fn with_others(lost: &Lost, then: Option<u64>, (known, late): (u64, u64)) -> (Lost, u64) {
    if lost.rows == 0 {
        return (lost.clone(), 0);
    }
    let more = lost.rows.saturating_sub(then.unwrap_or(known));
    let all = match then {
        Some(_) => lost.rows.max(known.saturating_add(more)),
        None => lost.rows,
    };
    (plus(lost, all - lost.rows + late), more)
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
    (rehearsed, facts): (&Rehearsed, &Facts),
    late: &mut Late,
) -> anyhow::Result<Option<End>> {
    let now = session.changed().last().copied();
    let then = rehearsed.rows.get(number).copied().flatten();
    let does = does(&facts.kind);
    let (Some(then), Some(now), Some(table)) = (then, now, &facts.table) else {
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
    let all: Vec<_> = lost
        .iter()
        .map(|it| plus(it, late.before(number, it)))
        .collect();
    let refused = refused((intent, rehearsed), &all, before);
    if !refused.is_empty() {
        return Ok(Some(culprits(intent, number, refused)));
    }
    late.note(number, lost.iter().map(|it| (it, now - then)));
    let is_new = does == Does::Change && lost.is_empty() && then == 0;
    Ok(is_new.then(|| {
        End::Failed(Failure {
            file: intent.migration.file_name(),
            line: Some(intent.pieces[number].line),
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
    let with_more = |lost: &Lost| plus(lost, more);
    match does {
        Does::Change => of_table
            .filter(|it| it.column.is_some())
            .map(with_more)
            .collect(),
        Does::Delete => {
            let gone = loss(shape, None, (What::RowsGone, 0, 0), before);
            vec![plus(&gone, known(lost, &gone).saturating_add(more))]
        }
        Does::Nothing => Vec::new(),
    }
}

/// Asks by the connection that sees the tables: under the locks of a file only that of its
/// statements.
fn asked(session: &mut dyn Session, sql: &str, others: Others) -> anyhow::Result<Vec<Vec<Cell>>> {
    match others {
        Others::Write => session.rows(sql),
        Others::Wait => session.seen(sql),
    }
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
    use super::{Late, Seen, known, with_others};
    use crate::migrate::preserve::{Lost, Tables, What, loss};
    use crate::model::{Names, Shape};

    fn rows_gone(rows: u64) -> Lost {
        let table = Shape::default();
        let before = Tables {
            shapes: std::slice::from_ref(&table),
            names: Names::SQLITE,
        };
        loss(&table, None, (What::RowsGone, rows, 3), before)
    }

    fn lost(copied: bool, (counts, now): (&[u64], &[u64])) -> Vec<u64> {
        let seen = Seen {
            table: String::new(),
            sql: String::new(),
            counts: counts.to_vec(),
            lost: counts.iter().map(|_| rows_gone(0)).collect(),
            copied,
            aside: None,
        };
        seen.lost(now).iter().map(|it| it.rows).collect()
    }

    #[test]
    fn a_row_that_went_does_not_hide_one_that_came() {
        let rows = |copied, now: &[u64]| lost(copied, (&[3, 7], now))[0];
        assert_eq!(rows(true, &[3, 7]), 0);
        assert_eq!(rows(true, &[3, 8]), 1);
        assert_eq!(rows(true, &[1, 8]), 2);
        assert_eq!(rows(false, &[5, 8]), 2);
        assert_eq!(rows(false, &[2, 8]), 0);
    }

    #[test]
    fn of_each_column_the_values_that_came_go() {
        assert_eq!(lost(false, (&[3, 7], &[4, 7])), [1, 0]);
        assert_eq!(lost(false, (&[3, 7], &[2, 9])), [0, 2]);
    }

    #[test]
    fn what_ddl_takes_counts_with_what_others_took() {
        let all = |rows, then, known| {
            let (lost, more) = with_others(&rows_gone(rows), then, known);
            (lost.rows, more)
        };
        // Of three that went one went before it, and one came.
        assert_eq!(all(3, Some(2), (3, 0)), (4, 1));
        assert_eq!(all(2, Some(2), (3, 0)), (3, 0));
        assert_eq!(all(1, Some(2), (3, 1)), (4, 0));
        // Rows of the file's own were among them.
        assert_eq!(all(5, Some(5), (0, 0)), (5, 0));
        assert_eq!(all(3, None, (2, 1)), (4, 1));
        assert_eq!(all(0, Some(0), (3, 1)), (0, 0));
    }

    #[test]
    fn what_stages_lost_is_known_together() {
        let gone = [rows_gone(2), rows_gone(3)];
        assert_eq!(known(&gone, &rows_gone(0)), 5);
        let of_column = |rows| Lost {
            column: Some("body".to_owned()),
            ..rows_gone(rows)
        };
        assert_eq!(known(&[of_column(2), of_column(3)], &of_column(0)), 3);
    }

    #[test]
    fn what_statements_took_counts_together_and_once() {
        let mut late = Late::default();
        let took = rows_gone(1);
        late.note(2, [(&took, 1)].into_iter());
        late.note(4, [(&took, 3)].into_iter());
        assert_eq!([2, 3, 5].map(|it| late.before(it, &took)), [0, 1, 4]);
        late.forget(4);
        assert_eq!(late.before(5, &took), 1);
        let column = Lost {
            column: Some("body".to_owned()),
            ..took
        };
        assert_eq!(late.before(5, &column), 0);
    }
}
