//! The final marker of a stream, seen in its lines and events.

use crate::model::{Frame, Line, LineKind};
use serde_json::Value;
use serde_json_path::JsonPath;
use std::fmt;

/// What ends a stream.
#[derive(Debug, Clone, PartialEq)]
pub enum FinalMarker {
    /// The data of an event is this text.
    Data(String),
    /// The data of an event is JSON, and a path in it selects one of these values.
    Json {
        /// The path.
        path: JsonPath,
        /// The values.
        equals: Vec<Value>,
    },
    /// An event has this name.
    Event(String),
    /// The end of the body; no event is final.
    End,
}

impl FinalMarker {
    /// Whether an event is the marker.
    pub fn is_frame(&self, frame: &Frame) -> bool {
        match self {
            Self::Json { .. } => {
                serde_json::from_str(&frame.data).is_ok_and(|json| self.is_json(&json))
            }
            Self::Data(text) => frame.data == *text,
            Self::Event(name) => frame.event == *name,
            Self::End => false,
        }
    }

    /// Whether an event with this JSON is the marker, where JSON decides.
    pub fn is_json(&self, json: &Value) -> bool {
        match self {
            Self::Json { path, equals } => {
                let found = path.query(json);
                found.iter().any(|found| equals.contains(found))
            }
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
            Self::Data(text) => line.kind == LineKind::Data && value() == text,
            Self::Event(name) => line.kind == LineKind::Event && value() == name,
            Self::Json { .. } | Self::End => false,
        }
    }
}

impl fmt::Display for FinalMarker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Data(text) => write!(f, "{text}"),
            Self::Json { path, equals } => {
                let values: Vec<_> = equals.iter().map(Value::to_string).collect();
                write!(f, "{path} = {}", values.join(" or "))
            }
            Self::Event(name) => write!(f, "event `{name}`"),
            Self::End => f.write_str("the end of the body"),
        }
    }
}
