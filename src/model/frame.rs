//! The parts of an event stream: its lines as received, and the events that they form.
//!
//! All times are measured from the start of the response on a monotonic clock, all offsets are
//! bytes of the response body, counted from 0. Terms are those of WHATWG HTML, "Server-sent
//! events", section 9.2.6 "Interpreting an event stream".

use std::time::Duration;

/// One dispatched event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Arrival of the byte that dispatched it: the first terminator byte of its blank line.
    pub at: Duration,
    /// Where the first line of its block starts; a comment counts as a line of the block.
    pub offset: u64,
    /// The event type, `message` if the block has none.
    pub event: String,
    /// The values of the block's `data` lines, joined by LF.
    pub data: String,
    /// The last event ID in force at the dispatch, empty if none was sent.
    pub id: String,
}

/// One line of the stream, whether or not it led to an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// Arrival of the line's first byte; of a blank line that is its terminator.
    pub first_at: Duration,
    /// Arrival of the line's first terminator byte; of a [`LineKind::Tail`], the end of the
    /// response.
    pub at: Duration,
    /// Where the line starts. A byte order mark belongs to the first line, which so starts at 0.
    pub offset: u64,
    /// What the line is to an event stream parser.
    pub kind: LineKind,
    /// The whole line without terminator and byte order mark; invalid UTF-8 became U+FFFD.
    pub text: String,
}

/// The kind of a line. A field has the kind of its name, even if its value is to be ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LineKind {
    /// A `data` field.
    Data,
    /// An `event` field.
    Event,
    /// An `id` field.
    Id,
    /// A `retry` field.
    Retry,
    /// A line that starts with a colon.
    Comment,
    /// A field of any other name; parsers ignore it.
    Unknown,
    /// An empty line, which ends a block.
    Blank,
    /// What stood after the last terminator when the response ended; parsers discard it.
    Tail,
}
