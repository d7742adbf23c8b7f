//! Each bad server gets its finding, and the good one gets none of them.

use crate::common::{Chat, case, chatctl, codes, errors, report, side_by_side, small};
use std::fs;

/// A session of two turns with a history, next to the chat's store.
fn two_turns(chat: &Chat) -> String {
    let text = r#"
[[setup]]
request = "POST /conversations"
json = { title = "two turns" }
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added.\nAnything else?"

[[turn]]
user = "Mark it as done"
answer = "Done: 'Buy milk'."

[history]
request = "GET /conversations/{conversation_id}/messages"
messages = "$[*]"
role = "$.role"
content = "$.content"

[logs]
forbid = ["HARD RESET"]
"#;
    let path = chat.folder.path().join("two-turns.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A session that forbids a line of the server's output, next to the chat's store.
fn forbidding(chat: &Chat, pattern: &str) -> String {
    let shipped = crate::common::root().join("fixtures/sessions/shipped/plain.toml");
    let text = fs::read_to_string(shipped).unwrap();
    let path = chat.folder.path().join("forbidding.toml");
    fs::write(&path, format!("{text}\n[logs]\nforbid = ['{pattern}']\n")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The server in this mode is violated, and this code is among its errors.
fn fires(mode: &'static str, code: &str) {
    let chat = Chat::new(mode).stack("async");
    let session = two_turns(&chat);
    let (report, exit) = chat.report(&[&session, "--settle", "700ms"]);
    assert!(
        errors(&report).contains(&code),
        "{mode}: no {code} in {report:#}"
    );
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("violated", 1),
        "{mode}"
    );
}

/// The server in this mode gets this code as a warning.
fn warns(mode: &'static str, code: &str) {
    let chat = Chat::new(mode).stack("sync");
    let (report, _) = chat.report(&["--settle", "700ms", "--trials", "3"]);
    assert!(
        codes(&report, "warning").contains(&code),
        "{mode}: no {code} in {report:#}"
    );
}

/// The good server is silent on two turns, history, log patterns and CORS, and is proven.
#[test]
fn the_good_server_is_silent() {
    let origin = "http://localhost:3000";
    let cases = [("sync", "none"), ("async", "bearer"), ("sync", "cookie")];
    side_by_side(&cases, |(stack, auth)| {
        let chat = Chat::new("correct")
            .stack(stack)
            .set("CORS_ORIGIN", origin)
            .set("AUTH", auth);
        let session = two_turns(&chat);
        let text = fs::read_to_string(&session).unwrap();
        let login = match *auth {
            "none" => "",
            "bearer" => {
                "[login]\nrequest = \"POST /login\"\njson = { email = \"a@example.org\" }\nbearer = \"$.access_token\"\n"
            }
            _ => "[login]\nrequest = \"POST /login\"\njson = { email = \"a@example.org\" }\n",
        };
        fs::write(&session, format!("{login}{text}")).unwrap();
        let (report, exit) = chat.report(&[
            &session,
            "--origin",
            origin,
            "--trials",
            "3",
            "--require",
            "proven",
        ]);
        assert_eq!(
            report["findings"].as_array().unwrap().len(),
            0,
            "{stack} {auth}: {report:#}"
        );
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("proven", 0),
            "{stack} {auth}: {report:#}"
        );
    });
}

/// A server that stores by the provider's id is right as long as no id is given twice: neither in
/// answers that are made nor in a cassette that is played again and again.
#[test]
fn a_server_that_stores_by_the_providers_id_is_right() {
    let chat = Chat::new("keyed_by_provider").stack("sync");
    let session = two_turns(&chat);
    let cassette = crate::common::root().join("fixtures/sessions/hello/milk.sse");
    fs::copy(cassette, chat.folder.path().join("milk.sse")).unwrap();
    let text = fs::read_to_string(&session).unwrap();
    let text = text.replace("answer = \"Done: 'Buy milk'.\"", "cassette = \"milk.sse\"");
    assert!(text.contains("milk.sse"));
    fs::write(&session, text).unwrap();
    let (report, _) = chat.report(&[&session, "--trials", "3"]);
    for severity in ["error", "warning"] {
        let found = codes(&report, severity);
        assert!(
            found.iter().all(|code| *code == "order-ambiguous"),
            "{found:?}: {report:#}"
        );
    }
    assert_ne!(report["verdict"], "violated", "{report:#}");
}

#[test]
fn saved_after_done() {
    fires("after", "saved-after-done");
}

#[test]
fn hanging_up_at_done_loses_the_answer() {
    let chat = Chat::new("after").stack("async");
    let (report, _) = chat.report(&["--settle", "700ms"]);
    assert_eq!(
        case(&report, "/close-at-final")["verdict"],
        "violated",
        "{report:#}"
    );
}

#[test]
fn never_saved() {
    fires("never_saves", "never-saved");
}

#[test]
fn user_message_lost() {
    fires("user_lost", "user-message-lost");
}

#[test]
fn answer_differs() {
    fires("truncated", "answer-differs");
}

#[test]
fn answer_empty() {
    fires("empty", "answer-empty");
}

#[test]
fn answer_duplicated() {
    fires("duplicate", "answer-duplicated");
}

#[test]
fn wrong_conversation() {
    fires("wrong_conversation", "wrong-conversation");
}

#[test]
fn context_lost() {
    fires("forgets_context", "context-lost");
}

#[test]
fn wrong_role() {
    fires("wrong_role", "wrong-role");
}

/// Where the client sends the history, that is what the model must know: in any form.
#[test]
fn context_is_judged_by_what_the_client_sent() {
    let parts = "[messages]\nuser = { id = 'm{number}', role = 'user', parts = [{ type = 'text', text = '{text}' }] }\n\
        assistant = { id = 'm{number}', role = 'assistant', parts = [{ type = 'text', text = '{text}' }] }\n";
    for (mode, forms, lost) in [
        ("correct", "", false),
        ("correct", parts, false),
        ("forgets_context", parts, true),
    ] {
        let chat = Chat::new(mode).stack("sync");
        let session = two_turns(&chat);
        let text = fs::read_to_string(&session).unwrap();
        let sent = text.replace("message = \"{user}\"", "messages = \"{messages}\"");
        assert_ne!(sent, text);
        fs::write(&session, format!("{sent}\n{forms}")).unwrap();
        let (report, _) = chat.report(&[&session, "--proof", "observe"]);
        assert_eq!(
            errors(&report).contains(&"context-lost"),
            lost,
            "{mode} {forms}: {report:#}"
        );
        assert_eq!(report["cases"][0]["verdict"], "held", "{mode}: {report:#}");
    }
}

#[test]
fn history_differs() {
    fires("history_reversed", "history-differs");
}

#[test]
fn finish_ignored() {
    fires("only_done", "finish-ignored");
}

#[test]
fn done_missing() {
    fires("no_done", "done-missing");
}

#[test]
fn not_an_event_stream() {
    fires("not_sse", "not-an-event-stream");
}

/// What can't be read shows nothing of the order, and no marker is missing from it.
#[test]
fn an_answer_that_is_no_event_stream_is_not_judged() {
    for (mode, words) in [
        ("html", "without calling its provider"),
        ("compressed", "compressed (`content-encoding: gzip`)"),
    ] {
        let chat = Chat::new(mode);
        let output = chat.verify().output().unwrap();
        let (out, err) = crate::common::text(&output);
        assert_eq!(output.status.code(), Some(3), "{mode}: {out}{err}");
        assert!(err.contains(words), "{mode}: {err}");
    }
}

#[test]
fn log_forbidden() {
    fires("hard_reset", "log-forbidden");
}

/// What a failed save shows is a case of its own, whatever the gate says of the order.
#[test]
fn swallows_save_errors() {
    for mode in ["swallow", "swallow_touch"] {
        let (report, exit) = Chat::new(mode).stack("sync").report(&["--trials", "3"]);
        assert_ne!(
            case(&report, "/order")["verdict"],
            "violated",
            "{mode}: {report:#}"
        );
        assert_eq!(
            case(&report, "/save-fails")["verdict"],
            "violated",
            "{mode}: {report:#}"
        );
        assert_eq!(
            (errors(&report), exit),
            (vec!["swallows-save-errors"], 1),
            "{mode}: {report:#}"
        );
    }
}

/// A save that gives up at the closed gate at once has failed, and says nothing of the order. What
/// the server logs of that is chatctl's doing.
#[test]
fn a_save_that_fails_at_the_gate_is_no_wrong_order() {
    for (mode, codes, exit) in [
        ("swallow", &["swallows-save-errors"][..], 1),
        // Its client is sent an error before the final marker.
        ("reports_then_ends", &[], 3),
    ] {
        let chat = Chat::new(mode).stack("sync").set("BUSY_TIMEOUT_MS", "0");
        let session = forbidding(&chat, "locked");
        let (report, code) = chat.report(&[&session, "--gate", "raw-locks", "--trials", "3"]);
        assert_eq!(
            (errors(&report).as_slice(), code),
            (codes, exit),
            "{report:#}"
        );
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], "inconclusive", "{mode}: {report:#}");
    }
}

