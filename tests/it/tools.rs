//! Turns in which the model calls tools: what is stored of them is compared with what it called.

use crate::common::{Chat, case, errors, report, side_by_side};
use serde_json::{Value, json};
use std::fs;

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
    side_by_side(&["right", "swapped", "fewer"], |tools| {
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
        assert!(reason.contains("cut off after"), "{reason}");
    }
}
