//! The digest of a message.
//!
//! A message has several digests, each with a key of its own, so that a change can be told by
//! what changed: `content` is of role, text, tools, state and what else belongs to it; `parent`
//! of the message before it; the time and the place stay numbers. Of attachments, reasoning and parts
//! of other kinds only the number goes in: applications write the same ones in one form and another. The
//! **leaf** is of all of them and of both identifiers; it is what the sums are made of.
//!
//! Contents and leaves are keyed BLAKE3; what only hides an identifier is SipHash with a key of 128
//! bits, which is several times as fast on a few bytes. Without a parent a leaf is of 64 bytes, one
//! block.
//!
//! Every text goes in behind its length, every choice behind a number, so that no two messages
//! give the same bytes. Not hashed are the raw status (its meaning is the state), whether the
//! message lies on the current branch (the user may choose another one at any time), and whether
//! its content could be decoded (then the raw text is hashed).

use super::entry::{Besides, Entry, Id, NONE, flags, role_number, state_number};
use super::key::{Key, Secret};
use crate::model::{Role, StoredMessage};

/// It is hashed first in each content; a change of what is hashed takes the next number.
const VERSION: u8 = 1;

/// Makes digests; it keeps its buffer from message to message.
#[derive(Debug)]
pub struct MessageHasher {
    keys: Keys,
    asides: Asides,
    buffer: Vec<u8>,
}

/// What of the parts that are no text goes into the digest of a content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asides {
    /// How many attachments and parts of other kinds there are, and whether there is reasoning.
    Counted,
    /// The same without the other kinds: as in snapshots of the third version of the file.
    WithoutOthers,
    /// Nothing: as in snapshots of the second version and before.
    LeftOut,
}

#[derive(Debug, Clone)]
struct Keys {
    conversation: Secret,
    message: Secret,
    content: Secret,
    text: Secret,
    leaf: Secret,
    parent: Secret,
    place: Secret,
}

impl MessageHasher {
    pub fn new(key: &Key) -> Self {
        Self {
            keys: Keys {
                conversation: key.derive("chatctl audit 1 conversation"),
                message: key.derive("chatctl audit 1 message"),
                content: key.derive("chatctl audit 1 content"),
                text: key.derive("chatctl audit 1 text"),
                leaf: key.derive("chatctl audit 1 leaf"),
                parent: key.derive("chatctl audit 1 parent"),
                place: key.derive("chatctl audit 1 place"),
            },
            asides: Asides::Counted,
            buffer: Vec::with_capacity(4096),
        }
    }

    /// With these parts or without them.
    pub fn with(mut self, asides: Asides) -> Self {
        self.asides = asides;
        self
    }

    /// With the key of another one.
    pub(super) fn new_like(other: &Self) -> Self {
        Self {
            keys: other.keys.clone(),
            asides: other.asides,
            buffer: Vec::new(),
        }
    }

    /// The digests of a message, and its leaf.
    pub fn digest(&mut self, message: &StoredMessage) -> (Entry, [u8; 32]) {
        let conversation = self.conversation(message.conversation.as_deref());
        let id = self.message(&message.key);
        let content = self.content(message);
        let parent = message
            .parent
            .as_ref()
            .map(|parent| self.keys.parent.hide(parent.as_bytes()));

        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.extend_from_slice(&conversation.0);
        buffer.extend_from_slice(&id.0);
        buffer.extend_from_slice(&content[..16]);
        // No store has such a time or place.
        buffer.extend_from_slice(&message.time.unwrap_or(NONE).to_le_bytes());
        buffer.extend_from_slice(&message.append.unwrap_or(NONE).to_le_bytes());
        buffer.extend(parent.iter().flatten());
        let leaf = self.keys.leaf.digest(buffer);

        let mut entry = Entry {
            conversation,
            message: id,
            content: first(&content),
            parent: parent.map_or(0, |parent| first(&parent)),
            place: 0,
            time: message.time.unwrap_or(NONE),
            flags: flags(&message.role, message.state, message.append.is_some()),
            besides: besides(message),
        };
        if let Some(place) = message.append {
            entry.place = place.cast_unsigned() ^ self.mask(&entry);
        }
        (entry, leaf)
    }

    pub fn conversation(&mut self, key: Option<&str>) -> Id {
        self.buffer.clear();
        text(&mut self.buffer, key);
        Id(self.keys.conversation.hide(&self.buffer))
    }

