//! Which tables may hold chats, by names and foreign keys alone: pure.

use super::declared::Conversations;
use super::declared::Items;
use super::declared::Messages;
use super::declared::Shape;
use super::declared::Store;
use super::source::Source;
use crate::model::Column;
use crate::model::Table;
use std::collections::BTreeMap;

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
    let role = role_column(table).map(|column| (column, BTreeMap::new()));
    let (role, map) = role.or_else(|| flag_column(table))?;
    let mut guess = in_rows(schema, table, conversation_column(table));
    guess.add(2, is(&content.name, CONTENT), || {
        format!("text in `{}`", content.name)
    });
    guess.add(3, true, || format!("role in `{}`", role.name));
    guess.store.message.role = Some(Source::column(&role.name));
    guess.store.message.role_map = map;
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
    "dialogue",
    "discussion",
    "room",
    "channel",
];
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
/// Columns that are true for one side, and which one.
const FLAGS: &[(&str, &str)] = &[
    ("is_user", "user"),
    ("isuser", "user"),
    ("from_user", "user"),
    ("is_from_user", "user"),
    ("is_human", "user"),
    ("by_user", "user"),
    ("is_bot", "assistant"),
    ("isbot", "assistant"),
    ("from_bot", "assistant"),
    ("is_from_bot", "assistant"),
    ("is_ai", "assistant"),
    ("from_ai", "assistant"),
    ("is_assistant", "assistant"),
    ("by_bot", "assistant"),
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
/// Parts of words that name something else than messages: beginnings, or long ones anywhere.
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
    "translat",
    "embed",
    "thought",
    "memor",
    "eval",
    "audit",
    "mail",
    "email",
    "notif",
    "cache",
    "trace",
    "span",
    "webhook",
    "queue",
    "outbox",
    "archive",
    "backup",
    "draft",
    "template",
    "example",
    "dataset",
    "train",
    "survey",
    "knowledge",
    "request",
    "activit",
    "access",
    "change",
    "error",
];
/// Whole words only: others begin or end so.
const MISLEADING_SHORT: &[&str] = &[
    "fts", "tts", "tag", "tags", "faq", "faqs", "job", "jobs", "bak", "tmp", "old",
];
/// Words that end like the name of a log.
const HARMLESS: &[&str] = &["dialog", "dialogs", "blog", "blogs", "catalog", "catalogs"];

impl Guess {
    pub(super) fn add(&mut self, points: i32, holds: bool, why: impl FnOnce() -> String) {
        if holds {
            self.points += points;
            self.reasons.push(format!("{} ({points:+})", why()));
        }
    }
}

