//! Packets of MySQL's protocol: a length of three bytes, a number, a body.
//!
//! Sources: MySQL internals, "Protocol Basics" and "Generic Response Packets"; MariaDB
//! documentation, "Client/Server Protocol".

use crate::gate::proxy::relay::Header;

/// The length and the number.
pub(super) const HEADER: usize = 4;
/// A packet of this length is continued by the next one.
pub(super) const CONTINUED: usize = 0xff_ffff;

/// The kind that a packet gets here which begins a command; all others are [`FOLLOWS`].
pub(super) const BEGINS: u8 = 0;
/// The kind of a packet that continues what was begun.
pub(super) const FOLLOWS: u8 = 1;

/// Reads a header. None while it is not there as a whole.
pub(super) fn header(bytes: &[u8]) -> Option<Header> {
    let (&[a, b, c, number], _) = bytes.split_first_chunk::<HEADER>()?;
    let body = u32::from_le_bytes([a, b, c, 0]) as usize;
    Some(Header {
        // A client numbers the first packet of a command 0.
        kind: if number == 0 { BEGINS } else { FOLLOWS },
        begins: HEADER,
        length: HEADER + body,
    })
}

pub(super) fn packet(number: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).expect("chatctl's own packets are short");
    let [a, b, c, _] = length.to_le_bytes();
    let mut packet = vec![a, b, c, number];
    packet.extend_from_slice(body);
    packet
}

/// An error: number, SQLSTATE, words.
pub(super) fn error(code: u16, state: &str, words: &str) -> Vec<u8> {
    let mut body = vec![0xff];
    body.extend(code.to_le_bytes());
    body.push(b'#');
    body.extend_from_slice(state.as_bytes());
    body.extend_from_slice(words.as_bytes());
    body
}

/// The number and words of an error's body.
pub(super) fn words_of_error(body: &[u8]) -> (u16, String) {
    let code = body.get(1..3).and_then(<[u8]>::first_chunk);
    let code = code.map_or(0, |bytes| u16::from_le_bytes(*bytes));
    let rest = body.get(3..).unwrap_or_default();
    let words = match rest {
        [b'#', _, _, _, _, _, words @ ..] => words,
        words => words,
    };
    let words = String::from_utf8_lossy(words).into_owned();
    (code, format!("{words} ({code})"))
}

/// A number of variable length, and what follows it.
pub(super) fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let width = match first {
        0xfc => 2,
        0xfd => 3,
        0xfe => 8,
        0xfb | 0xff => return None,
        small => return Some((u64::from(*small), rest)),
    };
    let mut wide = [0; 8];
    wide[..width].copy_from_slice(rest.get(..width)?);
    Some((u64::from_le_bytes(wide), &rest[width..]))
}

/// The status flags of an OK packet's body, whatever its first byte.
pub(super) fn status_of_ok(body: &[u8]) -> Option<u16> {
    let (_, rest) = number(body.get(1..)?)?;
    let (_, rest) = number(rest)?;
    Some(u16::from_le_bytes(*rest.first_chunk()?))
}

/// The status flags of an EOF packet's body.
pub(super) fn status_of_eof(body: &[u8]) -> Option<u16> {
    Some(u16::from_le_bytes(*body.get(3..)?.first_chunk()?))
}
