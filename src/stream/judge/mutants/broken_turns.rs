//! Turns that are interrupted, resumed or sent twice, and turns whose provider fails.

use super::{Mutant, word};
use crate::model::ProviderEnd;
use crate::report::{Finding, Severity};
use crate::stream::faults::{DOUBLED, Moment, Point, Resuming, Way};
use crate::stream::judge;
use crate::stream::judge::ended_early::{
    self, Cause, ClientSaw, EndedEarly, NextTurn, Reload, Spoilt, Stored,
};
use crate::stream::judge::provider_faults::{self, ClientTold, ProviderFailed, ResponseEnd, Said};
use crate::stream::judge::resumed::{Reply, Resumed, Run};
use crate::stream::judge::sent_twice::{self, Answered, Copies, Idempotent, SentTwice};
use crate::stream::judge::whole_turn::Wrong;
use crate::stream::kept::{AnswerFate, Marked};
use crate::stream::policy::{Keep, ON_DISCONNECT, ON_STOP};
use fastrand::Rng;

const LENGTH: usize = 60;

fn next_is(code: &'static str) -> NextTurn {
    NextTurn::Wrong(Wrong::blank(code))
}

fn known() -> NextTurn {
    NextTurn::Answered {
        question: true,
        answer: true,
        answer_later: true,
        doubt: None,
    }
}

fn interrupted() -> Marked {
    Marked::Status("interrupted".to_owned())
}

/// A turn that was left or stopped somewhere, and what was declared of it is stored.
fn left(rng: &mut Rng) -> EndedEarly {
    let (cause, policies) = if rng.bool() {
        (
            Cause::Left(Way::ALL[rng.usize(..Way::ALL.len())]),
            &ON_DISCONNECT,
        )
    } else {
        (Cause::Stopped, &ON_STOP)
    };
    let policy = &policies[rng.usize(..3)];
    let seen = rng.usize(2..LENGTH);
    let answer = match policy.keep {
        Keep::Whole => AnswerFate::Whole,
        Keep::Part => AnswerFate::Cut {
            characters: rng.usize(seen..LENGTH),
            marked: interrupted(),
        },
        Keep::Nothing => AnswerFate::Nothing,
    };
    EndedEarly {
        subject: "mutants".to_owned(),
        case: "mutants/left".to_owned(),
        turn: 1,
        cause,
        point: Point::Event(rng.usize(1..4)),
        to_come: rng.usize(2..5),
        policy: Some(policy),
        marker: "[DONE]".to_owned(),
        met: Ok(()),
        provider: ProviderEnd::HungUp { chunks: 2 },
        client: ClientSaw {
            characters: Some(seen),
            of: LENGTH,
            marker: false,
        },
        stored: Ok(Stored {
            question: true,
            answer,
            is_verbatim: true,
            tells_whole: true,
            open: None,
            copies: Vec::new(),
            altered: None,
            spoilt: Vec::new(),
        }),
        came_late: false,
        reload: Some(Reload::Shows {
            question: true,
            answer: true,
        }),
        next: Some(known()),
    }
}

/// The same where the answer has to be kept.
fn kept(rng: &mut Rng) -> EndedEarly {
    loop {
        let turn = left(rng);
        let stored = turn.stored.as_ref().map(|it| &it.answer);
        if stored != Ok(&AnswerFate::Nothing) && matches!(turn.cause, Cause::Left(_)) {
            return turn;
        }
    }
}

fn stored(turn: &mut EndedEarly) -> &mut Stored {
    turn.stored.as_mut().unwrap()
}

fn errors(findings: Vec<Finding>) -> Vec<&'static str> {
    let errors = findings.into_iter();
    let errors = errors.filter(|finding| finding.severity == Severity::Error);
    errors.map(|finding| finding.code).collect()
}

fn astray(conversation: Option<String>) -> Spoilt {
    Spoilt::AnswerAstray {
        row: "7".to_owned(),
        conversation,
    }
}

