//! A page of another origin is refused by the browser.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "cors-blocked",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let Some(cors) = observed
        .cors
        .as_ref()
        .filter(|cors| !cors.refused.is_empty())
    else {
        return Vec::new();
    };
    let mut finding = Finding::new(
        CHECK.code,
        Severity::Error,
        &observed.session,
        format!("a browser blocks the chat for pages of `{}`", cors.origin),
        "allow exactly this origin, with its methods and headers, on the chat's paths and on errors too",
    );
    for refused in &cors.refused {
        finding = finding.with(Source::Stream, refused);
    }
    vec![finding]
}
