//! Tables that a statement drops, or renames while another table takes their name.

use super::aside::{Aside, later};
use super::{Found, Late, Others, Seen, Then, asked, culprits, known, refused, with_others};
use crate::db::{Failed, Session, Why};
use crate::migrate::apply::counting::{numbers, taken, which};
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{End, Failure, origin};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Matter, Renames, Tables, What, loss};
use crate::model::{Compared, ComparedColumn, Shape, ShapeColumn, Successor};
use crate::sql::Facts;

/// What a statement drops, or renames while another table takes its name, was examined in the
/// database: what it would take that the rehearsal did not have is rows that came since, which the
/// table in its place has no copy of.
pub(super) fn dropped(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    (rehearsed, facts): (&Rehearsed, &Facts),
    (others, late): (Others, &mut Late),
) -> anyhow::Result<Result<Found, End>> {
    let Some((gone, stays)) = taken(facts) else {
        return Ok(Ok(Found::default()));
    };
    let (now, names) = (session.catalog()?, session.names());
    let done = intent.renames_of(rehearsed.first..number);
    let tables = Tables {
        shapes: &now,
        names,
    };
    let before = rehearsed.before.iter();
    let left: Vec<_> = before
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
    let mut look = Look {
        late,
        intent,
        number,
        rehearsed,
        others,
        stays,
        now: &now,
        before: Tables {
            shapes: &shapes,
            names,
        },
    };
    let mut seen = Vec::new();
    for table in gone {
        let is_it = |shape: &Shape| names.tables.same(&shape.table, &table.name);
        let Some((shape, start, _)) = left.iter().find(|(shape, ..)| is_it(shape)) else {
            continue;
        };
        match look.at(session, shape, start)? {
            Ok(found) => seen.extend(found),
            Err(end) => return Ok(Err(end)),
        }
    }
    Ok(Ok(Found {
        before: shapes,
        seen,
    }))
}

/// A statement that takes tables, before it.
struct Look<'a> {
    /// What statements took besides what they did in the rehearsal.
    late: &'a mut Late,
    intent: &'a Intent<'a>,
    number: usize,
    rehearsed: &'a Rehearsed,
    others: Others,
    /// Whether the tables stay under another name.
    stays: bool,
    now: &'a [Shape],
    /// The tables of before the run, as acknowledgements name them.
    before: Tables<'a>,
}

