//! Answers that are asked for again, and files that are sent with a question: each bad server gets its finding, and the
//! good one none.

use crate::common::{Chat, case, chatctl, errors, python, report, root, side_by_side};
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
json = {{ conversation_id = "{{conversation_id}}", message = "{{user}}", attachment = "notes.txt", attachment_text = "buy milk" }}

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

/// What a reload has to show of the file.
const FILES: &str = r#"
shows = ["notes.txt"]
loads = [{ url = "$[0].urls[0]", content = "buy milk" }]
"#;

/// One more turn, so that the one that is asked for again has one before it.
const SECOND: &str = r#"
[[turn]]
user = "And one to buy bread"
answer = "Task 'Buy bread' has been added, too."
"#;

/// An answer that is asked for again comes, or its provider fails at once or in mid-stream, or its client leaves.
const CASES: [&str; 8] = [
    "/regenerated",
    "/regenerated-provider-http-503",
    "/regenerated-provider-error-in-stream",
    "/regenerated-left-at-event-2-by-fin",
    "/edited",
    "/edited-provider-http-503",
    "/edited-provider-error-in-stream",
    "/edited-left-at-event-2-by-fin",
];

#[test]
fn an_answer_in_the_place_of_the_old_one_is_right() {
    let (report, exit) = run("keeps_attachments", "replace", &format!("{FILES}{SECOND}"));
    for name in CASES {
        assert_eq!(case(&report, name)["verdict"], "held", "{report:#}");
    }
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
}

#[test]
fn an_answer_that_is_lost_or_left_is_found() {
    let bad: [(&'static str, &str, &str, &[&str]); 2] = [
        ("replaces_answer", "keep", "", &["old-answer-lost"]),
        (
            "careless_again",
            "replace",
            FILES,
            &["old-answer-shown", "attachment-lost", "saved-after-done"],
        ),
    ];
    side_by_side(&bad, |(mode, old_answer, files, codes)| {
        let (report, exit) = run(mode, old_answer, files);
        for code in *codes {
            assert!(errors(&report).contains(code), "{mode}: {report:#}");
        }
        assert_eq!(exit, 1, "{mode}: {report:#}");
    });
}

/// A store that has question and answer in one row.
fn run_pairs(again: &str, old_answer: &str) -> (Value, i32) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pairs.toml");
    let text = format!(
        r#"
[[setup]]
request = "POST /conversations"
json = {{}}
capture = {{ conversation_id = "$.id" }}

[request]
request = "POST /chat"
json = {{ conversation_id = "{{conversation_id}}", message = "{{user}}" }}

[regenerate]
request = "POST /conversations/{{conversation_id}}/again"
json = {{}}
old_answer = "{old_answer}"

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added."
{SECOND}

[history]
request = "GET /conversations/{{conversation_id}}/messages"
"#
    );
    fs::write(&path, text).unwrap();
    let start = format!(
        "{} {} --db {{database_path}} --port {{port}} --gateway {{gateway_url}} --again {again}",
        python().display(),
        root().join("tests/servers/pairs.py").display(),
    );
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let mut command = chatctl();
    command.args(["verify-stream", "--ready", "/health", "--profile", "plain"]);
    command.args(["--database-url", &url, "--start", &start]);
    let only = ["--proof", "observe", "--suite", "full", "--settle", "400ms"];
    report(
        command
            .arg(path)
            .args(only)
            .args(["--cases", "regenerated"]),
    )
}

#[test]
fn a_row_of_question_and_answer_may_be_replaced_or_have_versions() {
    let right = [
        ("insert", "replace"),
        ("update", "replace"),
        ("version", "keep"),
    ];
    side_by_side(&right, |(again, old_answer)| {
        let (report, exit) = run_pairs(again, old_answer);
        for name in CASES.iter().filter(|name| name.contains("regenerated")) {
            let verdict = &case(&report, name)["verdict"];
            assert_eq!(verdict, "held", "{again}: {name}: {report:#}");
        }
        assert_eq!((errors(&report).len(), exit), (0, 0), "{again}: {report:#}");
    });
    let (report, exit) = run_pairs("twice", "keep");
    assert_eq!(case(&report, "/regenerated")["verdict"], "violated");
    assert!(errors(&report).contains(&"turn-stored-twice"), "{report:#}");
    assert_eq!(exit, 1, "{report:#}");
}

/// All is there, and not as it was said.
#[test]
fn a_new_answer_or_question_that_is_stored_otherwise_is_found() {
    let (report, exit) = run("spoils_again", "replace", SECOND);
    for (name, code) in [
        ("/regenerated", "answer-duplicated"),
        ("/edited", "user-message-lost"),
    ] {
        let played = case(&report, name);
        assert_eq!(played["verdict"], "violated", "{name}: {report:#}");
        assert!(errors(&report).contains(&code), "{report:#}");
    }
    // The answer before the edited question is gone with it.
    let errors = errors(&report);
    assert!(errors.contains(&"saved-row-changed-later"), "{report:#}");
    assert_eq!(exit, 1);
}

/// A server that deletes the old answer first: all is well as long as the new one comes.
#[test]
fn an_old_answer_that_goes_before_there_is_a_new_one_is_found() {
    let (report, exit) = run("replaces_answer", "replace", FILES);
    for name in CASES {
        let is_lost = name.starts_with("/regenerated-");
        let expected = if is_lost { "violated" } else { "held" };
        assert_eq!(
            case(&report, name)["verdict"],
            expected,
            "{name}: {report:#}"
        );
    }
    let errors = errors(&report);
    assert!(errors.contains(&"old-answer-lost"), "{report:#}");
    assert!(errors.contains(&"attachment-lost"), "{report:#}");
    assert_eq!(exit, 1);
}
