//! Which of the dropped objects of a table matter.

use crate::db::{Needs, Object, Session};
use crate::model::Shape;
use std::collections::{BTreeMap, BTreeSet};

/// Of objects that no statement drops by name: not those whose columns are gone as well, and which
/// nobody can create again.
pub(super) fn of<'a>(
    session: &mut dyn Session,
    mut gone: Vec<&'a Object>,
    (tables, now): (&[Shape], &BTreeSet<Object>),
) -> anyhow::Result<Vec<&'a Object>> {
    let mut columns: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for object in gone.iter().filter(|it| !it.columns.is_empty()) {
        if let Some(table) = called(tables, &object.table)
            && !columns.contains_key(object.table.as_str())
        {
            columns.insert(&object.table, session.shows(&table.name)?);
        }
    }
    gone.retain(|object| {
        let there = columns.get(object.table.as_str());
        let is_there = |column: &String| {
            there.is_none_or(|there| there.iter().any(|it| it.eq_ignore_ascii_case(column)))
        };
        object.needs() != Needs::Another
            && (object.columns.is_empty() || has_its_columns(object, is_there))
    });
    let all = gone.clone();
    gone.retain(|object| object.needs() != Needs::Others || is_of_more(object, &all, now));
    gone.retain(|object| !all.iter().any(|other| object.goes_with(other)));
    Ok(gone)
}

/// Whether the columns are there of which it would be made again. One that has got another name is
/// not, and what is made of several has its new name then.
fn has_its_columns(object: &Object, is_there: impl Fn(&String) -> bool) -> bool {
    let mut columns = object.columns.iter();
    if object.needs_each_column() {
        columns.all(is_there)
    } else {
        columns.any(is_there)
    }
}

/// Whether more than this one thing is gone from a table: all of a kind, or something of another.
fn is_of_more(object: &Object, gone: &[&Object], now: &BTreeSet<Object>) -> bool {
    let of_table = |it: &&&Object| it.table == object.table;
    let others = gone
        .iter()
        .filter(of_table)
        .any(|it| it.kind != object.kind);
    let same = gone
        .iter()
        .filter(of_table)
        .filter(|it| it.kind == object.kind);
    let is_left = now
        .iter()
        .any(|it| it.kind == object.kind && it.table.eq_ignore_ascii_case(&object.table));
    others || same.count() > 1 && !is_left
}

/// By its full name: another schema may have a table of the same name.
fn called<'a>(tables: &'a [Shape], name: &str) -> Option<&'a Shape> {
    tables.iter().find(|it| it.name == name)
}
