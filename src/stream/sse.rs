//! The SSE byte decoder: bytes and their arrival times in, lines and events out.
//!
//! `eventsource-stream` accumulates the fields of a block and dispatches the event. Fed with raw
//! bytes it panics on a byte order mark, waits for the byte after a bare CR, goes deaf at the
//! first invalid byte and takes quadratic time for a long line or a large chunk. So this decoder
//! splits the bytes into lines itself and hands the crate complete lines of valid UTF-8 that end
//! in LF, and only those that it has to interpret: a block whose only field is one `data` line, as
//! most are, is an event as it is. As these lines are blank or start with `data`, `event` or `id`, the
//! crate never meets a byte order mark.
//!
//! Source: WHATWG HTML, "Server-sent events", sections 9.2.5 "Parsing an event stream" and 9.2.6
//! "Interpreting an event stream".

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use std::{fmt, mem};

use eventsource_stream::{Event, EventStream};
use futures_core::Stream;

use crate::model::{Frame, Line, LineKind};

/// The longest line that is decoded, in bytes without its terminator. The standard names no
/// limit; without one a server that never ends its line would fill the memory.
pub const MAX_LINE: usize = 16 * 1024 * 1024;

/// The most data that an event may have, in bytes. A server that continues with `data:` lines and
/// never ends the event would fill the memory just so.
pub const MAX_EVENT: usize = 2 * MAX_LINE;

/// What the decoder yields, in the order of the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// A line, including comments and lines that a parser ignores.
    Line(Line),
    /// An event; it comes right after the blank line that dispatched it.
    Frame(Frame),
}

/// Why the stream cannot be decoded any further.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SseError {
    /// The line that starts at byte `offset` has more than `limit` bytes.
    LineTooLong { offset: u64, limit: usize },
    /// The event that starts at byte `offset` has more than `limit` bytes of data.
    EventTooLarge { offset: u64, limit: usize },
}

impl fmt::Display for SseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LineTooLong { offset, limit } => write!(
                f,
                "the event stream has a line of more than `{limit}` bytes at byte `{offset}`"
            ),
            Self::EventTooLarge { offset, limit } => write!(
                f,
                "the event stream has an event of more than `{limit}` bytes at byte `{offset}`"
            ),
        }
    }
}

impl std::error::Error for SseError {}

/// Decodes one response body. The time it takes is linear in the bytes, however they are cut
/// into chunks, and the cut never changes what comes out, except for the times.
pub struct Decoder {
    state: State,
    /// The bytes of the line under way that came with earlier chunks.
    partial: Vec<u8>,
    first_at: Duration,
    line_start: u64,
    /// The last byte was a CR, which ended its line at once; an LF that follows belongs to it.
    after_cr: bool,
    /// Where the block under way starts, once it has a line.
    block_start: Option<u64>,
    /// How much data the block under way has.
    block_data: usize,
    /// The id of the block under way; it comes into force with the blank line.
    block_id: Option<String>,
    last_event_id: String,
    retry: Option<u64>,
    dispatcher: Dispatcher,
}

enum State {
    Open,
    Failed(SseError),
    Finished,
}

impl Default for Decoder {
    fn default() -> Self {
        Self::new()
    }
}

impl Decoder {
    /// A decoder at the start of a response.
    pub fn new() -> Self {
        Self {
            state: State::Open,
            partial: Vec::new(),
            first_at: Duration::ZERO,
            line_start: 0,
            after_cr: false,
            block_start: None,
            block_data: 0,
            block_id: None,
            last_event_id: String::new(),
            retry: None,
            dispatcher: Dispatcher::new(),
        }
    }

    /// Takes the next bytes of the body, which arrived `at` after the start of the response, and
    /// gives every line and event that they complete. After [`finish`](Self::finish) bytes are
    /// ignored.
    ///
    /// # Errors
    ///
    /// As soon as a line exceeds [`MAX_LINE`], or the data of an event [`MAX_EVENT`]. What the same
    /// bytes completed before is given first; the error then comes with the next call. Once given, it
    /// is given by every call.
    pub fn push(&mut self, at: Duration, bytes: &[u8]) -> Result<Vec<Item>, SseError> {
        match &self.state {
            State::Open => {}
            State::Failed(error) => return Err(error.clone()),
            State::Finished => return Ok(Vec::new()),
        }
        let mut items = Vec::new();
        match self.split(at, bytes, &mut items) {
            Err(error) => {
                self.partial = Vec::new();
                self.state = State::Failed(error.clone());
                if items.is_empty() {
                    Err(error)
                } else {
                    Ok(items)
                }
            }
            Ok(()) => Ok(items),
        }
    }

