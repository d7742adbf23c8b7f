//! Turns in which the model calls tools: what is stored of them is compared with what it called.

use crate::common::{Chat, case, errors, report, side_by_side};
use serde_json::{Value, json};
use std::fs;
use std::path::{Path, PathBuf};

/// An answer with two calls at once, as OpenAI streams it.
pub fn calls() -> String {
    let delta = |delta: Value, reason: Value| {
        let choice = json!({ "index": 0, "delta": delta, "finish_reason": reason });
        let event = json!({
            "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m", "choices": [choice],
        });
        format!("data: {event}\n\n")
    };
    let call = |index: usize, name: &str| {
        let function = json!({ "name": name, "arguments": "" });
        let id = format!("call_{index}");
        json!({ "tool_calls": [{ "index": index, "id": id, "type": "function", "function": function }] })
    };
    let arguments = |index: usize, text: &str| json!({ "tool_calls": [{ "index": index, "function": { "arguments": text } }] });
    [
        delta(json!({ "role": "assistant", "content": null }), Value::Null),
        delta(call(0, "add_task"), Value::Null),
        delta(arguments(0, "{\"title\": "), Value::Null),
        delta(arguments(0, "\"milk\"}"), Value::Null),
        delta(call(1, "list_tasks"), Value::Null),
        delta(arguments(1, "{}"), Value::Null),
        delta(json!({}), json!("tool_calls")),
        "data: [DONE]\n\n".to_owned(),
    ]
    .concat()
}

/// The report of a run that only looks.
fn run(tools: &str, suite: &str) -> (Value, i32) {
    let chat = Chat::kept_beside("json", "before").set("TOOLS", tools);
    let text = r#"
[[setup]]
request = "POST /conversations"
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "Add a task to buy milk"
steps = ["calls.sse"]
answer = "Task 'Buy milk' has been added to your list."
"#;
    fs::write(chat.folder.path().join("calls.sse"), calls()).unwrap();
    let path = chat.folder.path().join("tools.toml");
    fs::write(&path, text).unwrap();
    let only = ["--proof", "observe", "--suite", suite, "--settle", "500ms"];
    let mut command = chat.verify();
    command.arg(path).args(only);
    if suite != "quick" {
        command.args(["--cases", "left-at"]);
    }
    report(&mut command)
}

#[test]
fn calls_that_are_stored_otherwise_are_found() {
    side_by_side(&["right", "swapped", "fewer", "emptied"], |tools| {
        let (report, exit) = run(tools, "quick");
        let found = errors(&report).contains(&"tool-calls-differ");
        assert_eq!(
            (found, exit),
            (*tools != "right", i32::from(*tools != "right")),
            "{report:#}"
        );
    });
}

#[test]
fn a_turn_is_broken_off_within_its_steps() {
    let (report, _) = run("right", "full");
    // The calls have eight events, and the answer follows.
    for name in [
        "/left-at-in-tool-by-fin",
        "/left-at-event-6-by-fin",
        "/left-at-between-steps-by-fin",
        "/left-at-last-delta-by-fin",
    ] {
        let case = case(&report, name);
        assert_ne!(case["verdict"], "inconclusive", "{case:#}");
        let reason = case["reason"].as_str().unwrap();
        assert!(reason.contains("stopped reading"), "{reason}");
    }
}

/// A session in which the user has to approve of a call, in this folder.
pub fn with_approval(folder: &Path) -> PathBuf {
    let text = r#"
[[setup]]
request = "POST /conversations"
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "Which tasks do I have?"
answer = "You have one task, which is to buy milk."

[approval]
user = "Add a task to buy milk"
calls = "calls.sse"
answer = "Task 'Buy milk' has been added to your list."

[approval.approve]
request = "POST /conversations/{conversation_id}/decide"
json = { approved = true }

[approval.refuse]
request = "POST /conversations/{conversation_id}/decide"
json = { approved = false }

[history]
request = "GET /conversations/{conversation_id}/messages"
messages = "$[?@.role != 'tool' && @.content != '']"
"#;
    fs::write(folder.join("calls.sse"), calls()).unwrap();
    let path = folder.join("approval.toml");
    fs::write(&path, text).unwrap();
    path
}

