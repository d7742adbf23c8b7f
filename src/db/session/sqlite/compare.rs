//! Comparing a table with a copy of what it was, row by row and byte by byte, in one pass.

use super::Sqlite;
use super::quoted;
use crate::db::session::Failed;
use crate::db::session::Session as _;
use crate::db::session::aside;
use crate::db::session::compared;
use crate::db::session::numbers;
use crate::model::Compared;
use crate::model::Shape;
use crate::model::ShapeColumn;
use crate::model::Successor;

/// Puts a copy of a table aside, in one that only this connection sees.
pub(super) fn put_aside(session: &mut Sqlite, number: usize, shape: &Shape) -> Result<(), Failed> {
    let list: Vec<_> = shape
        .columns
        .iter()
        .map(|column| quoted(&column.name))
        .collect();
    session.command(&format!(
        "CREATE TEMP TABLE {} AS SELECT {} FROM {}",
        aside(number),
        list.join(", "),
        session.quote(&shape.name)
    ))
}

/// Compares a table with the copy that was put aside.
pub(super) fn compare(
    session: &mut Sqlite,
    number: usize,
    shape: &Shape,
    successor: Option<&Successor>,
) -> anyhow::Result<Compared> {
    let was = format!("temp.{}", aside(number));
    let filled = |column: &ShapeColumn| format!("count(a.{})", quoted(&column.name));
    let Some(successor) = successor else {
        return Ok(compared(
            &session
                .rows(&format!("SELECT count(*) FROM {was}"))?
                .remove(0),
        ));
    };
    let now = session.quote(&successor.table);
    if !is_key(session, &was, &now, successor)? {
        return as_wholes(session, &was, &now, (shape, successor));
    }
    let on: Vec<_> = successor
        .key
        .iter()
        .map(|(old, new)| format!("b.{} = a.{}", quoted(&new.name), quoted(&old.name)))
        .collect();
    let there = format!("b.{} IS NOT NULL", quoted(&successor.key[0].1.name));
    let counts = shape.columns.iter().map(|column| {
        let pair = successor.columns.iter().find(|(old, _)| old == column);
        let Some((old, new)) = pair else {
            return format!("{}, 0, 0", filled(column));
        };
        let (a, b) = (
            format!("a.{}", quoted(&old.name)),
            format!("b.{}", quoted(&new.name)),
        );
        // A unary plus takes the affinity away, so that a text is compared with a text. In another
        // type a value is the same when it reads the same, or is the same number.
        let other_type = match old.declared == new.declared {
            true => "true".to_owned(),
            false => format!("+{a} <> +{b} AND CAST({a} AS TEXT) <> CAST({b} AS TEXT)"),
        };
        format!(
            "{}, coalesce(sum({there} AND {a} IS NOT NULL AND {b} IS NULL), 0), \
             coalesce(sum({there} AND {a} IS NOT NULL AND {b} IS NOT NULL \
             AND (typeof({a}) <> typeof({b}) OR +{a} <> +{b} COLLATE BINARY) AND ({other_type})), 0)",
            filled(column)
        )
    });
    let counts: Vec<_> = counts.collect();
    let sql = format!(
        "SELECT count(*), coalesce(sum(NOT ({there})), 0), {} FROM {was} AS a LEFT JOIN {now} AS b ON {}",
        counts.join(", "),
        on.join(" AND ")
    );
    Ok(compared(&session.rows(&sql)?.remove(0)))
}

/// Whether the old key tells the rows apart on both sides: SQLite lets a key be NULL, and a
/// migration may take the key's constraint away.
fn is_key(
    session: &mut Sqlite,
    was: &str,
    now: &str,
    successor: &Successor,
) -> anyhow::Result<bool> {
    if successor.key.is_empty() {
        return Ok(false);
    }
    let nulls: Vec<_> = successor
        .key
        .iter()
        .map(|(old, _)| format!("{} IS NULL", quoted(&old.name)))
        .collect();
    let nulls = format!("SELECT 1 FROM {was} WHERE {} LIMIT 1", nulls.join(" OR "));
    if !session.rows(&nulls)?.is_empty() {
        return Ok(false);
    }
    if successor.keyed {
        return Ok(true);
    }
    let new: Vec<_> = successor
        .key
        .iter()
        .map(|(_, new)| quoted(&new.name))
        .collect();
    let twice = format!(
        "SELECT 1 FROM {now} GROUP BY {} HAVING count(*) > 1 LIMIT 1",
        new.join(", ")
    );
    Ok(session.rows(&twice)?.is_empty())
}

/// Rows without a key are compared as a whole, and each as often as it stands there.
fn as_wholes(
    session: &mut Sqlite,
    was: &str,
    now: &str,
    (shape, successor): (&Shape, &Successor),
) -> anyhow::Result<Compared> {
    let side = |name: fn(&(ShapeColumn, ShapeColumn)) -> &ShapeColumn| {
        let parts = successor.columns.iter().enumerate().map(|(index, pair)| {
            let column = quoted(&name(pair).name);
            format!("typeof({column}) AS t{index}, +{column} AS v{index}")
        });
        parts.collect::<Vec<_>>().join(", ")
    };
    let places = (0..successor.columns.len())
        .map(|index| format!("t{index}, v{index} COLLATE BINARY"))
        .collect::<Vec<_>>();
    let missing = match successor.columns.is_empty() {
        true => vec![vec![crate::model::Cell::Int(0)]],
        false => session.rows(&format!(
            "SELECT coalesce(sum(max(n, 0)), 0) FROM (SELECT sum(side) AS n FROM \
             (SELECT 1 AS side, {} FROM {was} UNION ALL SELECT -1, {} FROM {now}) GROUP BY {})",
            side(|pair| &pair.0),
            side(|pair| &pair.1),
            places.join(", ")
        ))?,
    };
    let counts: Vec<_> = shape
        .columns
        .iter()
        .map(|column| format!(", count({}), 0, 0", quoted(&column.name)))
        .collect();
    let row = session.rows(&format!("SELECT count(*), 0{} FROM {was}", counts.concat()))?;
    Ok(Compared {
        missing: numbers(&missing[0])[0],
        ..compared(&row[0])
    })
}
