//! Frames: the units that are written at once and verified before use.

use crate::audit::key::{Key, Secret};
use crate::audit::spill::{MOST, Record};

pub(super) const MAGIC: [u8; 8] = *b"CHATCAS\n";
pub(super) const END: [u8; 8] = *b"CHATEND\n";
/// What is written; those before are read too.
pub(super) const VERSION: u16 = 5;
pub(super) const FIRST_VERSION: u16 = 1;
pub(super) const SECOND_VERSION: u16 = 2;
pub(super) const THIRD_VERSION: u16 = 3;
pub(super) const PREAMBLE: usize = 34;
pub(super) const HEAD: usize = 9;
pub(super) const TAG: usize = 16;
pub(super) const TRAILER: usize = 24;

/// Kinds of frames.
pub(super) const HEADER: u8 = 1;
/// Of the first version only.
pub(super) const OPEN_ENTRIES: u8 = 2;
pub(super) const TALLIES: u8 = 3;
pub(super) const NAMES: u8 = 4;
pub(super) const ENTRIES: u8 = 5;
pub(super) const CELLS: u8 = 6;
pub(super) const FOOTER: u8 = 7;
pub(super) const OPEN: u8 = 8;
pub(super) const RANKS: u8 = 9;
pub(super) const SEQUENCES: u8 = 10;
pub(super) const DEPENDENTS: u8 = 11;

/// Makes and checks the frames' tags.
#[derive(Debug, Clone)]
pub(super) struct Sealer {
    key: Secret,
    preamble: [u8; PREAMBLE],
}

impl Sealer {
    pub(super) fn new(key: &Key, preamble: [u8; PREAMBLE]) -> Self {
        Self {
            key: key.derive("chatctl audit 1 file"),
            preamble,
        }
    }

    pub(super) fn tag(&self, number: u64, frame: &[u8]) -> [u8; TAG] {
        let mut hasher = self.key.hasher();
        hasher.update(&self.preamble);
        hasher.update(&number.to_le_bytes());
        hasher.update(frame);
        let tag = hasher.finalize();
        let (halves, _) = tag.as_bytes().as_chunks::<TAG>();
        halves[0]
    }

    /// Whether a tag belongs to a frame; it takes as long for a wrong one as for a right one.
    pub(super) fn fits(&self, number: u64, frame: &[u8], tag: &[u8]) -> bool {
        let right = self.tag(number, frame);
        tag.len() == TAG && right.iter().zip(tag).fold(0, |sum, (a, b)| sum | (a ^ b)) == 0
    }
}

/// Records that are turned from rows into columns at a time.
const TOGETHER: usize = 64;

/// The payload of some records.
pub(super) fn pack<R: Record>(records: &[R], out: &mut Vec<u8>) {
    let width = R::SIZE - R::HASHED;
    let mut numbers = vec![0; records.len() * width];
    // Some at a time, so that what is written next lies next to what was written before.
    let mut bytes = [0; TOGETHER * MOST];
    for (begin, some) in (0..).step_by(TOGETHER).zip(records.chunks(TOGETHER)) {
        for (record, row) in some.iter().zip(bytes.chunks_exact_mut(R::SIZE)) {
            record.put(row);
            out.extend_from_slice(&row[..R::HASHED]);
        }
        for column in 0..width {
            let numbers = &mut numbers[column * records.len() + begin..][..some.len()];
            for (number, row) in numbers.iter_mut().zip(bytes.chunks_exact(R::SIZE)) {
                *number = row[R::HASHED + column];
            }
        }
    }
    out.extend_from_slice(&lz4_flex::block::compress(&numbers));
}

/// The records of a payload; `None` when it holds no so many.
pub(super) fn unpack<R: Record>(payload: &[u8], count: usize) -> Option<Vec<R>> {
    let width = R::SIZE - R::HASHED;
    let hashes = payload.get(..count.checked_mul(R::HASHED)?)?;
    let numbers = lz4_flex::block::decompress(&payload[hashes.len()..], count * width).ok()?;
    if numbers.len() != count * width {
        return None;
    }
    let mut bytes = vec![0; R::SIZE];
    let mut records = Vec::with_capacity(count);
    for at in 0..count {
        bytes[..R::HASHED].copy_from_slice(&hashes[at * R::HASHED..][..R::HASHED]);
        for (column, byte) in bytes[R::HASHED..].iter_mut().enumerate() {
            *byte = numbers[column * count + at];
        }
        records.push(R::get(&bytes));
    }
    Some(records)
}
