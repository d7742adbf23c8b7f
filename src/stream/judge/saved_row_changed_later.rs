//! The answer's row changes after it was complete and the client had its final marker.

use super::{Check, Observed, StoredMessage, TurnSeen};
use crate::model::{Role, State};
use crate::report::{Finding, Severity, Source};
use crate::stream::kept;
use std::time::Duration;

pub(super) const CHECK: Check = Check {
    code: "saved-row-changed-later",
    check,
};

/// What became of a row.
enum Change {
    /// At the final marker it held less of the answer than it does now.
    Grown,
    /// At the final marker it was not yet in the conversation, or not yet the assistant's.
    Placed,
    /// It was in another conversation, together with its question.
    Moved,
    /// No row holds its text any more, where it was.
    Lost,
    /// Its text is there, and something else about it is not what it was.
    Rewritten,
}

fn check(observed: &Observed) -> Vec<Finding> {
    let mut turns = observed.turns.iter();
    let away = turns.find_map(|turn| Some(was_away(observed, turn, turn.away?)));
    away.into_iter().chain(changed(observed)).collect()
}

fn changed(observed: &Observed) -> Option<Finding> {
    let bad = observed.turns.iter().find_map(|turn| {
        let (first, last) = turn.first_and_last.as_ref()?;
        let (first, change) = match &turn.at_final {
            Some(then) if is_part(turn, then, last) => (then, Change::Grown),
            Some(then) if is_placed(turn, then, last) => (then, Change::Placed),
            Some(then) if is_moved(turn, then, last) => (then, Change::Moved),
            _ if first == last => return None,
            _ if is_lost(first, turn.with_nonce.iter().chain([last])) => (first, Change::Lost),
            _ => (first, Change::Rewritten),
        };
        Some((turn, first, last, change))
    });
    let (turn, first, last, change) = bad?;
    let (severity, harm) = match change {
        Change::Grown => (
            Severity::Error,
            "is complete only some time after the final marker: a crash in between leaves only a part",
        ),
        Change::Placed => (
            Severity::Error,
            "reaches its place only some time after the final marker: a crash in between leaves it where no reload finds it",
        ),
        Change::Moved => (
            Severity::Warning,
            "reaches its conversation only some time after the final marker, together with its question: a \
                crash in between leaves the turn in another conversation",
        ),
        Change::Lost => (
            Severity::Error,
            "is gone again some time after the final marker",
        ),
        Change::Rewritten => (
            Severity::Warning,
            "is rewritten after the final marker: a reload may show either text",
        ),
    };
    let shown = |row: &StoredMessage| {
        let conversation = row.conversation.iter();
        let conversation = conversation.map(|key| format!("conversation {key}"));
        let status = row.status.iter().map(|status| format!("status {status}"));
        let about: Vec<_> = conversation.chain(status).collect();
        match about.as_slice() {
            [] => format!("`{}`", row.content),
            about => format!("`{}` ({})", row.content, about.join(", ")),
        }
    };
    Some(
        Finding::new(
            CHECK.code,
            severity,
            observed.subject(),
            format!("the answer of turn {} {harm}", turn.number),
            "finish the row before the final marker, or store later additions in another column or table",
        )
        .with(Source::Store, format!("row {} was {}", first.key, shown(first)))
        .with(Source::Store, format!("after the settling time it is {}", shown(last))),
    )
}

/// A crash while the answer is away would have lost it.
fn was_away(observed: &Observed, turn: &TurnSeen, gap: Duration) -> Finding {
    Finding::new(
        CHECK.code,
        Severity::Error,
        observed.subject(),
        format!(
            "the answer of turn {} is gone for a time after the final marker: a crash meanwhile loses it, and a \
                reload misses it",
            turn.number
        ),
        "rewrite stored messages in one transaction",
    )
    .with(
        Source::Store,
        format!("for {} ms no row held it, although rows did before and after", gap.as_millis()),
    )
}

/// Whether a row holds less of the answer than it does later.
fn is_part(turn: &TurnSeen, first: &StoredMessage, last: &StoredMessage) -> bool {
    let Some(answer) = &turn.answer else {
        return false;
    };
    let [first, last] = [first, last].map(|row| kept::seen(answer, &row.content));
    first < last
}

/// Whether a row came to its question's conversation, or to the assistant's side, only after it was
/// there.
fn is_placed(turn: &TurnSeen, first: &StoredMessage, last: &StoredMessage) -> bool {
    let given = first.role != Role::Assistant && last.role == Role::Assistant;
    let moved = comes_to_its_question(turn, first, last) && !was_together(turn, first);
    first.key == last.key && (moved || given)
}

/// Whether a row and its question came to their conversation together.
fn is_moved(turn: &TurnSeen, first: &StoredMessage, last: &StoredMessage) -> bool {
    first.key == last.key && comes_to_its_question(turn, first, last) && was_together(turn, first)
}

fn comes_to_its_question(turn: &TurnSeen, first: &StoredMessage, last: &StoredMessage) -> bool {
    let is_asked = |row: &&StoredMessage| row.role == Role::User;
    let asked = turn.with_tag.iter().find(is_asked);
    asked.is_some_and(|asked| {
        first.conversation != asked.conversation && last.conversation == asked.conversation
    })
}

