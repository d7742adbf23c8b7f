//! Judges a regenerated answer, to the same question or to an edited one. Pure.

pub mod in_vain;

use super::ended_early::{NextTurn, Spoilt};
use super::judged::{Judged, OfCase, finding, wrong};
use super::order::RowState;
use super::sent_twice::Answered;
use super::whole_turn::{self, Wrong};
use crate::report::{Finding, Severity, Source};
use crate::stream::session::OldAnswer;
use std::fmt;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Again {
    /// Another answer to the same question.
    Regenerated,
    /// An answer to the question in other words.
    Edited,
}

impl fmt::Display for Again {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Regenerated => "regenerated",
            Self::Edited => "edited",
        })
    }
}

/// What was seen.
#[derive(Debug, Clone)]
pub struct AskedAgain {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// What was asked for.
    pub again: Again,
    /// What the session declares of the old answer.
    pub old_answer: Option<OldAnswer>,
    /// Whether the server asked its provider.
    pub asked: bool,
    /// What the request was answered.
    pub answered: Answered,
    /// What the store said of the new answer right after the final marker; absent where none came.
    pub at_marker: Option<RowState>,
    /// What the store holds.
    pub stored: Parts,
    /// What is wrong with the rows of the new question and the new answer.
    pub wrong: Vec<Wrong>,
    /// What is lost of the turns before it.
    pub lost: Vec<Spoilt>,
    /// Whether a later message names the wrong one before it, and how; absent where messages name none.
    pub wrong_parent: Option<String>,
    /// What a reload shows; absent where the session has no history, or it can't be read.
    pub history: Option<Parts>,
    /// What the provider got with the next turn; absent where it does not show.
    pub next: Option<Parts>,
    /// What became of the next turn.
    pub following: NextTurn,
}

/// Where the turn's parts are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Parts {
    /// How often the question is there, in its new words.
    pub questions: usize,
    /// Whether the new answer is.
    pub answer: bool,
    /// Where the old answer is.
    pub old: Old,
}

/// Where an old answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Old {
    /// Nowhere.
    Gone,
    /// In the store, and not on the branch that is shown.
    Aside,
    /// Among the other messages.
    Shown,
    /// In the store, and nothing there says whether it is shown.
    Kept,
    /// In another table than that of the messages.
    Elsewhere,
}

pub fn judge(seen: &AskedAgain) -> Judged {
    match &seen.answered {
        Answered::ToTheEnd if seen.asked => {}
        Answered::ToTheEnd => return Judged::unseen("the server did not ask its provider"),
        Answered::Cut => return Judged::unseen("the response was cut off"),
        Answered::Refused(status) => {
            return Judged::unseen(format!("the request was answered {status}"));
        }
        Answered::Otherwise(how) => return Judged::unseen(format!("the request was {how}")),
    }
    let found = [
        answer(seen),
        late(seen),
        question(seen),
        old_lost(seen),
        old_shown(seen),
        earlier(seen),
        parent(seen),
        reload(seen),
        context(seen),
        following(seen),
    ];
    let mut findings: Vec<_> = found.into_iter().flatten().collect();
    findings.extend(spoilt(seen, &findings));
    let is_doubtful = seen.old_answer == Some(OldAnswer::Keep) && seen.stored.old == Old::Elsewhere;
    let doubt = is_doubtful.then_some("it is not known whether the page finds it there");
    let doubt = doubt.or_else(|| seen.following.doubt());
    Judged::by(findings, tell(seen), doubt)
}

fn tell(seen: &AskedAgain) -> String {
    let Parts {
        questions,
        answer,
        old,
    } = seen.stored;
    let answer = if answer { "is" } else { "is not" };
    let old = match old {
        Old::Gone => "gone",
        Old::Aside => "kept outside the visible branch",
        Old::Shown => "shown next to it",
        Old::Kept => "kept",
        Old::Elsewhere => "in a table other than that of the messages",
    };
    format!(
        "the answer was {}: the new one {answer} stored, the old one is {old}, the question is stored {questions} times",
        seen.again
    )
}

impl OfCase for AskedAgain {
    fn subject(&self) -> &str {
        &self.subject
    }

    fn case(&self) -> &str {
        &self.case
    }

    fn done(&self) -> Option<String> {
        Some(self.again.to_string())
    }
}

fn answer(seen: &AskedAgain) -> Option<Finding> {
    let says = (
        "a regenerated answer is lost",
        "save the new answer, and commit it before the final marker is sent",
    );
    let fact = (Source::Store, "no row holds the new answer");
    (!seen.stored.answer).then(|| wrong(seen, "never-saved", says, fact))
}