impl Look<'_> {
    /// What one table has, as it is now and as it was when the file began.
    fn at(
        &mut self,
        session: &mut dyn Session,
        shape: &Shape,
        start: &Shape,
    ) -> anyhow::Result<Result<Option<Seen>, End>> {
        let (intent, number, before) = (self.intent, self.number, self.before);
        let Some(was) = before.called(&start.name) else {
            return Ok(Ok(None));
        };
        let successor = self.successor(was, shape);
        if self.stays && successor.is_none() {
            return Ok(Ok(None));
        }
        // Before the comparison: what comes between the two makes another count.
        let sql = which(session, shape, &shape.name);
        let counts = numbers(&asked(session, &sql, self.others)?)?;
        let compared = match (&successor, self.others) {
            (Some(successor), Others::Write) => session.compare_with(shape, successor)?,
            (Some(successor), Others::Wait) => match by_keys(session, shape, successor) {
                Ok(compared) => Some(compared),
                Err(error) => return Ok(Err(self.unlocked((shape, successor), error)?)),
            },
            (None, _) => None,
        };
        let compared = compared.unwrap_or_else(|| Compared {
            before: counts[0],
            ..Compared::default()
        });
        // What the rehearsal had is counted of a table that nothing takes the place of.
        let then = self.rehearsed.fallen.there(number, &sql);
        let then = then.filter(|_| successor.is_none()).map(|then| Then {
            rows: then[0],
            is_same: *then == counts[..],
        });
        let with_others = |lost: &Lost| {
            let known = known(&self.rehearsed.evidence.lost, lost);
            let of_rows = lost.column.is_none() && lost.what.matter() == Matter::Rows;
            let late = self.late.before(number, lost);
            with_others(lost, then.filter(|_| of_rows), (known, late))
        };
        let lost = preserve::lost(was, successor.as_ref(), &compared, before);
        let lost = lost.iter().map(|it| with_others(it).0);
        let lost: Vec<_> = lost.filter(|it| it.rows > 0).collect();
        let refused = refused((intent, self.rehearsed), &lost, before);
        if !refused.is_empty() {
            return Ok(Err(culprits(intent, number, refused)));
        }
        let gone = if successor.is_some() {
            (What::RowsGone, compared.missing, compared.before)
        } else {
            (What::TableGone, compared.before, compared.before)
        };
        let taken = loss(was, None, gone, before);
        let (gone, more) = with_others(&taken);
        self.late.note(number, std::iter::once((&taken, more)));
        Ok(Ok(Some(Seen {
            table: shape.name.clone(),
            sql,
            counts,
            copied: successor.is_some() || then.is_some_and(|then| gone.rows < then.rows),
            lost: vec![gone],
            aside: successor.filter(|_| self.stays).map(|successor| {
                let step = intent.renames_of(number..number + 1);
                Aside::of((was, shape), successor, (self.now, before.names), &step)
            }),
        })))
    }

    /// The table that will have its name.
    fn successor(&self, was: &Shape, shape: &Shape) -> Option<Successor> {
        let names = self.before.names;
        let start = if self.stays {
            self.number
        } else {
            self.number + 1
        };
        let ahead = self.intent.renames_of(start..self.intent.pieces.len());
        let after = later(self.now, shape, &ahead, names);
        let after = Tables {
            shapes: &after,
            names,
        };
        preserve::successor(was, self.before, after, &Renames::default())
    }

    /// What to say where the file locks one of two tables only that are to be compared.
    fn unlocked(
        &self,
        (shape, successor): (&Shape, &Successor),
        error: anyhow::Error,
    ) -> anyhow::Result<End> {
        let failed: Failed = error.downcast()?;
        if failed.why != Why::Locks {
            return Err(failed.into());
        }
        let (old, new) = (&shape.name, &successor.table);
        Ok(End::Failed(Failure {
            file: self.intent.migration.file_name(),
            line: Some(self.intent.pieces[self.number].line),
            message: format!(
                "under the locks of the file chatctl cannot check whether `{new}` has every row of `{old}`: {failed}"
            ),
            help: format!(
                "lock both: LOCK TABLES `{old}` WRITE, `{new}` WRITE; or write UNLOCK TABLES before this statement"
            ),
            busy: false,
        }))
    }
}

/// What a table would lose, as far as it shows under the locks of a file, which no other connection
/// passes: rows by their keys, and the values of columns that go.
fn by_keys(
    session: &mut dyn Session,
    shape: &Shape,
    successor: &Successor,
) -> anyhow::Result<Compared> {
    let (old, new) = (session.quote(&shape.name), session.quote(&successor.table));
    let stays = |it: &ShapeColumn| successor.columns.iter().any(|(was, _)| was == it);
    let values = shape.columns.iter().map(|it| {
        if stays(it) {
            "0".to_owned()
        } else {
            format!("count({})", session.quote(&it.name))
        }
    });
    let values: Vec<_> = std::iter::once("count(*)".to_owned())
        .chain(values)
        .collect();
    let sql = format!("SELECT {} FROM {old}", values.join(", "));
    let there = numbers(&session.seen(&sql)?)?;
    let same = successor.key.iter().map(|(was, now)| {
        let (was, now) = (session.quote(&was.name), session.quote(&now.name));
        format!("{new}.{now} = {old}.{was}")
    });
    let same: Vec<_> = same.collect();
    let count = format!("SELECT count(*) FROM {new}");
    let rows = numbers(&session.seen(&count)?)?[0];
    let by_key = if successor.keyed {
        let sql = format!(
            "SELECT count(*) FROM {old} WHERE NOT EXISTS (SELECT 1 FROM {new} WHERE {})",
            same.join(" AND ")
        );
        // Keys of two kinds can't always be compared.
        session.seen(&sql).ok()
    } else {
        None
    };
    let missing = match by_key {
        Some(missing) => numbers(&missing)?[0],
        None => there[0].saturating_sub(rows),
    };
    let column = |filled: &u64| ComparedColumn {
        filled: *filled,
        ..ComparedColumn::default()
    };
    Ok(Compared {
        before: there[0],
        missing,
        moved: 0,
        columns: there[1..].iter().map(column).collect(),
    })
}
