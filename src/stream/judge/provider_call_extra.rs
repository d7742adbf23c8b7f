//! The server calls the provider more often than the session says: titles, retries.

use super::{Check, Observed};
use crate::model::Call;
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "provider-call-extra",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let count = |wanted| {
        let calls = observed.turns.iter().flat_map(|turn| &turn.calls);
        calls.filter(|call| call.call == wanted).count()
    };
    let (extra, retries) = (count(Call::Extra), count(Call::Retry));
    if extra + retries == 0 {
        return Vec::new();
    }
    vec![
        Finding::new(
            CHECK.code,
            Severity::Note,
            &observed.session,
            format!("the server sent {extra} other requests and {retries} retries to the provider besides its turns"),
            "nothing, if it creates titles or retries on purpose; each call costs tokens",
        )
        .with(Source::Gateway, "other requests were answered with a short fixed text"),
    ]
}
