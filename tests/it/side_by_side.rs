//! Turns at the same time, and streams that are aborted: each bad server gets its finding, and the good one none.

use crate::common::{Chat, case, chatctl, codes, errors, report, side_by_side, small};
use serde_json::Value;
use std::fs;

/// The page sends the new message only.
const MESSAGE: &str = "message = \"{user}\"";
/// The page sends all that it has.
const MESSAGES: &str = "messages = \"{messages}\"";

/// The report of a run that only looks, so that it takes no gate.
fn run(mode: &'static str, sends: &str) -> (Value, i32) {
    run_with(mode, sends, "", "two-turns,side-by-side,aborted")
}

/// The same with more in the session, and with these cases.
fn run_with(mode: &'static str, sends: &str, more: &str, cases: &str) -> (Value, i32) {
    let chat = Chat::new(mode).stack("async");
    let text = format!(
        r#"
[[setup]]
request = "POST /conversations"
json = {{ title = "a turn" }}
capture = {{ conversation_id = "$.id" }}

[request]
request = "POST /chat"
json = {{ conversation_id = "{{conversation_id}}", {sends} }}

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added. Is there anything else that I can do for you?"
{more}
"#
    );
    let path = chat.folder.path().join("together.toml");
    fs::write(&path, text).unwrap();
    let mut command = chat.verify();
    command
        .arg(path)
        .args(["--proof", "observe", "--suite", "full"])
        .args(["--cases", cases]);
    if sends == MESSAGES {
        // Only a page that sends all that it has can be one that does not know the last turn.
        command.args(["--cases", "stale"]);
    }
    report(command.args(["--settle", "500ms", "--response-timeout", "4s"]))
}

#[test]
fn a_server_that_keeps_turns_apart_is_right() {
    side_by_side(
        &[
            ("finishes", MESSAGE),
            ("correct", MESSAGES),
            ("interrupts", MESSAGE),
        ],
        |(mode, sends)| {
            let (report, exit) = run(mode, sends);
            for name in ["/two-turns-at-once", "/side-by-side", "/aborted-streams"] {
                assert_eq!(case(&report, name)["verdict"], "held", "{mode}: {report:#}");
            }
            if *sends == MESSAGES {
                assert_eq!(
                    case(&report, "/stale-page")["verdict"],
                    "held",
                    "{report:#}"
                );
            }
            assert_eq!((errors(&report).len(), exit), (0, 0), "{mode}: {report:#}");
        },
    );
}

#[test]
fn turns_that_meet_are_found() {
    let bad = [
        (
            "shared_conversation",
            MESSAGE,
            "wrong-conversation",
            "/side-by-side",
        ),
        (
            "shared_buffer",
            MESSAGE,
            "answer-differs",
            "/two-turns-at-once",
        ),
        (
            "interrupts_and_drops",
            MESSAGE,
            "never-saved",
            "/two-turns-at-once",
        ),
        (
            "loses_second_question",
            MESSAGE,
            "user-message-lost",
            "/two-turns-at-once",
        ),
        (
            "stores_what_the_page_has",
            MESSAGES,
            "turn-overwritten",
            "/stale-page",
        ),
        (
            "keeps_connections",
            MESSAGE,
            "pool-exhausted",
            "/aborted-streams",
        ),
    ];
    side_by_side(&bad, |(mode, sends, code, name)| {
        let (report, exit) = run(mode, sends);
        assert_eq!(
            case(&report, name)["verdict"],
            "violated",
            "{mode}: {report:#}"
        );
        assert!(codes(&report, "error").contains(code), "{mode}: {report:#}");
        assert_eq!(exit, 1, "{mode}: {report:#}");
    });
}

/// Stop in one conversation, or a client that leaves it, ends no other answer.
#[test]
fn an_answer_that_another_conversation_ends_is_found() {
    let stop = "[stop]\nrequest = \"POST /conversations/{conversation_id}/stop\"";
    let modes = [
        ("stop_keeps_part", None),
        (
            "stops_all",
            Some(("/stopped-among-others", "answer-lost-on-stop")),
        ),
        (
            "leaving_ends_all",
            Some(("/left-among-others", "answer-lost-on-disconnect")),
        ),
    ];
    side_by_side(&modes, |(mode, found)| {
        let (report, exit) = run_with(mode, MESSAGE, stop, "among-others");
        for name in ["/stopped-among-others", "/left-among-others"] {
            let is_found = found.is_some_and(|(case, _)| case == name);
            let verdict = if is_found { "violated" } else { "held" };
            assert_eq!(
                case(&report, name)["verdict"],
                verdict,
                "{mode}: {report:#}"
            );
        }
        let codes: Vec<_> = found.iter().map(|(_, code)| *code).collect();
        assert_eq!(errors(&report), codes, "{mode}: {report:#}");
        assert_eq!(exit, i32::from(found.is_some()), "{mode}: {report:#}");
    });
}

/// A server with one worker mixes nothing; a stream that is aborted may keep the worker.
#[test]
fn a_server_that_answers_one_turn_at_a_time_is_judged() {
    side_by_side(&["settled", "stays"], |serial| {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let start = small::start(&["--serial", serial]);
        let mut command = chatctl();
        command.args(["verify-stream", "--ready", "/health"]);
        command.args(["--database-url", &url, "--start", &start]);
        command.args(["--proof", "observe", "--suite", "full"]);
        command.args(["--cases", "side-by-side,aborted", "--settle", "500ms"]);
        let (report, exit) = report(command.args(["--response-timeout", "4s"]));
        let together = case(&report, "/side-by-side");
        assert_eq!(together["verdict"], "held", "{serial}: {report:#}");
        let reason = together["reason"].as_str().unwrap();
        assert!(reason.contains("one turn at a time"), "{reason}");
        let stays = *serial == "stays";
        let verdict = if stays { "violated" } else { "held" };
        assert_eq!(
            case(&report, "/aborted-streams")["verdict"],
            verdict,
            "{report:#}"
        );
        let found = errors(&report).contains(&"pool-exhausted");
        assert_eq!((found, exit), (stays, i32::from(stays)), "{report:#}");
    });
}

/// A job that asks for a title next to the turn, and is answered after it.
#[test]
fn a_job_that_writes_an_old_conversation_is_found() {
    side_by_side(&["own", "stale"], |title| {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let mut command = chatctl();
        command
            .args([
                "verify-stream",
                "--ready",
                "/health",
                "--database-url",
                &url,
            ])
            .args(["--start", &small::start(&["--title", title])])
            .args([
                "--proof", "observe", "--suite", "full", "--cases", "side-job",
            ])
            .args(["--settle", "500ms"]);
        let (report, exit) = report(&mut command);
        let is_stale = *title == "stale";
        let case = case(&report, "/side-job");
        let verdict = if is_stale { "violated" } else { "held" };
        assert_eq!(case["verdict"], verdict, "{title}: {report:#}");
        let found = errors(&report).contains(&"turn-overwritten");
        assert_eq!((found, exit), (is_stale, i32::from(is_stale)), "{report:#}");
    });
}
