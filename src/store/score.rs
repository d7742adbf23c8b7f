//! Which tables may hold chats, by names and foreign keys alone: pure.

use super::declared::{Conversations, Items, Messages, Shape, Store};
use super::source::Source;
use super::{companions, words};
use crate::model::{Column, Table};
use std::collections::BTreeMap;
use std::fmt;

/// A store that the names speak for.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    /// What would be read.
    pub store: Store,
    /// How much speaks for it.
    pub points: i32,
    /// What does.
    pub reasons: Vec<Reason>,
    /// What older versions read in its place.
    pub unlike_older: Vec<String>,
}

/// What speaks for a mapping, or against it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason {
    why: String,
    points: i32,
}

/// Why a mapping was taken. The alternate form says what each reason counts for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Why {
    /// What all of it counts for; none when nothing was counted.
    pub points: Option<i32>,
    /// What speaks for it.
    pub reasons: Vec<Reason>,
    /// What older versions read in its place: their snapshots hold something else.
    pub unlike_older: Vec<String>,
}

impl Reason {
    /// What is known besides what is counted.
    pub(super) fn of(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            points: 0,
        }
    }
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(points) = self.points.filter(|_| f.alternate()) {
            write!(f, "score {points}: ")?;
        }
        for (index, reason) in self.reasons.iter().enumerate() {
            let gap = if index == 0 { "" } else { ", " };
            write!(f, "{gap}{}", reason.why)?;
            if reason.points != 0 && f.alternate() {
                write!(f, " ({:+})", reason.points)?;
            }
        }
        Ok(())
    }
}

/// Below this there is a content column and nothing that makes it a chat.
pub(super) const ENOUGH: i32 = 6;

/// The store that most names speak for, if there is one at all.
pub(super) fn best(schema: &[Table]) -> Option<Guess> {
    let mut guesses = guesses(schema);
    guesses.sort_by_key(|guess| -guess.points);
    guesses.into_iter().find(|guess| guess.points >= ENOUGH)
}

/// Every store that the names speak for.
pub(super) fn guesses(schema: &[Table]) -> Vec<Guess> {
    let each = schema.iter().flat_map(|table| {
        let rows = words::content_column(table).and_then(|content| row(schema, table, content));
        let turns = turn(schema, table);
        let json = json_rows(schema, table);
        let opaque = opaque(table);
        let one = rows.into_iter().chain(turns).chain(json).chain(opaque);
        one.chain(blobs(table)).collect::<Vec<_>>()
    });
    each.collect()
}

/// A row for each message, whose text is in that column.
pub(super) fn row(schema: &[Table], table: &Table, content: &Column) -> Option<Guess> {
    let role = words::role_column(table).map(|column| (column, BTreeMap::new()));
    let (role, map) = role.or_else(|| words::flag_column(table))?;
    let conversation = words::conversation_column(table);
    let conversation = conversation.filter(|column| column.name != content.name);
    let mut guess = in_rows(schema, table, conversation);
    guess.add(2, words::is(&content.name, words::CONTENT), || {
        format!("text in `{}`", content.name)
    });
    guess.add(3, true, || format!("role in `{}`", role.name));
    guess.store.message.role = Some(Source::column(&role.name));
    guess.store.message.role_map = map;
    guess.store.message.content = Some(Source::column(&content.name));
    Some(guess)
}

/// A table with roles and no texts, and the one whose rows refer to it and hold texts.
pub(super) fn parted(schema: &[Table]) -> Option<(&str, &str)> {
    let is_bare = |table: &&Table| {
        words::role_column(table).is_some() && words::content_column(table).is_none()
    };
    schema.iter().filter(is_bare).find_map(|message| {
        let part = schema.iter().find(|table| {
            let is_other = table.name != message.name && !words::is_misleading(&table.name);
            let has_text = words::content_column(table).is_some();
            is_other && has_text && table.columns.iter().any(|column| refers(column, message))
        })?;
        Some((message.name.as_str(), part.name.as_str()))
    })
}

/// Whether a column holds keys of a table, as a foreign key or its name says.
pub(super) fn refers(column: &Column, to: &Table) -> bool {
    match &column.references {
        Some(target) => target.eq_ignore_ascii_case(&to.name),
        None => words::is_key_of(column, to),
    }
}

const QUESTIONS: &[&str] = &["prompt", "query", "question", "input", "user_message"];
const ANSWERS: &[&str] = &[
    "response",
    "answer",
    "reply",
    "completion",
    "bot_response",
    "ai_response",
    "assistant_response",
];
const MESSAGES_IN_JSON: &[&str] = &["message_data", "event_data", "message", "data", "payload"];
const BLOBS: &[&str] = &["chat", "messages", "history", "runs", "conversation"];
/// Columns that hold a question next to the answer in another one.
const PAIRS: &[(&str, &str)] = &[
    ("human", "bot"),
    ("human", "ai"),
    ("human", "assistant"),
    ("user", "bot"),
    ("user", "ai"),
    ("user", "assistant"),
    ("user_text", "bot_text"),
    ("user_message", "bot_message"),
    ("user_message", "ai_message"),
    ("user_message", "assistant_message"),
    ("user_input", "bot_output"),
    ("q", "a"),
];
const TELLING: &[&str] = &[
    "message",
    "step",
    "event",
    "turn",
    "response",
    "chat",
    "history",
    "utterance",
];
impl Guess {
    /// What speaks for it.
    pub(super) fn why(&self) -> Why {
        Why {
            points: Some(self.points),
            reasons: self.reasons.clone(),
            unlike_older: self.unlike_older.clone(),
        }
    }

