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
    if let Some(row) = &turn.altered {
        return vec![
            Finding::new(
                CHECK.code,
                Severity::Error,
                observed.subject(),
                format!(
                    "the user's message of turn {} is stored as another text: a reload shows what the user did not write",
                    turn.number
                ),
                "store the message as the user sent it; change a copy of it for search or for the model",
            )
            .with(
                Source::Store,
                format!("row {} of `{table}` holds `{}`, and `{}` was sent", row.key, row.content, turn.user),
            ),
        ];
    }
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
