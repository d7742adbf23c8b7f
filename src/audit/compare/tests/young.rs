//! Answers that may not have been finished at the snapshot, and clocks that are wrong.

use super::*;
use crate::model::Mark;

/// Chats whose last answer is of that age in seconds, at the snapshot and now.
fn young(age: i64, now: impl Fn(&mut Vec<StoredMessage>)) -> Comparison {
    of_answer(|answer| answer.time = Some(TAKEN - age * 1_000_000), now)
}

/// The same with any last answer.
fn of_answer(
    was: impl Fn(&mut StoredMessage),
    now: impl Fn(&mut Vec<StoredMessage>),
) -> Comparison {
    let mut before = chats(40);
    was(&mut before[39]);
    let mut after = before.clone();
    now(&mut after);
    let found = DETAILS.map(|detail| {
        let settings = Settings {
            detail,
            ..Settings::at(TAKEN)
        };
        let before = snapshot(&before, settings);
        compare(&before, &after)
    });
    let [first, .., last] = found;
    assert_eq!(verdict(&first), verdict(&last));
    first
}

const AGES: [i64; 8] = [-600, 0, 20, 45, 55, 90, 119, 600];

fn remove(messages: &mut Vec<StoredMessage>) {
    messages.remove(39);
}

#[expect(clippy::ptr_arg, reason = "the other changes take messages out")]
fn rewrite(messages: &mut Vec<StoredMessage>) {
    messages[39].content = "something else".into();
}

#[expect(clippy::ptr_arg, reason = "the other changes take messages out")]
fn go_on(messages: &mut Vec<StoredMessage>) {
    messages[39].content.push_str(" and more");
}

#[test]
fn an_answer_that_is_gone_is_lost_at_any_age() {
    for age in AGES {
        let found = young(age, remove);
        assert_eq!(codes(&found), [("message-lost", 1)], "{age}");
        assert_eq!(verdict(&found).0, Verdict::Violated, "{age}");
    }
}

#[test]
fn the_text_of_a_young_answer_may_go_on_and_what_is_not_judged_is_counted() {
    for age in [0, 20, 45, 55, 90, 119] {
        let found = young(age, go_on);
        assert!(found.intact() && found.totals.completed == 1, "{age}");
        let expected = "all of 40 messages in 4 conversations are unchanged";
        assert_eq!(verdict(&found), (Verdict::Held, expected.to_owned()));
        let found = young(age, rewrite);
        assert_eq!(
            verdict(&found),
            (
                Verdict::Held,
                "39 of 40 messages in 4 conversations are unchanged; not judged: the text of 1 message, \
                 which had not settled at the snapshot"
                    .to_owned()
            )
        );
        let finding = found.findings(&Rules::default()).remove(0);
        assert_eq!(
            (finding.code, finding.severity),
            ("message-altered", Severity::Warning)
        );
        // Nothing that was said may be nothing.
        let found = young(age, |messages| messages[39].content.clear());
        assert_eq!(verdict(&found).0, Verdict::Violated);
        // And what a user said is whole from the beginning.
        let found = young(age, |messages| messages[38].content.push('!'));
        assert_eq!(verdict(&found).0, Verdict::Violated);
    }
}

#[test]
fn of_a_young_answer_the_time_and_what_it_calls_are_looked_at_too() {
    let earlier: [fn(&mut Vec<StoredMessage>); 2] = [
        |messages| messages[39].time = None,
        |messages| messages[39].time = messages[39].time.map(|time| time - 86_400_000_000),
    ];
    for change in earlier {
        let found = young(20, change);
        assert_eq!(codes(&found), [("times-shifted", 1)]);
    }
    // It may get its time when it is finished, and whether a call has come or gone is not known.
    let later = young(20, |messages| {
        messages[39].time = messages[39].time.map(|time| time + 1_000_000);
    });
    assert!(later.intact(), "{:?}", codes(&later));
    let calls = young(20, |messages| messages[39].attachments = 1);
    assert_eq!((calls.totals.unjudged, calls.totals.completed), (1, 0));
}

#[test]
fn an_answer_that_the_store_calls_finished_is_judged_at_any_age() {
    for age in AGES {
        for now in [remove, rewrite, go_on] {
            let finished = |answer: &mut StoredMessage| {
                answer.time = Some(TAKEN - age * 1_000_000);
                answer.mark = Mark::Finished;
            };
            let found = of_answer(finished, now);
            assert_eq!(verdict(&found).0, Verdict::Violated, "{age}");
        }
    }
}