    pub(super) fn add(&mut self, points: i32, holds: bool, why: impl FnOnce() -> String) {
        if holds {
            self.points += points;
            self.reasons.push(Reason { why: why(), points });
        }
    }
}

/// What speaks for messages in a table, whatever its columns hold them in, if that one names the
/// conversation.
pub(super) fn in_rows(schema: &[Table], table: &Table, conversation: Option<&Column>) -> Guess {
    let time = words::time_column(table);
    let status = companions::status_column(table);
    let place = conversation.and_then(|column| own_table(schema, table, column));
    let columns = match (conversation, place) {
        (Some(column), Some(place)) => naming(table, column, place),
        (column, _) => column.into_iter().collect(),
    };
    let mut guess = Guess {
        points: 0,
        reasons: Vec::new(),
        unlike_older: Vec::new(),
        store: Store {
            // A key of several columns can't be told by one.
            conversation: place
                .filter(|place| columns.len() == place.keys().count())
                .map(words::conversations),
            message: Messages {
                table: table.name.clone(),
                conversation: columns
                    .iter()
                    .map(|column| Source::column(&column.name))
                    .collect(),
                time: time.map(|column| Source::column(&column.name)),
                status: status.map(|column| column.name.clone()),
                tools: companions::calls_column(table).map(|column| Source::column(&column.name)),
                deleted: companions::deletion(table),
                extra: companions::next_to_the_text(table),
                ..Messages::default()
            },
            ..Store::default()
        },
    };
    let older = words::older_conversation_column(table).map(|column| column.name.as_str());
    if older.is_some() && older != conversation.map(|column| column.name.as_str()) {
        let older = older.map(|name| format!("the conversation in `{name}`"));
        guess.unlike_older.extend(older);
    }
    let name = table.name.to_lowercase();
    let telling = TELLING.iter().find(|word| name.contains(*word));
    match conversation {
        Some(column) => guess.add(3, true, || format!("conversation in `{}`", column.name)),
        None => guess.add(-3, true, || "no column names the conversation".to_owned()),
    }
    if let Some(column) = time {
        guess.add(1, true, || format!("time in `{}`", column.name));
    }
    guess.add(2, telling.is_some(), || {
        format!("`{}` is named like messages", table.name)
    });
    guess.add(-6, words::is_misleading(&table.name), || {
        format!("`{}` is named like something else", table.name)
    });
    guess.add(-8, words::is_mail(table), || {
        "it has a subject and recipients".to_owned()
    });
    guess
}

/// A question and its answer in one row.
fn turn(schema: &[Table], table: &Table) -> Option<Guess> {
    let named = |names: &[&str]| names.iter().find_map(|name| table.column(name));
    let text = |name: &str| table.column(name).filter(|column| column.holds_text());
    let pair = || {
        PAIRS
            .iter()
            .find_map(|(question, answer)| text(question).zip(text(answer)))
    };
    let (question, answer) = named(QUESTIONS).zip(named(ANSWERS)).or_else(pair)?;
    if words::role_column(table).is_some() {
        return None;
    }
    let mut guess = in_rows(schema, table, words::conversation_column(table));
    guess.store.shape = Shape::Turn;
    guess.add(5, true, || {
        format!("`{}` next to `{}`", question.name, answer.name)
    });
    guess.store.message.status = None;
    guess.store.message.tools = None;
    guess.store.message.prompt = Some(Source::column(&question.name));
    guess.store.message.response = Some(Source::column(&answer.name));
    Some(guess)
}

/// A row for each message, which is JSON in one column.
fn json_rows(schema: &[Table], table: &Table) -> Option<Guess> {
    let column = MESSAGES_IN_JSON.iter().find_map(|name| table.column(name));
    let column = column.filter(|column| column.holds_text())?;
    if words::role_column(table).is_some() || words::conversation_column(table).is_none() {
        return None;
    }
    let mut guess = in_rows(schema, table, words::conversation_column(table));
    let name = &column.name;
    guess.add(2, true, || format!("messages in `{name}`"));
    guess.store.message.role = source(&format!("{name}::$.role|{name}::$.type|{name}::$.author"));
    guess.store.message.content = source(&format!("{name}::$"));
    Some(guess)
}

