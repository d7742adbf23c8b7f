//! The record of what belongs to a message or conversation besides the messages themselves: rows of
//! other tables, who owns a conversation, and its title.

use super::entry::Id;
use super::key::{Key, Secret};
use super::message_hasher::MessageHasher;
use super::spill::{Field, Record, Room};
use crate::model::{DependentRow, Fact};
use std::cmp::Ordering;

/// One such row, without its content and identifiers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Belonging {
    /// The table and the key.
    pub(super) row: Id,
    pub(super) conversation: Id,
    /// All zeros where it belongs to the conversation.
    pub(super) message: Id,
    /// Digest of what is compared.
    pub(super) content: u64,
    what: u8,
    /// How many of the compared columns hold something.
    pub(super) filled: u8,
}

const OWNER: u8 = 0;
const TITLE: u8 = 1;
/// The first table.
const ROWS: u8 = 16;

impl Belonging {
    pub(super) fn what(&self) -> Fact {
        match self.what {
            OWNER => Fact::Owner,
            TITLE => Fact::Title,
            row => Fact::Row(row - ROWS),
        }
    }

    /// The message that it belongs to.
    pub(super) fn message(&self) -> Option<Id> {
        (self.message != Id::default()).then_some(self.message)
    }
}

fn number(what: Fact) -> u8 {
    match what {
        Fact::Owner => OWNER,
        Fact::Title => TITLE,
        Fact::Row(index) => ROWS + index,
    }
}

/// Makes such records.
#[derive(Debug)]
pub(super) struct DependentHasher {
    row: Secret,
    content: Secret,
}

impl DependentHasher {
    pub(super) fn new(key: &Key) -> Self {
        Self {
            row: key.derive("chatctl audit 5 dependent row"),
            content: key.derive("chatctl audit 5 dependent content"),
        }
    }

    pub(super) fn digest(&self, row: &DependentRow, messages: &mut MessageHasher) -> Belonging {
        let conversation = messages.conversation(row.conversation.as_deref());
        let message = row.message.as_deref().map(|key| messages.message(key));
        let content = self.content.digest(row.content.as_bytes());
        let (parts, _) = content.as_chunks::<8>();
        Belonging {
            row: Id(self.row.hide(row.key.as_bytes())),
            conversation,
            message: message.unwrap_or_default(),
            content: u64::from_le_bytes(parts[0]),
            what: number(row.what),
            filled: row.filled,
        }
    }
}

impl Record for Belonging {
    const SIZE: usize = 58;
    const HASHED: usize = 56;

    fn put(&self, out: &mut [u8]) {
        let mut room = Room(out);
        room.put(self.row.0);
        room.put(self.conversation.0);
        room.put(self.message.0);
        room.put(self.content.to_le_bytes());
        room.put([self.what, self.filled]);
    }

    fn get(bytes: &[u8]) -> Self {
        let mut field = Field(bytes);
        Self {
            row: Id(field.take()),
            conversation: Id(field.take()),
            message: Id(field.take()),
            content: u64::from_le_bytes(field.take()),
            what: field.take::<1>()[0],
            filled: field.take::<1>()[0],
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.row, self.content).cmp(&(other.row, other.content))
    }

    fn absorb(&mut self, _: &Self) -> bool {
        false
    }
}
