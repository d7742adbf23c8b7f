//! Turns that are resumed or sent twice, and turns whose provider fails.

use super::Mutant;
use super::broken_turns::{LENGTH, errors, interrupted, known};
use crate::model::ProviderEnd;
use crate::stream::faults::{DOUBLED, Moment, Point, Resuming};
use crate::stream::judge;
use crate::stream::judge::ended_early::NextTurn;
use crate::stream::judge::provider_faults::{self, ClientTold, ProviderFailed, ResponseEnd, Said};
use crate::stream::judge::resumed::{Reply, Resumed, Run};
use crate::stream::judge::sent_twice::{self, Answered, Copies, Idempotent, SentTwice};
use crate::stream::kept::{AnswerFate, Marked};
use fastrand::Rng;

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
        lacks_head: false,
        is_shown: None,
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
    Mutant {
        what: "the conversation's own row is dropped",
        owner: "user-message-lost",
        mutate: |turn, _| turn.lacks_head = true,
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
            asked_twice: Vec::new(),
            astray: None,
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
