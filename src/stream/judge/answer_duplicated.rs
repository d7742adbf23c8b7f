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
        return left_over(observed);
    };
    let answers = turn.answers();
    let keys: Vec<_> = answers.iter().map(|row| row.key.as_str()).collect();
    // A store that only appends keeps former versions of a row, under another status.
    let is_versioned = answers.iter().any(|row| row.status != answers[0].status)
        && observed.shows_once(|text| text.contains(&turn.nonce));
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

/// Parts of an answer that are messages of their own, next to the whole.
fn left_over(observed: &Observed) -> Vec<Finding> {
    let mut turns = observed.turns.iter().map(|turn| (turn, turn.parts()));
    let Some((turn, parts)) = turns.find(|(_, parts)| !parts.is_empty()) else {
        return Vec::new();
    };
    let is_hidden = |part: &&super::StoredMessage| {
        let text = part.content.trim();
        observed.shows_once(|shown| shown.contains(&turn.nonce))
            && !observed.shows_once(|shown| shown.trim() == text)
    };
    let severity = if parts.iter().all(is_hidden) {
        Severity::Warning
    } else {
        Severity::Error
    };
    let shown = |part: &super::StoredMessage| format!("{}: `{}`", part.key, part.content);
    let keys: Vec<_> = parts.iter().map(|part| shown(part)).collect();
    vec![
        Finding::new(
            CHECK.code,
            severity,
            observed.subject(),
            format!(
                "parts of the answer of turn {} are stored as messages of their own, next to the whole answer",
                turn.number
            ),
            "update one row while the answer is streamed, or delete the drafts together with the final save",
        )
        .with(Source::Store, format!("rows {}", keys.join(", "))),
    ]
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::{Role, StoredMessage, ToolCall};
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

    fn left_over(parts: &[(&str, &str)], tools: usize) -> Option<Severity> {
        let answer = "First this. Then that, n1";
        let row = |(text, status): &(&str, &str)| StoredMessage {
            status: Some((*status).to_owned()),
            ..StoredMessage::new(*text, Role::Assistant, *text)
        };
        let whole = row(&(answer, "done"));
        let asked = StoredMessage::new("0", Role::User, "Go on [u1]");
        let parts = parts.iter().map(row);
        let stored = std::iter::once(asked).chain(parts).chain([whole.clone()]);
        let observed = Observed {
            turns: vec![TurnSeen {
                tag: "u1".to_owned(),
                nonce: "n1".to_owned(),
                expected: answer.to_owned(),
                answer: Some(answer.to_owned()),
                with_nonce: vec![whole.clone()],
                stored: stored.collect(),
                tool_calls: vec![ToolCall::default(); tools],
                ..TurnSeen::blank(1)
            }],
            ..Observed::default()
        };
        let findings = check(&observed);
        findings.first().map(|finding| finding.severity)
    }

    #[test]
    fn drafts_that_stay_next_to_the_whole_are_found() {
        let drafts = [("First this.", "done"), ("First this. Then", "done")];
        assert_eq!(left_over(&drafts, 0), Some(Severity::Error));
        assert_eq!(left_over(&[], 0), None);
        // Words of its own, a draft that is marked as one, and the text before a tool call.
        assert_eq!(left_over(&[("Let me look that up.", "done")], 0), None);
        assert_eq!(left_over(&[("First this.", "draft")], 0), None);
        assert_eq!(left_over(&drafts[..1], 1), None);
    }

    #[test]
    fn former_versions_that_no_reload_shows_are_a_warning() {
        let versions = ["superseded", "done"];
        assert_eq!(severity(versions, 1), Some(Severity::Warning));
        assert_eq!(severity(versions, 2), Some(Severity::Error));
        assert_eq!(severity(["done", "done"], 1), Some(Severity::Error));
    }
}