/// A right server logs the error that chatctl made, and that is not held against it.
#[test]
fn an_error_that_chatctl_made_is_not_forbidden() {
    let chat = Chat::new("correct").stack("sync");
    let session = forbidding(&chat, "Traceback|Error|on purpose");
    let (report, _) = chat.report(&[&session, "--trials", "3"]);
    assert_eq!(errors(&report), Vec::<&str>::new(), "{report:#}");
    assert_eq!(case(&report, "/save-fails")["verdict"], "held");
}

/// Where a failed save leaves the response open, or the whole server, that is what is reported.
#[test]
fn failed_save_hangs() {
    for (mode, severity, hangs_up) in [
        ("hangs_on_failed_save", "warning", "held"),
        ("stuck_after_failed_save", "error", "inconclusive"),
    ] {
        let chat = Chat::new(mode).stack("async");
        let (report, _) = chat.report(&["--trials", "3", "--response-timeout", "2s"]);
        assert!(
            codes(&report, severity).contains(&"failed-save-hangs"),
            "{mode}: {report:#}"
        );
        let case = |name| &case(&report, name)["verdict"];
        assert_eq!(case("/save-fails"), "inconclusive", "{mode}: {report:#}");
        assert_eq!(case("/close-at-final"), hangs_up, "{mode}: {report:#}");
    }
}

