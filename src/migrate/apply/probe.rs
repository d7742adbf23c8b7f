//! Whether a row that is written through a name is found under it: a copy of a row is inserted, read and
//! changed in a savepoint that is always rolled back. What triggers, rules and views do is measured so, whatever
//! their texts say.

mod copy;
mod sample;

use super::views;
use crate::db::{OWN_TABLES, Session};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::{Action, Actions, Body, On, Shape};
use crate::sql::Dialect;
use copy::Harm;
use sample::{Elsewhere, Loss, Place};
use std::collections::{BTreeMap, BTreeSet};

/// Words of what a rollback does not take back, and of what would end the whole transaction.
const UNSAFE: [&str; 8] = [
    "advisory",
    "copy ",
    "dblink",
    "http",
    "pg_background",
    "rollback",
    "setval",
    "sleep",
];

/// What names lost before a file.
pub(super) struct Probe {
    /// By the names, what a written row lost.
    before: BTreeMap<String, Vec<Loss>>,
    dialect: Dialect,
}

impl Probe {
    /// Looks at the names that had triggers or rules before; nothing where a file can change none of it.
    pub(super) fn look(
        session: &mut dyn Session,
        intent: &Intent<'_>,
        (tables, dialect): (&[Shape], Dialect),
    ) -> anyhow::Result<Option<Self>> {
        if dialect == Dialect::Mysql || !intent.may_change_writes() {
            return Ok(None);
        }
        let actions = session.actions()?;
        let mut before = BTreeMap::new();
        if is_safe(session, &actions, dialect)? {
            for name in written(&actions) {
                let table = tables.iter().find(|it| it.name == name);
                if table.is_some_and(is_part) {
                    continue;
                }
                let place = Place {
                    name: name.to_owned(),
                    key: table.map_or_else(Vec::new, |it| it.key.clone()),
                    only: None,
                    is_view: table.is_none(),
                };
                let elsewhere = elsewhere(&actions, name, tables);
                let losses = sample::losses(session, dialect, &place, &elsewhere)?;
                before.insert(name.to_owned(), losses);
            }
        }
        Ok(Some(Self { before, dialect }))
    }

    /// What a row that is written after the file loses, and would not have lost before.
    pub(super) fn lost(
        &self,
        session: &mut dyn Session,
        intent: &Intent<'_>,
        (before, after): (Tables<'_>, Tables<'_>),
    ) -> anyhow::Result<Vec<Lost>> {
        let actions = session.actions()?;
        if !is_safe(session, &actions, self.dialect)? {
            return Ok(Vec::new());
        }
        let mut lost = Vec::new();
        for (was, place) in places(session, intent, &actions, (before, after))? {
            let elsewhere = elsewhere(&actions, &place.name, after.shapes);
            let losses = sample::losses(session, self.dialect, &place, &elsewhere)?;
            let names = [&place.name, &was.name].into_iter();
            let known: Vec<_> = names
                .filter_map(|it| self.before.get(it))
                .flatten()
                .collect();
            let mut told = BTreeSet::new();
            for loss in losses {
                let is_new = !known.iter().any(|it| it.is_like(&loss));
                if is_new && told.insert(loss.column().map(str::to_owned)) {
                    let words = words(&place.name, &loss);
                    let of = (&was, loss.column());
                    lost.push(preserve::later(What::Later, of, words, before));
                }
            }
        }
        Ok(lost)
    }
}

/// What is lost, in words.
fn words(name: &str, loss: &Loss) -> String {
    let came_back = |harm: &Harm| match harm {
        Harm::Emptied => "came back empty".to_owned(),
        Harm::Cut(left, wanted) => format!("of {wanted} characters came back with {left}"),
    };
    match loss {
        Loss::Row { row } => format!(
            "a copy of row `{row}` was inserted into `{name}` after this file, and `{name}` does not show it"
        ),
        Loss::Column { row, column, harm } => format!(
            "a copy of row `{row}` was inserted into `{name}` after this file: its `{column}` {}",
            came_back(harm)
        ),
        Loss::Change { row, column, harm } => {
            let came_back = harm.as_ref().map_or_else(
                || "came back as it was before".to_owned(),
                |harm| format!("that an UPDATE set {}", came_back(harm)),
            );
            format!(
                "a copy of row `{row}` of `{name}` was updated after this file: its `{column}` {came_back}"
            )
        }
    }
}

