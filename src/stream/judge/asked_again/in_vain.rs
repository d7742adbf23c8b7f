//! What is left of a conversation in which an answer was asked for again, and did not come: the provider failed, or
//! the client left. Pure.
//!
//! As long as there is no new answer, the old one is all that the user has.

use super::{Again, Old};
use crate::report::{Finding, Severity, Source};
use crate::stream::judge::ended_early::NextTurn;
use crate::stream::judge::judged::{self, Judged, LATE, OfCase, finding};
use crate::stream::policy::{Keep, Policy};
use crate::stream::session::OldAnswer;

/// What was seen.
#[derive(Debug, Clone)]
pub struct InVain {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// What was asked for.
    pub again: Again,
    /// Why it did not come.
    pub because: Because,
    /// What the session declares of the old answer.
    pub old_answer: Option<OldAnswer>,
    /// Whether it happened as it was meant to, or why not.
    pub met: Result<(), String>,
    /// What the store holds, or why it could not be read.
    pub stored: Result<Remains, String>,
    /// Whether something changed in the store after the settling time.
    pub came_late: bool,
    /// What a reload shows; absent where the session has no history, or it can't be read.
    pub history: Option<Known>,
    /// What became of the next turn.
    pub next: NextTurn,
    /// What the provider got with it; absent where that does not show.
    pub context: Option<Known>,
}

/// Why no answer came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Because {
    /// The provider did this.
    ProviderFailed(String),
    /// The client left in mid-answer, and this is declared of the answers of such a client.
    Left(Option<&'static Policy>),
}

/// What the store holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Remains {
    /// How many rows that are shown hold the question that was asked last: in its new words, where it was edited.
    pub questions: usize,
    /// Whether the question is there as it was asked first.
    pub old_question: bool,
    /// What there is of the new answer.
    pub new: New,
    /// Where the old answer is.
    pub old: Old,
    /// Whether a row holds the text of the provider's error as an answer.
    pub error: bool,
    /// Whether another answer, whatever it says, may be in the place of the old one.
    pub placeholder: bool,
}

/// What there is of a new answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum New {
    /// All of it.
    Whole,
    Part,
    Nothing,
    /// A part of it can't be told from other texts.
    Unknown,
}

/// What of the conversation somebody gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Whether the question is in it.
    pub question: bool,
    /// Whether the old answer is.
    pub old: bool,
}

pub fn judge(seen: &InVain) -> Judged {
    shown(seen).unwrap_or_else(|unseen| unseen)
}

fn shown(seen: &InVain) -> Result<Judged, Judged> {
    let stored = judged::met(&seen.met, &seen.stored)?;
    let found = [
        question(seen, stored),
        old_lost(seen, stored),
        error(seen, stored),
        reload(seen, stored),
        context(seen, stored),
        next(seen),
    ];
    let findings: Vec<_> = found.into_iter().flatten().collect();
    let told = tell(seen, stored);
    let late = seen.came_late.then_some(LATE);
    let late = late.or_else(|| seen.next.doubt());
    let doubt = match (stored.old, stored.new) {
        _ if late.is_some() => late,
        (Old::Gone, New::Unknown) if seen.again == Again::Regenerated => {
            Some("a part of the new answer can't be distinguished from other texts")
        }
        (Old::Elsewhere, new) if new != New::Whole || seen.old_answer == Some(OldAnswer::Keep) => {
            Some("it is not known whether the page finds it there")
        }
        (Old::Gone | Old::Aside | Old::Shown | Old::Kept | Old::Elsewhere, _) => None,
    };
    Ok(Judged::by(findings, told, doubt))
}

fn tell(seen: &InVain, stored: &Remains) -> String {
    let old = match stored.old {
        Old::Gone => "gone",
        Old::Aside => "kept outside the visible branch",
        Old::Shown => "shown",
        Old::Kept => "kept",
        Old::Elsewhere => "in a table other than that of the messages",
    };
    let new = match stored.new {
        New::Whole => "all of the new one is stored",
        New::Part => "a part of the new one is stored",
        New::Nothing => "nothing of the new one is stored",
        New::Unknown => "whether the new one is stored is not known",
    };
    format!(
        "{}: the old answer is {old}, {new}, the question is stored {} times",
        when(seen),
        stored.questions
    )
}