/// Where a failed save can't be looked at, the report says so.
#[test]
fn failed_save_untried() {
    let chat = Chat::new("correct");
    for (proof, told) in [("observe", true), ("fault", false)] {
        let (report, _) = chat.report(&["--proof", proof]);
        assert_eq!(
            codes(&report, "note").contains(&"failed-save-untried"),
            told,
            "{proof}: {report:#}"
        );
    }
}

/// CI may want a proof, not only that nothing wrong was seen.
#[test]
fn a_proof_can_be_required() {
    let chat = Chat::new("correct");
    for (require, verdict, exit) in [("held", "held", 0), ("proven", "inconclusive", 3)] {
        let (report, code) = chat.report(&["--proof", "observe", "--require", require]);
        assert_eq!(
            (report["verdict"].as_str().unwrap(), code),
            (verdict, exit),
            "{require}: {report:#}"
        );
    }
}

/// The one that logs its failed save is not called silent; the one that logs nothing is.
#[test]
fn save_failed_silently() {
    for (mode, silent) in [("swallow", false), ("swallow_silent", true)] {
        let (report, _) = Chat::new(mode).stack("sync").report(&["--trials", "3"]);
        let told = errors(&report).contains(&"save-failed-silently");
        assert_eq!(told, silent, "{mode}: {report:#}");
    }
}

#[test]
fn data_after_done() {
    warns("data_after_done", "data-after-done");
}

