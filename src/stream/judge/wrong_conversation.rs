//! The answer is stored in somebody else's conversation.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "wrong-conversation",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().find_map(|turn| {
        let rows = turn.with_nonce.iter().chain(&turn.with_tag);
        rows.into_iter()
            .find(|row| turn.elsewhere(row))
            .map(|row| (turn, row))
    });
    let Some((turn, row)) = bad else {
        return Vec::new();
    };
    let key = |key: &Option<String>| key.clone().unwrap_or_else(|| "-".into());
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!(
                "the {}'s message of turn {} is in another conversation",
                row.role.word(),
                turn.number
            ),
            "bind the conversation when the request arrives, not when the answer is complete",
        )
        .with(
            Source::Store,
            format!(
                "row {} has conversation {}; the turn was sent to {}",
                row.key,
                key(&row.conversation),
                key(&turn.conversation)
            ),
        ),
    ]
}
