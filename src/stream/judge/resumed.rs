//! Judges a turn whose client lost the connection and resumed. Pure.
//!
//! However far the client had come, it has to have the whole answer in the end, and nothing of it twice; the turn is
//! stored once. When the answer is over, a server may have nothing to resume: the page then loads what is stored.

use super::judged::{self, Judged};
use super::sent_twice::Copies;
use super::whole_turn::{self, Wrong};
use crate::model::ProviderEnd;
use crate::report::{Finding, Severity, Source};
use crate::stream::faults::{Moment, Resuming};
use crate::stream::kept;

/// Statuses that say something of the client and not of the answer.
const OF_THE_CLIENT: [u16; 3] = [401, 403, 429];
/// Statuses by which a server says that there is nothing to resume.
const NOTHING: [u16; 3] = [204, 404, 410];

/// What was seen of the turn.
#[derive(Debug, Clone)]
pub struct Resumed {
    /// What findings are about: the session, and its table.
    pub subject: String,
    pub case: String,
    /// The turn's number, from 1.
    pub turn: usize,
    /// Where the connection ended, and when the client resumed.
    pub resuming: Resuming,
    /// The final marker, in words.
    pub marker: String,
    /// What the turn was doing when the resume was answered.
    pub run: Run,
    /// How the server's requests to its provider ended.
    pub provider: ProviderEnd,
    /// What the provider said.
    pub answer: String,
    /// Whether the final marker came, before or after.
    pub is_promised: bool,
    /// What the resume was answered.
    pub reply: Reply,
    /// How many questions and answers are stored, or why the store could not be read.
    pub stored: Result<Copies, String>,
    /// Whether its conversation has no row of its own, and others have one.
    pub lacks_head: bool,
    /// Whether the history shows its question; absent where the session has none, or nobody looked.
    pub is_shown: Option<bool>,
    /// What is wrong with the rows of its question and its answer.
    pub wrong: Vec<Wrong>,
}

/// What a turn is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Run {
    /// Its server reads the provider's answer.
    Running,
    /// Its server ended it in mid-answer.
    GivenUp,
    /// It is over, or may be.
    Over,
}

/// What a resume was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// A status other than 2xx, or 204, and what was said with it.
    Status(u16, String),
    /// No to a page that connects again, as one who is not logged in gets it.
    NotLetIn(String),
    /// A response that broke off.
    BrokenOff(String),
    /// A response that could not be read.
    Unreadable(String),
    Stream {
        /// The answer as the client has it then.
        text: String,
        /// Whether the stream had any text.
        adds_text: bool,
        /// Whether it had the final marker.
        has_marker: bool,
        /// Whether it came to its end.
        is_over: bool,
    },
}

/// Judges one turn.
pub fn judge(seen: &Resumed) -> Judged {
    shown(seen).unwrap_or_else(|unseen| unseen)
}

fn shown(seen: &Resumed) -> Result<Judged, Judged> {
    judged::asked(seen.provider)?;
    match &seen.reply {
        Reply::Unreadable(why) => {
            return Err(Judged::unseen(format!(
                "the resumed response can't be read: {why}"
            )));
        }
        Reply::Status(status, said) if OF_THE_CLIENT.contains(status) => {
            return Err(Judged::unseen(format!(
                "the resume was answered {status}: {said}"
            )));
        }
        Reply::NotLetIn(why) => {
            return Err(Judged::unseen(format!(
                "the server refused the connection of the resume, perhaps because of who asks: {why}"
            )));
        }
        Reply::Stream {
            has_marker: false,
            is_over: false,
            adds_text,
            ..
        } if *adds_text || must_have_text(seen) => {
            return Err(Judged::unseen(
                "the resumed response did not come to its end in time",
            ));
        }
        Reply::Status(..) | Reply::BrokenOff(_) | Reply::Stream { .. } => {}
    }
    let copies = *judged::read(&seen.stored)?;
    let found = [
        refused(seen),
        text(seen),
        end(seen),
        stored(seen, copies),
        head(seen, copies),
    ];
    let mut findings: Vec<_> = found.into_iter().flatten().collect();
    let spoilt = spoilt(seen, &findings);
    findings.extend(spoilt);
    Ok(Judged::by(findings, tell(seen, copies), None::<&str>))
}

