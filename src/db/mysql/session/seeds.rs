//! Rows that a run put into tables of before it: what they are known by, so that they are the run's also
//! after a stop.

use super::{MySql, quoted, text_literal};
use crate::db::session::{OWN, Placed, PlacedRows, Seeds, Session as _};
use crate::model::{Shape, ShapeColumn};
use std::collections::BTreeSet;

/// More rows of a table than this are the users' after a stop.
const MOST: usize = 1000;

/// A digest of the values of these columns.
fn digest(side: &str, columns: &[&ShapeColumn]) -> String {
    let values = columns.iter().map(|column| {
        let name = format!("{side}.{}", quoted(&column.name));
        let bytes = if column.declared.starts_with("timestamp") {
            // The text of a time depends on the zone that a session has.
            format!("unix_timestamp({name})")
        } else {
            format!("CAST({name} AS BINARY)")
        };
        format!("coalesce(hex({bytes}), '-')")
    });
    let values: Vec<_> = values.collect();
    format!("md5(concat_ws(',', {}))", values.join(", "))
}

fn is_clock(column: &ShapeColumn) -> bool {
    let declared = column.declared.as_str();
    declared.starts_with("timestamp") || declared.starts_with("datetime")
}

fn is_binary(column: &ShapeColumn) -> bool {
    let kinds = ["binary", "varbinary", "bit"];
    kinds.iter().any(|kind| column.declared.starts_with(kind)) || column.declared.contains("blob")
}

/// The rows of the tables of before that are not kept, which therefore the run put there.
pub(super) fn placed(session: &mut MySql) -> anyhow::Result<Placed> {
    let Some(images) = &session.images else {
        return Ok(Placed::default());
    };
    let (names, taken, since) = (images.kept(), images.taken.clone(), images.since.clone());
    let mut rows = Vec::new();
    for shape in session.catalog()? {
        let held = session
            .images
            .as_ref()
            .and_then(|images| images.held(&shape.name));
        let (true, Some((kept, key))) = (names.contains(&shape.name), held) else {
            continue;
        };
        if let Some(found) = of_table(session, &shape, (&kept, &key), &since)? {
            rows.push(found);
        }
    }
    Ok(Placed { rows, taken })
}

fn of_table(
    session: &mut MySql,
    shape: &Shape,
    (kept, key): (&str, &[String]),
    since: &str,
) -> anyhow::Result<Option<PlacedRows>> {
    let key_columns = key
        .iter()
        .map(|name| shape.columns.iter().find(|it| it.name == *name));
    let Some(key_columns) = key_columns.collect::<Option<Vec<_>>>() else {
        return Ok(None);
    };
    let is_own = OWN.contains(&shape.name.as_str());
    if is_own || key.is_empty() || shape.key != key || key_columns.iter().any(|it| is_binary(it)) {
        return Ok(None);
    }
    let on = key.iter().map(|it| format!("a.{0} = b.{0}", quoted(it)));
    let from = format!(
        "{} AS b LEFT JOIN {kept} AS a ON {} WHERE a.{} IS NULL",
        quoted(&shape.name),
        on.collect::<Vec<_>>().join(" AND "),
        quoted(&key[0])
    );
    // What the server's clock wrote is another time in the database itself.
    let mut clocks = Vec::new();
    for column in shape
        .columns
        .iter()
        .filter(|it| is_clock(it) && !key.contains(&it.name))
    {
        let name = format!("b.{}", quoted(&column.name));
        let is_later = format!(
            "SELECT count({name}) > 0 AND coalesce(sum({name} < '{since}'), 0) = 0 FROM {from}"
        );
        if session.rows(&is_later)?[0][0].text() == Some("1") {
            clocks.push(column.name.clone());
        }
    }
    let columns: Vec<_> = shape
        .columns
        .iter()
        .filter(|it| !clocks.contains(&it.name))
        .collect();
    if columns.len() == key.len() && !clocks.is_empty() {
        // Somebody else's row could be like it.
        return Ok(None);
    }
    let list = key.iter().map(|it| format!("b.{}", quoted(it)));
    let list: Vec<_> = list.chain([digest("b", &columns)]).collect();
    let found = session.rows(&format!(
        "SELECT {} FROM {from} LIMIT {}",
        list.join(", "),
        MOST + 1
    ))?;
    if found.is_empty() || found.len() > MOST {
        return Ok(None);
    }
    let mut rows = PlacedRows {
        table: shape.name.clone(),
        key: key.to_vec(),
        columns: columns.iter().map(|it| it.name.clone()).collect(),
        clocks,
        since: since.to_owned(),
        ..PlacedRows::default()
    };
    for row in found {
        let words: Vec<_> = row.iter().map(ToString::to_string).collect();
        let (digest, key) = words.split_last().unwrap_or((&words[0], &[]));
        rows.digests.push(digest.clone());
        rows.keys.push(key.to_vec());
    }
    Ok(Some(rows))
}

