//! Stopped within a turn: at a tool call, between steps, before and after the answer's commit. Each bad server gets
//! its finding, and its good twin none.

use crate::common::servers::Postgres;
use crate::common::{Chat, Turn, case, chatctl, codes, errors, report, side_by_side, small};
use crate::restart::{audit, session, with_steps};
use crate::tools;
use serde_json::Value;

const QUICK: [&str; 4] = ["--rounds", "1", "--settle", "500ms"];

/// The report on the small server, which has a session without tools.
fn stopped(options: &[&str], stop: &str) -> (Value, i32) {
    small::audit(options, &[&["--stop", stop], &QUICK[..]].concat())
}

/// Every round is held, and nothing is found.
fn is_silent((report, exit): &(Value, i32), ways: &str) {
    for way in ways.split(',') {
        let case = case(report, &format!("/{way}"));
        assert_eq!(case["verdict"], "held", "{way}: {report:#}");
    }
    for severity in ["error", "warning"] {
        assert!(codes(report, severity).is_empty(), "{report:#}");
    }
    assert_eq!(*exit, 0, "{report:#}");
}

fn reason<'a>(report: &'a Value, way: &str) -> &'a str {
    case(report, &format!("/{way}"))["reason"].as_str().unwrap()
}

const COMMITS: &str = "kill-before-commit,kill-after-commit,term-before-commit,term-after-commit";

/// What the commit had done is there, and what it had not is not, and neither is held against the server.
#[test]
#[cfg(target_os = "linux")]
fn a_server_that_commits_first_loses_nothing_at_its_commit() {
    let _turn = Turn::shared();
    let told = stopped(&["--save", "before"], COMMITS);
    is_silent(&told, COMMITS);
    for (way, kept) in [
        ("kill-before-commit", "nothing of the answer is"),
        ("kill-after-commit", "all of the answer is"),
        ("term-before-commit", "all of the answer is"),
        ("term-after-commit", "all of the answer is"),
    ] {
        let reason = reason(&told.0, way);
        assert!(reason.contains(kept), "{way}: {reason}");
    }
}

/// However soon after the marker a save comes: it is withheld, and so it is lost.
#[test]
#[cfg(target_os = "linux")]
fn a_save_after_the_marker_is_lost_with_its_commit() {
    let _turn = Turn::shared();
    let (report, exit) = stopped(&["--save", "0"], "kill-before-commit");
    assert_eq!(errors(&report), ["message-lost-on-kill"], "{report:#}");
    assert_eq!(exit, 1, "{report:#}");
}

/// A server that never saves has no commit at which it could be stopped: that is no pass.
#[test]
#[cfg(target_os = "linux")]
fn without_the_commit_nothing_is_shown() {
    let _turn = Turn::shared();
    let (report, exit) = stopped(&["--save", "never"], "kill-before-commit");
    let case = case(&report, "/kill-before-commit");
    assert_eq!(case["verdict"], "inconclusive", "{report:#}");
    let reason = case["reason"].as_str().unwrap();
    assert!(
        reason.contains("no commit that carries the answer"),
        "{reason}"
    );
    assert_eq!(exit, 3, "{report:#}");
}

#[test]
fn a_turn_that_is_busy_for_ever_refuses_the_next_one() {
    let _turn = Turn::shared();
    let ways = "kill-at-text-complete,kill-in-stream";
    let (report, exit) = stopped(&["--busy", "stays"], "kill-at-text-complete");
    assert_eq!(errors(&report), ["next-turn-refused"], "{report:#}");
    assert_eq!(exit, 1, "{report:#}");
    is_silent(&stopped(&["--busy", "settled"], ways), ways);
}

#[test]
fn a_row_that_stays_in_progress_is_found() {
    let _turn = Turn::shared();
    let way = "kill-at-text-complete";
    let options = |how| ["--keep", "status", "--open", how];
    let (report, exit) = stopped(&options("stays"), way);
    assert_eq!(codes(&report, "warning"), ["stuck-streaming"], "{report:#}");
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
    is_silent(&stopped(&options("settled"), way), way);
}

