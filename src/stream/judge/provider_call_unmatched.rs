//! The server asks the provider something that no cassette answers.

use super::Check;
use super::Observed;
use crate::model::Call;
use crate::report::Finding;
use crate::report::Severity;
use crate::report::Source;

pub(super) const CHECK: Check = Check {
    code: "provider-call-unmatched",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let calls = observed.turns.iter().flat_map(|turn| &turn.calls);
    let calls = calls.chain(&observed.stray_calls);
    let Some(call) = calls.into_iter().find(|call| call.call == Call::Unmatched) else {
        return Vec::new();
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Warning,
            &observed.session,
            format!(
                "the server called `{}`, which no cassette answers; it got a 4xx",
                call.line
            ),
            "add a turn for it, or let the server call another address for this",
        )
        .with(
            Source::Gateway,
            format!("`{}` with {} messages", call.line, call.messages.len()),
        ),
    ]
}
