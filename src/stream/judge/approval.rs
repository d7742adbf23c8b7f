//! Judges a turn that paused until the user decided on a tool call. Pure.

use super::ended_early::{NextTurn, OF_THE_CLIENT};
use super::judged::{self, Judged, LATE, OfCase, finding, wrong};
use super::sent_twice::Answered;
use crate::report::{Finding, Severity, Source};
use std::fmt;

/// What the user decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// The tool may be called.
    Granted,
    /// It may not.
    Refused,
}

/// How the decision came to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decided {
    /// From the page that asked.
    Here,
    /// From a page that was loaded while the turn waited; the first one is gone.
    AfterAReload,
    /// Twice at once: a double click.
    Twice,
    /// From a page that was loaded after the server was killed and started again.
    AfterARestart,
}

impl Decided {
    /// How, in words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Here => "the decision is sent",
            Self::AfterAReload => "the page is reloaded, and sends the decision",
            Self::Twice => "the decision is sent twice at once",
            Self::AfterARestart => {
                "the page is loaded from the new process, and sends the decision"
            }
        }
    }
}

/// One case: what is decided, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Approved {
    /// What.
    pub decision: Decision,
    /// How.
    pub decided: Decided,
}

/// Every case.
pub static CASES: [Approved; 5] = [
    Approved {
        decision: Decision::Granted,
        decided: Decided::Here,
    },
    Approved {
        decision: Decision::Refused,
        decided: Decided::Here,
    },
    Approved {
        decision: Decision::Granted,
        decided: Decided::AfterAReload,
    },
    Approved {
        decision: Decision::Granted,
        decided: Decided::Twice,
    },
    Approved {
        decision: Decision::Granted,
        decided: Decided::AfterARestart,
    },
];

impl fmt::Display for Approved {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match (self.decision, self.decided) {
            (Decision::Granted, Decided::Here) => "approval-granted",
            (Decision::Granted, Decided::AfterAReload) => "approval-granted-after-a-reload",
            (Decision::Granted, Decided::Twice) => "approval-granted-twice",
            (Decision::Granted, Decided::AfterARestart) => "approval-granted-after-a-restart",
            (Decision::Refused, Decided::Here) => "approval-refused",
            (Decision::Refused, Decided::AfterAReload) => "approval-refused-after-a-reload",
            (Decision::Refused, Decided::Twice) => "approval-refused-twice",
            (Decision::Refused, Decided::AfterARestart) => "approval-refused-after-a-restart",
        })
    }
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// What was decided, and how.
    pub approved: Approved,
    /// Whether the turn paused as it was meant to, or why not.
    pub met: Result<(), String>,
    /// What a reload showed while it waited; absent where the session has no history, or it can't be read.
    pub waiting: Option<Waiting>,
    /// What the decision was answered.
    pub answered: Answered,
    /// Whether the server asked its provider once more.
    pub went_on: bool,
    /// What the store holds, or why it could not be read.
    pub stored: Result<Stored, String>,
    /// Whether something changed in the store after the settling time.
    pub came_late: bool,
    /// What a reload shows; absent where the session has no history, or it can't be read.
    pub history: Option<Copies>,
    /// What became of the next turn.
    pub next: NextTurn,
    /// What the provider got with it; absent where that does not show.
    pub context: Option<Copies>,
}

/// What a reload showed of a turn that waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waiting {
    /// Whether the question is stored.
    pub stored: bool,
    /// Whether the history has it.
    pub shown: bool,
}

/// What the store holds of the turn.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The messages.
    pub copies: Copies,
    /// Whether the conversation has no row of its own, and others have one.
    pub lacks_head: bool,
    /// The calls; none where the store keeps no tools.
    pub calls: Vec<Call>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// Its tool.
    pub name: String,
    /// How often it is there.
    pub times: usize,
}

/// How often the turn's messages are somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    pub questions: usize,
    pub answers: usize,
}

pub fn judge(seen: &Seen) -> Judged {
    shown(seen).unwrap_or_else(|unseen| unseen)
}

