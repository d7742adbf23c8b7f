//! What comes after a migration: what triggers, rules and events will do to rows that are there, and
//! which numbers new rows will get. No row shows it when the file ends.

mod dependants;

use super::probe::Probe;
use crate::db::{Access, Found, OWN_TABLES, Reader, Session};
use crate::migrate::intent::Intent;
use crate::migrate::later::{Deed, Extent, Only, Target, deeds};
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::{Action, Actions, Cell, NumberedColumn, Numbering, Sequence, Shape, Successor};
use crate::sql::Dialect;
use std::collections::BTreeSet;

/// So many roles are named.
const NAMED: usize = 3;

/// Where a column has fewer values than these, they may be states or kinds.
const FEW: i64 = 10;

/// What there was before a file, of what its statements may change.
pub(super) struct Outlook {
    /// What triggers, rules and events did to tables.
    deeds: Option<Vec<Deed>>,
    /// How far the numbers of columns had come.
    numbers: Option<Vec<Numbering>>,
    /// What bare names meant in new sessions.
    found: Vec<Found>,
    /// Which tables each role could read or update.
    readers: BTreeSet<Reader>,
    /// What became of rows that were written.
    probe: Option<Probe>,
    dialect: Dialect,
}

impl Outlook {
    pub(super) fn look(
        session: &mut dyn Session,
        intent: &Intent<'_>,
        (tables, dialect): (&[Shape], Dialect),
    ) -> anyhow::Result<Self> {
        let deeds = if intent.may_make_actions() {
            let deeds = deeds(&actions(session)?, tables, dialect);
            Some(dependants::with(session, deeds)?)
        } else {
            None
        };
        let numbers = if intent.may_renumber() {
            Some(session.numberings()?)
        } else {
            None
        };
        let found = if intent.may_hide(tables) {
            session.found_by_new_sessions()?
        } else {
            Vec::new()
        };
        let readers = if intent.may_hide_rows() {
            session.readers()?
        } else {
            BTreeSet::new()
        };
        Ok(Self {
            deeds,
            numbers,
            found,
            readers,
            probe: Probe::look(session, intent, (tables, dialect))?,
            dialect,
        })
    }

    /// What will be lost that would not have been.
    pub(super) fn lost(
        &self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        (before, after): (Tables<'_>, Tables<'_>),
    ) -> anyhow::Result<Vec<Lost>> {
        let mut found = Vec::new();
        if let Some(were) = &self.deeds {
            found.extend(self.done(session, intent, were, (before, after))?);
        }
        if let Some(were) = &self.numbers {
            let numbers = session.numberings()?;
            for was in were {
                found.extend(rewound(session, intent, (was, &numbers), (before, after))?);
            }
        }
        found.extend(self.hidden(session, intent, (before, after))?);
        found.extend(self.unreadable(session, intent, (before, after))?);
        for (whole, part) in preserve::volatile_parts(before, after) {
            let now = after.shapes.iter().find(|it| it.id == whole.id);
            let now = now.map_or(&whole.name, |it| &it.name);
            if number(session, "count(*)", now)?.unwrap_or_default() > 0 {
                let words = format!(
                    "a crash of the server would empty `{}`, the new part of `{}`",
                    part.name, whole.name
                );
                found.push(preserve::later(
                    What::Volatile,
                    (whole, None),
                    words,
                    before,
                ));
            }
        }
        if let Some(probe) = &self.probe {
            // What a text says already is said once.
            let mut probed = probe.lost(session, intent, (before, after))?;
            probed.retain(|new| {
                let is_it = |it: &Lost| it.what == What::Later && it.table == new.table;
                !found.iter().any(is_it)
            });
            found.extend(probed);
        }
        Ok(found)
    }

