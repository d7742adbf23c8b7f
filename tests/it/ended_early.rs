//! Turns whose client leaves, or whose user presses stop: each bad server gets its finding, and each good one none.

use crate::common::servers::Postgres;
use crate::common::{Chat, Turn, chatctl, codes, errors, node, report, root, side_by_side, small};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// A session of one turn with a history and a stop button, and what it declares.
fn session(folder: &Path, on_disconnect: &str, stop: &str) -> String {
    let declared = match on_disconnect {
        "" => String::new(),
        policy => format!("on_disconnect = \"{policy}\"\n"),
    };
    let text = format!(
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
answer = "Task 'Buy milk' has been added. Is there anything else that I can do for you?"

[history]
request = "GET /conversations/{{conversation_id}}/messages"

{stop}
"#
    );
    let path = folder.join("ended.toml");
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

const STOP: &str = "[stop]\nrequest = \"POST /conversations/{conversation_id}/stop\"\n";

/// Only looks, so that it takes no gate.
const ONLY: [&str; 6] = ["--proof", "observe", "--suite", "full", "--settle", "500ms"];

/// The cases that a session can be played in: without `[stop]` nobody can press stop.
fn cases_of(stop: &str) -> [&'static str; 2] {
    let cases = if stop.is_empty() {
        "left-at"
    } else {
        "left-at,stopped-at"
    };
    ["--cases", cases]
}

/// The report of a run that only looks.
fn run(mode: &'static str, on_disconnect: &str, stop: &str) -> (Value, i32) {
    run_of(&Chat::new(mode).stack("async"), on_disconnect, stop)
}

fn run_of(chat: &Chat, on_disconnect: &str, stop: &str) -> (Value, i32) {
    let session = session(chat.folder.path(), on_disconnect, stop);
    report(chat.verify().arg(session).args(ONLY).args(cases_of(stop)))
}

/// The same of the server on Node.
fn run_node(mode: &str, on_disconnect: &str) -> (Value, i32) {
    run_node_as(mode, "", on_disconnect)
}

/// The same with more settings.
fn run_node_as(mode: &str, settings: &str, on_disconnect: &str) -> (Value, i32) {
    let _turn = Turn::shared();
    let folder = tempfile::tempdir().unwrap();
    let settings = format!("MODE={mode} {settings} DATABASE_PATH={{database_path}}");
    let start = node::start(&settings);
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let mut command = chatctl();
    command.args(["verify-stream", "--ready", "/health", "--profile", "plain"]);
    command.args(["--database-url", &url, "--start", &start]);
    let session = session(folder.path(), on_disconnect, "");
    report(command.arg(session).args(ONLY).args(cases_of("")))
}

/// Names and verdicts of the cases in which a turn did not come to its end.
fn cases<'a>(report: &'a Value, begins: &str) -> Vec<(&'a str, &'a str)> {
    let cases = report["cases"].as_array().unwrap().iter();
    let named = cases.map(|case| {
        let (_, name) = case["name"].as_str().unwrap().split_once('/').unwrap();
        (name, case["verdict"].as_str().unwrap())
    });
    named.filter(|(name, _)| name.starts_with(begins)).collect()
}

/// Every case is played and holds, and nothing is found.
fn silent(mode: &'static str, on_disconnect: &str, stop: &str) {
    is_silent(mode, run(mode, on_disconnect, stop), stop);
}

fn is_silent(mode: &str, (report, exit): (Value, i32), stop: &str) {
    let left = cases(&report, "left-at-");
    assert_eq!(left.len(), 8, "{mode}: {report:#}");
    let stopped = cases(&report, "stopped-at-");
    assert_eq!(stopped.len(), if stop.is_empty() { 0 } else { 4 }, "{mode}");
    for (name, verdict) in left.iter().chain(&stopped) {
        assert_eq!(*verdict, "held", "{mode}: {name}: {report:#}");
    }
    for severity in ["error", "warning", "note"] {
        let found = codes(&report, severity);
        assert!(
            // Whoever only looks tries no failing save, and this session promises nothing of a request that
            // comes twice.
            found
                .iter()
                .all(|code| ["failed-save-untried", "turn-stored-twice"].contains(code)),
            "{mode}: {found:?}: {report:#}"
        );
    }
    assert_eq!(exit, 0, "{mode}: {report:#}");
}

