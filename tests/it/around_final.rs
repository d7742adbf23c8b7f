//! What a server does right before and right after its final marker, and what a reload shows then.

use crate::common::servers::Postgres;
use crate::common::{Chat, case, chatctl, codes, errors, report, root, side_by_side, small};
use serde_json::Value;
use std::fs;

/// `chatctl verify-stream` of the small server with a store of its own.
fn verify(options: &[&str]) -> (Value, i32) {
    verify_with(options, &[])
}

fn verify_with(options: &[&str], arguments: &[&str]) -> (Value, i32) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    report(
        chatctl()
            .args(["verify-stream", "--ready", "/health", "--profile", "plain"])
            .args(["--database-url", &url, "--start", &small::start(options)])
            .args(arguments),
    )
}

fn is_proven(options: &[&str]) -> Value {
    let (report, exit) = verify(options);
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("proven", 0),
        "{options:?}: {report:#}"
    );
    report
}

fn is_violated(options: &[&str], code: &str) -> Value {
    let (report, exit) = verify(options);
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("violated", 1),
        "{options:?}: {report:#}"
    );
    assert!(errors(&report).contains(&code), "{options:?}: {report:#}");
    report
}

/// No client knows the marker before its line ends, so what is committed before that is in time.
#[test]
fn a_marker_that_comes_in_two_pieces_counts_when_it_is_whole() {
    is_proven(&["--split"]);
}

/// Also if that commit comes late in the open response, or the history is slow.
#[test]
fn a_history_that_shows_the_answer_only_after_a_later_commit_is_found() {
    for options in [&["--tip", "before"][..], &["--read", "700"]] {
        let right = is_proven(options);
        assert!(codes(&right, "note").is_empty(), "{right:#}");
    }
    let wrong: [&[&str]; 3] = [
        &["--tip", "after"],
        &["--tip", "open"],
        &["--tip", "after", "--read", "700"],
    ];
    for options in wrong {
        let report = is_violated(options, "saved-after-done");
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], "violated", "{order:#}");
        let reason = order["reason"].as_str().unwrap();
        assert!(reason.contains("a reload shows"), "{order:#}");
    }
}

/// A gate that locks the store keeps that commit back as well.
#[test]
fn a_history_that_shows_the_answer_later_is_found_by_a_lock() {
    let by_lock = ["--gate", "raw-locks"];
    let (report, _) = verify_with(&["--pause", "200", "--tip", "after"], &by_lock);
    let order = case(&report, "/order");
    assert_eq!(order["verdict"], "violated", "{report:#}");
    assert!(
        order["reason"].as_str().unwrap().contains("a reload shows"),
        "{order:#}"
    );
    let (report, _) = verify_with(&["--pause", "200"], &by_lock);
    assert_eq!(case(&report, "/order")["verdict"], "proven", "{report:#}");
}

#[test]
fn a_history_that_shows_each_message_as_the_other_sides_is_found() {
    is_violated(&["--swap"], "history-differs");
}

#[test]
fn an_answer_that_is_shortened_later_is_lost() {
    is_violated(&["--later", "600"], "saved-row-changed-later");
    // Words that are added lose none.
    let (report, exit) = verify(&["--more", "600"]);
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("proven", 0),
        "{report:#}"
    );
    assert_eq!(
        codes(&report, "warning"),
        ["saved-row-changed-later"],
        "{report:#}"
    );
}

/// A crash while it is away would lose it.
#[test]
fn an_answer_that_is_away_for_a_time_is_found() {
    let report = is_violated(&["--rewrite", "back"], "saved-row-changed-later");
    assert_eq!(case(&report, "/order")["verdict"], "proven", "{report:#}");
    let at_once = is_proven(&["--rewrite", "at-once"]);
    assert!(codes(&at_once, "warning").is_empty(), "{at_once:#}");
}

/// A history that shows it with another role does not show that the answer is there.
#[test]
fn an_answer_that_becomes_the_assistants_after_the_marker_is_found() {
    let report = is_violated(&["--spoil", "late-role"], "saved-after-done");
    assert_eq!(case(&report, "/order")["verdict"], "violated", "{report:#}");
}

