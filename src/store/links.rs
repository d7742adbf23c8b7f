//! The table that puts messages into conversations, where their own table does not name one.

use super::{Mapping, Shape, keys, score, words};
use crate::db::Db;
use crate::model::{Column, Table};

/// A table of which each row says that a message belongs to a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    pub table: String,
    /// The column with the message's key.
    message: Column,
    /// The column with the conversation's key.
    conversation: String,
}

/// The tables that may be it, as far as names and foreign keys show.
pub fn links(schema: &[Table], mapping: &Mapping) -> Vec<Links> {
    let store = mapping.store();
    let named = store.message.conversation.is_empty() && store.message.key.len() == 1;
    let of = schema.iter().find(|table| table.name == mapping.table());
    let Some(of) = of.filter(|_| named && store.shape == Shape::Row) else {
        return Vec::new();
    };
    let link = |table: &Table| {
        let key = table.columns.iter().find(|it| score::refers(it, of))?;
        let conversation = words::conversation_column(table)?;
        (table.name != of.name && conversation.name != key.name).then(|| Links {
            table: table.name.clone(),
            message: key.clone(),
            conversation: conversation.name.clone(),
        })
    };
    schema.iter().filter_map(link).collect()
}

impl Links {
    /// The conversations that a message is in.
    pub async fn conversations_of(&self, db: &dyn Db, key: &str) -> anyhow::Result<Vec<String>> {
        let values = keys::spellings(&self.message, key);
        if values.is_empty() {
            return Ok(Vec::new());
        }
        let sql = format!(
            "SELECT {} FROM {} WHERE {} IN ({})",
            db.text_of(&db.quote(&self.conversation)),
            db.quote(&self.table),
            db.quote(&self.message.name),
            vec!["?"; values.len()].join(", ")
        );
        let rows = db.rows(&sql, &values).await?;
        Ok(rows.iter().map(|row| row[0].to_string()).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Origin;
    use super::{Column, Mapping, Table, links};

    fn table(name: &str, columns: &[&str]) -> Table {
        let column = |name: &&str| Column {
            name: (*name).to_owned(),
            declared: "INTEGER".to_owned(),
            key: *name == "id",
            references: None,
        };
        Table {
            name: name.to_owned(),
            columns: columns.iter().map(column).collect(),
        }
    }

    #[test]
    fn only_a_table_of_messages_and_conversations_links_them() {
        let messages = table("messages", &["id", "role", "content", "created_at"]);
        let of = |messages: &Table, other: Table| {
            let schema = [messages.clone(), other];
            let named = messages.column("conversation_id").is_some();
            let conversation = if named {
                "conversation = [\"conversation_id\"]"
            } else {
                ""
            };
            let store = format!(
                "[[store]]\n[store.message]\ntable = \"messages\"\nrole = \"role\"\ncontent = \"content\"\n{conversation}"
            );
            let stores = Mapping::stores_in(&store).unwrap();
            let mapping = Mapping::check(stores, Origin::Declared, &schema).unwrap();
            links(&schema, &mapping).len()
        };
        let link = || table("conversation_messages", &["conversation_id", "message_id"]);
        assert_eq!(of(&messages, link()), 1);
        // What is about a message only, or about a conversation only, links nothing.
        assert_eq!(of(&messages, table("usage", &["message_id", "tokens"])), 0);
        assert_eq!(of(&messages, table("titles", &["thread_id", "title"])), 0);
        // Messages that name their conversation need no link.
        let named = table("messages", &["id", "conversation_id", "role", "content"]);
        assert_eq!(of(&named, link()), 0);
    }
}
