//! The snapshot file.
//!
//! All numbers are little-endian. The file is a preamble, frames, and a trailer:
//!
//! | bytes | preamble |
//! |---|---|
//! | 8 | `CHATCAS\n` |
//! | 2 | the version, 1 |
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
//! | 2 | messages that were not settled, 65 bytes each, by conversation and message |
//! | 3 | conversations, 106 bytes each, by id |
//! | 4 | names: 16 bytes hash, 4 bytes length, text; LZ4 |
//! | 5 | messages, 65 bytes each, by conversation and message |
//! | 6 | cells of the sketch, 77 bytes each |
//! | 7 | [`Footer`], JSON: the end |
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
//! The fields of the records stand in `entry.rs`, `tally.rs` and `sketch.rs`, in their order.
//! The last frame's check names the file; a later snapshot may hold it as [`Header::previous`].

mod frame;
mod read;
mod write;

pub use read::Snapshot;
pub use read::Stream;
pub use read::open;
pub use write::write;

use super::taker::Summary;
use serde::Deserialize;
use serde::Serialize;
use serde_json::Value;

/// What the taker of a snapshot says about the store.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Header {
    /// The program's version.
    pub tool: String,
    /// Which store: backend, host, database; no password.
    pub store: Value,
    /// What the catalogue says about the tables, as its reader wrote it.
    pub evidence: Value,
    /// A digest of the tables' definitions.
    pub schema: String,
    /// What was read as conversations and messages.
    pub mapping: Mapping,
    /// The snapshot before this one: its [`Snapshot::id`].
    pub previous: Option<String>,
}

/// Which mapping a snapshot was taken with. Only snapshots of the same mapping compare.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mapping {
    /// In words, for an error.
    pub name: String,
    /// A digest of its canonical text.
    pub digest: String,
    /// Whose sums there are in the place of digests of messages; absent where there are digests.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sums: Option<String>,
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
