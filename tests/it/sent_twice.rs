//! A request that comes to the server twice: one turn, where the session says so.

use crate::common::{Chat, case, chatctl, codes, errors, report, side_by_side};
use serde_json::Value;
use std::fs;

const CASES: [&str; 3] = [
    "/sent-twice-at-once",
    "/sent-twice-after-a-cut",
    "/sent-twice-in-a-row",
];

/// The report of a run that only looks; `declared` is what `[request]` says besides the request itself.
fn run(mode: &'static str, declared: &str) -> (Value, i32) {
    let chat = Chat::new(mode).stack("async");
    let path = chat.folder.path().join("twice.toml");
    fs::write(&path, session(declared)).unwrap();
    let only = ["--proof", "observe", "--suite", "full", "--settle", "400ms"];
    let only = only.iter().chain(&["--cases", "sent-twice"]);
    report(chat.verify().arg(path).args(only))
}

fn session(declared: &str) -> String {
    format!(
        r#"
[[setup]]
request = "POST /conversations"
json = {{ title = "a turn" }}
capture = {{ conversation_id = "$.id" }}

[request]
request = "POST /chat"
json = {{ conversation_id = "{{conversation_id}}", message = "{{user}}" }}
{declared}

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added."
"#
    )
}

const HISTORY: &str = r#"
[history]
request = "GET /conversations/{conversation_id}/messages"
"#;

const KEY: &str = "headers = { idempotency-key = \"{idempotency_key}\" }";

#[test]
fn a_server_that_knows_the_key_stores_one_turn() {
    let (report, exit) = run("once_by_key", KEY);
    for name in CASES {
        assert_eq!(case(&report, name)["verdict"], "held", "{report:#}");
    }
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
    assert!(!codes(&report, "warning").contains(&"turn-stored-twice"));
}

#[test]
fn a_server_that_takes_the_key_for_nothing_stores_two() {
    for declared in [KEY, "idempotent = true"] {
        let (report, exit) = run("finishes", declared);
        for name in CASES {
            assert_eq!(case(&report, name)["verdict"], "violated", "{report:#}");
        }
        assert_eq!((errors(&report), exit), (vec!["turn-stored-twice"; 3], 1));
    }
}

/// A store that only appends has two rows of each question.
#[test]
fn former_versions_of_a_question_are_no_second_turn() {
    let bad = [
        ("versions_by_key", "held"),
        ("versions_question", "violated"),
    ];
    side_by_side(&bad, |(mode, verdict)| {
        let chat = Chat::new(mode).stack("async");
        let path = chat.folder.path().join("twice.toml");
        fs::write(&path, session(KEY) + HISTORY).unwrap();
        let only = ["--proof", "observe", "--suite", "full", "--settle", "400ms"];
        let mut command = chat.verify();
        command.arg(path).args(only).args(["--cases", "sent-twice"]);
        let (report, exit) = report(&mut command);
        for name in CASES {
            assert_eq!(
                case(&report, name)["verdict"],
                *verdict,
                "{mode}: {report:#}"
            );
        }
        let is_bad = *verdict == "violated";
        let found = errors(&report).contains(&"turn-stored-twice");
        assert_eq!(
            (found, exit),
            (is_bad, i32::from(is_bad)),
            "{mode}: {report:#}"
        );
    });
}

/// A server that promises nothing is not wrong: two requests may be two turns.
#[test]
fn without_a_promise_two_turns_are_no_error() {
    let (report, exit) = run("finishes", "");
    for name in CASES {
        assert_eq!(case(&report, name)["verdict"], "held", "{report:#}");
    }
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
    let warned = codes(&report, "warning");
    let doubles = warned.iter().filter(|code| **code == "turn-stored-twice");
    assert_eq!(doubles.count(), 2, "{report:#}");
}

/// Each replica knows its own keys only, unless they are kept where both see them.
#[test]
fn a_key_that_one_replica_knows_is_not_enough() {
    side_by_side(&["once_by_key", "once_by_file"], |mode| {
        let chat = Chat::new(mode).stack("async");
        let folder = chat.folder.path();
        let keys = folder.display().to_string();
        let command = chat.set_of("KEYS", &keys);
        let entry = |name: &str, role: &str| {
            format!(
                "[[start]]\nname = \"{name}\"\nready = \"/health\"\n{role} = true\ncommand = '''{command}'''\n\n"
            )
        };
        let config = entry("web", "tested") + &entry("twin", "replica");
        fs::write(folder.join("chatctl.toml"), config).unwrap();
        fs::write(folder.join("twice.toml"), session(KEY)).unwrap();
        let url = format!("sqlite:{}", chat.database().display());
        let mut command = chatctl();
        command.args(["verify-stream", "twice.toml", "--profile", "plain"]);
        command.args(["--database-url", &url, "--ready-timeout", "2m"]);
        let only = [
            "--proof",
            "observe",
            "--suite",
            "full",
            "--cases",
            "sent-twice",
        ];
        let (report, _) = report(command.args(only).current_dir(folder));
        let verdict = |name: &str| case(&report, name)["verdict"].clone();
        let at_two = if *mode == "once_by_key" {
            "violated"
        } else {
            "held"
        };
        assert_eq!(
            verdict("/sent-twice-to-two-replicas"),
            at_two,
            "{mode}: {report:#}"
        );
        assert_eq!(verdict("/sent-twice-at-once"), "held", "{mode}: {report:#}");
    });
}
