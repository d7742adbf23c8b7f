//! How a server's body is cut into events, in whatever framing.

use super::sse::{Decoder, Item, MAX_LINE, SseError};
use crate::model::Frame;
use memchr::memmem;
use serde_json::value::RawValue;
use std::mem;
use std::sync::Arc;
use std::time::Duration;

/// The framing of a response.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
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
    /// A name, a colon and a JSON value a line.
    PrefixLines,
    /// Texts, each up to this one.
    Delimited(Arc<str>),
    /// Messages of a WebSocket.
    Messages,
    /// Events of Socket.IO.
    SocketIo,
    /// None: every piece of the body is text as it comes.
    Bare,
}

impl Framing {
    /// Those that a name says, each with its name in a profile.
    pub const NAMED: [(&'static str, Self); 8] = [
        ("sse", Self::Sse),
        ("ndjson", Self::Ndjson),
        ("json-seq", Self::JsonSeq),
        ("json-blocks", Self::JsonBlocks),
        ("prefix-lines", Self::PrefixLines),
        ("websocket", Self::Messages),
        ("socket.io", Self::SocketIo),
        ("text", Self::Bare),
    ];

    /// Whether its events have names.
    pub const fn has_names(&self) -> bool {
        match self {
            Self::Sse | Self::PrefixLines | Self::SocketIo => true,
            Self::Ndjson
            | Self::JsonSeq
            | Self::JsonBlocks
            | Self::Delimited(_)
            | Self::Messages
            | Self::Bare => false,
        }
    }

    /// The same events over a WebSocket: each message is one, unless a delimiter ends them.
    #[must_use]
    pub fn over_a_socket(self) -> Self {
        match self {
            Self::Delimited(_) | Self::SocketIo => self,
            Self::Sse
            | Self::Ndjson
            | Self::JsonSeq
            | Self::JsonBlocks
            | Self::PrefixLines
            | Self::Messages
            | Self::Bare => Self::Messages,
        }
    }

    /// Whether only a WebSocket carries it.
    pub const fn needs_a_socket(&self) -> bool {
        match self {
            Self::Messages | Self::SocketIo => true,
            Self::Sse
            | Self::Ndjson
            | Self::JsonSeq
            | Self::JsonBlocks
            | Self::PrefixLines
            | Self::Delimited(_)
            | Self::Bare => false,
        }
    }
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
    pub fn new(framing: &Framing) -> Self {
        match framing {
            Framing::Sse => Self::Sse(Box::default()),
            Framing::Ndjson | Framing::JsonSeq => Self::Texts(Texts::new(End::Line)),
            Framing::JsonBlocks => Self::Texts(Texts::new(End::BlankLine)),
            Framing::PrefixLines => Self::Texts(Texts::new(End::NamedLine)),
            Framing::Delimited(delimiter) => {
                Self::Texts(Texts::new(End::Delimiter(Arc::clone(delimiter))))
            }
            Framing::Messages => Self::Texts(Texts::new(End::Message)),
            Framing::SocketIo => Self::Texts(Texts::new(End::NamedMessage)),
            Framing::Bare => Self::Texts(Texts::new(End::Piece)),
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
#[derive(Debug, Clone, PartialEq, Eq)]
enum End {
    Line,
    /// A line, which begins with the name of its event.
    NamedLine,
    BlankLine,
    Delimiter(Arc<str>),
    /// Nothing: what comes at a time is a text.
    Message,
    /// The same, and the text is a list, which begins with the name of its event.
    NamedMessage,
    /// Nothing, and a character may have come in part.
    Piece,
}

/// Texts that follow each other.
pub struct Texts {
    end: End,
    /// The text under way.
    held: Vec<u8>,
    /// Up to where `held` was looked through.
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
        match &self.end {
            End::Delimiter(delimiter) => {
                let delimiter = Arc::clone(delimiter);
                return self.push_delimited(at, bytes, delimiter.as_bytes());
            }
            End::Message | End::NamedMessage => {
                self.hold(bytes)?;
                return Ok(self.dispatch(at).into_iter().collect());
            }
            End::Piece => {
                self.hold(bytes)?;
                let rest = self.held.split_off(whole_characters(&self.held));
                let item = self.dispatch(at);
                self.held = rest;
                return Ok(item.into_iter().collect());
            }
            End::Line | End::NamedLine | End::BlankLine => {}
        }
        let mut items = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.hold(piece)?;
            if !piece.ends_with(b"\n") {
                continue;
            }
            let blank = self.held[self.line..].trim_ascii().is_empty();
            self.line = self.held.len();
            if self.end != End::BlankLine || blank {
                items.extend(self.dispatch(at));
            }
        }
        Ok(items)
    }

    fn push_delimited(
        &mut self,
        at: Duration,
        bytes: &[u8],
        delimiter: &[u8],
    ) -> Result<Vec<Item>, SseError> {
        let mut items = Vec::new();
        let mut all = mem::take(&mut self.held);
        all.extend_from_slice(bytes);
        let (mut start, mut from) = (0, self.line);
        while let Some(found) = memmem::find(&all[from..], delimiter) {
            let end = from + found;
            self.held.extend_from_slice(&all[start..end]);
            items.extend(self.dispatch(at));
            self.offset += u64::try_from(delimiter.len()).unwrap_or(u64::MAX);
            start = end + delimiter.len();
            from = start;
        }
        // A text without its delimiter is not copied again with each piece of it.
        all.drain(..start);
        self.held = all;
        self.fits()?;
        // The delimiter may have begun.
        self.line = self.held.len().saturating_sub(delimiter.len() - 1);
        Ok(items)
    }

    fn hold(&mut self, bytes: &[u8]) -> Result<(), SseError> {
        self.held.extend_from_slice(bytes);
        self.fits()
    }

    fn fits(&self) -> Result<(), SseError> {
        if self.held.len() > MAX_LINE {
            return Err(SseError::LineTooLong {
                offset: self.offset,
                limit: MAX_LINE,
            });
        }
        Ok(())
    }

    /// The text under way as a frame, unless it is blank.
    fn dispatch(&mut self, at: Duration) -> Option<Item> {
        let held = mem::take(&mut self.held);
        let offset = self.offset;
        self.offset += u64::try_from(held.len()).unwrap_or(u64::MAX);
        self.line = 0;
        let text = String::from_utf8_lossy(&held);
        let around = |c: char| c.is_ascii_whitespace() || "\u{1e}\u{feff}".contains(c);
        let (event, data) = match &self.end {
            // White space is a part of the text.
            End::Delimiter(_) | End::Message | End::Piece => ("message", &*text),
            End::NamedMessage => named(&text).unwrap_or(("message", &*text)),
            End::Line | End::BlankLine => ("message", text.trim_matches(around)),
            End::NamedLine => {
                let line = text.trim_matches(around);
                line.split_once(':').unwrap_or(("message", line))
            }
        };
        (!data.is_empty()).then(|| {
            Item::Frame(Frame {
                at,
                offset,
                event: event.to_owned(),
                data: data.to_owned(),
                id: String::new(),
            })
        })
    }
}

/// How many bytes of a text lead up to a character that has come in part, if there is one at its
/// end.
fn whole_characters(held: &[u8]) -> usize {
    // A character has at most four bytes, and its first one is from 0xC0 on.
    let first = held.iter().rev().take(3).position(|byte| *byte >= 0xC0);
    let from = first.map_or(held.len(), |back| held.len() - 1 - back);
    match std::str::from_utf8(&held[from..]) {
        Err(error) if error.error_len().is_none() => from,
        Ok(_) | Err(_) => held.len(),
    }
}

/// The name of an event and its first argument, which is `null` where it has none.
fn named(list: &str) -> Option<(&str, &str)> {
    let list: Vec<&RawValue> = serde_json::from_str(list).ok()?;
    let name = serde_json::from_str(list.first()?.get()).ok()?;
    Some((name, list.get(1).map_or("null", |data| data.get())))
}

#[cfg(test)]
mod tests {
    use super::{Body, Duration, Framing, Item};

    #[test]
    fn a_line_may_begin_with_the_name_of_its_event() {
        let mut decoder = Body::new(&Framing::PrefixLines);
        let body = b"0:\"a:b\"\nd:{}\nodd\n";
        let items = decoder.push(Duration::ZERO, body).unwrap();
        let events: Vec<_> = items
            .iter()
            .map(|item| match item {
                Item::Frame(frame) => (frame.event.as_str(), frame.data.as_str()),
                Item::Line(_) => unreachable!("there are frames only"),
            })
            .collect();
        assert_eq!(events, [("0", "\"a:b\""), ("d", "{}"), ("message", "odd")]);
    }

    #[test]
    fn every_message_is_an_event() {
        let messages = |framing: Framing, all: &[&str]| {
            let mut decoder = Body::new(&framing);
            let items = all
                .iter()
                .flat_map(|message| decoder.push(Duration::ZERO, message.as_bytes()).unwrap());
            let frames = items.filter_map(|item| match item {
                Item::Frame(frame) => Some((frame.offset, frame.event, frame.data)),
                Item::Line(_) => None,
            });
            frames.collect::<Vec<_>>()
        };
        let of = |expected: &[(u64, &str, &str)]| {
            let owned = expected.iter();
            owned
                .map(|(at, event, data)| (*at, (*event).to_owned(), (*data).to_owned()))
                .collect::<Vec<_>>()
        };
        assert_eq!(
            messages(Framing::Messages, &["a\n\nb", "", " c"]),
            of(&[(0, "message", "a\n\nb"), (4, "message", " c")])
        );
        let events = [r#"["end"]"#, r#"["token",{"a":1},2]"#, r#"{"no":"event"}"#];
        assert_eq!(
            messages(Framing::SocketIo, &events),
            of(&[
                (0, "end", "null"),
                (7, "token", r#"{"a":1}"#),
                (26, "message", r#"{"no":"event"}"#),
            ])
        );
    }

    fn texts(framing: Framing, body: &str) -> Vec<(u64, String)> {
        let cut = |size: usize| {
            let mut decoder = Body::new(&framing);
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
        assert_eq!(
            texts(Framing::Delimited("␃␗".into()), "{\"a\":1}␃␗ü \n␃␗␃␗b␃"),
            of(&[(0, "{\"a\":1}"), (13, "ü \n"), (29, "b␃")])
        );
        assert_eq!(texts(Framing::Sse, "data: a\n\n"), of(&[(0, "a")]));
    }

    /// A character in two pieces is one character.
    #[test]
    fn bare_text_comes_as_it_is() {
        let read = |body: &[u8], size: usize| {
            let mut decoder = Body::new(&Framing::Bare);
            let mut items = Vec::new();
            for chunk in body.chunks(size) {
                items.extend(decoder.push(Duration::ZERO, chunk).unwrap());
            }
            items.extend(decoder.finish(Duration::ZERO).unwrap());
            let frames = items.into_iter().filter_map(|item| match item {
                Item::Frame(frame) => Some(frame.data),
                Item::Line(_) => None,
            });
            frames.collect::<String>()
        };
        let body = " Grüße,\n\n\u{1F95B} milk \n";
        for size in [1, 2, 3, 4, 100] {
            assert_eq!(read(body.as_bytes(), size), body);
        }
        // What is no character is not waited for, and hides none that follows it.
        assert_eq!(read(b"a\xff\xc3\xbc\xc3", 4), "a\u{fffd}ü\u{fffd}");
        assert_eq!(read(b"a\xff\xc3\xbc", 3), "a\u{fffd}ü");
    }
}