    pub fn message(&self, key: &str) -> Id {
        Id(self.keys.message.hide(key.as_bytes()))
    }

    /// A digest of a text, or of how it begins.
    pub(super) fn text(&self, text: &[u8]) -> u64 {
        first(&self.keys.text.digest(text))
    }

    /// The place that the append column gave a message.
    pub fn place(&self, entry: &Entry) -> Option<i64> {
        entry
            .placed()
            .then(|| (entry.place ^ self.mask(entry)).cast_signed())
    }

    fn mask(&self, entry: &Entry) -> u64 {
        let mut key = [0; 32];
        key[..16].copy_from_slice(&entry.conversation.0);
        key[16..].copy_from_slice(&entry.message.0);
        first(&self.keys.place.hide(&key))
    }

    fn content(&mut self, message: &StoredMessage) -> [u8; 32] {
        let buffer = &mut self.buffer;
        buffer.clear();
        buffer.extend([
            VERSION,
            role_number(&message.role),
            state_number(message.state),
        ]);
        if let Role::Other(word) = &message.role {
            text(buffer, Some(word));
        }
        text(buffer, Some(&message.content));
        buffer.extend_from_slice(&(message.tools.len() as u64).to_le_bytes());
        for tool in &message.tools {
            text(buffer, Some(&tool.name));
            text(buffer, tool.input.as_deref());
            text(buffer, tool.output.as_deref());
        }
        text(buffer, Some(&message.extra));
        let others = match self.asides {
            Asides::Counted => message.others,
            Asides::WithoutOthers | Asides::LeftOut => 0,
        };
        let has_asides = message.attachments > 0 || message.reasoning || others > 0;
        if has_asides && self.asides != Asides::LeftOut {
            buffer.extend_from_slice(&message.attachments.to_le_bytes());
            buffer.push(u8::from(message.reasoning));
            if others > 0 {
                buffer.extend_from_slice(&others.to_le_bytes());
            }
        }
        self.keys.content.digest(buffer)
    }
}

/// What no user takes away with an edit of the text. Reasoning may be a part of an answer that is edited.
fn besides(message: &StoredMessage) -> Besides {
    let outputs = message.tools.iter().filter(|tool| tool.output.is_some());
    let extra = message.extra.split('\u{1f}');
    let filled = extra.filter(|value| !["", "[]", "{}", "null"].contains(value));
    let parts = message.attachments as usize + message.others as usize;
    Besides::of(message.tools.len() + outputs.count() + parts + filled.count())
}

/// A text behind a byte that says that there is one, and its length.
fn text(buffer: &mut Vec<u8>, text: Option<&str>) {
    buffer.push(u8::from(text.is_some()));
    if let Some(text) = text {
        buffer.extend_from_slice(&(text.len() as u64).to_le_bytes());
        buffer.extend_from_slice(text.as_bytes());
    }
}

/// The first half, or quarter, of a digest as a number.
fn first(digest: &[u8]) -> u64 {
    let (parts, _) = digest.as_chunks::<8>();
    u64::from_le_bytes(parts[0])
}

#[cfg(test)]
mod tests {
    use super::{Asides, MessageHasher};
    use crate::audit::key::Key;
    use crate::model::{Role, State, StoredMessage, ToolCall};
    use crate::text::hex;
    use std::collections::BTreeSet;

    fn leaf(message: &StoredMessage) -> String {
        hex(MessageHasher::new(&Key::new([7; 32])).digest(message).1)
    }

    fn message() -> StoredMessage {
        StoredMessage {
            conversation: Some("c1".into()),
            time: Some(1_700_000_000_000_000),
            append: Some(17),
            parent: Some("m0".into()),
            tools: vec![ToolCall {
                name: "search".into(),
                input: Some("{}".into()),
                output: None,
            }],
            extra: "[1]".into(),
            ..StoredMessage::new("m1", Role::Assistant, "Hello there.")
        }
    }

