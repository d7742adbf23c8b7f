//! A turn in progress, and a row of a completed one.

use super::client::Watching;
use crate::clock::Tick;
use crate::gateway::Play;
use crate::model::{Cell, StoredMessage};
use crate::stream::judge::saved_row_changed_later::is_lost;
use crate::stream::kept::{self, ExpectedAnswer};
use std::sync::Arc;
use std::time::Duration;

/// A turn under way.
pub(super) struct Live {
    pub(super) number: usize,
    pub(super) user: String,
    pub(super) tag: String,
    pub(super) nonce: String,
    pub(super) expected: String,
    /// What the client itself sent of the conversation, where it does.
    pub(super) context: Option<String>,
    /// What the provider says, where its format is read.
    pub(super) answer: Option<String>,
    pub(super) conversation: Option<String>,
    pub(super) sent: Tick,
    pub(super) play: Arc<Play>,
    pub(super) watching: Watching,
    /// How many chunks go out before the withheld one.
    pub(super) chunks_before: usize,
    /// How many connections the gateway had before.
    pub(super) connections: u64,
    /// Whether nothing had come when only the answer's end was left to be sent.
    pub(super) silent: bool,
}

impl Live {
    /// What of the nonce comes in one piece: its last character may come in a piece of its own.
    pub(super) fn mark(&self) -> &str {
        &self.nonce[..self.nonce.len() - 1]
    }

    /// Whether a message holds all of the answer, where that is known.
    pub(super) fn is_all_in(&self, message: &StoredMessage) -> bool {
        let answer = self.answer.as_ref();
        answer.is_some_and(|answer| kept::is_all_in(answer, &message.content))
    }

    /// The conversation's key, when the session captured one, perhaps out of this very turn.
    pub(super) fn conversation(&self) -> Option<String> {
        let seen = self.watching.seen();
        let captured = seen.captured.get("conversation_id");
        let captured = captured.map(|id| id.as_str().map_or_else(|| id.to_string(), str::to_owned));
        self.conversation.clone().or(captured)
    }

    /// All that the provider says.
    pub(super) fn whole_answer(&self) -> ExpectedAnswer {
        ExpectedAnswer {
            text: self.answer.clone().unwrap_or_else(|| self.expected.clone()),
            is_all: true,
            expected: self.expected.clone(),
            nonce: self.nonce.clone(),
            client: 0,
        }
    }
}

/// A column of a row, and its value.
pub(super) type Flag = (String, Cell);

/// The rows of a turn at its final marker, if they were read then.
#[derive(Default)]
pub(super) struct AtMarker {
    pub(super) answer: Option<StoredMessage>,
    pub(super) question: Option<StoredMessage>,
    /// How long the answer was away after that, before it came back.
    pub(super) away: Option<Duration>,
    /// What may say whether the answer is shown.
    pub(super) flags: Vec<Flag>,
}

/// A complete row that is checked again at the end.
pub(super) struct RowToRecheck {
    pub(super) row: StoredMessage,
    pub(super) at_final: AtMarker,
    /// The row of the same turn's question.
    pub(super) question: Option<StoredMessage>,
    /// What the user said.
    pub(super) user: String,
    /// What the provider said, where its format is read.
    pub(super) answer: Option<String>,
    /// What must be stored as the answer.
    pub(super) expected: String,
    pub(super) nonce: String,
    /// What finds the question of the same turn.
    pub(super) tag: String,
    pub(super) at: Tick,
    pub(super) number: usize,
}

impl RowToRecheck {
    /// Whether the question is in none of the rows that hold its mark now, as it was or as the user sent it.
    pub(super) fn is_question_lost(&self, rows: &[StoredMessage]) -> bool {
        let Some(question) = &self.question else {
            return rows.is_empty();
        };
        let is_it = |row: &StoredMessage| {
            row.role == question.role
                && row.conversation == question.conversation
                && kept::is_all_in(&self.user, &row.content)
        };
        is_lost(question, rows) && !rows.iter().any(is_it)
    }
}
