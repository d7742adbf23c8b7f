use super::{ClientTold, Judged, ProviderFailed, ResponseEnd, Said, Stored, judge};
use crate::report::{Severity, Verdict};
use crate::stream::judge::ended_early::NextTurn;
use crate::stream::kept::{AnswerFate, Marked};

/// A turn whose response ended well, and whose question is stored.
fn turn(said: Said, answer: AnswerFate) -> ProviderFailed {
    ProviderFailed {
        subject: "hello in table message".to_owned(),
        case: "hello/provider-fin".to_owned(),
        turn: 1,
        what: "the provider fails".to_owned(),
        met: Ok(()),
        said,
        client: ClientTold {
            characters: Some(20),
            end: ResponseEnd::Well,
        },
        stored: Ok(Stored {
            question: true,
            copies: usize::from(answer == AnswerFate::Whole),
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
        next: NextTurn::Answered {
            question: true,
            answer: true,
            answer_later: true,
            doubt: None,
        },
    }
}

fn told(mut seen: ProviderFailed) -> ProviderFailed {
    seen.client.end = ResponseEnd::Failed("it failed".to_owned());
    seen
}

fn stored(mut seen: ProviderFailed, change: impl FnOnce(&mut Stored)) -> ProviderFailed {
    change(seen.stored.as_mut().unwrap());
    seen
}

fn part(marked: Marked) -> AnswerFate {
    AnswerFate::Cut {
        characters: 20,
        marked,
    }
}

fn codes(judged: &Judged, severity: Severity) -> Vec<&'static str> {
    let of = judged.findings.iter().filter(|it| it.severity == severity);
    of.map(|finding| finding.code).collect()
}

fn errors(seen: &ProviderFailed, expected: &[&str]) {
    let judged = judge(seen);
    assert_eq!(codes(&judged, Severity::Error), expected, "{seen:?}");
    let verdict = if expected.is_empty() {
        Verdict::Held
    } else {
        Verdict::Violated
    };
    assert_eq!(judged.verdict, verdict, "{judged:?}");
}

#[test]
fn what_was_said_is_stored_or_the_user_is_told() {
    use Said::{BrokenOff, Early, NoText, Refused, Whole};
    let interrupted = || Marked::Status("interrupted".to_owned());
    for (said, answer, expected) in [
        (Whole, AnswerFate::Whole, &[][..]),
        (Whole, AnswerFate::Nothing, &["never-saved"]),
        (Whole, part(interrupted()), &["answer-differs"]),
        (Whole, part(Marked::No), &["answer-differs"]),
        (NoText, AnswerFate::Nothing, &[]),
        (BrokenOff, part(Marked::No), &["part-stored-as-whole"]),
        (BrokenOff, part(interrupted()), &[]),
        (BrokenOff, part(Marked::Words), &[]),
        (BrokenOff, AnswerFate::Nothing, &["never-saved"]),
        // No client library reports an error there.
        (Early, part(Marked::No), &[]),
        (Early, AnswerFate::Nothing, &["never-saved"]),
        // A server that asked again, or read the other form.
        (Refused, AnswerFate::Whole, &[]),
    ] {
        errors(&turn(said, answer.clone()), expected);
        errors(&told(turn(said, answer)), &[]);
    }
}

#[test]
fn an_empty_answer_without_an_error_is_found() {
    for said in [Said::Refused, Said::BrokenOff] {
        let mut seen = turn(said, AnswerFate::Nothing);
        seen.client.characters = Some(0);
        errors(&seen, &["provider-error-hidden"]);
        errors(&told(seen.clone()), &[]);
        seen.client.end = ResponseEnd::WithWords;
        errors(&seen, &[]);
    }
}

#[test]
fn the_text_of_an_error_is_no_answer_whatever_the_user_was_told() {
    for seen in [
        turn(Said::Refused, AnswerFate::Nothing),
        told(turn(Said::BrokenOff, part(Marked::No))),
    ] {
        let seen = stored(seen, |it| it.error = Some("7".to_owned()));
        errors(&seen, &["error-text-as-answer"]);
    }
}

#[test]
fn a_changed_text_a_second_copy_and_a_lost_question_are_found() {
    let whole = || turn(Said::Whole, AnswerFate::Whole);
    let changed = |it: &mut Stored| it.differs = Some("said `a`, stored `b`".to_owned());
    errors(&stored(whole(), changed), &["answer-differs"]);
    let judged = judge(&told(stored(whole(), changed)));
    assert_eq!(codes(&judged, Severity::Warning), ["answer-differs"]);
    errors(&stored(whole(), |it| it.copies = 2), &["answer-duplicated"]);
    let lost = |it: &mut Stored| it.question = false;
    errors(&stored(whole(), lost), &["user-message-lost"]);
    errors(
        &told(stored(turn(Said::Refused, AnswerFate::Nothing), lost)),
        &[],
    );
}

#[test]
fn what_is_left_behind_is_worth_a_look_where_the_user_was_told() {
    let blank = |it: &mut Stored| it.blank = Some("7".to_owned());
    let failed = told(turn(Said::BrokenOff, AnswerFate::Nothing));
    for (seen, expected) in [
        (stored(failed.clone(), blank), "answer-empty"),
        (
            stored(failed.clone(), |it| it.open = Some("7".to_owned())),
            "stuck-streaming",
        ),
        (
            told(turn(Said::BrokenOff, part(Marked::No))),
            "part-stored-as-whole",
        ),
        (turn(Said::Early, part(Marked::No)), "part-stored-as-whole"),
    ] {
        let judged = judge(&seen);
        assert_eq!(codes(&judged, Severity::Warning), [expected]);
        assert_eq!(judged.verdict, Verdict::Held);
    }
    // An answer without text may be stored without text. Not every provider takes it back.
    let judged = judge(&stored(turn(Said::NoText, AnswerFate::Nothing), blank));
    assert_eq!(codes(&judged, Severity::Warning), ["answer-empty"]);
    assert_eq!(judged.verdict, Verdict::Held);
    assert!(
        judged.reason.contains("an empty row is stored"),
        "{judged:?}"
    );
    let judged = judge(&turn(Said::NoText, AnswerFate::Nothing));
    assert!(judged.findings.is_empty(), "{judged:?}");
}

#[test]
fn a_conversation_goes_on_after_a_failure() {
    let mut seen = told(turn(Said::Refused, AnswerFate::Nothing));
    seen.next = NextTurn::Refused {
        status: 409,
        said: "a turn is under way".to_owned(),
    };
    errors(&seen, &["next-turn-refused"]);
    seen.next = NextTurn::Refused {
        status: 429,
        said: "slow down".to_owned(),
    };
    errors(&seen, &[]);
}

/// What nobody can know is neither wrong nor right.
#[test]
fn what_is_not_known_is_inconclusive() {
    let verdict = |seen: &ProviderFailed| judge(seen).verdict;
    let unmet = ProviderFailed {
        met: Err("not asked".to_owned()),
        ..turn(Said::Whole, AnswerFate::Nothing)
    };
    assert_eq!(verdict(&unmet), Verdict::Inconclusive);
    let unread = ProviderFailed {
        stored: Err("busy".to_owned()),
        ..turn(Said::Whole, AnswerFate::Whole)
    };
    assert_eq!(verdict(&unread), Verdict::Inconclusive);
    let late = ProviderFailed {
        came_late: true,
        ..turn(Said::Whole, AnswerFate::Whole)
    };
    assert_eq!(verdict(&late), Verdict::Inconclusive);
    let mut unreadable = turn(Said::Refused, AnswerFate::Nothing);
    unreadable.client = ClientTold {
        characters: None,
        end: ResponseEnd::Unread,
    };
    assert_eq!(verdict(&unreadable), Verdict::Inconclusive);
    for (marked, expected) in [
        (Marked::No, Verdict::Inconclusive),
        (Marked::Status("interrupted".to_owned()), Verdict::Held),
    ] {
        let mut unreadable = turn(Said::BrokenOff, part(marked));
        unreadable.client.end = ResponseEnd::Unread;
        assert_eq!(verdict(&unreadable), expected);
    }
    let other_form = |it: &mut Stored| it.is_verbatim = false;
    for answer in [AnswerFate::Nothing, part(Marked::No)] {
        let seen = stored(turn(Said::BrokenOff, answer), other_form);
        assert_eq!(verdict(&seen), Verdict::Inconclusive);
    }
}
