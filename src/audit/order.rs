//! The order of a conversation's messages, if keys, times and places do not determine it.
//!
//! What is kept is the rank of each message or, without single messages, a digest of their
//! sequence: a store may number its messages again, as long as each one keeps its place.

use super::entry::Id;
use super::key::{Key, Secret};
use super::spill::{Field, Merge, Record, Room};
use crate::model::OrderKey;
use std::cmp::Ordering;
use std::io;

/// A message with what orders it. They are sorted by conversation, and then as they are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Placed {
    pub(super) conversation: Id,
    pub(super) message: Id,
    pub(super) key: OrderKey,
}

/// The rank of a message in its conversation, from 0; equals have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ranked {
    pub(super) conversation: Id,
    pub(super) message: Id,
    pub(super) rank: u32,
    /// Whether equals have no order.
    pub(super) exact: bool,
}

/// The messages of a conversation, one after another, in a digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sequence {
    pub(super) conversation: Id,
    pub(super) digest: [u8; 16],
    pub(super) messages: u32,
    pub(super) ties: Ties,
}

/// Whether some messages of a conversation are equal in what orders them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ties {
    /// Each has a place of its own.
    None,
    /// Some have no order.
    Exact,
    /// Some look equal, and may not be.
    Perhaps,
}

/// What of the order is known of one side.
#[derive(Debug, Default)]
pub(super) enum Orders {
    /// Nothing, or there is nothing to know.
    #[default]
    None,
    /// The rank of each message.
    Ranks(Ranks),
    /// A digest of each conversation.
    Sequences(Sequences),
    /// The same, as the database made it.
    Sums(Merge<Sequence>),
}

/// The ranks of sorted messages.
#[derive(Debug)]
pub(super) struct Ranks {
    placed: Merge<Placed>,
    last: Option<(Placed, u32)>,
}

impl Ranks {
    pub(super) fn of(placed: Merge<Placed>) -> Self {
        Self { placed, last: None }
    }
}

impl Iterator for Ranks {
    type Item = io::Result<Ranked>;

    fn next(&mut self) -> Option<io::Result<Ranked>> {
        let placed = match self.placed.next()? {
            Ok(placed) => placed,
            Err(error) => return Some(Err(error)),
        };
        let rank = match &self.last {
            Some((last, rank)) if last.conversation == placed.conversation => {
                rank.saturating_add(u32::from(last.key.values != placed.key.values))
            }
            _ => 0,
        };
        self.last = Some((placed, rank));
        Some(Ok(Ranked {
            conversation: placed.conversation,
            message: placed.message,
            rank,
            exact: placed.key.exact,
        }))
    }
}

/// The sequences of sorted messages.
#[derive(Debug)]
pub(super) struct Sequences {
    placed: Merge<Placed>,
    next: Option<Placed>,
    secret: Secret,
}

impl Sequences {
    pub(super) fn of(placed: Merge<Placed>, key: &Key) -> Self {
        Self {
            placed,
            next: None,
            secret: key.derive("chatctl audit 3 order"),
        }
    }

    fn sequence(&mut self) -> io::Result<Option<Sequence>> {
        let first = match self.next.take() {
            Some(first) => first,
            None => match self.placed.next().transpose()? {
                Some(first) => first,
                None => return Ok(None),
            },
        };
        let mut hasher = self.secret.hasher();
        let (mut messages, mut ties) = (0_u32, Ties::None);
        let mut last = first;
        let mut placed = Some(first);
        while let Some(this) = placed {
            if this.conversation != first.conversation {
                self.next = Some(this);
                break;
            }
            let is_tied = messages > 0 && this.key.values == last.key.values;
            if is_tied {
                let exact = last.key.exact && this.key.exact && ties != Ties::Perhaps;
                ties = if exact { Ties::Exact } else { Ties::Perhaps };
            }
            hasher.update(&[u8::from(is_tied)]);
            hasher.update(&this.message.0);
            messages = messages.saturating_add(1);
            last = this;
            placed = self.placed.next().transpose()?;
        }
        let digest = hasher.finalize();
        let (halves, _) = digest.as_bytes().as_chunks::<16>();
        Ok(Some(Sequence {
            conversation: first.conversation,
            digest: halves[0],
            messages,
            ties,
        }))
    }
}

impl Iterator for Sequences {
    type Item = io::Result<Sequence>;

    fn next(&mut self) -> Option<io::Result<Sequence>> {
        self.sequence().transpose()
    }
}

impl Record for Placed {
    const SIZE: usize = 33 + 16 * OrderKey::MOST;
    const HASHED: usize = 32;

    fn put(&self, out: &mut [u8]) {
        let mut room = Room(out);
        room.put(self.conversation.0);
        room.put(self.message.0);
        for value in self.key.values {
            room.put(value.to_le_bytes());
        }
        room.put([u8::from(self.key.exact)]);
    }

    fn get(bytes: &[u8]) -> Self {
        let mut field = Field(bytes);
        Self {
            conversation: Id(field.take()),
            message: Id(field.take()),
            key: OrderKey {
                values: [(); OrderKey::MOST].map(|()| i128::from_le_bytes(field.take())),
                exact: u8::from_le_bytes(field.take()) != 0,
            },
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        let of = |it: &Self| (it.conversation, it.key.values, it.message);
        of(self).cmp(&of(other))
    }

    fn absorb(&mut self, _: &Self) -> bool {
        false
    }
}

impl Record for Ranked {
    const SIZE: usize = 37;
    const HASHED: usize = 32;

    fn put(&self, out: &mut [u8]) {
        let mut room = Room(out);
        room.put(self.conversation.0);
        room.put(self.message.0);
        room.put(self.rank.to_le_bytes());
        room.put([u8::from(self.exact)]);
    }

    fn get(bytes: &[u8]) -> Self {
        let mut field = Field(bytes);
        Self {
            conversation: Id(field.take()),
            message: Id(field.take()),
            rank: u32::from_le_bytes(field.take()),
            exact: u8::from_le_bytes(field.take()) != 0,
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        (self.conversation, self.rank).cmp(&(other.conversation, other.rank))
    }

    fn absorb(&mut self, _: &Self) -> bool {
        false
    }
}

impl Record for Sequence {
    const SIZE: usize = 37;
    const HASHED: usize = 32;

    fn put(&self, out: &mut [u8]) {
        let mut room = Room(out);
        room.put(self.conversation.0);
        room.put(self.digest);
        room.put(self.messages.to_le_bytes());
        room.put([match self.ties {
            Ties::None => 0,
            Ties::Exact => 1,
            Ties::Perhaps => 2,
        }]);
    }

    fn get(bytes: &[u8]) -> Self {
        let mut field = Field(bytes);
        Self {
            conversation: Id(field.take()),
            digest: field.take(),
            messages: u32::from_le_bytes(field.take()),
            ties: match u8::from_le_bytes(field.take()) {
                0 => Ties::None,
                1 => Ties::Exact,
                _ => Ties::Perhaps,
            },
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        self.conversation.cmp(&other.conversation)
    }

    fn absorb(&mut self, _: &Self) -> bool {
        false
    }
}