/// What is stored of the new question or the new answer is not what was said. The number of its rows and their branch
/// are judged by `question` and `parent`.
fn spoilt(seen: &AskedAgain, found: &[Finding]) -> Vec<Finding> {
    let doubled = |it: &&Wrong| it.code == "answer-duplicated";
    let doubled = seen.wrong.iter().filter(doubled);
    let says = (
        "a turn that is regenerated or edited is stored with other content",
        "save it like every other turn: each text completely, and once",
    );
    // An edit may begin a conversation of its own.
    let is_judged =
        |it: &&Wrong| it.code != "wrong-conversation" || seen.again == Again::Regenerated;
    let texts = whole_turn::of_the_texts(&seen.wrong, found).filter(is_judged);
    let new = texts.chain(doubled);
    new.map(|it| wrong(seen, it.code, says, (it.source, &it.how)))
        .collect()
}

/// A row that is not there when it is read after the marker came is committed later. One that is not finished then may
/// stay so.
fn late(seen: &AskedAgain) -> Option<Finding> {
    let is_late = seen.at_marker == Some(RowState::Incomplete) && seen.stored.answer;
    let says = (
        "a regenerated answer is not saved and finished at the final marker: a crash or a fast reload loses it",
        "save the new answer, and commit it before the final marker is sent",
    );
    let fact = (
        Source::Store,
        "right after the final marker no row held the new answer as finished",
    );
    is_late.then(|| wrong(seen, "saved-after-done", says, fact))
}

fn question(seen: &AskedAgain) -> Option<Finding> {
    match seen.stored.questions {
        0 => {
            let says = (
                "the question is lost when its answer is regenerated",
                "store the new question before the provider is called",
            );
            let fact = (Source::Store, "no row holds the question");
            Some(wrong(seen, "user-message-lost", says, fact))
        }
        1 => None,
        _ => {
            let says = (
                "the question is stored again when its answer is regenerated",
                "let the new answer follow the existing question",
            );
            let fact = (
                Source::Store,
                "more than one visible row holds the question",
            );
            Some(wrong(seen, "turn-stored-twice", says, fact))
        }
    }
}

fn old_lost(seen: &AskedAgain) -> Option<Finding> {
    let is_lost = seen.old_answer == Some(OldAnswer::Keep) && seen.stored.old == Old::Gone;
    let says = (
        "the old answer is gone after a regenerate",
        "store the new answer as another version of the old one",
    );
    let fact = (Source::Store, "no row holds the old answer now");
    is_lost.then(|| wrong(seen, "old-answer-lost", says, fact))
}

/// The old answer is where only the new one belongs.
fn old_shown(seen: &AskedAgain) -> Option<Finding> {
    let in_next = seen.next.is_some_and(|next| next.old == Old::Shown);
    let in_history = seen.history.is_some_and(|shown| shown.old == Old::Shown);
    let replaces = seen.old_answer == Some(OldAnswer::Replace);
    let fact = match seen.stored.old {
        Old::Shown if seen.old_answer.is_some() => (
            Source::Store,
            "the old answer is among the visible messages",
        ),
        Old::Kept if replaces => (Source::Store, "a row still holds the old answer"),
        _ if in_history && replaces => (Source::Stream, "the history has the old answer"),
        _ if in_next => (Source::Gateway, "the next request has the old answer"),
        Old::Gone | Old::Aside | Old::Kept | Old::Shown | Old::Elsewhere => return None,
    };
    // Without a declaration both answers may be meant to be there.
    let severity = match seen.old_answer {
        Some(_) => Severity::Error,
        None => Severity::Warning,
    };
    let says = (
        "the old answer is still part of the conversation after a regenerate",
        "remove the old answer, or link the new one to the question and leave the old one out of the visible branch",
    );
    Some(finding(seen, "old-answer-shown", severity, says, fact))
}

/// What was said before the answer that was asked for again is gone with it.
fn earlier(seen: &AskedAgain) -> Option<Finding> {
    let (turn, is_question) = seen.lost.iter().find_map(|lost| match lost {
        Spoilt::Earlier { turn, is_question } => Some((turn, *is_question)),
        Spoilt::Head
        | Spoilt::QuestionCut(_)
        | Spoilt::QuestionNowhere(_)
        | Spoilt::AnswerAstray { .. }
        | Spoilt::QuestionTwice(_)
        | Spoilt::Note(_) => None,
    })?;
    let (code, what) = if is_question {
        ("user-message-lost", "question")
    } else {
        ("saved-row-changed-later", "answer")
    };
    let says = (
        "an earlier turn is lost when a later one is regenerated or edited",
        "delete only the messages after the regenerated one, and none before it",
    );
    let fact = format!("the {what} of turn {turn} was stored, but no row holds it any more");
    Some(wrong(seen, code, says, (Source::Store, &fact)))
}

