//! A message that is still marked as being written, long after.

use super::Cause;
use super::Check;
use super::Ground;
use super::Look;
use super::Tally;
use super::cause;
use crate::model::State;
use crate::report::Severity::Error;
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "stuck-streaming",
    causes: CAUSES,
    help: "finish the row however the stream ends (`finally`, a shielded save), and settle at start-up \
           what a crash left open",
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
        "a message is marked as being written, and nothing tells since when: it may be under way",
    ),
];

fn unfit(ground: &Ground<'_>) -> Option<&'static str> {
    let store = ground.mapping.store();
    let done = store.item.as_ref().is_some_and(|item| item.done.is_some());
    let told = store.message.open.is_some() || done;
    (!told).then_some("the mapping names no `open`: nothing tells what is being written")
}

fn look(thread: &Thread, ground: &Ground<'_>, tally: &mut Tally) {
    // Where the message itself has no time, it can't be older than the one before it.
    let mut last = None;
    for message in &thread.messages {
        last = message.time.or(last);
        if message.state == State::Open && ground.is_over(last) {
            let characters = message.content.chars().count();
            let fact = format!("{characters} characters are stored");
            let cause = &CAUSES[usize::from(last.is_none())];
            tally.message(cause, message, &fact);
        }
    }
}
