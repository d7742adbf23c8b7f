//! Servers that are odd in one way. Those that are right must not be accused, and those that are wrong must be found.

use crate::common::{case, chatctl, codes, errors, python, report, root};
use crate::tools::calls;
use serde_json::Value;
use std::fmt::Write as _;

/// A session of so many turns, with or without a history.
fn session(turns: usize, history: bool) -> String {
    let mut text = r#"[[setup]]
request = "POST /conversations"
json = { title = "odd" }
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }
"#
    .to_owned();
    for turn in 1..=turns {
        write!(
            text,
            "\n[[turn]]\nuser = \"Add the task number {turn}, and don't forget it\"\n\
             answer = \"Task {turn} 'Buy <milk>' has been added to the list.\"\n"
        )
        .unwrap();
    }
    if history {
        text.push_str("\n[history]\nrequest = \"GET /conversations/{conversation_id}/messages\"\n");
    }
    text
}

fn run(command: &[&str], way: &str, session: &str, arguments: &[&str]) -> (Value, i32) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("odd.toml");
    std::fs::write(&file, session).unwrap();
    std::fs::write(folder.path().join("calls.sse"), calls()).unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let start = format!(
        "{} {} --db {{database_path}} --port {{port}} --gateway {{gateway_url}} --way {way}",
        python().display(),
        root().join("tests/servers/odd.py").display(),
    );
    report(
        chatctl()
            .args(command)
            .args(["--ready", "/health", "--database-url", &url])
            .args(["--start", &start])
            .args(arguments)
            .arg(&file),
    )
}

fn verify(way: &str, session: &str, arguments: &[&str]) -> (Value, i32) {
    let quick = ["--trials", "3", "--profile", "plain"];
    run(
        &["verify-stream"],
        way,
        session,
        &[&quick, arguments].concat(),
    )
}

#[track_caller]
fn is(found: &(Value, i32), verdict: &str, exit: i32) {
    let (report, status) = found;
    assert_eq!(
        (report["verdict"].as_str().unwrap(), *status),
        (verdict, exit),
        "{report:#}"
    );
}

#[test]
fn a_plain_one_is_silent() {
    let found = verify("plain", &session(2, true), &[]);
    is(&found, "proven", 0);
    assert!(codes(&found.0, "warning").is_empty(), "{:#}", found.0);
}

/// Without a history nobody knows whether a reload reads the table or the events.
#[test]
fn an_answer_that_is_an_event_first_is_not_called_late() {
    let found = verify("events", &session(1, false), &[]);
    is(&found, "inconclusive", 3);
    let order = case(&found.0, "/order");
    let reason = order["reason"].as_str().unwrap();
    assert!(reason.contains("event.payload"), "{order:#}");
}

#[test]
fn an_answer_is_read_from_the_column_that_has_it_as_it_was_said() {
    is(&verify("html", &session(1, true), &[]), "proven", 0);
}

#[test]
fn messages_that_move_to_a_table_of_the_history_are_not_called_lost() {
    let found = verify("archived", &session(1, true), &[]);
    is(&found, "inconclusive", 3);
    assert!(errors(&found.0).is_empty(), "{:#}", found.0);
    // Nobody shows them any more.
    let found = verify("archived", &session(1, false), &[]);
    is(&found, "violated", 1);
}

#[test]
fn a_file_that_is_written_as_a_whole_is_not_called_empty() {
    let found = verify("whole-file", &session(1, true), &[]);
    is(&found, "inconclusive", 3);
    assert!(errors(&found.0).is_empty(), "{:#}", found.0);
}

#[test]
fn an_answer_that_is_kept_until_it_can_be_saved_is_not_called_dropped() {
    let found = verify("dead-letter", &session(1, true), &[]);
    assert_eq!(case(&found.0, "/save-fails")["verdict"], "inconclusive");
    assert!(errors(&found.0).is_empty(), "{:#}", found.0);
}

#[test]
fn words_behind_an_answer_are_a_warning_from_the_first_look_on() {
    let found = verify("cited", &session(1, true), &[]);
    is(&found, "proven", 0);
    assert_eq!(codes(&found.0, "warning"), ["answer-differs"]);
}

#[test]
fn a_request_that_is_not_what_was_said_is_found() {
    for (way, code, part) in [
        ("cut-context", "context-altered", "only a part of"),
        ("turned-context", "context-altered", "in the wrong order"),
        (
            "others-context",
            "wrong-conversation",
            "of another conversation",
        ),
    ] {
        let found = verify(way, &session(2, true), &["--proof", "observe"]);
        is(&found, "violated", 1);
        let report = &found.0;
        assert_eq!(errors(report), [code], "{report:#}");
        assert!(report.to_string().contains(part), "{report:#}");
    }
}

/// An interrupted turn changes its own rows only.
#[test]
fn what_a_client_that_leaves_takes_with_it_is_found() {
    let leave = [
        "--proof", "observe", "--suite", "full", "--cases", "left-at",
    ];
    let errors_of = |way: &str| errors(&verify(way, &session(2, false), &leave).0).join(" ");
    assert_eq!(errors_of("plain"), "");
    assert_eq!(errors_of("takes-older"), "answer-lost-on-disconnect");
    assert_eq!(errors_of("asks-again"), "question-duplicated");
    // So has the turn that comes next.
    assert_eq!(errors_of("cuts-next"), "answer-differs");
}

