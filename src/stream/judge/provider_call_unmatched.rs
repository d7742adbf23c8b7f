//! The server sends the provider a request that no cassette answers.

use super::{Check, Observed};
use crate::model::Call;
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "provider-call-unmatched",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let calls = observed.turns.iter().flat_map(|turn| &turn.calls);
    let calls = calls.chain(&observed.stray_calls);
    let Some((call, why)) = calls
        .filter(|call| call.call == Call::Refused)
        .find_map(|call| Some((call, call.refused.as_ref()?)))
    else {
        return Vec::new();
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Warning,
            &observed.session,
            format!(
                "the server called `{}`, and the gateway refused it",
                call.line
            ),
            "add a turn for it, or let the server send this call to another address",
        )
        .with(Source::Gateway, format!("`{}`: {why}", call.line)),
    ]
}
