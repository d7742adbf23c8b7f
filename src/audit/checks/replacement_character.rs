//! Text that was broken before it was stored.

use super::Cause;
use super::Check;
use super::Ground;
use super::Look;
use super::Tally;
use super::cause;
use super::ground::opaque;
use crate::report::Severity::Warning;
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "replacement-character",
    causes: CAUSES,
    help: "decode the provider's bytes with a decoder that keeps the rest of a character for the next chunk, \
           and let every connection speak utf8mb4",
    unfit: opaque,
    look: Look::Thread(look),
};

static CAUSES: &[Cause] = &[
    cause(
        "replaced",
        Warning,
        "a character of the text is lost: U+FFFD stands in its place",
    ),
    cause(
        "question-marks",
        Warning,
        "characters of the text are lost: `????` stands in their place, as in a column without utf8mb4",
    ),
];

fn look(thread: &Thread, _ground: &Ground<'_>, tally: &mut Tally) {
    for message in &thread.messages {
        let at = message.content.find('\u{fffd}');
        if let Some(at) = at {
            let fact = format!("at byte {at} of {}", message.content.len());
            tally.message(&CAUSES[0], message, &fact);
        } else if message.content.contains("????") {
            // MySQL writes one for each byte of a character that the column can't hold.
            tally.message(&CAUSES[1], message, "");
        }
    }
}