    /// Takes the end of the body, which came `at` after the start of the response. An
    /// unterminated line is given as [`LineKind::Tail`]; neither it nor a block without its blank
    /// line makes an event (section 9.2.6: "the incomplete event is not dispatched").
    ///
    /// # Errors
    ///
    /// The error that [`push`](Self::push) met.
    pub fn finish(&mut self, at: Duration) -> Result<Vec<Item>, SseError> {
        if let State::Failed(error) = &self.state {
            return Err(error.clone());
        }
        self.state = State::Finished;
        if self.partial.is_empty() {
            return Ok(Vec::new());
        }
        let text = self.take_text(&[]);
        if text.is_empty() {
            return Ok(Vec::new());
        }
        Ok(vec![Item::Line(self.line(at, LineKind::Tail, text))])
    }

    /// The reconnection time in milliseconds, if the server has set one. It is in force from its
    /// line on, without a blank line; a value that is not all ASCII digits, or over `u64::MAX`,
    /// is ignored.
    pub fn retry(&self) -> Option<u64> {
        self.retry
    }

    /// What a client that reconnects now would send as `Last-Event-ID`; empty means none. The id
    /// of a block comes into force at its blank line, even if the block makes no event.
    pub fn last_event_id(&self) -> &str {
        &self.last_event_id
    }

    fn split(
        &mut self,
        at: Duration,
        mut rest: &[u8],
        items: &mut Vec<Item>,
    ) -> Result<(), SseError> {
        while let Some(&first) = rest.first() {
            if mem::take(&mut self.after_cr) && first == b'\n' {
                self.line_start += 1;
                rest = &rest[1..];
                continue;
            }
            if self.partial.is_empty() {
                self.first_at = at;
            }
            let end = memchr::memchr2(b'\r', b'\n', rest);
            let piece = &rest[..end.unwrap_or(rest.len())];
            let len = self.partial.len() + piece.len();
            if len > MAX_LINE {
                return Err(SseError::LineTooLong {
                    offset: self.line_start,
                    limit: MAX_LINE,
                });
            }
            let Some(end) = end else {
                self.partial.extend_from_slice(piece);
                break;
            };
            self.after_cr = rest[end] == b'\r';
            let text = self.take_text(piece);
            self.complete(at, text, items)?;
            self.line_start += len as u64 + 1;
            rest = &rest[end + 1..];
        }
        Ok(())
    }

    /// The line under way, with `piece` as its end. To decode line by line gives the same text as
    /// to decode the whole body, because no UTF-8 sequence continues over a CR or LF.
    fn take_text(&mut self, piece: &[u8]) -> String {
        self.partial.extend_from_slice(piece);
        let mut text = String::from_utf8(mem::take(&mut self.partial))
            .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        if self.line_start == 0 && text.starts_with('\u{FEFF}') {
            text.remove(0);
        }
        text
    }

    fn complete(
        &mut self,
        at: Duration,
        text: String,
        items: &mut Vec<Item>,
    ) -> Result<(), SseError> {
        let (kind, value) = classify(&text);
        if kind != LineKind::Blank {
            self.block_start.get_or_insert(self.line_start);
        }
        if kind == LineKind::Data {
            self.block_data += value.len() + 1;
            if self.block_data > MAX_EVENT {
                return Err(SseError::EventTooLarge {
                    offset: self.block_start.unwrap_or(self.line_start),
                    limit: MAX_EVENT,
                });
            }
        }
        match kind {
            LineKind::Data => self.dispatcher.data(&text, value),
            LineKind::Event => self.dispatcher.field(&text),
            LineKind::Id => {
                if !value.contains('\0') {
                    self.block_id = Some(value.to_owned());
                }
                self.dispatcher.field(&text);
            }
            // `parse` alone would accept a leading plus sign.
            LineKind::Retry if value.bytes().all(|byte| byte.is_ascii_digit()) => {
                self.retry = value.parse().ok().or(self.retry);
            }
            _ => {}
        }
        items.push(Item::Line(self.line(at, kind, text)));
        if kind == LineKind::Blank {
            items.extend(self.end_block(at).map(Item::Frame));
        }
        Ok(())
    }

    fn end_block(&mut self, at: Duration) -> Option<Frame> {
        self.block_data = 0;
        if let Some(id) = self.block_id.take() {
            self.last_event_id = id;
        }
        let block_start = self.block_start.take();
        self.dispatcher
            .blank(&self.last_event_id)
            .map(|event| Frame {
                at,
                offset: block_start.expect("only a block with a data line makes an event"),
                event: event.event,
                data: event.data,
                id: event.id,
            })
    }

