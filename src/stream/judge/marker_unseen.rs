//! Some clients of this wire format see the final marker, and others do not.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};
use crate::stream::body::Framing;
use crate::stream::dialects;

pub(super) const CHECK: Check = Check {
    code: "marker-unseen",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let Some(marker) = &observed.final_marker else {
        return Vec::new();
    };
    let help = match observed.framing {
        Framing::Ndjson => {
            "end each line, also the last one, with one line feed, and send no byte order mark; escape U+2028, U+0085 and similar characters in JSON"
        }
        Framing::Sse
        | Framing::JsonSeq
        | Framing::JsonBlocks
        | Framing::PrefixLines
        | Framing::Delimited(_)
        | Framing::Messages
        | Framing::SocketIo
        | Framing::Bare => {
            "end each line with one line feed and each event with a blank line, without a byte order mark; escape U+2028 and similar characters in JSON"
        }
    };
    let parted = observed.turns.iter().find_map(|turn| {
        let body = turn.body.as_ref()?;
        turn.turn.final_at?;
        let readers = dialects::ALL
            .iter()
            .filter(|dialect| dialect.framing == observed.framing)
            .filter(|dialect| (dialect.reads)(observed.profile));
        let (seen, unseen): (Vec<_>, Vec<_>) =
            readers.partition(|dialect| dialect.sees(body, marker));
        let names = |dialects: Vec<&dialects::Dialect>| {
            let names: Vec<_> = dialects.iter().map(|dialect| dialect.name).collect();
            names.join(", ")
        };
        (!seen.is_empty() && !unseen.is_empty()).then(|| (turn.number, names(seen), names(unseen)))
    });
    let Some((number, seen, unseen)) = parted else {
        return Vec::new();
    };
    let marker = &observed.marker;
    vec![
        Finding::new(
            CHECK.code,
            Severity::Warning,
            &observed.session,
            format!("`{marker}` is seen by {seen}, but not by {unseen}: the others keep waiting, or show a broken answer"),
            help,
        )
        .with(Source::Stream, format!("in the bytes of turn {number}")),
    ]
}
