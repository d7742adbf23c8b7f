//! The conversations' own table, found by the keys that messages name: without a foreign key a
//! name alone may mislead, and there the title, the user and the only trace of a lost turn stand.

use super::declared::{Conversations, Shape, Store};
use super::{keys, words};
use crate::db::Db;
use crate::model::{Cell, Column, StoredMessage, Table};
use std::collections::BTreeSet;

/// So many keys are searched for.
const KEYS: usize = 20;

/// A table of conversations, and why it is the one.
pub(super) type Joined = (Conversations, String);

/// The table in which the conversations of these messages have a row. The one that a name spoke
/// for is held against the keys too; nothing where none holds them.
pub(super) async fn conversations(
    db: &dyn Db,
    schema: &[Table],
    store: &Store,
    messages: &[StoredMessage],
) -> anyhow::Result<Option<Joined>> {
    let keys: BTreeSet<_> = messages
        .iter()
        .filter_map(|it| it.conversation.as_deref())
        .collect();
    let keys: Vec<_> = keys.into_iter().take(KEYS).collect();
    let told = store.conversation.as_ref();
    let as_told = || told.map(|place| (place.clone(), "by its name".to_owned()));
    let (Some(column), false) = (referring(schema, store), keys.is_empty()) else {
        return Ok(as_told());
    };
    // Small numbers are keys of any table.
    let is_plain = keys
        .iter()
        .all(|key| key.len() < 10 && key.parse::<i64>().is_ok());
    // Nearly all: a conversation may be deleted.
    let most = (keys.len() * 9).div_ceil(10);
    if let Some(place) = told
        && let Some(table) = schema.iter().find(|table| table.name == place.table)
    {
        // A chat of a guest, or one that has only begun, may have no row there.
        let is_sure = !is_plain || words::is_key_of(column, table);
        let least = if is_sure { 1 } else { most };
        if let Some(joined) = keyed(db, table, place, (&keys, least)).await? {
            return Ok(Some(joined));
        }
    }
    let mut found = Vec::new();
    for table in schema.iter().filter(|table| may_hold(table, store, column)) {
        if is_plain && !words::is_key_of(column, table) {
            continue;
        }
        found.extend(keyed(db, table, &words::conversations(table), (&keys, most)).await?);
    }
    // Which of several is right, nobody knows; a declared key is true though its rows are gone.
    Ok(match (found.len(), column.references.is_some()) {
        (1, _) => found.pop(),
        (_, true) => as_told(),
        _ => None,
    })
}

/// The column by which messages name their conversation.
fn referring<'s>(schema: &'s [Table], store: &Store) -> Option<&'s Column> {
    let [source] = store.message.conversation.as_slice() else {
        return None;
    };
    let table = schema
        .iter()
        .find(|table| table.name == store.message.table)?;
    let plain = [Shape::Row, Shape::Turn, Shape::Event].contains(&store.shape) && !source.is_json();
    table.column(source.columns().next()?).filter(|_| plain)
}

fn may_hold(table: &Table, store: &Store, column: &Column) -> bool {
    let is_other = table.name != store.message.table;
    let is_named = words::is_key_of(column, table);
    is_other
        && (is_named || !words::is_misleading(&table.name) && !words::is_of_people(&table.name))
}

/// A table whose key, or another of its ids, at least so many of these keys are.
async fn keyed(
    db: &dyn Db,
    table: &Table,
    place: &Conversations,
    (keys, least): (&[&str], usize),
) -> anyhow::Result<Option<Joined>> {
    let own: Vec<_> = table.columns.iter().filter(|column| column.key).collect();
    let own = if own.len() == 1 { own } else { Vec::new() };
    let ids = table
        .columns
        .iter()
        .filter(|column| !column.key && words::is_id(column));
    for column in own.into_iter().chain(ids) {
        if found_in(db, table, column, keys).await? >= least {
            let reason = format!("its conversations are in `{}.{}`", table.name, column.name);
            let key = if column.key {
                Vec::new()
            } else {
                vec![column.name.clone()]
            };
            return Ok(Some((
                Conversations {
                    key,
                    ..place.clone()
                },
                reason,
            )));
        }
    }
    Ok(None)
}

/// How many of the keys are in a column; none where one is in several rows.
async fn found_in(
    db: &dyn Db,
    table: &Table,
    column: &Column,
    keys: &[&str],
) -> anyhow::Result<usize> {
    let values: Vec<Cell> = keys
        .iter()
        .flat_map(|key| keys::spellings(column, key))
        .collect();
    if values.is_empty() {
        return Ok(0);
    }
    let name = db.quote(&column.name);
    let places = vec!["?"; values.len()].join(", ");
    let sql = format!(
        "SELECT count(*), count(DISTINCT {name}) FROM {} WHERE {name} IN ({places})",
        db.quote(&table.name)
    );
    let rows = db.rows(&sql, &values).await?;
    let count = |index: usize| usize::try_from(rows[0][index].int().unwrap_or(0)).unwrap_or(0);
    Ok(if count(0) == count(1) { count(1) } else { 0 })
}
