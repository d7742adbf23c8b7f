use super::{
    Cause, ClientSaw, EndedEarly, Judged, NextDoubt, NextTurn, Reload, Spoilt, Stored, judge,
};
use crate::model::ProviderEnd;
use crate::report::{Severity, Verdict};
use crate::stream::faults::{Point, Way};
use crate::stream::kept::{AnswerFate, Marked};
use crate::stream::policy::{Keep, ON_DISCONNECT, ON_STOP, Policy};

const FINISH: &Policy = &ON_DISCONNECT[0];
const KEEP_PART: &Policy = &ON_DISCONNECT[1];
const DROP_ANSWER: &Policy = &ON_DISCONNECT[2];

fn cut(characters: usize, marked: Marked) -> AnswerFate {
    AnswerFate::Cut { characters, marked }
}

fn interrupted() -> Marked {
    Marked::Status("interrupted".to_owned())
}

/// A client left after 20 of 60 characters, and this is what the store has.
fn left(policy: Option<&'static Policy>, answer: AnswerFate) -> EndedEarly {
    EndedEarly {
        subject: "hello in table message".to_owned(),
        case: "hello/left".to_owned(),
        turn: 1,
        cause: Cause::Left(Way::Fin),
        point: Point::Event(2),
        to_come: 3,
        policy,
        marker: "[DONE]".to_owned(),
        met: Ok(()),
        stop_failed: None,
        provider: ProviderEnd::HungUp { chunks: 2 },
        client: ClientSaw {
            characters: Some(20),
            of: 60,
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
        next: Some(NextTurn::Answered {
            question: true,
            answer: true,
            answer_later: true,
            doubt: None,
        }),
    }
}

fn stored(seen: &mut EndedEarly) -> &mut Stored {
    seen.stored.as_mut().unwrap()
}

fn codes(judged: &Judged, severity: Severity) -> Vec<&'static str> {
    let of = judged.findings.iter().filter(|it| it.severity == severity);
    of.map(|finding| finding.code).collect()
}

#[test]
fn what_is_in_the_wrong_place_is_found_unless_the_history_shows_it() {
    let astray = |conversation: Option<&str>| Spoilt::AnswerAstray {
        row: "7".to_owned(),
        conversation: conversation.map(str::to_owned),
    };
    for (spoilt, code) in [
        (Spoilt::QuestionNowhere("7".to_owned()), "user-message-lost"),
        (astray(Some("8")), "wrong-conversation"),
        (astray(None), "answer-lost-on-disconnect"),
    ] {
        let mut seen = left(None, AnswerFate::Whole);
        stored(&mut seen).spoilt = vec![spoilt];
        assert_eq!(codes(&judge(&seen), Severity::Error), [""; 0], "{code}");
        seen.reload = None;
        assert_eq!(codes(&judge(&seen), Severity::Error), [code]);
    }
}

#[test]
fn a_conversation_without_a_row_loses_the_question_unless_the_history_shows_it() {
    let mut seen = left(None, AnswerFate::Whole);
    stored(&mut seen).spoilt = vec![Spoilt::Head];
    let found = |seen: &EndedEarly| {
        [Severity::Error, Severity::Warning].map(|severity| codes(&judge(seen), severity))
    };
    assert_eq!(found(&seen), [vec![], vec!["user-message-lost"]]);
    seen.reload = None;
    assert_eq!(found(&seen), [vec!["user-message-lost"], vec![]]);
}

#[test]
fn an_answer_with_other_words_is_found_whatever_is_declared() {
    for policy in [None, Some(FINISH), Some(KEEP_PART)] {
        for answer in [AnswerFate::Whole, cut(38, interrupted())] {
            let mut seen = left(policy, answer.clone());
            let is_lost = policy == Some(FINISH) && answer != AnswerFate::Whole;
            let lost: &[&str] = if is_lost {
                &["answer-lost-on-disconnect"]
            } else {
                &[]
            };
            assert_eq!(codes(&judge(&seen), Severity::Error), lost);
            stored(&mut seen).altered = Some("said `Task`, stored `TaskTask`".to_owned());
            let found: &[&str] = if is_lost { lost } else { &["answer-differs"] };
            let judged = judge(&seen);
            assert_eq!(codes(&judged, Severity::Error), found);
            assert_eq!(judged.verdict, Verdict::Violated);
        }
    }
}