/// A commit that fails leaves a rollback journal behind, and nobody but its writer can read the file then.
#[test]
fn a_failed_save_that_nobody_is_told_of_is_found_behind_its_journal() {
    let (report, exit) = verify_with(&["--journal", "delete", "--swallow"], &["--trials", "3"]);
    let save_fails = case(&report, "/save-fails");
    assert_eq!(save_fails["verdict"], "violated", "{report:#}");
    assert!(
        errors(&report).contains(&"swallows-save-errors"),
        "{report:#}"
    );
    assert_eq!(exit, 1, "{report:#}");
    let (report, _) = verify_with(&["--journal", "delete"], &["--trials", "3"]);
    assert_eq!(
        case(&report, "/save-fails")["verdict"],
        "held",
        "{report:#}"
    );
    assert!(errors(&report).is_empty(), "{report:#}");
}

/// The client that leaves at the marker is one of the points of the suite `full`, too.
#[test]
fn an_answer_that_is_deleted_some_time_after_the_client_has_left_is_lost() {
    let full = [
        "--proof",
        "observe",
        "--suite",
        "full",
        "--cases",
        "left-at-final",
    ];
    let verdict = |options: &[&str]| {
        let (report, _) = verify_with(options, &full);
        case(&report, "/left-at-final-marker-by-rst")["verdict"].clone()
    };
    assert_eq!(verdict(&[]), "held");
    assert_eq!(verdict(&["--tidy", "300"]), "violated");
}

#[test]
fn an_answer_that_is_deleted_when_the_client_hangs_up_is_lost() {
    let report = is_violated(&["--tidy", "300"], "saved-row-changed-later");
    assert_eq!(case(&report, "/order")["verdict"], "proven", "{report:#}");
    assert_eq!(
        case(&report, "/close-at-final")["verdict"],
        "violated",
        "{report:#}"
    );
}

/// A conversation that is saved as a whole, by deleting its rows and inserting them again.
#[test]
fn a_conversation_that_is_not_in_the_store_at_the_marker_is_lost() {
    is_proven(&["--rewrite", "before"]);
    let report = is_violated(&["--rewrite", "30"], "saved-after-done");
    let order = case(&report, "/order");
    assert!(
        order["reason"].as_str().unwrap().contains("gone again"),
        "{order:#}"
    );
}

/// The answer is committed before the marker, in a table that only the history knows. Nobody told
/// chatctl, so the row that comes later to the table of messages proves nothing.
#[test]
fn an_answer_that_a_reload_finds_in_a_queue_is_not_called_lost() {
    let (report, exit) = verify(&["--queue", "50"]);
    let order = case(&report, "/order");
    assert_eq!(
        (order["verdict"].as_str().unwrap(), exit),
        ("inconclusive", 3),
        "{report:#}"
    );
    assert!(
        order["reason"].as_str().unwrap().contains("Declare in"),
        "{order:#}"
    );
    is_violated(&["--queue", "50", "--hidden"], "saved-after-done");
}

/// The shipped session without its history.
fn without_history(folder: &tempfile::TempDir) -> String {
    let shipped = fs::read_to_string(root().join("fixtures/sessions/shipped/plain.toml")).unwrap();
    let (without_history, _) = shipped.split_once("[history]").unwrap();
    let session = folder.path().join("plain.toml");
    fs::write(&session, without_history).unwrap();
    session.to_str().unwrap().to_owned()
}

/// Without a history nobody knows what a flag of its row hides.
#[test]
fn a_flag_that_is_set_after_the_marker_is_a_warning() {
    let folder = tempfile::tempdir().unwrap();
    let session = without_history(&folder);
    for (options, warnings) in [
        (
            &["--spoil", "late-flag"][..],
            vec!["saved-row-changed-later"],
        ),
        (&[], vec![]),
    ] {
        let (report, _) = verify_with(options, &[&session]);
        assert_eq!(report["verdict"], "proven", "{options:?}: {report:#}");
        assert_eq!(codes(&report, "warning"), warnings, "{report:#}");
    }
}

/// A lock of the file withholds the worker's commit, too.
#[test]
fn an_answer_that_a_worker_will_move_is_not_called_lost_behind_a_lock() {
    let folder = tempfile::tempdir().unwrap();
    let session = without_history(&folder);
    for (options, verdict) in [
        (&["--queue", "50"][..], "inconclusive"),
        (&["--save", "300"], "violated"),
    ] {
        let by_lock = [session.as_str(), "--gate", "raw-locks"];
        let (report, _) = verify_with(options, &by_lock);
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], verdict, "{options:?}: {report:#}");
    }
}

