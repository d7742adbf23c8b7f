//! Text that was broken before it was stored.

use super::check_context::opaque;
use super::{Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "replacement-character",
    causes: CAUSES,
    help: "decode the provider's bytes with an incremental decoder, and use utf8mb4 on every connection",
    unfit: opaque,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[
    cause(
        "replaced",
        Warning,
        "a character of the text was replaced by U+FFFD",
    ),
    cause(
        "question-marks",
        Warning,
        "characters of the text were replaced by `????`, as in a column without utf8mb4",
    ),
];

fn look(thread: &Thread, _ground: &CheckContext<'_>, tally: &mut CauseCounts) {
    for message in &thread.messages {
        let at = message.content.find('\u{fffd}');
        if let Some(at) = at {
            let fact = format!("at byte {at} of {}", message.content.len());
            tally.message(&CAUSES[0], message, &fact);
        } else if is_replaced(&message.content) {
            tally.message(&CAUSES[1], message, "");
        }
    }
}

/// MySQL writes one question mark for each byte of a character that the column can't hold, which
/// is most often an emoji: four, or a multiple, that stand alone. People put them behind a word.
fn is_replaced(text: &str) -> bool {
    let mut rest = text;
    let mut before = None;
    while let Some(at) = rest.find('?') {
        before = rest[..at].chars().next_back().or(before);
        let run = rest[at..].len() - rest[at..].trim_start_matches('?').len();
        let after = &rest[at + run..];
        let alone = before.is_none_or(|c| c.is_whitespace() || ".!".contains(c))
            && !after.starts_with(|c: char| c.is_alphanumeric());
        if run.is_multiple_of(4) && alone {
            return true;
        }
        (rest, before) = (after, Some('?'));
    }
    false
}

#[cfg(test)]
mod tests {
    use super::is_replaced;

    #[test]
    fn question_marks_of_a_lost_emoji_stand_alone() {
        for lost in [
            "????",
            "so ????",
            "Great! ???????? See you.",
            "Well done!????",
        ] {
            assert!(is_replaced(lost), "{lost}");
        }
        for meant in [
            "",
            "what????",
            "what ???",
            "?????",
            "file????.txt",
            "a? ?? b",
        ] {
            assert!(!is_replaced(meant), "{meant}");
        }
    }
}