#[test]
fn what_is_stored_is_held_against_what_is_declared() {
    use Verdict::{Held, Violated};
    let (whole, nothing) = (AnswerFate::Whole, AnswerFate::Nothing);
    let lost = &["answer-lost-on-disconnect"][..];
    for (policy, answer, verdict, errors) in [
        (FINISH, whole.clone(), Held, &[][..]),
        (FINISH, nothing.clone(), Violated, lost),
        (FINISH, cut(20, interrupted()), Violated, lost),
        (KEEP_PART, whole.clone(), Held, &[]),
        (KEEP_PART, cut(20, interrupted()), Held, &[]),
        (KEEP_PART, cut(40, interrupted()), Held, &[]),
        (KEEP_PART, cut(20, Marked::Words), Held, &[]),
        (KEEP_PART, cut(19, interrupted()), Violated, lost),
        (KEEP_PART, nothing.clone(), Violated, lost),
        (
            KEEP_PART,
            cut(20, Marked::No),
            Violated,
            &["part-stored-as-whole"],
        ),
        (DROP_ANSWER, nothing, Held, &[]),
        (DROP_ANSWER, whole, Violated, &["policy-not-kept"]),
        (
            DROP_ANSWER,
            cut(20, interrupted()),
            Violated,
            &["policy-not-kept"],
        ),
    ] {
        let judged = judge(&left(Some(policy), answer.clone()));
        assert_eq!(judged.verdict, verdict, "{policy:?} {answer:?}");
        assert_eq!(codes(&judged, Severity::Error), errors, "{policy:?}");
    }
}

/// Every declaration with everything that a store may have: what each comes to, and why.
#[test]
fn no_declaration_lets_anything_else_pass() {
    let fates = [
        AnswerFate::Whole,
        cut(20, interrupted()),
        cut(20, Marked::Words),
        cut(20, Marked::No),
        cut(19, interrupted()),
        cut(19, Marked::No),
        AnswerFate::Nothing,
        AnswerFate::Unknown("no conversation is known"),
    ];
    let lost_by = |cause| match cause {
        Cause::Left(_) | Cause::Restarted(_) => "answer-lost-on-disconnect",
        Cause::Stopped => "answer-lost-on-stop",
    };
    let causes = Way::ALL.map(Cause::Left).into_iter();
    for cause in causes.chain([Cause::Stopped]) {
        for policy in cause.policies() {
            for fate in &fates {
                let lost = lost_by(cause);
                let errors: &[&str] = match (policy.keep, fate) {
                    (_, AnswerFate::Unknown(_)) => &[],
                    (Keep::Whole, AnswerFate::Whole) => &[],
                    (Keep::Whole, AnswerFate::Cut { marked, .. }) => match marked {
                        Marked::No => &[lost, "part-stored-as-whole"],
                        Marked::Status(_) | Marked::Words => &[lost],
                    },
                    (Keep::Whole | Keep::Part, AnswerFate::Nothing) => &[lost],
                    (Keep::Part, AnswerFate::Whole) => &[],
                    (Keep::Part, AnswerFate::Cut { characters, marked }) => {
                        match (characters, marked) {
                            (20, Marked::No) => &["part-stored-as-whole"],
                            (20, Marked::Status(_) | Marked::Words) => &[],
                            (_, Marked::No) => &[lost, "part-stored-as-whole"],
                            (_, Marked::Status(_) | Marked::Words) => &[lost],
                        }
                    }
                    // Nobody told a server whose client only reads no more.
                    (Keep::Nothing, AnswerFate::Whole) => match cause {
                        Cause::Left(Way::Stall | Way::HalfClose) => &[],
                        Cause::Left(Way::Fin | Way::Reset | Way::ResetStream)
                        | Cause::Stopped
                        | Cause::Restarted(_) => &["policy-not-kept"],
                    },
                    (Keep::Nothing, AnswerFate::Cut { marked, .. }) => match marked {
                        Marked::No => &["part-stored-as-whole", "policy-not-kept"],
                        Marked::Status(_) | Marked::Words => &["policy-not-kept"],
                    },
                    (Keep::Nothing, AnswerFate::Nothing) => &[],
                };
                let verdict = match (fate, errors) {
                    (AnswerFate::Unknown(_), _) => Verdict::Inconclusive,
                    (_, []) => Verdict::Held,
                    (_, [..]) => Verdict::Violated,
                };
                let judged = judge(&EndedEarly {
                    cause,
                    ..left(Some(policy), fate.clone())
                });
                let mut found = codes(&judged, Severity::Error);
                found.sort_unstable();
                assert_eq!(found, errors, "{cause} {policy:?} {fate:?}");
                assert_eq!(judged.verdict, verdict, "{cause} {policy:?} {fate:?}");
            }
        }
    }
}

