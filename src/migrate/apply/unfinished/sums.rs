//! Checksums that show whether a table or a column is unchanged.

use crate::db::Session;
use crate::model::{Cell, Shape};
use std::collections::BTreeMap;

/// What a table holds; none where it can't be read now, as under the locks of a file.
pub(super) fn of_table(session: &mut dyn Session, shape: &Shape) -> Option<String> {
    let table = session.quote(&shape.name);
    let both = session.seen(&format!(
        "SELECT count(*) FROM {table}; CHECKSUM TABLE {table} EXTENDED"
    ));
    match &both.ok()?[..] {
        [rows, sum] => Some(format!("{} {}", rows[0], sum[1])),
        _ => None,
    }
}

pub(super) fn is_empty(session: &mut dyn Session, shape: &Shape) -> anyhow::Result<bool> {
    let table = session.quote(&shape.name);
    let any = session.seen(&format!("SELECT 1 FROM {table} LIMIT 1"))?;
    Ok(any.is_empty())
}

/// Whether every row of a table has the default value in a column.
pub(super) fn is_default(session: &mut dyn Session, shape: &Shape, column: &str) -> bool {
    let (table, column) = (session.quote(&shape.name), session.quote(column));
    let other = format!("SELECT 1 FROM {table} WHERE NOT ({column} <=> DEFAULT({column})) LIMIT 1");
    // One that has no default can't be asked so.
    session.seen(&other).is_ok_and(|rows| rows.is_empty())
}

/// What each of these columns holds: the value that all rows have, or a sum over all rows with their
/// keys. Without those that can't be told.
pub(super) fn of_columns(
    session: &mut dyn Session,
    shape: &Shape,
    names: &[String],
) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    for column in &shape.columns {
        if names.contains(&column.name) && !shape.key.contains(&column.name) {
            let state = of_column(session, shape, &column.name);
            found.extend(state.map(|state| (column.name.clone(), state)));
        }
    }
    found
}

fn of_column(session: &mut dyn Session, shape: &Shape, name: &str) -> Option<String> {
    let table = session.quote(&shape.name);
    let declared = |name: &str| {
        let mut columns = shape.columns.iter();
        columns.find(|it| it.name == name).map(|it| &it.declared)
    };
    let bytes = |name: &str| {
        let quoted = session.quote(name);
        // The text of a time depends on the zone that a session has.
        match declared(name) {
            Some(it) if it.starts_with("timestamp") => format!("unix_timestamp({quoted})"),
            _ => format!("CAST({quoted} AS BINARY)"),
        }
    };
    let value = bytes(name);
    let keys = shape.key.iter().map(|name| format!("hex({})", bytes(name)));
    let keys: Vec<_> = keys.collect();
    let row = session
        .seen(&format!(
            "SELECT count(*), count({value}), hex(min({value})), hex(max({value})) FROM {table}"
        ))
        .ok()?
        .remove(0);
    let [all, filled, least, most] = &row[..] else {
        return None;
    };
    let word = |cell: &Cell| cell.to_string();
    if word(filled) == "0" {
        return Some("no value".to_owned());
    }
    if word(all) == word(filled) && word(least) == word(most) {
        return Some(format!("all {}", word(least)));
    }
    // Without a key it is not known which row has which value.
    if keys.is_empty() {
        return None;
    }
    let sum = session
        .seen(&format!(
            "SELECT coalesce(bit_xor(conv(left(md5(concat_ws(',', {}, coalesce(hex({value}), '-'))), 15), 16, 10) + 0), 0) FROM {table}",
            keys.join(", ")
        ))
        .ok()?;
    Some(format!("{} {} {}", word(all), word(filled), sum[0][0]))
}
