//! Rows that go with those that a statement deletes, and values that it overwrites, of which the
//! rehearsal had not all.

use super::{Late, Others, culprits, known, loss, plus, refused, were};
use crate::db::Session;
use crate::migrate::apply::counting::{Kept, Since};
use crate::migrate::apply::fallen::{Child, any_of, children, is_of_locks, unlocked};
use crate::migrate::apply::limits::has_limits;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{End, Failure};
use crate::migrate::intent::Intent;
use crate::migrate::preserve::{Renames, Tables, What};
use crate::model::Shape;
use crate::sql::Facts;

/// What a statement may take besides the rows that it names.
pub(in super::super) struct Fallout {
    /// The tables whose rows go, or lose values, with the rows that it deletes; each with what it
    /// was when the file began.
    children: Vec<(Shape, Child)>,
    /// The values of which it changed none in the rehearsal.
    kept: Vec<Kept>,
}

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
                    let failure = unlocked((intent, number), &table);
                    return Ok(Err(End::Failed(failure)));
                }
                Err(error) => return Err(error),
            }
        }
        // Where it met no row on the copy, its own count says whether it meets one here: no sum is
        // needed, for which every row would be locked. That is by the columns' names of before.
        let met = rehearsed.rows.get(number).copied().flatten();
        let is_counted = met == Some(0) && done == Renames::default();
        let kept = match rehearsed.fallen.kept.get(&number) {
            Some(known) if !is_counted => {
                let began = (before, rehearsed.first);
                let mut kept = Kept::look(session, (intent, number), facts, began)?;
                kept.retain(|it| known.contains(&it.sql));
                kept
            }
            Some(_) | None => Vec::new(),
        };
        Ok(Ok(Self {
            children: found,
            kept,
        }))
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
        for (was, child) in &self.children {
            let then = rehearsed.fallen.gone.get(&number);
            let then = then.and_then(|it| it.get(&child.table));
            let gone = child.gone(session)?;
            let rows = beyond(&gone, then.map_or(&[][..], Vec::as_slice));
            let columns = child.columns.iter().map(|it| Some(it.as_str()));
            let counts = gone.iter().zip(rows);
            for (column, (gone, rows)) in std::iter::once(None).chain(columns).zip(counts) {
                let what = match column {
                    Some(_) => What::ValuesGone,
                    None => What::RowsGone,
                };
                let lost = loss(was, column, (what, rows, rows), before);
                if has_limits(intent) {
                    let gone = u64::try_from(*gone).unwrap_or_default();
                    let most = known(&rehearsed.evidence.lost, &lost).saturating_add(rows);
                    late.taken.note(number, &lost, gone.min(most));
                }
                if rows == 0 {
                    continue;
                }
                // Where nothing was counted on the copy, it may be what that lost.
                let known = then.map_or(0, |_| known(&rehearsed.evidence.lost, &lost));
                all.push(plus(&lost, known + late.before(number, &lost)));
                more.push(lost);
            }
        }
        let refused = refused((intent, rehearsed), &all, before);
        if !refused.is_empty() {
            return Ok(Some(culprits(intent, number, refused)));
        }
        // Of the rows that the statement itself names, its own count is noted already.
        let noted: Vec<_> = more.iter().map(|it| late.by(number, it)).collect();
        let rows = more.iter().zip(noted);
        late.note(
            number,
            rows.map(|(it, noted)| (it, it.rows.saturating_sub(noted))),
        );
        self.overwrites(session, (intent, number))
    }

    /// Whether values were overwritten that came since.
    fn overwrites(
        &self,
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
    ) -> anyhow::Result<Option<End>> {
        for kept in &self.kept {
            let since = kept.since(session)?;
            if since == Since::Same {
                continue;
            }
            return Ok(Some(End::Failed(Failure {
                file: intent.migration.file_name(),
                line: Some(intent.pieces[number].line),
                message: format!(
                    "it would overwrite values of {} that were written after the rehearsal, where it changed none",
                    kept.columns.join(", ")
                ),
                help: "run `chatctl migrate` again: it rehearses with these values".into(),
                busy: since == Since::Rows,
            })));
        }
        Ok(None)
    }
}

/// What went besides what the rehearsal took, which may have been the file's own or be put there
/// again: rows, and values of rows that stay.
fn beyond(gone: &[i64], then: &[i64]) -> Vec<u64> {
    let values_of_rows = |counts: &[i64], at: usize| {
        let count = counts.get(at).copied().unwrap_or_default();
        let rows = counts.first().copied().unwrap_or_default();
        if at > 0 && rows > 0 {
            // Where rows go, their values go with them.
            (count - rows).max(0)
        } else {
            count
        }
    };
    let more = |at| values_of_rows(gone, at) - values_of_rows(then, at);
    (0..gone.len())
        .map(|at| u64::try_from(more(at)).unwrap_or_default())
        .collect()
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
        // A REPLACE puts rows there, too.
        assert_eq!(beyond(&[-4], &[-5]), [1]);
    }
}
