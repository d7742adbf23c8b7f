//! An answer that says nothing.

use super::Cause;
use super::Check;
use super::Ground;
use super::Look;
use super::Tally;
use super::cause;
use super::ground::opaque;
use crate::audit::turns;
use crate::model::Role;
use crate::model::State;
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "empty-answer",
    causes: CAUSES,
    help: "save the text that was gathered while it was streamed, and mark an answer that failed as failed",
    unfit: opaque,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[cause(
    "empty",
    Warning,
    "an answer is stored without a text and without a call of a tool",
)];

fn look(thread: &Thread, ground: &Ground<'_>, tally: &mut Tally) {
    for message in &thread.messages {
        let whole = message.role == Role::Assistant && message.state == State::Whole;
        if whole && turns::is_empty(message) && ground.is_over(message.time) {
            tally.message(&CAUSES[0], message, "");
        }
    }
}
