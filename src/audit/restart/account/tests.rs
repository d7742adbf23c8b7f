use super::{Account, HistoryBefore, Own, RememberedTurn, Shows, Stored, is_of_another};
use crate::audit::restart::WAYS;
use crate::model::{Role, State, StoredMessage};
use crate::report::Severity;
use crate::stream::marks;
use crate::stream::run::{Access, Recalled};
use crate::stream::session::Remembered;

mod added;
mod forms;
mod given_up;
mod reordered;

const TERM: usize = 0;
const KILL: usize = 1;

fn turn(number: usize, acknowledged: bool) -> RememberedTurn {
    RememberedTurn {
        user: format!("ask [u{number}]"),
        tag: format!("u{number}"),
        expected: format!("say a{number}"),
        nonce: format!("a{number}"),
        acknowledged,
        awaited: true,
    }
}

fn records(texts: &[&str]) -> Vec<Remembered> {
    let role = |text: &str| {
        if text.starts_with("ask") {
            "user"
        } else {
            "assistant"
        }
    };
    let records = texts.iter().map(|text| Remembered {
        role: role(text).to_owned(),
        content: (*text).to_owned(),
    });
    records.collect()
}

fn rows(texts: &[&str]) -> Vec<StoredMessage> {
    let rows = texts.iter().zip(1..);
    rows.map(|(text, key)| StoredMessage::new(key.to_string(), Role::User, *text))
        .collect()
}

/// The codes of what is found, each with its severity's first letter.
fn found(
    way: usize,
    told: &[RememberedTurn],
    http: (u16, &[&str]),
    before: &[&str],
    after: &[&str],
) -> Vec<String> {
    let recalled = Recalled {
        request: "GET /c".to_owned(),
        status: http.0,
        messages: match http.0 {
            200 => Ok(records(http.1)),
            _ => Err("no".to_owned()),
        },
        access: Access::Kept,
    };
    let (before, after) = (rows(before), rows(after));
    let account = Account {
        session: "s",
        way: &WAYS[way],
        told,
        shown: HistoryBefore::default(),
        recalled: Some(&recalled),
        stored: Some(Stored {
            table: "message",
            before: &before,
            after: &after,
            is_ordered: true,
        }),
    };
    codes(&account)
}

fn codes(account: &Account<'_>) -> Vec<String> {
    let findings = account.findings().into_iter();
    findings
        .map(|found| match found.severity {
            Severity::Error => found.code.to_owned(),
            _ => format!("({})", found.code),
        })
        .collect()
}

const ALL: &[&str] = &["ask [u1]", "say a1", "ask [u2]", "say a2"];

fn two() -> Vec<RememberedTurn> {
    vec![turn(1, true), turn(2, true)]
}

#[test]
fn what_is_all_there_is_silent() {
    assert!(found(KILL, &two(), (200, ALL), ALL, ALL).is_empty());
}

#[test]
fn a_conversation_that_is_gone() {
    for (http, after) in [
        ((404, &[][..]), &[][..]),
        ((404, &[]), ALL),
        ((500, &[]), &[]),
        ((200, &[]), &[]),
    ] {
        assert_eq!(
            found(TERM, &two(), http, ALL, after),
            ["conversation-not-found"]
        );
    }
}

#[test]
fn a_message_that_was_acknowledged_and_is_gone() {
    let less = &ALL[..3];
    assert_eq!(
        found(KILL, &two(), (200, less), less, less),
        ["message-lost-on-kill"]
    );
    assert_eq!(
        found(TERM, &two(), (200, less), ALL, less),
        ["message-lost-on-restart"]
    );
}