/// A clean-up behind the stream may add a message, or hide one.
#[test]
fn what_a_reload_shows_after_a_hang_up_is_compared() {
    let only = [
        "--proof",
        "observe",
        "--watch",
        "500ms",
        "--case",
        "close-at-final",
    ];
    for (way, code) in [
        ("notes-at-close", "history-differs"),
        ("hides-at-close", "history-differs"),
        // One of three, while the chats before it stay: no newer chat has done that.
        ("wipes-at-close", "saved-row-changed-later"),
        ("shuts-at-close", "history-differs"),
        ("titled-at-close", "saved-row-changed-later"),
    ] {
        let found = verify(way, &session(1, true), &only);
        is(&found, "violated", 1);
        let report = &found.0;
        assert_eq!(errors(report), [code], "{way}: {report:#}");
        let case = case(report, "/close-at-final");
        assert_eq!(case["verdict"], "violated", "{way}: {report:#}");
    }
}

#[test]
fn a_conversation_that_is_listed_only_after_the_marker_is_found() {
    is(&verify("titled", &session(1, false), &[]), "proven", 0);
    // With a history that shows its messages all the same, it is a warning.
    let once = verify("titled-once", &session(1, false), &[]);
    is(&once, "violated", 1);
    assert_eq!(errors(&once.0), ["saved-row-changed-later"], "{:#}", once.0);
    let shown = verify("titled-once", &session(1, true), &[]);
    assert_eq!(
        codes(&shown.0, "warning"),
        ["saved-row-changed-later"],
        "{:#}",
        shown.0
    );
    let found = verify("titled-late", &session(1, false), &[]);
    is(&found, "violated", 1);
    let report = &found.0;
    assert_eq!(errors(report), ["saved-after-done"], "{report:#}");
    let order = case(report, "/order");
    let reason = order["reason"].as_str().unwrap();
    assert!(reason.contains("conversation's own row"), "{order:#}");
}

#[test]
fn an_answer_that_comes_into_its_conversation_after_the_marker_is_found() {
    let only = ["--proof", "gate"];
    is(&verify("linked", &session(1, false), &only), "proven", 0);
    let found = verify("linked-late", &session(1, false), &only);
    is(&found, "violated", 1);
    assert_eq!(errors(&found.0), ["saved-after-done"], "{:#}", found.0);
}

#[test]
fn messages_in_parts_need_no_declaration() {
    let found = verify("in-parts", &session(1, false), &["--proof", "gate"]);
    is(&found, "proven", 0);
}

/// Who deletes or hides a chat before the newest one is not known, and neither is what else than memory holds a question.
#[test]
fn what_the_store_leaves_open_is_not_decided() {
    for way in ["empties", "archives-older", "remembers"] {
        let found = verify(way, &session(1, true), &[]);
        is(&found, "inconclusive", 3);
        assert!(errors(&found.0).is_empty(), "{way}: {:#}", found.0);
    }
    // Without a history the question is what the store has.
    let found = verify("remembers", &session(1, false), &["--proof", "observe"]);
    is(&found, "violated", 1);
    assert_eq!(errors(&found.0), ["user-message-lost"], "{:#}", found.0);
}

#[test]
fn a_line_between_the_messages_of_a_history_or_an_example_before_them_is_not_said() {
    for way in ["dated", "templated"] {
        let found = verify(way, &session(1, true), &["--proof", "observe"]);
        is(&found, "held", 0);
    }
    // A session that names the messages leaves the line out.
    let messages = "messages = \"$[?@.role]\"\n";
    let named = format!("{}{messages}", session(1, true));
    is(&verify("dated", &named, &["--proof", "observe"]), "held", 0);
}

/// The message by which the model calls tools says nothing, in any look at the history.
#[test]
fn a_history_with_the_calls_of_tools_is_right() {
    let steps = "\n[[turn]]\nsteps = [\"calls.sse\"]\n";
    let session = session(1, true).replace("\n[[turn]]\n", steps);
    is(&verify("calls", &session, &[]), "proven", 0);
    let rounds = ["--stop", "term", "--rounds", "1"];
    is(
        &run(&["audit", "restart"], "calls", &session, &rounds),
        "held",
        0,
    );
}

/// What a right server stores behind an answer, or shows between the messages, is no doing of a restart.
#[test]
fn what_a_server_adds_to_the_messages_is_not_found_after_a_restart() {
    for way in ["cited", "reasons"] {
        let rounds = ["--stop", "term", "--rounds", "1"];
        let found = run(&["audit", "restart"], way, &session(1, true), &rounds);
        is(&found, "held", 0);
    }
}

/// Numbers of conversations that begin again give one user another one's chat.
#[test]
fn a_new_conversation_with_the_messages_of_an_old_one_is_found() {
    let restart = |way: &str, history: bool| {
        let rounds = ["--stop", "term", "--rounds", "2"];
        run(&["audit", "restart"], way, &session(1, history), &rounds)
    };
    for history in [true, false] {
        is(&restart("plain", history), "held", 0);
        let found = restart("numbered", history);
        is(&found, "violated", 1);
        assert!(
            errors(&found.0).contains(&"wrong-conversation"),
            "{:#}",
            found.0
        );
    }
}
