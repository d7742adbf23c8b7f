//! The stored answer differs from the one that was sent.

use super::{Check, Observed, TurnSeen, is_longer};
use crate::report::{Finding, Severity, Source};
use crate::stream::session::Remembered;
use crate::stream::{forms, kept};
use similar::{ChangeTag, TextDiff};

pub(super) const CHECK: Check = Check {
    code: "answer-differs",
    check,
};

fn check(observed: &Observed) -> Vec<Finding> {
    let mut whole = observed.turns.iter().filter(|turn| !turn.is_in_pieces());
    let bad = whole.find_map(|turn| {
        // What a form says that chatctl does not know is not known to differ.
        let differs = |row: &&super::StoredMessage| {
            row.decoded && !row.content.trim().is_empty() && row.content != turn.expected
        };
        turn.answers()
            .into_iter()
            .find(differs)
            .map(|row| (turn, row))
    });
    let Some((turn, row)) = bad else {
        return Vec::new();
    };
    let (severity, how) = how(observed, turn, &row.content);
    let help = match severity {
        Severity::Note => {
            "nothing needs to change; whatever else reads this table must read that form, too"
        }
        Severity::Warning | Severity::Error => {
            "store exactly the text that was streamed; if the server changes it on purpose, declare that with expect.answer"
        }
    };
    vec![
        Finding::new(
            CHECK.code,
            severity,
            observed.subject(),
            format!("the stored answer of turn {} {how}", turn.number),
            help,
        )
        .with(
            Source::Store,
            format!(
                "row {}, expected (-) against stored (+):\n{}",
                row.key,
                diff(&turn.expected, &row.content)
            ),
        ),
    ]
}

/// How much a reader misses, and how the text differs.
fn how(observed: &Observed, turn: &TurnSeen, text: &str) -> (Severity, String) {
    let stored_as = |form: forms::Form| format!("is stored {}", form.words());
    // Many servers strip the answer; that loses nothing that a reader would miss.
    if text.trim() == turn.expected.trim() {
        let how = "differs in white space at its beginning or end";
        return (Severity::Warning, how.to_owned());
    }
    // What a server reads back as it was said is only spelled in another way.
    match (forms::of(&turn.expected, text), &observed.history) {
        (Some(form), Some(Ok(records))) if is_shown(turn, records) => {
            let how = format!("{}, and a reload shows it as it was said", stored_as(form));
            return (Severity::Note, how);
        }
        (Some(form), None) => {
            let how =
                "and without [history] it is not known whether a reload shows it as it was said";
            return (Severity::Warning, format!("{}, {how}", stored_as(form)));
        }
        (Some(_), Some(_)) | (None, _) => {}
    }
    if is_longer(&turn.expected, text) && !is_leftover(turn, text) {
        let how = "is followed by words that the provider did not send";
        return (Severity::Warning, how.to_owned());
    }
    (
        Severity::Error,
        "is not the text that the provider sent".to_owned(),
    )
}

fn is_shown(turn: &TurnSeen, records: &[Remembered]) -> bool {
    let mut records = records.iter();
    records.any(|record| record.content.trim() == turn.expected.trim())
}

/// What programs leave behind an answer by mistake.
const LEFTOVERS: [&str; 6] = [
    "[done]",
    "undefined",
    "null",
    "none",
    "nan",
    "[object object]",
];
/// How the text of an error begins.
const ERRORS: [&str; 5] = [
    "error:",
    "exception:",
    "traceback (most recent",
    "data: {",
    "data: [",
];

/// Whether the words behind an answer are nobody's, and the client was not shown them.
fn is_leftover(turn: &TurnSeen, text: &str) -> bool {
    let more = text.trim().strip_prefix(turn.expected.trim());
    let more = more.unwrap_or_default().trim().to_lowercase();
    let is_one = LEFTOVERS.contains(&more.as_str());
    // A client whose text could not be read may have been shown them.
    let is_error = ERRORS.iter().any(|begins| more.starts_with(begins))
        && kept::is_all_in(&turn.expected, &turn.turn.text);
    (is_one || is_error) && !kept::is_all_in(text, &turn.turn.text)
}

/// Line by line; white space and control characters are shown as escapes, since they may be
/// all that differs.
fn diff(expected: &str, stored: &str) -> String {
    let diff = TextDiff::from_lines(expected, stored);
    let mut shown = String::new();
    for change in diff.iter_all_changes() {
        let sign = match change.tag() {
            ChangeTag::Delete => '-',
            ChangeTag::Insert => '+',
            ChangeTag::Equal => ' ',
        };
        let text = change.value().strip_suffix('\n').unwrap_or(change.value());
        let text = text.replace('\r', "\\r").replace('\t', "\\t");
        shown.push_str(&format!("{sign} {text}\n"));
    }
    shown.truncate(shown.trim_end().len());
    shown
}

