//! The answer is in no row, although the client read to the end.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "never-saved",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let Some(table) = &observed.table else {
        return Vec::new();
    };
    let lost = |turn: &&super::TurnSeen| turn.with_nonce.is_empty() && turn.answers().is_empty();
    let Some(turn) = observed.turns.iter().find(lost) else {
        return Vec::new();
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!(
                "the answer of turn {} was shown to the user and is gone after a reload",
                turn.number
            ),
            "save the assistant's message, and commit it before the final marker is sent",
        )
        .with(
            Source::Stream,
            format!(
                "the answer arrived: {} characters",
                turn.turn.text.chars().count()
            ),
        )
        .with(
            Source::Store,
            format!("no row of `{table}` holds it, although the client read to the end"),
        ),
    ]
}
