//! Every format of a real run, and the shipped JSON Schema against real output.
#![allow(clippy::unwrap_used)]

mod common;

use common::Chat;
use common::Turn;
use common::chatctl;
use common::report;
use common::text;
use serde_json::Value;
use std::fs;

fn validator() -> jsonschema::Validator {
    let schema: Value = serde_json::from_str(chatctl::render::SCHEMA).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

/// Every command that gives a report gives one of the shipped shape, whatever its verdict.
#[test]
fn the_schema_holds_for_real_output() {
    let validator = validator();
    let check = |report: &Value| {
        let errors: Vec<_> = validator
            .iter_errors(report)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{errors:?} in {report:#}");
    };
    for mode in ["correct", "after", "save_touch", "truncated"] {
        let (report, exit) = Chat::new(mode).report(&["--proof", "gate", "--trials", "3"]);
        check(&report);
        assert_eq!(report["exit"], exit, "{mode}");
    }
    let _turn = Turn::shared();
    let (demo, _) = report(chatctl().arg("demo"));
    check(&demo);
    let mut broken = demo;
    broken["verdict"] = "good".into();
    assert!(!validator.is_valid(&broken), "the schema accepts anything");
}

/// One run, four formats: the same findings in each, and the exit code of the verdict.
#[test]
fn further_reports_tell_the_same() {
    let chat = Chat::new("after").stack("async").openai();
    let folder = chat.folder.path();
    let file = |name: &str| folder.join(name).to_str().unwrap().to_owned();
    let output = chat
        .verify()
        .args(["--format", "github", "--settle", "500ms"])
        .args(["--report", &format!("junit={}", file("out.xml"))])
        .args(["--report", &format!("json={}", file("out.json"))])
        .args(["--report", &format!("human={}", file("out.txt"))])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let (github, _) = text(&output);
    assert!(
        github.contains("::error title=saved-after-done"),
        "{github}"
    );
    for name in ["out.xml", "out.json", "out.txt"] {
        let told = fs::read_to_string(folder.join(name)).unwrap();
        assert!(told.contains("saved-after-done"), "{name}: {told}");
    }
    let junit = fs::read_to_string(folder.join("out.xml")).unwrap();
    assert!(
        junit.starts_with("<?xml") && junit.contains("<failure"),
        "{junit}"
    );
    // Nothing half-written lies beside them.
    let left: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.starts_with(".tmp"))
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_report_that_cannot_be_written_is_an_error() {
    let output = chatctl()
        .args([
            "demo",
            "--bug",
            "never-saved",
            "--quiet",
            "--report",
            "json=/no/such/folder/out.json",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(3));
    let (_, err) = text(&output);
    assert!(
        err.contains("writing the json report to `/no/such/folder/out.json`"),
        "{err}"
    );
}