fn earlier(is_question: bool) -> Spoilt {
    Spoilt::Earlier {
        turn: 1,
        is_question,
    }
}

pub(super) fn of_leaving() -> String {
    let caught = |turn: &EndedEarly| errors(ended_early::judge(turn).findings);
    super::table("left or stopped", left, caught, STOPPED)
        + &super::table("left", kept, caught, LEFT)
}

const STOPPED: &[Mutant<EndedEarly>] = &[
    Mutant {
        what: "the question's row is dropped",
        owner: "user-message-lost",
        mutate: |turn, _| stored(turn).question = false,
    },
    Mutant {
        what: "a row stays in progress",
        owner: "stuck-streaming",
        mutate: |turn, _| stored(turn).open = Some("7".to_owned()),
    },
    Mutant {
        what: "the answer is stored twice",
        owner: "answer-duplicated",
        mutate: |turn, _| stored(turn).copies = vec!["7".to_owned(), "8".to_owned()],
    },
    Mutant {
        what: "words of the answer are doubled",
        owner: "answer-differs",
        mutate: |turn, rng| stored(turn).altered = Some(word(rng)),
    },
    Mutant {
        what: "a part of the question is stored",
        owner: "user-message-lost",
        mutate: |turn, rng| stored(turn).spoilt = vec![Spoilt::QuestionCut(word(rng))],
    },
    Mutant {
        what: "the question is in no conversation",
        owner: "user-message-lost",
        mutate: |turn, rng| {
            turn.reload = None;
            stored(turn).spoilt = vec![Spoilt::QuestionNowhere(word(rng))];
        },
    },
    Mutant {
        what: "the conversation has no row of its own",
        owner: "user-message-lost",
        mutate: |turn, _| {
            turn.reload = None;
            stored(turn).spoilt = vec![Spoilt::Head];
        },
    },
    Mutant {
        what: "the answer is in another conversation",
        owner: "wrong-conversation",
        mutate: |turn, rng| {
            turn.reload = None;
            stored(turn).spoilt = vec![astray(Some(word(rng)))];
        },
    },
    Mutant {
        what: "the question is stored twice",
        owner: "question-duplicated",
        mutate: |turn, _| {
            let keys = vec!["7".to_owned(), "8".to_owned()];
            stored(turn).spoilt = vec![Spoilt::QuestionTwice(keys)];
        },
    },
    Mutant {
        what: "the question of an earlier turn is gone",
        owner: "user-message-lost",
        mutate: |turn, _| stored(turn).spoilt = vec![earlier(true)],
    },
    Mutant {
        what: "words of the server's own are stored as an answer",
        owner: "error-text-as-answer",
        mutate: |turn, rng| stored(turn).spoilt = vec![Spoilt::Note(word(rng))],
    },
    Mutant {
        what: "the next turn is refused",
        owner: "next-turn-refused",
        mutate: |turn, _| {
            turn.next = Some(NextTurn::Refused {
                status: 409,
                said: String::new(),
            });
        },
    },
    Mutant {
        what: "the next turn's answer is in no row",
        owner: "never-saved",
        mutate: |turn, _| turn.next = Some(next_is("never-saved")),
    },
    Mutant {
        what: "the next turn's answer is stored with other words",
        owner: "answer-differs",
        mutate: |turn, _| turn.next = Some(next_is("answer-differs")),
    },
    Mutant {
        what: "the next turn's question is in no row",
        owner: "user-message-lost",
        mutate: |turn, _| turn.next = Some(next_is("user-message-lost")),
    },
    Mutant {
        what: "the history can't be read",
        owner: "history-differs",
        mutate: |turn, _| turn.reload = Some(Reload::Unreadable("status 500".to_owned())),
    },
];

