//! Messages of PostgreSQL's protocol 3: a kind, a length, a body.
//!
//! Source: PostgreSQL manual, "Message Formats".

use crate::gate::proxy::relay::Header;

/// The kind and the length field.
pub(super) const HEADER: usize = 5;

/// Reads a header. None while it is not there as a whole.
///
/// # Errors
/// When the length can't be one: what follows can't be read as messages.
pub(super) fn header(bytes: &[u8]) -> anyhow::Result<Option<Header>> {
    let Some((&[kind, a, b, c, d], _)) = bytes.split_first_chunk::<HEADER>() else {
        return Ok(None);
    };
    let length = u32::from_be_bytes([a, b, c, d]);
    anyhow::ensure!(
        (4..=0x4000_0000).contains(&length),
        "a message of kind {kind} says that it has {length} bytes"
    );
    Ok(Some(Header {
        kind,
        begins: HEADER,
        length: length as usize + 1,
    }))
}

/// A text that ends with a zero byte, and what follows it.
pub(super) fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr(0, bytes)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

pub(super) fn message(kind: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).expect("chatctl's own messages are short");
    let mut message = Vec::with_capacity(body.len() + HEADER);
    message.push(kind);
    message.extend_from_slice(&length.to_be_bytes());
    message.extend_from_slice(body);
    message
}

/// `ErrorResponse`: severity, SQLSTATE and words.
pub(super) fn error(severity: &str, state: &str, words: &str) -> Vec<u8> {
    let mut body = Vec::new();
    for (field, value) in [
        (b'S', severity),
        (b'V', severity),
        (b'C', state),
        (b'M', words),
    ] {
        body.push(field);
        body.extend_from_slice(value.as_bytes());
        body.push(0);
    }
    body.push(0);
    message(b'E', &body)
}

/// What a request to cancel a statement names: the process and the secret, of `BackendKeyData` or of the
/// request itself. A longer secret is known by its beginning.
pub(super) fn key(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|key| u64::from_be_bytes(*key))
}

/// The words of an `ErrorResponse`, with its SQLSTATE.
pub(super) fn words_of_error(body: &[u8]) -> String {
    let (mut state, mut words) = (String::new(), String::new());
    let mut rest = body;
    while let Some((field, tail)) = rest.split_first() {
        let Some((value, tail)) = text(tail) else {
            break;
        };
        match field {
            b'C' => state = String::from_utf8_lossy(value).into_owned(),
            b'M' => words = String::from_utf8_lossy(value).into_owned(),
            _ => {}
        }
        rest = tail;
    }
    format!("{words} ({state})")
}

/// A query that rolls back, whatever is open.
pub(super) fn rollback() -> Vec<u8> {
    message(b'Q', b"ROLLBACK\0")
}

/// A query that fails, so that the transaction that is open can only be rolled back.
pub(super) fn failing() -> Vec<u8> {
    let query = "DO $$ BEGIN RAISE 'canceling statement due to user request' USING ERRCODE = '57014'; END $$\0";
    message(b'Q', query.as_bytes())
}

/// `CopyFail`: the rows that were sent are not to be kept.
pub(super) fn copy_fail() -> Vec<u8> {
    message(b'f', b"chatctl makes this commit fail on purpose\0")
}

/// `Sync`: the end of a group.
pub(super) fn sync() -> Vec<u8> {
    message(b'S', b"")
}

/// `ReadyForQuery`: outside of a transaction, or in one that has failed.
pub(super) fn ready(in_failed: bool) -> Vec<u8> {
    message(b'Z', if in_failed { b"E" } else { b"I" })
}
