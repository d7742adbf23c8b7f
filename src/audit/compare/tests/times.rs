//! Messages in the order of their times: a place is the time, in the unit of the column.

use super::{
    Code, Comparison, SKETCH, StoredMessage, TAKEN, codes, compare, compare_files, message,
    settings, snapshot,
};
use crate::audit::snapshot_builder::Detail;
use crate::model::epoch;
use crate::model::epoch::Unit;

/// Messages of whole seconds, whose places are their times in that unit.
fn rows(unit: Unit, count: i64) -> Vec<StoredMessage> {
    let row = |number: i64| {
        let time = TAKEN - 1_000_000_000 + number * 1_000_000;
        StoredMessage {
            time: Some(time),
            append: Some(epoch::to(unit, time)),
            ..message(number)
        }
    };
    (0..count).map(row).collect()
}

/// Compared with the live store, which gives places in the unit of the snapshot, and with another file.
fn each(before: &[StoredMessage], after: &[StoredMessage], detail: Detail) -> [Comparison; 2] {
    let unit = before[0].append.and_then(epoch::unit).unwrap();
    let in_unit = |row: &StoredMessage| StoredMessage {
        append: row.append.map(|place| epoch::to(unit, place)),
        ..row.clone()
    };
    let live: Vec<_> = after.iter().map(in_unit).collect();
    let before = snapshot(before, settings(detail));
    let later = snapshot(after, settings(detail));
    [
        compare(&before, &live),
        compare_files(&before, &later).unwrap(),
    ]
}

const UNITS: [Unit; 4] = [
    Unit::Seconds,
    Unit::Milliseconds,
    Unit::Microseconds,
    Unit::Nanoseconds,
];

#[test]
fn another_unit_is_the_same_time() {
    for (then, now) in UNITS.iter().flat_map(|then| UNITS.map(|now| (*then, now))) {
        for detail in [Detail::Messages, SKETCH] {
            for found in each(&rows(then, 40), &rows(now, 43), detail) {
                assert_eq!(codes(&found), [], "{then:?} {now:?} {detail:?}");
                assert_eq!(found.totals.appended, 3, "{then:?} {now:?} {detail:?}");
            }
            let mut moved = rows(now, 40);
            moved[7].time = moved[7].time.map(|time| time + 9_000_000);
            moved[7].append = moved[7].time.map(|time| epoch::to(now, time));
            for found in each(&rows(then, 40), &moved, detail) {
                let told = &found.groups[&Code::TimesShifted];
                assert_eq!(told.note, "all by +9 s", "{then:?} {now:?} {detail:?}");
            }
        }
    }
}

/// A place that is no time is compared as it is.
#[test]
fn another_number_is_another_place() {
    let before = rows(Unit::Seconds, 40);
    let mut after = before.clone();
    after[7].append = after[7].append.map(|place| place - 3);
    for found in each(&before, &after, Detail::Messages) {
        assert_eq!(codes(&found), [("message-altered", 1)]);
    }
}

/// Numbers that a server gives by itself are as large as times in nanoseconds.
#[test]
fn two_large_numbers_that_are_swapped_are_other_places() {
    let row = |number: i64| StoredMessage {
        append: Some(1_900_000_000_000_000_000 + number),
        ..message(number)
    };
    let before: Vec<_> = (0..40).map(row).collect();
    let mut after = before.clone();
    (after[6].append, after[7].append) = (before[7].append, before[6].append);
    for found in each(&before, &after, Detail::Messages) {
        assert_eq!(codes(&found), [("message-altered", 2)]);
    }
    for found in each(&before, &before, Detail::Messages) {
        assert_eq!(codes(&found), []);
    }
}

#[test]
fn a_time_with_a_lower_precision_is_no_other_place() {
    let row = |number: i64, unit: i64| {
        let time = TAKEN - 1_000_000_000 + number * 1_234_567;
        let time = Some(time - time.rem_euclid(unit));
        StoredMessage {
            time,
            append: time,
            ..message(number)
        }
    };
    let rows = |unit| (0..40).map(|number| row(number, unit)).collect::<Vec<_>>();
    for unit in [1_000, 1_000_000] {
        for detail in [Detail::Messages, SKETCH] {
            for found in each(&rows(1), &rows(unit), detail) {
                assert_eq!(codes(&found), [], "{unit} {detail:?}");
                assert!(found.totals.rounded > 30);
            }
        }
    }
}
