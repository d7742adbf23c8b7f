//! Messages that may still have been in progress when a snapshot was taken.
//!
//! Their rows must be there at any later time; only their texts may have continued. So besides the
//! digests a snapshot keeps how long the text was, and a digest of it: of a text that begins with
//! what was there nothing is lost.

use super::entry::Entry;
use super::message_hasher::MessageHasher;
use super::spill::{Field, Record, Room};
use crate::model::{Mark, Role, State, StoredMessage};
use std::cmp::Ordering;

/// Clocks of two machines may differ by so much, in microseconds.
pub(super) const CLOCKS: i64 = 5_000_000;
/// What the store has marked as being written for longer than this stays so, in microseconds.
const DAY: i64 = 86_400_000_000;

/// Why a text may still have been written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// The store said so.
    Marked,
    /// The store said so, and had for more than a day: it was left behind by a crash.
    Left,
    /// The store said that it was not whole, or waited: it may have gone on, and what was there stays.
    GoesOn,
    /// It was an answer younger than the time in which texts settle, and the store did not say
    /// whether it was finished.
    Young,
    /// It was an answer with a time after the snapshot's, so nothing shows how old it was.
    Ahead,
}

/// A message whose text may still have been written to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Open {
    /// Its digests then.
    pub(super) entry: Entry,
    pub(super) why: Why,
    /// What its text was; absent in a snapshot of the first version.
    pub(super) text: Option<Text>,
}

/// What a text was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Text {
    digest: u64,
    /// Its length in bytes.
    length: u32,
    /// Whether the message said anything, by its text or by calling a tool.
    said: bool,
}

/// What a text is, next to what it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Now {
    Same,
    /// It begins with what was there.
    Longer,
    /// The message says nothing any more.
    Nothing,
    /// Another one.
    Other,
}

impl Why {
    /// Why the text of a message may still be written to, at `taken`, when texts settle in
    /// `settle`; none when it is what it will stay. Both in microseconds.
    pub(super) fn of(message: &StoredMessage, taken: i64, settle: i64) -> Option<Self> {
        let age = message.time.map(|time| taken.saturating_sub(time));
        let is_answer = message.role == Role::Assistant;
        match (message.state, message.mark, age) {
            (State::Failed | State::Deleted, ..) => None,
            (State::Open, Mark::Waiting, _) => Some(Self::Marked),
            (State::Open, _, Some(DAY..)) => Some(Self::Left),
            (State::Open, ..) => Some(Self::Marked),
            (State::Whole, Mark::Writing, None | Some(..DAY)) if is_answer => Some(Self::Marked),
            (State::Whole, Mark::Finished, _) => None,
            // The row was made for an answer of which nothing had come: nothing can be lost of it.
            (State::Whole, Mark::None | Mark::Partial, None | Some(..DAY))
                if is_answer && holds_nothing(message) =>
            {
                Some(Self::Marked)
            }
            (State::Whole, _, Some(age)) if is_answer && age < -CLOCKS => Some(Self::Ahead),
            (State::Whole, _, Some(age)) if is_answer && age < settle => Some(Self::Young),
            (State::Whole, Mark::Waiting, _) if is_answer => Some(Self::GoesOn),
            (State::Whole, Mark::Partial, None | Some(..DAY)) if is_answer => Some(Self::GoesOn),
            (State::Whole, ..) => None,
        }
    }

    const fn number(self) -> u8 {
        match self {
            Self::Marked => 0,
            Self::Left => 1,
            Self::Young => 2,
            Self::Ahead => 3,
            Self::GoesOn => 4,
        }
    }

    const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Marked,
            1 => Self::Left,
            2 => Self::Young,
            3 => Self::Ahead,
            _ => Self::GoesOn,
        }
    }
}

/// Whether the text of a message may still be written to, as a snapshot at `taken` takes it.
pub fn may_go_on(message: &StoredMessage, taken: i64, settle: i64) -> bool {
    Why::of(message, taken, settle).is_some()
}

