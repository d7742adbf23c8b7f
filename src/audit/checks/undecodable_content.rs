//! Content that cannot be decoded as the mapping declares.

use super::check_context::opaque;
use super::{Cause, CauseCounts, Check, CheckContext, Look, cause, truncated_answer};
use crate::report::Severity::Error;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "undecodable-content",
    causes: CAUSES,
    help: "write JSON with a JSON library, and give the column a JSON type",
    unfit,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[cause(
    "undecodable",
    Error,
    "the content of a message does not have the format that the mapping declares",
)];

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    let store = context.mapping.store();
    let message = &store.message;
    let sources = [&message.content, &message.prompt, &message.response];
    let parts = store.parts.as_ref().map(|parts| &parts.content);
    let json = sources
        .into_iter()
        .flatten()
        .chain(parts)
        .any(|source| source.is_json())
        || store.item.is_some();
    let plain = (!json).then_some("messages are plain text, which needs no decoding");
    opaque(context).or(plain)
}

fn look(thread: &Thread, _ground: &CheckContext<'_>, tally: &mut CauseCounts) {
    for message in &thread.messages {
        let is_cut =
            truncated_answer::json_ends(message) || truncated_answer::ends_in_half(message);
        if !message.decoded && !is_cut {
            let start: String = message.content.chars().take(40).collect();
            tally.message(&CAUSES[0], message, &format!("it begins with `{start}`"));
        }
    }
}