fn shown(seen: &Seen) -> Result<Judged, Judged> {
    let stored = judged::met(&seen.met, &seen.stored)?;
    // From the page that asked, a decision that changes nothing may be the session's own mistake.
    if let (Decided::Here, Some(why)) = (seen.approved.decided, unanswered(seen)) {
        return Err(Judged::unseen(why));
    }
    let found = [
        lost(seen),
        question(seen, stored),
        head(seen, stored),
        answer(seen, stored),
        call_missing(seen, stored),
        twice(seen, stored),
        waiting(seen),
        reload(seen, stored),
        context(seen, stored),
        next(seen),
    ];
    let findings: Vec<_> = found.into_iter().flatten().collect();
    let late = seen.came_late.then_some(LATE).or_else(|| seen.next.doubt());
    Ok(Judged::by(findings, tell(seen, stored), late))
}

fn tell(seen: &Seen, stored: &Stored) -> String {
    let Copies { questions, answers } = stored.copies;
    let calls: Vec<_> = stored.calls.iter().map(|it| it.times.to_string()).collect();
    let calls = match calls.as_slice() {
        [] => "the store keeps no tools".to_owned(),
        all => format!("its calls {} times", all.join(", ")),
    };
    let went_on = match (seen.approved.decision, seen.went_on) {
        (_, true) => "the server continued",
        (Decision::Granted, false) => "the server did not continue",
        (Decision::Refused, false) => "the turn ended",
    };
    format!(
        "{went_on} after the decision: the question is stored {questions} times, the answer {answers} times, {calls}"
    )
}

/// Why a decision came to nothing.
fn unanswered(seen: &Seen) -> Option<String> {
    match (&seen.answered, seen.approved.decision) {
        (Answered::Refused(status), _) => Some(format!("the decision was answered {status}")),
        (Answered::Otherwise(how), _) => Some(format!("the decision was {how}")),
        (Answered::Cut, _) => Some("the response to the decision was cut off".to_owned()),
        (Answered::ToTheEnd, Decision::Granted) if !seen.went_on => {
            Some("the server did not ask its provider again after the decision".to_owned())
        }
        (Answered::ToTheEnd, Decision::Granted | Decision::Refused) => None,
    }
}

impl OfCase for Seen {
    fn subject(&self) -> &str {
        &self.subject
    }

    fn case(&self) -> &str {
        &self.case
    }

    fn done(&self) -> Option<String> {
        Some(self.approved.to_string())
    }
}

/// A turn that waits can't be continued.
fn lost(seen: &Seen) -> Option<Finding> {
    let why = unanswered(seen)?;
    let severity = match seen.answered {
        Answered::Refused(status) if OF_THE_CLIENT.contains(&status) => Severity::Warning,
        Answered::Refused(_) | Answered::Otherwise(_) | Answered::Cut | Answered::ToTheEnd => {
            Severity::Error
        }
    };
    let says = (
        "a turn that waits for the user's approval can't be continued",
        "store the waiting call with its conversation, and accept the decision from any page of its user",
    );
    Some(finding(
        seen,
        "approval-lost",
        severity,
        says,
        (Source::Stream, &why),
    ))
}

fn question(seen: &Seen, stored: &Stored) -> Option<Finding> {
    let says = (
        "the question of a turn that waited for approval is lost",
        "commit the user's message before the provider is called",
    );
    let fact = (Source::Store, "no row holds the question");
    let is_lost = stored.copies.questions == 0;
    is_lost.then(|| wrong(seen, "user-message-lost", says, fact))
}

/// No list shows the conversation.
fn head(seen: &Seen, stored: &Stored) -> Option<Finding> {
    let is_shown = seen.history.is_some_and(|shown| shown.questions > 0);
    let severity = if is_shown {
        Severity::Warning
    } else {
        Severity::Error
    };
    let fact = (Source::Store, judged::NO_HEAD);
    let says = (
        "the conversation of a turn that waited for approval has no row that a list shows",
        judged::MAKE_HEAD,
    );
    let is_lost = stored.lacks_head && stored.copies.questions > 0;
    is_lost.then(|| finding(seen, "user-message-lost", severity, says, fact))
}

fn answer(seen: &Seen, stored: &Stored) -> Option<Finding> {
    let is_lost = seen.went_on && stored.copies.answers == 0;
    let says = (
        "the answer that follows the user's decision is lost",
        "save the answer of a continued turn like any other, and commit it before the final marker is sent",
    );
    let fact = (Source::Store, "no row holds the answer");
    is_lost.then(|| wrong(seen, "never-saved", says, fact))
}

