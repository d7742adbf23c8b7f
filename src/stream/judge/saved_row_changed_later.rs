//! The answer's row changes after it was complete and the client had its final marker.

use super::{Check, Observed, StoredMessage};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "saved-row-changed-later",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().find_map(|turn| {
        let (first, last) = turn.first_and_last.as_ref()?;
        (first != last).then_some((turn, first, last))
    });
    let Some((turn, first, last)) = bad else {
        return Vec::new();
    };
    let is_lost = is_lost(first, turn.with_nonce.iter().chain([last]));
    let (severity, harm) = if is_lost {
        (
            Severity::Error,
            "is gone again some time after the final marker",
        )
    } else {
        (
            Severity::Warning,
            "is rewritten after the final marker: a reload may show either text",
        )
    };
    let shown = |row: &StoredMessage| match &row.status {
        Some(status) => format!("`{}` (status {status})", row.content),
        None => format!("`{}`", row.content),
    };
    vec![
        Finding::new(
            CHECK.code,
            severity,
            observed.subject(),
            format!("the answer of turn {} {harm}", turn.number),
            "finish the row before the final marker, or store later additions in another column or table",
        )
        .with(Source::Store, format!("row {} was {}", first.key, shown(first)))
        .with(Source::Store, format!("after the settling time it is {}", shown(last))),
    ]
}

/// Whether none of these rows holds the text that an answer was stored with. Words may be added around it.
pub fn is_lost<'a>(
    first: &StoredMessage,
    rows: impl IntoIterator<Item = &'a StoredMessage>,
) -> bool {
    let text = first.content.trim();
    !rows.into_iter().any(|row| row.content.contains(text))
}
