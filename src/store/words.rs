//! What the names of tables and columns say: which may hold a chat, its roles, its conversations, and
//! which are something else. Pure.

use super::companions;
use super::declared::{Conversations, Store};
use super::source::{Path, Source};
use crate::model::{Column, Table};
use std::collections::BTreeMap;

/// Names of the message before, of which a message is the answer or another version.
pub(super) const PARENTS: &[&str] = &[
    "parent_id",
    "parentId",
    "parent_message_id",
    "parentMessageId",
    "parent",
    "previous_message_id",
    "previous_id",
    "in_reply_to",
    "reply_to",
    "reply_to_id",
];

pub(super) const CONTENT: &[&str] = &[
    "content",
    "text",
    "body",
    "message",
    "message_text",
    "parts",
    "output",
];
/// Where texts of a turn, a part or a call may be, besides these.
const MORE_CONTENT: &[&str] = &[
    "prompt",
    "question",
    "response",
    "answer",
    "arguments",
    "input",
    "result",
    "payload",
    "reasoning",
];
pub(super) const PLACES: &[&str] = &[
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
/// Names that a column may have without an ending when it names the conversation; the others stand for
/// texts and kinds too.
const BARE: &[&str] = &[
    "conversation",
    "conv",
    "chat",
    "session",
    "thread",
    "dialog",
    "dialogue",
    "room",
];
/// Columns that are true for one side, and which one.
const FLAGS: &[(&str, &str)] = &[
    ("is_user", "user"),
    ("isuser", "user"),
    ("from_user", "user"),
    ("is_from_user", "user"),
    ("is_created_by_user", "user"),
    ("iscreatedbyuser", "user"),
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
pub(super) const MISLEADING_SHORT: &[&str] = &[
    "fts", "tts", "tag", "tags", "faq", "faqs", "job", "jobs", "bak", "tmp", "old",
];
/// Words that end like the name of a log.
const HARMLESS: &[&str] = &["dialog", "dialogs", "blog", "blogs", "catalog", "catalogs"];

/// Whether a table is named like something that is not a chat.
pub(super) fn is_misleading(name: &str) -> bool {
    is_something_else(name) || is_log(name)
}

/// Whether a table is named like something that never holds a chat, whatever is in it.
pub(super) fn is_something_else(name: &str) -> bool {
    words(name).iter().any(|word| {
        let is_in = |part: &&str| word.starts_with(*part) || part.len() > 5 && word.contains(*part);
        MISLEADING.iter().any(is_in) || MISLEADING_SHORT.contains(&word.as_str())
    })
}

pub(super) fn is_log(name: &str) -> bool {
    let is_log = |word: &str| word.ends_with("log") || word.ends_with("logs");
    words(name)
        .iter()
        .any(|word| is_log(word) && !HARMLESS.contains(&word.as_str()))
}

/// The words of a name: `chatLog_v2` has three.
pub(super) fn words(name: &str) -> Vec<String> {
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

/// Whether a column holds what comes before the messages in another one.
pub(super) fn is_archive(name: &str) -> bool {
    let told = [
        "archive", "old", "earlier", "previous", "past", "compact", "trunc",
    ];
    let words = words(name);
    words
        .iter()
        .any(|word| told.iter().any(|it| word.starts_with(it)))
}

/// Whether it holds letters and not a chat.
pub(super) fn is_mail(table: &Table) -> bool {
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
        deleted: companions::deletion(table),
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
pub(super) fn flag_column(table: &Table) -> Option<(&Column, BTreeMap<String, String>)> {
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

pub(super) fn content_column(table: &Table) -> Option<&Column> {
    CONTENT
        .iter()
        .find_map(|name| table.column(name))
        .filter(|column| column.holds_text())
}

/// The columns of a table that are named like texts.
pub(super) fn text_columns(table: &Table) -> impl Iterator<Item = &str> {
    let columns = CONTENT.iter().filter_map(|name| table.column(name));
    let texts = columns.filter(|column| column.holds_text() && !column.key);
    texts.map(|column| column.name.as_str())
}

pub(super) fn is_text(name: &str) -> bool {
    is(name, CONTENT)
}

/// Whether a table has a column that is named like texts, and may hold them.
pub(super) fn has_texts(table: &Table) -> bool {
    let names = CONTENT.iter().chain(MORE_CONTENT);
    let mut columns = names.filter_map(|name| table.column(name));
    columns.any(Column::holds_text)
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

/// What the time of an item in JSON may be called.
pub(super) const ITEM_TIMES: &[&str] = &[
    "timestamp",
    "created_at",
    "createdAt",
    "created",
    "create_time",
    "createTime",
    "sent_at",
    "sentAt",
    "datetime",
    "time",
    "date",
    "ts",
];

/// The time of an item, whatever it is called there: the items of one list may have been written by
/// several versions of a server.
pub(super) fn item_time() -> Path {
    let names: Vec<_> = ITEM_TIMES.iter().map(|name| format!("'{name}'")).collect();
    let path = format!("$[{}]", names.join(", "));
    path.try_into().expect("it is a JSONPath")
}

/// Places that hold one conversation wherever they are named; the others also mean what spans several.
const CONVERSATIONS: &[&str] = &[
    "conversation",
    "conv",
    "chat",
    "thread",
    "dialog",
    "dialogue",
];

/// The column that names the conversation. Where several may, the word decides before the foreign
/// key: next to `conversation_id` a session is the user's login, and refers to a table of its own.
pub(super) fn conversation_column(table: &Table) -> Option<&Column> {
    let target = |column: &Column| {
        let target = column.references.as_ref()?;
        let of = words(target);
        let is = |word: &String, place: &str| {
            word == place || word.strip_suffix('s').is_some_and(|one| one == place)
        };
        let last = of.last()?;
        let last = PLACES.iter().find(|place| is(last, place))?;
        // A session of chats is one.
        let named = |place: &&&str| of.iter().any(|word| is(word, place));
        let place = CONVERSATIONS.iter().find(named).unwrap_or(last);
        (!target.eq_ignore_ascii_case(&table.name)).then_some(*place)
    };
    let is_conversation = |place: Option<&str>| place.is_some_and(|it| CONVERSATIONS.contains(&it));
    let rank = |column: &&Column| {
        let (named, refers) = (place_in(&column.name), target(column));
        let spans_several = !is_conversation(named) && !is_conversation(refers);
        let both = named.is_some() && refers.is_some();
        (spans_several, !both, refers.is_none(), !is_id(column))
    };
    let columns = || table.columns.iter();
    columns()
        .filter(|column| place_in(&column.name).is_some() || target(column).is_some())
        .min_by_key(rank)
        .or_else(|| columns().find(|column| is(&column.name, BARE)))
}

/// The place whose id a name is: that of a thread for `thread_id`.
fn place_in(name: &str) -> Option<&'static str> {
    let name = name.to_lowercase().replace('_', "");
    let endings = ["id", "uid", "uuid", "guid", "key", "ref"];
    let is_of = |place: &&&str| {
        let ending = name.strip_prefix(**place);
        ending.is_some_and(|ending| endings.contains(&ending))
    };
    PLACES.iter().find(is_of).copied()
}

/// The column that older versions took, whose snapshots cannot be compared with another one.
pub(super) fn older_conversation_column(table: &Table) -> Option<&Column> {
    let refers = |column: &&Column| {
        column.references.as_ref().is_some_and(|target| {
            let target = target.to_lowercase();
            let is_place = PLACES.iter().any(|place| target.contains(place));
            is_place && !is_of_people(&target) && target != table.name.to_lowercase()
        })
    };
    let named = |column: &&Column| place_in(&column.name).is_some();
    let columns = || table.columns.iter();
    columns()
        .find(|column| refers(column) && named(column))
        .or_else(|| columns().find(|column| refers(column) && is_id(column)))
        .or_else(|| columns().find(refers))
        .or_else(|| columns().find(named))
        .or_else(|| columns().find(|column| is(&column.name, BARE)))
}

/// Whether a name is one of these, in any case.
pub(super) fn is(name: &str, names: &[&str]) -> bool {
    names.iter().any(|known| name.eq_ignore_ascii_case(known))
}

#[cfg(test)]
mod tests {
    use super::{conversation_column, is_archive, is_misleading, is_something_else};
    use crate::model::{Column, Table};

    #[test]
    fn words_of_a_name_tell_and_not_its_letters() {
        for name in [
            "message_log",
            "chatLogs",
            "auditTrail",
            "email",
            "user_feedback",
            "ragCache",
            "msg_fts",
            "messagefeedback",
        ] {
            assert!(is_misleading(name), "{name}");
        }
        for name in [
            "dialog",
            "dialogue_message",
            "Dialogs",
            "catalog_chat",
            "stage_message",
            "advantage",
            "profile_chat",
        ] {
            assert!(!is_misleading(name), "{name}");
        }
        assert!(!is_something_else("chat_log"));
        assert!(is_archive("archived_messages") && is_archive("oldMessages"));
        assert!(!is_archive("tool_messages") && !is_archive("holdings"));
    }

    /// A key of several columns refers with each of them; and people are no conversation.
    #[test]
    fn the_column_that_names_the_conversation() {
        let column = |(name, target): &(&str, &str)| Column {
            name: (*name).to_owned(),
            declared: "TEXT".to_owned(),
            key: false,
            references: (!target.is_empty()).then(|| (*target).to_owned()),
        };
        for (columns, expected) in [
            (
                &[
                    ("app_name", "sessions"),
                    ("user_id", "sessions"),
                    ("session_id", "sessions"),
                ][..],
                Some("session_id"),
            ),
            (
                &[("user_id", "chat_users"), ("chat", "chats")],
                Some("chat"),
            ),
            (&[("user_session_id", "sessions")], Some("user_session_id")),
            (
                &[("session_id", "user_sessions"), ("conversation_id", "")],
                Some("conversation_id"),
            ),
            (
                &[("chat_id", ""), ("agent_id", "chat_agents")],
                Some("chat_id"),
            ),
            (&[("session_id", ""), ("thread_id", "")], Some("thread_id")),
            (
                &[("session_id", "sessions"), ("thread_id", "threads")],
                Some("thread_id"),
            ),
            (
                &[("chat_id", ""), ("folder_id", "chat_folders")],
                Some("chat_id"),
            ),
            (
                &[("thread_id", ""), ("chat_session_id", "chat_session")],
                Some("chat_session_id"),
            ),
            (&[("turn_id", "chat_turns")], None),
            (&[("message_id", "chat_message")], None),
            (&[("owner", "users"), ("thread_id", "")], Some("thread_id")),
            (&[("owner", "users"), ("chat", "")], Some("chat")),
            (&[("owner", "users"), ("text", "")], None),
        ] {
            let table = Table {
                name: "message".to_owned(),
                columns: columns.iter().map(column).collect(),
            };
            let found = conversation_column(&table).map(|column| column.name.as_str());
            assert_eq!(found, expected);
        }
    }
}
