//! What the catalogue says of every table.

use super::{MySql, text_literal};
use crate::db::session::{
    COMPUTED, COUNTER, DEFAULT, FOREIGN_KEY, Object, Session as _, columns_of,
};
use crate::model::{Cell, Shape, ShapeColumn};
use std::collections::{BTreeMap, BTreeSet};

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

/// Every index, key, trigger and view, and what columns have of their own.
pub(super) fn objects(session: &mut MySql) -> anyhow::Result<BTreeSet<Object>> {
    let rows = session.rows(&format!(
        "SELECT 'index', index_name, table_name, group_concat(coalesce(column_name, '') ORDER BY seq_in_index SEPARATOR '\\n') FROM information_schema.statistics \
         WHERE table_schema = database() AND index_name <> 'PRIMARY' GROUP BY index_name, table_name \
         UNION ALL SELECT DISTINCT 'primary key', index_name, table_name, '' FROM information_schema.statistics WHERE table_schema = database() AND index_name = 'PRIMARY' \
         UNION ALL SELECT 'trigger', trigger_name, event_object_table, '' FROM information_schema.triggers WHERE trigger_schema = database() \
         UNION ALL SELECT 'view', table_name, table_name, '' FROM information_schema.views WHERE table_schema = database() \
         UNION ALL SELECT '{FOREIGN_KEY}', constraint_name, table_name, group_concat(column_name ORDER BY ordinal_position SEPARATOR '\\n') \
         FROM information_schema.key_column_usage WHERE table_schema = database() AND referenced_table_name IS NOT NULL GROUP BY constraint_name, table_name \
         UNION ALL SELECT '{COUNTER}', column_name, table_name, column_name FROM information_schema.columns \
         WHERE table_schema = database() AND extra LIKE '%auto_increment%' \
         UNION ALL SELECT '{DEFAULT}', c.column_name, c.table_name, c.column_name FROM information_schema.columns AS c \
         JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
         WHERE c.table_schema = database() AND t.table_type <> 'VIEW' AND (c.column_default <> 'NULL' OR c.extra LIKE '%on update%') \
         UNION ALL SELECT '{COMPUTED}', c.column_name, c.table_name, c.column_name FROM information_schema.columns AS c \
         JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
         WHERE c.table_schema = database() AND t.table_type <> 'VIEW' AND c.column_default REGEXP '^(current_timestamp|[a-z_]+[(])' \
         AND c.column_default NOT LIKE 'nextval%'"
    ))?;
    let objects = rows.iter().map(|row| Object {
        kind: row[0].to_string(),
        name: row[1].to_string(),
        table: row[2].to_string(),
        id: None,
        columns: columns_of(&row[3].to_string()),
    });
    Ok(objects.collect())
}