#[test]
fn a_text_that_was_marked_as_open_may_be_any_other_for_a_day() {
    let day = 86_400_000_000;
    let open = |age| {
        move |answer: &mut StoredMessage| {
            answer.state = State::Open;
            answer.mark = Mark::Writing;
            answer.time = Some(TAKEN - age);
        }
    };
    let settled = |messages: &mut Vec<StoredMessage>| messages[39].state = State::Failed;
    for age in [0, day - 1, day] {
        assert!(of_answer(open(age), settled).intact(), "{age}");
        let found = of_answer(open(age), |messages| {
            settled(messages);
            go_on(messages);
        });
        assert!(found.intact() && found.totals.completed == 1);
        let found = of_answer(open(age), rewrite);
        let (expected, unjudged) = if age < day {
            (Verdict::Held, 1)
        } else {
            (Verdict::Violated, 0)
        };
        assert_eq!(verdict(&found).0, expected, "{age}");
        assert_eq!(found.totals.unjudged, unjudged, "{age}");
    }
    // A row that is written again from the beginning is not emptied.
    let found = of_answer(open(0), |messages| messages[39].content.clear());
    assert_eq!(
        (verdict(&found).0, found.totals.unjudged),
        (Verdict::Held, 1)
    );
    let found = of_answer(open(0), |messages| {
        settled(messages);
        messages[39].content.clear();
    });
    assert_eq!(verdict(&found).0, Verdict::Violated);
}

#[test]
fn a_time_in_the_future_leaves_it_undecided_what_a_changed_text_is() {
    let found = young(-600, |_| ());
    assert_eq!(verdict(&found).0, Verdict::Held, "nothing changed");
    assert_eq!(verdict(&young(-600, go_on)).0, Verdict::Held);
    let found = young(-600, rewrite);
    let (verdict, why) = verdict(&found);
    assert_eq!(verdict, Verdict::Inconclusive);
    assert!(why.contains("times that are later than its own"), "{why}");
}

/// The clock of the snapshot was behind by years: every message is in its future.
#[test]
fn a_snapshot_with_a_clock_that_was_behind_hides_nothing() {
    let messages = chats(40);
    for detail in DETAILS {
        let early = Settings {
            detail,
            ..Settings::at(3_000_000_000)
        };
        let before = snapshot(&messages, early);
        assert_eq!(before.summary.ahead, 40);
        assert_eq!(verdict(&compare(&before, &messages)).0, Verdict::Held);
        for at in [5, 38, 39] {
            let mut after = messages.clone();
            after.remove(at);
            let found = compare(&before, &after);
            assert_eq!(verdict(&found).0, Verdict::Violated, "{at} is gone");
            let mut after = messages.clone();
            after[at].content = "something else".into();
            let expected = match at {
                38 => Verdict::Violated,
                _ => Verdict::Inconclusive,
            };
            assert_eq!(verdict(&compare(&before, &after)).0, expected, "{at}");
        }
        // Whether it was put in afterwards or committed late the times can't tell.
        let mut after = messages.clone();
        after.push(StoredMessage {
            key: "late".into(),
            content: "new".into(),
            append: Some(77),
            ..later(3)
        });
        let found = compare_late(&before, &after, |_| Late::Maybe);
        assert_eq!(verdict(&found).0, Verdict::Inconclusive);
    }
}

/// The clock of the snapshot was ahead: what was young looked old to it.
#[test]
fn a_snapshot_from_the_future_calls_no_answer_altered_that_may_have_been_young() {
    for detail in [Detail::Messages, SKETCH] {
        let ahead = Settings {
            detail,
            ..Settings::at(TAKEN + 3_600_000_000)
        };
        let mut messages = chats(40);
        messages[5].time = Some(TAKEN - 2_000_000_000);
        let before = snapshot(&messages, ahead);
        assert_eq!(verdict(&compare(&before, &messages)).0, Verdict::Held);
        for (at, expected) in [
            (39, Verdict::Inconclusive),
            (38, Verdict::Violated),
            (5, Verdict::Violated),
        ] {
            let mut after = messages.clone();
            after[at].content.push_str(" and more");
            let found = compare(&before, &after);
            assert_eq!(verdict(&found).0, expected, "{at}");
        }
        let mut after = messages.clone();
        after.remove(39);
        assert_eq!(verdict(&compare(&before, &after)).0, Verdict::Violated);
    }
}

/// Where the append column is the time, one message of the future puts the mark there.
#[test]
fn a_mark_in_the_future_makes_no_growth_a_backfill() {
    let by_time = |mut messages: Vec<StoredMessage>| {
        for message in &mut messages {
            message.append = message.time;
        }
        messages
    };
    let mut messages = chats(40);
    messages[38].time = Some(TAKEN + 600_000_000);
    let messages = by_time(messages);
    for detail in DETAILS {
        let before = snapshot(&messages, settings(detail));
        assert!(before.summary.by_time);
        let mut after = messages.clone();
        after.extend(by_time((40..45).map(|at| later(at + 1_000_000)).collect()));
        let found = compare(&before, &after);
        assert_eq!(codes(&found), [], "{detail:?}");
        if detail != Detail::Conversations {
            assert_eq!(verdict(&found).0, Verdict::Held);
            assert_eq!((found.totals.appended, found.totals.intact), (5, 4));
        }
        after.remove(38);
        assert_eq!(codes(&compare(&before, &after)), [("message-lost", 1)]);
        let mut after = messages.clone();
        after.push(StoredMessage {
            key: "between".into(),
            content: "never said".into(),
            time: Some(TAKEN - 1),
            append: Some(TAKEN - 1),
            ..later(3)
        });
        let expected = match detail {
            Detail::Conversations => Verdict::Inconclusive,
            _ => Verdict::Violated,
        };
        assert_eq!(verdict(&compare(&before, &after)).0, expected);
    }
}