/// Of the last turn nobody has seen the rows before the stop.
#[test]
fn a_part_of_a_message_is_not_the_message() {
    let cut = ["ask [u1]", "say a1", "ask [u2]", "y a2"];
    let lost = ["message-lost-on-kill"];
    assert_eq!(found(KILL, &two(), (500, &[]), &ALL[..2], &cut)[..1], lost);
    let cut = ["ask [u1]", "say a1", "[u2]", "say a2"];
    assert_eq!(found(KILL, &two(), (500, &[]), &ALL[..2], &cut)[..1], lost);
    // The whole in two rows, a store that writes each message in its own way, and one that keeps the end only.
    let pieces = ["ask [u1]", "say a1", "ask [u2]", "sa", "y a2"];
    let spelled = ["ask [u1]", "say a1", "ask [u2]", "SAY a2"];
    let ends = ["ask [u1]", "y a1", "ask [u2]", "y a2"];
    for whole in [&pieces[..], &spelled, &ends] {
        let found = found(KILL, &two(), (500, &[]), &whole[..2], whole);
        assert!(!found.contains(&lost[0].to_owned()), "{found:?}");
    }
}

/// The history may show from memory what no row holds.
#[test]
fn the_store_counts_and_not_what_is_shown() {
    assert_eq!(
        found(KILL, &two(), (200, ALL), ALL, &ALL[..3]),
        ["message-lost-on-kill"]
    );
}

#[test]
fn nothing_was_promised_of_an_answer_that_was_cut_off() {
    let told = [turn(1, true), turn(2, false), turn(3, true)];
    for cut in [&[][..], &["say"], &["say a2"], &["say", "an error"]] {
        let all = [&ALL[..3], cut, &["ask [u3]", "say a3"]].concat();
        assert!(
            found(KILL, &told, (200, &all), &ALL[..2], &all).is_empty(),
            "{cut:?}"
        );
    }
    let without = ["ask [u1]", "say a1", "ask [u3]", "say a3"];
    assert_eq!(
        found(KILL, &told, (200, &without), &ALL[..2], &without),
        ["(user-message-lost)"]
    );
}

/// What follows a turn that was cut off is found whatever the user is called.
#[test]
fn the_words_for_the_sides_do_not_matter_behind_a_turn_that_was_cut_off() {
    let told = [turn(1, true), turn(2, false), turn(3, true)];
    let all = ["ask [u1]", "say a1", "ask [u2]", "ask [u3]", "say a3"];
    let all = rows(&all);
    for words in [["user", "assistant"], ["human", "bot"], ["me", "them"]] {
        let shown = |count: usize| {
            let texts = all.iter().map(|row| row.content.as_str());
            let mut shown = records(&texts.take(count).collect::<Vec<_>>());
            for record in &mut shown {
                record.role = words[usize::from(record.role != "user")].to_owned();
            }
            shown
        };
        let found = |count| {
            let recalled = Recalled {
                request: "GET /c".to_owned(),
                status: 200,
                messages: Ok(shown(count)),
                access: Access::Kept,
            };
            codes(&Account {
                session: "s",
                way: &WAYS[KILL],
                told: &told,
                shown: HistoryBefore::default(),
                recalled: Some(&recalled),
                stored: Some(Stored {
                    table: "message",
                    before: &all,
                    after: &all,
                    is_ordered: true,
                }),
            })
        };
        assert!(found(5).is_empty(), "{words:?}: {:?}", found(5));
        assert_eq!(found(4), ["history-differs"], "{words:?}");
    }
}

#[test]
fn another_history() {
    let turned = ["say a1", "ask [u1]", "ask [u2]", "say a2"];
    let more = [ALL, &["say more"]].concat();
    for http in [(200, &turned[..]), (200, &more), (500, &[]), (200, &[])] {
        assert_eq!(
            found(TERM, &two(), http, ALL, ALL),
            ["history-differs"],
            "{http:?}"
        );
    }
}

#[test]
fn a_row_that_is_another_one() {
    let changed = ["ask [u1]", "say a1 (edited)", "ask [u2]", "say a2"];
    assert_eq!(
        found(TERM, &two(), (200, ALL), ALL, &changed),
        ["saved-row-changed-later"]
    );
}

/// What is found by the rows before and after a SIGTERM, without a history.
fn by_rows(
    told: &[RememberedTurn],
    before: &[StoredMessage],
    after: &[StoredMessage],
) -> Vec<String> {
    codes(&account(told, before, after))
}

