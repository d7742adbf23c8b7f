//! Judges a turn whose request reached the server twice. Pure.
//!
//! A server that says that its requests are idempotent stores one turn. Others may store two: two requests
//! that are sent on purpose are two turns for all that such a server can know.

use super::judged::{self, Judged};
use super::whole_turn::{self, Wrong};
use crate::model::ProviderEnd;
use crate::report::{Finding, Severity, Source};
use crate::stream::faults::{Doubled, Second};
use std::fmt;

/// What was seen of the turn.
#[derive(Debug, Clone)]
pub struct SentTwice {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// How it was sent twice.
    pub doubled: &'static Doubled,
    /// Whether the session declares that such a request is one turn, and how.
    pub declared: Option<Idempotent>,
    /// How the server's requests to its provider ended.
    pub provider: ProviderEnd,
    /// What each of the two was answered.
    pub answers: [Answered; 2],
    /// How many questions and answers are stored, or why the store could not be read.
    pub stored: Result<Copies, String>,
    /// What is wrong with the rows of its question and its answer.
    pub wrong: Vec<Wrong>,
    /// What the answer to the second request says, where the profile reads it.
    pub told: Option<Told>,
}

/// The text of a response that came to its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Told {
    /// The answer of this turn.
    All,
    /// Less than that.
    Less,
    /// Less than that, and a reload shows all of it.
    Loaded,
    /// An answer that was given in another conversation: its mark.
    Others(String),
}

/// How a session declares that a request that comes twice is one turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Idempotent {
    /// Its request has a key of its own, `{idempotency_key}`.
    ByKey,
    /// It says so: `idempotent = true`.
    Declared,
}

/// What a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answered {
    /// Its connection was cut on purpose.
    Cut,
    /// With the final marker.
    ToTheEnd,
    /// With another status than a chat has.
    Refused(u16),
    /// Otherwise: an error in the stream, or an end without the final marker.
    Otherwise(String),
}

/// How often a turn is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Copies {
    pub questions: usize,
    pub answers: usize,
}

impl fmt::Display for Copies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let times = |count: usize| match count {
            0 => "not stored".to_owned(),
            1 => "stored once".to_owned(),
            count => format!("stored {count} times"),
        };
        let [questions, answers] = [self.questions, self.answers].map(times);
        write!(f, "the question is {questions}, and the answer {answers}")
    }
}

/// Judges one turn.
pub fn judge(seen: &SentTwice) -> Judged {
    shown(seen).unwrap_or_else(|unseen| unseen)
}

fn shown(seen: &SentTwice) -> Result<Judged, Judged> {
    judged::asked(seen.provider)?;
    let copies = *judged::read(&seen.stored)?;
    let mut findings: Vec<_> = [lost(seen, copies), twice(seen, copies), others(seen)]
        .into_iter()
        .flatten()
        .collect();
    let spoilt = spoilt(seen, &findings);
    findings.extend(spoilt);
    let is_short = seen.told == Some(Told::Less) && seen.declared.is_some();
    let doubt = is_short.then(|| {
        "the second request was answered to the end without the whole answer, and it is not known whether the page loads it"
            .to_owned()
    });
    Ok(Judged::by(findings, tell(seen, copies), doubt))
}

fn tell(seen: &SentTwice, copies: Copies) -> String {
    let [first, second] = seen.answers.each_ref().map(|answered| match answered {
        Answered::Cut => "cut".to_owned(),
        Answered::ToTheEnd => "answered to the end".to_owned(),
        Answered::Refused(status) => format!("answered {status}"),
        Answered::Otherwise(how) => how.clone(),
    });
    format!("the first request was {first}, the second {second}; {copies}")
}

/// A turn that was answered to its end is not there.
fn lost(seen: &SentTwice, copies: Copies) -> Option<Finding> {
    let is_answered = seen.answers.contains(&Answered::ToTheEnd);
    let (code, what) = match copies {
        Copies { questions: 0, .. } => ("user-message-lost", "the question"),
        Copies { answers: 0, .. } if is_answered => ("never-saved", "the answer"),
        Copies { .. } => return None,
    };
    let harm = format!("{what} is lost when its request arrives twice");
    let help = "store the turn under its key, and answer the second request with the stored answer";
    let finding = Finding::new(code, Severity::Error, &seen.subject, harm, help);
    Some(
        finding
            .with(Source::Store, tell(seen, copies))
            .in_case(&seen.case),
    )
}

/// What is stored is not what was said, where an answer came to its end.
fn spoilt(seen: &SentTwice, found: &[Finding]) -> Vec<Finding> {
    if !seen.answers.contains(&Answered::ToTheEnd) {
        return Vec::new();
    }
    let harm = "a turn is stored with other content when its request arrives twice";
    let help = "let one of the two requests write the turn, and the other one read it";
    let finding = |it: &Wrong| {
        let finding = Finding::new(it.code, Severity::Error, &seen.subject, harm, help);
        let fact = format!("{}: {}", seen.doubled.name, it.how);
        finding.with(it.source, fact).in_case(&seen.case)
    };
    whole_turn::of_the_texts(&seen.wrong, found)
        .map(finding)
        .collect()
}

/// The second request gets words of somebody else.
fn others(seen: &SentTwice) -> Option<Finding> {
    let Some(Told::Others(mark)) = &seen.told else {
        return None;
    };
    let harm = "a request that arrives twice is answered with the answer of another conversation";
    let help = "look up the stored turn by the request's key, within its conversation";
    let finding = Finding::new(
        "wrong-conversation",
        Severity::Error,
        &seen.subject,
        harm,
        help,
    );
    let fact = format!("{}: the second response holds `{mark}`", seen.doubled.name);
    Some(finding.with(Source::Stream, fact).in_case(&seen.case))
}