/// The same rows in the database itself. One that has another value was put there by somebody else.
pub(super) fn found(session: &mut MySql, rows: &PlacedRows) -> anyhow::Result<Option<Seeds>> {
    let Some(shape) = called(session, &rows.table)? else {
        return Ok(None);
    };
    let column = |name: &String| shape.columns.iter().find(|it| it.name == *name);
    let columns: Option<Vec<_>> = rows.columns.iter().map(column).collect();
    let Some(columns) = columns.filter(|it| it.len() + rows.clocks.len() == shape.columns.len())
    else {
        return Ok(None);
    };
    let keys = rows.keys.iter().map(|key| {
        let values: Vec<_> = key.iter().map(|it| text_literal(it)).collect();
        format!("({})", values.join(", "))
    });
    let key: Vec<_> = rows
        .key
        .iter()
        .map(|it| format!("t.{}", quoted(it)))
        .collect();
    let digests = rows.digests.iter().map(|it| format!("'{it}'"));
    let clocks = rows.clocks.iter().map(|it| {
        let name = format!("t.{}", quoted(it));
        format!(" AND ({name} IS NULL OR {name} >= '{}')", rows.since)
    });
    let all: Vec<_> = shape.columns.iter().collect();
    let found = session.seen(&format!(
        "SELECT {} FROM {} AS t WHERE ({}) IN ({}) AND {} IN ({}){}",
        digest("t", &all),
        quoted(&rows.table),
        key.join(", "),
        keys.collect::<Vec<_>>().join(", "),
        digest("t", &columns),
        digests.collect::<Vec<_>>().join(", "),
        clocks.collect::<String>()
    ))?;
    Ok((!found.is_empty()).then(|| Seeds {
        columns: all.iter().map(|it| it.name.clone()).collect(),
        rows: found
            .iter()
            .map(|row| row[0].to_string())
            .collect::<BTreeSet<_>>(),
    }))
}

/// The condition that leaves these rows out.
pub(super) fn but(session: &mut MySql, table: &str, seeds: &Seeds) -> anyhow::Result<String> {
    let Some(shape) = called(session, table)? else {
        return Ok(String::new());
    };
    let column = |name: &String| shape.columns.iter().find(|it| it.name == *name);
    let columns: Option<Vec<_>> = seeds.columns.iter().map(column).collect();
    let Some(columns) = columns.filter(|_| !seeds.rows.is_empty()) else {
        return Ok(String::new());
    };
    let rows: Vec<_> = seeds.rows.iter().map(|it| format!("'{it}'")).collect();
    Ok(format!(
        " WHERE {} NOT IN ({})",
        digest(&quoted(table), &columns),
        rows.join(", ")
    ))
}

fn called(session: &mut MySql, table: &str) -> anyhow::Result<Option<Shape>> {
    let mut all = session.catalog()?.into_iter();
    Ok(all.find(|shape| shape.name == table))
}
