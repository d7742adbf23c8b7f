//! The kinds of findings: one row per code.

use super::Group;
use crate::text::plural;
use serde::Serialize;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Code {
    /// A conversation is gone with all its messages.
    ConversationLost,
    /// A conversation is there and has no messages.
    ConversationEmptied,
    /// A message is gone, or deleted for the user.
    MessageLost,
    /// A message is another one than it was.
    MessageAltered,
    /// A message appears twice.
    MessageDuplicated,
    /// A message is in another conversation.
    MessageMoved,
    /// A message has come between those that were there.
    Backfilled,
    /// A new message has the key of one that is gone.
    IdReused,
    /// Only times have changed.
    TimesShifted,
    /// A row of another table that belongs to a message is gone.
    PartLost,
    /// Such a row holds something else.
    PartAltered,
    /// A conversation belongs to another user.
    OwnerChanged,
    /// Conversations have no title any more.
    TitleLost,
}

/// What the mapping may allow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Allow {
    /// Users may change the texts of messages.
    Edit,
    /// Users may delete messages and conversations.
    Delete,
    /// Users may delete conversations only.
    Clear,
    /// Users may put messages into another conversation.
    Move,
}

/// How a code is reported.
#[derive(Debug, Clone, Copy)]
pub struct Kind {
    /// Which.
    pub code: Code,
    /// The code of the finding.
    pub name: &'static str,
    /// What makes it a note.
    pub allowed_by: Option<Allow>,
    pub harm: fn(&Group) -> String,
    /// The act.
    pub help: &'static str,
}

/// Every code.
pub static ALL: &[Kind] = &[
    Kind {
        code: Code::ConversationLost,
        name: "conversation-lost",
        allowed_by: Some(Allow::Delete),
        harm: |found| {
            let (are, were) = (plural(found.count, "conversation"), messages(found));
            format!("{are} of the snapshot {} gone with {were}", is(found.count))
        },
        help: "restore it from a backup, and check which jobs and migrations ran since the snapshot",
    },
    Kind {
        code: Code::ConversationEmptied,
        name: "conversation-emptied",
        allowed_by: Some(Allow::Delete),
        harm: |found| {
            let (are, were) = (plural(found.count, "conversation"), messages(found));
            format!("{are} {} still listed, but lost {were}", is(found.count))
        },
        help: "restore the messages from a backup, and look for a cascade or a purge of messages",
    },
    Kind {
        code: Code::MessageLost,
        name: "message-lost",
        allowed_by: Some(Allow::Delete),
        harm: |found| {
            let are = messages(found);
            format!("{are} of the snapshot {} gone", is(found.messages))
        },
        help: "restore it from a backup, and find the code that deletes messages",
    },
    Kind {
        code: Code::MessageAltered,
        name: "message-altered",
        allowed_by: Some(Allow::Edit),
        harm: |found| {
            let are = messages(found);
            format!("{are} of the snapshot {} altered", is(found.messages))
        },
        help: "compare it with a backup, and find the code that changes messages",
    },
    Kind {
        code: Code::MessageDuplicated,
        name: "message-duplicated",
        allowed_by: None,
        harm: |found| {
            let are = messages(found);
            format!("{are} of the snapshot {} stored twice", is(found.messages))
        },
        help: "find the repeated save, and make the message's id unique",
    },
    Kind {
        code: Code::MessageMoved,
        name: "message-moved",
        allowed_by: Some(Allow::Move),
        harm: |found| {
            let are = messages(found);
            format!(
                "{are} of the snapshot {} in another conversation",
                is(found.messages)
            )
        },
        help: "find the code that changes the conversation's key of stored messages",
    },
    Kind {
        code: Code::Backfilled,
        name: "backfilled",
        allowed_by: None,
        harm: |found| {
            let are = messages(found);
            let have = if found.messages == 1 { "has" } else { "have" };
            format!("{are} {have} been inserted between those of the snapshot")
        },
        help: "look for an import, a restore or a clock that was set back",
    },
    Kind {
        code: Code::IdReused,
        name: "id-reused",
        allowed_by: None,
        harm: |found| {
            let are = messages(found);
            format!(
                "{are} of the snapshot {} gone, and others have the keys",
                is(found.messages)
            )
        },
        help: "restore it from a backup under new keys, and set the sequence past the greatest key",
    },
    Kind {
        code: Code::TimesShifted,
        name: "times-shifted",
        allowed_by: Some(Allow::Edit),
        harm: |found| {
            let are = messages(found);
            let have = if found.messages == 1 { "has" } else { "have" };
            format!("{are} of the snapshot {have} another time, but the same content")
        },
        help: "look for a change of the time zone, or of the column's type",
    },
    Kind {
        code: Code::PartLost,
        name: "part-lost",
        allowed_by: Some(Allow::Delete),
        harm: |found| {
            let rows = plural(found.count, "row");
            format!(
                "{rows} of tool calls, attachments or other parts of messages {} gone",
                is(found.count)
            )
        },
        help: "restore them from a backup, and look for a cascade or a clean-up of their table",
    },
    Kind {
        code: Code::PartAltered,
        name: "part-altered",
        allowed_by: Some(Allow::Edit),
        harm: |found| {
            let rows = plural(found.count, "row");
            format!(
                "{rows} of tool calls, attachments or other parts of messages {} altered",
                is(found.count)
            )
        },
        help: "compare them with a backup, and find the code that changes them",
    },
    Kind {
        code: Code::OwnerChanged,
        name: "owner-changed",
        allowed_by: Some(Allow::Move),
        harm: |found| {
            let (are, verb) = match found.count {
                1 => ("1 conversation of the snapshot".to_owned(), "belongs"),
                count => (format!("{count} conversations of the snapshot"), "belong"),
            };
            format!("{are} {verb} to another user, and the one before no longer sees it")
        },
        help: "give it back to its user, and find the code that changes the owner",
    },
    Kind {
        code: Code::TitleLost,
        name: "title-lost",
        allowed_by: Some(Allow::Edit),
        harm: |found| {
            let (are, have) = (plural(found.count, "conversation"), "no title any more");
            let verb = if found.count == 1 { "has" } else { "have" };
            format!("{are} of the snapshot {verb} {have}")
        },
        help: "restore the titles from a backup, and find the code that empties them",
    },
];

impl Code {
    pub fn kind(self) -> &'static Kind {
        ALL.iter()
            .find(|kind| kind.code == self)
            .expect("every code has a row")
    }

    /// A conversation without its messages, whose own row may be there.
    pub(super) fn gone(row: bool) -> Self {
        if row {
            Self::ConversationEmptied
        } else {
            Self::ConversationLost
        }
    }
}

fn messages(found: &Group) -> String {
    plural(found.messages, "message")
}

fn is(count: u64) -> &'static str {
    if count == 1 { "is" } else { "are" }
}