#[test]
fn more_than_declared_is_wrong_where_the_server_could_hear_of_it() {
    for (way, to_come, found) in [
        (Way::Fin, 3, true),
        (Way::Reset, 2, true),
        (Way::Stall, 3, false),
        (Way::HalfClose, 3, false),
        // One write to a closed connection succeeds.
        (Way::Fin, 1, false),
        (Way::Fin, 0, false),
    ] {
        let judged = judge(&EndedEarly {
            cause: Cause::Left(way),
            to_come,
            ..left(Some(DROP_ANSWER), AnswerFate::Whole)
        });
        let errors = codes(&judged, Severity::Error);
        assert_eq!(errors == ["policy-not-kept"], found, "{way:?} {to_come}");
        let is_held = judged.verdict == Verdict::Held;
        assert_eq!(is_held, !found, "{way:?} {to_come}");
    }
}

#[test]
fn without_a_declaration_each_end_is_told_and_none_is_wrong() {
    for (answer, fits) in [
        (AnswerFate::Whole, "that fits on_disconnect = \"finish\""),
        (
            cut(20, interrupted()),
            "that fits on_disconnect = \"keep-part\"",
        ),
        (
            AnswerFate::Nothing,
            "that fits on_disconnect = \"drop-answer\"",
        ),
        (cut(20, Marked::No), "no value of on_disconnect fits that"),
    ] {
        let judged = judge(&left(None, answer));
        assert_eq!(judged.verdict, Verdict::Held);
        assert!(judged.reason.ends_with(fits), "{}", judged.reason);
    }
}

#[test]
fn the_question_is_kept_in_any_case() {
    for policy in [None, Some(FINISH), Some(KEEP_PART), Some(DROP_ANSWER)] {
        let mut seen = left(policy, AnswerFate::Nothing);
        stored(&mut seen).question = false;
        let judged = judge(&seen);
        assert_eq!(judged.verdict, Verdict::Violated);
        assert!(codes(&judged, Severity::Error).contains(&"user-message-lost"));
    }
}

/// What the final marker promised is there, whatever is declared of answers that were not promised.
#[test]
fn a_promised_answer_is_kept_in_any_case() {
    for policy in [None, Some(FINISH), Some(KEEP_PART), Some(DROP_ANSWER)] {
        let mut seen = left(policy, AnswerFate::Nothing);
        seen.client.marker = true;
        let judged = judge(&seen);
        assert_eq!(codes(&judged, Severity::Error), ["saved-after-done"]);
        stored(&mut seen).answer = AnswerFate::Whole;
        assert_eq!(judge(&seen).verdict, Verdict::Held);
    }
}