fn was_together(turn: &TurnSeen, first: &StoredMessage) -> bool {
    let asked_then = turn.asked_at_final.as_ref();
    asked_then.is_some_and(|asked| asked.conversation == first.conversation)
}

/// Whether none of these rows holds the text that an answer was stored with, in its conversation and as its
/// author's. Words may be added around it.
pub fn is_lost<'a>(
    first: &StoredMessage,
    rows: impl IntoIterator<Item = &'a StoredMessage>,
) -> bool {
    let text = first.content.trim();
    let is_there = |row: &StoredMessage| {
        (text.is_empty() || kept::is_all_in(text, &row.content))
            && row.conversation == first.conversation
            && row.role == first.role
            && (row.state != State::Deleted || first.state == State::Deleted)
    };
    !rows.into_iter().any(is_there)
}

#[cfg(test)]
mod tests {
    use super::check;
    use crate::model::{Role, State, StoredMessage};
    use crate::report::Severity;
    use crate::stream::judge::{Observed, TurnSeen};
    use std::time::Duration;

    const ANSWER: &str = "First this. Then that, n1";

    fn row(content: &str) -> StoredMessage {
        StoredMessage {
            conversation: Some("7".to_owned()),
            ..StoredMessage::new("1", Role::Assistant, content)
        }
    }

    fn severity(at_final: &str, last: StoredMessage) -> Option<Severity> {
        let observed = Observed {
            turns: vec![TurnSeen {
                answer: Some(ANSWER.to_owned()),
                at_final: Some(row(at_final)),
                with_nonce: vec![last.clone()],
                first_and_last: Some((row(ANSWER), last)),
                ..TurnSeen::blank(1)
            }],
            ..Observed::default()
        };
        check(&observed).first().map(|finding| finding.severity)
    }

    #[test]
    fn a_row_that_stays_is_well() {
        assert_eq!(severity(ANSWER, row(ANSWER)), None);
        // Only the answer counts, however it is written.
        assert_eq!(severity(&ANSWER.replace(' ', "  "), row(ANSWER)), None);
    }

    #[test]
    fn a_row_that_was_away_for_a_time_is_an_error() {
        let mut observed = Observed {
            turns: vec![TurnSeen {
                first_and_last: Some((row(ANSWER), row(ANSWER))),
                with_nonce: vec![row(ANSWER)],
                ..TurnSeen::blank(1)
            }],
            ..Observed::default()
        };
        assert!(check(&observed).is_empty());
        observed.turns[0].away = Some(Duration::from_millis(300));
        assert_eq!(check(&observed)[0].severity, Severity::Error);
    }

    #[test]
    fn a_row_that_was_a_part_at_the_marker_is_an_error() {
        assert_eq!(
            severity("Then that, n1", row(ANSWER)),
            Some(Severity::Error)
        );
    }

    #[test]
    fn a_row_that_comes_to_its_place_after_the_marker_is_an_error() {
        let asked = |conversation: &str| StoredMessage {
            role: Role::User,
            conversation: Some(conversation.to_owned()),
            ..row("Say it, u1")
        };
        let severity_with = |asked_then: &str, then: StoredMessage| {
            let question = asked("7");
            let observed = Observed {
                turns: vec![TurnSeen {
                    answer: Some(ANSWER.to_owned()),
                    at_final: Some(then),
                    asked_at_final: Some(asked(asked_then)),
                    with_nonce: vec![row(ANSWER)],
                    with_tag: vec![question],
                    first_and_last: Some((row(ANSWER), row(ANSWER))),
                    ..TurnSeen::blank(1)
                }],
                ..Observed::default()
            };
            check(&observed).first().map(|finding| finding.severity)
        };
        let severity = |then: StoredMessage| severity_with("7", then);
        let mut staged = row(ANSWER);
        staged.conversation = Some("inbox".to_owned());
        let mut draft = row(ANSWER);
        draft.role = Role::Other("draft".to_owned());
        assert_eq!(severity(row(ANSWER)), None);
        // Both were in a draft of the conversation, and moved together.
        let together = severity_with("inbox", staged.clone());
        assert_eq!(together, Some(Severity::Warning));
        for then in [staged, draft] {
            assert_eq!(severity(then), Some(Severity::Error));
        }
    }

    #[test]
    fn a_text_that_is_no_longer_where_it_was_is_lost() {
        let more = row(&format!("{ANSWER} (edited)"));
        assert_eq!(severity(ANSWER, more), Some(Severity::Warning));
        let mut moved = row(ANSWER);
        moved.conversation = Some("archive".to_owned());
        let mut other = row(ANSWER);
        other.role = Role::Other("system".to_owned());
        let mut deleted = row(ANSWER);
        deleted.state = State::Deleted;
        for lost in [row("First this."), moved, other, deleted] {
            assert_eq!(severity(ANSWER, lost), Some(Severity::Error));
        }
    }
}
