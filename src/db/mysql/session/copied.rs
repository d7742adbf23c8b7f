//! Rows and values of the users' that a file took away, as it acknowledges, and that are found again
//! in what the run made: from then on these are the users'.

use super::held::{Held, Move};
use super::sameness::equal;
use super::{MySql, compare, quoted, sameness};
use crate::db::session::witness::Copies;
use crate::db::session::{OWN, Session as _};
use crate::model::{Shape, ShapeColumn, Successor};
use std::collections::BTreeSet;

/// So long a value is not a default that is equal by chance.
const LONG: usize = 16;

/// Notes what a file took from a table.
pub(super) fn note(
    session: &mut MySql,
    copies: &mut Copies,
    moved: &Move,
    held: &Held,
) -> anyhow::Result<()> {
    let all = held
        .columns
        .iter()
        .map(|column| format!("a.{}", quoted(&column.name)));
    let all: Vec<_> = all.collect();
    let (gone, left, from) = match &moved.successor {
        Some(successor) if compare::is_key(session, &quoted(&successor.table), successor)? => {
            let missing = format!("b.{} IS NULL", quoted(&successor.key[0].1.name));
            let lost = lost(held, successor);
            let list = |when_lost: bool| -> Vec<_> {
                let columns = all.iter().zip(&lost);
                let value = |(column, lost): (&String, &String)| {
                    let (yes, no) = if when_lost {
                        (column.as_str(), "NULL")
                    } else {
                        ("NULL", column.as_str())
                    };
                    format!("IF({missing} OR {lost}, {yes}, {no})")
                };
                columns.map(value).collect()
            };
            let from = format!(
                "{} AS a LEFT JOIN {} AS b ON {} WHERE {missing} OR {}",
                held.table,
                quoted(&successor.table),
                joined(successor),
                if lost.is_empty() {
                    "FALSE".to_owned()
                } else {
                    lost.join(" OR ")
                }
            );
            (list(true), list(false), from)
        }
        // Which of them went is not known.
        Some(_) | None => (all, Vec::new(), format!("{} AS a", held.table)),
    };
    let list: Vec<_> = gone.iter().chain(&left).map(String::as_str).collect();
    if list.is_empty() {
        return Ok(());
    }
    for row in session.rows(&format!("SELECT {} FROM {from}", list.join(", ")))? {
        let (gone, left) = row.split_at(gone.len());
        copies.add(gone, left);
    }
    Ok(())
}

/// For each column that is kept whether its value is another one now.
fn lost(held: &Held, successor: &Successor) -> Vec<String> {
    let of = |column: &ShapeColumn| {
        let mut pairs = successor.columns.iter();
        let pair = pairs.find(|(old, _)| old == column);
        match pair {
            None => format!("a.{} IS NOT NULL", quoted(&column.name)),
            Some((old, new)) => {
                let (a, b) = (sameness::of("a", old), sameness::of("b", new));
                format!(
                    "({a} IS NOT NULL AND NOT coalesce({}, FALSE))",
                    equal((&a, old), (&b, new))
                )
            }
        }
    };
    held.columns.iter().map(of).collect()
}

fn joined(successor: &Successor) -> String {
    let on = successor.key.iter();
    let on: Vec<_> = on.map(|pair| sameness::joined("a", "b", pair)).collect();
    on.join(" AND ")
}

/// The columns that the run added to a table and that hold values which went from other ones of it.
pub(super) fn columns(
    session: &mut MySql,
    (moved, successor): (&Move, &Successor),
    held: &Held,
) -> anyhow::Result<BTreeSet<String>> {
    let tables = session.catalog()?;
    let now = tables.iter().find(|it| it.name == successor.table);
    let is_new = |name: &str| successor.columns.iter().all(|(_, new)| new.name != name);
    let new = now.into_iter().flat_map(|now| &now.columns);
    let new: Vec<_> = new
        .map(|it| it.name.clone())
        .filter(|it| is_new(it))
        .collect();
    if new.is_empty() || moved.is_whole && successor.columns.len() == held.columns.len() {
        return Ok(BTreeSet::new());
    }
    let table = quoted(&successor.table);
    if !compare::is_key(session, &table, successor)? {
        return Ok(new.into_iter().collect());
    }
    let lost = lost(held, successor);
    let mut found = BTreeSet::new();
    for name in new {
        let bytes = |side: &str, name: &str| format!("CAST({side}.{} AS BINARY)", quoted(name));
        let copied = held.columns.iter().zip(&lost).map(|(column, lost)| {
            format!(
                "({lost} AND {} = {})",
                bytes("a", &column.name),
                bytes("b", &name)
            )
        });
        let sql = format!(
            "SELECT 1 FROM {0} AS a JOIN {table} AS b ON {1} WHERE {2} HAVING count(DISTINCT {3}) > 1 \
             OR max(length({3}) >= {LONG})",
            held.table,
            joined(successor),
            copied.collect::<Vec<_>>().join(" OR "),
            bytes("b", &name)
        );
        // The same short value in all rows is a default that is equal by chance.
        if !session.rows(&sql)?.is_empty() {
            found.insert(name);
        }
    }
    Ok(found)
}

/// The tables that have such rows, among those that the run made or put rows into.
pub(super) fn tables(session: &mut MySql, copies: &Copies) -> anyhow::Result<Vec<Shape>> {
    let mut found = Vec::new();
    for shape in session.catalog()? {
        if shape.parted || OWN.contains(&shape.name.as_str()) {
            continue;
        }
        let list: Vec<_> = shape
            .columns
            .iter()
            .map(|it| format!("b.{}", quoted(&it.name)))
            .collect();
        let table = quoted(&shape.name);
        let held = session
            .images
            .as_ref()
            .and_then(|images| images.held(&shape.name));
        let from = match held {
            // As it was when the run began, which no file could reach.
            None if session
                .images
                .as_ref()
                .is_some_and(|it| it.is_older(&shape.name)) =>
            {
                continue;
            }
            None => format!("{table} AS b"),
            Some((_, key)) if key.is_empty() => format!("{table} AS b"),
            Some((kept, key)) => {
                let on = key.iter().map(|it| format!("a.{0} = b.{0}", quoted(it)));
                let on = on.collect::<Vec<_>>().join(" AND ");
                format!(
                    "{table} AS b LEFT JOIN {kept} AS a ON {on} WHERE a.{} IS NULL",
                    quoted(&key[0])
                )
            }
        };
        if list.is_empty() {
            continue;
        }
        let rows = session.rows(&format!("SELECT {} FROM {from}", list.join(", ")))?;
        if copies.have(&rows) {
            found.push(shape);
        }
    }
    Ok(found)
}