/// The next turn is answered, or the decision is taken; of a server that forgets what it asked
/// neither is, also where it answers the decision with a stream.
#[test]
fn a_server_is_stopped_while_a_call_waits_for_approval() {
    let ways = "kill-at-approval,term-at-approval";
    let servers = ["right", "waits", "replies", "blocks", "forgets"];
    side_by_side(&servers, |server| {
        let chat = Chat::kept_beside("json", "before").set("APPROVAL", server);
        let path = tools::with_approval(chat.folder.path());
        let arguments = [path.to_str().unwrap(), "--profile", "plain", "--stop", ways];
        let arguments = [&arguments[..], &QUICK[..]].concat();
        let url = format!("sqlite:{}", chat.database().display());
        let told = report(
            chatctl()
                .args(["audit", "restart", "--ready", "/health"])
                .args(["--database-url", &url, "--start", &chat.start()])
                .args(arguments),
        );
        if ["blocks", "forgets"].contains(server) {
            assert_eq!(errors(&told.0), ["next-turn-refused"], "{:#}", told.0);
            return;
        }
        assert!(errors(&told.0).is_empty(), "{server}: {:#}", told.0);
        for way in ways.split(',') {
            let case = case(&told.0, &format!("/{way}"));
            assert_eq!(case["verdict"], "held", "{server}: {way}: {:#}", told.0);
        }
    });
}

/// The tools ran, and what follows them never came.
#[test]
fn a_server_is_stopped_within_the_steps_of_a_turn() {
    let _turn = Turn::shared();
    let ways = "kill-in-tool,kill-between-steps,term-in-tool,term-between-steps";
    let run = |how: &str, ways: &str| {
        let folder = tempfile::tempdir().unwrap();
        let session = with_steps(folder.path());
        let start = small::start(&["--provider", "openai-tools", "--busy", how]);
        let arguments = [&[session.as_str(), "--stop", ways], &QUICK[..]].concat();
        small::audit_in(folder.path(), &start, &arguments)
    };
    let told = run("settled", ways);
    is_silent(&told, ways);
    let at = |way| case(&told.0, way)["timeline"].to_string();
    assert!(at("/kill-in-tool").contains("4 chunks"), "{:#}", told.0);
    assert!(
        at("/kill-between-steps").contains("8 chunks"),
        "{:#}",
        told.0
    );
    for way in ["kill-in-tool", "kill-between-steps"] {
        let (report, exit) = run("stays", way);
        assert_eq!(errors(&report), ["next-turn-refused"], "{way}: {report:#}");
        assert_eq!(exit, 1, "{way}: {report:#}");
    }
}

#[test]
fn a_session_without_tools_has_no_such_place() {
    let chat = Chat::new("correct");
    let out = audit(&chat).args(["--stop", "kill-in-tool"]).output();
    let out = out.unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert_eq!(out.status.code(), Some(2), "{said}");
    assert!(
        said.contains("a turn in which the model calls tools"),
        "{said}"
    );
}

/// On the wire to a database server: what is withheld when the server is killed never comes to the store.
#[test]
fn on_postgres_a_withheld_commit_dies_with_its_server() {
    let server = Postgres::start();
    for (mode, found) in [
        ("correct", None),
        ("create_task", Some("message-lost-on-kill")),
    ] {
        let chat = Chat::new(mode).stack("async");
        let url = server.database(mode);
        let chat = chat.on(url.clone(), "asyncpg");
        let mut command = crate::common::chatctl();
        command
            .args(["audit", "restart", &session(chat.folder.path())])
            .args(["--database-url", &url, "--ready", "/health"])
            .args(["--ready-timeout", "2m", "--start", &chat.start()])
            .args(["--stop", "kill-before-commit"])
            .args(QUICK);
        let (report, exit) = crate::common::report(&mut command);
        assert_eq!(errors(&report), Vec::from_iter(found), "{mode}: {report:#}");
        assert_eq!(exit, i32::from(found.is_some()), "{mode}: {report:#}");
        if found.is_none() {
            let reason = reason(&report, "kill-before-commit");
            assert!(reason.contains("nothing of the answer is"), "{reason}");
        }
    }
}
