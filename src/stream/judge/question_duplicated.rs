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
    let (severity, help) = if why_both(observed, turn, &rows).is_some() {
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

/// Why several rows of a question need not be a mistake. A store that only appends keeps former versions of a row, under
/// another status.
fn why_both(observed: &Observed, turn: &TurnSeen, rows: &[&StoredMessage]) -> Option<Both> {
    let is_versioned = rows.iter().any(|row| row.status != rows[0].status);
    match &observed.history {
        None | Some(Err(_)) => is_versioned.then_some(Both::Unshown),
        Some(_) if !observed.shows_once(|text| text.contains(&turn.tag)) => None,
        Some(_) if is_versioned => Some(Both::Versions),
        Some(_) => Some(Both::ShownOnce),
    }
}

/// What is known of several rows of one question.
enum Both {
    /// They differ in their status, and a reload shows one of them.
    Versions,
    /// They differ in their status, and nobody knows what a reload shows.
    Unshown,
    /// They are alike, and a reload shows one of them.
    ShownOnce,
}

/// Why a question that is stored more than once is neither right nor wrong.
pub(super) fn doubt(observed: &Observed) -> Option<String> {
    let mut turns = observed.turns.iter().map(|turn| (turn, copies(turn)));
    let (turn, rows) = turns.find(|(_, rows)| rows.len() > 1)?;
    let why = match why_both(observed, turn, &rows)? {
        Both::Versions => return None,
        Both::Unshown => {
            "with several statuses; without [history] chatctl cannot know which one a reload shows"
        }
        Both::ShownOnce => "and a reload shows it once: that may come from the server's memory",
    };
    let number = turn.number;
    Some(format!(
        "the question of turn {number} is stored {} times, {why}; exclude other versions by `where` in the mapping",
        rows.len()
    ))
}

/// The rows of the conversation that are the user's and say the same.
pub(super) fn copies(turn: &TurnSeen) -> Vec<&StoredMessage> {
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
    use super::{check, doubt};
    use crate::model::{Role, StoredMessage};
    use crate::report::Severity;
    use crate::stream::judge::{Observed, TurnSeen};
    use crate::stream::session::Remembered;

    fn observed(rows: &[(&str, Role, &str)], shown: Option<usize>) -> Observed {
        let rows = rows.iter().map(|(key, role, conversation)| StoredMessage {
            conversation: Some((*conversation).to_owned()),
            ..StoredMessage::new(*key, role.clone(), "Hello [u1]")
        });
        let record = Remembered {
            role: "user".to_owned(),
            content: "Hello [u1]".to_owned(),
        };
        Observed {
            turns: vec![TurnSeen {
                user: "Hello [u1]".to_owned(),
                tag: "u1".to_owned(),
                conversation: Some("7".to_owned()),
                with_tag: rows.collect(),
                ..TurnSeen::blank(1)
            }],
            history: shown.map(|times| Ok(vec![record; times])),
            ..Observed::default()
        }
    }

    fn severity(rows: &[(&str, Role, &str)], shown: Option<usize>) -> Option<Severity> {
        let found = check(&observed(rows, shown));
        found.first().map(|finding| finding.severity)
    }

    #[test]
    fn versions_that_nobody_shows_are_a_doubt() {
        let twice = [("1", Role::User, "7"), ("2", Role::User, "7")];
        let of = |status: &str, shown| {
            let mut observed = observed(&twice, shown);
            observed.turns[0].with_tag[1].status = Some(status.to_owned());
            observed.turns[0].with_tag[0].status = Some("received".to_owned());
            let found = check(&observed);
            (found[0].severity, doubt(&observed).is_some())
        };
        assert_eq!(of("processed", None), (Severity::Warning, true));
        assert_eq!(of("processed", Some(1)), (Severity::Warning, false));
        assert_eq!(of("processed", Some(2)), (Severity::Error, false));
        // A process shows what it remembers, whatever the store holds.
        assert_eq!(of("received", Some(1)), (Severity::Warning, true));
        assert_eq!(of("received", None), (Severity::Error, false));
        assert_eq!(doubt(&observed(&twice[..1], None)), None);
        // A history that can't be read shows neither.
        let mut unread = observed(&twice, None);
        unread.turns[0].with_tag[1].status = Some("processed".to_owned());
        unread.history = Some(Err("answered 500".to_owned()));
        assert_eq!(check(&unread)[0].severity, Severity::Warning);
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
