//! Finding messages by their text.

use super::keys::Condition;
use super::select::{Order, Take};
use super::source::Source;
use super::{Mapping, select, text_match};
use crate::db::{Db, WordIndex};
use crate::model::{Cell, StoredMessage};
use std::ops::ControlFlow;

/// How a search finds its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By indexes of words, whose names these are: a part of a word is not found.
    Words(Vec<WordIndex>),
    /// By an index of the parts of texts.
    Index,
    /// By reading every row.
    Scan,
}

/// How a text can be searched for: by an index of words where each of the columns has one.
pub async fn way(db: &dyn Db, mapping: &Mapping, text: &str) -> anyhow::Result<Way> {
    let mut words = Vec::new();
    let columns = mapping.text_columns();
    let plain = mapping.store().parts.is_none() && !is_json(mapping);
    let is_word = text.chars().any(char::is_alphanumeric);
    for (table, column) in columns.iter().filter(|_| plain && is_word) {
        words.extend(db.word_index(table, column).await?);
    }
    if !words.is_empty() && words.len() == columns.len() {
        return Ok(Way::Words(words));
    }
    let condition = text_match::in_any_case(db, mapping, text);
    let sql = select::statement_of(db, mapping, &condition, Order::Stored);
    Ok(match db.scans(&sql, &condition.args).await? {
        Some(false) => Way::Index,
        _ => Way::Scan,
    })
}

/// Hands out the messages whose text holds a text, in any case, as they are found; the newest
/// first where the key shows which those are.
pub async fn search(
    db: &dyn Db,
    mapping: &Mapping,
    text: &str,
    way: &Way,
    take: Take<'_>,
) -> anyhow::Result<()> {
    let wanted = text.to_lowercase();
    let (condition, order) = match way {
        Way::Words(words) => (by_words(words, text), Order::Stored),
        // Sorted by the key the engine would read by it, and pass by its other index.
        Way::Index => (text_match::in_any_case(db, mapping, text), Order::Stored),
        Way::Scan => (text_match::in_any_case(db, mapping, text), Order::Newest),
    };
    let mut found = |message: &mut StoredMessage| {
        if message.content.to_lowercase().contains(&wanted) {
            take(message)
        } else {
            Ok(ControlFlow::Continue(()))
        }
    };
    select::each(db, mapping, &condition, order, &mut found).await
}

fn is_json(mapping: &Mapping) -> bool {
    let store = mapping.store();
    let message = &store.message;
    let sources = [&message.content, &message.prompt, &message.response];
    store.item.is_some() || sources.into_iter().flatten().any(Source::is_json)
}

fn by_words(words: &[WordIndex], text: &str) -> Condition {
    let any: Vec<_> = words.iter().map(|index| index.condition.as_str()).collect();
    let phrase = format!("\"{}\"", text.replace('"', " "));
    Condition {
        sql: format!("({})", any.join(" OR ")),
        args: vec![Cell::Text(phrase); words.len()],
    }
}
