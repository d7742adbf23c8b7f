//! The record of one conversation in a snapshot.

use super::entry::{Entry, Id, NONE};
use super::spill::{Field, Record, Room};
use super::sum::Sum;
use crate::model::Listed;
use std::cmp::Ordering;

/// A conversation: how many messages it has, and the sum of their leaves.
///
/// Two of the same conversation add up to one, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConversationDigest {
    /// The conversation.
    pub id: Id,
    /// The sum of the leaves of its settled messages.
    pub sum: Sum,
    /// The first half of the last message's leaf.
    pub last: [u8; 16],
    /// Settled messages of the user, of the assistant, and of others.
    pub counts: [u32; 3],
    /// Messages after the high-water mark of the snapshot that this is compared with.
    pub grown: u32,
    /// The last message's role, as a number.
    role: u8,
    /// Whether it has a row of its own, whether it has messages that are not counted, and whether
    /// it is deleted for the user.
    flags: u8,
    /// The greatest time, in microseconds since 1970 UTC.
    time: i64,
    /// What the last message is found by: its place, then its time.
    order: (i64, i64),
}

const ROW: u8 = 1;
const UNSETTLED: u8 = 2;
const DELETED: u8 = 4;

impl ConversationDigest {
    /// A conversation without messages.
    pub fn new(id: Id) -> Self {
        Self {
            id,
            sum: Sum::default(),
            last: [0; 16],
            counts: [0; 3],
            grown: 0,
            role: u8::MAX,
            flags: 0,
            time: NONE,
            order: (NONE, NONE),
        }
    }

    /// Adds a settled message with its leaf.
    pub(super) fn add(&mut self, entry: &Entry, place: Option<i64>, leaf: &[u8; 32]) {
        let role = entry.flags & 3;
        self.sum.add(Sum::from_bytes(leaf));
        self.counts[usize::from(role.min(2))] += 1;
        self.time = self.time.max(entry.time);
        let (half, _) = leaf.as_chunks::<16>();
        let order = (place.unwrap_or(NONE), entry.time);
        if (order, half[0]) > (self.order, self.last) {
            self.order = order;
            self.last = half[0];
            self.role = role;
        }
    }

    /// Says that it has a row of its own.
    pub(super) fn has_row(&mut self, listed: Listed) {
        self.flags |= match listed {
            Listed::Shown => ROW,
            Listed::Deleted => ROW | DELETED,
        };
    }

    /// Whether its row says that it is deleted for the user.
    pub(super) fn is_deleted(&self) -> bool {
        self.flags & DELETED != 0
    }

    /// Whether it has a row of its own.
    pub(super) fn is_listed(&self) -> bool {
        self.flags & ROW != 0
    }

    /// Says that it has a message that is not counted, since it may still change.
    pub(super) fn has_unsettled(&mut self) {
        self.flags |= UNSETTLED;
    }

    /// Whether it has such a message.
    pub(super) fn has_open(&self) -> bool {
        self.flags & UNSETTLED != 0
    }

    /// How many settled messages it has.
    pub fn messages(&self) -> u64 {
        self.counts.iter().map(|count| u64::from(*count)).sum()
    }

    /// Whether any message of it is there, settled or not, old or new.
    pub fn filled(&self) -> bool {
        self.messages() > 0 || self.grown > 0 || self.has_open()
    }

    /// The greatest time of a message, in microseconds since 1970 UTC.
    pub fn time(&self) -> Option<i64> {
        (self.time != NONE).then_some(self.time)
    }

    /// The same without the place of the last message, which may be an identifier.
    pub(super) fn sealed(mut self) -> Self {
        self.order = (NONE, NONE);
        self
    }
}

impl Record for ConversationDigest {
    const SIZE: usize = 106;
    const HASHED: usize = 64;

    fn put(&self, out: &mut [u8]) {
        let mut room = Room(out);
        room.put(self.id.0);
        room.put(self.sum.to_bytes());
        room.put(self.last);
        for count in self.counts {
            room.put(count.to_le_bytes());
        }
        room.put(self.grown.to_le_bytes());
        room.put([self.role, self.flags]);
        room.put(self.time.to_le_bytes());
        room.put(self.order.0.to_le_bytes());
        room.put(self.order.1.to_le_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        let mut field = Field(bytes);
        Self {
            id: Id(field.take()),
            sum: Sum::from_bytes(&field.take()),
            last: field.take(),
            counts: [(); 3].map(|()| u32::from_le_bytes(field.take())),
            grown: u32::from_le_bytes(field.take()),
            role: u8::from_le_bytes(field.take()),
            flags: u8::from_le_bytes(field.take()),
            time: i64::from_le_bytes(field.take()),
            order: (
                i64::from_le_bytes(field.take()),
                i64::from_le_bytes(field.take()),
            ),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        self.id.cmp(&other.id)
    }

    fn absorb(&mut self, other: &Self) -> bool {
        if self.id != other.id {
            return false;
        }
        self.sum.add(other.sum);
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        self.grown += other.grown;
        self.flags |= other.flags;
        self.time = self.time.max(other.time);
        if (other.order, other.last) > (self.order, self.last) {
            self.order = other.order;
            self.last = other.last;
            self.role = other.role;
        }
        true
    }
}
