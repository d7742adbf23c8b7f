//! Answers that are asked for again, and files that are sent with a question: each bad server gets its finding, and the
//! good one none.

use crate::common::{Chat, case, errors, report, side_by_side};
use serde_json::Value;
use std::fs;

/// The report of a run that only looks, so that it takes no gate.
fn run(mode: &'static str, old_answer: &str, shows: &str) -> (Value, i32) {
    let chat = Chat::new(mode).stack("async");
    let text = format!(
        r#"
[[setup]]
request = "POST /conversations"
json = {{ title = "a turn" }}
capture = {{ conversation_id = "$.id" }}

[request]
request = "POST /chat"
json = {{ conversation_id = "{{conversation_id}}", message = "{{user}}", attachment = "notes.txt" }}

[regenerate]
request = "POST /conversations/{{conversation_id}}/again"
json = {{}}
old_answer = "{old_answer}"

[edit]
request = "POST /conversations/{{conversation_id}}/again"
json = {{ message = "{{user}}" }}
old_answer = "{old_answer}"

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added."
{shows}

[history]
request = "GET /conversations/{{conversation_id}}/messages"
"#
    );
    let path = chat.folder.path().join("again.toml");
    fs::write(&path, text).unwrap();
    let only = ["--proof", "observe", "--suite", "full", "--settle", "400ms"];
    let only = only.iter().chain(&["--cases", "regenerated,edited"]);
    report(chat.verify().arg(path).args(only))
}

#[test]
fn an_answer_in_the_place_of_the_old_one_is_right() {
    let shows = "shows = [\"notes.txt\"]";
    let (report, exit) = run("keeps_attachments", "replace", shows);
    for name in ["/regenerated", "/edited"] {
        assert_eq!(case(&report, name)["verdict"], "held", "{report:#}");
    }
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
}

#[test]
fn an_answer_that_is_lost_or_left_is_found() {
    let bad = [
        ("replaces_answer", "keep", "", "old-answer-lost"),
        ("leaves_old_answer", "replace", "", "old-answer-shown"),
        (
            "replaces_answer",
            "replace",
            "shows = [\"notes.txt\"]",
            "attachment-lost",
        ),
    ];
    side_by_side(&bad, |(mode, old_answer, shows, code)| {
        let (report, exit) = run(mode, old_answer, shows);
        assert!(errors(&report).contains(code), "{mode}: {report:#}");
        assert_eq!(exit, 1, "{mode}: {report:#}");
    });
}