/// The names through which rows are written, with the tables that had them before: views in the place of
/// tables, and what has triggers or rules.
fn places(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    actions: &Actions,
    (before, after): (Tables<'_>, Tables<'_>),
) -> anyhow::Result<Vec<(Shape, Place)>> {
    let mut places: Vec<(Shape, Place)> = Vec::new();
    let written = written(actions);
    let users = before.shapes.iter();
    let users = users.filter(|it| !is_part(it) && !OWN_TABLES.contains(&it.name.as_str()));
    let names_of = |shape: &Shape| shape.columns.iter().map(|it| it.name.clone()).collect();
    for was in users {
        let view = views::in_place_of(session, intent, was, (before, after))?;
        if let Some((view, called)) = view {
            let place = Place {
                name: view,
                key: called.key.clone(),
                only: Some(names_of(&called)),
                is_view: true,
            };
            places.push((was.clone(), place));
        }
        let Some(now) = preserve::successor(was, before, after, &intent.renames) else {
            continue;
        };
        if let Some(table) = after
            .called(&now.table)
            .filter(|it| written.contains(it.name.as_str()))
        {
            let columns = now.columns.iter().map(|(_, new)| new.name.clone());
            let place = Place {
                name: now.table.clone(),
                key: table.key.clone(),
                only: Some(columns.collect()),
                is_view: false,
            };
            places.push((was.clone(), place));
        }
    }
    for name in written {
        let is_known = places.iter().any(|(_, place)| place.name == name);
        if is_known || after.shapes.iter().any(|it| it.name == name) {
            continue;
        }
        let was = Shape {
            name: name.to_owned(),
            table: name.to_owned(),
            bare: true,
            ..Shape::default()
        };
        let place = Place {
            name: name.to_owned(),
            key: Vec::new(),
            only: None,
            is_view: true,
        };
        places.push((was, place));
    }
    Ok(places)
}

/// A part of a table, which is written through its whole.
fn is_part(shape: &Shape) -> bool {
    shape.whole.is_some() && !shape.heir
}

/// The names with triggers or rules for rows that are written.
fn written(actions: &Actions) -> BTreeSet<&str> {
    let writes = |it: &&Action| it.on.contains(&On::Insert) || it.on.contains(&On::Update);
    let all = actions.all.iter().filter(writes);
    let names = all.filter_map(|it| it.table.as_deref());
    names.filter(|it| !OWN_TABLES.contains(it)).collect()
}

/// Where a text may be kept that a table does not keep in its column: in another one of it, or in a table
/// that a trigger names.
fn elsewhere(actions: &Actions, name: &str, tables: &[Shape]) -> Vec<Elsewhere> {
    let texts = texts(actions);
    let all = tables.iter().filter(|table| {
        let named = table.table.to_lowercase();
        table.name == name || texts.iter().any(|it| it.contains(&named))
    });
    let all = all.filter(|it| !OWN_TABLES.contains(&it.name.as_str()));
    let all = all.map(|table| Elsewhere {
        table: table.name.clone(),
        columns: table.columns.iter().map(|it| it.name.clone()).collect(),
    });
    all.collect()
}

/// What triggers, rules and the routines that they may call say, in lower case.
fn texts(actions: &Actions) -> Vec<String> {
    let text = |body: &Body| match body {
        Body::Statements(text) => text.to_lowercase(),
        Body::Unread { .. } | Body::Harms(_) => String::new(),
    };
    let of_actions = actions.all.iter().map(|it| text(&it.body));
    of_actions.chain(called(actions).map(text)).collect()
}

/// The routines whose names the actions, or such routines, mention.
fn called(actions: &Actions) -> impl Iterator<Item = &Body> {
    let mut found: BTreeSet<&str> = BTreeSet::new();
    let text = |body: &Body| match body {
        Body::Statements(text) | Body::Unread { text, .. } => text.to_lowercase(),
        Body::Harms(_) => String::new(),
    };
    let mut texts: Vec<_> = actions.all.iter().map(|it| text(&it.body)).collect();
    while let Some(said) = texts.pop() {
        for (name, bodies) in &actions.routines {
            if said.contains(name.as_str()) && found.insert(name) {
                texts.extend(bodies.iter().map(text));
            }
        }
    }
    let routines = actions.routines.iter();
    routines
        .filter(move |(name, _)| found.contains(name.as_str()))
        .flat_map(|(_, bodies)| bodies)
}

/// Whether a savepoint takes back all that triggers and rules do.
fn is_safe(session: &mut dyn Session, actions: &Actions, dialect: Dialect) -> anyhow::Result<bool> {
    let of_tables = actions.all.iter().filter(|it| it.table.is_some());
    let mut bodies = of_tables.map(|it| &it.body).chain(called(actions));
    let is_unread = bodies.any(|it| matches!(it, Body::Unread { .. }));
    let is_unsafe = |text: &String| UNSAFE.iter().any(|word| text.contains(word));
    if is_unread || texts(actions).iter().any(is_unsafe) {
        return Ok(false);
    }
    let sql = match dialect {
        // A constraint may end the transaction too.
        Dialect::Sqlite => "SELECT count(*) FROM main.sqlite_master WHERE sql LIKE '%rollback%'",
        // What another server does with its rows is its own.
        Dialect::Postgres => "SELECT count(*)::text FROM pg_catalog.pg_foreign_table",
        Dialect::Mysql => return Ok(false),
    };
    Ok(session.rows(sql)?[0][0].to_string() == "0")
}

#[cfg(test)]
mod tests {
    use super::{Harm, Loss, words};

    #[test]
    fn a_loss_names_the_table_the_column_and_what_was_stored() {
        let cut = Loss::Column {
            row: "12".into(),
            column: "body".into(),
            harm: Harm::Cut(4, 440),
        };
        assert_eq!(
            words("messages", &cut),
            "a copy of row `12` was inserted into `messages` after this file: its `body` of 440 characters came back with 4"
        );
        let unchanged = Loss::Change {
            row: "12".into(),
            column: "body".into(),
            harm: None,
        };
        assert!(words("messages", &unchanged).ends_with("its `body` came back as it was before"));
    }
}
