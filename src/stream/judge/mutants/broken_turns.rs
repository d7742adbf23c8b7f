//! Turns that are interrupted.

use super::{Mutant, word};
use crate::model::ProviderEnd;
use crate::report::{Finding, Severity};
use crate::stream::faults::{Point, Way};
use crate::stream::judge::ended_early::{
    self, Cause, ClientSaw, EndedEarly, NextTurn, Reload, Spoilt, Stored,
};
use crate::stream::judge::whole_turn::Wrong;
use crate::stream::kept::{AnswerFate, Marked};
use crate::stream::policy::{Keep, ON_DISCONNECT, ON_STOP};
use fastrand::Rng;

pub(super) const LENGTH: usize = 60;

fn next_is(code: &'static str) -> NextTurn {
    NextTurn::Wrong(Wrong::blank(code))
}

pub(super) fn known() -> NextTurn {
    NextTurn::Answered {
        question: true,
        answer: true,
        answer_later: true,
        doubt: None,
    }
}

pub(super) fn interrupted() -> Marked {
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
        stop_failed: None,
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

pub(super) fn errors(findings: Vec<Finding>) -> Vec<&'static str> {
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
