//! A conversation as stored, whatever its shape.

use super::OrderKey;
use std::fmt;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredMessage {
    /// The key, as text; the parts of a composite one joined by `/`.
    pub key: String,
    /// The conversation's key, as text; absent when the mapping names none.
    pub conversation: Option<String>,
    /// Whose message it is.
    pub role: Role,
    /// The text.
    pub content: String,
    /// The status column's value; absent when the mapping names none.
    pub status: Option<String>,
    /// When it was created, in microseconds since 1970 UTC.
    pub time: Option<i64>,
    /// The value of the column that grows with each new message: a number, or a time in microseconds.
    pub append: Option<i64>,
    /// Its order within the conversation, if keys, times and places do not determine that.
    pub order: Option<OrderKey>,
    /// The key of the message before it.
    pub parent: Option<String>,
    /// Tool calls of the message, or their results.
    pub tools: Vec<ToolCall>,
    /// How many files, images and the like are parts of it.
    pub attachments: u32,
    /// Whether the model's reasoning is a part of it.
    pub reasoning: bool,
    /// The number of its parts of other kinds, which are not read.
    pub others: u32,
    /// Other values of the message, as text that is the same on every backend.
    pub extra: String,
    pub state: State,
    /// Whether the store itself marks the message as finished.
    pub mark: Mark,
    /// Whether the content could be decoded as the mapping declares; if not, it is the raw text.
    pub decoded: bool,
    /// Whether it lies on the way to the current leaf; always so where there are no branches.
    pub on_branch: bool,
}

/// The state of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum State {
    /// Complete.
    #[default]
    Whole,
    /// Still being written: it may change.
    Open,
    /// Ended by an error: not an answer.
    Failed,
    /// Deleted for the user, kept as a row.
    Deleted,
}

/// Whether the store itself marks a message as finished: by what the mapping names as
/// `open` or `done`, else by a word in its status column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mark {
    /// Nothing.
    #[default]
    None,
    /// It is still being written.
    Writing,
    /// It is not whole: it may still be written, or it ended so.
    Partial,
    /// It waits for a decision or a result, and goes on in the same row then.
    Waiting,
    Finished,
}

impl Mark {
    /// Whether it says that the message is not whole.
    pub fn is_unfinished(self) -> bool {
        match self {
            Self::Writing | Self::Partial => true,
            Self::None | Self::Waiting | Self::Finished => false,
        }
    }
}

/// A tool call of a message, or its result.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ToolCall {
    /// The tool's name; its id where the store keeps no name with a result.
    pub name: String,
    /// The arguments, as they are stored.
    pub input: Option<String>,
    /// The result, as it is stored.
    pub output: Option<String>,
}

/// Words in a status column that chat servers write when a message has failed, or a crash ended it. What the user
/// stopped is not among them.
const FAILED: [&str; 8] = [
    "crashed",
    "error",
    "errored",
    "failed",
    "failure",
    "interrupted",
    "timed_out",
    "timeout",
];

impl StoredMessage {
    /// A complete message about which no more is known.
    pub fn new(key: impl Into<String>, role: Role, content: impl Into<String>) -> Self {
        Self {
            key: key.into(),
            conversation: None,
            role,
            content: content.into(),
            status: None,
            time: None,
            append: None,
            order: None,
            parent: None,
            tools: Vec::new(),
            attachments: 0,
            reasoning: false,
            others: 0,
            extra: String::new(),
            state: State::Whole,
            mark: Mark::None,
            decoded: true,
            on_branch: true,
        }
    }

    /// Whether the store marks it as unfinished, or as no longer to be read.
    pub fn is_given_up(&self) -> bool {
        const WORDS: [&str; 5] = ["cancelled", "canceled", "aborted", "stopped", "deleted"];
        let is_said = |status: &String| WORDS.contains(&status.to_lowercase().as_str());
        self.state != State::Whole
            || self.mark.is_unfinished()
            || self.has_failed()
            || self.status.as_ref().is_some_and(is_said)
    }

    /// Whether the store marks it as failed, and not as no longer to be read.
    pub fn has_failed(&self) -> bool {
        let is_said = |status: &String| {
            let status = status.trim();
            FAILED.iter().any(|word| word.eq_ignore_ascii_case(status))
        };
        match self.state {
            State::Failed => true,
            State::Whole => self.status.as_ref().is_some_and(is_said),
            State::Open | State::Deleted => false,
        }
    }
}

/// A conversation, without its messages.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conversation {
    /// The key, as text; the parts of a composite one joined by `/`.
    pub key: String,
    pub title: Option<String>,
    /// The user's id.
    pub user: Option<String>,
    /// When it began, in microseconds since 1970 UTC.
    pub created: Option<i64>,
    /// When it was last written to, in microseconds since 1970 UTC.
    pub last: Option<i64>,
    /// How many messages it has.
    pub messages: u64,
    /// Whether its last message is the user's, or an answer that is empty or failed.
    pub unanswered: bool,
    /// Whether it is deleted for the user and kept as a row.
    pub deleted: bool,
}

/// Whether a conversation with its own row is shown to its user.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listed {
    /// It is.
    Shown,
    /// It is deleted for the user, and kept as a row.
    Deleted,
}

/// Whose message it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Role {
    /// The user's.
    User,
    /// The assistant's.
    Assistant,
    /// Another role, as the store spells it.
    Other(String),
}

impl Role {
    pub fn word(&self) -> &str {
        match self {
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Other(word) => word,
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}
