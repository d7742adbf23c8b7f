//! Comparing a table with a copy of what it was, row by row, in one pass.

use super::Postgres;
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

/// Puts a copy of a table aside, in one that only this connection sees. Nobody else writes the
/// table from here on, so that what differs later is the migration's doing.
pub(super) fn put_aside(
    session: &mut Postgres,
    number: usize,
    shape: &Shape,
) -> Result<(), Failed> {
    let table = session.quote(&shape.name);
    // A copy of a type that the user made would keep the migration from dropping it.
    let list: Vec<_> = shape
        .columns
        .iter()
        .map(|column| match is_built_in(column) {
            true => quoted(&column.name),
            false => format!("{0}::text AS {0}", quoted(&column.name)),
        })
        .collect();
    session.command(&format!(
        "LOCK TABLE ONLY {table} IN SHARE ROW EXCLUSIVE MODE"
    ))?;
    session.command(&format!(
        "CREATE TEMP TABLE {} AS SELECT {} FROM ONLY {table}",
        aside(number),
        list.join(", ")
    ))
}

/// Compares a table with the copy that was put aside.
pub(super) fn compare(
    session: &mut Postgres,
    number: usize,
    shape: &Shape,
    successor: Option<&Successor>,
) -> anyhow::Result<Compared> {
    let was = format!("pg_temp.{}", aside(number));
    let Some(successor) = successor else {
        return Ok(compared(
            &session
                .rows(&format!("SELECT count(*) FROM {was}"))?
                .remove(0),
        ));
    };
    let now = session.from(&successor.table);
    if !is_key(session, &now, successor)? {
        return as_wholes(session, (&was, &now), shape, successor);
    }
    let on: Vec<_> = successor.key.iter().map(same).collect();
    let on = on.join(" AND ");
    let there = format!("b.{} IS NOT NULL", quoted(&successor.key[0].1.name));
    let counts: Vec<_> = shape
        .columns
        .iter()
        .map(|column| {
            let filled = format!("count(a.{})", quoted(&column.name));
            let pair = successor.columns.iter().find(|(old, _)| old == column);
            let Some((old, new)) = pair else {
                return format!("{filled}, 0, 0");
            };
            let (a, b) = (
                format!("a.{}", quoted(&old.name)),
                format!("b.{}", quoted(&new.name)),
            );
            format!(
                "{filled}, count(*) FILTER (WHERE {there} AND {a} IS NOT NULL AND {b} IS NULL), \
                 count(*) FILTER (WHERE {there} AND {a} IS NOT NULL AND {b} IS NOT NULL AND {})",
                differs(&a, &b)
            )
        })
        .collect();
    let sql = format!(
        "SELECT count(*), count(*) FILTER (WHERE NOT ({there})), {} FROM {was} AS a LEFT JOIN {now} AS b ON {on}",
        counts.join(", ")
    );
    let mut compared = compared(&session.rows(&sql)?.remove(0));
    for (index, column) in shape.columns.iter().enumerate() {
        let pair = successor.columns.iter().find(|(old, _)| old == column);
        let Some((old, new)) = pair.filter(|(old, new)| old.declared != new.declared) else {
            continue;
        };
        if compared.columns[index].changed > 0 {
            let from = format!("{was} AS a JOIN {now} AS b ON {on}");
            if let Some(changed) = in_other_type(session, &from, (old, new))? {
                compared.columns[index].changed = changed;
            }
        }
    }
    Ok(compared)
}

/// Whether a type is one of the engine's own that compare with `=`. A user's type may have the name
/// of none of them: `format_type` writes its schema or its quotes.
fn is_built_in(column: &ShapeColumn) -> bool {
    const OWN: [&str; 20] = [
        "bigint",
        "boolean",
        "bytea",
        "character",
        "date",
        "double precision",
        "inet",
        "integer",
        "interval",
        "json",
        "jsonb",
        "name",
        "numeric",
        "oid",
        "real",
        "smallint",
        "text",
        "time",
        "timestamp",
        "uuid",
    ];
    let bare = column.declared.split(['(', '[']).next().unwrap_or_default();
    let first = bare.split(' ').next().unwrap_or_default();
    OWN.contains(&bare) || OWN.contains(&first)
}

/// By bytes of the text form: what a collation or a scale calls equal may still differ.
fn differs(a: &str, b: &str) -> String {
    format!("{a}::text COLLATE \"C\" <> {b}::text COLLATE \"C\"")
}

fn same((old, new): &(ShapeColumn, ShapeColumn)) -> String {
    let (a, b) = (
        format!("a.{}", quoted(&old.name)),
        format!("b.{}", quoted(&new.name)),
    );
    match old.declared == new.declared && is_built_in(old) {
        true => format!("{b} = {a}"),
        false => format!("{} = {}", common(&b, (new, old)), common(&a, (old, new))),
    }
}

/// A value in a form that it has in both types: the text, or that of a number without its scale, or
/// of a time in UTC.
fn common(value: &str, (own, other): (&ShapeColumn, &ShapeColumn)) -> String {
    if own.declared != other.declared && are(own, other, &NUMBERS) {
        format!("trim_scale({})::text", number(value, own))
    } else if own.declared != other.declared && are(own, other, &TIMES) {
        format!("{value}::timestamptz::text")
    } else {
        format!("{value}::text COLLATE \"C\"")
    }
}

