//! The user's message is in no row.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "user-message-lost",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let Some(table) = &observed.table else {
        return Vec::new();
    };
    let Some(turn) = observed.turns.iter().find(|turn| turn.with_tag.is_empty()) else {
        return Vec::new();
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!(
                "the user's message of turn {} is gone after a reload",
                turn.number
            ),
            "commit the user's message before the provider is called",
        )
        .with(
            Source::Store,
            format!("no row of `{table}` holds `{}`", turn.tag),
        ),
    ]
}