fn parent(seen: &AskedAgain) -> Option<Finding> {
    let how = seen.wrong_parent.as_deref()?;
    let says = (
        "a regenerated or edited message is linked to the wrong one",
        "link a new answer to its question, and an edited question to the message that the old one was linked to",
    );
    Some(wrong(seen, "branch-broken", says, (Source::Store, how)))
}

fn reload(seen: &AskedAgain) -> Option<Finding> {
    let shown = seen.history?;
    let fact = match (shown.questions, shown.answer) {
        (0, _) if seen.stored.questions > 0 => "the history lacks the question",
        (_, false) if seen.stored.answer => "the history lacks the new answer",
        _ => return None,
    };
    let says = (
        "a reload does not show the regenerated answer",
        "return the branch with the new answer as the history",
    );
    Some(wrong(seen, "history-differs", says, (Source::Stream, fact)))
}

fn context(seen: &AskedAgain) -> Option<Finding> {
    let next = seen.next?;
    let fact = match (next.questions, next.answer) {
        (0, _) if seen.stored.questions > 0 => "the next request lacks the question",
        (_, false) if seen.stored.answer => "the next request lacks the new answer",
        _ => return None,
    };
    let says = (
        "in the next turn the model does not know the regenerated answer",
        "build the provider's messages from the branch with the new answer",
    );
    Some(wrong(seen, "context-lost", says, (Source::Gateway, fact)))
}

/// The conversation can't be continued, or what is said in it later is not stored.
fn following(seen: &AskedAgain) -> Option<Finding> {
    let help =
        "finish a turn's row and release its lock in a `finally`, also for a regenerated turn";
    seen.following
        .finding(seen, "after a regenerate or an edit", help)
}

#[cfg(test)]
mod tests {
    use super::{
        Again, Answered, AskedAgain, NextTurn, Old, OldAnswer, Parts, RowState, Spoilt, judge,
    };
    use crate::report::Verdict;
    use crate::stream::judge::ended_early::NextDoubt;
    use crate::stream::judge::whole_turn::Wrong;

    const fn parts(old: Old) -> Parts {
        Parts {
            questions: 1,
            answer: true,
            old,
        }
    }

    fn seen(declared: Option<OldAnswer>, old: Old) -> AskedAgain {
        let shown = match old {
            Old::Shown => Old::Shown,
            Old::Gone | Old::Aside | Old::Kept | Old::Elsewhere => Old::Gone,
        };
        AskedAgain {
            subject: "hello in table message".to_owned(),
            case: "hello/regenerated".to_owned(),
            again: Again::Regenerated,
            old_answer: declared,
            asked: true,
            answered: Answered::ToTheEnd,
            at_marker: Some(RowState::Complete),
            stored: parts(old),
            wrong: Vec::new(),
            lost: Vec::new(),
            wrong_parent: None,
            history: Some(parts(shown)),
            next: Some(parts(shown)),
            following: answered(None),
        }
    }

    const fn answered(doubt: Option<NextDoubt>) -> NextTurn {
        NextTurn::Answered {
            question: true,
            answer: true,
            answer_later: true,
            doubt,
        }
    }

    #[test]
    fn the_new_texts_are_stored_as_they_were_said() {
        let mut it = seen(Some(OldAnswer::Replace), Old::Gone);
        for code in ["answer-duplicated", "user-message-lost", "answer-differs"] {
            it.wrong = vec![Wrong::blank(code)];
            assert_eq!(told(&it), violated(code));
        }
        it.wrong = vec![Wrong::blank("wrong-conversation")];
        assert_eq!(told(&it), violated("wrong-conversation"));
        // An edit may begin a conversation of its own.
        it.again = Again::Edited;
        assert_eq!(told(&it), HELD);
        it.again = Again::Regenerated;
        // Rows of the question on several branches are counted by what is shown.
        it.wrong = vec![Wrong::blank("question-duplicated")];
        assert_eq!(told(&it), HELD);
        // What has a finding already has no second one.
        it.wrong = vec![Wrong::blank("user-message-lost")];
        it.stored.questions = 0;
        it.history = None;
        assert_eq!(told(&it), violated("user-message-lost"));
    }

    #[test]
    fn what_was_said_before_stays() {
        let mut it = seen(Some(OldAnswer::Replace), Old::Gone);
        for (is_question, code) in [
            (true, "user-message-lost"),
            (false, "saved-row-changed-later"),
        ] {
            it.lost = vec![Spoilt::Earlier {
                turn: 1,
                is_question,
            }];
            assert_eq!(told(&it), violated(code));
        }
    }

