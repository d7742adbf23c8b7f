//! One answer, several rows.

use super::{Check, Observed};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "answer-duplicated",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = observed.turns.iter().find(|turn| turn.answers().len() > 1);
    let Some(turn) = bad else {
        return Vec::new();
    };
    let answers = turn.answers();
    let keys: Vec<_> = answers.iter().map(|row| row.key.as_str()).collect();
    // A store that only appends keeps former versions of a row, under another status.
    let is_versioned = answers.iter().any(|row| row.status != answers[0].status)
        && is_shown_once(observed, &turn.nonce);
    let (severity, help) = if is_versioned {
        (
            Severity::Warning,
            "if the other rows are former versions, say so in the mapping: `where = \"{status} <> 'superseded'\"`",
        )
    } else {
        (
            Severity::Error,
            "save in one place only, or make the save idempotent by a key of the turn",
        )
    };
    vec![
        Finding::new(
            CHECK.code,
            severity,
            observed.subject(),
            format!(
                "the answer of turn {} is stored {} times in the conversation",
                turn.number,
                keys.len()
            ),
            help,
        )
        .with(Source::Store, format!("rows {}", keys.join(", "))),
    ]
}

fn is_shown_once(observed: &Observed, nonce: &str) -> bool {
    let Some(Ok(records)) = &observed.history else {
        return false;
    };
    let with_nonce = records
        .iter()
        .filter(|record| record.content.contains(nonce));
    with_nonce.count() == 1
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::{Role, StoredMessage};
    use crate::report::Severity;
    use crate::stream::judge::{Observed, TurnSeen};
    use crate::stream::session::Remembered;

    fn severity(statuses: [&str; 2], shown: usize) -> Option<Severity> {
        let row = |status: &str| StoredMessage {
            status: Some(status.to_owned()),
            ..StoredMessage::new(status, Role::Assistant, "an answer n1")
        };
        let record = Remembered {
            role: "assistant".to_owned(),
            content: "an answer n1".to_owned(),
        };
        let observed = Observed {
            turns: vec![TurnSeen {
                nonce: "n1".to_owned(),
                with_nonce: statuses.map(row).to_vec(),
                ..TurnSeen::blank(1)
            }],
            history: Some(Ok(vec![record; shown])),
            ..Observed::default()
        };
        let findings = check(&observed);
        findings.first().map(|finding| finding.severity)
    }

    #[test]
    fn former_versions_that_no_reload_shows_are_a_warning() {
        let versions = ["superseded", "done"];
        assert_eq!(severity(versions, 1), Some(Severity::Warning));
        assert_eq!(severity(versions, 2), Some(Severity::Error));
        assert_eq!(severity(["done", "done"], 1), Some(Severity::Error));
    }
}
