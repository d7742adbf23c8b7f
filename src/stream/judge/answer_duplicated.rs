//! One answer, several rows.

use super::{Check, Drafts, Observed, TurnSeen};
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "answer-duplicated",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let bad = || {
        observed
            .turns
            .iter()
            .filter(|turn| turn.answers().len() > 1)
    };
    let worst = bad().find(|turn| !has_versions(observed, turn));
    let Some(turn) = worst.or_else(|| bad().next()) else {
        return left_over(observed);
    };
    let answers = turn.answers();
    let keys: Vec<_> = answers.iter().map(|row| row.key.as_str()).collect();
    let (severity, help) = if has_versions(observed, turn) {
        (
            Severity::Warning,
            "if the other rows are earlier versions, exclude them in the mapping: `where = \"{status} <> 'superseded'\"`",
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

/// Whether the rows of an answer are versions of it. A store that only appends keeps former ones,
/// under another status.
fn has_versions(observed: &Observed, turn: &TurnSeen) -> bool {
    let answers = turn.answers();
    answers.iter().any(|row| row.status != answers[0].status)
        && observed.shows_once(|text| text.contains(&turn.nonce))
}

/// Whether a history has shown that further rows of an answer are its former versions.
pub fn keeps_versions(observed: &Observed) -> bool {
    let mut turns = observed.turns.iter();
    turns.any(|turn| turn.answers().len() > 1 && has_versions(observed, turn))
}

/// Whether a history shows the whole answers alone, where parts of them are messages of their own.
pub fn hides_drafts(observed: &Observed) -> bool {
    let mut hidden = with_parts(observed).map(|turn| are_hidden(observed, turn));
    hidden.next() == Some(true) && hidden.all(|it| it)
}

/// The turns with parts of their answer in messages of their own.
fn with_parts(observed: &Observed) -> impl Iterator<Item = &TurnSeen> {
    let turns = observed.turns.iter();
    turns.filter(|turn| !turn.parts().is_empty())
}

/// Whether a reload shows the whole answer of a turn, and no part of it.
fn are_hidden(observed: &Observed, turn: &TurnSeen) -> bool {
    let is_hidden = |part: &&super::StoredMessage| {
        let text = part.content.trim();
        observed.shows_once(|shown| shown.contains(&turn.nonce))
            && !observed.shows_once(|shown| shown.trim() == text)
    };
    turn.parts().iter().all(is_hidden)
}

/// Parts of an answer that are messages of their own, next to the whole.
fn left_over(observed: &Observed) -> Vec<Finding> {
    let worst = with_parts(observed).find(|turn| !are_hidden(observed, turn));
    let Some(turn) = worst.or_else(|| with_parts(observed).next()) else {
        return Vec::new();
    };
    let parts = turn.parts();
    let severity = match &observed.drafts {
        Drafts::Hidden | Drafts::Column(_) => Severity::Warning,
        Drafts::Untold if are_hidden(observed, turn) => Severity::Warning,
        Drafts::Untold => Severity::Error,
    };
    let shown = |part: &super::StoredMessage| format!("{}: `{}`", part.key, part.content);
    let keys: Vec<_> = parts.iter().map(|part| shown(part)).collect();
    let finding =
        Finding::new(
            CHECK.code,
            severity,
            observed.subject(),
            format!(
                "parts of the answer of turn {} are stored as separate messages, next to the whole answer",
                turn.number
            ),
            "update one row while the answer is streamed, or delete the drafts together with the final save",
        )
        .with(Source::Store, format!("rows {}", keys.join(", ")));
    vec![match &observed.drafts {
        Drafts::Column(column) => {
            finding.with(Source::Store, format!("`{column}` distinguishes them"))
        }
        Drafts::Untold | Drafts::Hidden => finding,
    }]
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::{Role, StoredMessage, ToolCall};
    use crate::report::Severity;
    use crate::stream::judge::{Drafts, Observed, TurnSeen};
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
        with_drafts(Drafts::Untold, parts, tools)
    }

    fn with_drafts(drafts: Drafts, parts: &[(&str, &str)], tools: usize) -> Option<Severity> {
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
            drafts,
            ..Observed::default()
        };
        let findings = check(&observed);
        findings.first().map(|finding| finding.severity)
    }

    /// Drafts that are told from the answer say nothing of an answer that is stored twice.
    #[test]
    fn drafts_that_a_column_tells_apart_are_a_warning_and_a_second_answer_is_not() {
        let told = || Drafts::Column("is_deleted".to_owned());
        let draft = ("First this.", "done");
        assert_eq!(with_drafts(told(), &[draft], 0), Some(Severity::Warning));
        let mut turn = TurnSeen {
            nonce: "n1".to_owned(),
            ..TurnSeen::blank(1)
        };
        let row = |key: &str| StoredMessage::new(key, Role::Assistant, "an answer n1");
        turn.with_nonce = vec![row("1"), row("2")];
        let twice = Observed {
            turns: vec![turn],
            drafts: told(),
            ..Observed::default()
        };
        assert_eq!(check(&twice)[0].severity, Severity::Error);
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