#[cfg(test)]
mod tests {
    use super::{check, diff};
    use crate::model::{Role, StoredMessage};
    use crate::report::Severity;
    use crate::stream::judge::{Observed, TurnSeen};
    use crate::stream::session::Remembered;

    fn found(stored: &[(Role, &str)]) -> usize {
        let rows = stored.iter().zip(["1", "2", "3", "4"]);
        let stored: Vec<_> = rows
            .map(|((role, text), key)| StoredMessage::new(key, role.clone(), *text))
            .collect();
        let observed = Observed {
            turns: vec![TurnSeen {
                expected: "First this. Then that, n1".to_owned(),
                nonce: "n1".to_owned(),
                with_nonce: vec![stored.last().unwrap().clone()],
                stored,
                ..TurnSeen::blank(1)
            }],
            ..Observed::default()
        };
        check(&observed).len()
    }

    /// The history joins them. Whether each was committed in time is another question.
    #[test]
    fn an_answer_in_several_rows_is_the_answer_if_they_are_all_there() {
        let (asked, said) = (Role::User, Role::Assistant);
        let whole = [
            (asked.clone(), "Go on"),
            (said.clone(), "First this. "),
            (said.clone(), "Then that, n1"),
        ];
        assert_eq!(found(&whole), 0);
        assert_eq!(found(&whole[2..]), 1);
        let swapped = [
            whole[0].clone(),
            whole[2].clone(),
            whole[1].clone(),
            whole[2].clone(),
        ];
        assert_eq!(found(&swapped), 1);
        let apart = [whole[1].clone(), whole[0].clone(), whole[2].clone()];
        assert_eq!(found(&apart), 1);
    }

    #[test]
    fn words_behind_an_answer_are_an_error_if_a_program_left_them() {
        let severity = |more: &str, shown: &str| {
            let said = "First this. Then that, n1";
            let text = format!("{said}{more}");
            let mut turn = TurnSeen {
                expected: said.to_owned(),
                nonce: "n1".to_owned(),
                with_nonce: vec![StoredMessage::new("1", Role::Assistant, text)],
                ..TurnSeen::blank(1)
            };
            turn.turn.text = format!("{said}{shown}");
            let observed = Observed {
                turns: vec![turn],
                ..Observed::default()
            };
            check(&observed)[0].severity
        };
        let [warning, error] = [Severity::Warning, Severity::Error];
        for more in [
            "[DONE]",
            " undefined",
            "null",
            "\n\nError: connection reset",
        ] {
            assert_eq!(severity(more, ""), error, "{more}");
            // What the user was shown as well is the server's own.
            assert_eq!(severity(more, more), warning, "{more}");
        }
        assert_eq!(severity(" [1]", ""), warning);
        for footer in [
            "\n\nNothing else is null.",
            "\n\nErrors can happen. Check facts.",
            "\n\nData: OpenStreetMap contributors",
        ] {
            assert_eq!(severity(footer, ""), warning, "{footer}");
        }
    }

    /// A server that reads back what it spelled in another way has the text; one that shows it so has not.
    #[test]
    fn another_form_of_an_answer_is_right_if_a_reload_shows_the_answer() {
        let said = "It's \"so\", n1";
        let severity = |stored: &str, shown: Option<&str>| {
            let record = |text: &str| Remembered {
                role: "assistant".to_owned(),
                content: text.to_owned(),
            };
            let observed = Observed {
                turns: vec![TurnSeen {
                    expected: said.to_owned(),
                    nonce: "n1".to_owned(),
                    with_nonce: vec![StoredMessage::new("1", Role::Assistant, stored)],
                    ..TurnSeen::blank(1)
                }],
                history: shown.map(|text| Ok(vec![record(text)])),
                ..Observed::default()
            };
            check(&observed)[0].severity
        };
        for stored in ["It&#39;s &quot;so&quot;, n1", "\"It's \\\"so\\\", n1\""] {
            assert_eq!(severity(stored, Some(said)), Severity::Note, "{stored}");
            assert_eq!(severity(stored, None), Severity::Warning, "{stored}");
            assert_eq!(severity(stored, Some(stored)), Severity::Error, "{stored}");
        }
        // Of what lost a part, the reload may come from the memory of the server.
        assert_eq!(severity("It&#39;s, n1", Some(said)), Severity::Error);
    }

    #[test]
    fn the_diff_names_what_is_missing() {
        assert_eq!(
            diff("one\ntwo three", "one\ntwo"),
            "  one\n- two three\n+ two"
        );
    }
}
