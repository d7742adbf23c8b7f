//! The history over HTTP is not the conversation that was held.

use super::{Check, Observed};
use crate::model::{Role, contradicts};
use crate::report::{Finding, Severity, Source};
use crate::stream::session::Remembered;

pub(super) const CHECK: Check = Check {
    code: "history-differs",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let (harm, fact) = match &observed.history {
        None => return Vec::new(),
        Some(Err(why)) => ("a reload shows no history".to_owned(), why.clone()),
        Some(Ok(records)) => match difference(observed, records) {
            None => return Vec::new(),
            Some(difference) => difference,
        },
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            &observed.session,
            harm,
            "return the stored messages one by one, in the order in which they were said",
        )
        .with(Source::Stream, fact),
    ]
}

/// Records are matched one to one and in order. Records of other roles (a system prompt, a
/// tool's output) may be between them.
fn difference(observed: &Observed, records: &[Remembered]) -> Option<(String, String)> {
    let talk = |(record, _): &(&Remembered, usize)| is_talk(&record.role);
    let mut shown = records.iter().zip(1..).filter(talk);
    let said = observed.turns.iter().flat_map(|turn| {
        let both = [(Role::User, &turn.user), (Role::Assistant, &turn.expected)];
        both.map(|(who, text)| (turn.number, who, text))
    });
    for (turn, who, text) in said {
        let fact = match shown.next() {
            Some((record, number))
                if record.content.trim() == text.trim() && contradicts(&record.role, &who) =>
            {
                let harm = format!(
                    "after a reload the {who}'s message of turn {turn} is shown as the other side's"
                );
                let fact = format!(
                    "record {number} of the history has the role `{}`",
                    record.role
                );
                return Some((harm, fact));
            }
            Some((record, _)) if record.content.trim() == text.trim() => continue,
            Some((record, number)) => format!(
                "record {number} of the history is `{}: {}`, expected `{who}: {text}`",
                record.role, record.content
            ),
            None => format!(
                "the history ends after {} records, expected `{who}: {text}`",
                records.len()
            ),
        };
        let harm = format!("after a reload the {who}'s message of turn {turn} is not in its place");
        return Some((harm, fact));
    }
    shown.next().map(|(record, number)| {
        (
            "after a reload the conversation has messages that nobody sent".to_owned(),
            format!(
                "record {number} of the history is `{}: {}`",
                record.role, record.content
            ),
        )
    })
}

fn is_talk(role: &str) -> bool {
    !["system", "tool", "function", "developer"].contains(&role.to_lowercase().as_str())
}
