//! Chats in a schema or database that bare names do not reach: chatctl names them, and does not
//! read them.

use super::{presets, score};
use crate::db::Db;
use crate::model::{Column, Table};
use std::collections::BTreeMap;

/// Where else on the server tables look like chats, and how to get there; nothing where none do.
pub async fn hint(db: &dyn Db) -> anyhow::Result<Option<String>> {
    let Some(elsewhere) = &db.catalog().elsewhere else {
        return Ok(None);
    };
    let mut schemas: BTreeMap<String, Vec<Table>> = BTreeMap::new();
    for row in db.rows(elsewhere.columns, &[]).await? {
        let [schema, table, column, declared] = [0, 1, 2, 3].map(|index| row[index].to_string());
        let tables = schemas.entry(schema).or_default();
        if tables.last().is_none_or(|last| last.name != table) {
            tables.push(Table {
                name: table,
                columns: Vec::new(),
            });
        }
        let last = tables.last_mut().expect("there is one at least");
        last.columns.push(Column {
            name: column,
            declared: declared.to_uppercase(),
            key: false,
            references: None,
        });
    }
    let likely = |(schema, tables): (&String, &Vec<Table>)| Some((schema.clone(), likely(tables)?));
    let found: Vec<_> = schemas.iter().filter_map(likely).collect();
    let Some((first, _)) = found.first().cloned() else {
        return Ok(None);
    };
    let named: Vec<_> = found
        .iter()
        .take(3)
        .map(|(schema, table)| format!("`{schema}.{table}`"))
        .collect();
    let act = (elsewhere.reach)(&first);
    Ok(Some(format!(
        "{} looks like the chats: {act}",
        named.join(", ")
    )))
}

/// The table in which messages may be, by the names alone.
fn likely(tables: &[Table]) -> Option<String> {
    let preset = presets::all()
        .iter()
        .find(|preset| preset.matches(tables).is_some());
    let of_preset = preset
        .and_then(|preset| preset.store.first())
        .map(|store| store.table().to_owned());
    of_preset.or_else(|| score::best(tables).map(|guess| guess.store.table().to_owned()))
}
