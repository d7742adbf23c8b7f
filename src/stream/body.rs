//! How a server's body is cut into events, in whatever framing.

use super::sse::{Decoder, Item, MAX_LINE, SseError};
use crate::model::Frame;
use std::mem;
use std::time::Duration;

/// The framing of a response.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Framing {
    /// Server-sent events.
    #[default]
    Sse,
    /// A JSON value a line; blank lines mean nothing.
    Ndjson,
    /// JSON texts, each after a record separator (RFC 7464).
    JsonSeq,
    /// JSON texts over several lines, each up to a blank line.
    JsonBlocks,
}

impl Framing {
    /// Each with its name in a profile.
    pub const ALL: [(&'static str, Self); 4] = [
        ("sse", Self::Sse),
        ("ndjson", Self::Ndjson),
        ("json-seq", Self::JsonSeq),
        ("json-blocks", Self::JsonBlocks),
    ];
}

/// Decodes one response body. A frame of a framing without names is named `message`.
pub enum Body {
    /// Lines and events.
    Sse(Box<Decoder>),
    /// Frames only.
    Texts(Texts),
}

impl Body {
    /// A decoder at the start of a response.
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(Box::default()),
            Framing::Ndjson | Framing::JsonSeq => Self::Texts(Texts::new(End::Line)),
            Framing::JsonBlocks => Self::Texts(Texts::new(End::BlankLine)),
        }
    }

    /// Takes the next bytes, as [`Decoder::push`] does.
    ///
    /// # Errors
    /// As soon as one text or line is longer than [`MAX_LINE`].
    pub fn push(&mut self, at: Duration, bytes: &[u8]) -> Result<Vec<Item>, SseError> {
        match self {
            Self::Sse(decoder) => decoder.push(at, bytes),
            Self::Texts(texts) => texts.push(at, bytes),
        }
    }

    /// Takes the end of the body. A text without its end counts: whoever reads by the line takes it.
    ///
    /// # Errors
    /// The error that [`push`](Self::push) met.
    pub fn finish(&mut self, at: Duration) -> Result<Vec<Item>, SseError> {
        match self {
            Self::Sse(decoder) => decoder.finish(at),
            Self::Texts(texts) => Ok(texts.dispatch(at).into_iter().collect()),
        }
    }
}

/// What ends a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Line,
    BlankLine,
}

/// Texts that follow each other.
pub struct Texts {
    end: End,
    /// The text under way.
    held: Vec<u8>,
    /// Where in `held` its last line starts.
    line: usize,
    /// Where in the body `held` starts.
    offset: u64,
}

impl Texts {
    fn new(end: End) -> Self {
        Self {
            end,
            held: Vec::new(),
            line: 0,
            offset: 0,
        }
    }

    fn push(&mut self, at: Duration, bytes: &[u8]) -> Result<Vec<Item>, SseError> {
        let mut items = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.held.extend_from_slice(piece);
            if self.held.len() > MAX_LINE {
                return Err(SseError::LineTooLong {
                    offset: self.offset,
                    limit: MAX_LINE,
                });
            }
            if !piece.ends_with(b"\n") {
                continue;
            }
            let blank = self.held[self.line..].trim_ascii().is_empty();
            self.line = self.held.len();
            if self.end == End::Line || blank {
                items.extend(self.dispatch(at));
            }
        }
        Ok(items)
    }

    /// The text under way as a frame, unless it is blank.
    fn dispatch(&mut self, at: Duration) -> Option<Item> {
        let held = mem::take(&mut self.held);
        let offset = self.offset;
        self.offset += u64::try_from(held.len()).unwrap_or(u64::MAX);
        self.line = 0;
        let text = String::from_utf8_lossy(&held);
        let text =
            text.trim_matches(|c: char| c.is_ascii_whitespace() || "\u{1e}\u{feff}".contains(c));
        (!text.is_empty()).then(|| {
            Item::Frame(Frame {
                at,
                offset,
                event: "message".to_owned(),
                data: text.to_owned(),
                id: String::new(),
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Body, Duration, Framing, Item};

    fn texts(framing: Framing, body: &str) -> Vec<(u64, String)> {
        let cut = |size: usize| {
            let mut decoder = Body::new(framing);
            let mut items = Vec::new();
            for chunk in body.as_bytes().chunks(size) {
                items.extend(decoder.push(Duration::ZERO, chunk).unwrap());
            }
            items.extend(decoder.finish(Duration::ZERO).unwrap());
            let frames = items.into_iter().filter_map(|item| match item {
                Item::Frame(frame) => Some((frame.offset, frame.data)),
                Item::Line(_) => None,
            });
            frames.collect::<Vec<_>>()
        };
        assert_eq!(cut(1), cut(10_000));
        cut(3)
    }

    fn of(expected: &[(u64, &str)]) -> Vec<(u64, String)> {
        let owned = expected.iter();
        owned.map(|(at, text)| (*at, (*text).to_owned())).collect()
    }

    #[test]
    fn every_framing_has_its_texts() {
        assert_eq!(
            texts(Framing::Ndjson, "{\"a\":\"ü\"}\r\n\n{\"b\":2}"),
            of(&[(0, "{\"a\":\"ü\"}"), (13, "{\"b\":2}")])
        );
        assert_eq!(
            texts(Framing::JsonSeq, "\u{1e}{\"a\":1}\n\u{1e}{\"b\":2}\n"),
            of(&[(0, "{\"a\":1}"), (9, "{\"b\":2}")])
        );
        assert_eq!(
            texts(Framing::JsonBlocks, "{\n \"a\":1\n}\n\n{\"b\":2}\n\n"),
            of(&[(0, "{\n \"a\":1\n}"), (12, "{\"b\":2}")])
        );
        assert_eq!(texts(Framing::Sse, "data: a\n\n"), of(&[(0, "a")]));
    }
}
