//! Which records of a history belong to the conversation.

use super::RememberedTurn;
use crate::model::{StoredMessage, known_role};
use crate::stream::session::Remembered;
use crate::stream::{kept, marks};

/// Whether a history shows one chat for all conversations, or for several of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Shows {
    /// What was said in the conversation, and no other.
    One,
    /// What was said in others too.
    Others,
}

/// What tells the records of a conversation.
#[derive(Clone, Copy)]
pub(in super::super) struct Own<'a> {
    pub(in super::super) told: &'a [RememberedTurn],
    pub(in super::super) shows: Shows,
    /// Whether the model calls tools in it: a message that does may say nothing.
    pub(in super::super) has_calls: bool,
    /// Its rows, at one time or another.
    pub(in super::super) stored: &'a [&'a [StoredMessage]],
}

impl Own<'_> {
    /// The records that are to be compared with what was said. What is before the first of them was
    /// there before the first turn: a greeting, or the end of another conversation.
    pub(in super::super) fn of(self, records: &[Remembered]) -> Vec<Remembered> {
        let begins = records
            .iter()
            .position(|record| is_own(self.told, &record.content));
        let records = begins.map_or(&[][..], |begins| &records[begins..]);
        let is_here = |record: &&Remembered| {
            self.shows == Shows::One || !is_of_another(self.told, &record.content)
        };
        let own = records.iter().filter(is_here);
        let own = own.filter(|record| self.is_talk(record));
        own.map(|record| self.as_said(record)).collect()
    }

    /// Whether a record is a message of one of both sides. One with a role that nobody knows (the model's reasoning, a
    /// summary) is if it says what one of them said.
    fn is_talk(self, record: &Remembered) -> bool {
        match known_role(&record.role) {
            Some("assistant") if self.has_calls => !record.content.trim().is_empty(),
            Some(role) => role == "user" || role == "assistant",
            None => self.told.iter().any(|turn| {
                let texts = [turn.user.trim(), turn.expected.trim()];
                texts.iter().any(|text| record.content.contains(text))
            }),
        }
    }

    /// A record without the words that the server adds behind an answer, where the store has them too.
    fn as_said(self, record: &Remembered) -> Remembered {
        let text = record.content.trim();
        let mut rows = self.stored.iter().copied().flatten();
        let longer = |turn: &&RememberedTurn| kept::is_longer(&turn.expected, text);
        let said = self.told.iter().find(longer);
        match said.filter(|_| rows.any(|row| row.content.trim() == text)) {
            Some(turn) => Remembered {
                content: turn.expected.clone(),
                ..record.clone()
            },
            None => record.clone(),
        }
    }
}

fn is_own(told: &[RememberedTurn], text: &str) -> bool {
    let holds = |mark: &String| text.contains(mark.as_str());
    told.iter()
        .any(|turn| holds(&turn.tag) || holds(&turn.nonce))
}

/// Whether chatctl said it, and elsewhere.
pub(in super::super) fn is_of_another(told: &[RememberedTurn], text: &str) -> bool {
    !marks::of(text).is_empty() && !is_own(told, text)
}
