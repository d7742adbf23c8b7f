//! Digests of all rows of a table, in parts that are small enough to be looked at one by one: in
//! memory, and beyond a size in files without a name.

use super::digest::{Row, Value};
use std::borrow::Cow;
use std::fs::File;
use std::io;
use std::io::{Read as _, Seek as _, Write as _};

/// A row is in the part that the first bits of its digest name.
const PARTS: usize = 64;
/// How much of a part is in memory, in bytes.
const IN_MEMORY: usize = 2 << 20;

#[derive(Default)]
struct Part {
    held: Vec<u8>,
    file: Option<File>,
}

/// The rows of a table: of each the digest that it is found by, and those of its values.
pub(super) struct Rows {
    parts: Vec<Part>,
    /// How many values each row has.
    values: usize,
    /// How much of a part is in memory, in bytes.
    in_memory: usize,
}

/// One part, in memory.
pub(super) struct Loaded<'a> {
    bytes: Cow<'a, [u8]>,
    width: usize,
}

impl Rows {
    pub(super) fn new(values: usize) -> Self {
        Self::within(values, IN_MEMORY)
    }

    fn within(values: usize, in_memory: usize) -> Self {
        Self {
            parts: (0..PARTS).map(|_| Part::default()).collect(),
            values,
            in_memory,
        }
    }

    /// Room for rows like these.
    pub(super) fn none(&self) -> Self {
        Self::within(self.values, self.in_memory)
    }

    pub(super) fn push(&mut self, by: Row, values: &[Value]) -> io::Result<()> {
        let index = usize::try_from(by >> 122).unwrap_or_default();
        let part = &mut self.parts[index];
        part.held.extend_from_slice(&by.to_le_bytes());
        for value in values {
            part.held.extend_from_slice(&value.to_le_bytes());
        }
        if part.held.len() >= self.in_memory {
            let file = match &mut part.file {
                Some(file) => file,
                none => none.insert(tempfile::tempfile()?),
            };
            file.write_all(&part.held)?;
            part.held.clear();
        }
        Ok(())
    }

    /// Its parts, one after another.
    pub(super) fn parts(&mut self) -> impl Iterator<Item = io::Result<Loaded<'_>>> + '_ {
        let width = 16 + 8 * self.values;
        self.parts.iter_mut().map(move |part| {
            let Part { held, file } = part;
            let bytes = match file {
                None => Cow::Borrowed(&held[..]),
                Some(file) => {
                    let mut bytes = Vec::new();
                    file.rewind()?;
                    file.read_to_end(&mut bytes)?;
                    bytes.extend_from_slice(held);
                    Cow::Owned(bytes)
                }
            };
            Ok(Loaded { bytes, width })
        })
    }

    /// The same rows, to be found by something else.
    pub(super) fn found_by(&mut self, by: impl Fn(&[Value]) -> Row) -> io::Result<Self> {
        let mut rows = self.none();
        let mut values = Vec::new();
        for part in self.parts() {
            let part = part?;
            for index in 0..part.len() {
                part.values(index, &mut values);
                rows.push(by(&values), &values)?;
            }
        }
        Ok(rows)
    }
}

impl Loaded<'_> {
    pub(super) fn len(&self) -> usize {
        self.bytes.len() / self.width
    }

    /// Whether another part has the same rows in the same order.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        (self.width, &self.bytes) == (other.width, &other.bytes)
    }

    /// What a row is found by.
    pub(super) fn by(&self, index: usize) -> Row {
        let start = index * self.width;
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&self.bytes[start..start + 16]);
        Row::from_le_bytes(bytes)
    }

    pub(super) fn value(&self, index: usize, value: usize) -> Value {
        let start = index * self.width + 16 + 8 * value;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&self.bytes[start..start + 8]);
        Value::from_le_bytes(bytes)
    }

    pub(super) fn values(&self, index: usize, into: &mut Vec<Value>) {
        let count = (self.width - 16) / 8;
        into.clear();
        into.extend((0..count).map(|value| self.value(index, value)));
    }
}

#[cfg(test)]
mod tests {
    use super::{Row, Rows};

    #[test]
    fn rows_in_files_are_read_like_those_in_memory() -> std::io::Result<()> {
        let mut rows = Rows::within(1, 64);
        let row = |number: u64| Row::from(number) << 64 | Row::from(number << 58) << 64;
        for number in 0..1000 {
            rows.push(row(number), &[number])?;
        }
        // Once more, as they are found by something else.
        let mut again = rows.found_by(|values| row(values[0] + 1))?;
        for (rows, more) in [(&mut rows, 0), (&mut again, 1)] {
            let mut found = Vec::new();
            for part in rows.parts() {
                let part = part?;
                for index in 0..part.len() {
                    let value = part.value(index, 0);
                    assert_eq!(part.by(index), row(value + more));
                    found.push(value);
                }
            }
            found.sort_unstable();
            assert!(found.into_iter().eq(0..1000));
        }
        Ok(())
    }
}
