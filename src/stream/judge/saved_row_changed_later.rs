//! The answer's row changes after it was complete and the client had its final marker.

use super::{Check, Observed};
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
    let shown = |row: &super::StoredMessage| match &row.status {
        Some(status) => format!("`{}` (status {status})", row.content),
        None => format!("`{}`", row.content),
    };
    vec![
        Finding::new(
            CHECK.code,
            Severity::Warning,
            observed.subject(),
            format!("the answer of turn {} is rewritten after the final marker: a reload may show either text", turn.number),
            "finish the row before the final marker, or store later additions in another column or table",
        )
        .with(Source::Store, format!("row {} was {}", first.key, shown(first)))
        .with(Source::Store, format!("after the settling time it is {}", shown(last))),
    ]
}