/// The server is violated, with this code.
fn fires(mode: &'static str, on_disconnect: &str, stop: &str, code: &str) {
    is_found(mode, run(mode, on_disconnect, stop), code);
}

fn is_found(mode: &str, (report, exit): (Value, i32), code: &str) {
    assert!(
        errors(&report).contains(&code),
        "{mode}: no {code} in {report:#}"
    );
    assert_eq!((report["verdict"].as_str(), exit), (Some("violated"), 1));
}

#[test]
fn a_server_that_finishes_keeps_all() {
    silent("finishes", "finish", "");
}

#[test]
fn an_answer_with_doubled_words_is_found() {
    fires("appends_twice", "finish", "", "answer-differs");
}

#[test]
fn an_answer_in_another_conversation_is_found() {
    fires("saves_elsewhere", "finish", "", "wrong-conversation");
}

#[test]
fn a_cancelled_save_loses_the_answer() {
    fires("correct", "finish", "", "answer-lost-on-disconnect");
}

/// The same server, where that is what it is meant to do.
#[test]
fn a_server_that_drops_the_answer_on_purpose_is_right() {
    silent("correct", "drop-answer", "");
}

/// The same server without a declaration: what it does is told, and with which declaration it would fit.
#[test]
fn without_a_declaration_nothing_is_called_wrong() {
    let (report, exit) = run("correct", "", "");
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
    let case = crate::common::case(&report, "/left-at-event-2-by-fin");
    let reason = case["reason"].as_str().unwrap();
    assert!(
        reason.contains("nothing of the answer is")
            && reason.contains("that fits on_disconnect = \"drop-answer\""),
        "{reason}"
    );
}

#[test]
fn a_server_that_keeps_the_part_is_right() {
    silent("keeps_part", "keep-part", "");
}

#[test]
fn a_part_with_the_status_of_a_whole_answer_is_found() {
    fires("part_as_whole", "keep-part", "", "part-stored-as-whole");
}

#[test]
fn a_part_that_the_model_or_the_reader_does_not_get_is_found() {
    fires("leaves_part_out", "keep-part", "", "context-lost");
    fires("hides_part", "keep-part", "", "history-differs");
}

#[test]
fn a_row_that_stays_in_progress_is_found() {
    fires("ph_correct", "drop-answer", "", "stuck-streaming");
}

/// Whatever is declared of the answer, the question has to be there.
#[test]
fn a_question_that_is_stored_with_its_answer_is_lost() {
    fires("question_with_answer", "", "", "user-message-lost");
}

#[test]
fn a_lock_that_stays_refuses_the_next_turn() {
    fires("locks", "", "", "next-turn-refused");
    silent("unlocks", "drop-answer", "");
}

/// The lock of a turn may outlive its commit, or the response to a stop, by a moment.
#[test]
fn a_lock_that_stays_for_a_moment_refuses_nothing() {
    let stop = format!("{STOP}on_stop = \"keep-part\"\n");
    let (report, exit) = run("unlocks_late", "finish", &stop);
    let (left, stopped) = (cases(&report, "left-at-"), cases(&report, "stopped-at-"));
    assert_eq!((left.len(), stopped.len()), (8, 4), "{report:#}");
    for (name, verdict) in left.iter().chain(&stopped) {
        assert_ne!(*verdict, "violated", "{name}: {report:#}");
    }
    assert_eq!((codes(&report, "error"), exit), (vec![], 0), "{report:#}");
    fires("locks_at_stop", "finish", &stop, "next-turn-refused");
}

/// Nobody was told that the turn is over, so a cache of the history may be cleared after the commit.
#[test]
fn a_history_that_comes_out_of_a_cache_may_be_late() {
    silent("clears_cache_late", "finish", "");
    fires("keeps_cache", "finish", "", "history-differs");
}

/// What is shown of the next turn has to be stored, too.
#[test]
fn a_next_turn_that_is_not_stored_is_found() {
    fires("saves_no_more", "drop-answer", "", "never-saved");
}

#[test]
fn a_part_that_stop_keeps_is_known_to_the_next_turn() {
    let stop = format!("{STOP}on_stop = \"keep-part\"\n");
    silent("stop_keeps_part", "finish", &stop);
}

