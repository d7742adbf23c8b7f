//! A view that has the name which a table had before: whoever reads by the name finds what it
//! shows.

mod insertable;

use crate::cli_error::CliError;
use crate::db::{Object, Session};
use crate::migrate::intent::Intent;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::migrate::{later, preserve};
use crate::model::{Cell, Compared, ComparedColumn, On, Shape, ShapeColumn, Successor};
use crate::sql::{Dialect, Kind};

/// The view under whose name an application finds the rows of a table, and the table as the application
/// calls it: one that took the name in this file, or one that the file makes under the name that the table
/// had when the run began.
pub(super) fn in_place_of(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    was: &Shape,
    (before, after): (Tables<'_>, Tables<'_>),
) -> anyhow::Result<Option<(String, Shape)>> {
    if was.whole.is_some() {
        return Ok(None);
    }
    let first = intent.first().of(was, before);
    let now = preserve::renamed(was, before, after, &intent.renames);
    if now.is_some_and(|now| now.name != was.name)
        && let Some(view) = namesake(session, was)?
    {
        return Ok(Some((view, first.unwrap_or_else(|| was.clone()))));
    }
    let is_free = |it: &Shape| it.name != was.name && after.namesake(it).is_none();
    let Some(first) = first.filter(|it| is_free(it) && intent.may_make_view(&it.table)) else {
        return Ok(None);
    };
    Ok(namesake(session, &first)?.map(|view| (view, first)))
}

/// The view that has the name of a table.
fn namesake(session: &mut dyn Session, was: &Shape) -> anyhow::Result<Option<String>> {
    let names = session.names().tables;
    let is_it = |it: &Object| it.kind == "view" && names.same(&it.name, &was.name);
    Ok(session.objects()?.into_iter().find(is_it).map(|it| it.name))
}

/// The view in the place of a table, where it takes no new rows, or none with all columns of the table.
pub(super) fn unwritable(
    session: &mut dyn Session,
    was: &Shape,
    (before, after): (Tables<'_>, Tables<'_>),
    intent: &Intent<'_>,
) -> anyhow::Result<Option<Lost>> {
    if was.whole.is_some() || after.namesake(was).is_some() {
        return Ok(None);
    }
    let Some(view) = namesake(session, was)? else {
        return Ok(None);
    };
    if let Some(lost) = stores_none(session, (was, &view), before, intent.dialect)? {
        return Ok(Some(lost));
    }
    let now = preserve::renamed(was, before, after, &intent.renames);
    let why = insertable::refuses(session, (was, &view), now, intent.dialect)?;
    let lost = |why: String| {
        let words = format!("`{}` is now a view {why}", was.name);
        preserve::later(What::Unwritable, (was, None), words, before)
    };
    Ok(why.map(lost))
}

/// Views that a file makes under names which earlier files of the run took from tables, where they
/// take no new rows.
pub(super) fn unwritable_since(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    before: Tables<'_>,
) -> anyhow::Result<Vec<Lost>> {
    let made = intent.pieces.iter().map(|piece| &piece.facts);
    let made = made.filter(|facts| matches!(facts.kind, Kind::CreateView { .. }));
    let named: Vec<_> = made
        .filter_map(|facts| facts.object.as_ref().or(facts.table.as_ref()))
        .filter(|name| intent.earlier.mentions(&name.name))
        .collect();
    if named.is_empty() {
        return Ok(Vec::new());
    }
    let mut lost = Vec::new();
    for view in session.objects()? {
        let is_it = view.kind == "view" && named.iter().any(|it| it.matches(&view.name));
        if is_it {
            let was = Shape {
                name: view.name.clone(),
                table: view.name.clone(),
                bare: true,
                ..Shape::default()
            };
            let none = stores_none(session, (&was, &view.name), before, intent.dialect)?;
            lost.extend(none);
        }
    }
    Ok(lost)
}

/// Where no row that is inserted into a view is stored: the INSERT fails, or a trigger or a rule discards it.
fn stores_none(
    session: &mut dyn Session,
    (was, view): (&Shape, &str),
    before: Tables<'_>,
    dialect: Dialect,
) -> anyhow::Result<Option<Lost>> {
    let lost = |what, words| Ok(Some(preserve::later(what, (was, None), words, before)));
    if !takes_rows(session, view, dialect)? {
        let does = "takes no new rows: an INSERT under this name fails";
        return lost(
            What::Unwritable,
            format!("`{}` is now a view that {does}", was.name),
        );
    }
    let actions = session.actions()?;
    let Some(action) = later::discards(&actions, view, dialect) else {
        return Ok(None);
    };
    let does = "is now a view, and stores no row that is inserted";
    lost(
        What::Later,
        format!("`{}` {does}: the {} discards it", was.name, action.title),
    )
}

