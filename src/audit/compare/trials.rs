//! One random change at a time: it is reported as what it is, and nothing else is reported.

use super::{Code, Comparer, Comparison};
use crate::audit::file;
use crate::audit::file::{Header, Snapshot};
use crate::audit::key::Key;
use crate::audit::snapshot_builder::{Detail, Late, Settings, SnapshotBuilder};
use crate::model::{Role, State, StoredMessage};
use fastrand::Rng;
use std::collections::BTreeSet;
use std::ops::Deref;
use std::time::Duration;
use tempfile::TempDir;

pub(super) const TAKEN: i64 = 1_700_000_000_000_000;
const SECOND: i64 = 1_000_000;

pub(super) fn key() -> Key {
    Key::new([7; 32])
}

pub(super) fn settings(detail: Detail) -> Settings {
    Settings {
        detail,
        settle: Duration::ZERO,
        ..Settings::at(TAKEN)
    }
}

/// A snapshot whose file lives as long as it.
pub(super) struct Taken {
    snapshot: Snapshot,
    _folder: TempDir,
}

impl Deref for Taken {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.snapshot
    }
}

/// A snapshot of these messages, written and opened again.
pub(super) fn snapshot(messages: &[StoredMessage], settings: Settings) -> Taken {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.cas");
    let mut builder = SnapshotBuilder::new(&key(), settings).unwrap();
    for message in messages {
        builder.add(message, Late::No).unwrap();
    }
    let mut out = std::fs::File::create(&path).unwrap();
    file::write(
        &mut out,
        &Header::default(),
        builder.finish().unwrap(),
        &key(),
    )
    .unwrap();
    Taken {
        snapshot: file::open(&path, &key()).unwrap(),
        _folder: folder,
    }
}

/// What the driver does: a look, and a second one when there is something to name.
pub(super) fn compare(before: &Snapshot, messages: &[StoredMessage]) -> Comparison {
    compare_late(before, messages, |_| Late::No)
}

/// The same, where some messages may be late.
pub(super) fn compare_late(
    before: &Snapshot,
    messages: &[StoredMessage],
    late: impl Fn(&StoredMessage) -> Late,
) -> Comparison {
    let mut comparer = Comparer::new(before, &Default::default(), settings(Detail::Auto)).unwrap();
    for message in messages {
        comparer.add(&mut message.clone(), late(message)).unwrap();
    }
    match comparer.finish().unwrap().resolver() {
        Err(found) => *found,
        Ok(mut resolver) => {
            messages.iter().for_each(|message| resolver.add(message));
            resolver.finish()
        }
    }
}

/// Whether the store has a column that grows with each message.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Append {
    Id,
    None,
}

struct Chats {
    random: Rng,
    append: Append,
    messages: Vec<StoredMessage>,
    next: i64,
    time: i64,
}

impl Chats {
    fn new(seed: u64, append: Append) -> Self {
        let mut chats = Self {
            random: Rng::with_seed(seed),
            append,
            messages: Vec::new(),
            next: 1,
            time: TAKEN - 5000 * SECOND,
        };
        for _ in 0..80 {
            let conversation = chats.random.u32(..12);
            chats.say(conversation);
            // A gap, where something may come between.
            chats.next += chats.random.i64(0..2);
        }
        chats
    }

    fn say(&mut self, conversation: u32) {
        let conversation = format!("c{conversation}");
        let before = self.messages.iter().rev();
        let parent = before
            .filter(|message| message.conversation.as_ref() == Some(&conversation))
            .map(|message| (message.key.clone(), message.role.clone()))
            .next();
        let role = match &parent {
            Some((_, Role::User)) => Role::Assistant,
            _ => Role::User,
        };
        // Some texts are said again and again.
        let text = match self.random.u8(..4) {
            0 => "ok".to_owned(),
            _ => format!("text {}", self.random.u64(..)),
        };
        self.next += 1;
        self.time += self.random.i64(1..40) * SECOND;
        let number = self.next;
        let key = match self.append {
            Append::Id => number.to_string(),
            Append::None => format!("{:016x}", self.random.u64(..)),
        };
        self.messages.push(StoredMessage {
            conversation: Some(conversation),
            time: Some(self.time),
            append: (self.append == Append::Id).then_some(number),
            parent: parent.map(|(key, _)| key),
            ..StoredMessage::new(key, role, text)
        });
    }