    fn line(&self, at: Duration, kind: LineKind, text: String) -> Line {
        Line {
            first_at: self.first_at,
            at,
            offset: self.line_start,
            kind,
            text,
        }
    }
}

/// The kind of a terminated line and the value of its field (section 9.2.6): what follows the
/// first colon and at most one space.
fn classify(text: &str) -> (LineKind, &str) {
    if text.is_empty() {
        return (LineKind::Blank, "");
    }
    let (name, value) = text.split_once(':').unwrap_or((text, ""));
    let kind = match name {
        "" => LineKind::Comment,
        "data" => LineKind::Data,
        "event" => LineKind::Event,
        "id" => LineKind::Id,
        "retry" => LineKind::Retry,
        _ => LineKind::Unknown,
    };
    (kind, value.strip_prefix(' ').unwrap_or(value))
}

/// `eventsource-stream` as a function from lines to events. It is a stream over a stream, so it
/// reads from an inbox and is polled by hand.
struct Dispatcher {
    events: EventStream<Inbox>,
    inbox: Inbox,
    block: Block,
    /// Complete lines that the crate has not seen yet.
    held: Vec<u8>,
}

/// The fields of the block under way.
enum Block {
    /// None up to now.
    Empty,
    /// One `data` line with this value: as most events are, and there is nothing to accumulate.
    Data(String),
    /// Others, which the crate has, or is to get.
    Handed,
}

/// A block goes to the crate whole if it has at most this many bytes, else in several pieces of
/// complete lines. The crate copies what is left of a piece after every line of it, so without a
/// bound it would be quadratic in the lines of a block; with it the copies stay in the cache.
const PIECE: usize = 512;

impl Dispatcher {
    fn new() -> Self {
        let inbox = Inbox::default();
        Self {
            events: EventStream::new(inbox.clone()),
            inbox,
            block: Block::Empty,
            held: Vec::new(),
        }
    }

    fn data(&mut self, line: &str, value: &str) {
        match self.block {
            Block::Empty => self.block = Block::Data(value.to_owned()),
            Block::Data(_) | Block::Handed => self.field(line),
        }
    }

    fn field(&mut self, line: &str) {
        if let Block::Data(first) = mem::replace(&mut self.block, Block::Handed) {
            self.hold(&format!("data: {first}"));
        }
        self.hold(line);
    }

    fn hold(&mut self, line: &str) {
        if !self.held.is_empty() && self.held.len() + line.len() > PIECE {
            let event = self.hand_over();
            assert!(event.is_none(), "only a blank line makes an event");
        }
        // Room for the line, its LF and the blank line that may follow.
        self.held.reserve(line.len() + 2);
        self.held.extend_from_slice(line.as_bytes());
        self.held.push(b'\n');
    }

    /// The event of the block, with the last event ID that is in force now.
    fn blank(&mut self, id: &str) -> Option<Event> {
        match mem::replace(&mut self.block, Block::Empty) {
            Block::Empty => None,
            Block::Data(data) => Some(Event {
                event: "message".to_owned(),
                data,
                id: id.to_owned(),
                retry: None,
            }),
            Block::Handed => {
                self.held.push(b'\n');
                self.hand_over()
            }
        }
    }

    fn hand_over(&mut self) -> Option<Event> {
        self.inbox.put(mem::take(&mut self.held));
        // The inbox is filled before every poll, so nobody ever waits to be woken.
        let mut context = Context::from_waker(Waker::noop());
        match Pin::new(&mut self.events).poll_next(&mut context) {
            Poll::Ready(Some(Ok(event))) => Some(event),
            Poll::Pending => None,
            Poll::Ready(Some(Err(error))) => {
                unreachable!("complete lines of valid UTF-8 parse: {error}")
            }
            Poll::Ready(None) => unreachable!("the inbox never ends"),
        }
    }
}

/// Shared by the dispatcher, which fills it, and the crate, which empties it and gives no access
/// to its input. A lock and not a cell, so that a decoder may move between threads.
#[derive(Clone, Default)]
struct Inbox(Arc<Mutex<Option<Vec<u8>>>>);

impl Inbox {
    fn put(&self, line: Vec<u8>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(line);
    }
}

impl Stream for Inbox {
    type Item = Result<Vec<u8>, Infallible>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match self.0.lock().unwrap_or_else(PoisonError::into_inner).take() {
            Some(line) => Poll::Ready(Some(Ok(line))),
            None => Poll::Pending,
        }
    }
}
