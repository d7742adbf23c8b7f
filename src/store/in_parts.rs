//! Messages whose texts are in the rows of another table, where a text of a chat was found.

use super::declared::{Messages, Parts, Store};
use super::source::Source;
use super::{ColumnMatch, Mapping, Origin, check, score, words};
use crate::model::Table;

/// Columns that order the parts of a message.
const PLACES: &[&str] = &["order", "ordinal", "order_index", "part_index"];

/// What may read a text that was found in these columns, as far as names and foreign keys show. Only
/// a chat shows whether one of them does.
pub fn in_parts(schema: &[Table], hits: &[ColumnMatch]) -> Vec<Mapping> {
    let of_hit = |hit: &ColumnMatch| {
        let texts = schema.iter().find(|table| table.name == hit.table)?;
        let messages = schema.iter().filter(|table| table.name != texts.name);
        let found = messages.filter_map(|messages| store(messages, texts, &hit.column));
        Some(found.collect::<Vec<_>>())
    };
    let stores = hits.iter().filter_map(of_hit).flatten();
    let detected = || Origin::Detected(score::Why::default());
    let checked = stores.filter_map(|store| Mapping::check(vec![store], detected(), schema).ok());
    checked.collect()
}

/// One message is a row of `messages`, and its text is in rows of `texts`.
fn store(messages: &Table, texts: &Table, content: &str) -> Option<Store> {
    let role = words::role_column(messages).filter(|_| words::role_column(texts).is_none())?;
    let conversation = words::conversation_column(messages)?;
    let key = texts
        .columns
        .iter()
        .find(|it| score::refers(it, messages))?;
    let named = PLACES.iter().find_map(|name| texts.column(name));
    let mut keys = texts.keys();
    let serial = keys
        .next()
        .filter(|key| key.is_whole() && keys.next().is_none());
    let named = named.map(|column| column.name.as_str());
    let order = check::counted(texts)
        .or(named)
        .or(serial.map(|column| column.name.as_str()))?;
    Some(Store {
        message: Messages {
            table: messages.name.clone(),
            conversation: vec![Source::column(&conversation.name)],
            role: Some(Source::column(&role.name)),
            ..Messages::default()
        },
        parts: Some(Parts {
            table: texts.name.clone(),
            key: key.name.clone(),
            order: order.to_owned(),
            content: Source::column(content),
            tools: None,
            only: None,
        }),
        ..Store::default()
    })
}

#[cfg(test)]
mod tests {
    use super::{ColumnMatch, Table, in_parts};
    use crate::model::Column;

    fn table(name: &str, columns: &[&str]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            declared: if *name == "id" { "INTEGER" } else { "TEXT" }.to_owned(),
            key: *name == "id",
            references: None,
        };
        Table {
            name: name.to_owned(),
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn texts_of_a_table_of_parts_are_read_in_order() {
        let hit = [ColumnMatch {
            table: "parts".to_owned(),
            column: "body".to_owned(),
            rows: 1,
        }];
        let order = |parts: &[&str]| {
            let messages = table("messages", &["id", "chat_id", "role"]);
            let found = in_parts(&[messages, table("parts", parts)], &hit);
            let parts = found.first()?.store().parts.clone()?;
            assert_eq!(parts.key, "message_id");
            Some(parts.order)
        };
        let read = order(&["id", "message_id", "order", "body"]);
        assert_eq!(read.as_deref(), Some("order"));
        let read = order(&["id", "message_id", "body"]);
        assert_eq!(read.as_deref(), Some("id"));
        // What nothing orders, belongs to nothing, or has a role of its own is not read so.
        for parts in [
            &["message_id", "body"][..],
            &["id", "body"],
            &["id", "message_id", "role", "body"],
        ] {
            assert_eq!(order(parts), None, "{parts:?}");
        }
    }
}
