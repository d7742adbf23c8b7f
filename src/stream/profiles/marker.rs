//! The final marker of a stream, seen in its lines and events.

use crate::model::{Frame, Line, LineKind};
use crate::stream::session::FinalMarker;
use std::fmt;

impl FinalMarker {
    /// Whether an event is the marker.
    pub fn is_frame(&self, frame: &Frame) -> bool {
        self.matches(&frame.event, &frame.data)
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
            Self::Json { path, equals } => write!(f, "{path} = {equals}"),
            Self::Event(name) => write!(f, "event `{name}`"),
            Self::End => f.write_str("the end of the body"),
        }
    }
}