fn account<'a>(
    told: &'a [RememberedTurn],
    before: &'a [StoredMessage],
    after: &'a [StoredMessage],
) -> Account<'a> {
    Account {
        session: "s",
        way: &WAYS[TERM],
        told,
        shown: HistoryBefore::default(),
        recalled: None,
        stored: Some(Stored {
            table: "message",
            before,
            after,
            is_ordered: true,
        }),
    }
}

/// Start-up code that exchanges the sides of a chat.
#[test]
fn a_row_of_the_other_side() {
    let told = two();
    let (before, mut after) = (rows(ALL), rows(ALL));
    after[0].role = Role::Assistant;
    assert_eq!(by_rows(&told, &before, &after), ["saved-row-changed-later"]);
}

/// Without a history, the rows say it: with other keys, in another conversation, twice.
#[test]
fn rows_that_start_up_code_built_again() {
    let told = two();
    let before = rows(ALL);
    let found = |after: &[StoredMessage]| by_rows(&told, &before, after);
    let renumbered = |change: fn(&mut StoredMessage)| {
        let mut after = before.clone();
        for row in &mut after {
            row.key = format!("new {}", row.key);
            change(row);
        }
        found(&after)
    };
    assert_eq!(renumbered(|_| ()), [] as [&str; 0]);
    let cut = |row: &mut StoredMessage| row.content = row.content.replace("say ", "s");
    assert_eq!(renumbered(cut), ["saved-row-changed-later"]);
    let moved = |row: &mut StoredMessage| row.conversation = Some("1".to_owned());
    assert_eq!(renumbered(moved), ["saved-row-changed-later"]);
    assert_eq!(
        found(&[before.clone(), before.clone()].concat()),
        ["answer-duplicated"]
    );
}

#[test]
fn a_history_of_the_other_side() {
    let told = two();
    let mut swapped = records(ALL);
    for record in &mut swapped {
        record.role = if record.role == "user" {
            "bot"
        } else {
            "human"
        }
        .to_owned();
    }
    let recalled = Recalled {
        request: "GET /c".to_owned(),
        status: 200,
        messages: Ok(swapped),
        access: Access::Kept,
    };
    let (before, shown) = (rows(ALL), records(ALL));
    let account = Account {
        session: "s",
        way: &WAYS[TERM],
        told: &told,
        shown: HistoryBefore {
            records: &shown,
            turns: 2,
        },
        recalled: Some(&recalled),
        stored: Some(Stored {
            table: "message",
            before: &before,
            after: &before,
            is_ordered: true,
        }),
    };
    assert_eq!(codes(&account), ["history-differs"]);
}

/// What is found by the history before and after, with every row there or no store to look into.
fn shown(told: &[RememberedTurn], before: &[&str], after: &[&str], is_stored: bool) -> Vec<String> {
    let (before, after, all) = (records(before), records(after), rows(ALL));
    let recalled = Recalled {
        request: "GET /c".to_owned(),
        status: 200,
        messages: Ok(after),
        access: Access::Kept,
    };
    codes(&Account {
        session: "s",
        way: &WAYS[KILL],
        told,
        shown: HistoryBefore {
            records: &before,
            turns: 2,
        },
        recalled: Some(&recalled),
        stored: is_stored.then_some(Stored {
            table: "message",
            before: &all,
            after: &all,
            is_ordered: true,
        }),
    })
}