    /// A snapshot of today must be readable by the program of tomorrow: these never change.
    #[test]
    fn digests_are_what_they_were() {
        let entry = MessageHasher::new(&Key::new([7; 32])).digest(&message()).0;
        let digests = [
            leaf(&message()),
            leaf(&StoredMessage::new("", Role::User, "")),
            hex(entry.conversation.0),
            hex(entry.message.0),
            hex(entry.content.to_le_bytes()),
            hex(entry.parent.to_le_bytes()),
            hex(entry.place.to_le_bytes()),
            Key::new([7; 32]).id(),
        ];
        assert_eq!(
            digests,
            [
                "e47b91ea58068b74082c523ff345bc3eae5d684078ec01099147f95818949abb",
                "0efc8b1cc6da05e5c89abab42abcd3924b6e8391c9fe39716b6cb76188acbc64",
                "32fb14aa5f1ec0d5f49c2eb085cf735c",
                "a44da657e668ab0141c9e07da58013b9",
                "ca3b883de52baea9",
                "f168b274563869d0",
                "b8e6fb99f9b714ed",
                "e958d288a118fd65",
            ]
        );
    }

    #[test]
    fn every_field_matters_and_nothing_runs_together() {
        let changes: &[fn(&mut StoredMessage)] = &[
            |_| {},
            |m| m.key = "m2".into(),
            |m| m.conversation = Some("c2".into()),
            |m| m.conversation = Some(String::new()),
            |m| m.conversation = None,
            |m| (m.key, m.conversation) = ("1m1".into(), Some("c".into())),
            |m| m.role = Role::User,
            |m| m.role = Role::Other("assistant".into()),
            |m| m.role = Role::Other("tool".into()),
            |m| m.content.push(' '),
            |m| m.content.clear(),
            |m| m.time = None,
            |m| m.time = Some(0),
            |m| m.time = Some(1_700_000_000_000_001),
            |m| m.append = None,
            |m| m.append = Some(18),
            |m| (m.time, m.append) = (m.append, m.time),
            |m| m.parent = None,
            |m| m.parent = Some(String::new()),
            |m| m.tools.clear(),
            |m| m.attachments = 1,
            |m| m.attachments = 2,
            |m| m.reasoning = true,
            |m| (m.attachments, m.reasoning) = (1, true),
            |m| m.others = 1,
            |m| (m.attachments, m.others) = (1, 1),
            |m| m.others = 2,
            |m| m.tools[0].name.push('x'),
            |m| m.tools[0].input = None,
            |m| m.tools[0].output = m.tools[0].input.take(),
            |m| m.tools.push(m.tools[0].clone()),
            |m| m.extra.clear(),
            |m| (m.content, m.extra) = ("Hello there.[".into(), "1]".into()),
            |m| m.state = State::Open,
            |m| m.state = State::Failed,
            |m| m.state = State::Deleted,
        ];
        let leaves: BTreeSet<_> = changes
            .iter()
            .map(|change| {
                let mut message = message();
                change(&mut message);
                leaf(&message)
            })
            .collect();
        assert_eq!(leaves.len(), changes.len());
        let other = MessageHasher::new(&Key::new([8; 32])).digest(&message()).1;
        assert_ne!(hex(other), leaf(&message()), "the key matters");
    }

    /// A snapshot that was taken before they were counted must compare.
    #[test]
    fn attachments_can_be_left_out() {
        let with = StoredMessage {
            attachments: 2,
            reasoning: true,
            others: 1,
            ..message()
        };
        let mut of_third = MessageHasher::new(&Key::new([7; 32])).with(Asides::WithoutOthers);
        let without = StoredMessage {
            others: 0,
            ..with.clone()
        };
        assert_eq!(hex(of_third.digest(&with).1), leaf(&without));
        assert_ne!(leaf(&with), leaf(&without));
        let mut hasher = MessageHasher::new(&Key::new([7; 32])).with(Asides::LeftOut);
        assert_eq!(hex(hasher.digest(&with).1), leaf(&message()));
        assert_eq!(
            hex(MessageHasher::new_like(&hasher).digest(&with).1),
            leaf(&message())
        );
        assert_ne!(leaf(&with), leaf(&message()));
    }

    #[test]
    fn what_the_user_may_change_or_only_the_reader_sees_does_not_matter() {
        let mut same = message();
        same.on_branch = false;
        same.decoded = false;
        same.status = Some("done".into());
        assert_eq!(leaf(&same), leaf(&message()));
    }

    #[test]
    fn the_place_is_masked_and_read_with_the_key() {
        let mut hasher = MessageHasher::new(&Key::new([7; 32]));
        let (entry, _) = hasher.digest(&message());
        assert_ne!(entry.place, 17);
        assert_eq!(hasher.place(&entry), Some(17));
        let (entry, _) = hasher.digest(&StoredMessage::new("m1", Role::User, ""));
        assert_eq!(hasher.place(&entry), None);
    }
}
