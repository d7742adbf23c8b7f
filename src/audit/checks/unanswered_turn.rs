//! A question without an answer.

use super::check_context::opaque;
use super::{Age, Cause, Check, CheckContext, Look, Tally, cause};
use crate::audit;
use crate::audit::Answer;
use crate::report::Severity::{Note, Warning};
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "unanswered-turn",
    causes: CAUSES,
    help: "save the answer before the final marker goes out, whatever the client does; \
           `chatctl verify-stream` shows whether the server does, `chatctl audit rate --probe` how often",
    unfit: opaque,
    look: Look::Thread(look),
};

/// In the order of [`Answer::MISSING`]. No more than warnings: the store alone can't show that
/// there ever was an answer.
static CAUSES: &[Cause] = &[
    cause(
        Answer::AskedAgain.word(),
        Warning,
        "no answer to the question is stored, and the user asked the same again",
    ),
    cause(
        Answer::WentOn.word(),
        Note,
        "no answer to the question alone is stored: the user went on at once, and that was answered",
    ),
    cause(
        Answer::NoRow.word(),
        Warning,
        "no answer to the question is stored: no row follows it",
    ),
    cause(
        Answer::Empty.word(),
        Warning,
        "the answer to the question is stored without a text",
    ),
    cause(
        Answer::Open.word(),
        Warning,
        "the answer to the question was never finished",
    ),
    cause(
        Answer::Failed.word(),
        Warning,
        "the answer to the question is stored as failed",
    ),
];

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut Tally) {
    for asked in audit::asked(&thread.messages) {
        let at = Answer::MISSING
            .iter()
            .position(|answer| *answer == asked.answer);
        let time = asked.question.time;
        let Some(at) = at else {
            tally.judged(time);
            continue;
        };
        if tally.judges(context, time) {
            let fact = if context.age(time) == Age::Unknown && time.is_some() {
                "its time is later than now"
            } else {
                ""
            };
            tally.message(&CAUSES[at], asked.question, fact);
        }
    }
}