/// A button that sets a flag: the part is stored at the provider's next chunk, behind the next question.
#[test]
fn a_part_that_is_stored_behind_the_next_question_is_not_lost() {
    let stop = format!("{STOP}on_stop = \"keep-part\"\n");
    let (report, exit) = run("stop_keeps_part_late", "finish", &stop);
    let stopped = cases(&report, "stopped-at-");
    assert_eq!(stopped.len(), 4, "{report:#}");
    for (name, verdict) in stopped {
        assert_ne!(verdict, "violated", "{name}: {report:#}");
    }
    assert_eq!((codes(&report, "error"), exit), (vec![], 0), "{report:#}");
}

#[test]
fn a_part_that_stop_loses_is_found() {
    let stop = format!("{STOP}on_stop = \"keep-part\"\n");
    fires("stop_loses_part", "finish", &stop, "answer-lost-on-stop");
}

/// A button that only closes the connection of the answer.
#[test]
fn an_answer_that_an_abort_loses_is_found() {
    let stop = "[stop]\nabort = true\non_stop = \"keep-whole\"\n";
    silent("finishes", "finish", stop);
    fires("correct", "drop-answer", stop, "answer-lost-on-stop");
}

#[test]
fn on_node_a_save_that_ends_with_the_client_loses_the_answer() {
    is_silent("correct", run_node("correct", "finish"), "");
    let stops = run_node("stops_with_client", "finish");
    is_found("stops_with_client", stops, "answer-lost-on-disconnect");
}

/// Over HTTP/2 a browser aborts the stream of an answer, and keeps the connection.
#[test]
fn an_aborted_stream_is_a_client_that_leaves() {
    let aborted = "left-at-event-2-by-rst-stream";
    let (report, exit) = run_node_as("correct", "HTTP2=1", "finish");
    let left = cases(&report, "left-at-");
    assert!(left.contains(&(aborted, "held")), "{report:#}");
    assert!(left.iter().all(|(_, verdict)| *verdict == "held"));
    assert_eq!(
        (left.len(), errors(&report).len(), exit),
        (9, 0, 0),
        "{report:#}"
    );
    let (report, exit) = run_node_as("stops_with_stream", "HTTP2=1", "finish");
    for (name, verdict) in cases(&report, "left-at-") {
        let expected = if name == aborted { "violated" } else { "held" };
        assert_eq!(verdict, expected, "{name}: {report:#}");
    }
    assert!(errors(&report).contains(&"answer-lost-on-disconnect"));
    assert_eq!(exit, 1, "{report:#}");
    // Where no HTTP/2 is spoken, nobody can.
    is_silent(
        "stops_with_stream",
        run_node("stops_with_stream", "finish"),
        "",
    );
}

#[test]
fn in_postgres_a_cancelled_save_loses_the_answer() {
    let server = Postgres::start();
    let run = |mode| {
        let chat = Chat::new(mode).stack("async");
        let chat = chat.on(server.database(mode), "asyncpg");
        run_of(&chat, "finish", "")
    };
    is_silent("finishes", run("finishes"), "");
    is_found("correct", run("correct"), "answer-lost-on-disconnect");
}

#[test]
fn what_stop_does_is_held_against_what_is_declared() {
    let stop = |policy: &str| format!("{STOP}on_stop = \"{policy}\"\n");
    silent("stop_loses_part", "finish", &stop("question-only"));
    silent("stop_keeps_whole", "finish", &stop("keep-whole"));
    // More than declared is stored, and the provider is read to the end, which is worth a note.
    let (report, exit) = run("stop_keeps_whole", "finish", &stop("question-only"));
    assert!(codes(&report, "note").contains(&"provider-call-goes-on"));
    is_found("stop_keeps_whole", (report, exit), "policy-not-kept");
    fires("finishes", "drop-answer", "", "policy-not-kept");
}

/// A row that is only made at the end of a turn is never made where the client leaves before.
#[test]
fn a_conversation_without_a_row_is_found() {
    side_by_side(&["first", "late", "end"], |heads| {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let options = ["--left", "marked", "--keep", "status", "--heads", heads];
        let mut command = chatctl();
        command.args([
            "verify-stream",
            "--ready",
            "/health",
            "--database-url",
            &url,
        ]);
        command.args(["--start", &small::start(&options)]);
        command.args(["--proof", "observe", "--suite", "full"]);
        command.args(["--cases", "left-at-event-2-by-fin", "--settle", "500ms"]);
        let (report, exit) = report(&mut command);
        let mut found = errors(&report);
        found.extend(codes(&report, "warning"));
        let is_found = found.contains(&"user-message-lost");
        assert_eq!(is_found, *heads == "end", "{heads}: {report:#}");
        assert_eq!(
            exit,
            i32::from(!errors(&report).is_empty()),
            "{heads}: {report:#}"
        );
    });
}

