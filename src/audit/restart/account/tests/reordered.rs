//! The order of a conversation's rows, where no history says what a reload shows.

use super::{ALL, account, codes, rows, two};
use crate::model::StoredMessage;

const AT: i64 = 1_700_000_000_000_000;

/// A conversation whose messages have these times, in seconds.
fn at(times: [i64; 4]) -> Vec<StoredMessage> {
    let mut rows = rows(ALL);
    for (row, time) in rows.iter_mut().zip(times) {
        row.conversation = Some("c".to_owned());
        row.time = Some(AT + time * 1_000_000);
    }
    rows
}

/// What is found, and whether it stays open.
fn found(before: &[StoredMessage], after: &[StoredMessage]) -> (Vec<String>, bool) {
    let told = two();
    let account = account(&told, before, after);
    (codes(&account), account.perhaps_reordered().is_some())
}

#[test]
fn contents_that_changed_places_are_an_error() {
    for times in [[0, 1, 2, 3], [0; 4]] {
        let (before, mut after) = (at(times), at(times));
        let (first, rest) = after.split_at_mut(2);
        std::mem::swap(&mut first[0].content, &mut rest[0].content);
        let expected = (vec!["saved-row-changed-later".to_owned()], false);
        assert_eq!(found(&before, &after), expected, "{times:?}");
    }
}

#[test]
fn another_order_of_keys_stays_open_where_the_times_keep_it() {
    let before = at([0, 1, 2, 3]);
    assert_eq!(found(&before, &before), (vec![], false));
    let mut after = before.clone();
    for row in &mut after {
        row.key = format!("-{}", row.key);
    }
    assert_eq!(found(&before, &after), (vec![], false));
    after.reverse();
    assert_eq!(found(&before, &after), (vec![], true));
}

/// An engine may give rows of one time in any order.
#[test]
fn rows_without_a_defined_order_are_silent() {
    let before = at([0; 4]);
    let mut after = before.clone();
    after.swap(0, 2);
    assert_eq!(found(&before, &after), (vec![], false));
}