#[test]
fn a_page_is_no_loss() {
    let none: &[&str] = &[];
    for page in [&ALL[..3], &ALL[1..], &ALL[2..], none] {
        assert_eq!(shown(&two(), page, page, true), ["(history-differs)"]);
        assert_eq!(shown(&two(), page, page, false), ["(history-differs)"]);
    }
    // The window moved on with the turn that was cut off.
    let told = [turn(1, true), turn(2, true), turn(3, false)];
    let moved = [&ALL[2..], &["ask [u3]", "say"]].concat();
    assert_eq!(shown(&told, ALL, &moved, false), ["(history-differs)"]);
    // A last answer that the history lacks is a loss, not a page that ends early.
    let told = [turn(1, true), turn(2, true), turn(3, true)];
    assert_eq!(shown(&told, ALL, ALL, false), ["message-lost-on-kill"]);
    // Neither is what is wrong in the middle, nor what was shown before and is no more.
    let middle = ["ask [u1]", "say a2"];
    assert_eq!(shown(&two(), &middle, &middle, true), ["history-differs"]);
    for less in [&ALL[..3], &ALL[2..], none] {
        assert_eq!(shown(&two(), ALL, less, true), ["history-differs"]);
    }
}

#[test]
fn without_a_store_what_was_shown_must_be_shown_again() {
    assert!(shown(&two(), ALL, ALL, false).is_empty());
    let gone = shown(&two(), ALL, &ALL[..3], false);
    assert_eq!(gone, ["message-lost-on-kill"]);
    assert_eq!(shown(&two(), ALL, &[], false), ["conversation-not-found"]);
    // Of a page, only what it held; what came after it was all there.
    let page = shown(&two(), &ALL[2..], &ALL[3..], false);
    assert_eq!(page, ["message-lost-on-kill"]);
}

#[test]
fn a_user_who_is_not_let_in() {
    for (access, status, expected) in [
        (Access::Renewed, 200, "(logged-out-on-restart)"),
        (
            Access::Refused("no".to_owned()),
            401,
            "logged-out-on-restart",
        ),
    ] {
        let recalled = Recalled {
            request: "GET /c".to_owned(),
            status,
            messages: match status {
                200 => Ok(records(ALL)),
                _ => Err("no".to_owned()),
            },
            access,
        };
        let (all, told) = (rows(ALL), two());
        let account = |after| Account {
            session: "s",
            way: &WAYS[TERM],
            told: &told,
            shown: HistoryBefore::default(),
            recalled: Some(&recalled),
            stored: Some(Stored {
                table: "message",
                before: &all,
                after,
                is_ordered: true,
            }),
        };
        assert_eq!(codes(&account(&all)), [expected]);
        assert_eq!(codes(&account(&[])), ["conversation-not-found"]);
    }
}

/// A conversation of which no row came to a table that other chats came to is lost, and one is not
/// of which only a table that no chat came to is known.
#[test]
fn a_conversation_that_never_came_to_the_table() {
    let told = two();
    let account = |stored| Account {
        session: "s",
        way: &WAYS[KILL],
        told: &told,
        shown: HistoryBefore::default(),
        recalled: None,
        stored,
    };
    let empty = Stored {
        table: "message",
        before: &[],
        after: &[],
        is_ordered: true,
    };
    assert_eq!(codes(&account(Some(empty))), ["message-lost-on-kill"]);
    assert!(codes(&account(None)).is_empty());
}

#[test]
fn a_row_that_is_deleted_for_the_user_is_lost() {
    let (told, all) = (two(), rows(ALL));
    let mut deleted = all.clone();
    deleted[3].state = State::Deleted;
    assert_eq!(by_rows(&told, &all, &deleted), ["message-lost-on-restart"]);
}

/// What is said of a history after the rows got these times. Two turns were shown before.
fn history_harm(turns: usize, before: &[&str], after: &[&str], times: &[i64]) -> String {
    let told: Vec<_> = (1..=turns).map(|number| turn(number, true)).collect();
    let texts = [
        "ask [u1]", "say a1", "ask [u2]", "say a2", "ask [u3]", "say a3",
    ];
    let mut stored = rows(&texts[..2 * turns]);
    for (row, time) in stored.iter_mut().zip(times) {
        row.time = Some(*time);
    }
    let (before, after) = (records(before), records(after));
    let recalled = Recalled {
        request: "GET /c".to_owned(),
        status: 200,
        messages: Ok(after),
        access: Access::Kept,
    };
    let account = Account {
        session: "s",
        way: &WAYS[KILL],
        told: &told,
        shown: HistoryBefore {
            records: &before,
            turns: 2,
        },
        recalled: Some(&recalled),
        stored: Some(Stored {
            table: "message",
            before: &stored,
            after: &stored,
            is_ordered: true,
        }),
    };
    let findings = account.findings();
    assert_eq!(findings[0].code, "history-differs");
    findings[0].harm.clone()
}

