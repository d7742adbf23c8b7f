//! The demo shows a proven pass and a proven violation, and leaves nothing behind.
#![allow(clippy::unwrap_used)]

mod common;

use common::Turn;
use common::case;
use common::chatctl;
use common::errors;
use common::report;
use common::text;

#[test]
fn both_verdicts_are_as_they_must_be() {
    let _turn = Turn::alone();
    let folder = tempfile::tempdir().unwrap();
    let output = chatctl()
        .arg("demo")
        .env("TMPDIR", folder.path())
        .output()
        .unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{out}{err}");
    for part in [
        "plain/order",
        "proven: 0 errors",
        "error[saved-after-done]",
        "violated: ",
        "Both verdicts are as they must be",
    ] {
        assert!(out.contains(part), "no `{part}` in {out}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "left in the temporary folder"
    );
}

#[test]
fn each_bug_has_its_finding_and_exit_code() {
    let _turn = Turn::shared();
    for (bug, code) in [
        ("saved-after-done", "saved-after-done"),
        ("saved-in-background", "saved-after-done"),
        ("never-saved", "never-saved"),
        ("truncated", "answer-differs"),
        ("swallowed", "swallows-save-errors"),
    ] {
        let (report, exit) = report(chatctl().args(["demo", "--bug", bug]));
        assert!(errors(&report).contains(&code), "{bug}: {report:#}");
        assert_eq!(exit, 1, "{bug}");
    }
}

/// The incident's bug is seen both ways: by the gate, and by hanging up.
#[test]
fn the_incident_loses_the_answer_when_the_browser_hangs_up() {
    let _turn = Turn::shared();
    let (report, _) = report(chatctl().args(["demo", "--bug", "saved-after-done"]));
    assert_eq!(case(&report, "/order")["verdict"], "violated");
    assert_eq!(case(&report, "/close-at-final")["verdict"], "violated");
    let whats: Vec<_> = case(&report, "/order")["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|moment| moment["what"].as_str().unwrap())
        .collect();
    let place = |part: &str| {
        whats
            .iter()
            .position(|what| what.contains(part))
            .unwrap_or_else(|| panic!("{part}: {whats:?}"))
    };
    assert!(place("gate closed") < place("final marker"));
    assert!(place("final marker") < place("row is not complete"));
    assert!(place("row is not complete") < place("gate open"));
}
