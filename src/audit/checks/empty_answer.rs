//! An answer without text.

use super::check_context::opaque;
use super::{Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::audit::turns;
use crate::model::{Role, State, StoredMessage};
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "empty-answer",
    causes: CAUSES,
    help: "save the text that was collected during the stream, and mark a failed answer as failed",
    unfit: opaque,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[cause(
    "empty",
    Warning,
    "an answer is stored without a text and without a tool call",
)];

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut CauseCounts) {
    for (at, message) in thread.messages.iter().enumerate() {
        let whole = message.role == Role::Assistant && message.state == State::Whole;
        let empty = whole && turns::is_empty(message) && !calls(thread.messages.get(at + 1));
        if empty && tally.expires(context, message.time) {
            tally.message(&CAUSES[0], message, "");
        }
    }
}

/// Whether it was a tool's result that came next: the call itself is elsewhere in some stores.
/// A user's message that says nothing hands such a result back.
fn calls(next: Option<&StoredMessage>) -> bool {
    next.is_some_and(|next| match &next.role {
        Role::Other(role) => role == "tool",
        Role::User => turns::is_empty(next),
        Role::Assistant => false,
    })
}