/// Whether the client has to get the answer from the resume: it is not over, so nobody else has it.
fn must_have_text(seen: &Resumed) -> bool {
    match (seen.resuming.moment, seen.run) {
        (Moment::During, Run::Running | Run::GivenUp) => true,
        (Moment::During, Run::Over) | (Moment::Later | Moment::AfterTheEnd, _) => false,
    }
}

fn tell(seen: &Resumed, copies: Copies) -> String {
    format!("{}; {copies}", reply(seen))
}

/// What the client got.
fn reply(seen: &Resumed) -> String {
    match &seen.reply {
        Reply::Status(204, _) => "the resume was answered 204".to_owned(),
        Reply::Status(status, said) => format!("the resume was answered {status}: {said}"),
        Reply::BrokenOff(why) => format!("the resumed response broke off: {why}"),
        Reply::NotLetIn(why) | Reply::Unreadable(why) => why.clone(),
        Reply::Stream {
            adds_text: false, ..
        } => "the resumed response has no text".to_owned(),
        Reply::Stream { text, .. } => match kept::differs_after(text, &seen.answer) {
            None => "the client has the whole answer".to_owned(),
            Some(same) => format!(
                "the client has {} characters of an answer of {}, and they differ after character {same}",
                text.trim().chars().count(),
                seen.answer.trim().chars().count(),
            ),
        },
    }
}

fn finding(seen: &Resumed, code: &'static str, harm: &str, help: &str, source: Source) -> Finding {
    let finding = Finding::new(code, Severity::Error, &seen.subject, harm, help);
    let during = match seen.run {
        Run::Running => ", while the provider still answered",
        Run::GivenUp => ", and the server had ended the turn when the client left",
        Run::Over => "",
    };
    let fact = format!(
        "turn {}, {}: {}{during}",
        seen.turn,
        seen.resuming,
        reply(seen)
    );
    finding.with(source, fact).in_case(&seen.case)
}

/// The client gets nothing of an answer that is under way.
fn refused(seen: &Resumed) -> Option<Finding> {
    let is_refused = match &seen.reply {
        Reply::Status(status, _) if NOTHING.contains(status) => must_have_text(seen),
        Reply::Status(..) | Reply::BrokenOff(_) => true,
        Reply::Stream { adds_text, .. } => {
            // A text that was whole before has nothing to add.
            !adds_text && must_have_text(seen) && text_of(seen).is_some()
        }
        Reply::NotLetIn(_) | Reply::Unreadable(_) => false,
    };
    is_refused.then(|| {
        finding(
            seen,
            "resume-refused",
            "a page that reconnects in mid-answer gets no part of the answer",
            "keep each turn's events under its id until it is stored, and answer a reconnect with them",
            Source::Stream,
        )
    })
}

/// What is stored is not what was said, though the client got all of it.
fn spoilt(seen: &Resumed, found: &[Finding]) -> Vec<Finding> {
    if !seen.is_promised {
        return Vec::new();
    }
    let harm = "a turn whose client reconnected is stored with other content";
    let help = "save the turn in the task that runs it, and not in the handler of a connection";
    let of_texts = whole_turn::of_the_texts(&seen.wrong, found);
    let said =
        |it: &Wrong| finding(seen, it.code, harm, help, Source::Stream).with(it.source, &it.how);
    of_texts.map(said).collect()
}

/// Where the client's text differs from the answer.
fn text_of(seen: &Resumed) -> Option<usize> {
    match &seen.reply {
        Reply::Stream { text, .. } => kept::differs_after(text, &seen.answer),
        Reply::Status(..) | Reply::NotLetIn(_) | Reply::BrokenOff(_) | Reply::Unreadable(_) => None,
    }
}

/// The client gets another text than the provider said.
fn text(seen: &Resumed) -> Option<Finding> {
    let Reply::Stream {
        adds_text: true, ..
    } = seen.reply
    else {
        return None;
    };
    text_of(seen)?;
    Some(finding(
        seen,
        "resume-text-differs",
        "a page that reconnects in mid-answer shows a text that differs from the answer",
        "number the events, keep them until the turn is stored, and send exactly those that follow the client's last one",
        Source::Stream,
    ))
}

