//! The final marker never comes: the client waits, or reconnects.

use super::{Check, MarkerBasis, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "done-missing",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    match observed.marker_basis {
        MarkerBasis::Declared | MarkerBasis::Seen => {}
        MarkerBasis::Assumed => return Vec::new(),
    }
    let bad = observed
        .turns
        .iter()
        .find(|turn| turn.turn.final_at.is_none());
    let Some(turn) = bad else {
        return Vec::new();
    };
    let marker = &observed.marker;
    let mut finding = Finding::new(
        CHECK.code,
        Severity::Error,
        &observed.session,
        format!("turn {} ends without `{marker}`: a client cannot distinguish a complete answer from a broken one", turn.number),
        format!("send `{marker}` on every path that ends well, or declare the stream's own marker in [final]"),
    )
    .with(
        Source::Stream,
        format!("{} characters of text came, and then the body ended", turn.turn.text.chars().count()),
    );
    if let Some(said) = &turn.turn.failed {
        finding = finding.with(
            Source::Stream,
            format!("the server reported an error: {said}"),
        );
    }
    vec![finding]
}
