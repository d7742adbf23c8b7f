//! PostgreSQL's binary COPY format, decoded as it comes
//! (postgresql.org/docs/current/sql-copy.html, "Binary Format").

use super::text_format;
use crate::model::CellRef;
use anyhow::Context as _;
use std::borrow::Cow;
use std::ops::ControlFlow;

/// The signature, the flags and the length of the header's extension.
const SIGNATURE: &[u8] = b"PGCOPY\n\xff\r\n\0";
const HEADER: usize = 11 + 4 + 4;

/// How the bytes of a column are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    Int2,
    Int4,
    Int8,
    Oid,
    Float4,
    Float8,
    Bytes,
    Uuid,
    /// Microseconds, and what is behind it in print.
    Time(&'static str),
    Text,
}

/// Tuples that are cut anywhere by the packets that they come in.
pub(super) struct Tuples {
    kinds: Vec<Kind>,
    /// What of the last packets is not a whole tuple yet.
    rest: Vec<u8>,
    begun: bool,
}

impl Tuples {
    pub(super) fn new(kinds: Vec<Kind>) -> Self {
        Self {
            kinds,
            rest: Vec::new(),
            begun: false,
        }
    }

    /// Takes a packet and hands over every tuple that is whole now.
    pub(super) fn take(
        &mut self,
        packet: &[u8],
        each: &mut dyn FnMut(&[CellRef<'_>]) -> anyhow::Result<ControlFlow<()>>,
    ) -> anyhow::Result<ControlFlow<()>> {
        // The server sends a tuple a packet, so that there is seldom anything to be copied.
        let mut rest = std::mem::take(&mut self.rest);
        let bytes = if rest.is_empty() {
            packet
        } else {
            rest.extend_from_slice(packet);
            &rest
        };
        let mut at = 0;
        if !self.begun {
            if bytes.len() < HEADER {
                self.rest = bytes.to_vec();
                return Ok(ControlFlow::Continue(()));
            }
            anyhow::ensure!(
                bytes.starts_with(SIGNATURE),
                "the server sent no binary COPY"
            );
            self.begun = true;
            at = HEADER;
        }
        while let Some((fields, length)) = tuple(&bytes[at..], self.kinds.len())? {
            at += length;
            let mut made = Vec::new();
            let mut cells = Vec::with_capacity(fields.len());
            for (kind, field) in self.kinds.iter().zip(fields) {
                let value = field.map(|field| value(*kind, field)).transpose()?;
                cells.push(match value {
                    None => CellRef::Null,
                    Some(Value::Lent(cell)) => cell,
                    Some(Value::Made(text)) => {
                        made.push((cells.len(), text));
                        CellRef::Null
                    }
                });
            }
            for (at, text) in &made {
                cells[*at] = CellRef::Text(text);
            }
            if each(&cells)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        self.rest = bytes[at..].to_vec();
        Ok(ControlFlow::Continue(()))
    }
}

type Fields<'a> = Vec<Option<&'a [u8]>>;

/// The fields of the first tuple and how long it is; none while it is not whole, or at the end mark.
fn tuple(bytes: &[u8], columns: usize) -> anyhow::Result<Option<(Fields<'_>, usize)>> {
    let Some((count, mut rest)) = bytes.split_first_chunk::<2>() else {
        return Ok(None);
    };
    let count = i16::from_be_bytes(*count);
    if count == -1 {
        return Ok(None);
    }
    anyhow::ensure!(
        usize::try_from(count) == Ok(columns),
        "the server sent {count} fields for {columns} columns"
    );
    let mut fields = Vec::with_capacity(columns);
    for _ in 0..columns {
        let Some((length, after)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        rest = after;
        let field = match usize::try_from(i32::from_be_bytes(*length)) {
            // -1 is NULL.
            Err(_) => None,
            Ok(length) => match rest.split_at_checked(length) {
                None => return Ok(None),
                Some((field, after)) => {
                    rest = after;
                    Some(field)
                }
            },
        };
        fields.push(field);
    }
    Ok(Some((fields, bytes.len() - rest.len())))
}

/// A value, or the text that is made of one.
enum Value<'a> {
    Lent(CellRef<'a>),
    Made(String),
}

fn value(kind: Kind, field: &[u8]) -> anyhow::Result<Value<'_>> {
    Ok(Value::Lent(match kind {
        Kind::Bool => CellRef::Int(i64::from(field == [1])),
        Kind::Int2 => CellRef::Int(i16::from_be_bytes(sized(field)?).into()),
        Kind::Int4 => CellRef::Int(i32::from_be_bytes(sized(field)?).into()),
        Kind::Int8 => CellRef::Int(i64::from_be_bytes(sized(field)?)),
        Kind::Oid => CellRef::Int(u32::from_be_bytes(sized(field)?).into()),
        // By way of its shortest digits, which is what the server prints of it.
        Kind::Float4 => CellRef::Real(f32::from_be_bytes(sized(field)?).to_string().parse()?),
        Kind::Float8 => CellRef::Real(f64::from_be_bytes(sized(field)?)),
        Kind::Bytes => CellRef::Blob(field),
        Kind::Uuid => return Ok(Value::Made(text_format::uuid(sized(field)?))),
        Kind::Time(zone) => {
            let micros = i64::from_be_bytes(sized(field)?);
            return Ok(Value::Made(text_format::time(micros, zone)));
        }
        Kind::Text => match text_of(field) {
            Cow::Borrowed(text) => CellRef::Text(text),
            Cow::Owned(text) => return Ok(Value::Made(text)),
        },
    }))
}

fn sized<const N: usize>(field: &[u8]) -> anyhow::Result<[u8; N]> {
    field
        .try_into()
        .with_context(|| format!("{} bytes where {N} were expected", field.len()))
}

/// The text that bytes are, and something like it of bytes that are no UTF-8. Making sure first is
/// many times as fast as looking for what has to be replaced.
fn text_of(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::{Kind, Tuples};
    use crate::model::{Cell, CellRef};
    use std::ops::ControlFlow;

    /// Two tuples of a number, a text and no value, as the server sends them.
    fn sent() -> Vec<u8> {
        let mut bytes = b"PGCOPY\n\xff\r\n\0\0\0\0\0\0\0\0\0".to_vec();
        for (number, text) in [(7_i32, "a\u{20ac}"), (-1, "")] {
            bytes.extend(3_i16.to_be_bytes());
            bytes.extend(4_i32.to_be_bytes());
            bytes.extend(number.to_be_bytes());
            bytes.extend(i32::try_from(text.len()).unwrap().to_be_bytes());
            bytes.extend(text.as_bytes());
            bytes.extend((-1_i32).to_be_bytes());
        }
        bytes.extend((-1_i16).to_be_bytes());
        bytes
    }

    fn read(size: usize) -> Vec<Vec<Cell>> {
        let mut tuples = Tuples::new(vec![Kind::Int4, Kind::Text, Kind::Text]);
        let mut rows = Vec::new();
        for packet in sent().chunks(size) {
            let mut each = |row: &[CellRef<'_>]| {
                rows.push(row.iter().map(|cell| Cell::from(*cell)).collect());
                Ok(ControlFlow::Continue(()))
            };
            assert!(tuples.take(packet, &mut each).unwrap().is_continue());
        }
        rows
    }

    #[test]
    fn tuples_are_whole_however_the_packets_are_cut() {
        let text = |text: &str| Cell::Text(text.to_owned());
        let expected = vec![
            vec![Cell::Int(7), text("a\u{20ac}"), Cell::Null],
            vec![Cell::Int(-1), text(""), Cell::Null],
        ];
        for size in 1..=sent().len() {
            assert_eq!(read(size), expected, "packets of {size} bytes");
        }
    }

    #[test]
    fn what_is_no_binary_copy_is_an_error() {
        let mut tuples = Tuples::new(vec![Kind::Int4]);
        let mut each = |_: &[CellRef<'_>]| Ok(ControlFlow::Continue(()));
        let text = [b'1'; 40];
        assert!(tuples.take(&text, &mut each).is_err());
    }

    #[test]
    fn a_row_may_be_the_last_that_is_wanted() {
        let mut tuples = Tuples::new(vec![Kind::Int4, Kind::Text, Kind::Text]);
        let mut rows = 0;
        let mut each = |_: &[CellRef<'_>]| {
            rows += 1;
            Ok(ControlFlow::Break(()))
        };
        assert!(tuples.take(&sent(), &mut each).unwrap().is_break());
        assert_eq!(rows, 1);
    }
}