/// The resumed response ends, and the client can't know that the answer does.
fn end(seen: &Resumed) -> Option<Finding> {
    let Reply::Stream {
        adds_text: true,
        has_marker: false,
        is_over: true,
        ..
    } = seen.reply
    else {
        return None;
    };
    let harm = format!("a resumed response ends without `{}`", seen.marker);
    let help = "send the final marker to resumed connections, too";
    let is_whole = text_of(seen).is_none() && seen.resuming.moment != Moment::AfterTheEnd;
    is_whole.then(|| finding(seen, "done-missing", &harm, help, Source::Stream))
}

/// The turn is not stored, or more than once.
fn stored(seen: &Resumed, copies: Copies) -> Option<Finding> {
    let (code, harm, help) = match copies {
        Copies { questions: 0, .. } => (
            "user-message-lost",
            "the question is lost when the client resumes its answer",
            "commit the user's message before the provider is called",
        ),
        Copies { answers: 0, .. } if seen.is_promised => (
            "never-saved",
            "the answer is lost when the client resumes it",
            "run the turn in a separate task, to which every response only listens, and save at its end",
        ),
        Copies { questions, answers } if questions > 1 || answers > 1 => (
            "turn-stored-twice",
            "one turn is stored twice when the client resumes its answer",
            "let a resume subscribe to the running turn, and start nothing",
        ),
        Copies { .. } => return None,
    };
    let finding = Finding::new(code, Severity::Error, &seen.subject, harm, help);
    let fact = format!(
        "turn {}, {}: {}",
        seen.turn,
        seen.resuming,
        tell(seen, copies)
    );
    Some(finding.with(Source::Store, fact).in_case(&seen.case))
}

/// No list shows the conversation.
fn head(seen: &Resumed, copies: Copies) -> Option<Finding> {
    if !seen.lacks_head || copies.questions == 0 {
        return None;
    }
    let severity = match seen.is_shown {
        Some(true) => Severity::Warning,
        Some(false) | None => Severity::Error,
    };
    let harm = "the conversation of a resumed turn has no row that a list shows";
    let code = "user-message-lost";
    let finding = Finding::new(code, severity, &seen.subject, harm, judged::MAKE_HEAD);
    let fact = format!("turn {}, {}: {}", seen.turn, seen.resuming, judged::NO_HEAD);
    Some(finding.with(Source::Store, fact).in_case(&seen.case))
}

#[cfg(test)]
mod tests {
    use super::{Copies, Reply, Resumed, Run, judge};
    use crate::model::ProviderEnd;
    use crate::report::Verdict;
    use crate::stream::faults::{Moment, Point, Resuming};

    const ANSWER: &str = "Task 'Buy milk' has been added. chatctl-a77";

    fn seen(moment: Moment, run: Run, reply: Reply) -> Resumed {
        Resumed {
            subject: "hello in table message".to_owned(),
            case: "hello/resumed".to_owned(),
            turn: 1,
            resuming: Resuming {
                point: Point::Event(2),
                moment,
            },
            marker: "[DONE]".to_owned(),
            run,
            provider: ProviderEnd::Whole,
            answer: ANSWER.to_owned(),
            is_promised: true,
            reply,
            stored: Ok(Copies {
                questions: 1,
                answers: 1,
            }),
            lacks_head: false,
            is_shown: None,
            wrong: Vec::new(),
        }
    }

    fn stream(text: &str) -> Reply {
        Reply::Stream {
            text: text.to_owned(),
            adds_text: true,
            has_marker: true,
            is_over: true,
        }
    }

    fn told(seen: &Resumed) -> (Verdict, Vec<&'static str>) {
        let judged = judge(seen);
        let codes = judged.findings.iter().map(|finding| finding.code);
        (judged.verdict, codes.collect())
    }

    const HELD: (Verdict, Vec<&str>) = (Verdict::Held, Vec::new());
    const OPEN: (Verdict, Vec<&str>) = (Verdict::Inconclusive, Vec::new());

    fn violated(code: &'static str) -> (Verdict, Vec<&'static str>) {
        (Verdict::Violated, vec![code])
    }

    #[test]
    fn the_text_has_to_be_whole_and_nothing_twice() {
        for moment in [Moment::During, Moment::Later, Moment::AfterTheEnd] {
            let told = |text: &str| told(&seen(moment, Run::Running, stream(text)));
            assert_eq!(told(ANSWER), HELD);
            // White space is nobody's loss.
            assert_eq!(told(&ANSWER.replace(' ', "  ")), HELD);
            let hole = ANSWER.replace("Buy ", "");
            let twice = ANSWER.replace("Buy ", "Buy Buy ");
            for wrong in [&hole, &twice, &format!("{ANSWER}7"), &ANSWER[1..]] {
                assert_eq!(told(wrong), violated("resume-text-differs"), "{wrong}");
            }
        }
    }

