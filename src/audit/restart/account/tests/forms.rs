//! Rows in another form, rows of tools, and a history after the conversation continued.

use super::super::{Account, HistoryBefore, RememberedTurn, Since, Stored};
use super::{ALL, TERM, by_rows, codes, records, rows, turn, two};
use crate::audit::restart::WAYS;
use crate::model::{Role, State, StoredMessage, ToolCall};
use crate::stream::marks;
use crate::stream::run::{Access, Recalled};

/// A turn with a tool: question, call, result and answer.
fn with_tools() -> Vec<StoredMessage> {
    let mut all = rows(&["ask [u1]", "", "{\"items\": 2}", "say a1"]);
    all[1].role = Role::Assistant;
    all[1].tools = vec![ToolCall {
        name: "list".to_owned(),
        input: Some("{\"of\": \"tasks\"}".to_owned()),
        output: None,
    }];
    all[2].role = Role::Other("tool".to_owned());
    all[3].role = Role::Assistant;
    all
}

/// What a tool was asked and what it gave is part of the turn that the client saw the end of.
#[test]
fn rows_of_tools_that_are_gone_or_emptied() {
    let (told, all) = ([turn(1, true)], with_tools());
    let found = |change: fn(&mut Vec<StoredMessage>)| {
        let mut after = all.clone();
        change(&mut after);
        by_rows(&told, &all, &after)
    };
    assert!(found(|_| ()).is_empty());
    let lost = ["message-lost-on-restart"];
    assert_eq!(found(|rows| drop(rows.remove(1))), lost);
    assert_eq!(found(|rows| drop(rows.remove(2))), lost);
    assert_eq!(found(|rows| rows[2].state = State::Deleted), lost);
    let changed = ["saved-row-changed-later"];
    assert_eq!(found(|rows| rows[2].content.clear()), changed);
    assert_eq!(found(|rows| rows[1].tools.clear()), changed);
    assert_eq!(
        found(|rows| rows[1].tools[0].input = Some("{}".to_owned())),
        changed
    );
}

/// The server was killed at the end of the second turn: what its tools gave was not committed by then.
#[test]
fn rows_of_tools_that_never_came_are_found_by_an_earlier_turn() {
    let said = |number: usize| {
        let tag = format!("{}{number:016}", marks::QUESTION);
        let nonce = format!("{}{number:016}", marks::ANSWER);
        RememberedTurn {
            user: format!("ask [{tag}]"),
            expected: format!("say {nonce}"),
            tag,
            nonce,
            acknowledged: true,
            awaited: number == 1,
        }
    };
    let told = [said(1), said(2)];
    let of = |turn: &RememberedTurn| {
        let mut all = with_tools();
        all[0].content.clone_from(&turn.user);
        all[3].content.clone_from(&turn.expected);
        for row in &mut all {
            row.key = format!("{}-{}", turn.tag, row.key);
        }
        all
    };
    let (first, mut second) = (of(&told[0]), of(&told[1]));
    let all = [first.clone(), second.clone()].concat();
    assert!(by_rows(&told, &first, &all).is_empty());
    second.drain(1..3);
    let short = [first.clone(), second].concat();
    let lost = ["message-lost-on-restart"];
    assert_eq!(by_rows(&told, &first, &short), lost);
}

#[test]
fn rows_of_tools_in_another_form_are_kept() {
    let (told, all) = ([turn(1, true)], with_tools());
    let found = |change: fn(&mut Vec<StoredMessage>)| {
        let mut after = all.clone();
        change(&mut after);
        by_rows(&told, &all, &after)
    };
    let renumber = |rows: &mut Vec<StoredMessage>| {
        for row in rows {
            row.key = format!("new {}", row.key);
        }
    };
    assert!(found(renumber).is_empty());
    // Another spelling of the same JSON.
    let spelt = |rows: &mut Vec<StoredMessage>| {
        rows[1].tools[0].input = Some("{\"of\":\"tasks\"}".to_owned());
        rows[2].content = "{\"items\":2}".to_owned();
    };
    assert!(found(spelt).is_empty());
    // The result goes to its call, and the call to the answer.
    let merged = |rows: &mut Vec<StoredMessage>| {
        let mut call = rows.remove(1).tools.remove(0);
        call.output = Some(rows.remove(1).content);
        rows[1].tools.push(call);
    };
    assert!(found(merged).is_empty());
    // Nothing was promised of an answer that was cut off.
    let cut = [turn(1, false)];
    assert!(by_rows(&cut, &all, &all[..1]).is_empty());
}

/// Start-up code that writes the same in another form.
#[test]
fn a_row_in_another_form_says_the_same() {
    let told = two();
    let before = rows(ALL);
    let found = |change: fn(&mut StoredMessage)| {
        let mut after = before.clone();
        after.iter_mut().for_each(change);
        by_rows(&told, &before, &after)
    };
    let parts = |row: &mut StoredMessage| {
        row.content = format!("[{{\"type\":\"text\",\"text\":\"{}\"}}]", row.content);
    };
    assert!(found(parts).is_empty());
    let blanks = |row: &mut StoredMessage| row.content.push_str(" \n");
    assert!(found(blanks).is_empty());
    let cut = |row: &mut StoredMessage| {
        row.content = format!("[{{\"type\":\"text\",\"text\":\"{}\"}}]", &row.content[1..]);
    };
    assert_eq!(found(cut), ["saved-row-changed-later"]);
}

