//! What the chats without a gate showed of the server.

use super::live::Live;
use crate::model::StoredMessage;

/// What the chats without a gate showed of every message. Whatever is read later has to be so, too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Learnt {
    /// A row holds all of the answer, as it was said.
    pub(super) whole_answers: bool,
    /// A row holds all of the question.
    pub(super) whole_questions: bool,
    /// One row holds the question.
    pub(super) one_question: bool,
    /// Each answer is in a conversation.
    pub(super) in_conversation: bool,
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
        in_conversation: true,
        whole_history: true,
        keeps_earlier: true,
        has_versions: false,
    };

    /// One more answer and its row.
    pub(super) fn answer(&mut self, live: &Live, row: &StoredMessage) {
        self.whole_answers &= live.is_all_in(row);
        self.in_conversation &= row.conversation.is_some();
    }

    /// Whether a row that holds an answer's end is all that it was in other chats.
    pub(super) fn accepts(self, live: &Live, row: &StoredMessage) -> bool {
        (!self.whole_answers || live.is_all_in(row))
            && (!self.in_conversation || row.conversation.is_some())
    }
}