/// What speaks for messages in a table, whatever its columns hold them in, if that one names the
/// conversation.
pub(super) fn in_rows(schema: &[Table], table: &Table, conversation: Option<&Column>) -> Guess {
    let time = time_column(table);
    let status = ["status", "state"]
        .iter()
        .find_map(|name| table.column(name));
    let mut guess = Guess {
        points: 0,
        reasons: Vec::new(),
        store: Store {
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
    guess.add(-6, is_misleading(&table.name), || {
        format!("`{}` is named like something else", table.name)
    });
    guess.add(-8, is_mail(table), || {
        "it has a subject and recipients".to_owned()
    });
    guess
}

/// Whether a table is named like something that is no chat.
pub(super) fn is_misleading(name: &str) -> bool {
    is_something_else(name) || is_log(name)
}

/// Whether a table is named like something that never holds a chat, whatever stands in it.
pub(super) fn is_something_else(name: &str) -> bool {
    words(name).iter().any(|word| {
        let is_in = |part: &&str| word.starts_with(*part) || part.len() > 5 && word.contains(*part);
        MISLEADING.iter().any(is_in) || MISLEADING_SHORT.contains(&word.as_str())
    })
}

fn is_log(name: &str) -> bool {
    let is_log = |word: &str| word.ends_with("log") || word.ends_with("logs");
    words(name)
        .iter()
        .any(|word| is_log(word) && !HARMLESS.contains(&word.as_str()))
}

/// The words of a name: `chatLog_v2` has three.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut was_lower = false;
    for c in name.chars() {
        if !c.is_alphanumeric() || was_lower && c.is_uppercase() {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words
                .last_mut()
                .expect("there is always a word")
                .extend(c.to_lowercase());
        }
        was_lower = c.is_lowercase();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether it holds letters and not a chat.
fn is_mail(table: &Table) -> bool {
    let has = |names: &[&str]| names.iter().any(|name| table.column(name).is_some());
    let to = [
        "to",
        "recipient",
        "recipients",
        "recipient_id",
        "to_address",
        "to_email",
        "to_addr",
        "cc",
        "bcc",
    ];
    has(&["subject"]) && has(&to)
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
    if role_column(table).is_some() {
        return None;
    }
    let mut guess = in_rows(schema, table, conversation_column(table));
    guess.store.shape = Shape::Turn;
    guess.add(5, true, || {
        format!("`{}` next to `{}`", question.name, answer.name)
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
    let mut guess = in_rows(schema, table, conversation_column(table));
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
        guess.add(-6, is_misleading(&table.name), || {
            format!("`{}` is named like something else", table.name)
        });
        guess.add(1, time_column(table).is_some(), || "a time".to_owned());
        Some(guess)
    };
    forms.iter().filter_map(guess).collect()
}

/// The table of conversations that a column refers to, by a foreign key or by its name.
fn own_table(schema: &[Table], messages: &Table, column: &Column) -> Option<Conversations> {
    let of_name = |table: &&Table| is_key_of(column, table);
    let of_key = |table: &&Table| {
        let target = column.references.as_ref();
        target.is_some_and(|target| target.eq_ignore_ascii_case(&table.name))
    };
    let tables = || schema.iter().filter(|table| table.name != messages.name);
    let mut named = tables().filter(of_name);
    let table = tables()
        .find(of_key)
        .or_else(|| match (named.next(), named.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        })?;
    // A key of several columns can't be told by one.
    let mut keys = table.columns.iter().filter(|column| column.key);
    match (keys.next(), keys.next()) {
        (Some(_), None) => Some(conversations(table)),
        _ => None,
    }
}

/// Whether a column is named like the key of a table: `chat_id` of `chats` or `app_chat`.
pub(super) fn is_key_of(column: &Column, table: &Table) -> bool {
    let plain = |name: &str| name.to_lowercase().replace('_', "");
    let named = plain(&column.name);
    let table_name = table.name.to_lowercase();
    let one = table_name.strip_suffix('s').unwrap_or(&table_name);
    let last = one.rsplit('_').next().unwrap_or(one);
    let is_of = |one: &str| {
        let keys = ["", "id", "uid", "uuid", "guid", "key", "ref"];
        keys.iter().any(|ending| named == format!("{one}{ending}"))
    };
    let is_place = || PLACES.contains(&last);
    is_of(&plain(one)) || is_place() && is_of(last)
}

/// The rows of conversations in a table, with what its names tell.
pub(super) fn conversations(table: &Table) -> Conversations {
    let first = |names: &[&str]| {
        names
            .iter()
            .find_map(|name| table.column(name))
            .map(|column| column.name.clone())
    };
    let users = [
        "user_id",
        "userid",
        "owner_id",
        "owner",
        "username",
        "user",
        "account_id",
        "customer_id",
        "person",
    ];
    Conversations {
        table: table.name.clone(),
        title: first(&["title", "name", "subject", "topic", "summary", "label"])
            .map(Source::column),
        user: first(&users).map(Source::column),
        created: first(&[
            "created_at",
            "createdat",
            "created",
            "started_at",
            "started",
            "create_time",
        ]),
        updated: first(&[
            "updated_at",
            "updatedat",
            "updated",
            "update_time",
            "last_message_at",
        ]),
        ..Conversations::default()
    }
}

/// Whether a column is an id, by its name or its type.
pub(super) fn is_id(column: &Column) -> bool {
    let ends = ["id", "ids", "uuid", "guid", "key", "ref", "hash", "no"];
    let last = words(&column.name).pop().unwrap_or_default();
    let name = column.name.to_lowercase();
    ends.contains(&last.as_str()) || name.ends_with("id") || column.declared.contains("UUID")
}

/// Whether a column says who a person is, which groups messages too: `user_id`, not `user_session_id`.
pub(super) fn is_about_people(column: &Column) -> bool {
    let mut words = words(&column.name);
    if words.len() > 1 {
        words.pop();
    }
    let named = words.last().is_some_and(|word| is_person(word));
    named
        || column
            .references
            .as_ref()
            .is_some_and(|target| is_of_people(target))
}

/// Whether a table holds people, or what they belong to.
pub(super) fn is_of_people(table: &str) -> bool {
    words(table).last().is_some_and(|word| is_person(word))
}

fn is_person(word: &str) -> bool {
    let people = [
        "user",
        "owner",
        "account",
        "author",
        "tenant",
        "org",
        "organization",
        "team",
        "model",
        "customer",
        "member",
        "person",
        "profile",
    ];
    people.contains(&word.strip_suffix('s').unwrap_or(word))
}

/// A column that is true for one side, and what its values mean.
fn flag_column(table: &Table) -> Option<(&Column, BTreeMap<String, String>)> {
    let (column, side) = FLAGS
        .iter()
        .find_map(|(name, side)| Some((table.column(name)?, *side)))?;
    let other = if side == "user" { "assistant" } else { "user" };
    let of =
        |values: [&str; 3], side: &str| values.map(|value| (value.to_owned(), side.to_owned()));
    let map = of(["1", "true", "t"], side)
        .into_iter()
        .chain(of(["0", "false", "f"], other));
    Some((column, map.collect()))
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

pub(super) fn role_column(table: &Table) -> Option<&Column> {
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

/// Whether a store's column of roles may well say who wrote a letter or a post: only rows tell.
pub(super) fn is_vague(store: &Store) -> bool {
    let vague = ["sender", "author", "direction", "type"];
    let role = store.message.role.as_ref();
    let mut names = role.into_iter().flat_map(Source::columns);
    names.any(|name| is(name, &vague))
}

pub(super) fn time_column(table: &Table) -> Option<&Column> {
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
        "date",
        "at",
        "ts",
    ]
    .iter()
    .find_map(|name| table.column(name))
}

pub(super) fn conversation_column(table: &Table) -> Option<&Column> {
    let refers = |column: &&Column| {
        column.references.as_ref().is_some_and(|target| {
            let target = target.to_lowercase();
            let is_place = PLACES.iter().any(|place| target.contains(place));
            is_place && !is_of_people(&target) && target != table.name.to_lowercase()
        })
    };
    let named = |column: &&Column| {
        let name = column.name.to_lowercase().replace('_', "");
        PLACES.iter().any(|place| {
            ["id", "uid", "uuid", "guid", "key", "ref"]
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
