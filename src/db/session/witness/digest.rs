//! Values and rows as numbers that nobody can forge without the key.

use super::codes::{Code, List, Parts, decoded, joined, listed};
use super::{json, moment, number};
use crate::model::CellRef;
use siphasher::sip::SipHasher13;
use siphasher::sip128::{Hasher128 as _, SipHasher13 as RowHasher};
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The digest of a value. Zero is not a value.
pub(super) type Value = u64;
/// The digest of a row, or of its key.
pub(super) type Row = u128;

/// A map by the digests of rows, which need no other hash.
pub(super) type ByRow<V> = HashMap<Row, V, BuildHasherDefault<OfRow>>;

/// The last half of a row's digest; the first bits are the same in all rows of a part.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct OfRow(u64);

impl Hasher for OfRow {
    fn write(&mut self, _bytes: &[u8]) {
        unreachable!("a row's digest is one number")
    }

    fn write_u128(&mut self, row: Row) {
        self.0 = u64::try_from(row & Row::from(u64::MAX)).unwrap_or_default();
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// What no value has.
pub(super) const NULL: Value = 0;

/// A text with so many bytes is hardly in two rows by chance, unless it is a word or a time.
const TELLING: usize = 6;
/// Words, names of models and the like are shorter than an identifier that is made by chance.
const LONGEST_WORD: usize = 32;

/// Whether a value is hardly in two rows by chance.
pub(super) const fn tells(value: Value) -> bool {
    value & 1 == 1
}

/// The form in which a value is digested.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Form {
    /// As it is: its type and its bytes.
    Raw,
    /// As a number, whether it is stored as one or as its text.
    Number,
    /// The same, of a column that is a time on one side.
    Time,
    /// As the text that a number is read as, whether it is stored as one or as that text.
    Written,
    /// As the time that a text or a number is.
    Moment,
    /// As true or false, whether it is a word or a number.
    Truth,
    /// As a document, whatever its spaces and the order of its names.
    Document,
    /// As the text that a document is.
    Unwrapped,
    /// As a text of which such a document or a list was made.
    Wrapped,
    /// As a document, next to a text that may be in it.
    Composed,
    /// As the text that is in a document at this place among its texts.
    Leaf(usize),
    /// As an array.
    Listed,
    /// As the text of a document's parts with this between them, or of its only part.
    Joined(Option<&'static str>),
    /// The same of an array.
    ArrayJoined(Option<&'static str>),
    /// As the list that a text is as a document.
    ListOf(Parts),
    /// The same of an array.
    ArrayOf(Parts),
    /// As a number, in a column that has bytes on one side.
    Coded,
    /// As its bytes, whether they are a text or not.
    Plain,
    /// As the bytes that are written in hexadecimal.
    Hex,
    /// As the bytes that a text encodes.
    Bytes(Code),
    /// As an instant: the first of two that are written with a `|` between them, where a time without a
    /// zone is one in UTC and one in the zone of new sessions.
    InUtc,
    /// The second of them.
    InZone,
}

/// The key of all digests of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Secret(pub(super) u64, pub(super) u64);

impl Secret {
    pub(super) fn new() -> Self {
        Self(fastrand::u64(..), fastrand::u64(..))
    }

    pub(super) fn value(self, cell: CellRef<'_>, form: Form) -> Value {
        match (form, cell) {
            (_, CellRef::Null) => NULL,
            (Form::Number | Form::Time | Form::Coded, cell) => match number::canonical(cell) {
                Some(text) => self.bytes(b'n', text.as_bytes()),
                None => self.raw(cell, Kind::Any),
            },
            (Form::Written, cell) => match number::written(cell) {
                Some(text) => self.raw(CellRef::Text(&text), Kind::Any),
                None => self.raw(cell, Kind::Any),
            },
            (Form::Truth, cell) => match truth(cell) {
                Some(is_true) => self.bytes(b'n', if is_true { b"1" } else { b"0" }),
                None => self.raw(cell, Kind::Any),
            },
            (Form::Moment, cell) => match moment::canonical(cell) {
                Some(micros) => self.bytes(b'm', &micros.to_le_bytes()),
                None => self.raw(cell, Kind::Any),
            },
            (Form::Document | Form::Composed, CellRef::Text(text)) => {
                let canonical = json::canonical(text);
                self.bytes(b'd', canonical.as_deref().unwrap_or(text).as_bytes())
            }
            (Form::Unwrapped, CellRef::Text(text)) => match json::string(text) {
                Some(text) => self.bytes(b'u', text.as_bytes()),
                None => self.bytes(b'd', text.as_bytes()),
            },
            (Form::Wrapped | Form::Listed, CellRef::Text(text)) => {
                self.bytes(b'u', text.as_bytes())
            }
            (Form::Leaf(place), CellRef::Text(text)) => self.text_of(json::leaf(text, place), text),
            (Form::Joined(between), CellRef::Text(text)) => {
                self.text_of(joined(List::Document(text), between), text)
            }
            (Form::ArrayJoined(between), CellRef::Text(text)) => {
                self.text_of(joined(List::Array(text), between), text)
            }
            (Form::ListOf(of), CellRef::Text(text)) => {
                self.text_of(listed(List::Document(text), of), text)
            }
            (Form::ArrayOf(of), CellRef::Text(text)) => {
                self.text_of(listed(List::Array(text), of), text)
            }
            (Form::Plain, cell) => self.raw(cell, Kind::Any),
            (Form::Hex, CellRef::Text(text)) => self.decoded(Code::Lower, text),
            (Form::Bytes(code), CellRef::Text(text)) => self.decoded(code, text),
            (Form::Hex | Form::Bytes(_), cell) => self.raw(cell, Kind::Any),
            (Form::InUtc, CellRef::Text(text)) => {
                self.bytes(b't', text.split('|').next().unwrap_or(text).as_bytes())
            }
            (Form::InZone, CellRef::Text(text)) => {
                self.bytes(b't', text.rsplit('|').next().unwrap_or(text).as_bytes())
            }
            (
                Form::Raw
                | Form::Document
                | Form::Composed
                | Form::Unwrapped
                | Form::Wrapped
                | Form::Leaf(_)
                | Form::Listed
                | Form::Joined(_)
                | Form::ArrayJoined(_)
                | Form::ListOf(_)
                | Form::ArrayOf(_)
                | Form::InUtc
                | Form::InZone,
                cell,
            ) => self.raw(cell, Kind::Own),
        }
    }

    /// The text that another one stands for, which is that of nothing where it stands for none.
    fn text_of(self, found: Option<String>, text: &str) -> Value {
        match found {
            Some(found) => self.bytes(b'u', found.as_bytes()),
            None => self.bytes(b'y', text.as_bytes()),
        }
    }

    /// The same for bytes.
    fn decoded(self, code: Code, text: &str) -> Value {
        match decoded(code, text) {
            Some(bytes) => self.raw(CellRef::Blob(&bytes), Kind::Any),
            None => self.bytes(b'y', text.as_bytes()),
        }
    }

    fn raw(self, cell: CellRef<'_>, kind: Kind) -> Value {
        let text = match kind {
            Kind::Own => (b't', b'b'),
            Kind::Any => (b'x', b'x'),
        };
        match cell {
            CellRef::Null => NULL,
            CellRef::Int(number) => self.bytes(b'i', &number.to_le_bytes()),
            CellRef::Real(number) => self.bytes(b'r', &number.to_bits().to_le_bytes()),
            CellRef::Text(value) => self.bytes(text.0, value.as_bytes()),
            CellRef::Blob(value) => self.bytes(text.1, value),
            // The same bytes are another value as text: who reads them gets something else, or an error.
            CellRef::Garbled(value) => self.bytes(b'g', value),
        }
    }

    fn bytes(self, tag: u8, bytes: &[u8]) -> Value {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write(bytes);
        hasher.write_u8(tag);
        // A value is never taken for none.
        let digest = hasher.finish().max(2) & !1;
        digest | u64::from(is_telling(bytes) && matches!(tag, b't' | b'b' | b'x' | b'd' | b'u'))
    }

    /// Two values of one row, in any order.
    pub(super) fn pair(self, one: Value, other: Value) -> Value {
        let mut hasher = SipHasher13::new_with_keys(self.0, self.1);
        hasher.write_u64(one.min(other));
        hasher.write_u64(one.max(other));
        hasher.finish()
    }

    /// Several values as one.
    pub(super) fn row(self, values: impl Iterator<Item = Value>) -> Row {
        let mut hasher = RowHasher::new_with_keys(self.0, self.1);
        values.for_each(|value| hasher.write_u64(value));
        hasher.finish128().as_u128()
    }
}

/// Whether a word or a number is true or false; none for any other.
fn truth(cell: CellRef<'_>) -> Option<bool> {
    match cell {
        CellRef::Int(0) => Some(false),
        CellRef::Int(1) => Some(true),
        CellRef::Text(word) if word.eq_ignore_ascii_case("true") => Some(true),
        CellRef::Text(word) if word.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

/// Status words, roles, models, numbers and times are in seeds as well as in the users' rows.
fn is_telling(bytes: &[u8]) -> bool {
    let is_word = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.:/+".contains(byte);
    let is_time = |byte: &u8| byte.is_ascii_digit() || b" -:.+TZ".contains(byte);
    bytes.len() >= TELLING
        && !bytes.iter().all(is_time)
        && (bytes.len() >= LONGEST_WORD || !bytes.iter().all(is_word))
}

/// Whether a text and the same bytes are one value.
#[derive(Clone, Copy)]
enum Kind {
    Own,
    Any,
}