const LEFT: &[Mutant<EndedEarly>] = &[
    Mutant {
        what: "the answer's row is dropped",
        owner: "answer-lost-on-disconnect",
        mutate: |turn, _| stored(turn).answer = AnswerFate::Nothing,
    },
    Mutant {
        what: "the answer is in no conversation",
        owner: "answer-lost-on-disconnect",
        mutate: |turn, _| {
            turn.reload = None;
            stored(turn).spoilt = vec![astray(None)];
        },
    },
    Mutant {
        what: "the answer of an earlier turn is gone",
        owner: "answer-lost-on-disconnect",
        mutate: |turn, _| stored(turn).spoilt = vec![earlier(false)],
    },
    Mutant {
        what: "less is stored than the client had seen",
        owner: "answer-lost-on-disconnect",
        mutate: |turn, rng| {
            let seen = turn.client.characters.unwrap();
            stored(turn).answer = AnswerFate::Cut {
                characters: rng.usize(1..seen),
                marked: interrupted(),
            };
        },
    },
    Mutant {
        what: "the final marker had come, and the answer is not there",
        owner: "saved-after-done",
        mutate: |turn, _| {
            turn.client.marker = true;
            turn.point = Point::FinalMarker;
            stored(turn).answer = AnswerFate::Nothing;
        },
    },
    Mutant {
        what: "the part has the status of a whole answer",
        owner: "part-stored-as-whole",
        mutate: |turn, _| {
            turn.policy = Some(&ON_DISCONNECT[1]);
            stored(turn).answer = AnswerFate::Cut {
                characters: LENGTH - 1,
                marked: Marked::No,
            };
        },
    },
    Mutant {
        what: "the next request lacks what is stored",
        owner: "context-lost",
        mutate: |turn, rng| {
            let question = rng.bool();
            turn.next = Some(NextTurn::Answered {
                question,
                answer: !question,
                answer_later: !question,
                doubt: None,
            });
        },
    },
];

/// A turn whose server was stopped in the middle of it, and which was put in order at the next start.
fn restarted(rng: &mut Rng) -> EndedEarly {
    EndedEarly {
        cause: Cause::Restarted("within a tool call"),
        policy: None,
        reload: None,
        ..left(rng)
    }
}

pub(super) fn of_restarts() -> String {
    let caught = |turn: &EndedEarly| {
        let found = ended_early::judge(turn).findings.into_iter();
        found.map(|finding| finding.code).collect()
    };
    super::table("restarted", restarted, caught, RESTARTED)
}

const RESTARTED: &[Mutant<EndedEarly>] = &[
    Mutant {
        what: "a row stays in progress",
        owner: "stuck-streaming",
        mutate: |turn, _| stored(turn).open = Some("7".to_owned()),
    },
    Mutant {
        what: "the next turn is refused",
        owner: "next-turn-refused",
        mutate: |turn, _| turn.next = Some(NextTurn::Failed("status 500".to_owned())),
    },
    Mutant {
        what: "the part has the status of a whole answer",
        owner: "part-stored-as-whole",
        mutate: |turn, rng| {
            stored(turn).answer = AnswerFate::Cut {
                characters: rng.usize(1..LENGTH),
                marked: Marked::No,
            };
        },
    },
    Mutant {
        what: "the next request lacks what is stored",
        owner: "context-lost",
        mutate: |turn, rng| {
            let question = rng.bool();
            turn.next = Some(NextTurn::Answered {
                question,
                answer: !question,
                answer_later: !question,
                doubt: None,
            });
        },
    },
];

const ANSWER: &str = "Task 'Buy milk' has been added.";

/// A client that resumed has the whole answer, which is stored once.
fn resumed(rng: &mut Rng) -> Resumed {
    let moments = [Moment::During, Moment::Later];
    Resumed {
        subject: "mutants".to_owned(),
        case: "mutants/resumed".to_owned(),
        turn: 1,
        resuming: Resuming {
            point: Point::Event(rng.usize(1..4)),
            moment: moments[rng.usize(..2)],
        },
        marker: "[DONE]".to_owned(),
        run: Run::Running,
        provider: ProviderEnd::Whole,
        answer: ANSWER.to_owned(),
        is_promised: true,
        reply: Reply::Stream {
            text: ANSWER.to_owned(),
            adds_text: true,
            has_marker: true,
            is_over: true,
        },
        stored: Ok(Copies {
            questions: 1,
            answers: 1,
        }),
        wrong: Vec::new(),
    }
}

