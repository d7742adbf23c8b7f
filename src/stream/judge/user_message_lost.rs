//! The user's message is in no row.

use super::{Check, Doubt, Observed, StoredMessage, TurnSeen};
use crate::model::Role;
use crate::report::{Finding, Severity, Source};
use crate::stream::session::Remembered;
use crate::stream::{forms, kept};

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
        let mut found = changed(observed, table);
        found.extend(nowhere(observed, table));
        return found;
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

/// A question in no conversation, where its answer is in one: no reload finds it.
fn nowhere(observed: &Observed, table: &str) -> Option<Finding> {
    let is_placed = |row: &StoredMessage| row.conversation.is_some();
    let mut turns = observed.turns.iter();
    let (turn, row) = turns.find_map(|turn| {
        let mut answers = turn.with_nonce.iter();
        let is_answer = |row: &StoredMessage| row.role == Role::Assistant && is_placed(row);
        let is_lost = answers.any(is_answer) && !turn.with_tag.iter().any(is_placed);
        let row = turn.with_tag.iter().find(|row| row.role == Role::User)?;
        (is_lost && !is_root(turn, row) && !is_shown(observed, turn)).then_some((turn, row))
    })?;
    let finding = Finding::new(
        CHECK.code,
        Severity::Error,
        observed.subject(),
        format!(
            "the user's message of turn {} is stored in no conversation: no reload shows it",
            turn.number
        ),
        "make the conversation first, and store the message with its key",
    );
    let fact = format!(
        "row {} of `{table}` has no conversation, but the answer's row has one",
        row.key
    );
    Some(finding.with(Source::Store, fact))
}

/// Whether a question is itself what its answer's row names as the conversation, as the first message of a thread is.
fn is_root(turn: &TurnSeen, question: &StoredMessage) -> bool {
    let mut answers = turn.with_nonce.iter();
    answers.any(|answer| answer.conversation.as_ref() == Some(&question.key))
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
    // A page that shows it unescaped loses nothing. Where words ran together, nobody tells where they ended.
    let has_words = |text: &str| has_words_of(&turn.user, text);
    let is_form = forms::of(&turn.user, &row.content).is_some();
    let severity = if is_form
        || has_words(&row.content)
        || has_words(&forms::without_entities(&row.content))
    {
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
    let is_whole = |text: &str| is_as_sent(&turn.user, text);
    let is_stored = turn
        .with_tag
        .iter()
        .any(|row| !row.decoded || is_whole(&row.content));
    let asked = turn.stored.iter().filter(|row| row.role == Role::User);
    let asked: Vec<_> = asked.map(|row| row.content.as_str()).collect();
    let is_in_pieces = asked.len() > 1 && kept::is_all_in(&turn.user, &asked.concat());
    if is_stored || is_in_pieces {
        return None;
    }
    turn.with_tag.first()
}

/// Whether a text has all that the user sent, letter by letter. White space around it is nobody's loss, and the
/// ends of lines have two spellings.
fn is_as_sent(user: &str, text: &str) -> bool {
    let lines = |text: &str| text.replace("\r\n", "\n");
    lines(text).contains(lines(user).trim())
}

/// Whether a text has the words that the user sent, one after the other, whatever is between them.
fn has_words_of(user: &str, text: &str) -> bool {
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    words(text).contains(&words(user))
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
        let is_spelled = forms::of(&turn.user, &row.content).is_some()
            || kept::is_all_in(&turn.user, &forms::without_entities(&row.content));
        (!is_spelled).then_some((turn, row))
    })?;
    Some(Doubt {
        text: Some(turn.user.clone()),
        why: format!(
            "the question of turn {} is stored as `{}`, and a reload shows all of it: that may come from the \
                server's memory, because no column of the store was found that holds it",
            turn.number, row.content
        ),
    })
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
            "the user's message of turn {} is stored as a different text: a reload shows words that the user did not write",
            turn.number
        ),
        "store the message as the user sent it, and change only a copy for search or for the model",
    )
    .with(
        Source::Store,
        format!("row {} of `{table}` holds `{}`, but `{}` was sent", row.key, row.content, turn.user),
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
        assert_eq!(severity(&[&format!("{ASKED}\r\n")]), None);
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

    #[test]
    fn words_that_run_together_are_lost_and_another_blank_is_a_warning() {
        let together = ASKED.replace(' ', "");
        assert_eq!(severity(&[&together]), Some(Severity::Error));
        let spread = ASKED.replace(' ', "\n ");
        assert_eq!(severity(&[&spread]), Some(Severity::Warning));
    }

    #[test]
    fn a_question_in_no_conversation_is_lost_where_its_answer_is_in_one() {
        let of = |question: Option<&str>, answer: Option<&str>, is_shown: bool| {
            let mut observed = observed(&[ASKED]);
            let place = |key: Option<&str>| key.map(str::to_owned);
            observed.turns[0].with_tag[0].conversation = place(question);
            observed.turns[0].with_nonce = vec![StoredMessage {
                conversation: place(answer),
                ..StoredMessage::new("2", Role::Assistant, "Yes.")
            }];
            if is_shown {
                observed.history = Some(Ok(vec![Remembered {
                    role: "user".to_owned(),
                    content: ASKED.to_owned(),
                }]));
            }
            check(&observed).len()
        };
        assert_eq!(of(None, Some("c"), false), 1);
        assert_eq!(of(Some("c"), Some("c"), false), 0);
        // A store that names no conversations, and one whose page finds it all the same.
        assert_eq!(of(None, None, false), 0);
        assert_eq!(of(None, Some("c"), true), 0);
        // The question begins a thread, whose key is the question's own.
        assert_eq!(of(None, Some(ASKED), false), 0);
    }
}
