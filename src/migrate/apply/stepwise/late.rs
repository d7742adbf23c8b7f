//! Rows that came after the rehearsal: what a statement would do to them is examined before it is
//! committed.

mod altered;
mod aside;
mod fallout;
mod shut;
mod taken;

pub(super) use aside::left_aside;
pub(super) use fallout::Fallout;
pub(super) use shut::Shut;

use crate::db::Session;
use crate::migrate::apply::counting::sets;
use crate::migrate::apply::limits::{Taken, has_limits};
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
pub(super) struct Late {
    /// Besides what they did in the rehearsal.
    more: BTreeMap<usize, Vec<(String, Option<String>, u64)>>,
    /// All of it, for a run that goes on where this one stops.
    pub(super) taken: Taken,
    /// The tables that another one replaced, with the number of the statement and the sum of their
    /// rows, all of which the other one had.
    asides: BTreeMap<String, (usize, Vec<u64>)>,
}

impl Late {
    /// What the statements before this one took, of what it takes itself.
    fn before(&self, number: usize, lost: &Lost) -> u64 {
        let earlier = self.more.range(..number).flat_map(|(_, took)| took);
        let of_it =
            earlier.filter(|(table, column, _)| (table, column) == (&lost.table, &lost.column));
        of_it.map(|(.., rows)| rows).sum()
    }

    /// What this one is known to have taken already.
    fn by(&self, number: usize, lost: &Lost) -> u64 {
        let took = self.more.get(&number).into_iter().flatten();
        let of_it =
            took.filter(|(table, column, _)| (table, column) == (&lost.table, &lost.column));
        of_it.map(|(.., rows)| rows).sum()
    }

    /// Notes what a statement took.
    fn note<'a>(&mut self, number: usize, took: impl Iterator<Item = (&'a Lost, u64)>) {
        let took = took.map(|(lost, rows)| (lost.table.clone(), lost.column.clone(), rows));
        self.more.entry(number).or_default().extend(took);
    }

    fn puts_aside(&mut self, number: usize, aside: &Aside) {
        let (table, sum) = aside.left();
        self.asides.insert(table, (number, sum));
    }

    /// A statement runs, maybe once more: what it and those behind it took was taken back.
    pub(super) fn forget(&mut self, number: usize) {
        self.more.split_off(&number);
        self.asides.retain(|_, (at, _)| *at < number);
        self.taken.forget(number);
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

/// What the rehearsal had right before a statement.
#[derive(Debug, Clone, Copy)]
struct Then {
    rows: u64,
    /// Whether the same rows are there now, as far as they are told apart.
    is_same: bool,
}

/// What goes with DDL, with what goes by the other statements of the file; and how much of it the
/// rehearsal did not have, which had so much for this statement, if that is known. What it put back
/// behind it is not lost.
fn with_others(lost: &Lost, then: Option<Then>, (known, late): (u64, u64)) -> (Lost, u64) {
    if lost.rows == 0 {
        return (lost.clone(), 0);
    }
    let (all, more) = match then {
        Some(Then { rows, is_same }) => {
            let more = lost.rows.saturating_sub(rows);
            // One that went would hide one that came, which nobody puts back.
            let hides = !is_same && known < rows;
            let more = more.max(u64::from(hides));
            (known.saturating_add(more), more)
        }
        None => (lost.rows, lost.rows.saturating_sub(known)),
    };
    let all = all.saturating_add(late);
    let lost = Lost {
        rows: all,
        before: lost.before.max(all),
        ..lost.clone()
    };
    (lost, more)
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
    let (Some(then), Some(now)) = (then, now) else {
        return Ok(None);
    };
    let counts = does == Does::Delete && has_limits(intent);
    if does == Does::Nothing || now <= then && !counts {
        return Ok(None);
    }
    let before = were(rehearsed);
    let before = Tables {
        shapes: &before,
        names: session.names(),
    };
    let came = |table: &str| {
        End::Failed(Failure {
            file: intent.migration.file_name(),
            line: Some(intent.pieces[number].line),
            message: format!(
                "it would change {} rows of `{table}` that were added after the rehearsal, where it changed {then}",
                now - then
            ),
            help: "run `chatctl migrate` again: it rehearses with these rows".into(),
            busy: false,
        })
    };
    // Of several tables the server says one number, which may be that of any.
    for table in facts.tables() {
        let Some((shape, _)) = older(session, (intent, number), rehearsed, table)? else {
            if now > then && is_view(session, table)? {
                return Ok(Some(came(&table.name)));
            }
            continue;
        };
        if counts {
            // The file may delete rows of its own as well.
            let gone = loss(shape, None, (What::RowsGone, 0, 0), before);
            let known = known(&rehearsed.evidence.lost, &gone);
            let most = known.saturating_add(now.saturating_sub(then));
            late.taken.note(number, &gone, now.min(most));
        }
        if now <= then {
            continue;
        }
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
        if does == Does::Change
            && (overwrites(
                (intent, number),
                (rehearsed, facts),
                (shape, &lost, now - then),
                before,
            ))
        {
            return Ok(Some(came(&shape.name)));
        }
    }
    Ok(None)
}

/// Whether a statement may overwrite values of a column of which the rehearsal lost none: that says
/// nothing of rows that it did not have.
fn overwrites(
    (intent, number): (&Intent<'_>, usize),
    (rehearsed, facts): (&Rehearsed, &Facts),
    (shape, lost, rows): (&Shape, &[Lost], u64),
    before: Tables<'_>,
) -> bool {
    let set = sets((facts, intent.pieces[number].text), (shape, before.names));
    let any = set.into_iter().map(|column| {
        let all = (What::ValuesChanged, rows, rows);
        loss(shape, Some(column), all, before)
    });
    let is_seen = |it: &Lost| lost.iter().any(|seen| seen.column == it.column);
    let unseen: Vec<_> = any.filter(|it| !is_seen(it)).collect();
    !refused((intent, rehearsed), &unseen, before).is_empty()
}

/// Whether rows of tables that a statement does not name are behind its name.
fn is_view(session: &mut dyn Session, table: &Name) -> anyhow::Result<bool> {
    let name = table.name.replace('\\', "\\\\").replace('\'', "''");
    let found = session.rows(&format!(
        "SELECT 1 FROM information_schema.views WHERE table_schema = database() AND table_name = '{name}'"
    ))?;
    Ok(!found.is_empty())
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
pub(super) fn asked(
    session: &mut dyn Session,
    sql: &str,
    others: Others,
) -> anyhow::Result<Vec<Vec<Cell>>> {
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
    use super::{Late, Seen, Then, known, with_others};
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
        let all = |rows, then: Option<(u64, bool)>, known| {
            let then = then.map(|(rows, is_same)| Then { rows, is_same });
            let (lost, more) = with_others(&rows_gone(rows), then, known);
            (lost.rows, more)
        };
        // Of three that went one went before it, and one came.
        assert_eq!(all(3, Some((2, false)), (3, 0)), (4, 1));
        assert_eq!(all(2, Some((2, true)), (3, 0)), (3, 0));
        assert_eq!(all(1, Some((2, false)), (3, 1)), (4, 0));
        // They were put back, or were the file's own; one of them is another one now.
        assert_eq!(all(5, Some((5, true)), (0, 0)), (0, 0));
        assert_eq!(all(5, Some((5, false)), (0, 0)), (1, 1));
        assert_eq!(all(7, Some((5, false)), (0, 0)), (2, 2));
        assert_eq!(all(3, None, (2, 1)), (4, 1));
        assert_eq!(all(0, Some((0, true)), (3, 1)), (0, 0));
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