pub(super) fn of_resumes() -> String {
    let caught = |turn: &Resumed| errors(judge::resumed::judge(turn).findings);
    super::table("resumed", resumed, caught, RESUMED)
}

fn with_text(turn: &mut Resumed, text: String) {
    turn.reply = Reply::Stream {
        text,
        adds_text: true,
        has_marker: true,
        is_over: true,
    };
}

const RESUMED: &[Mutant<Resumed>] = &[
    Mutant {
        what: "the text is cut by one character",
        owner: "resume-text-differs",
        mutate: |turn, _| with_text(turn, ANSWER[..ANSWER.len() - 1].to_owned()),
    },
    Mutant {
        what: "a part of the text comes twice",
        owner: "resume-text-differs",
        mutate: |turn, rng| {
            let (from, to) = (rng.usize(..10), rng.usize(11..ANSWER.len()));
            with_text(turn, format!("{}{}", &ANSWER[..to], &ANSWER[from..]));
        },
    },
    Mutant {
        what: "the resume of an answer under way is answered 204",
        owner: "resume-refused",
        mutate: |turn, _| {
            turn.resuming.moment = Moment::During;
            turn.reply = Reply::Status(204, String::new());
        },
    },
    Mutant {
        what: "the final marker is cut off",
        owner: "done-missing",
        mutate: |turn, _| {
            if let Reply::Stream { has_marker, .. } = &mut turn.reply {
                *has_marker = false;
            }
        },
    },
    Mutant {
        what: "question or answer are stored twice",
        owner: "turn-stored-twice",
        mutate: |turn, rng| double(turn.stored.as_mut().unwrap(), rng),
    },
    Mutant {
        what: "the answer's row is dropped",
        owner: "never-saved",
        mutate: |turn, _| turn.stored.as_mut().unwrap().answers = 0,
    },
    Mutant {
        what: "the question's row is dropped",
        owner: "user-message-lost",
        mutate: |turn, _| turn.stored.as_mut().unwrap().questions = 0,
    },
];

fn double(copies: &mut Copies, rng: &mut Rng) {
    if rng.bool() {
        copies.questions = 2;
    } else {
        copies.answers = 2;
    }
}

/// A request that came twice, and its turn is stored once.
fn doubled(rng: &mut Rng) -> SentTwice {
    SentTwice {
        subject: "mutants".to_owned(),
        case: "mutants/twice".to_owned(),
        doubled: &DOUBLED[rng.usize(..DOUBLED.len())],
        declared: Some(Idempotent::ByKey),
        provider: ProviderEnd::Whole,
        answers: [Answered::ToTheEnd, Answered::ToTheEnd],
        stored: Ok(Copies {
            questions: 1,
            answers: 1,
        }),
        wrong: Vec::new(),
        told: None,
    }
}

pub(super) fn of_doubles() -> String {
    let caught = |turn: &SentTwice| errors(sent_twice::judge(turn).findings);
    super::table("sent twice", doubled, caught, DOUBLES)
}

const DOUBLES: &[Mutant<SentTwice>] = &[
    Mutant {
        what: "question or answer are stored twice",
        owner: "turn-stored-twice",
        mutate: |turn, rng| double(turn.stored.as_mut().unwrap(), rng),
    },
    Mutant {
        what: "the answer's row is dropped",
        owner: "never-saved",
        mutate: |turn, _| turn.stored.as_mut().unwrap().answers = 0,
    },
    Mutant {
        what: "the question's row is dropped",
        owner: "user-message-lost",
        mutate: |turn, _| turn.stored.as_mut().unwrap().questions = 0,
    },
];

