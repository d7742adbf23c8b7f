//! Judges turns that continue while the client of another turn leaves, or its user presses stop. Pure.
//!
//! Nobody ended these turns: each answer has to be complete, in the store and for its client.

use super::ended_early::{Cause, ClientSaw};
use super::judged::{self, Judged, LATE};
use crate::report::{Finding, Severity, Source};
use crate::stream::kept::AnswerFate;
use crate::text::plural;

/// What was seen.
#[derive(Debug, Clone)]
pub struct EndedAmongOthers {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// How the one turn ended.
    pub cause: Cause,
    /// The turns of other chats that were being answered at that moment.
    pub others: Vec<Other>,
}

/// A turn that continues.
#[derive(Debug, Clone)]
pub struct Other {
    /// Its chat, from 1.
    pub chat: usize,
    /// What its client had received in the end.
    pub client: ClientSaw,
    /// What the store holds of it, or why it could not be read.
    pub stored: Result<Held, String>,
    /// Whether that came only after the settling time.
    pub came_late: bool,
}

/// What the store holds of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Whether its question is there.
    pub question: bool,
    /// What became of its answer.
    pub answer: AnswerFate,
}

/// Judges them.
pub fn judge(seen: &EndedAmongOthers) -> Judged {
    shown(seen).unwrap_or_else(|unseen| unseen)
}

fn shown(seen: &EndedAmongOthers) -> Result<Judged, Judged> {
    if seen.others.is_empty() {
        return Err(Judged::unseen(
            "no other turn was being answered at that moment",
        ));
    }
    let mut findings = Vec::new();
    for other in &seen.others {
        let held = judged::read(&other.stored)?;
        findings.extend(question(seen, other, held));
        findings.extend(answer(seen, other, held));
    }
    let is_late = seen.others.iter().any(|other| other.came_late);
    let whole = seen.others.iter().filter(|other| is_whole(other)).count();
    let reason = format!(
        "{}: {whole} of {} in other conversations are stored completely",
        match seen.cause {
            Cause::Stopped => "the user stopped one answer",
            Cause::Left(_) | Cause::Restarted(_) => "the client left one answer",
        },
        plural(seen.others.len() as u64, "answer"),
    );
    Ok(Judged::by(findings, reason, is_late.then_some(LATE)))
}

fn is_whole(other: &Other) -> bool {
    let held = other.stored.as_ref();
    held.is_ok_and(|held| held.question && held.answer == AnswerFate::Whole)
}

/// The code, and what happens to whom.
const fn words(cause: Cause) -> (&'static str, &'static str) {
    match cause {
        Cause::Stopped => (
            "answer-lost-on-stop",
            "when the user presses stop in another conversation",
        ),
        Cause::Left(_) | Cause::Restarted(_) => (
            "answer-lost-on-disconnect",
            "when the client leaves another conversation",
        ),
    }
}

fn finding(
    seen: &EndedAmongOthers,
    code: &'static str,
    severity: Severity,
    harm: String,
) -> Finding {
    let help = match seen.cause {
        Cause::Stopped => {
            "keep one stop signal per turn, find it by the conversation's key, and never use a flag or a list \
                of the whole process"
        }
        Cause::Left(_) | Cause::Restarted(_) => {
            "let a turn that ends close only what it opened itself: a client, a pool or a task group that turns \
                share stays open"
        }
    };
    Finding::new(code, severity, &seen.subject, harm, help).in_case(&seen.case)
}

fn question(seen: &EndedAmongOthers, other: &Other, held: &Held) -> Option<Finding> {
    if held.question {
        return None;
    }
    let harm = format!("a question is lost {}", words(seen.cause).1);
    let fact = format!("chat {}: no row holds the question", other.chat);
    let finding = finding(seen, "user-message-lost", Severity::Error, harm);
    Some(finding.with(Source::Store, fact))
}

