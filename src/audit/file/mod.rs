//! The snapshot file.
//!
//! All numbers are little-endian. The file is a preamble, frames, and a trailer:
//!
//! | bytes | preamble |
//! |---|---|
//! | 8 | `CHATCAS\n` |
//! | 2 | the version, 5 |
//! | 8 | which key: [`super::Key::id`] |
//! | 16 | random, so that no frame fits into another file |
//!
//! | bytes | frame |
//! |---|---|
//! | 1 | kind |
//! | 4 | records; for text its length before compression |
//! | 4 | length of the payload |
//! | … | payload |
//! | 16 | keyed BLAKE3 over the preamble, the frame's number (8 bytes, from 0) and all the above |
//!
//! | kind | payload |
//! |---|---|
//! | 1 | [`Header`], JSON |
//! | 3 | conversations, 106 bytes each, by id |
//! | 4 | names: 16 bytes hash, 4 bytes length, text; LZ4 |
//! | 5 | messages, 65 bytes each, by conversation and message |
//! | 6 | cells of the sketch, 77 bytes each |
//! | 7 | [`Footer`], JSON: the end |
//! | 8 | messages that were not settled, 79 bytes each, by conversation and message |
//! | 9 | ranks of messages in their conversations, 37 bytes each, by conversation and rank |
//! | 10 | sequences of conversations, 37 bytes each, by conversation |
//! | 11 | what belongs to messages and conversations, 58 bytes each, by row |
//!
//! | bytes | trailer |
//! |---|---|
//! | 8 | where the last frame starts |
//! | 8 | its number |
//! | 8 | `CHATEND\n` |
//!
//! A record is hashes, then numbers. Hashes can't be compressed, and a compressor that tries
//! takes longer than the disk; so the hashes of all records of a frame come first, as they are,
//! and then the numbers, byte by byte of all records (all first bytes, all second bytes, …),
//! as one LZ4 block. LZ4 and not zstd: on bytes in this order it saves as much, it is read at
//! the speed of memory, and it needs no C.
//!
//! The fields of the records are in `entry.rs`, `tally.rs` and `sketch.rs`, in their order.
//! The last frame's check names the file; a later snapshot may hold it as [`Header::previous`].
//!
//! The first version had kind 2 in the place of kind 8: messages that were not settled, 65 bytes
//! each, without what their texts were. Its header and footer had other fields, and its sums of
//! `--quick` told nothing of young messages: these are refused, all else is read. The second had
//! neither kind 9 nor kind 10. Kind 11 came later within the fifth, whose readers pass over it. Up to the fourth, messages told nothing of what they had besides their
//! texts.

mod frame;
mod read;
mod write;

pub use read::{Snapshot, Stream, open};
pub use write::write;

use super::evidence::Evidence;
use super::snapshot_builder::Summary;
use crate::model::Dependent;
use serde::{Deserialize, Serialize};

/// What the builder of a snapshot says about the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The program's version.
    pub tool: String,
    pub store: Store,
    /// What the catalogue says about the tables.
    pub evidence: Evidence,
    /// What was read as conversations and messages.
    pub mapping: Mapping,
    /// The tables whose rows belong to messages; none in older files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dependents: Vec<Dependent>,
    /// The snapshot before this one: its [`Snapshot::id`].
    pub previous: Option<String>,
}

/// Which store a snapshot was taken of.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Store {
    /// `sqlite`, `postgres` or `mysql`.
    pub backend: String,
    /// Host and database; no password.
    pub url: String,
    /// The table in which messages are.
    pub messages: String,
    /// Tables of which every row that belongs to a message or lists a conversation was read.
    pub read: Vec<String>,
    /// Transactions that may have been running, from one number to another; absent where the engine
    /// does not tell.
    pub running: Option<Vec<(u64, u64)>>,
    /// How far PostgreSQL's write-ahead log was; absent elsewhere.
    pub log: Option<u64>,
}

/// Which mapping a snapshot was taken with. Only snapshots of the same mapping compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// In words, for an error.
    pub name: String,
    /// A digest of its written form.
    pub digest: String,
    /// As `chatctl.toml` would declare it; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub declared: Option<String>,
    /// What versions that kept no `declared` read in its place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unlike_older: Vec<String>,
    /// The digest that the first version of the file kept of it.
    #[serde(default)]
    pub first_version: String,
    /// The columns that order messages, where their order is kept; empty where it is not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// Whether messages are in the order of their times, and of no number; absent in older files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by_time: Option<bool>,
    /// Whether question and answer are in one row, so that the answer may come later.
    #[serde(default, skip_serializing_if = "is_false")]
    pub paired: bool,
    /// Whose sums there are in the place of digests of messages; absent where there are digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<String>,
    /// What of a message these are of; empty where there are none, and in older files.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub summed: Vec<String>,
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// The end of the file: what is known only when all was written.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Footer {
    summary: Summary,
    sections: Vec<Section>,
}

/// Frames of one kind that follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Section {
    kind: u8,
    /// Where the first one starts.
    offset: u64,
    /// Its number.
    first: u64,
    /// How many they are.
    frames: u64,
    /// How many records they hold.
    records: u64,
}

#[cfg(test)]
mod tests;
