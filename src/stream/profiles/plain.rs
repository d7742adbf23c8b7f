//! `data: piece` … `data: [DONE]`: the wire of most FastAPI tutorials.

use super::{Code, Profile, Reader, StreamEvent, Wire};
use crate::model::{Frame, Line};
use crate::stream::marker::FinalMarker;

pub(super) const PROFILE: Profile = Profile {
    name: "plain",
    what: "each event's data is a piece of the answer; `data: [DONE]` is final",
    wire: Wire::Code(Code {
        marker: || FinalMarker::Data("[DONE]".into()),
        start: |marker| Box::new(Plain { marker }),
    }),
};

struct Plain {
    marker: FinalMarker,
}

impl Reader for Plain {
    fn frame(&mut self, frame: &Frame) -> Vec<StreamEvent> {
        vec![match frame.event.as_str() {
            _ if self.marker.is_frame(frame) => StreamEvent::Final,
            "error" => StreamEvent::Failed(frame.data.clone()),
            "message" => StreamEvent::Text(frame.data.clone()),
            _ => StreamEvent::Ignored,
        }]
    }

    fn is_final(&self, line: &Line) -> bool {
        self.marker.is_line(line)
    }
}