fn call_missing(seen: &Seen, stored: &Stored) -> Option<Finding> {
    let was_called = seen.went_on && seen.approved.decision == Decision::Granted;
    let missing = stored.calls.iter().find(|call| call.times == 0);
    let missing = missing.filter(|_| was_called)?;
    let says = (
        "a call that the user approved is not stored",
        "store each call with its arguments and its result, in the order in which they came",
    );
    let fact = format!("no row holds the call of `{}`", missing.name);
    let fact = (Source::Store, fact.as_str());
    Some(wrong(seen, "tool-calls-differ", says, fact))
}

/// Approval doubles what was there.
fn twice(seen: &Seen, stored: &Stored) -> Option<Finding> {
    let Copies { questions, answers } = stored.copies;
    let doubled = stored.calls.iter().find(|call| call.times > 1);
    let fact = match (questions, answers, doubled) {
        (2.., _, _) => format!("the question is stored {questions} times"),
        (_, 2.., _) => format!("the answer is stored {answers} times"),
        (_, _, Some(call)) => format!("the call of `{}` is stored {} times", call.name, call.times),
        (_, _, None) => return None,
    };
    let says = (
        "the user's decision stores a part of the turn again",
        "continue the stored turn: the part that the page sends with the decision is stored already, and a decision counts once",
    );
    let fact = (Source::Store, fact.as_str());
    Some(wrong(seen, "turn-stored-twice", says, fact))
}

/// While it waits, a reload shows nothing of it.
fn waiting(seen: &Seen) -> Option<Finding> {
    let waiting = seen.waiting?;
    let says = (
        "a reload does not show a turn that waits for approval",
        "return the question and the call that waits with the history",
    );
    let fact = (
        Source::Stream,
        "the question is stored, but the history lacks it while the turn waits",
    );
    let is_hidden = waiting.stored && !waiting.shown;
    is_hidden.then(|| wrong(seen, "history-differs", says, fact))
}

fn reload(seen: &Seen, stored: &Stored) -> Option<Finding> {
    let shown = seen.history?;
    let fact = match (shown.questions, shown.answers) {
        (0, _) if stored.copies.questions > 0 => "the history lacks the question",
        (_, 0) if stored.copies.answers > 0 => "the history lacks the answer",
        (2.., _) if stored.copies.questions == 1 => "the history has the question twice",
        (_, 2..) if stored.copies.answers == 1 => "the history has the answer twice",
        (_, _) => return None,
    };
    let says = (
        "a reload shows a different turn from the one that the user approved",
        "return the stored messages one by one, in the order in which they were said",
    );
    let fact = (Source::Stream, fact);
    Some(wrong(seen, "history-differs", says, fact))
}

fn context(seen: &Seen, stored: &Stored) -> Option<Finding> {
    let known = seen.context?;
    let fact = match (known.questions, known.answers) {
        (0, _) if stored.copies.questions > 0 => "the next request lacks the question",
        (_, 0) if stored.copies.answers > 0 => "the next request lacks the answer",
        (_, _) => return None,
    };
    let says = (
        "in the next turn the model does not know the turn that the user approved",
        "build the provider's messages from the stored conversation",
    );
    let fact = (Source::Gateway, fact);
    Some(wrong(seen, "context-lost", says, fact))
}

fn next(seen: &Seen) -> Option<Finding> {
    let help = "end the turn that waited, and give each call a result, even a refused one";
    seen.next.finding(seen, "after the user's decision", help)
}

#[cfg(test)]
mod tests {
    use super::{Answered, CASES, Call, Copies, Decided, Decision, Seen, Stored, Waiting, judge};
    use crate::report::Verdict;
    use crate::stream::judge::ended_early::NextTurn;

    const ONCE: Copies = Copies {
        questions: 1,
        answers: 1,
    };

    fn seen(case: usize) -> Seen {
        Seen {
            subject: "hello in table message".to_owned(),
            case: "hello/approval-granted".to_owned(),
            approved: CASES[case],
            met: Ok(()),
            waiting: Some(Waiting {
                stored: true,
                shown: true,
            }),
            answered: Answered::ToTheEnd,
            went_on: true,
            stored: Ok(Stored {
                copies: ONCE,
                lacks_head: false,
                calls: vec![Call {
                    name: "delete".to_owned(),
                    times: 1,
                }],
            }),
            came_late: false,
            history: Some(ONCE),
            next: NextTurn::Answered {
                question: true,
                answer: true,
                answer_later: true,
                doubt: None,
            },
            context: Some(ONCE),
        }
    }