#[test]
fn an_answer_that_is_stored_by_two_is_found() {
    let mut seen = left(None, AnswerFate::Whole);
    assert_eq!(judge(&seen).verdict, Verdict::Held);
    stored(&mut seen).copies = vec!["2".to_owned(), "3".to_owned()];
    let judged = judge(&seen);
    assert_eq!(judged.verdict, Verdict::Violated);
    assert_eq!(judged.findings[0].code, "answer-duplicated");
}

#[test]
fn what_did_not_happen_or_can_not_be_known_is_never_green() {
    let lost = || left(Some(KEEP_PART), AnswerFate::Nothing);
    let mut late = left(Some(KEEP_PART), AnswerFate::Whole);
    late.came_late = true;
    let mut reworded = lost();
    stored(&mut reworded).is_verbatim = false;
    let mut unread = lost();
    unread.client.characters = None;
    let mut unread_part = left(Some(KEEP_PART), cut(2, interrupted()));
    unread_part.client.characters = None;
    for seen in [
        EndedEarly {
            met: Err("the response ended before".to_owned()),
            ..lost()
        },
        EndedEarly {
            provider: ProviderEnd::Open,
            ..lost()
        },
        EndedEarly {
            provider: ProviderEnd::NotAsked,
            ..lost()
        },
        EndedEarly {
            stored: Err("locked".to_owned()),
            ..lost()
        },
        left(None, AnswerFate::Unknown("no conversation is known")),
        late,
        reworded,
        unread,
        unread_part,
    ] {
        let judged = judge(&seen);
        assert_eq!(judged.verdict, Verdict::Inconclusive, "{seen:?}");
    }
}

#[test]
fn a_row_in_progress_and_a_refused_turn_are_found() {
    let mut seen = left(Some(KEEP_PART), cut(20, interrupted()));
    stored(&mut seen).open = Some("7".to_owned());
    assert_eq!(codes(&judge(&seen), Severity::Error), ["stuck-streaming"]);
    seen.policy = None;
    let judged = judge(&seen);
    assert_eq!(judged.verdict, Verdict::Held);
    assert_eq!(codes(&judged, Severity::Warning), ["stuck-streaming"]);
    let refused = |status| EndedEarly {
        next: Some(NextTurn::Refused {
            status,
            said: String::new(),
        }),
        ..left(None, AnswerFate::Nothing)
    };
    for (status, severity) in [
        (409, Severity::Error),
        (500, Severity::Error),
        (429, Severity::Warning),
        (401, Severity::Warning),
    ] {
        let judged = judge(&refused(status));
        assert_eq!(codes(&judged, severity), ["next-turn-refused"], "{status}");
    }
}

#[test]
fn reload_and_model_know_what_the_store_shows() {
    let shows = |question, answer| Some(Reload::Shows { question, answer });
    let next = |question, answer, answer_later| {
        Some(NextTurn::Answered {
            question,
            answer,
            answer_later,
            doubt: None,
        })
    };
    let part = || left(Some(KEEP_PART), cut(20, interrupted()));
    for (seen, severity, code) in [
        (
            EndedEarly {
                reload: shows(false, true),
                ..part()
            },
            Severity::Error,
            "history-differs",
        ),
        (
            EndedEarly {
                reload: shows(true, false),
                ..part()
            },
            Severity::Error,
            "history-differs",
        ),
        (
            EndedEarly {
                policy: None,
                reload: shows(true, false),
                ..part()
            },
            Severity::Warning,
            "history-differs",
        ),
        (
            EndedEarly {
                next: next(true, false, false),
                ..part()
            },
            Severity::Error,
            "context-lost",
        ),
        (
            EndedEarly {
                next: next(true, true, false),
                ..part()
            },
            Severity::Warning,
            "context-lost",
        ),
        (
            EndedEarly {
                policy: None,
                next: next(false, true, true),
                ..part()
            },
            Severity::Warning,
            "context-lost",
        ),
        // Two questions in a row: some servers leave out the one without an answer.
        (
            EndedEarly {
                next: next(false, true, true),
                ..left(Some(DROP_ANSWER), AnswerFate::Nothing)
            },
            Severity::Warning,
            "context-lost",
        ),
    ] {
        assert_eq!(codes(&judge(&seen), severity), [code], "{seen:?}");
    }
}

