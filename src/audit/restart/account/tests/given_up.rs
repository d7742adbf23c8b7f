//! What start-up code makes of answers: it gives them up, or adds one.

use super::super::RememberedTurn;
use super::{ALL, account, by_rows, rows, two};
use crate::model::{Role, StoredMessage};

/// The repair of unfinished answers, without its WHERE.
#[test]
fn an_answer_that_start_up_code_gives_up() {
    let told = two();
    let with = |status: &str| {
        let mut rows = rows(ALL);
        for row in &mut rows {
            row.status = Some(status.to_owned());
        }
        rows
    };
    let found = |was: &str, is: &str| by_rows(&told, &with(was), &with(is));
    for status in ["failed", "deleted", "Interrupted"] {
        assert_eq!(found("done", status), ["saved-row-changed-later"]);
    }
    // Other words may mean anything, and what was given up before may stay so.
    assert_eq!(found("done", "archived"), [] as [&str; 0]);
    assert_eq!(found("failed", "interrupted"), [] as [&str; 0]);
}

/// Their status may say only that they came.
#[test]
fn a_question_that_was_never_finished_is_not_given_up() {
    let told = two();
    let with = |asked: &str, said: &str| {
        let mut rows = rows(ALL);
        for row in &mut rows {
            let is_asked = row.content.starts_with("ask");
            row.status = Some(if is_asked { asked } else { said }.to_owned());
        }
        rows
    };
    let found = |was: &str, is: &str| by_rows(&told, &with(was, "done"), &with(is, "done"));
    for failed in ["failed", "Interrupted"] {
        assert_eq!(found("received", failed), [] as [&str; 0]);
    }
    // Nobody is to read it any more.
    for gone in ["deleted", "cancelled"] {
        assert_eq!(found("received", gone), ["saved-row-changed-later"]);
    }
    assert_eq!(found("done", "failed"), ["saved-row-changed-later"]);
}

/// Start-up code that answers in the place of the model.
#[test]
fn an_answer_that_start_up_code_adds_leaves_the_round_open() {
    let mut told = two();
    let (before, mut after) = (rows(ALL), rows(ALL));
    let added = |told: &[RememberedTurn], after: &[StoredMessage]| {
        account(told, &before, after).added().is_some()
    };
    assert!(!added(&told, &after));
    let note = |role: Role| StoredMessage::new("9", role, "Sorry, I was interrupted.");
    after.push(note(Role::Other("system".to_owned())));
    assert!(!added(&told, &after));
    after.push(note(Role::Assistant));
    assert!(added(&told, &after));
    // It may be what the server makes of a turn that was not over.
    told[1].awaited = false;
    assert!(!added(&told, &after));
}
