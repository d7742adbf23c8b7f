//! What is said of a stream besides its order: who holds it back, who misses its end, how long it takes.

use crate::common::{Turn, case, chatctl, errors, python, report, root, small};
use serde_json::Value;
use std::{fs, thread};

const SESSION: &str = include_str!("../../fixtures/sessions/shipped/plain.toml");

/// A verification with this command and these lines after the usual session.
fn verify(start: &str, more: &str) -> Value {
    verify_in(start, &format!("{SESSION}\n{more}"))
}

fn verify_in(start: &str, session: &str) -> Value {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("session.toml");
    fs::write(&file, session).unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let (report, _) = report(
        chatctl()
            .args(["verify-stream", "--ready", "/health", "--proof", "gate"])
            .args(["--trials", "3", "--database-url", &url, "--start", start])
            .arg(&file),
    );
    report
}

fn behind_proxy(how: &str) -> String {
    format!(
        "{} {} --port {{port}} {how} -- --db {{database_path}} --gateway {{gateway_url}}",
        python().display(),
        root().join("tests/servers/proxy.py").display(),
    )
}

fn has(report: &Value, code: &str) -> bool {
    let findings = report["findings"].as_array().unwrap();
    findings.iter().any(|finding| finding["code"] == code)
}

fn both(bad: impl Fn() + Sync + Send, good: impl Fn() + Sync + Send) {
    thread::scope(|scope| {
        scope.spawn(bad);
        scope.spawn(good);
    });
}

#[test]
fn a_proxy_that_collects_the_stream_is_found() {
    let _turn = Turn::shared();
    both(
        || {
            let report = verify(&behind_proxy("--hold-back"), "");
            assert!(has(&report, "stream-buffered"), "{report:#}");
        },
        || {
            let report = verify(&behind_proxy(""), "");
            assert!(!has(&report, "stream-buffered"), "{report:#}");
        },
    );
}

#[test]
fn a_marker_that_some_clients_miss_is_found() {
    let _turn = Turn::shared();
    both(
        || {
            let report = verify(&small::start(&["--unended"]), "");
            assert!(has(&report, "marker-unseen"), "{report:#}");
        },
        || {
            let report = verify(&small::start(&[]), "");
            assert!(!has(&report, "marker-unseen"), "{report:#}");
        },
    );
}

/// A last line without its line feed is seen by clients that split the body, and not by those that wait for each one.
#[test]
fn a_line_of_json_that_some_clients_miss_is_found() {
    let _turn = Turn::shared();
    let session = SESSION.replace("profile = \"plain\"", "profile = \"ollama\"");
    both(
        || {
            let start = small::start(&["--wire", "ollama", "--unended"]);
            let report = verify_in(&start, &session);
            let findings = report["findings"].as_array().unwrap();
            let mut unseen = findings.iter().filter(|it| it["code"] == "marker-unseen");
            let harm = unseen.next().unwrap()["harm"].as_str().unwrap();
            assert!(
                harm.contains("but not by a client that waits for each line feed"),
                "{harm}"
            );
        },
        || {
            let report = verify_in(&small::start(&["--wire", "ollama"]), &session);
            assert!(!has(&report, "marker-unseen"), "{report:#}");
        },
    );
}

#[test]
fn a_limit_fails_its_case_and_figures_are_reported() {
    let _turn = Turn::shared();
    both(
        || {
            let limits = "[limits]\nfinal_to_end = \"100ms\"\ntime_to_first_text = \"1m\"";
            let report = verify(&small::start(&["--save", "300"]), limits);
            let case = case(&report, "/limits");
            assert_eq!(case["verdict"], "violated", "{report:#}");
            let reason = case["reason"].as_str().unwrap();
            assert!(reason.starts_with("final_to_end is "), "{reason}");
            assert!(
                reason.ends_with(" ms, but only 100 ms are allowed"),
                "{reason}"
            );
            assert!(has(&report, "limit-exceeded"));
        },
        || {
            let limits =
                "[limits]\nfinal_to_end = \"1m\"\ncommit_to_final = \"1m\"\ngap_p95 = \"1m\"";
            let report = verify(&small::start(&[]), limits);
            assert_eq!(case(&report, "/limits")["verdict"], "held", "{report:#}");
            assert!(!has(&report, "limit-exceeded"));
            let figures = case(&report, "/order")["metrics"].clone();
            for name in [
                "gen_ai.client.operation.time_to_first_chunk",
                "gen_ai.client.operation.time_per_output_chunk.p95",
                "gen_ai.client.operation.duration",
                "text_complete_to_commit_ms",
                "commit_to_final_ms",
                "final_to_end_ms",
            ] {
                assert!(figures[name].as_f64().is_some(), "{name}: {figures:#}");
            }
        },
    );
}

/// A text in another form is the same text if a reload shows it as it was said.
#[test]
fn an_answer_that_is_read_back_from_another_form_is_no_other_one() {
    let _turn = Turn::shared();
    let session = SESSION.replace(
        "[history]",
        "[[turn]]\nuser = \"Is 1 < 2?\"\nanswer = \"It's \\\"so\\\" & more.\"\n\n[history]",
    );
    assert_ne!(session, SESSION);
    let severity = |how: &str| {
        let report = verify_in(&small::start(&["--escape", how]), &session);
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|it| it["code"] == "answer-differs");
        (
            found.expect(how)["severity"].clone(),
            case(&report, "/order")["verdict"].clone(),
        )
    };
    both(
        || assert_eq!(severity("shown"), ("error".into(), "inconclusive".into())),
        || {
            for how in ["html", "json"] {
                assert_eq!(severity(how), ("note".into(), "proven".into()), "{how}");
            }
        },
    );
}

/// Columns and code for short texts cut longer ones, which only a longer answer shows.
#[test]
fn the_suite_full_plays_an_answer_that_common_limits_cut() {
    let full = |options: &[&str]| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("session.toml");
        fs::write(&file, SESSION).unwrap();
        let url = format!("sqlite:{}", folder.path().join("chat.db").display());
        let only = [
            "--suite",
            "full",
            "--proof",
            "observe",
            "--cases",
            "provider-",
            "--settle",
            "400ms",
        ];
        let (report, _) = report(
            chatctl()
                .args([
                    "verify-stream",
                    "--ready",
                    "/health",
                    "--database-url",
                    &url,
                ])
                .args(["--start", &small::start(options)])
                .args(only)
                .arg(&file),
        );
        report
    };
    both(
        || {
            for limit in ["255", "4096", "16384"] {
                let report = full(&["--limit", limit]);
                let codes: Vec<_> = errors(&report);
                assert_eq!(codes, ["answer-differs"], "{limit}: {report:#}");
            }
        },
        || {
            let report = full(&[]);
            assert_eq!(
                case(&report, "/provider-long")["verdict"],
                "held",
                "{report:#}"
            );
            assert!(errors(&report).is_empty(), "{report:#}");
        },
    );
}