    fn grow(&mut self) {
        self.time = self.time.max(TAKEN) + SECOND;
        for _ in 0..self.random.u8(1..30) {
            let conversation = self.random.u32(..16);
            self.say(conversation);
        }
    }

    fn any(&mut self) -> usize {
        self.random.usize(..self.messages.len())
    }

    fn in_conversation(&self, at: usize) -> u64 {
        let of = &self.messages[at].conversation;
        self.messages
            .iter()
            .filter(|m| m.conversation == *of)
            .count() as u64
    }
}

/// Changes what is there; gives what it must be called, and how many messages it is about.
type Change = fn(&mut Chats) -> Option<(Code, u64)>;

const CHANGES: &[Change] = &[
    // "message-lost" or "conversation-lost"
    |chats| {
        let at = chats.any();
        let alone = chats.in_conversation(at) == 1;
        chats.messages.remove(at);
        Some(if alone {
            (Code::ConversationLost, 1)
        } else {
            (Code::MessageLost, 1)
        })
    },
    |chats| {
        let at = chats.any();
        let count = chats.in_conversation(at);
        let of = chats.messages[at].conversation.clone();
        chats.messages.retain(|message| message.conversation != of);
        Some((Code::ConversationLost, count))
    },
    // "message-lost": kept as a row
    |chats| {
        let at = chats.any();
        chats.messages[at].state = State::Deleted;
        Some((Code::MessageLost, 1))
    },
    // "message-altered"
    |chats| {
        let at = chats.any();
        let content = &mut chats.messages[at].content;
        let byte = chats.random.usize(..content.len());
        content.replace_range(byte..=byte, "\u{7f}");
        Some((Code::MessageAltered, 1))
    },
    |chats| {
        let (one, other) = (chats.any(), chats.any());
        let texts = [one, other].map(|at| chats.messages[at].content.clone());
        if texts[0] == texts[1] {
            return None;
        }
        let [first, second] = texts;
        chats.messages[one].content = second;
        chats.messages[other].content = first;
        Some((Code::MessageAltered, 2))
    },
    |chats| {
        let at = chats.any();
        chats.messages[at].role = match chats.messages[at].role {
            Role::User => Role::Assistant,
            _ => Role::Other("system".into()),
        };
        Some((Code::MessageAltered, 1))
    },
    |chats| {
        let at = chats.any();
        chats.messages[at].parent = Some("nowhere".into());
        Some((Code::MessageAltered, 1))
    },
    // "message-duplicated": the row itself, behind the others, in a gap
    |chats| {
        let at = chats.any();
        chats.messages.push(chats.messages[at].clone());
        Some((Code::MessageDuplicated, 1))
    },
    |chats| {
        let at = chats.any();
        chats.next += 1;
        let mut copy = chats.messages[at].clone();
        copy.key = format!("{}-", chats.next);
        copy.append = copy.append.map(|_| chats.next);
        chats.messages.push(copy);
        Some((Code::MessageDuplicated, 1))
    },
    |chats| {
        let at = chats.any();
        let mut copy = chats.messages[at].clone();
        copy.key.push('-');
        copy.append = copy.append.map(|_| 1);
        chats.messages.push(copy);
        Some((Code::MessageDuplicated, 1))
    },
    // "message-moved"
    |chats| {
        let (at, to) = (chats.any(), chats.any());
        let to = chats.messages[to].conversation.clone();
        if chats.messages[at].conversation == to {
            return None;
        }
        chats.messages[at].conversation = to;
        Some((Code::MessageMoved, 1))
    },
    // "times-shifted"
    |chats| {
        let at = chats.any();
        chats.messages[at].time = chats.messages[at].time.map(|time| time + 3600 * SECOND);
        Some((Code::TimesShifted, 1))
    },
    |chats| {
        for message in &mut chats.messages {
            message.time = message.time.map(|time| time - 3600 * SECOND);
        }
        Some((Code::TimesShifted, chats.messages.len() as u64))
    },
    // "backfilled"
    |chats| {
        if chats.append == Append::None {
            return None;
        }
        let at = chats.any();
        chats.messages.push(StoredMessage {
            key: "1".into(),
            append: Some(1),
            content: "I was never said.".into(),
            ..chats.messages[at].clone()
        });
        Some((Code::Backfilled, 1))
    },
    // "id-reused"
    |chats| {
        if chats.append == Append::None {
            return None;
        }
        let at = chats.any();
        let message = &mut chats.messages[at];
        message.content = "something else".into();
        message.time = Some(TAKEN + SECOND);
        Some((Code::IdReused, 1))
    },
];

