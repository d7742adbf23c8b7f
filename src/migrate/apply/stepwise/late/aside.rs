//! A table that gets another name while one takes its own: rows that came meanwhile are where no
//! application reads them.

use super::{Others, asked};
use crate::db::Session;
use crate::migrate::apply::counting::{numbers, sum};
use crate::migrate::apply::{Failure, origin};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Renames, Tables, What};
use crate::model::{Names, Shape, Successor};

/// A table that another one takes the name of.
#[derive(Debug, Clone)]
pub(super) struct Aside {
    was: Shape,
    /// As it is called then.
    pub(super) old: Shape,
    /// What has its name then.
    new: Successor,
    /// A sum of its rows, which the other one had as well.
    sum: Vec<u64>,
}

impl Aside {
    /// As both are called behind the statement that gives these names.
    pub(super) fn of(
        (was, shape, sum): (&Shape, &Shape, Vec<u64>),
        successor: Successor,
        (now, names): (&[Shape], Names),
        step: &Renames,
    ) -> Self {
        let called = |it: &Shape| Shape {
            name: step.present(it, names).table,
            ..step.present(it, names)
        };
        let new = now.iter().find(|it| it.name == successor.table);
        let table = new.map_or(successor.table.clone(), |it| called(it).name);
        Self {
            was: was.clone(),
            old: called(shape),
            new: Successor { table, ..successor },
            sum,
        }
    }

    /// Whether it is as it was when the other one had all of it.
    pub(super) fn is_as_it_was(&self, session: &mut dyn Session) -> anyhow::Result<bool> {
        Ok(summed(session, &self.old, Others::Write)? == self.sum)
    }

    /// For the statement that drops it: users change the rows of the other one until then.
    pub(super) fn left(&self) -> (String, Vec<u64>) {
        (self.old.name.clone(), self.sum.clone())
    }

    /// Its rows that the other one has not.
    pub(super) fn lacking(
        &self,
        session: &mut dyn Session,
        before: Tables<'_>,
    ) -> anyhow::Result<Vec<Lost>> {
        let Some(compared) = session.compare_with(&self.old, &self.new)? else {
            return Ok(Vec::new());
        };
        let mut lost = preserve::lost(&self.was, Some(&self.new), &compared, before);
        lost.retain(|it| it.what == What::RowsGone);
        Ok(lost)
    }

    /// What to say of them.
    pub(super) fn failure(
        &self,
        session: &dyn Session,
        (intent, number): (&Intent<'_>, usize),
        lost: &Lost,
    ) -> Failure {
        let (old, new) = (
            session.quote(&self.old.name),
            session.quote(&self.new.table),
        );
        Failure {
            file: intent.migration.file_name(),
            line: Some(intent.pieces[number].line),
            message: format!(
                "{lost}: they were added while statements ran, and exist only in `{}`",
                self.old.name
            ),
            help: format!(
                "copy them: INSERT INTO {new} SELECT … FROM {old} …; then run `chatctl migrate` again: it \
                    continues after this statement. If users have deleted them since, acknowledge that in the \
                    file: -- chatctl: allow-loss {} rows<={} reason=\"…\"",
                lost.subject, lost.rows
            ),
            busy: false,
        }
    }
}

/// The number of rows of a table, and sums of all their values.
pub(super) fn summed(
    session: &mut dyn Session,
    shape: &Shape,
    others: Others,
) -> anyhow::Result<Vec<u64>> {
    let columns: Vec<_> = shape.columns.iter().map(|it| it.name.as_str()).collect();
    let sql = sum(session, shape, &columns);
    numbers(&asked(session, &sql, others)?)
}

/// The tables that there will be besides one, under the names that they will have.
pub(super) fn later(now: &[Shape], but: &Shape, ahead: &Renames, names: Names) -> Vec<Shape> {
    now.iter()
        .filter(|other| other.name != but.name)
        .map(|other| Shape {
            table: ahead.present(other, names).table,
            ..other.clone()
        })
        .collect()
}

/// What is still where a statement left it that an earlier run came to, after rows had come while it
/// ran.
pub(in super::super) fn left_aside(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    began: &str,
) -> anyhow::Result<Option<Failure>> {
    let (now, names) = (session.catalog()?, session.names());
    let tables = Tables {
        shapes: &now,
        names,
    };
    let done = intent.renames_of(0..number + 1);
    let left = origin::left(began, &done, tables).unwrap_or_default();
    let shapes: Vec<_> = left
        .iter()
        .map(|(shape, home)| Shape {
            name: home.clone(),
            table: home.clone(),
            ..shape.clone()
        })
        .collect();
    let before = Tables {
        shapes: &shapes,
        names,
    };
    let ahead = intent.renames_of(number + 1..intent.pieces.len());
    for ((old, _), was) in left.iter().zip(&shapes) {
        if names.tables.same(&old.table, &was.table) {
            continue;
        }
        let after = later(&now, old, &ahead, names);
        let after = Tables {
            shapes: &after,
            names,
        };
        let Some(new) = preserve::successor(was, before, after, &Renames::default()) else {
            continue;
        };
        let aside = Aside {
            was: was.clone(),
            old: old.clone(),
            new,
            sum: Vec::new(),
        };
        let lost = aside.lacking(session, before)?;
        let lost = preserve::unacknowledged(&lost, &intent.allowed, before);
        if let Some(lost) = lost.first() {
            return Ok(Some(aside.failure(session, (intent, number), lost)));
        }
    }
    Ok(None)
}
