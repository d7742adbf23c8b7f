//! What the server shows over HTTP after a restart, and whom it still knows.

use crate::common::{Chat, chatctl, codes, errors, report, small};
use crate::restart::{is_clean, session, session_with_login, wrapped};
use serde_json::Value;
use std::fs;

fn audited(chat: &Chat, session: &str, start: &str) -> (Value, i32) {
    let url = format!("sqlite:{}", chat.database().display());
    report(
        chatctl()
            .args(["audit", "restart", session, "--database-url", &url])
            .args(["--ready", "/health", "--start", start])
            .args(["--stop", "term", "--rounds", "1", "--settle", "500ms"]),
    )
}

/// The finding with this code.
fn finding<'a>(report: &'a Value, code: &str) -> &'a Value {
    let mut findings = report["findings"].as_array().unwrap().iter();
    let found = findings.find(|finding| finding["code"] == code);
    found.unwrap_or_else(|| panic!("no {code} in {report:#}"))
}

/// Answered with 200, and empty: the rows are all there, and nobody sees them.
#[test]
fn an_empty_history() {
    let chat = Chat::new("history_in_memory");
    let (report, exit) = audited(&chat, &session(chat.folder.path()), &chat.start());
    assert_eq!(errors(&report), ["history-differs"], "{report:#}");
    assert_eq!(exit, 1);
    let harm = finding(&report, "history-differs")["harm"].to_string();
    assert!(harm.contains("shows an empty history after"), "{harm}");
}

/// The first response shows the profile, by which all further turns are read.
#[test]
fn a_profile_that_nobody_named() {
    let (report, exit) = small::audit(&["--wire", "khoj"], &["--stop", "term", "--rounds", "1"]);
    is_clean(&report, exit, 1);
    assert!(
        codes(&report, "note").contains(&"profile-detected"),
        "{report:#}"
    );
}

/// Times of one second leave open what comes first, and no restart did that.
#[test]
fn an_order_that_is_left_to_chance() {
    let (report, exit) = small::audit(&["--keep", "seconds"], &["--stop", "kill", "--rounds", "3"]);
    assert_eq!(
        (errors(&report), exit),
        (vec!["history-differs"], 1),
        "{report:#}"
    );
    let harm = finding(&report, "history-differs")["harm"].to_string();
    assert!(
        harm.contains("in an undefined order") && !harm.contains("SIGKILL"),
        "{harm}"
    );
    assert!(harm.contains(" of 3 rounds"), "{harm}");
}

/// A page of a longer history is no loss, and what it leaves out is reported.
#[test]
fn a_history_by_the_page() {
    let chat = Chat::new("history_paged");
    let (report, exit) = audited(&chat, &session(chat.folder.path()), &chat.start());
    is_clean(&report, exit, 1);
    assert!(codes(&report, "warning").contains(&"history-differs"));
    let harm = finding(&report, "history-differs")["harm"].to_string();
    assert!(harm.contains("shows 3 of 4 messages"), "{harm}");
}

/// What was wrong before the restart accuses no restart.
#[test]
fn a_history_that_nobody_finds() {
    let chat = Chat::new("correct");
    let path = session(chat.folder.path());
    let text = fs::read_to_string(&path).unwrap();
    fs::write(&path, text.replace("/messages\"", "/mesages\"")).unwrap();
    let url = format!("sqlite:{}", chat.database().display());
    let output = chatctl()
        .args(["audit", "restart", &path, "--database-url", &url])
        .args(["--ready", "/health", "--start", &chat.start()])
        .output()
        .unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("before the restart `GET /conversations/"),
        "{told}"
    );
    assert!(told.contains("check [history]"), "{told}");
}

/// A secret that is made at the start logs everybody out, and no message is lost.
#[test]
fn a_new_secret_at_each_start() {
    let chat = Chat::new("new_secret").set("AUTH", "bearer");
    let path = session_with_login(chat.folder.path());
    let (report, exit) = audited(&chat, &path, &chat.start());
    is_clean(&report, exit, 1);
    assert!(
        codes(&report, "warning").contains(&"logged-out-on-restart"),
        "{report:#}"
    );
    // A secret that stays lets everybody stay.
    let chat = Chat::new("correct").set("AUTH", "bearer");
    let path = session_with_login(chat.folder.path());
    let (report, exit) = audited(&chat, &path, &chat.start());
    is_clean(&report, exit, 1);
    assert!(
        !report["findings"].to_string().contains("logged-out"),
        "{report:#}"
    );
}

/// Accounts that went with the restart: whether the messages went too is asked of the store.
#[test]
fn accounts_that_are_gone() {
    let script = "if [ $again = 1 ]; then export ACCOUNTS=closed; fi; exec \"$@\"";
    for (mode, code) in [
        ("new_secret", "logged-out-on-restart"),
        ("hard_reset", "conversation-not-found"),
    ] {
        let chat = Chat::new(mode).set("AUTH", "bearer");
        let path = session_with_login(chat.folder.path());
        let start = wrapped(chat.folder.path(), script, &chat.start());
        let (report, exit) = audited(&chat, &path, &start);
        assert_eq!(exit, 1, "{report:#}");
        assert_eq!(errors(&report)[0], code, "{report:#}");
        let evidence = finding(&report, code)["evidence"].to_string();
        assert!(evidence.contains("401"), "{evidence}");
    }
}
