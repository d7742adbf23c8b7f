//! The same message twice.

use super::check_context::opaque;
use super::{Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::audit::turns;
use crate::model::{Role, StoredMessage};
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "duplicate-message",
    causes: CAUSES,
    help: "save each message once, under a key that its sender creates (INSERT … ON CONFLICT DO NOTHING), even if a request is repeated",
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

/// Of a shorter answer nobody can say whether it was given once: agents tell each other "done".
const LEAST: usize = 16;

/// Only a message that follows its twin at once: with another word between them people say "yes"
/// twice, and mean it, and a tool that is asked again may have something new to say.
fn look(thread: &Thread, _ground: &CheckContext<'_>, tally: &mut CauseCounts) {
    let mut before: Option<&StoredMessage> = None;
    for message in thread.messages.iter().filter(|it| turns::is_shown(it)) {
        let (cause, within, least) = match message.role {
            Role::Assistant => (&CAUSES[0], MINUTE, LEAST),
            Role::User => (&CAUSES[1], turns::TWICE, 1),
            Role::Other(_) => {
                before = None;
                continue;
            }
        };
        let text = message.content.trim();
        if text.chars().nth(least - 1).is_some()
            && let Some(twin) = before.filter(|twin| is_twin(twin, message, within))
        {
            tally.message(
                cause,
                message,
                &format!("the same as message `{}`", twin.key),
            );
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
        && first.extra == second.extra
}