/// What happened, for the evidence.
fn when(seen: &InVain) -> String {
    match &seen.because {
        Because::ProviderFailed(what) => format!("{}, and {what}", seen.again),
        Because::Left(_) => format!("{}, and the client left in mid-answer", seen.again),
    }
}

impl OfCase for InVain {
    fn subject(&self) -> &str {
        &self.subject
    }

    fn case(&self) -> &str {
        &self.case
    }

    fn done(&self) -> Option<String> {
        Some(when(self))
    }
}

fn question(seen: &InVain, stored: &Remains) -> Option<Finding> {
    let says = (
        "the question is lost when regenerating its answer fails",
        "store the new question before the provider is called, and remove the old one in the same transaction",
    );
    let (code, severity, says, fact) = match (stored.questions, stored.old_question) {
        (0, true) => (
            "user-message-lost",
            Severity::Warning,
            says,
            "the old question is stored, but no row holds its new words",
        ),
        (0, false) => (
            "user-message-lost",
            Severity::Error,
            says,
            "no row holds the question",
        ),
        (1, _) => return None,
        (_, _) => (
            "turn-stored-twice",
            Severity::Error,
            (
                "the question is stored again when its answer is regenerated",
                "let the new answer follow the existing question",
            ),
            "more than one visible row holds the question",
        ),
    };
    Some(finding(seen, code, severity, says, (Source::Store, fact)))
}

/// The old answer is gone, and what is in its place is less.
fn old_lost(seen: &InVain, stored: &Remains) -> Option<Finding> {
    match stored.old {
        Old::Gone => {}
        Old::Aside | Old::Shown | Old::Kept | Old::Elsewhere => return None,
    }
    let keeps_parts = match &seen.because {
        Because::ProviderFailed(_) => false,
        Because::Left(policy) => policy.is_some_and(|policy| policy.keep == Keep::Part),
    };
    let severity = match (seen.old_answer, stored.new, seen.again) {
        (Some(OldAnswer::Keep), ..) => Severity::Error,
        (Some(OldAnswer::Replace) | None, New::Whole | New::Unknown, _) => return None,
        // The old question is gone, too, and another one is there.
        (Some(OldAnswer::Replace) | None, _, Again::Edited) if stored.questions > 0 => return None,
        (Some(OldAnswer::Replace) | None, New::Part, _) if keeps_parts => return None,
        (Some(OldAnswer::Replace) | None, New::Part, _) => Severity::Warning,
        (Some(OldAnswer::Replace) | None, New::Nothing, _) => Severity::Error,
    };
    let harm = match stored.new {
        New::Whole | New::Part => "the old answer is lost when regenerating it fails",
        New::Nothing | New::Unknown => {
            "the old answer is lost before a new one exists: the question no longer has an answer"
        }
    };
    let says = (
        harm,
        "delete the old answer in the transaction that stores the new one, and not before the provider is called",
    );
    let fact = (Source::Store, "no row holds the old answer now");
    Some(finding(seen, "old-answer-lost", severity, says, fact))
}

fn error(seen: &InVain, stored: &Remains) -> Option<Finding> {
    let says = (
        "the text of the provider's error is stored as an answer",
        "store a failure in a separate column, and do not send the turn to the model",
    );
    let fact = (Source::Store, "a row has the text of the error");
    let code = "error-text-as-answer";
    (stored.error).then(|| finding(seen, code, Severity::Error, says, fact))
}

/// The old answer is stored, and a reload lacks it.
fn reload(seen: &InVain, stored: &Remains) -> Option<Finding> {
    let history = seen.history?;
    let is_there = match stored.old {
        Old::Shown | Old::Kept => stored.new == New::Nothing && seen.again == Again::Regenerated,
        Old::Aside | Old::Gone | Old::Elsewhere => false,
    };
    let (severity, fact) = match (stored.questions, history) {
        (
            1..,
            Known {
                question: false, ..
            },
        ) => (
            Severity::Error,
            "the question is stored, but the history lacks it",
        ),
        (_, Known { old: false, .. }) if is_there => {
            let is_unknown = seen.context.is_some_and(|told| told.question && !told.old);
            let severity = match seen.old_answer {
                Some(OldAnswer::Replace) => Severity::Error,
                // Where old answers are versions, the page may show the failed one first. With no
                // such version, an answer that neither the page nor the model knows is gone for the
                // user.
                Some(OldAnswer::Keep) | None if is_unknown && !stored.placeholder => {
                    Severity::Error
                }
                Some(OldAnswer::Keep) | None => Severity::Warning,
            };
            (
                severity,
                "the old answer is stored, but the history lacks it",
            )
        }
        (_, _) => return None,
    };
    let says = (
        "after a failed regenerate a reload does not show the earlier conversation",
        "let the history show the old answer until a new one exists",
    );
    let fact = (Source::Stream, fact);
    Some(finding(seen, "history-differs", severity, says, fact))
}

