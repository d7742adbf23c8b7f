//! The words of a full-text index of FTS4, from the blocks that it keeps them in (fts3_write.c). Pure.
//!
//! SQLite shows which words a row has, but where in the row they are only to a query that already knows them.

/// A word of a row: its column, and which word of that column it is, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) column: u64,
    pub(super) offset: u64,
}

/// A word, with the rows that have it and where; a row without places was taken out.
pub(super) type Entry = (Vec<u8>, Vec<(i64, Vec<Place>)>);

/// How the row numbers of an index follow each other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Rising,
    Falling,
}

/// The levels of one index; those of another language or for beginnings of words follow.
const LEVELS: i64 = 1024;

/// What the level of a segment says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Level {
    pub(super) language: i64,
    /// Whether it has whole words, and not their beginnings.
    pub(super) is_whole: bool,
}

impl Level {
    /// Of an index with so many kinds of beginnings.
    pub(super) const fn of(level: i64, prefixes: i64) -> Self {
        let index = level.div_euclid(LEVELS);
        Self {
            language: index.div_euclid(prefixes + 1),
            is_whole: index.rem_euclid(prefixes + 1) == 0,
        }
    }
}

/// The words in a leaf; none where it is not one as it should be.
pub(super) fn leaf(bytes: &[u8], order: Order) -> Option<Vec<Entry>> {
    let mut bytes = Bytes(bytes);
    let mut all: Vec<Entry> = Vec::new();
    while !bytes.0.is_empty() {
        // The height of a leaf, 0, is where other words have how much they share with the one before.
        let shared = bytes.size()?;
        let mut word = match all.last() {
            Some((last, _)) => last.get(..shared)?.to_vec(),
            None if shared == 0 => Vec::new(),
            None => return None,
        };
        let own = bytes.size()?;
        word.extend_from_slice(bytes.take(own)?);
        let list = bytes.size()?;
        let rows = rows(bytes.take(list)?, order)?;
        all.push((word, rows));
    }
    Some(all)
}

fn rows(bytes: &[u8], order: Order) -> Option<Vec<(i64, Vec<Place>)>> {
    let mut bytes = Bytes(bytes);
    let mut all: Vec<(i64, Vec<Place>)> = Vec::new();
    while !bytes.0.is_empty() {
        let step = bytes.number()?.cast_signed();
        let row = match (all.last(), order) {
            (None, _) => step,
            (Some((last, _)), Order::Rising) => last.wrapping_add(step),
            (Some((last, _)), Order::Falling) => last.wrapping_sub(step),
        };
        all.push((row, places(&mut bytes)?));
    }
    Some(all)
}

fn places(bytes: &mut Bytes<'_>) -> Option<Vec<Place>> {
    let (mut column, mut offset) = (0, 0_u64);
    let mut all = Vec::new();
    loop {
        match bytes.number()? {
            0 => return Some(all),
            1 => (column, offset) = (bytes.number()?, 0),
            step => {
                offset = offset.checked_add(step - 2)?;
                all.push(Place { column, offset });
            }
        }
    }
}

struct Bytes<'a>(&'a [u8]);

impl<'a> Bytes<'a> {
    /// Seven bits a byte, the lowest first; the last byte has no highest bit.
    fn number(&mut self) -> Option<u64> {
        let mut number = 0;
        for place in 0..10 {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= u64::from(byte & 0x7f).checked_shl(7 * place)?;
            if byte & 0x80 == 0 {
                return Some(number);
            }
        }
        None
    }

    fn size(&mut self) -> Option<usize> {
        self.number()?.try_into().ok()
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }
}

#[cfg(test)]
mod tests {
    use super::{Level, Order, Place, leaf};

    fn place(column: u64, offset: u64) -> Place {
        Place { column, offset }
    }

    #[test]
    fn a_leaf_is_read() {
        // `ab` in rows 3 and 5, `ac` in row 300.
        let bytes = [
            0, 2, b'a', b'b', 9, 3, 2, 3, 0, 2, 1, 1, 4, 0, 1, 1, b'c', 4, 0xac, 2, 7, 0,
        ];
        let (b, c) = (b"ab".to_vec(), b"ac".to_vec());
        let five = |row| (row, vec![place(1, 2)]);
        let rows = |second| vec![(3, vec![place(0, 0), place(0, 1)]), second];
        let last = (c, vec![(300, vec![place(0, 5)])]);
        let rising = leaf(&bytes, Order::Rising).unwrap();
        assert_eq!(rising, [(b.clone(), rows(five(5))), last.clone()]);
        let falling = leaf(&bytes, Order::Falling).unwrap();
        assert_eq!(falling, [(b, rows(five(1))), last]);
    }

    #[test]
    fn a_row_that_was_taken_out_has_no_places() {
        let bytes = [0, 1, b'a', 2, 7, 0];
        let read = leaf(&bytes, Order::Rising).unwrap();
        assert_eq!(read, [(b"a".to_vec(), vec![(7, Vec::new())])]);
    }

    #[test]
    fn what_is_cut_short_is_no_leaf() {
        let bytes = [0, 1, b'a', 4, 7, 2, 3, 0];
        assert!(leaf(&bytes, Order::Rising).is_some());
        for end in 1..bytes.len() {
            assert_eq!(leaf(&bytes[..end], Order::Rising), None, "{end}");
        }
        assert_eq!(leaf(&[1, 1, b'a', 0], Order::Rising), None);
    }

    #[test]
    fn a_level_tells_the_language_and_the_kind() {
        let level = |level, prefixes| {
            let Level { language, is_whole } = Level::of(level, prefixes);
            (language, is_whole)
        };
        assert_eq!(level(3, 0), (0, true));
        assert_eq!(level(1024, 1), (0, false));
        assert_eq!(level(2048 + 7, 1), (1, true));
        assert_eq!(level(5 * 1024, 0), (5, true));
    }
}
