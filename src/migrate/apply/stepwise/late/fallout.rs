//! Rows of other tables that go with those of a statement, of which the rehearsal had not all.

use super::{Late, Others, culprits, loss, plus, refused, were};
use crate::db::{Failed, Session, Why};
use crate::migrate::apply::fallen::{Child, children};
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{End, Failure};
use crate::migrate::intent::Intent;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::Shape;
use crate::sql::Facts;

/// The tables whose rows go, or lose values, with the rows that a statement deletes; each with what
/// it was when the file began.
pub(in super::super) struct Fallout(Vec<(Shape, Child)>);

impl Fallout {
    /// Counts them, and keeps others from writing them until the statement is committed.
    pub(in super::super) fn look(
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
        (rehearsed, facts): (&Rehearsed, &Facts),
        others: Others,
    ) -> anyhow::Result<Result<Self, End>> {
        let shapes = were(rehearsed);
        let names = session.names();
        let before = Tables {
            shapes: &shapes,
            names,
        };
        let done = intent.renames_of(rehearsed.first..number);
        let mut found = Vec::new();
        for (table, columns) in children(session, facts)? {
            // What the run itself made is its own.
            let is_it = |it: &&Shape| names.tables.same(&done.present(it, names).table, &table);
            let Some(was) = shapes.iter().find(is_it) else {
                continue;
            };
            let any = any_of(was, columns.iter(), before);
            if refused((intent, rehearsed), &any, before).is_empty() {
                continue;
            }
            match Child::of(session, (table.clone(), columns)) {
                Ok(child) => found.push((was.clone(), child)),
                Err(error) if others == Others::Wait && is_of_locks(&error) => {
                    return Ok(Err(unlocked((intent, number), &table)));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(Ok(Self(found)))
    }

    /// What is gone now beyond what is acknowledged.
    pub(in super::super) fn check(
        &self,
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
        rehearsed: &Rehearsed,
        late: &mut Late,
    ) -> anyhow::Result<Option<End>> {
        let before = were(rehearsed);
        let before = Tables {
            shapes: &before,
            names: session.names(),
        };
        let (mut more, mut all) = (Vec::new(), Vec::new());
        for (was, child) in &self.0 {
            let then = rehearsed.fallen.get(&number);
            let then = then.and_then(|it| it.get(&child.table));
            let gone = child.gone(session)?;
            let rows = beyond(&gone, then.map_or(&[][..], Vec::as_slice));
            let columns = child.columns.iter().map(|it| Some(it.as_str()));
            for (column, rows) in std::iter::once(None).chain(columns).zip(rows) {
                let what = match column {
                    Some(_) => What::ValuesGone,
                    None => What::RowsGone,
                };
                let lost = loss(was, column, (what, rows, rows), before);
                if rows == 0 {
                    continue;
                }
                // Where nothing was counted on the copy, it may be what that lost.
                let known = then.map_or(0, |_| known(&lost, rehearsed));
                all.push(plus(&lost, known + late.before(number, &lost)));
                more.push(lost);
            }
        }
        let refused = refused((intent, rehearsed), &all, before);
        if !refused.is_empty() {
            return Ok(Some(culprits(intent, number, refused)));
        }
        late.note(number, more.iter().map(|it| (it, it.rows)));
        Ok(None)
    }
}

/// What went besides what the rehearsal took, which may have been the file's own or be put there
/// again: rows, and values of rows that stay.
fn beyond(gone: &[u64], then: &[u64]) -> Vec<u64> {
    let values_of_rows = |counts: &[u64], at: usize| {
        let count = counts.get(at).copied().unwrap_or_default();
        let rows = counts.first().copied().unwrap_or_default();
        // Where rows go, their values go with them.
        count.saturating_sub(if at > 0 { rows } else { 0 })
    };
    (0..gone.len())
        .map(|at| values_of_rows(gone, at).saturating_sub(values_of_rows(then, at)))
        .collect()
}

/// How much of the same loss the rehearsal showed.
fn known(lost: &Lost, rehearsed: &Rehearsed) -> u64 {
    let same =
        |it: &&Lost| (&it.table, &it.column) == (&lost.table, &lost.column) && it.by.is_none();
    let known = rehearsed.evidence.lost.iter().rev().find(same);
    known.map_or(0, |it| it.rows)
}

/// Everything that could go from a table with the rows of another one.
fn any_of<'a>(
    was: &Shape,
    columns: impl Iterator<Item = &'a String>,
    before: Tables<'_>,
) -> Vec<Lost> {
    let rows = loss(was, None, (What::RowsGone, u64::MAX, u64::MAX), before);
    let values = columns.map(|column| {
        let all = (What::ValuesGone, u64::MAX, u64::MAX);
        loss(was, Some(column), all, before)
    });
    std::iter::once(rows).chain(values).collect()
}

fn is_of_locks(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<Failed>()
        .is_some_and(|failed| failed.why == Why::Locks)
}

fn unlocked((intent, number): (&Intent<'_>, usize), table: &str) -> End {
    End::Failed(Failure {
        file: intent.migration.file_name(),
        line: Some(intent.pieces[number].line),
        message: format!(
            "rows of `{table}` may go with those that it deletes, and the file does not lock that table, so that nobody can count them"
        ),
        help: format!("add `{table}` WRITE to LOCK TABLES in the file"),
        busy: false,
    })
}

#[cfg(test)]
mod tests {
    use super::beyond;

    #[test]
    fn only_what_the_rehearsal_did_not_take_is_more() {
        assert_eq!(beyond(&[11, 11, 0], &[10, 10, 0]), [1, 0, 0]);
        assert_eq!(beyond(&[0, 3, 1], &[0, 1, 1]), [0, 2, 0]);
        assert_eq!(beyond(&[2, 3, 2], &[2, 2, 2]), [0, 1, 0]);
        assert_eq!(beyond(&[1, 1], &[]), [1, 0]);
        assert_eq!(beyond(&[1], &[4]), [0]);
    }
}
