//! What comes after a migration: what triggers, rules and events will do to rows that are there, and
//! which numbers new rows will get. No row shows it when the file ends.

use crate::db::{OWN_TABLES, Session};
use crate::migrate::intent::Intent;
use crate::migrate::later::{Deed, deeds};
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::{Action, Actions, Numbering, Shape};
use crate::sql::Dialect;

/// What there was before a file, of what its statements may change.
pub(super) struct Outlook {
    /// What triggers, rules and events did to tables.
    deeds: Option<Vec<Deed>>,
    /// How far the numbers of columns had come.
    numbers: Option<Vec<Numbering>>,
    dialect: Dialect,
}

impl Outlook {
    pub(super) fn look(
        session: &mut dyn Session,
        intent: &Intent<'_>,
        (tables, dialect): (&[Shape], Dialect),
    ) -> anyhow::Result<Self> {
        let deeds = if intent.may_make_actions() {
            Some(deeds(&actions(session)?, tables, dialect))
        } else {
            None
        };
        let numbers = if intent.may_renumber() {
            Some(session.numberings()?)
        } else {
            None
        };
        Ok(Self {
            deeds,
            numbers,
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
            let deeds = deeds(&actions(session)?, after.shapes, self.dialect);
            for deed in deeds.iter().filter(|deed| !deed.is_among(were)) {
                let is_it = |shape: &&Shape| {
                    let now = preserve::successor(shape, before, after, &intent.renames);
                    now.is_some_and(|now| now.table == deed.table)
                };
                let Some(shape) = before.shapes.iter().find(is_it) else {
                    continue;
                };
                let rows = number(session, "count(*)", &deed.table)?.unwrap_or_default();
                if rows > 0 {
                    let (column, words) = (deed.column.as_deref(), deed.words.clone());
                    let lost = preserve::later(What::Later, (shape, column), words, before);
                    found.push(Lost {
                        rows: rows.unsigned_abs(),
                        ..lost
                    });
                }
            }
        }
        if let Some(were) = &self.numbers {
            let numbers = session.numberings()?;
            for was in were {
                found.extend(rewound(session, intent, (was, &numbers), (before, after))?);
            }
        }
        Ok(found)
    }
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

/// The numbers of a column that will be given again.
fn rewound(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    (was, numbers): (&Numbering, &[Numbering]),
    (before, after): (Tables<'_>, Tables<'_>),
) -> anyhow::Result<Option<Lost>> {
    let Some(shape) = before.called(&was.table) else {
        return Ok(None);
    };
    let Some(successor) = preserve::successor(shape, before, after, &intent.renames) else {
        return Ok(None);
    };
    let mut columns = successor.columns.iter();
    let now = columns
        .find(|(old, _)| old.name == was.column)
        .and_then(|(_, new)| {
            let mut numbers = numbers.iter();
            numbers.find(|it| it.table == successor.table && it.column == new.name)
        });
    let Some(now) = now.filter(|now| now.is_set_back(was)) else {
        return Ok(None);
    };
    let quote = session.names().quote;
    let column = now.column.replace(quote, &format!("{quote}{quote}"));
    let farthest = if now.falls() { "min" } else { "max" };
    let what = format!("{farthest}({quote}{column}{quote})");
    let farthest = number(session, &what, &now.table)?;
    if farthest.is_none_or(|it| !now.gives_again(was, it, intent.may_rebuild())) {
        return Ok(None);
    }
    let words = format!(
        "`{}.{}` would count from {} again, where {} was next",
        was.table, was.column, now.next, was.next
    );
    let column = Some(was.column.as_str());
    let lost = preserve::later(What::Rewound, (shape, column), words, before);
    Ok(Some(Lost {
        rows: was.next.abs_diff(now.next),
        ..lost
    }))
}

/// One number that a query of a table gives; none where it gives NULL.
fn number(session: &mut dyn Session, what: &str, table: &str) -> anyhow::Result<Option<i64>> {
    let table = session.quote(table);
    let rows = session.rows(&format!("SELECT {what} FROM {table}"))?;
    Ok(rows[0][0].to_string().parse().ok())
}
