//! A view that has the name which a table had before: whoever reads by the name finds what it
//! shows.

use crate::cli_error::CliError;
use crate::db::{Object, Session};
use crate::model::{Compared, ComparedColumn, Shape, ShapeColumn, Successor};

/// Whether a view has the name which a table had that is called something else now.
pub(super) fn has_name(
    session: &mut dyn Session,
    was: &Shape,
    now: &Shape,
) -> anyhow::Result<bool> {
    let is_it = |it: &Object| it.kind == "view" && it.name == was.name;
    Ok(was.name != now.name && session.objects()?.iter().any(is_it))
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
        "the view `{view}` has the name of a table, and can't be compared with it: this server has no EXCEPT"
    ))
    .hint("use MySQL 8.0.31, MariaDB 10.3 or newer; or give the view a name that no table had")
    .into()
}