fn twice(seen: &SentTwice, copies: Copies) -> Option<Finding> {
    if copies.questions <= 1 && copies.answers <= 1 {
        return None;
    }
    let severity = match (seen.declared, seen.doubled.second) {
        (Some(_), _) => Severity::Error,
        // A user may send the same words twice.
        (None, Second::AfterTheEnd) => return None,
        (None, Second::AtOnce | Second::ToAReplica | Second::AfterACut(_)) => Severity::Warning,
    };
    let harm = "one turn is stored twice when its request arrives twice";
    let help = match seen.declared {
        Some(Idempotent::ByKey) => {
            "store the key with the turn under a unique constraint, and answer a second request with what is stored"
        }
        Some(Idempotent::Declared) | None => {
            "give each turn a key that the client creates, store it under a unique constraint, and send it as `{idempotency_key}`"
        }
    };
    let finding = Finding::new("turn-stored-twice", severity, &seen.subject, harm, help);
    let place = format!("{}: {}", seen.doubled.name, tell(seen, copies));
    Some(finding.with(Source::Store, place).in_case(&seen.case))
}

#[cfg(test)]
mod tests {
    use super::{Answered, Copies, Idempotent, SentTwice, Told, Wrong, judge};
    use crate::model::ProviderEnd;
    use crate::report::{Severity, Verdict};
    use crate::stream::faults::{DOUBLED, Second};

    fn sent(
        way: usize,
        declared: Option<Idempotent>,
        questions: usize,
        answers: usize,
    ) -> SentTwice {
        SentTwice {
            subject: "hello in table message".to_owned(),
            case: "hello/twice".to_owned(),
            doubled: &DOUBLED[way],
            declared,
            provider: ProviderEnd::Whole,
            answers: [Answered::ToTheEnd, Answered::ToTheEnd],
            stored: Ok(Copies { questions, answers }),
            wrong: Vec::new(),
            told: Some(Told::All),
        }
    }

    #[test]
    fn what_is_stored_and_what_is_told_is_the_answer_of_this_turn() {
        let found = |wrong: Option<&'static str>, told: Option<Told>| {
            let wrong = wrong.map(Wrong::blank);
            let judged = judge(&SentTwice {
                wrong: wrong.into_iter().collect(),
                told,
                ..sent(0, Some(Idempotent::ByKey), 1, 1)
            });
            let codes = judged.findings.iter().map(|finding| finding.code);
            (judged.verdict, codes.collect::<Vec<_>>())
        };
        let held = (Verdict::Held, Vec::new());
        assert_eq!(found(None, None), held);
        // How often it is stored is counted by itself.
        assert_eq!(found(Some("answer-duplicated"), None), held);
        let violated = |code: &'static str| (Verdict::Violated, vec![code]);
        assert_eq!(
            found(Some("answer-differs"), None),
            violated("answer-differs")
        );
        assert_eq!(
            found(Some("wrong-conversation"), None),
            violated("wrong-conversation")
        );
        let others = Some(Told::Others("chatctl-a1".to_owned()));
        assert_eq!(found(None, others), violated("wrong-conversation"));
        assert_eq!(found(None, Some(Told::Loaded)), held);
        assert_eq!(
            found(None, Some(Told::Less)),
            (Verdict::Inconclusive, Vec::new())
        );
    }

    #[test]
    fn a_double_is_wrong_where_the_session_says_that_it_is_one_turn() {
        for (way, doubled) in DOUBLED.iter().enumerate() {
            for declared in [Idempotent::ByKey, Idempotent::Declared] {
                let once = judge(&sent(way, Some(declared), 1, 1));
                assert_eq!(once.verdict, Verdict::Held);
                assert!(once.findings.is_empty());
                for (questions, answers) in [(2, 1), (1, 2), (2, 2)] {
                    let twice = judge(&sent(way, Some(declared), questions, answers));
                    assert_eq!(twice.verdict, Verdict::Violated);
                    assert_eq!(twice.findings[0].code, "turn-stored-twice");
                }
            }
            let twice = judge(&sent(way, None, 2, 2));
            assert_eq!(twice.verdict, Verdict::Held);
            let warns = twice.findings.iter().map(|it| it.severity);
            let expected = match doubled.second {
                Second::AfterTheEnd => vec![],
                Second::AtOnce | Second::ToAReplica | Second::AfterACut(_) => {
                    vec![Severity::Warning]
                }
            };
            assert_eq!(warns.collect::<Vec<_>>(), expected, "{}", doubled.name);
        }
    }

    #[test]
    fn what_was_answered_has_to_be_there() {
        let codes = |seen| {
            let judged = judge(&seen);
            judged.findings.first().map(|finding| finding.code)
        };
        assert_eq!(codes(sent(0, None, 0, 1)), Some("user-message-lost"));
        assert_eq!(codes(sent(0, None, 1, 0)), Some("never-saved"));
        // Who refuses the second one while the first continues has promised nothing yet.
        let refused = SentTwice {
            answers: [Answered::Cut, Answered::Refused(409)],
            ..sent(1, None, 1, 0)
        };
        assert_eq!(codes(refused), None);
    }

    #[test]
    fn what_could_not_be_looked_at_is_open() {
        for seen in [
            SentTwice {
                provider: ProviderEnd::Open,
                ..sent(0, None, 1, 1)
            },
            SentTwice {
                provider: ProviderEnd::NotAsked,
                ..sent(0, None, 1, 1)
            },
            SentTwice {
                stored: Err("locked".to_owned()),
                ..sent(0, None, 1, 1)
            },
        ] {
            assert_eq!(judge(&seen).verdict, Verdict::Inconclusive);
        }
    }
}