const NUMBERS: [&str; 6] = ["smallint", "integer", "bigint", "numeric", "real", "double"];
const TIMES: [&str; 2] = ["timestamp", "date"];
const DOCUMENTS: [&str; 1] = ["json"];
const TEXTS: [&str; 2] = ["text", "character"];

fn is(column: &ShapeColumn, names: &[&str]) -> bool {
    names.iter().any(|name| column.declared.starts_with(name))
}

fn are(old: &ShapeColumn, new: &ShapeColumn, names: &[&str]) -> bool {
    is(old, names) && is(new, names)
}

/// A number with all its digits: a cast of a float to numeric would round it, its shortest text
/// does not.
fn number(value: &str, column: &ShapeColumn) -> String {
    match is(column, &["real", "double"]) {
        true => format!("{value}::text::numeric"),
        false => format!("{value}::numeric"),
    }
}

/// Values that are other ones where the text differs only since the type does: a number with
/// another scale, a time with its zone, a document with other spaces. Absent when nothing is known
/// of the two types.
fn in_other_type(
    session: &mut Postgres,
    from: &str,
    (old, new): (&ShapeColumn, &ShapeColumn),
) -> anyhow::Result<Option<u64>> {
    let (a, b) = (
        format!("a.{}", quoted(&old.name)),
        format!("b.{}", quoted(&new.name)),
    );
    let kept = if are(old, new, &["real", "double"]) {
        format!("{a}::float8 = {b}::float8")
    } else if are(old, new, &NUMBERS) {
        format!("{} = {}", number(&a, old), number(&b, new))
    } else if are(old, new, &TIMES) {
        format!("{a}::timestamptz = {b}::timestamptz")
    } else if are(old, new, &DOCUMENTS) {
        format!("{a}::jsonb = {b}::jsonb")
    } else if is(old, &TEXTS) && is(new, &DOCUMENTS) {
        format!("({b} #>> '{{}}' = {a} OR {a}::jsonb = {b}::jsonb)")
    } else if is(old, &TEXTS) && is(new, &["uuid"]) {
        format!("{a}::uuid = {b}")
    } else if is(old, &TEXTS) && is(new, &["timestamp with time zone"]) {
        format!("{a}::timestamptz = {b}")
    } else {
        return Ok(None);
    };
    // A cast that fails must not end the run.
    session.command("SAVEPOINT chatctl_cast")?;
    let sql = format!(
        "SELECT count(*) FROM {from} WHERE {a} IS NOT NULL AND {b} IS NOT NULL AND {} AND NOT ({kept})",
        differs(&a, &b)
    );
    let counted = session.rows(&sql);
    session.command("ROLLBACK TO chatctl_cast")?;
    session.command("RELEASE chatctl_cast")?;
    Ok(counted.ok().map(|rows| numbers(&rows[0])[0]))
}

/// Whether the old key tells the rows apart still: a migration may take its constraint away.
fn is_key(session: &mut Postgres, now: &str, successor: &Successor) -> anyhow::Result<bool> {
    if successor.key.is_empty() || successor.keyed {
        return Ok(successor.keyed);
    }
    let new: Vec<_> = successor
        .key
        .iter()
        .map(|(_, new)| quoted(&new.name))
        .collect();
    let twice = format!(
        "SELECT 1::text FROM {now} GROUP BY {} HAVING count(*) > 1 LIMIT 1",
        new.join(", ")
    );
    Ok(session.rows(&twice)?.is_empty())
}

/// Rows without a key are compared as a whole, and each as often as it stands there.
fn as_wholes(
    session: &mut Postgres,
    (was, now): (&str, &str),
    shape: &Shape,
    successor: &Successor,
) -> anyhow::Result<Compared> {
    let side = |turn: fn(&(ShapeColumn, ShapeColumn)) -> (&ShapeColumn, &ShapeColumn)| {
        let parts = successor.columns.iter().enumerate().map(|(index, pair)| {
            let (own, other) = turn(pair);
            format!(", {} AS v{index}", common(&quoted(&own.name), (own, other)))
        });
        parts.collect::<String>()
    };
    let places: Vec<_> = (0..successor.columns.len())
        .map(|index| format!("v{index}"))
        .collect();
    let missing = match places.is_empty() {
        true => 0,
        false => {
            let sql = format!(
                "SELECT coalesce(sum(greatest(n, 0)), 0)::text FROM (SELECT sum(side) AS n FROM \
                 (SELECT 1 AS side{} FROM {was} UNION ALL SELECT -1{} FROM {now}) AS both_sides GROUP BY {}) AS counted",
                side(|(old, new)| (old, new)),
                side(|(old, new)| (new, old)),
                places.join(", ")
            );
            numbers(&session.rows(&sql)?[0])[0]
        }
    };
    let counts: Vec<_> = shape
        .columns
        .iter()
        .map(|column| format!(", count({}), 0, 0", quoted(&column.name)))
        .collect();
    let row = session.rows(&format!("SELECT count(*), 0{} FROM {was}", counts.concat()))?;
    Ok(Compared {
        missing,
        ..compared(&row[0])
    })
}
