//! What the chats without a gate showed about the server.

use super::live::Live;
use crate::model::{Role, State, StoredMessage};
use crate::stream::judge::{TurnSeen, plain};
use crate::stream::kept;
use std::collections::{BTreeMap, BTreeSet};

/// What the chats without a gate showed of every message. Whatever is read later has to be so, too.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Learnt {
    /// A row holds all of the answer, as it was said.
    pub(super) whole_answers: bool,
    /// A row holds all of the question.
    pub(super) whole_questions: bool,
    /// One row holds the question.
    pub(super) one_question: bool,
    /// How many rows hold a question at least, of those with the same status where a question has several.
    question_rows: Option<usize>,
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
    /// It shows each answer as soon as its response is over.
    pub(super) shows_answers: bool,
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
        question_rows: None,
        one_answer: true,
        asked_in_conversation: true,
        in_conversation: true,
        in_its_own: true,
        as_assistants: true,
        has_heads: true,
        names_users: true,
        whole_history: true,
        shows_answers: true,
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
        let rows = copies_of(&seen.with_tag, &Role::User, !seen.is_asked_once());
        if rows > 0 {
            let least = self.question_rows.map_or(rows, |least| least.min(rows));
            self.question_rows = Some(least);
        }
    }

    /// How often a question is stored by these rows, where so many rows are once in every chat.
    pub(super) fn questions(self, rows: &[StoredMessage]) -> usize {
        let rows = copies_of(rows, &Role::User, !self.one_question);
        rows.div_ceil(self.question_rows.unwrap_or(1))
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

/// How many messages of a side hold a text. Former versions, which have a status of their own, are none.
pub(super) fn copies_of(rows: &[StoredMessage], side: &Role, has_versions: bool) -> usize {
    let mut by_status: BTreeMap<_, BTreeSet<_>> = BTreeMap::new();
    let counts = |row: &&StoredMessage| row.role == *side && row.state != State::Deleted;
    for row in rows.iter().filter(counts) {
        let status = has_versions.then_some(&row.status);
        let places = by_status.entry(status).or_default();
        places.insert((&row.conversation, &row.key));
    }
    by_status.values().map(BTreeSet::len).max().unwrap_or(0)
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
    use super::{Learnt, is_in};
    use crate::model::{Role, StoredMessage};
    use crate::stream::judge::TurnSeen;

    /// How often a question counts as stored by rows with these statuses, where each question has such rows.
    fn questions(usual: &[&str], now: &[&str]) -> usize {
        let rows = |statuses: &[&str]| -> Vec<_> {
            let rows = statuses
                .iter()
                .enumerate()
                .map(|(at, status)| StoredMessage {
                    status: Some((*status).to_owned()),
                    ..StoredMessage::new(at.to_string(), Role::User, "Hello [u1]")
                });
            rows.collect()
        };
        let mut learnt = Learnt::ALL;
        learnt.turn(&TurnSeen {
            user: "Hello [u1]".to_owned(),
            tag: "u1".to_owned(),
            with_tag: rows(usual),
            ..TurnSeen::blank(1)
        });
        learnt.questions(&rows(now))
    }

    #[test]
    fn a_question_with_as_many_rows_as_usual_is_stored_once() {
        let versions = ["received", "processed"];
        assert_eq!(questions(&versions, &versions), 1);
        assert_eq!(questions(&versions, &["received"]), 1);
        assert_eq!(questions(&versions, &[]), 0);
        // A second turn has each of them again, and perhaps only the first one yet.
        let twice = ["received", "processed", "received", "processed"];
        assert_eq!(questions(&versions, &twice), 2);
        assert_eq!(questions(&versions, &twice[..3]), 2);
        // Rows that are alike are counted.
        assert_eq!(questions(&["done"; 2], &["done"; 2]), 1);
        assert_eq!(questions(&["done"; 2], &["done"; 3]), 2);
        // Where a question has one row, two are two, whatever their status.
        assert_eq!(questions(&["done"], &["done", "failed"]), 2);
        assert_eq!(questions(&[], &["done"; 2]), 2);
    }

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
