//! Judges a turn in which a tool failed. Pure.
//!
//! The server may tell the model of the error and continue, or end the turn. What the user has seen
//! until then stays.

use super::approval::Call;
use super::ended_early::NextTurn;
use super::judged::{self, Judged, LATE, OfCase, finding, wrong};
use crate::report::{Finding, Severity, Source};

/// What was seen.
#[derive(Debug, Clone)]
pub struct ToolFailed {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// Whether the tool was called, or why not.
    pub met: Result<(), String>,
    /// Whether the client had received what the model said before the call; absent where it said nothing, or the
    /// profile does not read it.
    pub saw_before: Option<bool>,
    /// Whether the server asked its provider once more, with the error.
    pub went_on: bool,
    /// What the store holds, or why it could not be read.
    pub stored: Result<Stored, String>,
    /// Whether something changed in the store after the settling time.
    pub came_late: bool,
    /// What became of the next turn.
    pub next: NextTurn,
}

/// What the store holds of the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// Whether the question is there.
    pub question: bool,
    /// Whether what the model said before the call is.
    pub before: bool,
    /// How many messages hold the answer.
    pub answers: usize,
    /// The calls; none where the store keeps no tools.
    pub calls: Vec<Call>,
    /// Whether the calls have their results, as those of other turns have.
    pub results: Results,
    /// The key of an answer's row that has the text of the error.
    pub error: Option<String>,
    /// The key of a row that is still being written.
    pub open: Option<String>,
}

/// Whether calls have results.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Results {
    /// All of them, an error among them.
    There,
    /// Calls of other turns have one, and a call of this turn has none.
    Missing,
    /// Nothing shows whether the store keeps results.
    Unknown,
}

pub fn judge(seen: &ToolFailed) -> Judged {
    shown(seen).unwrap_or_else(|unseen| unseen)
}

fn shown(seen: &ToolFailed) -> Result<Judged, Judged> {
    let stored = judged::met(&seen.met, &seen.stored)?;
    let found = [
        question(seen, stored),
        before(seen, stored),
        answer(seen, stored),
        calls(seen, stored),
        error(seen, stored),
        stuck(seen, stored),
        next(seen),
    ];
    let findings: Vec<_> = found.into_iter().flatten().collect();
    let late = seen.came_late.then_some(LATE).or_else(|| seen.next.doubt());
    Ok(Judged::by(findings, tell(seen, stored), late))
}

fn tell(seen: &ToolFailed, stored: &Stored) -> String {
    let how = if seen.went_on {
        "the server reported the error to the model"
    } else {
        "the turn ended with the error"
    };
    let question = if stored.question { "is" } else { "is not" };
    let results = match stored.results {
        Results::There => "the calls have results",
        Results::Missing => "a call has no result",
        Results::Unknown => "whether calls have results is not known",
    };
    format!(
        "{how}: the question {question} stored, the answer is stored {} times, {results}",
        stored.answers
    )
}

impl OfCase for ToolFailed {
    fn subject(&self) -> &str {
        &self.subject
    }

    fn case(&self) -> &str {
        &self.case
    }

    fn done(&self) -> Option<String> {
        None
    }
}

fn question(seen: &ToolFailed, stored: &Stored) -> Option<Finding> {
    let says = (
        "the question is lost when a tool fails",
        "commit the user's message before the provider is called",
    );
    let fact = (Source::Store, "no row holds the question");
    (!stored.question).then(|| wrong(seen, "user-message-lost", says, fact))
}

/// What the user read before the tool failed.
fn before(seen: &ToolFailed, stored: &Stored) -> Option<Finding> {
    if seen.saw_before != Some(true) || stored.before {
        return None;
    }
    // A server that continues and stores the last text only does so in every turn.
    let severity = if seen.went_on {
        Severity::Warning
    } else {
        Severity::Error
    };
    let says = (
        "what the model said before a tool failed is lost",
        "when a tool raises an error, save the streamed text with a status that says so",
    );
    let fact = (
        Source::Store,
        "no row holds the text that came before the call",
    );
    Some(finding(seen, "answer-differs", severity, says, fact))
}

fn answer(seen: &ToolFailed, stored: &Stored) -> Option<Finding> {
    let (code, says, fact) = match stored.answers {
        0 if seen.went_on => (
            "never-saved",
            (
                "the answer that follows a tool's error is lost",
                "save the answer of such a turn like any other",
            ),
            "no row holds the answer",
        ),
        2.. => (
            "turn-stored-twice",
            (
                "the answer that follows a tool's error is stored twice",
                "save the answer once, even if a step is retried",
            ),
            "more than one row holds the answer",
        ),
        0 | 1 => return None,
    };
    let fact = (Source::Store, fact);
    Some(wrong(seen, code, says, fact))
}

fn calls(seen: &ToolFailed, stored: &Stored) -> Option<Finding> {
    let missing = stored.calls.iter().find(|call| call.times == 0);
    let fact = match (missing, stored.results) {
        (Some(call), _) => format!("no row holds the call of `{}`", call.name),
        (None, Results::Missing) => {
            "the call that failed has no result, although the calls of other turns have one"
                .to_owned()
        }
        (None, Results::There | Results::Unknown) => return None,
    };
    let says = (
        "a tool's error is not stored: a reload shows a call without a result, and providers refuse such a conversation",
        "store the error as the call's result, in the `except` that ends or continues the turn",
    );
    let fact = (Source::Store, fact.as_str());
    Some(wrong(seen, "tool-calls-differ", says, fact))
}