#[test]
fn saved_row_changed_later() {
    warns("changed_later", "saved-row-changed-later");
}

#[test]
fn order_ambiguous() {
    let (report, exit) =
        Chat::new("save_touch").report(&["--proof", "gate", "--gate", "raw-locks"]);
    assert!(
        codes(&report, "warning").contains(&"order-ambiguous"),
        "{report:#}"
    );
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("inconclusive", 3)
    );
}

/// What the gate leaves ambiguous a failed save does not settle: it is reported by itself.
#[test]
fn a_failed_save_settles_no_order() {
    let (report, _) = Chat::new("save_touch").report(&["--gate", "raw-locks"]);
    let order = case(&report, "/order");
    assert_ne!(order["verdict"], "held", "{report:#}");
    assert_ne!(order["verdict"], "violated", "{report:#}");
    assert_eq!(case(&report, "/save-fails")["verdict"], "held");
    let figures = order["metrics"].as_object().unwrap();
    let ended: f64 = figures
        .iter()
        .filter(|(name, _)| name.starts_with("trials_"))
        .map(|(_, count)| count.as_f64().unwrap())
        .sum();
    assert_eq!(Some(ended), figures["trials"].as_f64(), "{order:#}");
    let (report, exit) = Chat::new("conc_writer").report(&["--gate", "raw-locks"]);
    assert_eq!(exit, 1, "{report:#}");
}

#[test]
fn done_despite_failed_save() {
    let (report, exit) = Chat::new("create_task")
        .stack("async")
        .report(&["--proof", "fault"]);
    assert!(
        errors(&report).contains(&"done-despite-failed-save"),
        "{report:#}"
    );
    assert_eq!(exit, 1);
}

#[test]
fn fault_injection_alone_distinguishes_right_from_wrong() {
    for stack in ["sync", "async", "raw"] {
        let (report, exit) = Chat::new("correct")
            .stack(stack)
            .report(&["--proof", "fault"]);
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("held", 0),
            "{stack}: {report:#}"
        );
        let (report, exit) = Chat::new("background")
            .stack(stack)
            .report(&["--proof", "fault"]);
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("violated", 1),
            "{stack}: {report:#}"
        );
    }
}

/// Behind an open transaction a failing statement says nothing of the commit: no verdict, ever.
#[test]
fn fault_injection_does_not_judge_long_transactions() {
    for mode in ["long_tx_correct", "long_tx_after"] {
        let (report, _) = Chat::new(mode).journal("wal").report(&["--proof", "fault"]);
        assert_eq!(
            case(&report, "/save-fails")["verdict"],
            "inconclusive",
            "{mode}: {report:#}"
        );
    }
}

#[test]
fn observing_proves_no_order() {
    let (report, _) = Chat::new("correct").report(&["--proof", "observe"]);
    let order = case(&report, "/order");
    assert_eq!(order["verdict"], "held");
    assert!(
        order["reason"].as_str().unwrap().contains("not proven"),
        "{report:#}"
    );
    let (report, exit) = Chat::new("write_behind").report(&["--proof", "observe"]);
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("violated", 1),
        "{report:#}"
    );
}

#[test]
fn cors_blocked() {
    let chat = Chat::new("correct").set("CORS_ORIGIN", "http://localhost:3000");
    let (report, _) = chat.report(&["--origin", "http://elsewhere.example", "--trials", "3"]);
    assert!(errors(&report).contains(&"cors-blocked"), "{report:#}");
}

/// Titles are answered and told; a path that no cassette answers gets a 4xx and is reported. Neither
/// takes the proof away.
#[test]
fn provider_calls_beside_the_turns_are_told() {
    let cases = [
        ("titles", "note", "provider-call-extra"),
        ("speech", "warning", "provider-call-unmatched"),
    ];
    side_by_side(&cases, |(mode, severity, code)| {
        let (report, exit) = Chat::new(mode).report(&["--trials", "3"]);
        assert!(
            codes(&report, severity).contains(code),
            "{mode}: {report:#}"
        );
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("proven", 0),
            "{mode}: {report:#}"
        );
    });
}

