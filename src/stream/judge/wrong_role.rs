//! A message is stored with another author's role.

use super::{Check, Observed, TurnSeen};
use crate::model::{Role, StoredMessage};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "wrong-role",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().find_map(|turn| {
        let answer = as_other(turn, &turn.with_nonce, &Role::Assistant, &Role::User);
        let question = as_other(turn, &turn.with_tag, &Role::User, &Role::Assistant);
        let row = answer.or(question)?;
        Some((turn, row))
    });
    let Some((turn, row)) = bad else {
        return Vec::new();
    };
    let (whose, stored_as) = match row.role {
        Role::User => ("answer", "the user's"),
        Role::Assistant | Role::Other(_) => ("question", "the assistant's"),
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!(
                "the {whose} of turn {} is stored as {stored_as}",
                turn.number
            ),
            "store each message with the role of its author",
        )
        .with(
            Source::Store,
            format!("row {} has the role `{}`", row.key, row.role.word()),
        ),
    ]
}

/// A row that is the other one's, where none is of whom it has to be. Roles that are neither say nothing.
fn as_other<'t>(
    turn: &TurnSeen,
    rows: &'t [StoredMessage],
    right: &Role,
    wrong: &Role,
) -> Option<&'t StoredMessage> {
    let here = || rows.iter().filter(|row| !turn.elsewhere(row));
    if here().any(|row| row.role == *right) {
        return None;
    }
    here().find(|row| row.role == *wrong)
}
