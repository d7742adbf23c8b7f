//! Runs that are played again from their report, and shared between machines.

use crate::common::{Chat, Turn, case, chatctl, errors, report, small};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;

const FAULTS: &str = "rst,http-429,emoji,error-in-stream";

/// A run that only looks, with its report in a file next to the store.
fn run(chat: &Chat, name: &str, more: &[&str]) -> (Value, i32, PathBuf) {
    let file = chat.folder.path().join(name);
    let only = ["--proof", "observe", "--settle", "300ms"];
    let (report, exit) = report(
        chat.verify()
            .args(only)
            .args(["--provider-fault", FAULTS])
            .args(more),
    );
    fs::write(&file, report.to_string()).unwrap();
    (report, exit, file)
}

fn names(report: &Value) -> Vec<&str> {
    let cases = report["cases"].as_array().unwrap().iter();
    cases.map(|case| case["name"].as_str().unwrap()).collect()
}

/// The same seed, the same place at which the stream breaks off, the same verdict.
#[test]
fn a_violated_case_is_violated_again() {
    let chat = Chat::new("hides_errors").stack("async");
    let (before, exit, file) = run(&chat, "report.json", &["--seed", "11"]);
    assert_eq!(exit, 1, "{before:#}");
    assert_eq!(before["replay"]["seed"], 11, "{before:#}");
    let replay = |more: &[&str]| {
        let mut command = chatctl();
        report(command.arg("replay").arg(&file).args(more))
    };
    let (again, exit) = replay(&["--case", "provider-rst"]);
    assert_eq!(exit, 1, "{again:#}");
    assert_eq!(names(&again), ["plain/provider-rst"], "{again:#}");
    assert_eq!(errors(&again), ["part-stored-as-whole"], "{again:#}");
    let reason = |report: &Value| case(report, "/provider-rst")["reason"].clone();
    assert_eq!(reason(&before), reason(&again));
    // Without names: those that were not well.
    let (again, _) = replay(&[]);
    let open = [
        "provider-rst",
        "provider-http-429",
        "provider-error-in-stream",
    ];
    assert_eq!(
        names(&again),
        open.map(|name| format!("plain/{name}")),
        "{again:#}"
    );
    let out = chatctl()
        .arg("replay")
        .arg(&file)
        .args(["--case", "nothing"])
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2));
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(said.contains("the report has no case `nothing`"), "{said}");
}

/// The shares together have each case once, and the verdict of the whole.
#[test]
fn shares_are_merged_into_one_verdict() {
    let chat = Chat::new("hides_errors").stack("async");
    let (first, _, one) = run(&chat, "1.json", &["--shard", "1/2"]);
    let (second, _, two) = run(&chat, "2.json", &["--shard", "2/2"]);
    let merge = |files: &[&PathBuf]| {
        let mut command = chatctl();
        report(command.args(["report", "merge"]).args(files))
    };
    let (whole, exit) = merge(&[&one, &two]);
    assert_eq!((whole["verdict"].as_str(), exit), (Some("violated"), 1));
    let mut both = [names(&first), names(&second)].concat();
    both.sort_unstable();
    let mut merged = names(&whole);
    merged.sort_unstable();
    assert_eq!(merged, both, "{whole:#}");
    for fault in FAULTS.split(',') {
        case(&whole, &format!("/provider-{fault}"));
    }
    // A machine that did not report is no pass.
    let (alone, exit) = merge(&[&one]);
    assert_eq!(case(&alone, "shard/2/2")["verdict"], "inconclusive");
    assert!(exit == 1 || exit == 3, "{alone:#}");
    let out = chatctl()
        .args(["report", "merge"])
        .arg(chat.database())
        .output()
        .unwrap();
    assert_eq!(out.status.code(), Some(2), "a store is no report");
}

/// The same of a restart: the way in which the server was stopped, and as many rounds as it needs.
#[test]
fn a_restart_is_played_again() {
    let _turn = Turn::shared();
    let folder = tempfile::tempdir().unwrap();
    let start = small::start(&["--busy", "stays"]);
    let arguments = ["--stop", "term,kill-in-stream", "--rounds", "1"];
    let arguments = [&arguments[..], &["--settle", "300ms"]].concat();
    let (before, exit) = small::audit_in(folder.path(), &start, &arguments);
    assert_eq!((errors(&before), exit), (vec!["next-turn-refused"], 1));
    let file = folder.path().join("report.json");
    fs::write(&file, before.to_string()).unwrap();
    let replay = |more: &[&str]| {
        let mut command = chatctl();
        report(command.arg("replay").arg(&file).args(more))
    };
    let (again, exit) = replay(&[]);
    assert_eq!(names(&again), ["plain/round-1/kill-in-stream"], "{again:#}");
    assert_eq!((errors(&again), exit), (vec!["next-turn-refused"], 1));
    let (again, exit) = replay(&["--case", "round-1/term"]);
    assert_eq!(names(&again), ["plain/round-1/term"], "{again:#}");
    assert_eq!(exit, 0, "{again:#}");
}

/// `--cases` selects among what the suite adds, and a text that selects nothing is never a pass.
#[test]
fn a_text_that_matches_no_case_never_passes() {
    let chat = Chat::new("finishes").stack("async");
    let play = |more: &[&str]| {
        let only = ["--proof", "observe", "--settle", "300ms"];
        report(chat.verify().args(only).args(more))
    };
    let named = ["--suite", "sweep", "--provider-fault", "emoji"];
    let (matched, _) = play(&[&named[..], &["--cases", "left-at-event-1-by-fin"]].concat());
    let played = names(&matched);
    let of = |part: &str| played.iter().filter(|name| name.contains(part)).count();
    assert_eq!((of("/left-at-"), of("case/")), (1, 0), "{played:?}");
    // The fault that was asked for by name, and none of those that a sweep adds.
    assert_eq!(
        (of("/provider-"), of("/provider-emoji")),
        (1, 1),
        "{played:?}"
    );
    let (missed, exit) = play(&["--suite", "full", "--cases", "left-ta"]);
    let missing = case(&missed, "/left-ta");
    assert_eq!(missing["verdict"], "inconclusive", "{missed:#}");
    let reason = missing["reason"].as_str().unwrap();
    assert!(reason.contains("matches no case"), "{reason}");
    assert_eq!((exit, errors(&missed).len()), (3, 0), "{missed:#}");
}