impl Open {
    /// Of a snapshot of the first version, which kept no texts.
    pub(super) fn of_first_version(entry: Entry, taken: i64) -> Self {
        let ahead = entry
            .time()
            .is_some_and(|time| time > taken.saturating_add(CLOCKS));
        let why = match (entry.state(), ahead) {
            (State::Open, _) => Why::Marked,
            (_, true) => Why::Ahead,
            (_, false) => Why::Young,
        };
        Self {
            entry,
            why,
            text: None,
        }
    }
}

impl Open {
    /// Whether the message said nothing.
    pub(super) fn held_nothing(&self) -> bool {
        self.text.is_some_and(|text| !text.said && text.length == 0)
    }
}

impl Text {
    pub(super) fn of(message: &StoredMessage, hasher: &MessageHasher) -> Self {
        Self {
            digest: hasher.text(message.content.as_bytes()),
            length: u32::try_from(message.content.len()).unwrap_or(u32::MAX),
            said: says(message),
        }
    }

    /// What has become of it.
    pub(super) fn now(self, message: &StoredMessage, hasher: &MessageHasher) -> Now {
        let text = message.content.as_bytes();
        match text.get(..self.length as usize) {
            _ if self.said && !says(message) => Now::Nothing,
            Some(begin) if hasher.text(begin) == self.digest => {
                if begin.len() == text.len() {
                    Now::Same
                } else {
                    Now::Longer
                }
            }
            _ => Now::Other,
        }
    }
}

/// Whether there is nothing in a message, not even an image.
fn holds_nothing(message: &StoredMessage) -> bool {
    !says(message) && message.attachments == 0 && message.others == 0 && !message.reasoning
}

fn says(message: &StoredMessage) -> bool {
    !super::turns::is_empty(message)
}

impl Record for Open {
    const SIZE: usize = 8 + Entry::SIZE + 4 + 1 + 1;
    const HASHED: usize = 8 + Entry::HASHED;

    fn put(&self, out: &mut [u8]) {
        let text = self.text.unwrap_or(Text {
            digest: 0,
            length: 0,
            said: false,
        });
        let (digest, rest) = out.split_at_mut(8);
        digest.copy_from_slice(&text.digest.to_le_bytes());
        let (entry, rest) = rest.split_at_mut(Entry::SIZE);
        self.entry.put(entry);
        let mut room = Room(rest);
        room.put(text.length.to_le_bytes());
        room.put([u8::from(text.said)]);
        room.put([self.why.number()]);
    }

    fn get(bytes: &[u8]) -> Self {
        let (digest, rest) = bytes.split_at(8);
        let (entry, rest) = rest.split_at(Entry::SIZE);
        let mut rest = Field(rest);
        let length = u32::from_le_bytes(rest.take());
        let [said] = rest.take();
        let [why] = rest.take();
        Self {
            entry: Entry::get(entry),
            why: Why::from_number(why),
            text: Some(Text {
                digest: u64::from_le_bytes(Field(digest).take()),
                length,
                said: said != 0,
            }),
        }
    }

    fn order(&self, other: &Self) -> Ordering {
        self.entry.order(&other.entry)
    }

