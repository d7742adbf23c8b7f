//! Reading messages through a mapping.

use super::declared::Shape;
use super::keys::Condition;
use super::ranges::Range;
use super::select::{Order, Take};
use super::{Mapping, key_tables, keys, row, select, text_match};
use crate::db::Db;
use crate::model::{Cell, StoredMessage};

/// The messages of a conversation: those on the way to the current leaf, in order, then the others.
pub async fn conversation(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<Vec<StoredMessage>> {
    let (table, columns) = select::place(mapping);
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    if let Some(condition) = keys::holds(db, mapping, table, &columns, key) {
        // What the database takes for the same key is the same conversation to the application.
        found = select::select(db, mapping, condition, Order::Told).await?;
        for message in &mut found {
            message.conversation.get_or_insert_with(|| key.to_owned());
        }
    }
    if found.is_empty() {
        let condition = keys::alike(db, &columns, key);
        found = of_one(
            select::select(db, mapping, condition, Order::Told).await?,
            key,
        );
    }
    Ok(found)
}

/// The messages whose text holds a text, letter by letter, in any conversation.
pub async fn holding(
    db: &dyn Db,
    mapping: &Mapping,
    text: &str,
) -> anyhow::Result<Vec<StoredMessage>> {
    // The last character may be in a part of its own, which is joined only when it is read.
    let before = text.char_indices().next_back().map(|(at, _)| &text[..at]);
    let sought = before.filter(|it| !it.is_empty()).unwrap_or(text);
    let condition = text_match::letter_by_letter(db, mapping, sought);
    let mut found =
        select::select(db, mapping, condition, select::order_by_content(mapping)).await?;
    found.retain(|message| message.content.contains(text));
    Ok(found)
}

/// The message with that key, as [`StoredMessage::key`] spells it.
pub async fn by_key(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<Option<StoredMessage>> {
    let store = mapping.store();
    let row = key.rsplit_once('#').map_or(key, |(row, _)| row);
    let (columns, row) = match store.shape {
        Shape::Blob => (select::place(mapping).1, row),
        Shape::Turn => (select::sources(&store.message.key), row),
        _ => (select::sources(&store.message.key), key),
    };
    let condition = match keys::holds(db, mapping, store.table(), &columns, row) {
        Some(condition) => condition,
        None => keys::alike(db, &columns, row),
    };
    let found = select::select(db, mapping, condition, select::order_by_content(mapping)).await?;
    Ok(found.into_iter().find(|message| message.key == key))
}

/// So many messages, the newest if an index tells them; none where several share a row.
pub async fn newest(
    db: &dyn Db,
    mapping: &Mapping,
    count: usize,
) -> anyhow::Result<Vec<StoredMessage>> {
    match mapping.store().shape {
        Shape::Blob | Shape::Chain => Ok(Vec::new()),
        Shape::Row | Shape::Turn | Shape::Event | Shape::Opaque => {
            select::select(db, mapping, Condition::default(), Order::Sample(count)).await
        }
    }
}

/// The greatest value of the append column; nothing where there is none.
pub async fn last_place(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Option<i64>> {
    let store = mapping.store();
    let Some(append) = &store.message.append else {
        return Ok(None);
    };
    let (append, table) = (db.quote(append), db.quote(store.table()));
    let found = db
        .rows(&format!("SELECT max({append}) FROM {table}"), &[])
        .await?;
    let last = found.first().and_then(|row| row.first());
    Ok(last.and_then(|cell| row::append(cell.into())))
}

/// The rows of a conversation's messages as they are stored, and the names of their columns.
pub async fn raw(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<(Vec<String>, Vec<Vec<Cell>>)> {
    let store = mapping.store();
    let columns = mapping.columns(store.table());
    let select: Vec<_> = columns
        .iter()
        .map(|name| format!("m.{}", db.quote(name)))
        .collect();
    let select = format!(
        "SELECT {} FROM {} m",
        select.join(", "),
        db.quote(store.table())
    );
    let mut rows = Vec::new();
    let conditions = match store.shape {
        Shape::Chain => conversation(db, mapping, key)
            .await?
            .iter()
            .filter_map(|message| {
                keys::holds(
                    db,
                    mapping,
                    store.table(),
                    &select::sources(&store.message.key),
                    &message.key,
                )
            })
            .collect(),
        _ => {
            let (table, columns) = select::place(mapping);
            let exact = keys::holds(db, mapping, table, &columns, key);
            vec![exact.unwrap_or_else(|| keys::alike(db, &columns, key))]
        }
    };
    for condition in conditions {
        let order: Vec<_> = store
            .message
            .order
            .iter()
            .map(|name| format!("m.{}", db.quote(name)))
            .collect();
        let order = if order.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", order.join(", "))
        };
        let sql = format!("{select} WHERE {}{order}", condition.sql);
        rows.extend(db.rows(&sql, &condition.args).await?);
    }
    Ok((columns, rows))
}

/// Fails if a table of the chats is damaged: what its pages have lost would be missing without a word.
pub async fn intact(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<()> {
    for table in mapping.table_names() {
        db.intact(&table).await?;
    }
    Ok(())
}

/// Every message of the store, in the order in which it is stored.
pub async fn scan(db: &dyn Db, mapping: &Mapping, take: Take<'_>) -> anyhow::Result<()> {
    if mapping.store().shape != Shape::Chain {
        return select::each(db, mapping, &Condition::default(), Order::Stored, take).await;
    }
    for key in key_tables::keys(db, mapping).await? {
        for mut message in conversation(db, mapping, &key).await? {
            if take(&mut message)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Every message of a range, in the order in which it is stored.
pub async fn scan_range(
    db: &dyn Db,
    mapping: &Mapping,
    range: &Range,
    take: Take<'_>,
) -> anyhow::Result<()> {
    select::each(db, mapping, &range.0, Order::Stored, take).await
}

/// The keys of messages whose rows were written by these transactions of PostgreSQL, from one
/// number to another.
pub async fn written_by(
    db: &dyn Db,
    mapping: &Mapping,
    transactions: &[(u64, u64)],
) -> anyhow::Result<Vec<String>> {
    let Some(condition) = keys::written_by(transactions) else {
        return Ok(Vec::new());
    };
    let found = select::select(db, mapping, condition, select::order_by_content(mapping)).await?;
    Ok(found.into_iter().map(|message| message.key).collect())
}

/// Those of the conversation that was asked for, where a condition held for others too.
fn of_one(mut messages: Vec<StoredMessage>, key: &str) -> Vec<StoredMessage> {
    let is = |message: &StoredMessage, key: &str| {
        message.conversation.as_deref().is_none_or(|own| own == key)
    };
    let exact = messages.iter().any(|message| is(message, key));
    let own = if exact {
        Some(key.to_owned())
    } else {
        messages
            .first()
            .and_then(|message| message.conversation.clone())
    };
    if let Some(own) = own {
        messages.retain(|message| is(message, &own));
        for message in &mut messages {
            // The rows of a chain belong to every conversation that leads to them.
            message.conversation.get_or_insert_with(|| own.clone());
        }
    } else {
        for message in &mut messages {
            message.conversation = Some(key.to_owned());
        }
    }
    messages
}
