//! A connection that is lost in mid-answer and resumed: each bad server gets its finding, and the good one none.

use crate::common::{Chat, codes, errors, report, side_by_side};
use serde_json::Value;
use std::fs;

/// Only what the page lacks is asked for.
const BY_CURSOR: &str = "headers = { last-event-id = \"{cursor}\" }";
/// The whole answer is asked for.
const WHOLE: &str = "";

const CASES: [&str; 6] = [
    "resumed-after-the-end",
    "resumed-at-before-first-byte",
    "resumed-at-event-2",
    "resumed-late-at-event-2",
    "resumed-at-last-delta",
    "resumed-at-text-complete",
];

/// The report of a run that only looks, so that it takes no gate.
fn run(mode: &'static str, asks: &str) -> (Value, i32) {
    let chat = Chat::new(mode).stack("async");
    let text = format!(
        r#"
[[setup]]
request = "POST /conversations"
json = {{ title = "a turn" }}
capture = {{ conversation_id = "$.id" }}

[request]
request = "POST /chat"
json = {{ conversation_id = "{{conversation_id}}", message = "{{user}}" }}

[resume]
request = "GET /conversations/{{conversation_id}}/stream"
{asks}

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added. Is there anything else that I can do for you?"
"#
    );
    let path = chat.folder.path().join("resumed.toml");
    fs::write(&path, text).unwrap();
    let only = ["--proof", "observe", "--suite", "full", "--settle", "400ms"];
    let only = only.iter().chain(&["--cases", "resumed"]);
    report(chat.verify().arg(path).args(only))
}

/// Names and verdicts of the cases with a resume.
fn cases(report: &Value) -> Vec<(&str, &str)> {
    let cases = report["cases"].as_array().unwrap().iter();
    let named = cases.map(|case| {
        let (_, name) = case["name"].as_str().unwrap().split_once('/').unwrap();
        (name, case["verdict"].as_str().unwrap())
    });
    named
        .filter(|(name, _)| name.starts_with("resumed-"))
        .collect()
}

#[test]
fn a_server_that_sends_what_the_page_lacks_is_right() {
    side_by_side(&[BY_CURSOR, WHOLE], |asks| {
        let (report, exit) = run("resumes", asks);
        let held: Vec<_> = CASES.map(|name| (name, "held")).into();
        assert_eq!(cases(&report), held, "{asks}: {report:#}");
        assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
    });
}

#[test]
fn a_page_that_gets_too_little_or_too_much_is_found() {
    let bad = [
        ("correct", WHOLE, "resume-refused", "resumed-at-event-2"),
        (
            "resumes_twice",
            BY_CURSOR,
            "resume-text-differs",
            "resumed-at-event-2",
        ),
        (
            "resumes_from_now",
            BY_CURSOR,
            "resume-text-differs",
            "resumed-at-event-2",
        ),
        (
            "resumes_anew",
            WHOLE,
            "turn-stored-twice",
            "resumed-at-last-delta",
        ),
    ];
    side_by_side(&bad, |(mode, asks, code, name)| {
        let (report, exit) = run(mode, asks);
        assert!(errors(&report).contains(code), "{mode}: {report:#}");
        assert!(cases(&report).contains(&(name, "violated")), "{report:#}");
        assert!(cases(&report).contains(&(CASES[0], "held")), "{report:#}");
        // Nothing else is wrong with it.
        let others = ["resume-refused", "resume-text-differs", "turn-stored-twice"];
        let errors = codes(&report, "error");
        let strange: Vec<_> = errors.iter().filter(|it| !others.contains(it)).collect();
        assert_eq!((strange.len(), exit), (0, 1), "{mode}: {errors:?}");
    });
}