/// The page shows the old answer, and the model does not know it.
fn context(seen: &InVain, stored: &Remains) -> Option<Finding> {
    let (shown, told) = (seen.history?, seen.context?);
    let is_lost = seen.again == Again::Regenerated && shown.old && told.question && !told.old;
    let severity = match (stored.old, seen.old_answer) {
        (Old::Shown, _) | (Old::Kept, Some(OldAnswer::Replace)) => Severity::Error,
        // The history may have every version, and the model the branch that failed.
        (Old::Kept, Some(OldAnswer::Keep) | None) => Severity::Warning,
        (Old::Gone | Old::Aside | Old::Elsewhere, _) => return None,
    };
    let says = (
        "in the next turn the model does not know the old answer, which a reload shows",
        "build the provider's messages from the messages that the history shows",
    );
    let fact = (Source::Gateway, "the next request lacks the old answer");
    is_lost.then(|| finding(seen, "context-lost", severity, says, fact))
}

/// The conversation can't be continued.
fn next(seen: &InVain) -> Option<Finding> {
    let help = "finish a turn's row and release its lock in a `finally`, and accept a question after an unanswered one";
    seen.next.finding(seen, "after a failed regenerate", help)
}

#[cfg(test)]
mod tests {
    use super::{Again, Because, InVain, Known, New, Old, OldAnswer, Remains, judge};
    use crate::report::{Severity, Verdict};
    use crate::stream::judge::ended_early::NextTurn;
    use crate::stream::policy::ON_DISCONNECT;

    const KEEP: Option<OldAnswer> = Some(OldAnswer::Keep);
    const REPLACE: Option<OldAnswer> = Some(OldAnswer::Replace);

    fn seen(old_answer: Option<OldAnswer>, old: Old, new: New) -> InVain {
        InVain {
            subject: "hello in table message".to_owned(),
            case: "hello/regenerated-provider-http-503".to_owned(),
            again: Again::Regenerated,
            because: Because::ProviderFailed("answers 503".to_owned()),
            old_answer,
            met: Ok(()),
            stored: Ok(Remains {
                questions: 1,
                old_question: true,
                new,
                old,
                error: false,
                placeholder: false,
            }),
            came_late: false,
            history: Some(Known {
                question: true,
                old: old != Old::Gone,
            }),
            next: NextTurn::Answered {
                question: true,
                answer: true,
                answer_later: true,
                doubt: None,
            },
            context: Some(Known {
                question: true,
                old: old != Old::Gone,
            }),
        }
    }

    fn told(seen: &InVain) -> (Verdict, Vec<&'static str>) {
        let judged = judge(seen);
        let errors = judged.findings.iter();
        let errors = errors.filter(|it| it.severity == Severity::Error);
        (judged.verdict, errors.map(|it| it.code).collect())
    }

    fn stored(seen: &mut InVain) -> &mut Remains {
        seen.stored.as_mut().unwrap()
    }

    const HELD: (Verdict, Vec<&str>) = (Verdict::Held, Vec::new());

    fn violated(code: &'static str) -> (Verdict, Vec<&'static str>) {
        (Verdict::Violated, vec![code])
    }

    /// Every declaration with every place of the old answer, and everything that may be there of a new one.
    #[test]
    fn without_a_new_answer_the_old_one_is_there() {
        for declared in [KEEP, REPLACE, None] {
            for new in [New::Whole, New::Part, New::Nothing, New::Unknown] {
                for old in [Old::Aside, Old::Shown, Old::Kept] {
                    let found = told(&seen(declared, old, new));
                    assert_eq!(found, HELD, "{declared:?} {old:?} {new:?}");
                }
                let expected = match (declared, new) {
                    (KEEP, _) | (_, New::Nothing) => violated("old-answer-lost"),
                    (_, New::Whole | New::Part) => HELD,
                    (_, New::Unknown) => (Verdict::Inconclusive, Vec::new()),
                };
                let elsewhere = told(&seen(declared, Old::Elsewhere, new));
                let is_enough = new == New::Whole && declared != KEEP;
                let doubtful = (Verdict::Inconclusive, Vec::new());
                let expected_there = if is_enough { HELD } else { doubtful };
                assert_eq!(elsewhere, expected_there, "{declared:?} {new:?}");
                let found = told(&seen(declared, Old::Gone, new));
                assert_eq!(found, expected, "{declared:?} {new:?}");
            }
        }
    }

