//! A message that is still marked as being written, long after.

use super::{Age, Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::model::State;
use crate::report::Severity::{Error, Warning};
use crate::store::{Source, Thread};

pub(super) const CHECK: Check = Check {
    code: "stuck-streaming",
    causes: CAUSES,
    help: "finish the row no matter how the stream ends (`finally`, a shielded save), and mark rows that a crash left open at start-up",
    unfit,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[
    cause(
        "open",
        Error,
        "a message is still marked as being written: its end was never stored",
    ),
    cause(
        "undated",
        Warning,
        "a message is marked as being written, and its age is unknown: it may still be in progress",
    ),
];

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    let store = context.mapping.store();
    let done = store.item.as_ref().is_some_and(|item| item.done.is_some());
    // Parts of the AI SDK have a state.
    let in_json = store.message.content.as_ref().is_some_and(Source::is_json);
    let in_parts = store
        .parts
        .as_ref()
        .is_some_and(|parts| parts.content.is_json());
    let told = store.message.open.is_some() || done || in_json || in_parts || store.item.is_some();
    (!told).then_some(
        "the mapping names no `open`, so it is not known which messages are still being written",
    )
}

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut CauseCounts) {
    // Where the message itself has no time, it can't be older than the one before it.
    let mut last = None;
    for message in &thread.messages {
        last = message.time.or(last);
        tally.marks(message);
        if message.state == State::Open && tally.expires(context, last) {
            let characters = message.content.chars().count();
            let is_unknown = context.age(last) == Age::Unknown;
            let later = if is_unknown && last.is_some() {
                ", and its time is later than now"
            } else {
                ""
            };
            let fact = format!("{characters} characters are stored{later}");
            let cause = &CAUSES[usize::from(is_unknown)];
            tally.message(cause, message, &fact);
        }
    }
}