    /// What triggers, rules and events will do that did less before.
    fn done(
        &self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        were: &[Deed],
        (before, after): (Tables<'_>, Tables<'_>),
    ) -> anyhow::Result<Vec<Lost>> {
        let mut found = Vec::new();
        let deeds = deeds(&actions(session)?, after.shapes, self.dialect);
        let mut deeds = dependants::with(session, deeds)?;
        let successor = |shape: &Shape| preserve::successor(shape, before, after, &intent.renames);
        let renamed = |own: &str, column: Option<&str>| {
            let Some(now) = before.called(own).and_then(successor) else {
                return (own.to_owned(), column.map(str::to_owned));
            };
            let named = |column: &str| {
                let mut pairs = now.columns.iter();
                let pair = pairs.find(|(old, _)| old.name == column);
                pair.map_or(column, |(_, new)| &new.name).to_owned()
            };
            let column = column.map(named);
            (now.table, column)
        };
        deeds.retain(|deed| !deed.is_among(were, renamed));
        // Where it may be its own table that it hangs on, the others are not told of too.
        deeds.sort_by_key(|deed| deed.target == Target::Any);
        let mut told: Vec<&Deed> = Vec::new();
        for deed in &deeds {
            let is_it = |shape: &&Shape| {
                successor(shape).is_some_and(|now| {
                    let former = now.columns.iter().map(|(_, new)| new.name.as_str());
                    now.table == deed.table && deed.takes_from(former)
                })
            };
            let Some(shape) = before.shapes.iter().find(is_it) else {
                continue;
            };
            if told.iter().any(|own| deed.is_owned_as(own)) {
                continue;
            }
            let (rows, extent) = self.harmed(session, deed, after)?;
            if rows > 0 {
                told.push(deed);
                let column = deed.column.as_deref();
                let words = match &deed.only {
                    Only::Met { .. } if extent == deed.extent => {
                        format!("{}: {rows} of its rows are like those", deed.words)
                    }
                    _ => deed.words.clone(),
                };
                let what = match extent {
                    Extent::One if !is_referred_to(session, &deed.table)? => What::Cleared,
                    Extent::One | Extent::Any => What::Later,
                    Extent::New => What::Unstored,
                };
                let lost = preserve::later(what, (shape, column), words, before);
                found.push(Lost {
                    rows: rows.unsigned_abs(),
                    ..lost
                });
            }
        }
        Ok(found)
    }

    /// Tables with rows that a role could read, and can't any more.
    fn unreadable(
        &self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        (before, after): (Tables<'_>, Tables<'_>),
    ) -> anyhow::Result<Vec<Lost>> {
        if self.readers.is_empty() {
            return Ok(Vec::new());
        }
        let now = session.readers()?;
        let mut lost = Vec::new();
        for shape in before.shapes {
            let found = preserve::successor(shape, before, after, &intent.renames);
            let found = found.and_then(|it| after.called(&it.table));
            let Some((table, id)) = found.and_then(|it| Some((it, it.id?))) else {
                continue;
            };
            if shape.whole.is_some() {
                continue;
            }
            let has = |role: &str, access| now.contains(&(id, role.to_owned(), access));
            for (access, could, does) in [
                (Access::Read, "read", "can see none of its"),
                (
                    Access::Update,
                    "update",
                    "an UPDATE would silently change none of its",
                ),
            ] {
                let is_lost = |(was, role, had): &&Reader| {
                    let reads = has(role, Access::Read);
                    let finds_none = has(role, Access::UpdateOfNone);
                    let is_lost = match access {
                        Access::Read => !reads,
                        Access::Update | Access::UpdateOfNone => reads && finds_none,
                    };
                    shape.id == Some(*was) && *had == access && is_lost
                };
                let roles = self.readers.iter().filter(is_lost);
                let roles = named(roles.map(|(_, role, _)| role.as_str()));
                if roles.is_empty() {
                    continue;
                }
                let rows = number(session, "count(*)", &table.name)?.unwrap_or_default();
                if rows > 0 {
                    let words = format!(
                        "{roles} could {could} `{}`, and {does} {rows} rows any more",
                        shape.name
                    );
                    lost.push(preserve::later(
                        What::Unreadable,
                        (shape, None),
                        words,
                        before,
                    ));
                }
            }
        }
        Ok(lost)
    }

