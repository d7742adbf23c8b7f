//! The answer's row exists but is empty.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "answer-empty",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().find_map(|turn| {
        let empty = |row: &&super::StoredMessage| row.content.trim().is_empty();
        turn.answers()
            .into_iter()
            .find(empty)
            .map(|row| (turn, row))
    });
    let Some((turn, row)) = bad else {
        return Vec::new();
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!("the answer of turn {} is stored empty; some providers refuse a history with an empty message", turn.number),
            "store the collected text; if there is none, store no row, or mark it as failed",
        )
        .with(
            Source::Store,
            format!("row {} has content `{}`; {} characters were sent", row.key, row.content, turn.turn.text.chars().count()),
        ),
    ]
}