/// Without a history the outbox is known by the commit that put the answer there. What is saved
/// later, and nowhere before, is late.
#[test]
fn an_answer_that_a_worker_will_move_is_not_called_lost() {
    let folder = tempfile::tempdir().unwrap();
    let session = without_history(&folder);
    let session = session.as_str();
    for (options, verdict) in [
        (&["--queue", "50"][..], "inconclusive"),
        // The worker's commit is withheld, too, and locks readers out.
        (&["--journal", "delete", "--queue", "0"], "inconclusive"),
        (&["--save", "300"], "violated"),
    ] {
        let (report, _) = verify_with(options, &[session]);
        let order = case(&report, "/order");
        assert_eq!(order["verdict"], verdict, "{options:?}: {report:#}");
        let names_it = order["reason"].as_str().unwrap().contains("queued.words");
        assert_eq!(names_it, verdict == "inconclusive", "{order:#}");
    }
}

#[test]
fn a_question_that_is_committed_after_the_marker_is_found() {
    let report = is_violated(&["--doubt", "40"], "user-message-lost");
    let order = case(&report, "/order");
    assert_eq!(order["verdict"], "violated", "{order:#}");
    assert!(
        order["reason"].as_str().unwrap().contains("the question"),
        "{order:#}"
    );
}

/// Without a history it is the store that tells whether a reload finds the question, and what it shows of it.
#[test]
fn a_question_that_no_reload_shows_as_it_was_sent_is_found() {
    const SESSION: &str = include_str!("../../fixtures/sessions/shipped/plain.toml");
    const MAPPING: &str = "[[store]]\n[store.message]\ntable = \"message\"\nconversation = [\"conversation_id\"]\n\
         role = \"role\"\ncontent = \"content\"\nstatus = \"status\"\ndeleted = \"{status} = 'GONE'\"\n";
    let (session, _) = SESSION.split_once("[history]").unwrap();
    let spoilt = [
        ("no-blanks", Some("user-message-lost")),
        ("nowhere", Some("user-message-lost")),
        ("as-system", Some("wrong-role")),
        ("hidden", Some("user-message-lost")),
        ("two-answers", None),
    ];
    side_by_side(&spoilt, |(how, code)| {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        fs::write(path("session.toml"), session).unwrap();
        fs::write(path("chatctl.toml"), MAPPING).unwrap();
        let url = format!("sqlite:{}", path("chat.db").display());
        let mut options = vec!["--keep", "status"];
        if code.is_some() {
            options.extend(["--spoil", how]);
        }
        let (report, exit) = report(
            chatctl()
                .current_dir(folder.path())
                .args(["verify-stream", "--ready", "/health", "--trials", "3"])
                .args(["--database-url", &url, "--start", &small::start(&options)])
                .arg(path("session.toml")),
        );
        assert_eq!(errors(&report).first().copied(), *code, "{how}: {report:#}");
        assert_eq!(exit, i32::from(code.is_some()), "{how}: {report:#}");
    });
}

/// One trial shows it: behind the closed gate nothing that is missing is only late.
#[test]
fn a_question_that_is_late_once_is_found() {
    let report = is_violated(&["--doubt", "40", "--doubt-at", "7"], "user-message-lost");
    let order = case(&report, "/order");
    let reason = order["reason"].as_str().unwrap();
    assert!(reason.starts_with("1 of "), "{order:#}");
}

/// Its history can't be asked while its commits are withheld: that is said, and it is all that is known.
#[test]
fn a_server_that_writes_when_it_is_read_gets_a_note() {
    let report = is_proven(&["--receipt"]);
    assert_eq!(codes(&report, "note"), ["reload-untried"], "{report:#}");
}

#[test]
fn a_question_that_is_deleted_some_time_after_the_marker_is_lost() {
    is_violated(&["--forget", "500"], "user-message-lost");
}

