//! One question, several rows.

use super::{Check, Observed, StoredMessage, TurnSeen};
use crate::model::Role;
use crate::report::{Finding, Severity, Source};

pub(super) const CHECK: Check = Check {
    code: "question-duplicated",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let turns = observed.turns.iter();
    let Some((turn, rows)) = turns
        .map(|turn| (turn, copies(turn)))
        .find(|(_, rows)| rows.len() > 1)
    else {
        return Vec::new();
    };
    let keys: Vec<_> = rows.iter().map(|row| row.key.as_str()).collect();
    // A store that only appends keeps former versions of a row, under another status.
    let is_versioned = rows.iter().any(|row| row.status != rows[0].status)
        || observed.shows_once(|text| text.contains(&turn.tag));
    let (severity, help) = if is_versioned {
        (
            Severity::Warning,
            "if the other rows are not shown, exclude them by `where` in the mapping (docs/mapping.md)",
        )
    } else {
        (
            Severity::Error,
            "save the user's message in one place only, or make the save idempotent by a key of the turn",
        )
    };
    vec![
        Finding::new(
            CHECK.code,
            severity,
            observed.subject(),
            format!(
                "the user's message of turn {} is stored {} times in the conversation",
                turn.number,
                keys.len()
            ),
            help,
        )
        .with(Source::Store, format!("rows {}", keys.join(", "))),
    ]
}

/// The rows of the conversation that are the user's and say the same.
fn copies(turn: &TurnSeen) -> Vec<&StoredMessage> {
    let rows = turn.with_tag.iter();
    let mut rows = rows.filter(|row| row.role == Role::User && !turn.elsewhere(row));
    let Some(first) = rows.next() else {
        return Vec::new();
    };
    let text = first.content.trim();
    let others = rows.filter(|row| {
        row.content.trim() == text && row.conversation == first.conversation && row.key != first.key
    });
    std::iter::once(first).chain(others).collect()
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::{Role, StoredMessage};
    use crate::report::Severity;
    use crate::stream::judge::{Observed, TurnSeen};
    use crate::stream::session::Remembered;

    fn severity(rows: &[(&str, Role, &str)], shown: Option<usize>) -> Option<Severity> {
        let rows = rows.iter().map(|(key, role, conversation)| StoredMessage {
            conversation: Some((*conversation).to_owned()),
            ..StoredMessage::new(*key, role.clone(), "Hello [u1]")
        });
        let record = Remembered {
            role: "user".to_owned(),
            content: "Hello [u1]".to_owned(),
        };
        let observed = Observed {
            turns: vec![TurnSeen {
                user: "Hello [u1]".to_owned(),
                tag: "u1".to_owned(),
                conversation: Some("7".to_owned()),
                with_tag: rows.collect(),
                ..TurnSeen::blank(1)
            }],
            history: shown.map(|times| Ok(vec![record; times])),
            ..Observed::default()
        };
        check(&observed).first().map(|finding| finding.severity)
    }

    #[test]
    fn the_same_question_twice_in_a_conversation_is_an_error() {
        let one = ("1", Role::User, "7");
        let twice = [one.clone(), ("2", Role::User, "7")];
        assert_eq!(severity(&twice, None), Some(Severity::Error));
        assert_eq!(severity(&twice, Some(2)), Some(Severity::Error));
        assert_eq!(severity(&twice, Some(1)), Some(Severity::Warning));
        assert_eq!(severity(&twice[..1], None), None);
        // A prompt that quotes it, and a copy in another conversation, are not the user's message here.
        let quoted = [one.clone(), ("2", Role::Other("system".to_owned()), "7")];
        assert_eq!(severity(&quoted, None), None);
        assert_eq!(severity(&[one, ("2", Role::User, "8")], None), None);
    }
}