    fn stored(seen: &mut Seen) -> &mut Stored {
        seen.stored.as_mut().unwrap()
    }

    fn told(seen: &Seen) -> (Verdict, Vec<&'static str>) {
        let judged = judge(seen);
        let codes = judged.findings.iter().map(|finding| finding.code);
        (judged.verdict, codes.collect())
    }

    fn violated(code: &'static str) -> (Verdict, Vec<&'static str>) {
        (Verdict::Violated, vec![code])
    }

    const HELD: (Verdict, Vec<&str>) = (Verdict::Held, Vec::new());

    #[test]
    fn what_is_stored_once_is_right() {
        for (case, approved) in CASES.iter().enumerate() {
            assert_eq!(told(&seen(case)), HELD, "{approved}");
        }
        // A store without tools has none to compare.
        let mut bare = seen(0);
        stored(&mut bare).calls.clear();
        assert_eq!(told(&bare), HELD);
        // A refusal may end the turn: then there is neither answer nor call.
        let mut ended = seen(1);
        ended.went_on = false;
        stored(&mut ended).copies.answers = 0;
        stored(&mut ended).calls[0].times = 0;
        ended.history = Some(stored(&mut ended).copies);
        ended.context = ended.history;
        assert_eq!(told(&ended), HELD);
    }

    #[test]
    fn what_approval_doubles_or_loses_is_found() {
        let with = |change: fn(&mut Seen)| {
            let mut seen = seen(0);
            change(&mut seen);
            told(&seen)
        };
        let doubled = violated("turn-stored-twice");
        assert_eq!(with(|it| stored(it).copies.questions = 2), doubled);
        assert_eq!(with(|it| stored(it).copies.answers = 2), doubled);
        assert_eq!(with(|it| stored(it).calls[0].times = 2), doubled);
        let headless = with(|it| {
            stored(it).lacks_head = true;
            it.history = None;
        });
        assert_eq!(headless, violated("user-message-lost"));
        // The page still finds it by its address.
        let (verdict, codes) = with(|it| stored(it).lacks_head = true);
        assert_eq!((verdict, codes), (Verdict::Held, vec!["user-message-lost"]));
        let missing = with(|it| stored(it).calls[0].times = 0);
        assert_eq!(missing, violated("tool-calls-differ"));
        let unsaved = with(|it| {
            stored(it).copies.answers = 0;
            it.history = None;
            it.context = None;
        });
        assert_eq!(unsaved, violated("never-saved"));
        let hidden = with(|it| {
            it.waiting = Some(Waiting {
                stored: true,
                shown: false,
            });
        });
        assert_eq!(hidden, violated("history-differs"));
        let unknown = with(|it| {
            it.context = Some(Copies {
                questions: 1,
                answers: 0,
            });
        });
        assert_eq!(unknown, violated("context-lost"));
        let refused = with(|it| {
            it.next = NextTurn::Refused {
                status: 409,
                said: String::new(),
            };
        });
        assert_eq!(refused, violated("next-turn-refused"));
    }

    /// From the page that asked it may be the session that is wrong; from another page it is the server.
    #[test]
    fn a_turn_that_waits_in_vain_is_lost() {
        for (case, approved) in CASES.iter().enumerate() {
            let mut gone = seen(case);
            gone.answered = Answered::Refused(404);
            gone.went_on = false;
            stored(&mut gone).copies.answers = 0;
            gone.history = None;
            gone.context = None;
            let expected = match approved.decided {
                Decided::Here => (Verdict::Inconclusive, Vec::new()),
                Decided::AfterAReload | Decided::Twice | Decided::AfterARestart => {
                    violated("approval-lost")
                }
            };
            assert_eq!(told(&gone), expected, "{approved}");
        }
        let mut silent = seen(2);
        silent.went_on = false;
        stored(&mut silent).copies.answers = 0;
        silent.history = None;
        silent.context = None;
        assert_eq!(silent.approved.decision, Decision::Granted);
        assert_eq!(told(&silent), violated("approval-lost"));
    }

    #[test]
    fn what_did_not_pause_is_not_judged() {
        let mut unasked = seen(0);
        unasked.met = Err("the server ran the tool without asking".to_owned());
        assert_eq!(judge(&unasked).verdict, Verdict::Inconclusive);
        let mut late = seen(0);
        late.came_late = true;
        assert_eq!(judge(&late).verdict, Verdict::Inconclusive);
    }
}