/// Something that the server writes all the time leaves the order decided, and is never taken for the save.
#[test]
fn a_heartbeat_of_the_server_leaves_the_order_decided() {
    is_proven(&["--beat", "100"]);
    is_violated(&["--beat", "100", "--save", "200"], "saved-after-done");
    let (report, _) = verify(&["--beat", "100", "--save", "beat"]);
    let order = case(&report, "/order");
    assert!(
        ["violated", "inconclusive"].contains(&order["verdict"].as_str().unwrap()),
        "{report:#}"
    );
}

#[test]
fn a_heartbeat_of_the_server_leaves_the_order_decided_on_postgresql() {
    let server = Postgres::start();
    for (mode, expected) in [("correct", "proven"), ("create_task", "violated")] {
        let chat = Chat::new(mode)
            .stack("async")
            .on(server.database(mode), "asyncpg")
            .set("BEAT_MS", "200");
        let (report, _) = chat.report(&["--proof", "gate", "--trials", "3"]);
        assert_eq!(report["verdict"], expected, "{mode}: {report:#}");
    }
}

/// What is stored has the marks that chatctl looks for, and is not all that was said.
#[test]
fn a_row_with_the_end_of_a_text_is_not_the_text() {
    let report = is_violated(&["--spoil", "tail"], "saved-after-done");
    assert_eq!(case(&report, "/order")["verdict"], "violated", "{report:#}");
    is_violated(&["--spoil", "cut-question"], "user-message-lost");
}

#[test]
fn what_is_stored_more_than_once_is_found() {
    is_violated(&["--spoil", "two-questions"], "question-duplicated");
    is_violated(&["--spoil", "drafts"], "answer-duplicated");
    let good = is_proven(&[]);
    assert!(codes(&good, "warning").is_empty(), "{good:#}");
}

#[test]
fn an_answer_that_is_saved_again_when_the_client_hangs_up_is_found() {
    let report = is_violated(&["--spoil", "twice"], "answer-duplicated");
    assert_eq!(case(&report, "/order")["verdict"], "proven", "{report:#}");
    let at_final = case(&report, "/close-at-final");
    assert_eq!(at_final["verdict"], "violated", "{report:#}");
}

#[test]
fn an_answer_that_moves_to_another_conversation_later_is_lost() {
    is_violated(&["--spoil", "moved"], "saved-row-changed-later");
}

const TWO_TURNS: &str = r#"
[[setup]]
request = "POST /conversations"
json = { title = "two turns" }
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "Add a task to buy milk"
answer = "Task 'Buy milk' has been added to the list."

[[turn]]
user = "And one to buy bread"
answer = "Task 'Buy bread' has been added, too."

[history]
request = "GET /conversations/{conversation_id}/messages"
"#;

#[test]
fn earlier_turns_that_are_gone_at_the_marker_are_lost() {
    let folder = tempfile::tempdir().unwrap();
    let two_turns = folder.path().join("two-turns.toml");
    std::fs::write(&two_turns, TWO_TURNS).unwrap();
    let verify = |options: &[&str]| verify_with(options, &[two_turns.to_str().unwrap()]).0;
    let right = verify(&["--rewrite", "before"]);
    assert_eq!(case(&right, "/order")["verdict"], "proven", "{right:#}");
    let report = verify(&["--rewrite", "older"]);
    let order = case(&report, "/order");
    assert_eq!(order["verdict"], "violated", "{report:#}");
    let reason = order["reason"].as_str().unwrap();
    assert!(
        reason.contains("turn 1 is in no row at the final marker"),
        "{order:#}"
    );
}

/// A server that reads only the pieces of a response stores the part of one that failed as the whole.
#[test]
fn a_response_that_fails_is_no_whole_answer() {
    let ways = [
        ("openai-responses", "violated"),
        ("openai-responses-checked", "held"),
    ];
    side_by_side(&ways, |(provider, verdict)| {
        let fault = ["--provider-fault", "response-failed"];
        let arguments = [&["--proof", "observe", "--settle", "500ms"][..], &fault].concat();
        let (report, _) = verify_with(&["--provider", provider], &arguments);
        let failed = case(&report, "/provider-response-failed");
        assert_eq!(failed["verdict"], *verdict, "{provider}: {report:#}");
        let found = errors(&report).contains(&"part-stored-as-whole");
        assert_eq!(found, *verdict == "violated", "{provider}: {report:#}");
    });
}