/// Where nothing is declared, words of the server's own may say that the turn ended.
#[test]
fn a_note_is_an_error_only_where_something_is_declared() {
    for (policy, severity) in [(Some(FINISH), Severity::Error), (None, Severity::Warning)] {
        let mut seen = left(policy, AnswerFate::Whole);
        let note = Spoilt::Note("[stopped]".to_owned());
        seen.stored.as_mut().unwrap().spoilt = vec![note];
        assert!(codes(&judge(&seen), severity).contains(&"error-text-as-answer"));
    }
}

/// What comes late after the next turn leaves open whether that was stored in time, and not what the model knew.
#[test]
fn a_next_turn_that_is_stored_late_hides_no_lost_context() {
    let next = |answer, doubt| {
        let seen = EndedEarly {
            next: Some(NextTurn::Answered {
                question: true,
                answer,
                answer_later: answer,
                doubt,
            }),
            ..left(Some(FINISH), AnswerFate::Whole)
        };
        let judged = judge(&seen);
        (judged.verdict, codes(&judged, Severity::Error))
    };
    for doubt in [NextDoubt::Late, NextDoubt::Unread, NextDoubt::NotAwaited] {
        assert_eq!(next(true, Some(doubt)), (Verdict::Inconclusive, Vec::new()));
        let lost = (Verdict::Violated, vec!["context-lost"]);
        assert_eq!(next(false, Some(doubt)), lost);
    }
    assert_eq!(next(true, None), (Verdict::Held, Vec::new()));
}

/// The next turn after a stop is sent at once: what a server finishes later it can't know.
#[test]
fn what_is_finished_later_is_not_asked_of_the_next_turn() {
    let seen = EndedEarly {
        cause: Cause::Stopped,
        next: Some(NextTurn::Answered {
            question: true,
            answer: true,
            answer_later: false,
            doubt: None,
        }),
        ..left(Some(&ON_STOP[0]), AnswerFate::Whole)
    };
    let judged = judge(&seen);
    assert!(judged.findings.is_empty(), "{judged:?}");
}

#[test]
fn stop_has_declarations_of_its_own() {
    let stopped = |policy, answer| EndedEarly {
        cause: Cause::Stopped,
        ..left(Some(policy), answer)
    };
    let lost = judge(&stopped(&ON_STOP[1], AnswerFate::Nothing));
    assert_eq!(codes(&lost, Severity::Error), ["answer-lost-on-stop"]);
    let mut whole = stopped(&ON_STOP[2], AnswerFate::Whole);
    whole.provider = ProviderEnd::Whole;
    let judged = judge(&whole);
    assert_eq!(codes(&judged, Severity::Error), ["policy-not-kept"]);
    assert_eq!(codes(&judged, Severity::Note), ["provider-call-goes-on"]);
    assert_eq!(judged.verdict, Verdict::Violated);
}

#[test]
fn a_stop_that_fails_loses_the_answer_or_shows_nothing() {
    let stopped = |policy, answer| EndedEarly {
        cause: Cause::Stopped,
        stop_failed: Some("`POST /stop` was answered 500: no task".to_owned()),
        ..left(Some(policy), answer)
    };
    let [_, keep_part, question_only] = &ON_STOP;
    let lost = judge(&stopped(keep_part, AnswerFate::Nothing));
    assert_eq!(lost.verdict, Verdict::Violated);
    assert_eq!(lost.findings[0].code, "answer-lost-on-stop");
    // The answer goes on to its end.
    let went_on = judge(&stopped(question_only, AnswerFate::Whole));
    assert_eq!(went_on.findings[0].code, "policy-not-kept");
    let kept = judge(&stopped(keep_part, AnswerFate::Whole));
    assert_eq!(kept.verdict, Verdict::Inconclusive);
    assert!(kept.reason.contains("was answered 500"), "{}", kept.reason);
}
