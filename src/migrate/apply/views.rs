//! A view that has the name which a table had before: whoever reads by the name finds what it
//! shows.

use crate::cli_error::CliError;
use crate::db::{Object, Session};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::{Cell, Compared, ComparedColumn, On, Shape, ShapeColumn, Successor};
use crate::sql::{Dialect, Kind};

/// Whether a view has the name which a table had that is called something else now.
pub(super) fn has_name(
    session: &mut dyn Session,
    was: &Shape,
    now: &Shape,
) -> anyhow::Result<bool> {
    let is_it = |it: &Object| it.kind == "view" && it.name == was.name;
    Ok(was.name != now.name && session.objects()?.iter().any(is_it))
}

/// The view in the place of a table, where it takes no new rows.
pub(super) fn unwritable(
    session: &mut dyn Session,
    was: &Shape,
    (before, after): (Tables<'_>, Tables<'_>),
    dialect: Dialect,
) -> anyhow::Result<Option<Lost>> {
    let is_it = |it: &Object| it.kind == "view" && it.name == was.name;
    if was.whole.is_some()
        || after.namesake(was).is_some()
        || !session.objects()?.iter().any(is_it)
        || takes_rows(session, &was.name, dialect)?
    {
        return Ok(None);
    }
    Ok(Some(takes_none(was, before)))
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
        if is_it && !takes_rows(session, &view.name, intent.dialect)? {
            let was = Shape {
                name: view.name.clone(),
                table: view.name,
                bare: true,
                ..Shape::default()
            };
            lost.push(takes_none(&was, before));
        }
    }
    Ok(lost)
}

fn takes_none(was: &Shape, before: Tables<'_>) -> Lost {
    let words = format!(
        "`{}` is now a view that takes no new rows: an INSERT under this name fails",
        was.name
    );
    preserve::later(What::Unwritable, (was, None), words, before)
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

/// Compares a table with the view that has its former name, by the columns that are called as they
/// were: one that the view has not is an error that everybody sees.
pub(super) fn compare(
    session: &mut dyn Session,
    was: &Shape,
    now: &Successor,
    before: u64,
) -> anyhow::Result<Compared> {
    let (view, names) = (session.shows(&was.name)?, session.names());
    let is_shown = |(old, _): &&(ShapeColumn, ShapeColumn)| {
        let mut view = view.iter();
        view.any(|name| names.columns.same(name, &old.name))
    };
    let shown: Vec<_> = now.columns.iter().filter(is_shown).collect();
    let (of_table, of_view) = (session.quote(&now.table), session.quote(&was.name));
    let mut missing = |pairs: &[&(ShapeColumn, ShapeColumn)]| -> anyhow::Result<u64> {
        let list = |name: fn(&(ShapeColumn, ShapeColumn)) -> &String| {
            let list = pairs.iter().enumerate();
            let list = list.map(|(at, pair)| format!("{} AS c{at}", session.exact(name(pair))));
            list.collect::<Vec<_>>().join(", ")
        };
        let (table, view) = (list(|(_, new)| &new.name), list(|(old, _)| &old.name));
        let rows = session.rows(&format!(
            "SELECT count(*) FROM (SELECT {table} FROM {of_table} EXCEPT SELECT {view} FROM {of_view}) AS gone"
        ));
        let rows = rows.map_err(|error| unknown(error, &was.name))?;
        Ok(rows[0][0].to_string().parse()?)
    };
    let mut compared = Compared {
        before,
        columns: vec![ComparedColumn::default(); was.columns.len()],
        ..Compared::default()
    };
    let is_key = |pair: &&&(ShapeColumn, ShapeColumn)| now.key.contains(**pair);
    let key: Vec<_> = shown.iter().filter(is_key).copied().collect();
    let keyed = !key.is_empty() && key.len() == now.key.len();
    if !shown.is_empty() && keyed && missing(&key)? == 0 {
        for pair in &shown {
            let other = missing(&[&key[..], &[*pair][..]].concat())?;
            let place = was.columns.iter().position(|it| *it == pair.0);
            if let Some(column) = place.and_then(|place| compared.columns.get_mut(place)) {
                (column.changed, column.filled) = (other.min(before), before);
            }
        }
        return Ok(compared);
    }
    if !shown.is_empty() {
        compared.missing = missing(&shown)?.min(before);
    }
    // Rows that are alike are counted.
    let rows = session.rows(&format!("SELECT count(*) FROM {of_view}"))?;
    let rows: u64 = rows[0][0].to_string().parse()?;
    compared.missing = compared.missing.max(before.saturating_sub(rows));
    Ok(compared)
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