    /// A part in the place of an answer is worth a warning, unless it is declared that parts stay.
    #[test]
    fn a_part_may_take_its_place_where_parts_are_kept() {
        for (because, warned) in [
            (Because::ProviderFailed("answers 503".to_owned()), 1),
            (Because::Left(None), 1),
            (Because::Left(Some(&ON_DISCONNECT[1])), 0),
            (Because::Left(Some(&ON_DISCONNECT[2])), 1),
        ] {
            let judged = judge(&InVain {
                because,
                ..seen(REPLACE, Old::Gone, New::Part)
            });
            assert_eq!(judged.verdict, Verdict::Held);
            assert_eq!(judged.findings.len(), warned);
        }
    }

    #[test]
    fn an_edited_question_takes_the_place_of_the_old_turn() {
        let edited = || InVain {
            again: Again::Edited,
            history: None,
            ..seen(REPLACE, Old::Gone, New::Nothing)
        };
        assert_eq!(told(&edited()), HELD);
        let mut kept = edited();
        kept.old_answer = KEEP;
        assert_eq!(told(&kept), violated("old-answer-lost"));
        // As it was before: only the new words are lost, and the user was told so.
        let mut rolled_back = edited();
        stored(&mut rolled_back).questions = 0;
        stored(&mut rolled_back).old = Old::Shown;
        assert_eq!(told(&rolled_back), HELD);
        assert_eq!(judge(&rolled_back).findings[0].code, "user-message-lost");
        let mut lost = edited();
        *stored(&mut lost) = Remains {
            questions: 0,
            old_question: false,
            ..*stored(&mut lost)
        };
        let both = (
            Verdict::Violated,
            vec!["user-message-lost", "old-answer-lost"],
        );
        assert_eq!(told(&lost), both);
    }

    #[test]
    fn the_conversation_is_shown_known_and_goes_on() {
        let base = || seen(REPLACE, Old::Kept, New::Nothing);
        let mut hidden = base();
        hidden.history = Some(Known {
            question: true,
            old: false,
        });
        assert_eq!(told(&hidden), violated("history-differs"));
        hidden.old_answer = KEEP;
        assert_eq!(told(&hidden), HELD);
        // What neither the page nor the model knows is gone, unless the failed version is in its place.
        hidden.context = hidden.history;
        assert_eq!(told(&hidden), violated("history-differs"));
        stored(&mut hidden).placeholder = true;
        assert_eq!(told(&hidden), HELD);
        stored(&mut hidden).placeholder = false;
        stored(&mut hidden).old = Old::Aside;
        assert_eq!(told(&hidden), HELD);
        let mut unknown = base();
        unknown.context = Some(Known {
            question: true,
            old: false,
        });
        assert_eq!(told(&unknown), violated("context-lost"));
        let mut refused = base();
        refused.next = NextTurn::Refused {
            status: 409,
            said: String::new(),
        };
        assert_eq!(told(&refused), violated("next-turn-refused"));
        let mut error = base();
        stored(&mut error).error = true;
        assert_eq!(told(&error), violated("error-text-as-answer"));
        let mut twice = base();
        stored(&mut twice).questions = 2;
        assert_eq!(told(&twice), violated("turn-stored-twice"));
    }

    #[test]
    fn what_did_not_happen_is_not_judged() {
        let lost = || seen(KEEP, Old::Gone, New::Nothing);
        let unmet = InVain {
            met: Err("the provider was not asked".to_owned()),
            ..lost()
        };
        let unread = InVain {
            stored: Err("locked".to_owned()),
            ..lost()
        };
        let late = InVain {
            came_late: true,
            ..seen(KEEP, Old::Kept, New::Nothing)
        };
        for seen in [unmet, unread, late] {
            assert_eq!(judge(&seen).verdict, Verdict::Inconclusive, "{seen:?}");
        }
    }
}
