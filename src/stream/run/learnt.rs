//! What the chats without a gate showed about the server.

use super::live::Live;
use crate::model::{Role, StoredMessage};
use crate::stream::judge::{TurnSeen, plain};
use crate::stream::kept;

/// What the chats without a gate showed of every message. Whatever is read later has to be so, too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Learnt {
    /// A row holds all of the answer, as it was said.
    pub(super) whole_answers: bool,
    /// A row holds all of the question.
    pub(super) whole_questions: bool,
    /// One row holds the question.
    pub(super) one_question: bool,
    /// An answer is the only message of the assistant in its turn.
    pub(super) one_answer: bool,
    /// A row in a conversation holds the question.
    pub(super) asked_in_conversation: bool,
    /// Each answer is in a conversation.
    pub(super) in_conversation: bool,
    /// It is in the one whose key the server gave out.
    pub(super) in_its_own: bool,
    /// It is the assistant's.
    pub(super) as_assistants: bool,
    /// Each conversation has a row of its own.
    pub(super) has_heads: bool,
    /// That row names a user.
    pub(super) names_users: bool,
    /// The history shows all that was said.
    pub(super) whole_history: bool,
    /// What was said in earlier turns is still there when a chat is over.
    pub(super) keeps_earlier: bool,
    /// Former versions of answers are kept, under another status.
    pub(super) has_versions: bool,
}

impl Learnt {
    /// All of it, until a chat shows otherwise.
    pub(super) const ALL: Self = Self {
        whole_answers: true,
        whole_questions: true,
        one_question: true,
        one_answer: true,
        asked_in_conversation: true,
        in_conversation: true,
        in_its_own: true,
        as_assistants: true,
        has_heads: true,
        names_users: true,
        whole_history: true,
        keeps_earlier: true,
        has_versions: false,
    };

    /// One more answer and its row.
    pub(super) fn answer(&mut self, live: &Live, row: &StoredMessage) {
        self.whole_answers &= live.is_all_in(row);
        self.in_conversation &= row.conversation.is_some();
        self.in_its_own &= is_in(live.conversation().as_deref(), row);
        self.as_assistants &= row.role == Role::Assistant;
    }

    /// One more turn, as it is stored.
    pub(super) fn turn(&mut self, seen: &TurnSeen) {
        let is_whole = |row: &StoredMessage| kept::is_all_in(&seen.user, &row.content);
        self.whole_questions &= seen.with_tag.iter().any(is_whole);
        let is_placed = |row: &StoredMessage| row.conversation.is_some();
        self.asked_in_conversation &= seen.with_tag.iter().any(is_placed);
        self.one_question &= seen.is_asked_once();
        self.one_answer &= seen.is_answered_once();
    }

    /// The key may come with the response, and after this row.
    fn is_its_own(live: &Live, row: &StoredMessage) -> bool {
        let key = live.conversation();
        key.is_none_or(|key| is_in(Some(&key), row))
    }

    /// Whether a row that holds an answer's end is all that it was in other chats.
    pub(super) fn accepts(self, live: &Live, row: &StoredMessage) -> bool {
        (!self.whole_answers || live.is_all_in(row))
            && (!self.in_conversation || row.conversation.is_some())
            && (!self.in_its_own || Self::is_its_own(live, row))
            && (!self.as_assistants || row.role == Role::Assistant)
    }
}

/// Whether a row is in the conversation with this key.
fn is_in(key: Option<&str>, row: &StoredMessage) -> bool {
    match (key, &row.conversation) {
        (Some(ours), Some(its)) => plain(ours) == plain(its),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_in;
    use crate::model::{Role, StoredMessage};

    #[test]
    fn a_row_is_in_the_conversation_that_was_given_out() {
        let row = |key: Option<&str>| StoredMessage {
            conversation: key.map(str::to_owned),
            ..StoredMessage::new("1", Role::Assistant, "so")
        };
        assert!(is_in(Some("A1-b2"), &row(Some("a1b2"))));
        assert!(!is_in(Some("7"), &row(Some("inbox"))));
        assert!(!is_in(Some("7"), &row(None)) && !is_in(None, &row(Some("7"))));
    }
}
