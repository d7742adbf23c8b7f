//! The tables that hold the keys of conversations.

use super::keys::Condition;
use super::source::Source;
use super::{Mapping, keys, select};
use crate::db::Db;

/// A table in which the keys of conversations stand.
pub(super) struct Place<'m> {
    pub(super) table: &'m str,
    pub(super) key: Vec<Source>,
}

/// The conversations' own table first; the messages' where there is none.
pub(super) fn places(mapping: &Mapping) -> Vec<Place<'_>> {
    let store = mapping.store();
    let own = store.conversation.as_ref().map(|place| Place {
        table: &place.table,
        key: select::sources(&place.key),
    });
    let (table, key) = select::place(mapping);
    let messages = Some(Place { table, key }).filter(|place| {
        !place.key.is_empty() && own.as_ref().is_none_or(|own| own.table != place.table)
    });
    own.into_iter().chain(messages).collect()
}

/// The keys that a condition holds for, each once.
pub(super) async fn distinct(
    db: &dyn Db,
    place: &Place<'_>,
    condition: &Condition,
    limit: usize,
) -> anyhow::Result<Vec<String>> {
    let sql = format!(
        "SELECT DISTINCT {} FROM {} m WHERE {}{}",
        keys::joined(db, &place.key),
        db.quote(place.table),
        condition.sql,
        if limit == usize::MAX {
            String::new()
        } else {
            format!(" LIMIT {limit}")
        }
    );
    let rows = db.rows(&sql, &condition.args).await?;
    Ok(rows.iter().map(|row| row[0].to_string()).collect())
}

/// The keys of all conversations of the table that holds them.
pub(super) async fn keys(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<String>> {
    let all = Condition {
        sql: "1 = 1".to_owned(),
        args: Vec::new(),
    };
    match places(mapping).first() {
        Some(place) => distinct(db, place, &all, usize::MAX).await,
        None => Ok(Vec::new()),
    }
}