    fn absorb(&mut self, _: &Self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{CLOCKS, DAY, MessageHasher, Now, Open, Text, Why};
    use crate::audit::key::Key;
    use crate::audit::spill::Record as _;
    use crate::model::{Mark, Role, State, StoredMessage};
    use crate::text::hex;

    const TAKEN: i64 = 1_700_000_000_000_000;
    const SETTLE: i64 = 120_000_000;

    fn answer(age: i64) -> StoredMessage {
        StoredMessage {
            time: Some(TAKEN - age),
            ..StoredMessage::new("1", Role::Assistant, "Hello there.")
        }
    }

    #[test]
    fn a_text_is_open_by_what_the_store_says_and_else_by_its_age() {
        let why = |message: &StoredMessage| Why::of(message, TAKEN, SETTLE);
        for (age, expected) in [
            (0, Some(Why::Young)),
            (SETTLE - 1, Some(Why::Young)),
            (SETTLE, None),
            (-CLOCKS, Some(Why::Young)),
            (-CLOCKS - 1, Some(Why::Ahead)),
        ] {
            assert_eq!(why(&answer(age)), expected, "{age}");
            let of = |mark, state| StoredMessage {
                mark,
                state,
                ..answer(age)
            };
            // What says that it is finished is finished, however young.
            assert_eq!(why(&of(Mark::Finished, State::Whole)), None);
            assert_eq!(why(&of(Mark::None, State::Failed)), None);
            assert_eq!(why(&of(Mark::None, State::Deleted)), None);
            assert_eq!(why(&of(Mark::None, State::Open)), Some(Why::Marked));
            let question = StoredMessage {
                role: Role::User,
                ..of(Mark::Writing, State::Whole)
            };
            assert_eq!(why(&question), None, "a question is whole");
        }
        let marked = |age, state| StoredMessage {
            mark: Mark::Writing,
            state,
            ..answer(age)
        };
        assert_eq!(why(&marked(DAY - 1, State::Whole)), Some(Why::Marked));
        assert_eq!(why(&marked(DAY, State::Whole)), None);
        assert_eq!(why(&marked(DAY, State::Open)), Some(Why::Left));
        // It may go on, and may have ended so.
        let partial = |age| StoredMessage {
            mark: Mark::Partial,
            ..answer(age)
        };
        assert_eq!(why(&partial(SETTLE - 1)), Some(Why::Young));
        assert_eq!(why(&partial(SETTLE)), Some(Why::GoesOn));
        assert_eq!(why(&partial(DAY)), None);
        // A person may take days to decide.
        let undecided = |age, state| StoredMessage {
            mark: Mark::Waiting,
            state,
            ..answer(age)
        };
        assert_eq!(why(&undecided(0, State::Whole)), Some(Why::Young));
        assert_eq!(why(&undecided(DAY, State::Whole)), Some(Why::GoesOn));
        assert_eq!(why(&undecided(DAY, State::Open)), Some(Why::Marked));
        // A row that waits for its answer.
        let waiting = |age| StoredMessage {
            content: String::new(),
            ..answer(age)
        };
        assert_eq!(why(&waiting(SETTLE * 10)), Some(Why::Marked));
        assert_eq!(why(&waiting(DAY)), None);
        let image = StoredMessage {
            attachments: 1,
            ..waiting(SETTLE * 10)
        };
        assert_eq!(why(&image), None);
        let undated = StoredMessage {
            time: None,
            ..answer(0)
        };
        assert_eq!(why(&undated), None);
    }

    #[test]
    fn a_text_that_goes_on_begins_with_what_was_there() {
        let hasher = MessageHasher::new(&Key::new([7; 32]));
        let was = Text::of(&answer(0), &hasher);
        for (text, now) in [
            ("Hello there.", Now::Same),
            ("Hello there. And more", Now::Longer),
            ("Hello there", Now::Other),
            ("Hello There. And more", Now::Other),
            (" ", Now::Nothing),
            ("", Now::Nothing),
        ] {
            let message = StoredMessage::new("1", Role::Assistant, text);
            assert_eq!(was.now(&message, &hasher), now, "{text}");
        }
        let empty = StoredMessage::new("1", Role::Assistant, "");
        let nothing = Text::of(&empty, &hasher);
        assert_eq!(nothing.now(&empty, &hasher), Now::Same);
        assert_eq!(nothing.now(&answer(0), &hasher), Now::Longer);
    }

    /// What is in a file of today must be readable by the program of tomorrow.
    #[test]
    fn its_bytes_are_what_they_were() {
        let mut hasher = MessageHasher::new(&Key::new([7; 32]));
        let (entry, _) = hasher.digest(&answer(0));
        let open = Open {
            entry,
            why: Why::Ahead,
            text: Some(Text::of(&answer(0), &hasher)),
        };
        let mut bytes = [0; Open::SIZE];
        open.put(&mut bytes);
        assert_eq!(Open::get(&bytes), open);
        assert_eq!(
            hex(bytes),
            "d019732e24026910f21e58912bd52fdf19416a65cfbe3baa885c6cbe77b7452500000000000000000000000000\
             000000c5575c3e20947f95fe4bd35a0c7c20af00401e18240a0600210c0000000103"
        );
    }
}