/// The report of a run in which the user has to approve of a call.
fn run_approval(server: &str) -> (Value, i32) {
    let chat = Chat::kept_beside("json", "before").set("APPROVAL", server);
    let path = with_approval(chat.folder.path());
    let only = ["--proof", "observe", "--suite", "full", "--settle", "700ms"];
    let mut command = chat.verify();
    command.arg(path).args(only).args(["--cases", "approval-"]);
    report(&mut command)
}

#[test]
fn a_turn_that_waits_for_approval_is_stored_once() {
    let all = [
        "/approval-granted",
        "/approval-refused",
        "/approval-granted-after-a-reload",
        "/approval-granted-twice",
        "/approval-granted-after-a-restart",
    ];
    side_by_side(&["right", "doubles", "open"], |server| {
        let (report, exit) = run_approval(server);
        let (wrong, code): (&[&str], _) = match *server {
            "right" => (&[], None),
            "doubles" => (&all, Some("turn-stored-twice")),
            // As long as the page stays, all is well.
            _ => (
                &["/approval-granted-after-a-reload", all[4]],
                Some("approval-lost"),
            ),
        };
        for name in all {
            let expected = if wrong.contains(&name) {
                "violated"
            } else {
                "held"
            };
            let verdict = &case(&report, name)["verdict"];
            assert_eq!(verdict, expected, "{server}: {name}: {report:#}");
        }
        let found = code.is_none_or(|code| errors(&report).contains(&code));
        assert!(found, "{server}: {report:#}");
        assert_eq!(exit, i32::from(code.is_some()), "{server}: {report:#}");
        assert_eq!(
            errors(&report).is_empty(),
            code.is_none(),
            "{server}: {report:#}"
        );
    });
}

/// The same calls after some words, and of a tool that raises.
fn failing_calls() -> String {
    let words = json!({
        "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "m",
        "choices": [{ "index": 0, "delta": { "content": "Let me look at the fuse first. " }, "finish_reason": null }],
    });
    let calls = calls()
        .replace("add_task", "explode")
        .replace("list_tasks", "explode");
    let (first, rest) = calls.split_once("\n\n").unwrap();
    format!("{first}\n\ndata: {words}\n\n{rest}")
}

#[test]
fn a_tool_that_fails_takes_nothing_with_it() {
    let servers = [
        ("goes_on", &[][..]),
        ("ends", &[]),
        ("loses", &["answer-differs", "tool-calls-differ"]),
        ("as_answer", &["error-text-as-answer"]),
    ];
    side_by_side(&servers, |(server, expected)| {
        let chat = Chat::kept_beside("json", "before").set("RAISES", server);
        let text = r#"
[[setup]]
request = "POST /conversations"
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "Add a task to buy milk"
steps = ["calls.sse"]
answer = "Task 'Buy milk' has been added to your list."

[tool_error]
user = "Light the fuse"
calls = "failing.sse"
answer = "The tool failed. Shall I try again?"
"#;
        let file = |name: &str, text: &str| fs::write(chat.folder.path().join(name), text).unwrap();
        file("calls.sse", &calls());
        file("failing.sse", &failing_calls());
        file("fails.toml", text);
        let only = ["--proof", "observe", "--suite", "full", "--settle", "700ms"];
        let mut command = chat.verify();
        command
            .arg(chat.folder.path().join("fails.toml"))
            .args(only);
        let (report, exit) = report(command.args(["--cases", "tool-fails"]));
        let verdict = if expected.is_empty() {
            "held"
        } else {
            "violated"
        };
        let case = case(&report, "/tool-fails");
        assert_eq!(case["verdict"], verdict, "{server}: {report:#}");
        let mut found = errors(&report);
        found.sort_unstable();
        assert_eq!(found, *expected, "{server}: {report:#}");
        assert_eq!(exit, i32::from(!expected.is_empty()), "{server}");
    });
}