/// A row that quotes an answer is another message.
#[test]
fn a_quote_is_no_copy() {
    let (told, before) = (two(), rows(ALL));
    let mut after = before.clone();
    after.push(StoredMessage::new("9", Role::User, "Summary: say a2"));
    assert!(by_rows(&told, &before, &after).is_empty());
    // The next start writes the quote once more, or another one.
    let quoted = after.clone();
    after.push(StoredMessage::new("11", Role::User, "Summary: say a2"));
    assert!(by_rows(&told, &quoted, &after).is_empty());
    after[4].content.push_str(", and so on");
    assert!(by_rows(&told, &quoted, &after).is_empty());
    after.push(StoredMessage::new("10", Role::User, "say a2\n"));
    assert_eq!(by_rows(&told, &before, &after), ["answer-duplicated"]);
}

/// What is found by rows and a history after a SIGTERM.
fn by_roles(was: [&str; 2], is: [&str; 2], shown: &[&str]) -> Vec<String> {
    let told = two();
    let with = |roles: [&str; 2]| {
        let mut all = rows(ALL);
        for (row, word) in all.iter_mut().zip(roles.iter().cycle()) {
            row.role = match *word {
                "user" => Role::User,
                "assistant" => Role::Assistant,
                other => Role::Other(other.to_owned()),
            };
        }
        all
    };
    let recalled = Recalled {
        request: "GET /c".to_owned(),
        status: 200,
        messages: Ok(records(shown)),
        access: Access::Kept,
    };
    let (before, after, seen) = (with(was), with(is), records(ALL));
    codes(&Account {
        session: "s",
        way: &WAYS[TERM],
        told: &told,
        shown: HistoryBefore {
            records: &seen,
            turns: 2,
        },
        recalled: Some(&recalled),
        stored: Some(Stored {
            table: "message",
            before: &before,
            after: &after,
            is_ordered: true,
        }),
    })
}

#[test]
fn a_role_by_another_name_is_the_same_side() {
    let sides = ["user", "assistant"];
    assert!(by_roles(["frage", "antwort"], sides, ALL).is_empty());
    assert!(by_roles(sides, ["human", "ai"], ALL).is_empty());
    // A word that nobody knows is right where a reload shows everything.
    assert!(by_roles(sides, ["frage", "antwort"], ALL).is_empty());
    let changed = ["saved-row-changed-later"];
    assert_eq!(
        by_roles(sides, ["frage", "antwort"], &ALL[..2])[..1],
        changed
    );
    assert_eq!(by_roles(sides, ["assistant", "user"], ALL), changed);
    assert_eq!(by_roles(sides, ["user", "user"], ALL), changed);
}

/// A server that shows what it had read at its start.
#[test]
fn a_history_that_does_not_go_on() {
    let not_shown = |before: &[&str], now: &[&str]| {
        let told = [turn(1, true), turn(2, true), turn(3, true)];
        let recalled = Recalled {
            request: "GET /c".to_owned(),
            status: 200,
            messages: Ok(records(now)),
            access: Access::Kept,
        };
        let before = records(before);
        let account = Account {
            session: "s",
            way: &WAYS[TERM],
            told: &told,
            shown: HistoryBefore {
                records: &before,
                turns: 2,
            },
            recalled: Some(&recalled),
            stored: None,
        };
        match account.since() {
            Since::Shown => "shown",
            Since::Hidden(_) => "hidden",
            Since::Wrong(finding) => finding.code,
        }
    };
    let more = [ALL, &["ask [u3]", "say a3"]].concat();
    assert_eq!(not_shown(ALL, &more), "shown");
    // An order that is left to chance is reported otherwise.
    assert_eq!(
        not_shown(ALL, &[&more[..4], &["say a3", "ask [u3]"]].concat()),
        "shown"
    );
    // The next start tells whether it is a page.
    assert_eq!(not_shown(ALL, ALL), "hidden");
    assert_eq!(not_shown(ALL, &ALL[..2]), "history-differs");
    assert_eq!(
        not_shown(ALL, &[&more[..4], &["say other", "say a3"]].concat()),
        "history-differs"
    );
    // A page that moves on, and what was wrong before the restart.
    assert_eq!(not_shown(ALL, &more[2..]), "shown");
    assert_eq!(not_shown(&ALL[..3], ALL), "shown");
}

#[test]
fn tools_that_never_came_to_the_store_have_not_moved() {
    let late = RememberedTurn {
        awaited: false,
        ..turn(2, true)
    };
    let told = [turn(1, true), late];
    let mut after = [with_tools(), rows(&["ask [u2]", "say a2"])].concat();
    for (row, key) in after.iter_mut().zip(1..) {
        row.key = key.to_string();
    }
    let never_had = |before: &[StoredMessage]| {
        let account = Account {
            session: "s",
            way: &WAYS[TERM],
            told: &told,
            shown: HistoryBefore::default(),
            recalled: None,
            stored: Some(Stored {
                table: "message",
                before,
                after: &after,
                is_ordered: true,
            }),
        };
        account.never_had_steps()
    };
    assert!(never_had(&with_tools()));
    let mut before = after.clone();
    let step = StoredMessage::new("7", Role::Other("tool".to_owned()), "{\"items\": 3}");
    before.insert(5, step);
    assert!(!never_had(&before));
}