    /// How many rows a deed would take something from that are there, and how far it reaches then.
    fn harmed(
        &self,
        session: &mut dyn Session,
        deed: &Deed,
        after: Tables<'_>,
    ) -> anyhow::Result<(i64, Extent)> {
        let all = number(session, "count(*)", &deed.table)?.unwrap_or_default();
        if let Only::Met { row, condition } = &deed.only {
            let rows = self.meeting(session, (&deed.table, row), condition)?;
            return Ok(match rows.filter(|it| *it > 0) {
                Some(rows) => (rows, deed.extent),
                // Rows like those that are there are stored, and nobody knows which others come.
                None if deed.extent == Extent::Any => (all, Extent::New),
                None => (0, deed.extent),
            });
        }
        let rows = match deed.column.as_deref().filter(|_| all > 0) {
            Some(column) => self.harmed_values(session, deed, (column, all), after)?,
            None => all,
        };
        Ok((rows, deed.extent))
    }

    /// How many rows of a table meet a condition that calls each of them so; none where it can't be
    /// asked.
    fn meeting(
        &self,
        session: &mut dyn Session,
        (table, row): (&str, &str),
        condition: &str,
    ) -> anyhow::Result<Option<i64>> {
        let table = session.quote(table);
        let sql = format!("SELECT count(*) FROM {table} AS {row} WHERE {condition}");
        // An error would end the transaction of PostgreSQL, and outside of one there is none to
        // end.
        let is_held = self.dialect == Dialect::Postgres
            && session.command("SAVEPOINT chatctl_condition").is_ok();
        if is_held {
            // The table is locked meanwhile; what is set ends with the savepoint.
            session.command("SET LOCAL statement_timeout = '60s'")?;
        }
        let found = session.rows(&sql);
        if is_held {
            session.command("ROLLBACK TO SAVEPOINT chatctl_condition")?;
            session.command("RELEASE SAVEPOINT chatctl_condition")?;
        }
        let count = |rows: Vec<Vec<Cell>>| rows.first()?.first()?.to_string().parse().ok();
        Ok(found.ok().and_then(count))
    }

    /// The same of a column in a table with so many rows.
    fn harmed_values(
        &self,
        session: &mut dyn Session,
        deed: &Deed,
        (column, all): (&str, i64),
        after: Tables<'_>,
    ) -> anyhow::Result<i64> {
        let quote = session.names().quote;
        let name = column.replace(quote, &format!("{quote}{quote}"));
        let name = format!("{quote}{name}{quote}");
        let text = match self.dialect {
            Dialect::Postgres => format!("{name}::text"),
            Dialect::Sqlite | Dialect::Mysql => name,
        };
        let refers = matches!(deed.only, Only::Filled | Only::Reference);
        if refers && !dependants::refers(session, after, (&deed.table, column))? {
            return Ok(0);
        }
        let rows = match &deed.only {
            Only::All | Only::Some | Only::Met { .. } => all,
            Only::Former => {
                let filled = number(session, &format!("count({text})"), &deed.table)?;
                filled.unwrap_or_default()
            }
            Only::Different => {
                let different = format!("count(DISTINCT {text})");
                let different = number(session, &different, &deed.table)?.unwrap_or_default();
                let filled = number(session, &format!("count({text})"), &deed.table)?;
                let few = different < FEW || different * 2 < filled.unwrap_or_default();
                if few { 0 } else { all }
            }
            Only::Filled
                if number(session, &format!("count({text})"), &deed.table)? < Some(all) =>
            {
                0
            }
            Only::Several | Only::Reference | Only::Filled => {
                let different = format!("count(DISTINCT {text})");
                let different = number(session, &different, &deed.table)?.unwrap_or_default();
                if different > 1 { all } else { 0 }
            }
            Only::Longer(length) => {
                let count = match self.dialect {
                    Dialect::Sqlite => "length",
                    Dialect::Postgres | Dialect::Mysql => "char_length",
                };
                let longer = format!("count(CASE WHEN {count}({text}) > {length} THEN 1 END)");
                number(session, &longer, &deed.table)?.unwrap_or_default()
            }
        };
        Ok(rows)
    }

