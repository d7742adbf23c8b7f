//! Which tables may hold chats, by names and foreign keys alone: pure.

use super::declared::Conversations;
use super::declared::Items;
use super::declared::Messages;
use super::declared::Shape;
use super::declared::Store;
use super::source::Source;
use crate::model::Column;
use crate::model::Table;

/// A store that the names speak for.
#[derive(Debug, Clone)]
pub(super) struct Guess {
    /// What would be read.
    pub store: Store,
    /// How much speaks for it.
    pub points: i32,
    /// What does.
    pub reasons: Vec<String>,
}

/// Every store that the names speak for.
pub(super) fn guesses(schema: &[Table]) -> Vec<Guess> {
    let each = schema.iter().flat_map(|table| {
        let rows = content_column(table).and_then(|content| row(schema, table, content));
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
    let role = role_column(table)?;
    let mut guess = in_rows(schema, table, Shape::Row);
    guess.add(2, is(&content.name, CONTENT), || {
        format!("text in `{}`", content.name)
    });
    guess.add(3, true, || format!("role in `{}`", role.name));
    guess.store.message.role = Some(Source::column(&role.name));
    guess.store.message.content = Some(Source::column(&content.name));
    Some(guess)
}

const CONTENT: &[&str] = &[
    "content",
    "text",
    "body",
    "message",
    "message_text",
    "parts",
    "output",
];
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
const PLACES: &[&str] = &[
    "conversation",
    "conv",
    "chat",
    "session",
    "thread",
    "topic",
    "dialog",
    "room",
    "channel",
];
const TELLING: &[&str] = &[
    "message", "step", "event", "turn", "response", "chat", "history",
];
const MISLEADING: &[&str] = &[
    "feedback",
    "vote",
    "annotation",
    "plugin",
    "file",
    "chunk",
    "attachment",
    "usage",
    "search",
    "fts",
    "tts",
    "translate",
    "tag",
    "log",
    "embed",
    "thought",
    "memor",
    "eval",
];

impl Guess {
    fn add(&mut self, points: i32, holds: bool, why: impl FnOnce() -> String) {
        if holds {
            self.points += points;
            self.reasons.push(format!("{} ({points:+})", why()));
        }
    }
}

/// What speaks for messages in a table, whatever its columns hold them in.
fn in_rows(schema: &[Table], table: &Table, shape: Shape) -> Guess {
    let conversation = conversation_column(table);
    let time = time_column(table);
    let status = ["status", "state"]
        .iter()
        .find_map(|name| table.column(name));
    let mut guess = Guess {
        points: 0,
        reasons: Vec::new(),
        store: Store {
            shape,
            conversation: conversation.and_then(|column| own_table(schema, table, column)),
            message: Messages {
                table: table.name.clone(),
                conversation: conversation
                    .map(|column| Source::column(&column.name))
                    .into_iter()
                    .collect(),
                time: time.map(|column| Source::column(&column.name)),
                status: status.map(|column| column.name.clone()),
                ..Messages::default()
            },
            ..Store::default()
        },
    };
    let name = table.name.to_lowercase();
    let telling = TELLING.iter().find(|word| name.contains(*word));
    let misleading = MISLEADING.iter().find(|word| name.contains(*word));
    if let Some(column) = conversation {
        guess.add(3, true, || format!("conversation in `{}`", column.name));
    }
    if let Some(column) = time {
        guess.add(1, true, || format!("time in `{}`", column.name));
    }
    guess.add(2, telling.is_some(), || {
        format!("`{}` is named like messages", table.name)
    });
    guess.add(-6, misleading.is_some(), || {
        format!("`{}` is named like something else", table.name)
    });
    guess
}

/// A question and its answer in one row.
fn turn(schema: &[Table], table: &Table) -> Option<Guess> {
    let named = |names: &[&str]| names.iter().find_map(|name| table.column(name));
    let (question, answer) = (named(QUESTIONS)?, named(ANSWERS)?);
    if role_column(table).is_some() {
        return None;
    }
    let mut guess = in_rows(schema, table, Shape::Turn);
    guess.add(5, true, || {
        format!("`{}` beside `{}`", question.name, answer.name)
    });
    guess.store.message.status = None;
    guess.store.message.prompt = Some(Source::column(&question.name));
    guess.store.message.response = Some(Source::column(&answer.name));
    Some(guess)
}

/// A row for each message, which is JSON in one column.
fn json_rows(schema: &[Table], table: &Table) -> Option<Guess> {
    let column = MESSAGES_IN_JSON.iter().find_map(|name| table.column(name));
    let column = column.filter(|column| column.holds_text())?;
    if role_column(table).is_some() || conversation_column(table).is_none() {
        return None;
    }
    let mut guess = in_rows(schema, table, Shape::Row);
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
    let place = PLACES.iter().any(|place| name.contains(place));
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
            store: Store {
                shape: Shape::Blob,
                conversation: Some(Conversations {
                    table: table.name.clone(),
                    title: named(&["title", "name"]).map(Source::column),
                    user: named(&["user_id", "userid"]).map(Source::column),
                    created: named(&["created_at", "createdat"]),
                    updated: named(&["updated_at", "updatedat"]),
                    ..Conversations::default()
                }),
                item: Some(Items {
                    items,
                    key: path("$.id"),
                    role: path("$.role")?,
                    content: path("$.content")?,
                    time: path("$.timestamp"),
                    parent: None,
                    tools: path("$.tool_calls"),
                    done: None,
                    error: None,
                }),
                ..Store::default()
            },
        };
        guess.add(6, true, || format!("a chat in `{}`", column.name));
        guess.add(1, time_column(table).is_some(), || "a time".to_owned());
        Some(guess)
    };
    forms.iter().filter_map(guess).collect()
}