    #[test]
    fn the_conversation_goes_on() {
        let mut it = seen(Some(OldAnswer::Replace), Old::Gone);
        assert_eq!(told(&it), HELD);
        it.following = NextTurn::Wrong(Wrong::blank("never-saved"));
        assert_eq!(told(&it), violated("never-saved"));
        for doubt in [NextDoubt::Late, NextDoubt::Unread, NextDoubt::NotAwaited] {
            it.following = answered(Some(doubt));
            assert_eq!(told(&it), (Verdict::Inconclusive, Vec::new()));
        }
        it.following = NextTurn::Failed("status 500".to_owned());
        assert_eq!(told(&it), violated("next-turn-refused"));
    }

    fn told(seen: &AskedAgain) -> (Verdict, Vec<&'static str>) {
        let judged = judge(seen);
        let codes = judged.findings.iter().map(|finding| finding.code);
        (judged.verdict, codes.collect())
    }

    const HELD: (Verdict, Vec<&str>) = (Verdict::Held, Vec::new());

    fn violated(code: &'static str) -> (Verdict, Vec<&'static str>) {
        (Verdict::Violated, vec![code])
    }

    #[test]
    fn the_old_answer_is_where_the_session_says() {
        let of = |declared, old| told(&seen(Some(declared), old));
        let (keep, replace) = (OldAnswer::Keep, OldAnswer::Replace);
        for old in [Old::Aside, Old::Kept] {
            assert_eq!(of(keep, old), HELD, "{old:?}");
        }
        assert_eq!(of(keep, Old::Gone), violated("old-answer-lost"));
        // Another table may be that of the versions, or a log.
        let elsewhere = of(keep, Old::Elsewhere);
        assert_eq!(elsewhere, (Verdict::Inconclusive, Vec::new()));
        assert_eq!(of(replace, Old::Elsewhere), HELD);
        assert_eq!(of(keep, Old::Shown), violated("old-answer-shown"));
        for old in [Old::Gone, Old::Aside] {
            assert_eq!(of(replace, old), HELD, "{old:?}");
        }
        for old in [Old::Kept, Old::Shown] {
            assert_eq!(of(replace, old), violated("old-answer-shown"), "{old:?}");
        }
    }

    #[test]
    fn without_a_declaration_only_the_model_may_not_get_both() {
        for old in [Old::Gone, Old::Aside, Old::Kept] {
            assert_eq!(told(&seen(None, old)), HELD, "{old:?}");
        }
        let shown = told(&seen(None, Old::Shown));
        assert_eq!(shown, (Verdict::Held, vec!["old-answer-shown"]));
        let mut next = seen(Some(OldAnswer::Keep), Old::Kept);
        next.next = Some(parts(Old::Shown));
        assert_eq!(told(&next), violated("old-answer-shown"));
    }

    #[test]
    fn a_new_answer_is_there_at_the_marker() {
        for (at_marker, expected) in [
            (Some(RowState::Complete), HELD),
            (Some(RowState::Unreadable), HELD),
            (None, HELD),
            (Some(RowState::Incomplete), violated("saved-after-done")),
        ] {
            let mut seen = seen(Some(OldAnswer::Keep), Old::Kept);
            seen.at_marker = at_marker;
            assert_eq!(told(&seen), expected, "{at_marker:?}");
        }
    }

    #[test]
    fn question_and_new_answer_are_there_once() {
        let base = || seen(Some(OldAnswer::Replace), Old::Gone);
        let mut lost = base();
        lost.stored.answer = false;
        lost.history = None;
        assert_eq!(told(&lost), violated("never-saved"));
        for (questions, code) in [(0, "user-message-lost"), (2, "turn-stored-twice")] {
            let mut other = base();
            other.stored.questions = questions;
            assert_eq!(told(&other), violated(code));
        }
        let mut hidden = base();
        hidden.history = Some(Parts {
            answer: false,
            ..parts(Old::Gone)
        });
        assert_eq!(told(&hidden), violated("history-differs"));
        let mut unknown = base();
        unknown.next = Some(Parts {
            answer: false,
            ..parts(Old::Gone)
        });
        assert_eq!(told(&unknown), violated("context-lost"));
        let mut linked = base();
        linked.wrong_parent = Some("it is linked to the old answer".to_owned());
        assert_eq!(told(&linked), violated("branch-broken"));
    }

    #[test]
    fn what_was_not_answered_is_not_judged() {
        let mut refused = seen(None, Old::Gone);
        refused.answered = Answered::Refused(404);
        assert_eq!(judge(&refused).verdict, Verdict::Inconclusive);
        let mut unasked = seen(None, Old::Gone);
        unasked.asked = false;
        assert_eq!(judge(&unasked).verdict, Verdict::Inconclusive);
    }
}
