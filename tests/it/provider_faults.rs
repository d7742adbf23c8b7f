//! Providers that say something odd, or fail: each bad server gets its finding, and the good one none.

use crate::common::{Chat, case, codes, errors, report};
use serde_json::Value;

/// The report of a run that only looks, so that it takes no gate.
fn run(chat: &Chat, faults: &str) -> (Value, i32) {
    // A busy machine takes its time to read 1 MB.
    let only = ["--proof", "observe", "--settle", "500ms", "--seed", "7"];
    let patience = ["--response-timeout", "2m"];
    report(
        chat.verify()
            .args(only)
            .args(patience)
            .args(["--provider-fault", faults]),
    )
}

/// The server is violated in these cases, with these codes.
fn fires(mode: &'static str, cases: &[&str], expected: &[&str]) {
    let chat = Chat::new(mode).stack("async");
    let (report, exit) = run(&chat, &cases.join(","));
    for name in cases {
        let case = case(&report, &format!("/provider-{name}"));
        assert_eq!(case["verdict"], "violated", "{mode} {name}: {report:#}");
    }
    for code in expected {
        assert!(
            errors(&report).contains(code),
            "{mode}: no {code} in {report:#}"
        );
    }
    assert_eq!(exit, 1, "{mode}");
}

#[test]
fn a_server_that_tells_of_every_failure_is_right() {
    let chat = Chat::new("correct").stack("async");
    let (report, exit) = run(
        &chat,
        "all,crlf+drip,emoji+split-character+fin,rtl+http-429-once",
    );
    let cases = report["cases"].as_array().unwrap().iter();
    let of_providers = cases.filter(|case| case["name"].as_str().unwrap().contains("/provider-"));
    let verdicts: Vec<_> = of_providers.map(|case| &case["verdict"]).collect();
    assert!(verdicts.len() > 20, "{report:#}");
    assert!(verdicts.iter().all(|it| **it == "held"), "{report:#}");
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
    let warnings = codes(&report, "warning");
    assert!(warnings.is_empty(), "{warnings:?}: {report:#}");
}

#[test]
fn a_server_that_hides_failures_is_found() {
    fires(
        "hides_errors",
        &[
            "http-429",
            "error-with-200",
            "json-with-200",
            "rst",
            "fin",
            "error-in-stream",
        ],
        &["provider-error-hidden", "part-stored-as-whole"],
    );
}

/// Words that come with every answer are no word of a failure.
#[test]
fn a_server_with_words_of_its_own_is_found_too() {
    let cases = ["error-in-stream", "rst", "http-503"];
    let expected = ["part-stored-as-whole", "provider-error-hidden"];
    fires("hides_errors_in_words", &cases, &expected);
    let chat = Chat::new("reports_in_words").stack("async");
    let (report, exit) = run(&chat, &cases.join(","));
    for name in cases {
        let case = case(&report, &format!("/provider-{name}"));
        assert_eq!(case["verdict"], "held", "{name}: {report:#}");
    }
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
}

#[test]
fn the_text_of_an_error_in_the_place_of_an_answer_is_found() {
    fires(
        "error_as_answer",
        &["http-503", "error-in-stream"],
        &["error-text-as-answer"],
    );
}

#[test]
fn texts_that_a_store_changes_are_found() {
    fires(
        "narrow_column",
        &["emoji", "rtl", "megabyte", "nul"],
        &["answer-differs"],
    );
}

#[test]
fn texts_that_a_server_tidies_and_questions_that_it_repeats_are_found() {
    fires(
        "tidies",
        &["markup", "decomposed", "code", "http-429-once"],
        &["answer-differs", "question-duplicated"],
    );
}

#[test]
fn a_lock_that_a_failure_leaves_behind_is_found() {
    fires("locks", &["http-503", "rst"], &["next-turn-refused"]);
}

/// The user is told, so nothing is lost; the empty row is worth a look.
#[test]
fn a_placeholder_that_stays_is_a_warning() {
    let chat = Chat::new("empty_placeholder").stack("async");
    let (report, exit) = run(&chat, "http-429,fin,only-reasoning");
    let mut findings = report["findings"].as_array().unwrap().iter();
    let found = findings.find(|it| it["code"] == "answer-empty").unwrap();
    assert_eq!(found["severity"], "warning", "{report:#}");
    let facts = found["evidence"].to_string();
    assert!(facts.contains("the model reasons"), "{facts}");
    let silent = case(&report, "/provider-only-reasoning");
    let reason = silent["reason"].as_str().unwrap();
    assert!(
        reason.contains("an empty row is stored as the answer"),
        "{reason}"
    );
    assert_eq!((errors(&report).len(), exit), (0, 0), "{report:#}");
}

#[test]
fn a_fault_is_named_rightly() {
    let chat = Chat::new("correct");
    let out = chat
        .verify()
        .args(["--provider-fault", "drop"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(
        said.contains("unknown provider fault `drop`: did you mean `drip`?"),
        "{said}"
    );
    assert_eq!(out.status.code(), Some(2));
}