fn error(seen: &ToolFailed, stored: &Stored) -> Option<Finding> {
    let row = stored.error.as_ref()?;
    let says = (
        "the text of a tool's error is stored as an answer",
        "store the error with the call that failed, and leave it out of the answer",
    );
    let fact = format!("row {row} has the text of the error that the response ended with");
    let fact = (Source::Store, fact.as_str());
    Some(wrong(seen, "error-text-as-answer", says, fact))
}

fn stuck(seen: &ToolFailed, stored: &Stored) -> Option<Finding> {
    let row = stored.open.as_ref()?;
    let says = (
        "a row stays in progress forever when a tool fails",
        "finish the row in a `finally`",
    );
    let fact = format!("row {row} is still being written");
    let fact = (Source::Store, fact.as_str());
    Some(finding(
        seen,
        "stuck-streaming",
        Severity::Warning,
        says,
        fact,
    ))
}

fn next(seen: &ToolFailed) -> Option<Finding> {
    let help = "finish a turn's row and release its lock in a `finally`, and give the failed call a result";
    seen.next.finding(seen, "after a tool failed", help)
}

#[cfg(test)]
mod tests {
    use super::{Call, Results, Stored, ToolFailed, judge};
    use crate::report::{Severity, Verdict};
    use crate::stream::judge::ended_early::NextTurn;

    /// A server that continues, and one that ends the turn: both are right.
    fn seen(went_on: bool) -> ToolFailed {
        ToolFailed {
            subject: "hello in table message".to_owned(),
            case: "hello/tool-fails".to_owned(),
            met: Ok(()),
            saw_before: Some(true),
            went_on,
            stored: Ok(Stored {
                question: true,
                before: true,
                answers: usize::from(went_on),
                calls: vec![Call {
                    name: "add_task".to_owned(),
                    times: 1,
                }],
                results: Results::There,
                error: None,
                open: None,
            }),
            came_late: false,
            next: NextTurn::Answered {
                question: true,
                answer: true,
                answer_later: true,
                doubt: None,
            },
        }
    }

    fn told(
        went_on: bool,
        change: impl Fn(&mut Stored),
    ) -> (Verdict, Vec<(&'static str, Severity)>) {
        let mut seen = seen(went_on);
        change(seen.stored.as_mut().unwrap());
        let judged = judge(&seen);
        let found = judged.findings.iter().map(|it| (it.code, it.severity));
        (judged.verdict, found.collect())
    }

    #[test]
    fn a_server_may_go_on_or_end_the_turn() {
        for went_on in [true, false] {
            assert_eq!(told(went_on, |_| ()), (Verdict::Held, Vec::new()));
            let unknown = told(went_on, |it| {
                it.results = Results::Unknown;
                it.calls.clear();
            });
            assert_eq!(unknown, (Verdict::Held, Vec::new()));
        }
    }

    #[test]
    fn what_a_failed_tool_takes_with_it_is_found() {
        let violated = |code| (Verdict::Violated, vec![(code, Severity::Error)]);
        let held = |code| (Verdict::Held, vec![(code, Severity::Warning)]);
        assert_eq!(
            told(false, |it| it.question = false),
            violated("user-message-lost")
        );
        assert_eq!(
            told(false, |it| it.before = false),
            violated("answer-differs")
        );
        assert_eq!(told(true, |it| it.before = false), held("answer-differs"));
        assert_eq!(told(true, |it| it.answers = 0), violated("never-saved"));
        assert_eq!(
            told(true, |it| it.answers = 2),
            violated("turn-stored-twice")
        );
        let lost = told(false, |it| it.calls[0].times = 0);
        assert_eq!(lost, violated("tool-calls-differ"));
        let open = told(false, |it| it.results = Results::Missing);
        assert_eq!(open, violated("tool-calls-differ"));
        let error = told(false, |it| it.error = Some("7".to_owned()));
        assert_eq!(error, violated("error-text-as-answer"));
        let stuck = told(false, |it| it.open = Some("7".to_owned()));
        assert_eq!(stuck, held("stuck-streaming"));
        let blocked = judge(&ToolFailed {
            next: NextTurn::Failed("it broke off".to_owned()),
            ..seen(false)
        });
        assert_eq!(blocked.findings[0].code, "next-turn-refused");
        assert_eq!(blocked.verdict, Verdict::Violated);
    }

    #[test]
    fn what_the_client_did_not_see_is_not_asked_for() {
        for saw_before in [None, Some(false)] {
            let mut seen = ToolFailed {
                saw_before,
                ..seen(false)
            };
            seen.stored.as_mut().unwrap().before = false;
            assert_eq!(judge(&seen).verdict, Verdict::Held);
        }
        let unmet = ToolFailed {
            met: Err("the provider was not asked".to_owned()),
            ..seen(false)
        };
        assert_eq!(judge(&unmet).verdict, Verdict::Inconclusive);
    }
}