/// Messages of one second that change places were put there by chance, and not by the restart.
#[test]
fn equal_times_are_not_put_down_to_the_restart() {
    let swapped = ["say a1", "ask [u1]", "ask [u2]", "say a2"];
    for before in [ALL, &swapped] {
        let harm = history_harm(2, before, &swapped, &[5, 5, 6, 6]);
        assert!(
            harm.contains("in an undefined order") && !harm.contains("SIGKILL"),
            "{harm}"
        );
    }
    // The times tell the order, and it was right before.
    let harm = history_harm(2, ALL, &swapped, &[5, 6, 7, 8]);
    assert!(
        harm.ends_with("a different conversation after SIGKILL and a restart"),
        "{harm}"
    );
    // Neither is the order that of the times.
    let turned = ["ask [u2]", "say a2", "ask [u1]", "say a1"];
    let harm = history_harm(2, ALL, &turned, &[5, 5, 6, 6]);
    assert!(
        harm.ends_with("a different conversation after SIGKILL and a restart"),
        "{harm}"
    );
}

/// Of a turn that nobody had looked at before, nobody knows what the restart did to it.
#[test]
fn a_difference_in_what_was_not_shown_before() {
    let wrong = [ALL, &["say a3", "ask [u3]"]].concat();
    let harm = history_harm(3, ALL, &wrong, &[1, 2, 3, 4, 5, 6]);
    assert!(harm.contains("is not known"), "{harm}");
}

/// Where all share one chat, or a chat begins with a greeting, what others said is not compared.
#[test]
fn what_others_said_is_not_the_conversations() {
    let told = || vec![marked(1), marked(2)];
    let all = |of: &[RememberedTurn]| -> Vec<String> {
        of.iter()
            .flat_map(|turn| [turn.user.clone(), turn.expected.clone()])
            .collect()
    };
    let compared = |texts: &[&[String]], shows: Shows| {
        let texts: Vec<_> = texts.concat();
        let texts: Vec<_> = texts.iter().map(String::as_str).collect();
        let own = Own {
            told: &told(),
            shows,
            has_calls: false,
            stored: &[],
        };
        own.of(&records(&texts))
            .into_iter()
            .map(|record| record.content)
            .collect::<Vec<_>>()
    };
    let (ours, others) = (all(&told()), all(&[marked(3)]));
    let more = ["nobody said that".to_owned()];
    assert_eq!(compared(&[&more, &others, &ours], Shows::One), ours);
    assert_eq!(compared(&[&ours, &others], Shows::Others), ours);
    // Where no history showed others before, one that does now is wrong.
    let shown = compared(&[&ours, &others], Shows::One);
    assert_eq!(shown, [&ours[..], &others].concat());
    let shown = compared(&[&ours, &more], Shows::Others);
    assert_eq!(shown, [&ours[..], &more].concat());
    assert_eq!(compared(&[&others], Shows::Others), Vec::<String>::new());
    assert!(others.iter().all(|text| is_of_another(&told(), text)));
    assert!(!ours.iter().any(|text| is_of_another(&told(), text)));
    assert!(!is_of_another(&told(), "nobody said that"));
}

/// A turn whose texts have marks as those of a run.
fn marked(number: usize) -> RememberedTurn {
    let mark = |kind: &str| format!("{kind}{number:0>16}");
    let (tag, nonce) = (mark(marks::QUESTION), mark(marks::ANSWER));
    RememberedTurn {
        user: format!("ask [{tag}]"),
        expected: format!("say {nonce}"),
        tag,
        nonce,
        ..turn(number, true)
    }
}