    /// Tables whose names mean other ones in new sessions, which have not their rows.
    fn hidden(
        &self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        (before, after): (Tables<'_>, Tables<'_>),
    ) -> anyhow::Result<Vec<Lost>> {
        if self.found.is_empty() {
            return Ok(Vec::new());
        }
        let now = session.found_by_new_sessions()?;
        let mut seen = BTreeSet::new();
        let mut lost = Vec::new();
        for was in &self.found {
            let mut shapes = before.shapes.iter();
            let Some(shape) = shapes.find(|it| it.id == Some(was.id)) else {
                continue;
            };
            // A name that means nothing any more is an error that everybody sees.
            let mut now = now.iter();
            let same = |it: &&Found| (&it.role, &it.name) == (&was.role, &was.name);
            let Some(now) = now.find(same).filter(|now| now.id != was.id) else {
                continue;
            };
            let Some(successor) = preserve::successor(shape, before, after, &intent.renames) else {
                continue;
            };
            let is_it = after
                .called(&successor.table)
                .is_some_and(|it| it.id == Some(now.id));
            if is_it || !seen.insert((was.id, now.id)) {
                continue;
            }
            let rows = number(session, "count(*)", &successor.table)?.unwrap_or_default();
            let gone = if now.is_view {
                let sql = format!("SELECT count(*)::text FROM {}", now.quoted);
                let shown: i64 = session.rows(&sql)?[0][0].to_string().parse()?;
                (rows - shown).max(0)
            } else {
                let other = after.shapes.iter().find(|it| it.id == Some(now.id));
                missing(session, &successor, (now, other))?.unwrap_or(rows)
            };
            if gone > 0 {
                let words = format!(
                    "new sessions would read `{}` under the name `{}`, which {gone} of {rows} rows of `{}` are not in",
                    now.shown, was.name, shape.name
                );
                lost.push(Lost {
                    rows: gone.unsigned_abs(),
                    ..preserve::later(What::Hidden, (shape, None), words, before)
                });
            }
        }
        Ok(lost)
    }
}

/// Some of these roles by their names.
fn named<'a>(roles: impl Iterator<Item = &'a str>) -> String {
    let mut roles: Vec<_> = roles.map(|role| format!("`{role}`")).collect();
    let more = roles.len().saturating_sub(NAMED);
    roles.truncate(NAMED);
    if more > 0 {
        roles.push(format!("{more} more roles"));
    }
    roles.join(", ")
}

/// How many rows of a table another one has not, by the columns that both have; none where they share none.
fn missing(
    session: &mut dyn Session,
    rows: &Successor,
    (found, other): (&Found, Option<&Shape>),
) -> anyhow::Result<Option<i64>> {
    let quote = session.names().quote;
    let both = rows.columns.iter().filter(|(_, column)| {
        let mut others = other.into_iter().flat_map(|it| &it.columns);
        others.any(|it| it.name == column.name)
    });
    let list = both.map(|(_, column)| {
        let doubled = column.name.replace(quote, &format!("{quote}{quote}"));
        format!("{quote}{doubled}{quote}::text")
    });
    let list = list.collect::<Vec<_>>().join(", ");
    if list.is_empty() {
        return Ok(None);
    }
    let own = session.quote(&rows.table);
    let sql = format!(
        "SELECT count(*)::text FROM (SELECT {list} FROM {own} EXCEPT ALL SELECT {list} FROM {}) AS gone",
        found.quoted
    );
    Ok(session.rows(&sql)?[0][0].to_string().parse().ok())
}

/// What the database does by itself, but for what hangs on chatctl's own tables: that is refused whatever it
/// does.
fn actions(session: &mut dyn Session) -> anyhow::Result<Actions> {
    let mut actions = session.actions()?;
    let is_own = |action: &Action| {
        let table = action.table.as_deref();
        table.is_some_and(|table| OWN_TABLES.contains(&table))
    };
    actions.all.retain(|action| !is_own(action));
    Ok(actions)
}

