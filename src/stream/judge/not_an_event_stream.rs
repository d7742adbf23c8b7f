//! The response is not an event stream, so an EventSource would fail on it.

use super::{Check, MarkerBasis, Observed};
use crate::report::{Finding, Severity, Source};
use crate::stream::body::Framing;

pub(super) const CHECK: Check = Check {
    code: "not-an-event-stream",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    match observed.framing {
        Framing::Sse => {}
        // No EventSource reads these, and no browser looks at their type.
        Framing::Ndjson
        | Framing::JsonSeq
        | Framing::JsonBlocks
        | Framing::PrefixLines
        | Framing::Delimited(_)
        | Framing::Messages
        | Framing::SocketIo
        | Framing::Bare => return Vec::new(),
    }
    let bad = observed.turns.iter().find_map(|turn| {
        // A response without an event, of which nobody said that it has some, is another kind of
        // answer.
        let is_another = observed.marker_basis == MarkerBasis::Assumed
            && turn.turn.text.is_empty()
            && turn.turn.faults.is_empty();
        if is_another {
            return None;
        }
        let content_type = turn.content_type.as_deref().unwrap_or("");
        let media_type = content_type.split(';').next().unwrap_or("").trim();
        let wrong = !media_type.eq_ignore_ascii_case("text/event-stream");
        wrong.then_some((turn, content_type))
    });
    let Some((turn, content_type)) = bad else {
        return Vec::new();
    };
    let said = match content_type {
        "" => "no content type".to_owned(),
        said => format!("content type `{said}`"),
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            &observed.session,
            format!("a browser's EventSource refuses the response of turn {}: it has {said}", turn.number),
            "answer with `Content-Type: text/event-stream`; check that the session's path is the streaming one",
        )
        .with(Source::Stream, format!("the response says {said}")),
    ]
}
