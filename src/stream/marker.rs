//! The final marker of a stream, seen in its lines and events.

use super::json::{Document, Json};
use super::path::Path;
use crate::model::{Frame, Line, LineKind};
use serde_json::Value;
use std::fmt;

/// What ends a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum FinalMarker {
    /// The data of an event is this text.
    Data(String),
    /// The data of an event is JSON, and one of these is in it.
    Json(Vec<Sign>),
    /// An event has this name.
    Event(String),
    /// The end of the body; no event is final.
    End,
}

/// What in the JSON of an event makes it the final one.
#[derive(Debug, Clone, PartialEq)]
pub struct Sign {
    /// Selects a value.
    pub path: Path,
    /// The values that count; any when absent.
    pub equals: Option<Vec<Value>>,
    /// Where this selects anything, the event does not count.
    pub unless: Option<Path>,
}

impl Sign {
    fn is_in(&self, json: &Document<'_>) -> bool {
        let counts = match &self.equals {
            Some(values) => {
                let is_one = |found: &Json<'_>| values.iter().any(|value| found == value);
                self.path.any(json, is_one)
            }
            None => !self.path.is_empty(json),
        };
        let excluded = self.unless.as_ref();
        counts && excluded.is_none_or(|path| path.is_empty(json))
    }
}

impl fmt::Display for Sign {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(equals) = &self.equals else {
            return write!(f, "{}", self.path);
        };
        let values = listed(equals.iter().map(Value::to_string), " or ");
        write!(f, "{} = {values}", self.path)
    }
}

impl FinalMarker {
    /// Whether an event is the marker.
    pub fn is_frame(&self, frame: &Frame) -> bool {
        match self {
            Self::Json(_) => Document::parse(&frame.data).is_ok_and(|json| self.is_json(&json)),
            Self::Data(text) => is_data(&frame.data, text),
            Self::Event(name) => frame.event == *name,
            Self::End => false,
        }
    }

    /// Whether an event with this JSON is the marker, where JSON decides.
    pub fn is_json(&self, json: &Document<'_>) -> bool {
        match self {
            Self::Json(signs) => signs.iter().any(|sign| sign.is_in(json)),
            Self::Data(_) | Self::Event(_) | Self::End => false,
        }
    }

    /// Whether a line is the marker, before its block ends. An event without data is never
    /// dispatched, so a marker that is an event's name may only ever be seen here.
    pub fn is_line(&self, line: &Line) -> bool {
        let value = || {
            let value = line.text.split_once(':').map_or("", |(_, value)| value);
            value.strip_prefix(' ').unwrap_or(value)
        };
        match self {
            Self::Data(text) => line.kind == LineKind::Data && is_data(value(), text),
            Self::Event(name) => line.kind == LineKind::Event && value() == name,
            Self::Json(_) | Self::End => false,
        }
    }
}

/// Blanks around a marker do not hide it from most clients: they trim lines, or look at how the data begins.
/// `dialects` tells who sees it.
fn is_data(data: &str, text: &str) -> bool {
    data == text || data.trim() == text
}

/// As many of a list as a sentence can carry.
fn listed(mut all: impl Iterator<Item = String>, between: &str) -> String {
    const MOST: usize = 4;
    let mut shown: Vec<_> = all.by_ref().take(MOST).collect();
    if all.next().is_some() {
        shown.push("…".to_owned());
    }
    shown.join(between)
}

impl fmt::Display for FinalMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(text) => write!(f, "{text}"),
            Self::Json(signs) => f.write_str(&listed(signs.iter().map(Sign::to_string), ", or ")),
            // It is shown between backticks.
            Self::Event(name) => write!(f, "event: {name}"),
            Self::End => f.write_str("the end of the body"),
        }
    }
}
