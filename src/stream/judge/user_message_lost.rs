//! The user's message is in no row.

use super::{Check, Doubt, Observed, StoredMessage, TurnSeen};
use crate::model::Role;
use crate::report::{Finding, Severity, Source};
use crate::stream::kept;
use crate::stream::session::Remembered;

pub(super) const CHECK: Check = Check {
    code: "user-message-lost",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let Some(table) = &observed.table else {
        return Vec::new();
    };
    let lost = observed.turns.iter().find(|turn| turn.with_tag.is_empty());
    let Some(turn) = lost else {
        return changed(observed, table);
    };
    if let Some(row) = &turn.altered {
        return vec![other_text(observed, table, turn, row, Severity::Error)];
    }
    vec![
        Finding::new(
            CHECK.code,
            Severity::Error,
            observed.subject(),
            format!(
                "the user's message of turn {} is gone after a reload",
                turn.number
            ),
            "commit the user's message before the provider is called",
        )
        .with(
            Source::Store,
            format!("no row of `{table}` holds `{}`", turn.tag),
        ),
    ]
}

/// A question whose mark is stored, and not all of its text.
fn changed(observed: &Observed, table: &str) -> Vec<Finding> {
    let mut turns = observed.turns.iter();
    let found = turns.find_map(|turn| {
        let row = not_whole(turn).filter(|_| !is_shown(observed, turn))?;
        Some((turn, row))
    });
    let Some((turn, row)) = found else {
        return Vec::new();
    };
    // A page that shows it unescaped loses nothing.
    let severity = if kept::is_all_in(&turn.user, &unescaped(&row.content)) {
        Severity::Warning
    } else {
        Severity::Error
    };
    vec![other_text(observed, table, turn, row, severity)]
}

/// The row of a question that nobody has whole.
fn not_whole(turn: &TurnSeen) -> Option<&StoredMessage> {
    if turn.user.is_empty() {
        return None;
    }
    let is_whole = |text: &str| kept::is_all_in(&turn.user, text);
    let asked = turn.stored.iter().filter(|row| row.role == Role::User);
    let in_pieces: String = asked.map(|row| row.content.as_str()).collect();
    let is_stored = turn
        .with_tag
        .iter()
        .any(|row| !row.decoded || is_whole(&row.content));
    if is_stored || is_whole(&in_pieces) {
        return None;
    }
    turn.with_tag.first()
}

/// Whether a reload shows all of a question.
fn is_shown(observed: &Observed, turn: &TurnSeen) -> bool {
    let is_whole = |record: &Remembered| kept::is_all_in(&turn.user, &record.content);
    matches!(&observed.history, Some(Ok(records)) if records.iter().any(is_whole))
}

/// A question that a reload shows whole, though no row of the messages does: its text, which another column may hold,
/// and why it is neither lost nor kept where none does.
pub(super) fn doubt(observed: &Observed) -> Option<Doubt> {
    let mut turns = observed.turns.iter();
    let (turn, row) = turns.find_map(|turn| {
        let row = not_whole(turn).filter(|_| is_shown(observed, turn))?;
        (!kept::is_all_in(&turn.user, &unescaped(&row.content))).then_some((turn, row))
    })?;
    Some(Doubt {
        text: Some(turn.user.clone()),
        why: format!(
            "the question of turn {} is stored as `{}`, and a reload shows all of it: it may be shown from the server's \
             memory, and no column of the store was found that holds it",
            turn.number, row.content
        ),
    })
}

/// The text behind the entities that servers escape for HTML.
fn unescaped(text: &str) -> String {
    let entities = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&#34;", "\""),
        ("&#39;", "'"),
        ("&#039;", "'"),
        ("&#x27;", "'"),
        ("&apos;", "'"),
        ("&#x2F;", "/"),
        ("&#x5C;", "\\"),
        ("&#96;", "`"),
        ("&amp;", "&"),
    ];
    let mut text = text.to_owned();
    for (entity, character) in entities {
        text = text.replace(entity, character);
    }
    text
}

fn other_text(
    observed: &Observed,
    table: &str,
    turn: &TurnSeen,
    row: &StoredMessage,
    severity: Severity,
) -> Finding {
    Finding::new(
        CHECK.code,
        severity,
        observed.subject(),
        format!(
            "the user's message of turn {} is stored as a different text: a reload shows what the user did not write",
            turn.number
        ),
        "store the message as the user sent it; change a copy of it for search or for the model",
    )
    .with(
        Source::Store,
        format!("row {} of `{table}` holds `{}`, and `{}` was sent", row.key, row.content, turn.user),
    )
}

#[cfg(test)]
mod tests {
    use super::{check, doubt};
    use crate::model::{Role, StoredMessage};
    use crate::report::Severity;
    use crate::stream::judge::{Observed, TurnSeen};
    use crate::stream::session::Remembered;

    const ASKED: &str = "Is 1 < 2 & \"so\"? \u{1f600} [u1]";

    fn observed(stored: &[&str]) -> Observed {
        let rows = stored
            .iter()
            .map(|text| StoredMessage::new(*text, Role::User, *text));
        let rows: Vec<_> = rows.collect();
        Observed {
            table: Some("messages".to_owned()),
            turns: vec![TurnSeen {
                user: ASKED.to_owned(),
                tag: "u1".to_owned(),
                with_tag: rows
                    .iter()
                    .filter(|row| row.content.contains("u1"))
                    .cloned()
                    .collect(),
                stored: rows,
                ..TurnSeen::blank(1)
            }],
            ..Observed::default()
        }
    }

    fn severity(stored: &[&str]) -> Option<Severity> {
        let found = check(&observed(stored));
        found.first().map(|finding| finding.severity)
    }

    #[test]
    fn a_question_that_only_a_reload_shows_is_a_doubt() {
        let of = |stored: &str| {
            let mut observed = observed(&[stored]);
            observed.history = Some(Ok(vec![Remembered {
                role: "user".to_owned(),
                content: ASKED.to_owned(),
            }]));
            (check(&observed).len(), doubt(&observed).is_some())
        };
        assert_eq!(of("so? [u1]"), (0, true));
        assert_eq!(of(ASKED), (0, false));
        // Escaped for a page, it is all there.
        let escaped = "Is 1 &lt; 2 &amp; &quot;so&quot;? \u{1f600} [u1]";
        assert_eq!(of(escaped), (0, false));
        // Nothing shows it: that is lost.
        assert!(doubt(&observed(&["so? [u1]"])).is_none());
    }

    #[test]
    fn a_question_is_stored_if_all_of_it_is_there() {
        let prompt = format!("Answer this question: {ASKED}");
        for whole in [
            &[ASKED][..],
            &[&prompt],
            &["Is 1 < 2 & \"so\"?", "\u{1f600} [u1]"],
        ] {
            assert_eq!(severity(whole), None, "{whole:?}");
        }
        // Any other copy is nobody's loss.
        assert_eq!(severity(&[ASKED, "so [u1]"]), None);
    }

    #[test]
    fn a_question_that_is_cut_or_spoiled_is_another_text() {
        for other in ["\"so\"? \u{1f600} [u1]", "Is 1 < 2 & \"so\"? ? [u1]"] {
            assert_eq!(severity(&[other]), Some(Severity::Error), "{other}");
        }
        let escaped = "Is 1 &lt; 2 &amp; &quot;so&quot;? \u{1f600} [u1]";
        assert_eq!(severity(&[escaped]), Some(Severity::Warning));
    }
}
