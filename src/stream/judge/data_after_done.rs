//! Data comes after the final marker: clients that hang up there never see it.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};
use crate::stream::turn::Fault;

pub(super) const CHECK: Check = Check {
    code: "data-after-done",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let fact = observed.turns.iter().find_map(|turn| {
        turn.turn.faults.iter().find_map(|fault| match fault {
            Fault::AfterFinal(data) => Some(format!("after the final marker came: {data}")),
            Fault::FinalAgain => Some("the final marker came a second time".to_owned()),
            Fault::Broken(_) | Fault::Gap(_) => None,
        })
    });
    let Some(fact) = fact else {
        return Vec::new();
    };
    let marker = &observed.marker;
    vec![
        Finding::new(
            CHECK.code,
            Severity::Warning,
            &observed.session,
            format!(
                "what the server sends after `{marker}` is lost on every client that hangs up there"
            ),
            format!("send everything before `{marker}`, and `{marker}` once"),
        )
        .with(Source::Stream, fact),
    ]
}
