//! The answer is stored in somebody else's conversation.

use super::context_altered::of_others;
use super::{Check, Observed, is_of_a_side};
use crate::model::StoredMessage;
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "wrong-conversation",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().find_map(|turn| {
        // What only quotes a message, such as a memory of the user, may be anywhere.
        let quotes = |row: &StoredMessage, rows: &[StoredMessage]| {
            let is_here = |it: &StoredMessage| is_of_a_side(it) && !turn.elsewhere(it);
            !is_of_a_side(row) && rows.iter().any(is_here)
        };
        let elsewhere = |rows: &'_ [StoredMessage]| {
            let mut all = rows.iter();
            all.find(|row| turn.elsewhere(row) && !quotes(row, rows))
                .cloned()
        };
        let row = elsewhere(&turn.with_nonce).or_else(|| elsewhere(&turn.with_tag));
        row.map(|row| (turn, row))
    });
    let Some((turn, row)) = bad else {
        return in_request(observed).into_iter().collect();
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

/// The model is given what was said in another conversation, as if the user had said it in this one.
fn in_request(observed: &Observed) -> Option<Finding> {
    let mut turns = observed.turns.iter();
    let (turn, message) = turns.find_map(|turn| Some((turn, of_others(observed, turn)?)))?;
    let finding = Finding::new(
        CHECK.code,
        Severity::Error,
        observed.subject(),
        format!(
            "in turn {} the model receives the user's message of another conversation",
            turn.number
        ),
        "read only the history of the requested conversation",
    );
    let fact = format!(
        "the request has `{}` as a message of the user, but no row of the conversation holds it",
        message.text
    );
    Some(finding.with(Source::Gateway, fact))
}