    #[test]
    fn a_conversation_without_its_row_is_found() {
        let told = |is_shown| {
            let reply = stream(ANSWER);
            told(&Resumed {
                lacks_head: true,
                is_shown,
                ..seen(Moment::Later, Run::Over, reply)
            })
        };
        let lost = "user-message-lost";
        assert_eq!(told(None), violated(lost));
        assert_eq!(told(Some(false)), violated(lost));
        // The page still finds it by its address.
        assert_eq!(told(Some(true)), (Verdict::Held, vec![lost]));
    }

    #[test]
    fn nothing_to_resume_is_right_when_the_answer_is_over() {
        for status in [204, 404, 410] {
            let told = |moment, run| told(&seen(moment, run, Reply::Status(status, String::new())));
            assert_eq!(told(Moment::Later, Run::Over), HELD);
            assert_eq!(told(Moment::AfterTheEnd, Run::Over), HELD);
            // The answer was over before the resume came, or may have been.
            assert_eq!(told(Moment::During, Run::Over), HELD);
            assert_eq!(
                told(Moment::During, Run::Running),
                violated("resume-refused")
            );
            assert_eq!(
                told(Moment::During, Run::GivenUp),
                violated("resume-refused")
            );
        }
        let status = |status| {
            let reply = Reply::Status(status, "no".to_owned());
            told(&seen(Moment::Later, Run::Over, reply))
        };
        assert_eq!(status(500), violated("resume-refused"));
        assert_eq!(status(401), OPEN);
        let reply = |reply: fn(String) -> Reply| {
            told(&seen(Moment::During, Run::Running, reply("no".to_owned())))
        };
        assert_eq!(reply(Reply::BrokenOff), violated("resume-refused"));
        // One of Socket.IO is refused for want of a log-in, too.
        assert_eq!(reply(Reply::NotLetIn), OPEN);
    }

    #[test]
    fn a_response_without_text_is_nothing_to_resume() {
        let silent = |is_over| Reply::Stream {
            text: ANSWER[..12].to_owned(),
            adds_text: false,
            has_marker: false,
            is_over,
        };
        let of = |moment, run, is_over| told(&seen(moment, run, silent(is_over)));
        for is_over in [true, false] {
            assert_eq!(of(Moment::Later, Run::Over, is_over), HELD);
        }
        let refused = violated("resume-refused");
        assert_eq!(of(Moment::During, Run::Running, true), refused);
        assert_eq!(of(Moment::During, Run::Running, false), OPEN);
    }

    #[test]
    fn what_has_no_end_is_not_judged_or_found() {
        let reply = |is_over| Reply::Stream {
            text: ANSWER.to_owned(),
            adds_text: true,
            has_marker: false,
            is_over,
        };
        let of = |is_over| told(&seen(Moment::During, Run::Running, reply(is_over)));
        assert_eq!(of(true), violated("done-missing"));
        assert_eq!(of(false), OPEN);
    }

    #[test]
    fn the_turn_is_stored_once() {
        let of = |questions, answers| {
            let mut seen = seen(Moment::During, Run::Running, stream(ANSWER));
            seen.stored = Ok(Copies { questions, answers });
            told(&seen)
        };
        assert_eq!(of(1, 1), HELD);
        assert_eq!(of(0, 1), violated("user-message-lost"));
        assert_eq!(of(1, 0), violated("never-saved"));
        for (questions, answers) in [(2, 1), (1, 2)] {
            assert_eq!(of(questions, answers), violated("turn-stored-twice"));
        }
    }

    #[test]
    fn what_nobody_knows_is_not_judged() {
        let mut open = seen(Moment::During, Run::Running, stream(""));
        open.provider = ProviderEnd::Open;
        assert_eq!(told(&open), OPEN);
        let mut unread = seen(Moment::During, Run::Running, stream(ANSWER));
        unread.stored = Err("locked".to_owned());
        assert_eq!(told(&unread), OPEN);
    }
}
