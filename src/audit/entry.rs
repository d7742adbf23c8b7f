//! The record of one message in a snapshot.

use super::spill::{Field, Record, Room};
use crate::model::{Role, State};
use std::cmp::Ordering;
use std::fmt;
use std::hash::{Hash, Hasher};

/// The keyed hash of an identifier: whoever has the key can make it, nobody can read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Id(pub [u8; 16]);

/// By their bytes, compared as one number: millions of them are sorted.
impl Ord for Id {
    fn cmp(&self, other: &Self) -> Ordering {
        u128::from_be_bytes(self.0).cmp(&u128::from_be_bytes(other.0))
    }
}

impl PartialOrd for Id {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The first half, which is enough to tell ids of a report apart.
impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("#")?;
        self.0[..6]
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// No time, or no place, in a field that has no other room to say so.
pub(super) const NONE: i64 = i64::MIN;

/// One message, without its content and identifiers.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    pub conversation: Id,
    pub message: Id,
    /// Digest of role, text, tools, state and what else belongs to it.
    pub content: u64,
    /// Digest of its parent; 0 without one.
    pub parent: u64,
    /// The place that the append column gives it, masked with a keyed hash of the message: an
    /// identifier must not be here in clear. [`super::MessageHasher::place`] reads it.
    pub(super) place: u64,
    /// In microseconds since 1970 UTC.
    pub(super) time: i64,
    /// The role, the state, and whether it has a place.
    pub(super) flags: u8,
    /// What it has besides its text.
    pub(super) besides: Besides,
}

/// How many tool calls, outputs, attachments and other parts a message has: `content` is a digest
/// of them and of the text, and does not tell which of these changed. In three bits, so more than
/// six are not told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Besides(u8);

impl Besides {
    /// In files of the fourth version and before.
    const UNKNOWN: Self = Self(0);
    const MOST: u8 = 7;

    pub(super) fn of(count: usize) -> Self {
        let count = u8::try_from(count).unwrap_or(Self::MOST);
        Self(count.saturating_add(1).min(Self::MOST))
    }

    /// Whether some of it is certainly gone.
    pub(super) fn lost(self, now: Self) -> bool {
        now != Self::UNKNOWN && now.0 < self.0
    }
}

/// What it has besides its text is in `content`, and unknown in older files.
impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        let all = |it: &Self| {
            let digests = (it.content, it.parent, it.place);
            (it.key(), digests, it.time, it.flags)
        };
        all(self) == all(other)
    }
}

impl Eq for Entry {}

impl Hash for Entry {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.key(), self.content).hash(state);
    }
}

/// Bits of the flags.
const STATE_SHIFT: u8 = 2;
const PLACED: u8 = 1 << 4;
/// In a file the three bits after them are what it has besides its text.
const BESIDES_SHIFT: u8 = 5;

impl Entry {
    /// When it was made, in microseconds since 1970 UTC.
    pub fn time(&self) -> Option<i64> {
        (self.time != NONE).then_some(self.time)
    }

    /// Whose message it is, in one word.
    pub fn role(&self) -> &'static str {
        ["user", "assistant", "other", "other"][usize::from(self.flags & 3)]
    }

    pub(super) fn is_question(&self) -> bool {
        self.flags & 3 == role_number(&Role::User)
    }

    pub(super) fn is_answer(&self) -> bool {
        self.flags & 3 == role_number(&Role::Assistant)
    }

    /// How far it is.
    pub fn state(&self) -> State {
        match self.flags >> STATE_SHIFT & 3 {
            0 => State::Whole,
            1 => State::Open,
            2 => State::Failed,
            _ => State::Deleted,
        }
    }

    /// Whether the store gives it a place.
    pub fn placed(&self) -> bool {
        self.flags & PLACED != 0
    }

    /// The same without its place.
    pub(super) fn unplaced(self) -> Self {
        Self {
            place: 0,
            flags: self.flags & !PLACED,
            ..self
        }
    }

    /// The same as in files of before: where each bit has to be the same on both sides.
    pub(super) fn without_besides(self) -> Self {
        Self {
            besides: Besides::UNKNOWN,
            ..self
        }
    }

    /// The message within its conversation; keys may be unique in a conversation only.
    pub(super) fn key(&self) -> (Id, Id) {
        (self.conversation, self.message)
    }
}

/// The flags of a message.
pub(super) fn flags(role: &Role, state: State, placed: bool) -> u8 {
    role_number(role) | state_number(state) << STATE_SHIFT | if placed { PLACED } else { 0 }
}

/// A number for the three kinds of role.
pub(super) fn role_number(role: &Role) -> u8 {
    match role {
        Role::User => 0,
        Role::Assistant => 1,
        Role::Other(_) => 2,
    }
}

/// A number for a state; it is hashed and stored, so it never changes.
pub(super) fn state_number(state: State) -> u8 {
    match state {
        State::Whole => 0,
        State::Open => 1,
        State::Failed => 2,
        State::Deleted => 3,
    }
}

impl Record for Entry {
    const SIZE: usize = 65;
    const HASHED: usize = 40;

    fn put(&self, out: &mut [u8]) {
        let mut room = Room(out);
        room.put(self.message.0);
        room.put(self.content.to_le_bytes());
        room.put(self.parent.to_le_bytes());
        room.put(self.place.to_le_bytes());
        room.put(self.conversation.0);
        room.put(self.time.to_le_bytes());
        room.put([self.flags | self.besides.0 << BESIDES_SHIFT]);
    }

    fn get(bytes: &[u8]) -> Self {
        let mut field = Field(bytes);
        let mut entry = Self {
            message: Id(field.take()),
            content: u64::from_le_bytes(field.take()),
            parent: u64::from_le_bytes(field.take()),
            place: u64::from_le_bytes(field.take()),
            conversation: Id(field.take()),
            time: i64::from_le_bytes(field.take()),
            flags: u8::from_le_bytes(field.take()),
            besides: Besides::UNKNOWN,
        };
        entry.besides = Besides(entry.flags >> BESIDES_SHIFT);
        entry.flags &= (1 << BESIDES_SHIFT) - 1;
        entry
    }

    fn order(&self, other: &Self) -> Ordering {
        self.key().cmp(&other.key())
    }

    fn absorb(&mut self, _: &Self) -> bool {
        false
    }
}
