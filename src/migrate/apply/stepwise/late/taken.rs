//! Tables that a statement drops, or renames while another table takes their name.

use super::aside::{Aside, later, summed};
use super::{Found, Late, Others, Seen, Then, asked, culprits, known, refused, with_others};
use crate::db::{Failed, Session, Why};
use crate::migrate::apply::counting::{numbers, taken, which};
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{End, Failure, origin, reach};
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Matter, Renames, Tables, What, loss};
use crate::model::{Compared, ComparedColumn, Names, Shape, Successor};
use crate::sql::{AlterAction, Destroys, Facts, Kind, Name};

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
        let sum = if self.stays {
            summed(session, shape, self.others)?
        } else {
            Vec::new()
        };
        let compared = match (&successor, self.others) {
            (Some(successor), _) if self.is_as_left(session, shape, successor)? => Some(Compared {
                before: counts[0],
                columns: vec![ComparedColumn::default(); was.columns.len()],
                ..Compared::default()
            }),
            (Some(successor), Others::Write) => session.compare_with(shape, successor)?,
            (Some(successor), Others::Wait) => match session.compare_locked(shape, successor) {
                Ok(compared) => compared,
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
        let explained = |lost: &Lost| {
            let same = |it: &&Lost| (&it.table, &it.column) == (&lost.table, &lost.column);
            let mut known = self.rehearsed.evidence.lost.iter().filter(same);
            known
                .find_map(|it| it.derived)
                .filter(|_| lost.what == What::ValuesChanged)
        };
        let lost = preserve::lost(was, successor.as_ref(), &compared, before);
        let lost = lost.iter().map(|it| Lost {
            derived: it.derived.or_else(|| explained(it)),
            ..with_others(it).0
        });
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
        let aside = successor.as_ref().filter(|_| self.stays).map(|successor| {
            let step = intent.renames_of(number..number + 1);
            let old = (was, shape, sum);
            Aside::of(old, successor.clone(), (self.now, before.names), &step)
        });
        if let (Some(aside), Others::Wait) = (&aside, self.others) {
            // Nobody has written it since.
            self.late.puts_aside(number, aside);
        }
        Ok(Ok(Some(Seen {
            table: shape.name.clone(),
            sql,
            counts,
            copied: successor.is_some() || then.is_some_and(|then| gone.rows < then.rows),
            lost: vec![gone],
            aside,
        })))
    }

    /// Whether a table is as it was left when the other one took its name, which had all of it then
    /// and which only users have written since.
    fn is_as_left(
        &self,
        session: &mut dyn Session,
        shape: &Shape,
        successor: &Successor,
    ) -> anyhow::Result<bool> {
        let Some((at, sum)) = self.late.asides.get(&shape.name) else {
            return Ok(false);
        };
        let since = &self.intent.pieces[at + 1..self.number];
        let is_left = !may_write(since, &successor.table, self.before.names);
        Ok(is_left && summed(session, shape, self.others)? == *sum)
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

/// Whether statements may write a table that is called so behind them, under any of its names, or
/// take it from there.
fn may_write(pieces: &[Piece<'_>], table: &str, names: Names) -> bool {
    let mut called = vec![table.to_owned()];
    for piece in pieces.iter().rev() {
        let facts = &piece.facts;
        let is_it = |called: &[String], name: &Name| {
            called.iter().any(|it| names.tables.same(it, &name.name))
        };
        for (from, to) in renames(facts) {
            if is_it(&called, to) {
                called.push(from.name.clone());
            } else if is_it(&called, from) {
                return true;
            }
        }
        let writes = facts.writes_rows() || facts.destroys() != Destroys::No;
        if !reach::is_plain(piece) || writes && facts.tables().any(|it| is_it(&called, it)) {
            return true;
        }
    }
    false
}

fn renames(facts: &Facts) -> Vec<(&Name, &Name)> {
    match (&facts.kind, &facts.table) {
        (Kind::RenameTable { renames }, _) => renames.iter().map(|(from, to)| (from, to)).collect(),
        (Kind::AlterTable { actions }, Some(from)) => {
            let to = actions.iter().filter_map(|action| match action {
                AlterAction::RenameTable { to } => Some((from, to)),
                _ => None,
            });
            to.collect()
        }
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::may_write;
    use crate::migrate::intent::Intent;
    use crate::migrate::source::Migration;
    use crate::model::Names;
    use crate::sql::Dialect;

    #[test]
    fn a_table_is_followed_by_its_names_back_to_the_swap() {
        let may = |text: &str| {
            let migration = Migration::of_text(text);
            let intent = Intent::of(&migration, Dialect::Mysql).expect("the file can be read");
            may_write(&intent.pieces, "m", Names::SQLITE)
        };
        for (text, is) in [
            (
                "ALTER TABLE n RENAME m; ALTER TABLE m ADD INDEX i (a);",
                false,
            ),
            ("UPDATE other SET a = 1; UNLOCK TABLES;", false),
            ("UPDATE m SET a = 1;", true),
            ("UPDATE n SET a = 1; ALTER TABLE n RENAME m;", true),
            ("RENAME TABLE m TO x, y TO m;", true),
            ("DROP TABLE m; CREATE TABLE m (id INT);", true),
            ("CALL tidy();", true),
        ] {
            assert_eq!(may(text), is, "{text}");
        }
    }
}
