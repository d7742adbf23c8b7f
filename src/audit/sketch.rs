//! Computes the difference of two sets of messages from summaries of constant size.
//!
//! An invertible Bloom lookup table (Goodrich and Mitzenmacher 2011): each entry is XORed into
//! four cells. Two tables of the same size, subtracted cell by cell, hold what is in one set only;
//! cells with a single entry give it back, and taking it out frees others. Up to about 0.75
//! entries a cell come back, however many the sets have in common; beyond that it says so.

use super::entry::Entry;
use super::spill::{Field, Record, Room};
use std::cmp::Ordering;

const SIZE: usize = Entry::SIZE;
const PARTS: usize = 4;

/// The table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sketch {
    cells: Vec<SketchCell>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct SketchCell {
    entries: [u8; SIZE],
    check: u64,
    count: i32,
}

/// What is in one of two sets only.
#[derive(Debug, Default)]
pub(super) struct SketchDifference {
    /// In the first.
    pub(super) removed: Vec<Entry>,
    /// In the second.
    pub(super) added: Vec<Entry>,
    /// Whether this is all of it.
    pub(super) complete: bool,
}

impl Sketch {
    /// An empty table of about so many cells, 77 bytes each.
    pub fn new(cells: usize) -> Self {
        Self {
            cells: vec![SketchCell::EMPTY; (cells / PARTS).max(1) * PARTS],
        }
    }

    /// From the cells of a table.
    pub(super) fn from_cells(cells: Vec<SketchCell>) -> Self {
        Self { cells }
    }

    /// How many cells it has.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Whether it has no cells.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Its cells, in order.
    pub(super) fn cells(&self) -> impl Iterator<Item = SketchCell> {
        self.cells.iter().copied()
    }

    pub fn add(&mut self, entry: &Entry) {
        let mut bytes = [0; SIZE];
        // Where both sides have a message, its bytes must be the same, whichever version wrote them.
        entry.without_besides().put(&mut bytes);
        self.change(&bytes, 1);
    }

    /// What is in this set, or in the other one, only. Both must have the same number of cells.
    pub(super) fn minus(&self, other: &Self) -> SketchDifference {
        let mut left = self.clone();
        for (cell, other) in left.cells.iter_mut().zip(&other.cells) {
            cell.xor(&other.entries, other.check);
            cell.count -= other.count;
        }
        let mut found = SketchDifference::default();
        let mut todo: Vec<usize> = (0..left.cells.len()).collect();
        while let Some(at) = todo.pop() {
            let SketchCell {
                entries,
                check,
                count,
            } = left.cells[at];
            if count.abs() != 1 || mix(&entries, 0) != check {
                continue;
            }
            // A cell that is single by chance would give an entry that does not belong into it.
            let places = places(&entries, left.cells.len());
            if !places.contains(&at) {
                continue;
            }
            let side = match count {
                1 => &mut found.removed,
                _ => &mut found.added,
            };
            side.push(Entry::get(&entries));
            left.change(&entries, -count);
            todo.extend(places);
        }
        found.complete = left.cells.iter().all(|cell| *cell == SketchCell::EMPTY);
        found
    }

    fn change(&mut self, entry: &[u8; SIZE], count: i32) {
        let check = mix(entry, 0);
        for place in places(entry, self.cells.len()) {
            let cell = &mut self.cells[place];
            cell.xor(entry, check);
            cell.count += count;
        }
    }
}

impl SketchCell {
    const EMPTY: Self = Self {
        entries: [0; SIZE],
        check: 0,
        count: 0,
    };

    fn xor(&mut self, entry: &[u8; SIZE], check: u64) {
        for (byte, other) in self.entries.iter_mut().zip(entry) {
            *byte ^= other;
        }
        self.check ^= check;
    }
}

/// One cell in each quarter of the table.
fn places(entry: &[u8; SIZE], cells: usize) -> [usize; PARTS] {
    let quarter = (cells / PARTS) as u64;
    let hash = mix(entry, 1);
    std::array::from_fn(|part| {
        let hash = fold(hash ^ SALTS[part], SALTS[part + 1]);
        let within = (u128::from(hash) * u128::from(quarter)) >> 64;
        part * quarter as usize + within as usize
    })
}

/// Odd numbers without pattern: the digits of pi, as in Blowfish.
const SALTS: [u64; 5] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
];

/// Sixty-four bits of an entry. Entries hold keyed hashes, so a mixer without a key will do.
fn mix(entry: &[u8; SIZE], seed: usize) -> u64 {
    let (words, rest) = entry.as_chunks::<8>();
    let start = SALTS[seed] ^ u64::from(rest[0]);
    words.iter().fold(start, |hash, word| {
        fold(hash ^ u64::from_le_bytes(*word), SALTS[seed + 2])
    })
}

fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product as u64) ^ (product >> 64) as u64 ^ one.rotate_left(23)
}

impl Record for SketchCell {
    const SIZE: usize = SIZE + 12;
    const HASHED: usize = SIZE + 8;

    fn put(&self, out: &mut [u8]) {
        let mut room = Room(out);
        room.put(self.entries);
        room.put(self.check.to_le_bytes());
        room.put(self.count.to_le_bytes());
    }

    fn get(bytes: &[u8]) -> Self {
        let mut field = Field(bytes);
        Self {
            entries: field.take(),
            check: u64::from_le_bytes(field.take()),
            count: i32::from_le_bytes(field.take()),
        }
    }

    fn order(&self, _: &Self) -> Ordering {
        Ordering::Equal
    }

    fn absorb(&mut self, _: &Self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::{Entry, Sketch};
    use crate::audit::entry::{Besides, Id};

    fn entry(number: u64) -> Entry {
        let hash = blake3::hash(&number.to_le_bytes());
        let (halves, _) = hash.as_bytes().as_chunks::<16>();
        Entry {
            conversation: Id(halves[0]),
            message: Id(halves[1]),
            content: number,
            parent: 0,
            place: number,
            time: 1_700_000_000_000_000,
            flags: 0,
            besides: Besides::of(0),
        }
    }

    fn sketch(cells: usize, numbers: impl Iterator<Item = u64>) -> Sketch {
        let mut sketch = Sketch::new(cells);
        numbers.for_each(|number| sketch.add(&entry(number)));
        sketch
    }

    #[test]
    fn what_is_in_one_only_comes_back() {
        let before = sketch(4096, 0..10_000);
        let after = sketch(4096, (1000..10_000).chain(20_000..21_500));
        let found = before.minus(&after);
        assert!(found.complete);
        let mut numbers: Vec<_> = found.removed.iter().map(|entry| entry.content).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, (0..1000).collect::<Vec<_>>());
        assert_eq!(found.removed.iter().filter(|e| **e == entry(3)).count(), 1);
        assert_eq!(found.added.len(), 1500);
    }

    #[test]
    fn a_changed_time_is_one_out_and_one_in() {
        let mut other = entry(5);
        other.time += 1;
        let mut after = sketch(64, (0..5).chain(6..100));
        after.add(&other);
        let found = sketch(64, 0..100).minus(&after);
        assert_eq!(found.removed, [entry(5)]);
        assert_eq!(found.added, [other]);
    }

    #[test]
    fn an_overload_is_reported() {
        let found = sketch(1024, 0..10_000).minus(&sketch(1024, 5000..10_000));
        assert!(!found.complete);
        let twice = sketch(64, 0..10).minus(&sketch(64, (0..10).chain([3, 3])));
        assert!(!twice.complete && twice.added.is_empty());
    }
}
