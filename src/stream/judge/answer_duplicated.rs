//! One answer, several rows.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "answer-duplicated",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().find(|turn| turn.answers().len() > 1);
    let Some(turn) = bad else {
        return Vec::new();
    };
    let keys: Vec<_> = turn.answers().iter().map(|row| row.key.as_str()).collect();
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!(
                "the answer of turn {} is {} times in the conversation",
                turn.number,
                keys.len()
            ),
            "save in one place only, or make the save idempotent by a key of the turn",
        )
        .with(Source::Store, format!("rows {}", keys.join(", "))),
    ]
}