/// The table of conversations that a column refers to, by a foreign key or by its name.
fn own_table(schema: &[Table], messages: &Table, column: &Column) -> Option<Conversations> {
    let plain = |name: &str| name.to_lowercase().replace('_', "");
    let named = plain(&column.name);
    let of_name = |table: &&Table| {
        let table = plain(&table.name);
        let one = table.strip_suffix('s').unwrap_or(&table);
        ["id", "uid", "uuid", "key"]
            .iter()
            .any(|ending| named == format!("{one}{ending}"))
    };
    let of_key = |table: &&Table| {
        let target = column.references.as_ref();
        target.is_some_and(|target| target.eq_ignore_ascii_case(&table.name))
    };
    let tables = || schema.iter().filter(|table| table.name != messages.name);
    let table = tables().find(of_key).or_else(|| tables().find(of_name))?;
    // A key of several columns can't be told by one.
    let mut keys = table.columns.iter().filter(|column| column.key);
    let (Some(_), None) = (keys.next(), keys.next()) else {
        return None;
    };
    let first = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| table.column(name))
            .map(|column| column.name.clone())
    };
    Some(Conversations {
        table: table.name.clone(),
        title: first(&["title", "name"]).map(Source::column),
        user: first(&["user_id", "userid", "owner_id"]).map(Source::column),
        created: first(&["created_at", "createdat", "created"]),
        updated: first(&["updated_at", "updatedat", "updated"]),
        ..Conversations::default()
    })
}

fn source(text: &str) -> Option<Source> {
    text.to_owned().try_into().ok()
}

fn content_column(table: &Table) -> Option<&Column> {
    CONTENT
        .iter()
        .find_map(|name| table.column(name))
        .filter(|column| column.holds_text())
}

fn role_column(table: &Table) -> Option<&Column> {
    let names = [
        "role",
        "sender_role",
        "sender_type",
        "sender",
        "author",
        "message_type",
        "direction",
    ];
    let name = table.name.to_lowercase();
    let kinds = ["step", "event", "message"]
        .iter()
        .any(|word| name.contains(word));
    let kind = || table.column("type").filter(|_| kinds);
    names
        .iter()
        .find_map(|name| table.column(name))
        .or_else(kind)
}

fn time_column(table: &Table) -> Option<&Column> {
    [
        "created_at",
        "createdat",
        "created",
        "timestamp",
        "time",
        "created_date",
        "createddate",
        "inserted_at",
        "create_time",
        "datetime_utc",
        "sent_at",
    ]
    .iter()
    .find_map(|name| table.column(name))
}

fn conversation_column(table: &Table) -> Option<&Column> {
    let refers = |column: &&Column| {
        column.references.as_ref().is_some_and(|target| {
            let target = target.to_lowercase();
            PLACES.iter().any(|place| target.contains(place)) && target != table.name.to_lowercase()
        })
    };
    let named = |column: &&Column| {
        let name = column.name.to_lowercase().replace('_', "");
        PLACES.iter().any(|place| {
            ["id", "uid", "uuid", "key"]
                .iter()
                .any(|ending| name == format!("{place}{ending}"))
        })
    };
    let columns = || table.columns.iter();
    columns().find(refers).or_else(|| columns().find(named))
}

fn is(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}
