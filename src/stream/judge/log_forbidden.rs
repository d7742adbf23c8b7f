//! The server's output has a forbidden line.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "log-forbidden",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    for (pattern, line) in &observed.forbidden {
        let harm = format!("the server's output matches `{pattern}`, which the session forbids");
        match findings.iter_mut().find(|finding| finding.harm == harm) {
            Some(_) => {}
            None => findings.push(
                Finding::new(
                    CHECK.code,
                    Severity::Error,
                    format!("{}: {pattern}", observed.session),
                    harm,
                    "check the code that writes this line: start-up code must not destroy stored data",
                )
                .with(Source::Log, line),
            ),
        }
    }
    findings
}