/// A provider said all of its answer, or a part and then an error, and a right server made the best of it.
fn failed(rng: &mut Rng) -> ProviderFailed {
    let (said, answer, end) = match rng.u8(..3) {
        0 => (Said::Whole, AnswerFate::Whole, ResponseEnd::Well),
        1 => (
            Said::BrokenOff,
            AnswerFate::Cut {
                characters: 20,
                marked: interrupted(),
            },
            ResponseEnd::Failed("event: error".to_owned()),
        ),
        _ => (
            Said::Refused,
            AnswerFate::Nothing,
            ResponseEnd::Failed("status 502".to_owned()),
        ),
    };
    ProviderFailed {
        subject: "mutants".to_owned(),
        case: "mutants/provider".to_owned(),
        turn: 1,
        what: "something odd".to_owned(),
        met: Ok(()),
        said,
        client: ClientTold {
            characters: Some(if said == Said::Refused { 0 } else { 20 }),
            end,
        },
        stored: Ok(provider_faults::Stored {
            question: true,
            copies: usize::from(said == Said::Whole),
            answer,
            differs: None,
            is_verbatim: true,
            tells_whole: true,
            open: None,
            blank: None,
            error: None,
        }),
        came_late: false,
        next: known(),
    }
}

fn of_failed(turn: &mut ProviderFailed) -> &mut provider_faults::Stored {
    turn.stored.as_mut().unwrap()
}

pub(super) fn of_providers() -> String {
    let caught = |turn: &ProviderFailed| errors(provider_faults::judge(turn).findings);
    super::table("provider fails", failed, caught, FAILED)
}

/// The provider said all of it, and the response ended well.
fn said_whole(turn: &mut ProviderFailed) -> &mut provider_faults::Stored {
    turn.said = Said::Whole;
    turn.client.end = ResponseEnd::Well;
    turn.client.characters = Some(LENGTH);
    let stored = of_failed(turn);
    stored.answer = AnswerFate::Whole;
    stored.copies = 1;
    stored
}

const FAILED: &[Mutant<ProviderFailed>] = &[
    Mutant {
        what: "the text of the error is stored as an answer",
        owner: "error-text-as-answer",
        mutate: |turn, _| of_failed(turn).error = Some("7".to_owned()),
    },
    Mutant {
        what: "the answer's INSERT is doubled",
        owner: "answer-duplicated",
        mutate: |turn, _| of_failed(turn).copies = 2,
    },
    Mutant {
        what: "the next turn is refused",
        owner: "next-turn-refused",
        mutate: |turn, _| turn.next = NextTurn::Failed("status 500".to_owned()),
    },
    Mutant {
        what: "one character of the answer is another one",
        owner: "answer-differs",
        mutate: |turn, _| said_whole(turn).differs = Some("said `a`, stored `b`".to_owned()),
    },
    Mutant {
        what: "the answer is cut by one character",
        owner: "answer-differs",
        mutate: |turn, _| {
            said_whole(turn).answer = AnswerFate::Cut {
                characters: LENGTH - 1,
                marked: Marked::No,
            };
        },
    },
    Mutant {
        what: "the answer's row is dropped",
        owner: "never-saved",
        mutate: |turn, _| said_whole(turn).answer = AnswerFate::Nothing,
    },
    Mutant {
        what: "a part is stored as the whole, and the response ends well",
        owner: "part-stored-as-whole",
        mutate: |turn, _| {
            turn.said = Said::BrokenOff;
            turn.client.end = ResponseEnd::Well;
            of_failed(turn).copies = 0;
            of_failed(turn).answer = AnswerFate::Cut {
                characters: 20,
                marked: Marked::No,
            };
        },
    },
    Mutant {
        what: "the response to a refused request ends well and empty",
        owner: "provider-error-hidden",
        mutate: |turn, _| {
            turn.said = Said::Refused;
            turn.client.characters = Some(0);
            turn.client.end = ResponseEnd::Well;
            of_failed(turn).copies = 0;
            of_failed(turn).answer = AnswerFate::Nothing;
        },
    },
];