/// The numbers of a column or a sequence that will be given again.
fn rewound(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    (was, numbers): (&Numbering, &[Numbering]),
    (before, after): (Tables<'_>, Tables<'_>),
) -> anyhow::Result<Option<Lost>> {
    let shape = match was.of.column() {
        None => None,
        Some(column) => match before.called(&column.table) {
            Some(shape) => Some((shape, column)),
            None => return Ok(None),
        },
    };
    let Some(now) = now(was, numbers, shape, (before, after, intent)) else {
        return Ok(None);
    };
    let is_of_volatile = || {
        let mut tables = after.shapes.iter();
        let column = now.of.column();
        column.is_some_and(|it| tables.any(|table| table.name == it.table && table.volatile))
    };
    let becomes_volatile = now.volatile && !was.volatile && !is_of_volatile();
    if !now.is_set_back(was) && !becomes_volatile {
        return Ok(None);
    }
    let is_given_again = match now.of.column() {
        _ if becomes_volatile => true,
        // Which rows have its numbers, nobody knows.
        None => !was.unused,
        Some(column) => {
            let quote = session.names().quote;
            let name = column.column.replace(quote, &format!("{quote}{quote}"));
            let farthest = if now.falls() { "min" } else { "max" };
            let what = format!("{farthest}({quote}{name}{quote})");
            let farthest = number(session, &what, &column.table)?;
            farthest.is_some_and(|it| now.gives_again(was, it, intent.may_rebuild()))
        }
    };
    if !is_given_again {
        return Ok(None);
    }
    let words = |what: &str| {
        if becomes_volatile {
            return format!("a crash of the server would set the counter of `{what}` back");
        }
        format!(
            "the counter of `{what}` would go back to {}, although {} was next",
            now.next, was.next
        )
    };
    let lost = match (shape, was.of.sequence()) {
        (Some((shape, column)), _) => {
            let words = words(&format!("{}.{}", column.table, column.column));
            let column = Some(column.column.as_str());
            preserve::later(What::Rewound, (shape, column), words, before)
        }
        (None, Some(sequence)) => preserve::set_back(sequence, words(&sequence.name)),
        (None, None) => return Ok(None),
    };
    Ok(Some(Lost {
        rows: was.next.abs_diff(now.next),
        ..lost
    }))
}

/// How far the same numbers have come now: those of the column, or of the sequence where no default of the
/// column names one any more.
fn now<'a>(
    was: &Numbering,
    numbers: &'a [Numbering],
    shape: Option<(&Shape, &NumberedColumn)>,
    (before, after, intent): (Tables<'_>, Tables<'_>, &Intent<'_>),
) -> Option<&'a Numbering> {
    let of_column = shape.and_then(|(shape, column)| {
        let successor = preserve::successor(shape, before, after, &intent.renames)?;
        let mut columns = successor.columns.iter();
        let (_, new) = columns.find(|(old, _)| old.name == column.column)?;
        let mut numbers = numbers.iter();
        numbers.find(|it| {
            let column = it.of.column();
            column.is_some_and(|it| it.table == successor.table && it.column == new.name)
        })
    });
    let of_sequence = || {
        let sequence = was.of.sequence()?;
        let is_it = |it: &Sequence| it.name == sequence.name;
        let mut numbers = numbers.iter();
        numbers.find(|it| it.of.sequence().is_some_and(is_it))
    };
    of_column.or_else(of_sequence)
}

/// Whether rows of other tables may go with those of a table.
fn is_referred_to(session: &mut dyn Session, table: &str) -> anyhow::Result<bool> {
    Ok(!session.keys_to(&BTreeSet::from([table]))?.is_empty())
}

/// One number that a query of a table gives; none where it gives NULL.
fn number(session: &mut dyn Session, what: &str, table: &str) -> anyhow::Result<Option<i64>> {
    let table = session.quote(table);
    let rows = session.rows(&format!("SELECT {what} FROM {table}"))?;
    Ok(rows[0][0].to_string().parse().ok())
}
