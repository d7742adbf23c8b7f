//! The first causes of docs/causes.md on another stack: a server on Node, with SQLite, PostgreSQL and MariaDB. Each
//! bad one gets its finding, and each good one none.

use crate::common::servers::{MariaDb, Postgres};
use crate::common::{Turn, case, chatctl, codes, errors, node, report, side_by_side};
use serde_json::Value;
use std::fs;
use std::path::Path;

const SESSION: &str = r#"
[[setup]]
request = "POST /conversations"
json = {}
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
headers = { idempotency-key = "{idempotency_key}" }
json = { conversation_id = "{conversation_id}", message = "{user}" }

[stop]
request = "POST /conversations/{conversation_id}/stop"
on_stop = "POLICY"

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added. Is there anything else that I can do for you?"
"#;

/// The report on a mode of the server with a file of its own, and a policy of stopped turns.
fn run(command: &[&str], mode: &str, policy: &str, arguments: &[&str]) -> (Value, i32) {
    let _turn = Turn::shared();
    let folder = tempfile::tempdir().unwrap();
    let start = node::start(&format!("MODE={mode} DATABASE_PATH={{database_path}}"));
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    report(
        chatctl()
            .args(command)
            .arg(session(folder.path(), policy))
            .args(["--ready", "/health", "--profile", "plain"])
            .args(["--database-url", &url, "--start", &start])
            .args(["--settle", "500ms"])
            .args(arguments),
    )
}

fn session(folder: &Path, policy: &str) -> std::path::PathBuf {
    let path = folder.join("node.toml");
    fs::write(&path, SESSION.replace("POLICY", policy)).unwrap();
    path
}

/// The cases whose name has this in it.
fn verdicts(report: &Value, part: &str) -> Vec<String> {
    let cases = report["cases"].as_array().unwrap().iter();
    let cases = cases.filter(|case| case["name"].as_str().unwrap().contains(part));
    cases
        .map(|case| case["verdict"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn on_node_what_stop_does_is_held_against_what_is_declared() {
    let look = [
        "--proof",
        "observe",
        "--suite",
        "full",
        "--cases",
        "stopped-at",
    ];
    let runs = [
        ("stop_drops", "question-only", None),
        ("stop_drops", "keep-part", Some("answer-lost-on-stop")),
        ("correct", "question-only", Some("policy-not-kept")),
        ("correct", "keep-whole", None),
    ];
    side_by_side(&runs, |(mode, policy, code)| {
        let (report, exit) = run(&["verify-stream"], mode, policy, &look);
        let stopped = verdicts(&report, "/stopped-at-");
        assert_eq!(stopped.len(), 4, "{report:#}");
        match code {
            None => {
                assert!(stopped.iter().all(|it| it == "held"), "{report:#}");
                assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
            }
            Some(code) => {
                assert!(errors(&report).contains(code), "{mode}: {report:#}");
                assert_eq!(exit, 1, "{report:#}");
            }
        }
    });
}

#[test]
fn on_node_a_kill_in_mid_turn_loses_what_was_not_stored() {
    let stop = ["--stop", "kill-in-stream", "--rounds", "1"];
    side_by_side(&["correct", "question_with_answer"], |mode| {
        let (report, exit) = run(&["audit", "restart"], mode, "keep-whole", &stop);
        assert_eq!(
            case(&report, "/kill-in-stream")["verdict"],
            "held",
            "{report:#}"
        );
        // The answer was promised to nobody; that the question is gone is worth a warning.
        let warned = codes(&report, "warning").contains(&"user-message-lost");
        assert_eq!(warned, *mode != "correct", "{report:#}");
        assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
    });
}

#[test]
fn on_node_a_request_that_comes_twice_is_one_turn() {
    let look = [
        "--proof",
        "observe",
        "--suite",
        "full",
        "--cases",
        "sent-twice",
    ];
    side_by_side(&["once_by_key", "correct"], |mode| {
        let (report, exit) = run(&["verify-stream"], mode, "keep-whole", &look);
        let twice = verdicts(&report, "/sent-twice-");
        let (verdict, is_good) = match *mode {
            "once_by_key" => ("held", true),
            _ => ("violated", false),
        };
        assert_eq!(twice, [verdict; 3], "{mode}: {report:#}");
        let doubled = errors(&report).contains(&"turn-stored-twice");
        assert_eq!(
            (doubled, exit),
            (!is_good, i32::from(!is_good)),
            "{report:#}"
        );
    });
}

/// A failure that is hidden is found in each database, and a server that tells of it is right. A text with U+0000, which
/// PostgreSQL does not store, is told, too.
#[test]
fn on_node_with_postgres_and_mariadb_failures_are_told() {
    let (postgres, mariadb) = (Postgres::start(), MariaDb::start());
    let runs = [
        ("correct", postgres.database("told")),
        ("hides_errors", postgres.database("hidden")),
        ("correct", mariadb.database("told")),
        ("hides_errors", mariadb.database("hidden")),
    ];
    side_by_side(&runs, |(mode, url)| {
        let _turn = Turn::shared();
        let start = node::start(&format!("MODE={mode} DATABASE_URL={{database_url}}"));
        let faults = "http-429,error-in-stream,rst,fin,json-with-200,emoji,rtl,nul";
        let (report, exit) = report(
            chatctl()
                .args(["verify-stream", "--ready", "/health", "--proof", "observe"])
                .args(["--database-url", url, "--start", &start])
                .args([
                    "--settle",
                    "500ms",
                    "--seed",
                    "7",
                    "--provider-fault",
                    faults,
                ]),
        );
        let is_good = *mode == "correct";
        let verdicts = verdicts(&report, "/provider-");
        assert_eq!(verdicts.len(), 8, "{report:#}");
        let all_held = verdicts.iter().all(|it| it == "held");
        assert_eq!(all_held, is_good, "{mode} {url}: {report:#}");
        let hidden = errors(&report).contains(&"provider-error-hidden");
        assert_eq!(
            (hidden, exit),
            (!is_good, i32::from(!is_good)),
            "{report:#}"
        );
    });
}
