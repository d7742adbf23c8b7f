//! A later turn's request to the provider lacks earlier messages.

use super::{Check, Observed};
use crate::model::Call;
use crate::report::{Finding, Severity, Source};
use crate::text::plural;

pub(super) const CHECK: Check = Check {
    code: "context-lost",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().enumerate().find_map(|(index, turn)| {
        let main = turn.calls.iter().find(|call| call.call == Call::Main)?;
        let was_sent = |mark: &str| match &turn.context {
            Some(sent) => sent.contains(mark),
            None => true,
        };
        let said = |mark: &String| main.marks.contains(mark) || !was_sent(mark);
        observed.turns[..index].iter().find_map(|before| {
            let missing = match (said(&before.tag), said(&before.nonce)) {
                (true, true) => return None,
                (false, false) => "the user's message and the answer",
                (false, true) => "the user's message",
                (true, false) => "the answer",
            };
            Some((turn, before, missing, main))
        })
    });
    let Some((turn, before, missing, main)) = bad else {
        return Vec::new();
    };
    let help = match turn.context {
        Some(_) => "forward every message that the client sends, in order",
        None => {
            "build the provider's messages from the stored conversation, in order, before each turn; where the \
             client sends the history, let the session send it: {messages}"
        }
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            &observed.session,
            format!("in turn {} the model no longer knows turn {}: {missing} of it is not in the request", turn.number, before.number),
            help,
        )
        .with(
            Source::Gateway,
            format!(
                "the request of turn {} has {}",
                turn.number,
                plural(main.messages as u64, "message")
            ),
        ),
    ]
}
