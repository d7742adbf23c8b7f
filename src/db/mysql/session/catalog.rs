//! What the catalogue says of every table.

use super::{MySql, text_literal};
use crate::db::session::Session as _;
use crate::model::{Cell, Shape, ShapeColumn};
use std::collections::BTreeMap;

/// Engines that roll nothing back.
const LOOSE: [&str; 4] = ["MyISAM", "Aria", "CSV", "ARCHIVE"];

/// All tables, or those of these names: the server opens each one that it tells of.
pub(super) fn of(session: &mut MySql, only: Option<&[&str]>) -> anyhow::Result<Vec<Shape>> {
    if only.is_some_and(<[_]>::is_empty) {
        return Ok(Vec::new());
    }
    let named = only.map_or_else(String::new, |names| {
        let names: Vec<_> = names.iter().map(|name| text_literal(name)).collect();
        format!(" AND table_name IN ({})", names.join(", "))
    });
    // The view that tells of keys opens every table of the server.
    let [tables, columns, keys] = session.several(&[
        format!(
            "table_name, coalesce(engine, ''), table_type FROM information_schema.tables \
             WHERE table_schema = database() AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED'){named}"
        ),
        // Generated columns are made from the others.
        format!(
            "table_name, column_name, column_type, coalesce(generation_expression, ''), coalesce(extra, '') FROM information_schema.columns \
             WHERE table_schema = database(){named} ORDER BY table_name, ordinal_position"
        ),
        format!(
            "table_name, column_name FROM information_schema.statistics \
             WHERE table_schema = database() AND index_name = 'PRIMARY'{named} ORDER BY table_name, seq_in_index"
        ),
    ])?;
    let tables: BTreeMap<_, _> = tables
        .iter()
        .map(|row| (row[0].to_string(), (row[1].to_string(), row[2].to_string())))
        .collect();
    let mut shapes: BTreeMap<String, Shape> = BTreeMap::new();
    for row in &columns {
        let (table, column) = (row[0].to_string(), row[1].to_string());
        let Some((engine, kind)) = tables.get(&table) else {
            continue;
        };
        let is_versioned = kind == "SYSTEM VERSIONED";
        let shape = shapes.entry(table.clone()).or_insert_with(|| Shape {
            name: table.clone(),
            schema: session.database.clone(),
            table,
            bare: true,
            // It has the rows of the tables that it is made of.
            parted: engine == "MRG_MyISAM",
            volatile: engine == "MEMORY",
            loose: LOOSE.iter().any(|it| engine.eq_ignore_ascii_case(it)),
            // What these are called where no column is said to be one.
            period: is_versioned.then(|| ("row_start".to_owned(), "row_end".to_owned())),
            ..Shape::default()
        });
        let declared = row[2].to_string();
        if row[4].to_string().to_uppercase().contains("INVISIBLE") {
            shape.unshown.push(column.clone());
        }
        match (row[3].text().unwrap_or_default(), &mut shape.period) {
            ("", _) => shape.columns.push(ShapeColumn {
                id: None,
                name: column,
                declared,
            }),
            // Numbers of transactions mean nothing in a copy.
            ("ROW START", period) if !declared.starts_with("timestamp") => {
                *period = None;
                shape.numbered = true;
            }
            ("ROW START", Some((start, _))) => *start = column,
            ("ROW END", Some((_, end))) => *end = column,
            _ => {}
        }
    }
    for row in &keys {
        if let Some(shape) = shapes.get_mut(&row[0].to_string()) {
            shape.key.push(row[1].to_string());
        }
    }
    Ok(shapes.into_values().collect())
}

/// The view that has the name of a table which is gone. It is compared as a table is.
pub(super) fn view_in_place(session: &mut MySql, gone: &Shape) -> anyhow::Result<Option<Shape>> {
    let name = text_literal(&gone.table);
    let rows = session.rows(&format!(
        "SELECT c.table_name, c.column_name, c.column_type FROM information_schema.views AS v \
         JOIN information_schema.columns AS c ON c.table_schema = v.table_schema AND c.table_name = v.table_name \
         WHERE v.table_schema = database() AND v.table_name = {name} ORDER BY c.ordinal_position"
    ))?;
    let Some(first) = rows.first() else {
        return Ok(None);
    };
    let name = first[0].to_string();
    let column = |row: &Vec<Cell>| ShapeColumn {
        id: None,
        name: row[1].to_string(),
        declared: row[2].to_string(),
    };
    Ok(Some(Shape {
        schema: gone.schema.clone(),
        name: name.clone(),
        table: name,
        bare: true,
        columns: rows.iter().map(column).collect(),
        ..Shape::default()
    }))
}

/// The names of a view's columns.
pub(super) fn shown(session: &mut MySql, view: &str) -> anyhow::Result<Vec<String>> {
    let rows = session.rows(&format!(
        "SELECT column_name FROM information_schema.columns WHERE table_schema = database() AND table_name = {}",
        text_literal(view)
    ))?;
    Ok(rows.iter().map(|row| row[0].to_string()).collect())
}