fn answer(seen: &EndedAmongOthers, other: &Other, held: &Held) -> Option<Finding> {
    let (code, when) = words(seen.cause);
    let ClientSaw { characters, of, .. } = other.client;
    let (severity, code, harm, source, stored) = match &held.answer {
        AnswerFate::Unknown(_) => return None,
        AnswerFate::Whole if characters.is_none_or(|characters| characters >= of) => return None,
        // A reload shows all of it.
        AnswerFate::Whole => (
            Severity::Warning,
            "stream-text-differs",
            format!("a response ends in the middle of its answer {when}"),
            Source::Stream,
            "all of the answer is stored".to_owned(),
        ),
        AnswerFate::Cut {
            characters: part, ..
        } => (
            Severity::Error,
            code,
            format!("a part of an answer is lost {when}"),
            Source::Store,
            format!("{part} of the answer's {of} characters are stored"),
        ),
        AnswerFate::Nothing => (
            Severity::Error,
            code,
            format!("an answer is lost {when}"),
            Source::Store,
            "nothing of the answer is stored".to_owned(),
        ),
    };
    let client = characters.map_or(String::new(), |characters| {
        format!("; its client received {characters} characters")
    });
    let fact = format!("chat {}: {stored}{client}", other.chat);
    Some(finding(seen, code, severity, harm).with(source, fact))
}

#[cfg(test)]
mod tests {
    use super::{EndedAmongOthers, Held, Other, judge};
    use crate::report::{Severity, Verdict};
    use crate::stream::faults::Way;
    use crate::stream::judge::ended_early::{Cause, ClientSaw};
    use crate::stream::kept::{AnswerFate, Marked};

    fn other(characters: usize, question: bool, answer: AnswerFate) -> Other {
        Other {
            chat: 1,
            client: ClientSaw {
                characters: Some(characters),
                of: 40,
                marker: true,
            },
            stored: Ok(Held { question, answer }),
            came_late: false,
        }
    }

    fn told(cause: Cause, others: Vec<Other>) -> (Verdict, Vec<(&'static str, Severity)>) {
        let judged = judge(&EndedAmongOthers {
            subject: "a session".to_owned(),
            case: "a case".to_owned(),
            cause,
            others,
        });
        let found = judged.findings.iter();
        (
            judged.verdict,
            found.map(|it| (it.code, it.severity)).collect(),
        )
    }

    const CUT: AnswerFate = AnswerFate::Cut {
        characters: 20,
        marked: Marked::No,
    };

    #[test]
    fn whole_answers_of_others_are_right() {
        let whole = || other(40, true, AnswerFate::Whole);
        for cause in [Cause::Stopped, Cause::Left(Way::Fin)] {
            assert_eq!(
                told(cause, vec![whole(), whole()]),
                (Verdict::Held, Vec::new())
            );
            assert_eq!(told(cause, Vec::new()).0, Verdict::Inconclusive);
        }
        let mut late = whole();
        late.came_late = true;
        assert_eq!(told(Cause::Stopped, vec![late]).0, Verdict::Inconclusive);
        let mut unread = whole();
        unread.client.characters = None;
        assert_eq!(told(Cause::Stopped, vec![unread]).0, Verdict::Held);
    }

    #[test]
    fn an_answer_that_another_turn_ends_is_lost() {
        for (cause, code) in [
            (Cause::Stopped, "answer-lost-on-stop"),
            (Cause::Left(Way::Fin), "answer-lost-on-disconnect"),
        ] {
            for fate in [AnswerFate::Nothing, CUT] {
                let others = vec![
                    other(40, true, AnswerFate::Whole),
                    other(20, true, fate.clone()),
                ];
                let expected = (Verdict::Violated, vec![(code, Severity::Error)]);
                assert_eq!(told(cause, others), expected, "{fate:?}");
            }
            let lost = told(cause, vec![other(40, false, AnswerFate::Whole)]);
            assert_eq!(lost.1, [("user-message-lost", Severity::Error)]);
            // All of it is there after a reload.
            let cut = told(cause, vec![other(20, true, AnswerFate::Whole)]);
            let warning = vec![("stream-text-differs", Severity::Warning)];
            assert_eq!(cut, (Verdict::Held, warning));
        }
    }
}
