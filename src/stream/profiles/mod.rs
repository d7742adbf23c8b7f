//! Wire profiles: what the lines and events of a stream mean. One profile a file.

mod marker;
mod openai_chat;
mod plain;

use crate::model::{Frame, Line};
use crate::stream::session::FinalMarker;

/// What a frame means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StreamEvent {
    /// A piece of the answer.
    Text(String),
    /// A piece of a tool call; pieces with the same index belong together.
    ToolCall {
        /// Which call of the turn.
        index: u64,
        /// Its name; on the first piece only.
        name: Option<String>,
        /// A piece of its arguments.
        arguments: String,
    },
    /// The text is complete (`finish_reason`), for this reason.
    TextComplete(String),
    /// The server says that the turn failed.
    Failed(String),
    /// Token counts.
    Usage,
    /// The final marker.
    Final,
    /// Nothing that matters here.
    Ignored,
    /// The frame breaks the profile's grammar.
    Broken(String),
}

/// Reads the frames of one response. No I/O and no clock: a frame has its time.
pub trait Reader: Send + Sync {
    /// What a dispatched event means.
    fn frame(&mut self, frame: &Frame) -> Vec<StreamEvent>;

    /// Whether a line is the final marker already, though its block has not ended:
    /// browsers that split by lines act on it.
    fn is_final(&self, line: &Line) -> bool;
}

/// A row of the table.
pub struct Profile {
    /// What `--profile` takes.
    pub name: &'static str,
    /// What it is, in one line.
    pub what: &'static str,
    /// Its final marker, unless the session declares another.
    pub marker: fn() -> FinalMarker,
    /// A reader of one response.
    pub start: fn(FinalMarker) -> Box<dyn Reader>,
}

/// Every profile.
pub static ALL: &[Profile] = &[plain::PROFILE, openai_chat::PROFILE];

/// The profile of that name.
pub fn named(name: &str) -> Option<&'static Profile> {
    ALL.iter().find(|profile| profile.name == name)
}