/// Whether rows can be inserted into a view, as the catalogue says.
fn takes_rows(session: &mut dyn Session, view: &str, dialect: Dialect) -> anyhow::Result<bool> {
    let says = |rows: Vec<Vec<Cell>>, yes: &str| {
        let first = rows.first().and_then(|row| row[0].text());
        first.is_some_and(|it| it.eq_ignore_ascii_case(yes))
    };
    match dialect {
        // By a trigger or a rule too; 8 is the bit of INSERT.
        Dialect::Postgres => {
            let view = session.quote(view).replace('\'', "''");
            let sql = format!(
                "SELECT (pg_catalog.pg_relation_is_updatable('{view}'::pg_catalog.regclass, true) & 8 <> 0)::text"
            );
            Ok(says(session.rows(&sql)?, "true"))
        }
        Dialect::Mysql => {
            let view = view.replace('\\', "\\\\").replace('\'', "''");
            let sql = format!(
                "SELECT is_updatable FROM information_schema.views WHERE table_schema = database() AND table_name = '{view}'"
            );
            Ok(says(session.rows(&sql)?, "YES"))
        }
        // By a trigger only: each of a view acts instead.
        Dialect::Sqlite => Ok(session.actions()?.all.iter().any(|action| {
            let of_view = action.table.as_deref();
            let of_view = of_view.is_some_and(|it| it.eq_ignore_ascii_case(view));
            of_view && action.on.contains(&On::Insert)
        })),
    }
}

/// Compares a table with the view that has its former name, by the columns that an application calls so: one
/// that the view has not is an error that everybody sees.
pub(super) fn compare(
    session: &mut dyn Session,
    was: &Shape,
    (view, called): &(String, Shape),
    now: &Successor,
    before: u64,
) -> anyhow::Result<Compared> {
    let (shows, names) = (session.shows(view)?, session.names());
    let place = |old: &ShapeColumn| was.columns.iter().position(|it| it == old);
    let shown = |pair: &(ShapeColumn, ShapeColumn)| {
        let (old, new) = pair;
        let called = place(old).and_then(|place| called.columns.get(place));
        let mut all = called.into_iter().chain([old]).map(|it| &it.name);
        let has = |name: &&String| shows.iter().any(|it| names.columns.same(it, name));
        let name = all.find(has)?.clone();
        let is_key = now.key.contains(pair);
        Some((name, new.name.clone(), place(old)?, is_key))
    };
    let shown: Vec<_> = now.columns.iter().filter_map(shown).collect();
    let (of_table, of_view) = (session.quote(&now.table), session.quote(view));
    let mut missing = |pairs: &[&(String, String, usize, bool)]| -> anyhow::Result<u64> {
        let list = |name: fn(&(String, String, usize, bool)) -> &String| {
            let list = pairs.iter().enumerate();
            let list = list.map(|(at, pair)| format!("{} AS c{at}", session.exact(name(pair))));
            list.collect::<Vec<_>>().join(", ")
        };
        let (table, shown) = (list(|pair| &pair.1), list(|pair| &pair.0));
        let rows = session.rows(&format!(
            "SELECT count(*) FROM (SELECT {table} FROM {of_table} EXCEPT SELECT {shown} FROM {of_view}) AS gone"
        ));
        let rows = rows.map_err(|error| unknown(error, view))?;
        Ok(rows[0][0].to_string().parse()?)
    };
    let mut compared = Compared {
        before,
        columns: vec![ComparedColumn::default(); was.columns.len()],
        ..Compared::default()
    };
    let key: Vec<_> = shown.iter().filter(|pair| pair.3).collect();
    let keyed = !key.is_empty() && key.len() == now.key.len();
    if !shown.is_empty() && keyed && missing(&key)? == 0 {
        for pair in &shown {
            let other = missing(&[&key[..], &[pair][..]].concat())?;
            if let Some(column) = compared.columns.get_mut(pair.2) {
                (column.changed, column.filled) = (other.min(before), before);
            }
        }
        return Ok(compared);
    }
    if !shown.is_empty() {
        compared.missing = missing(&shown.iter().collect::<Vec<_>>())?.min(before);
    }
    // Rows that are alike are counted.
    let rows = session.rows(&format!("SELECT count(*) FROM {of_view}"))?;
    let rows: u64 = rows[0][0].to_string().parse()?;
    compared.missing = compared.missing.max(before.saturating_sub(rows));
    Ok(compared)
}

/// The losses of a table without rows of its own, whose parts are compared with what they were, where a view
/// has its name now.
pub(super) fn of_parted(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    was: &Shape,
    (before, after): (Tables<'_>, Tables<'_>),
) -> anyhow::Result<Vec<Lost>> {
    let Some(view) = in_place_of(session, intent, was, (before, after))? else {
        return Ok(Vec::new());
    };
    let Some(now) = preserve::successor(was, before, after, &intent.renames) else {
        return Ok(Vec::new());
    };
    let rows = format!("SELECT count(*) FROM {}", session.quote(&now.table));
    let rows: u64 = session.rows(&rows)?[0][0].to_string().parse()?;
    let shown = compare(session, was, &view, &now, rows)?;
    Ok(preserve::lost(was, Some(&now), &shown, before))
}

/// MySQL knows EXCEPT from 8.0.31 on.
fn unknown(error: anyhow::Error, view: &str) -> anyhow::Error {
    if !format!("{error:#}").contains("error in your SQL syntax") {
        return error;
    }
    CliError::unreachable(format!(
        "the view `{view}` replaces a table, and can't be compared with it: this server has no EXCEPT"
    ))
    .hint("use MySQL 8.0.31, MariaDB 10.3 or newer; or give the view a new name")
    .into()
}
