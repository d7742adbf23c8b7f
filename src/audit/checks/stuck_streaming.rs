//! A message that is still marked as being written, long afterwards.

use super::{Age, Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::model::{Mark, Role, State, StoredMessage};
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
    cause(
        "status",
        Warning,
        "an answer still has a status that says that it is being written",
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
    let told = store.message.open.is_some()
        || store.message.status.is_some()
        || done
        || in_json
        || in_parts
        || store.item.is_some();
    (!told).then_some(
        "the mapping names neither `open` nor `status`, so chatctl cannot know which messages are still being written",
    )
}

/// Whether only the word in the status column says that an answer is being written.
fn has_open_status(message: &StoredMessage) -> bool {
    message.state == State::Whole
        && message.mark == Mark::Writing
        && message.role == Role::Assistant
}

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut CauseCounts) {
    // Where the message itself has no time, it can't be older than the one before it.
    let mut last = None;
    for message in &thread.messages {
        last = message.time.or(last);
        tally.marks(message);
        let by_status = has_open_status(message);
        let is_open = message.state == State::Open && message.mark != Mark::Waiting;
        if (by_status || is_open) && tally.expires(context, last) {
            let characters = message.content.chars().count();
            let is_unknown = context.age(last) == Age::Unknown;
            let later = if is_unknown && last.is_some() {
                ", and its time is in the future"
            } else {
                ""
            };
            let fact = format!("{characters} characters are stored{later}");
            let cause = match (is_unknown, by_status) {
                (true, _) => &CAUSES[1],
                (false, false) => &CAUSES[0],
                (false, true) => &CAUSES[2],
            };
            tally.message(cause, message, &fact);
        }
    }
}