/// Rows of LangGraph's kind.
fn opaque(table: &Table) -> Option<Guess> {
    let columns = ["thread_id", "checkpoint_id", "checkpoint"].map(|name| table.column(name));
    let [Some(thread), Some(id), Some(payload)] = columns else {
        return None;
    };
    let mut guess = Guess {
        points: 0,
        reasons: Vec::new(),
        unlike_older: Vec::new(),
        store: Store {
            shape: Shape::Opaque,
            message: Messages {
                table: table.name.clone(),
                conversation: vec![Source::column(&thread.name)],
                order: vec![id.name.clone()],
                payload: vec![payload.name.clone()],
                ..Messages::default()
            },
            ..Store::default()
        },
    };
    guess.add(9, true, || format!("checkpoints in `{}`", payload.name));
    Some(guess)
}

/// Messages in JSON in the conversation's row, in each form that they may have there.
fn blobs(table: &Table) -> Vec<Guess> {
    let name = table.name.to_lowercase();
    let place = words::PLACES.iter().any(|place| name.contains(place));
    let column = BLOBS.iter().find_map(|name| table.column(name));
    let Some(column) = column.filter(|column| place && column.holds_text()) else {
        return Vec::new();
    };
    let forms = ["$", "$.messages", "$.history.messages", "$[*].messages[*]"];
    let guess = |path: &&str| {
        let items = source(&format!("{}::{path}", column.name))?;
        let named = |names: &[&str]| {
            names
                .iter()
                .find_map(|name| table.column(name))
                .map(|column| column.name.clone())
        };
        let path = |path: &str| path.to_owned().try_into().ok();
        let mut guess = Guess {
            points: 0,
            reasons: Vec::new(),
            unlike_older: Vec::new(),
            store: Store {
                shape: Shape::Blob,
                conversation: Some(Conversations {
                    table: table.name.clone(),
                    title: named(&["title", "name"]).map(Source::column),
                    user: named(&["user_id", "userid"]).map(Source::column),
                    created: named(&["created_at", "createdat"]),
                    updated: named(&["updated_at", "updatedat"]),
                    deleted: companions::deletion(table),
                    ..Conversations::default()
                }),
                item: Some(Items {
                    key: path("$.id"),
                    time: Some(words::item_time()),
                    ..Items::of(items, path("$.role")?, path("$.content")?).with_usual_fields()
                }),
                ..Store::default()
            },
        };
        guess.add(6, true, || format!("a chat in `{}`", column.name));
        guess.add(-6, words::is_misleading(&table.name), || {
            format!("`{}` is named like something else", table.name)
        });
        guess.add(1, words::time_column(table).is_some(), || {
            "a time".to_owned()
        });
        Some(guess)
    };
    forms.iter().filter_map(guess).collect()
}

/// The table of conversations that a column refers to, by a foreign key or by its name.
fn own_table<'s>(schema: &'s [Table], messages: &Table, column: &Column) -> Option<&'s Table> {
    let of_name = |table: &&Table| words::is_key_of(column, table);
    let of_key = |table: &&Table| {
        let target = column.references.as_ref();
        target.is_some_and(|target| target.eq_ignore_ascii_case(&table.name))
    };
    let tables = || schema.iter().filter(|table| table.name != messages.name);
    let mut named = tables().filter(of_name);
    tables()
        .find(of_key)
        .or_else(|| match (named.next(), named.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        })
}

/// The columns that name a conversation together: where its key has several columns, as the one of a
/// tenant and a number has, one of them alone would put conversations of others into one.
fn naming<'t>(table: &'t Table, column: &'t Column, place: &Table) -> Vec<&'t Column> {
    let refers = |other: &Column| {
        let target = other.references.as_ref();
        target.is_some_and(|target| target.eq_ignore_ascii_case(&place.name))
    };
    let is_declared = refers(column);
    let same = |key: &Column| {
        let same = table.column(&key.name);
        same.filter(|same| same.name != column.name && (!is_declared || refers(same)))
    };
    let keys: Vec<_> = place.keys().collect();
    let own = keys
        .iter()
        .position(|key| key.name.eq_ignore_ascii_case(&column.name));
    // Of another name is the part that is the conversation's own: `chat_id` of `chat.id`.
    let own = own.or_else(|| {
        let is_own = |key: &&Column| same(key).is_none() || is_plain_id(key);
        let mut left = keys.iter().enumerate().filter(|(_, key)| is_own(key));
        match (left.next(), left.next()) {
            (Some((index, _)), None) => Some(index),
            _ => None,
        }
    });
    let part = |(index, key): (usize, &&Column)| {
        if own == Some(index) {
            Some(column)
        } else {
            same(key)
        }
    };
    let all: Option<Vec<_>> = keys.iter().enumerate().map(part).collect();
    all.filter(|all| !all.is_empty() && own.is_some())
        .unwrap_or_else(|| vec![column])
}

fn is_plain_id(column: &Column) -> bool {
    ["id", "uuid", "key"].contains(&column.name.to_lowercase().as_str())
}

fn source(text: &str) -> Option<Source> {
    text.to_owned().try_into().ok()
}
