//! A message whose author is unknown.

use super::check_context::opaque;
use super::{Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::model::Role;
use crate::report::Severity::Warning;
use crate::store::{self, Thread};

pub(super) const CHECK: Check = Check {
    code: "role-unknown",
    causes: CAUSES,
    help: "declare the role (`role_map` in [store.message]), or fix the code that writes it",
    unfit: opaque,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[
    cause("unknown", Warning, "a message has an unknown role"),
    cause("missing", Warning, "a message has no role"),
];

/// What other roles are called once the mapping has read them.
const KNOWN: [&str; 3] = ["system", "tool", "undecodable"];

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut CauseCounts) {
    let declared = &context.mapping.store().message.role_map;
    for message in &thread.messages {
        let Role::Other(word) = &message.role else {
            continue;
        };
        let known = KNOWN.contains(&word.as_str())
            || store::is_hosted(word)
            || declared.values().any(|role| role == word);
        match word.trim() {
            _ if known => {}
            "" => tally.message(&CAUSES[1], message, ""),
            word => tally.message(&CAUSES[0], message, &format!("role `{word}`")),
        }
    }
}