fn trials(append: Append, detail: Detail) {
    let mut done = 0;
    for seed in 0..25 {
        let chats = Chats::new(seed, append);
        let before = snapshot(&chats.messages, settings(detail));
        for turn in 0..45 {
            let mut chats = Chats::new(seed, append);
            chats.random = Rng::with_seed(seed * 1000 + turn);
            let number = turn as usize % CHANGES.len();
            let Some((code, messages)) = CHANGES[number](&mut chats) else {
                continue;
            };
            let here: BTreeSet<_> = conversations(&chats.messages);
            // Every change comes alone and with growth.
            if turn % 2 == 1 {
                chats.grow();
            }
            // A conversation that has new messages is not gone, though its old ones are.
            let again = conversations(&chats.messages).len() > here.len();
            let found = compare(&before, &chats.messages);
            let told: Vec<_> = found
                .groups
                .iter()
                .map(|(code, group)| (*code, group.messages))
                .collect();
            let lost = code == Code::ConversationLost && again;
            let right =
                told == [(code, messages)] || lost && told == [(Code::MessageLost, messages)];
            assert!(
                right,
                "seed {seed}, change {number}: {code:?} ×{messages}, told {told:?}"
            );
            assert_eq!(found.totals.undecided, 0);
            done += 1;
        }
    }
    assert!(done >= 800, "{done}");
}

fn conversations(messages: &[StoredMessage]) -> BTreeSet<Option<String>> {
    messages.iter().map(|m| m.conversation.clone()).collect()
}

#[test]
fn a_change_is_named_with_every_message_kept() {
    trials(Append::Id, Detail::Messages);
}

#[test]
fn a_change_is_named_with_every_message_kept_and_no_append_column() {
    trials(Append::None, Detail::Messages);
}

#[test]
fn a_change_is_named_from_a_sketch() {
    trials(Append::Id, Detail::Sketch(512));
}

#[test]
fn a_change_is_named_from_a_sketch_without_an_append_column() {
    trials(Append::None, Detail::Sketch(512));
}

#[test]
fn growth_alone_is_never_a_finding() {
    for seed in 0..100 {
        for append in [Append::Id, Append::None] {
            let mut chats = Chats::new(seed, append);
            let details = [Detail::Messages, Detail::Sketch(512), Detail::Conversations];
            let before = details.map(|detail| snapshot(&chats.messages, settings(detail)));
            let old = chats.messages.len();
            chats.grow();
            chats.random.shuffle(&mut chats.messages);
            for before in &before {
                let found = compare(before, &chats.messages);
                assert!(found.groups.is_empty(), "{:?}", found.groups);
                if found.totals.undecided == 0 {
                    assert_eq!(found.totals.appended as usize, chats.messages.len() - old);
                    assert_eq!(found.totals.intact, found.totals.conversations);
                }
            }
        }
    }
}
