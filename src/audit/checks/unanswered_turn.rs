//! A question without an answer.

use super::check_context::opaque;
use super::{Age, Cause, CauseCounts, Check, CheckContext, Look, cause};
use crate::audit;
use crate::audit::AnswerState;
use crate::report::Severity::{Note, Warning};
use crate::store::Thread;

pub(super) const CHECK: Check = Check {
    code: "unanswered-turn",
    causes: CAUSES,
    help: "save the answer before the final marker is sent, whatever the client does; `chatctl verify-stream` shows whether the server does this, and `chatctl audit rate --probe` how often",
    unfit: opaque,
    look: Look::Thread(look),
};

/// In the order of [`AnswerState::MISSING`]. No more than warnings: the store alone can't show that
/// there ever was an answer.
static CAUSES: &[Cause] = &[
    cause(
        AnswerState::AskedAgain.word(),
        Warning,
        "no answer to the question is stored, and the user asked the same question again",
    ),
    cause(
        AnswerState::WentOn.word(),
        Note,
        "the question has no separate answer: the user sent another message at once, and only that one was answered",
    ),
    cause(
        AnswerState::NoRow.word(),
        Warning,
        "no answer to the question is stored: no row holds it",
    ),
    cause(
        AnswerState::Empty.word(),
        Warning,
        "the answer to the question is stored without a text",
    ),
    cause(
        AnswerState::Open.word(),
        Warning,
        "the answer to the question was never finished, or ends with a tool's result",
    ),
    cause(
        AnswerState::Failed.word(),
        Warning,
        "the answer to the question is stored as failed",
    ),
];

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut CauseCounts) {
    for asked in audit::asked(&thread.messages) {
        let at = AnswerState::MISSING
            .iter()
            .position(|answer| *answer == asked.answer);
        let time = asked.question.time;
        let Some(at) = at else {
            tally.judged(time);
            continue;
        };
        if tally.judges(context, time) {
            let fact = if context.age(time) == Age::Unknown && time.is_some() {
                "its time is in the future"
            } else {
                ""
            };
            tally.message(&CAUSES[at], asked.question, fact);
        }
    }
}
