//! The same message twice.

use super::Cause;
use super::Check;
use super::Ground;
use super::Look;
use super::Tally;
use super::cause;
use super::ground::opaque;
use crate::audit::turns;
use crate::model::Role;
use crate::model::StoredMessage;
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "duplicate-message",
    causes: CAUSES,
    help: "save each message once, under a key that its maker gives it (INSERT … ON CONFLICT DO NOTHING), \
           also when a request is sent again",
    unfit: opaque,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[
    cause(
        "assistant",
        Warning,
        "the same answer is stored twice within a minute",
    ),
    cause(
        "user",
        Warning,
        "the same question is stored twice within two seconds",
    ),
];

/// In microseconds.
const MINUTE: i64 = 60_000_000;

/// Only a message that follows its twin at once: with the other side's word between them people
/// say "yes" twice, and mean it.
fn look(thread: &Thread, _ground: &Ground<'_>, tally: &mut Tally) {
    let mut before: Option<&StoredMessage> = None;
    for message in thread
        .messages
        .iter()
        .filter(|message| turns::speaks(message))
    {
        let (cause, within) = match message.role {
            Role::Assistant => (&CAUSES[0], MINUTE),
            _ => (&CAUSES[1], turns::TWICE),
        };
        if let Some(twin) = before.filter(|twin| is_twin(twin, message, within)) {
            tally.message(cause, message, &format!("the same as message {}", twin.key));
        }
        before = Some(message);
    }
}

fn is_twin(first: &StoredMessage, second: &StoredMessage, within: i64) -> bool {
    let near = match (first.time, second.time) {
        (Some(first), Some(second)) => second.abs_diff(first) <= within.unsigned_abs(),
        _ => false,
    };
    near && first.role == second.role
        && first.content == second.content
        && first.tools == second.tools
        && !turns::is_empty(first)
}