/// After a stop, the next turn of the same page may make the row: a user who does not go on has
/// none.
#[test]
fn a_conversation_without_a_row_is_found_after_a_stop() {
    side_by_side(&["first", "late", "end"], |heads| {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let shipped = fs::read_to_string(root().join("fixtures/sessions/shipped/plain.toml"));
        let (session, _) = shipped.as_ref().unwrap().split_once("[history]").unwrap();
        let file = folder.path().join("stops.toml");
        fs::write(&file, format!("{session}[stop]\nabort = true\n")).unwrap();
        let options = ["--left", "marked", "--keep", "status", "--heads", heads];
        let mut command = chatctl();
        command.args(["verify-stream", "--ready", "/health"]);
        command.args(["--database-url", &url, "--start", &small::start(&options)]);
        command.args(["--proof", "observe", "--suite", "full"]);
        command.args(["--cases", "stopped-at-event-2", "--settle", "500ms"]);
        let (report, exit) = report(command.arg(&file));
        let is_bad = *heads == "end";
        let stopped = cases(&report, "stopped-at-");
        let verdict = if is_bad { "violated" } else { "held" };
        assert_eq!(stopped, [("stopped-at-event-2", verdict)], "{report:#}");
        let found = errors(&report).contains(&"user-message-lost");
        assert_eq!((found, exit), (is_bad, i32::from(is_bad)), "{report:#}");
    });
}

/// The rows of one second are in any order, and the answer of the next turn begins like the one
/// that is dropped.
#[test]
fn the_answer_of_the_next_turn_is_no_part_of_a_dropped_one() {
    side_by_side(
        &[("never", "held"), ("cut", "violated")],
        |(left, verdict)| {
            let folder = tempfile::tempdir().unwrap();
            let url = format!("sqlite:{}", folder.path().join("chat.db").display());
            let shipped = fs::read_to_string(root().join("fixtures/sessions/shipped/plain.toml"));
            let drops = "[request]\non_disconnect = \"drop-answer\"\n";
            // The history of such a server may have the rows of one second in any order.
            let (session, _) = shipped.as_ref().unwrap().split_once("[history]").unwrap();
            let session = session.replace("[request]\n", drops);
            let file = folder.path().join("drops.toml");
            fs::write(&file, session).unwrap();
            let options = ["--left", left, "--keep", "seconds"];
            let mut command = chatctl();
            command.args(["verify-stream", "--ready", "/health"]);
            command.args(["--database-url", &url, "--start", &small::start(&options)]);
            command.args(["--proof", "observe", "--suite", "full"]);
            command.args(["--cases", "left-at-event-2-by-fin", "--settle", "300ms"]);
            let (report, exit) = report(command.arg(&file));
            let left_at = cases(&report, "left-at-event-2-by-fin");
            assert_eq!(
                left_at,
                [("left-at-event-2-by-fin", *verdict)],
                "{report:#}"
            );
            let is_bad = *verdict == "violated";
            let found = errors(&report).contains(&"policy-not-kept");
            assert_eq!((found, exit), (is_bad, i32::from(is_bad)), "{report:#}");
        },
    );
}

/// A server that fails for a moment has refused nothing.
#[test]
fn a_failure_of_a_moment_is_no_refusal() {
    side_by_side(&["once", "always"], |stumble| {
        let folder = tempfile::tempdir().unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let options = ["--left", "marked", "--keep", "status", "--stumble", stumble];
        let mut command = chatctl();
        command.args([
            "verify-stream",
            "--ready",
            "/health",
            "--database-url",
            &url,
        ]);
        command
            .args(["--start", &small::start(&options)])
            .args(["--proof", "observe", "--suite", "full"]);
        command.args(["--cases", "left-at-event-2-by-fin", "--settle", "500ms"]);
        let (report, exit) = report(&mut command);
        let is_refused = errors(&report).contains(&"next-turn-refused");
        let is_always = *stumble == "always";
        assert_eq!(
            (is_refused, exit),
            (is_always, i32::from(is_always)),
            "{stumble}: {report:#}"
        );
    });
}