/// A first turn that is saved in time says nothing of a second one that is not.
#[test]
fn every_turn_is_proven_by_itself() {
    let chat = Chat::new("late_second_turn").stack("async");
    let session = two_turns(&chat);
    let (report, exit) = chat.report(&[&session, "--proof", "gate", "--trials", "3"]);
    assert_ne!(exit, 0, "{report:#}");
}

/// A status that goes on changing after the answer is complete is no late save.
#[test]
fn a_status_that_changes_later_is_no_violation() {
    let (report, _) = Chat::new("delivered_later").report(&["--proof", "gate"]);
    assert_eq!(case(&report, "/order")["verdict"], "proven", "{report:#}");
}

/// A hold that is shorter than the server's own time would call any server good.
#[test]
fn a_hold_that_is_too_short_is_not_taken() {
    let (report, exit) =
        Chat::new("create_task_slow").report(&["--proof", "gate", "--hold", "300ms"]);
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("violated", 1),
        "{report:#}"
    );
}

/// INSERT, final marker, COMMIT: a failing INSERT withholds the marker, so fault injection must not settle it.
#[test]
fn a_commit_after_the_marker_is_never_settled_as_good() {
    for (mode, stack) in [
        ("flush_after", "async"),
        ("flush_after", "raw"),
        ("depends_commit", "raw"),
    ] {
        let (report, exit) = Chat::new(mode).stack(stack).report(&["--proof", "auto"]);
        assert!([1, 3].contains(&exit), "{mode} on {stack}: {report:#}");
    }
}

/// A history that is read from a replica is late, and the finding says so; one that never shows the message is not late.
#[test]
fn a_history_that_lags_is_told_from_one_that_differs() {
    let session = r#"
[[setup]]
request = "POST /conversations"
json = {}
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added."

[history]
request = "GET /conversations/{conversation_id}"
"#;
    let servers = [
        ("--replica 0", None),
        ("--replica 900", Some("lags behind the store")),
        ("--mute", Some("is not in its place")),
    ];
    side_by_side(&servers, |(options, words)| {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history.toml");
        fs::write(&path, session).unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let options: Vec<_> = options.split(' ').collect();
        let mut command = chatctl();
        command.arg("verify-stream").arg(&path);
        command.args(["--ready", "/health", "--database-url", &url]);
        command.args(["--start", &small::start(&options), "--proof", "observe"]);
        let (report, exit) = report(command.args(["--settle", "3s"]));
        let found = report["findings"].as_array().unwrap().iter();
        let found: Vec<_> = found
            .filter(|finding| finding["code"] == "history-differs")
            .map(|finding| finding["harm"].as_str().unwrap())
            .collect();
        match words {
            None => assert_eq!((found.len(), exit), (0, 0), "{report:#}"),
            Some(words) => {
                assert!(found.iter().all(|harm| harm.contains(words)), "{found:?}");
                assert_eq!((found.len(), exit), (1, 1), "{report:#}");
            }
        }
    });
}

/// The first turn after the start is found once the chats behind it have shown where answers are stored.
#[test]
fn a_first_turn_that_is_not_stored_rightly_is_found() {
    let servers = [
        ("--first lost", "never-saved"),
        ("--first twice", "answer-duplicated"),
        ("--first question", "user-message-lost"),
        ("--journal wal", ""),
    ];
    side_by_side(&servers, |(options, code)| {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let options: Vec<_> = options.split(' ').collect();
        let mut command = chatctl();
        command.args(["verify-stream", "--ready", "/health"]);
        command.args(["--database-url", &url, "--start", &small::start(&options)]);
        command.args(["--proof", "observe", "--settle", "700ms"]);
        let (report, exit) = report(&mut command);
        let wanted: &[&str] = if code.is_empty() { &[] } else { &[code] };
        assert_eq!(errors(&report), wanted, "{report:#}");
        assert_eq!(exit, i32::from(!code.is_empty()), "{report:#}");
    });
}
