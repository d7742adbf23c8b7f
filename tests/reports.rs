//! Every format of a real run, and the shipped JSON Schema against real output.
#![allow(clippy::unwrap_used)]

mod common;

use common::Chat;
use common::Turn;
use common::chatctl;
use common::report;
use common::stores::Store;
use common::stores::execute;
use common::stores::run;
use common::text;
use serde_json::Value;
use std::fs;

/// That what a document's `schema` names holds for it.
fn validator(name: &str) -> jsonschema::Validator {
    let found = chatctl::render::SCHEMAS.iter().find(|row| row.0 == name);
    let schema: Value = serde_json::from_str(found.unwrap().1).unwrap();
    assert_eq!(schema["title"], name);
    jsonschema::validator_for(&schema).unwrap()
}

fn errors(document: &Value) -> Vec<String> {
    let validator = validator(document["schema"].as_str().unwrap());
    let errors = validator.iter_errors(document);
    errors.map(|error| error.to_string()).collect()
}

/// Every command that gives a report gives one of the shipped shape, whatever its verdict.
#[test]
fn the_schema_holds_for_real_output() {
    let check = |report: &Value| {
        assert_eq!(errors(report), Vec::<String>::new(), "{report:#}");
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
    assert_ne!(errors(&broken), Vec::<String>::new());
}

/// Every view is of its shipped shape, and nothing that is not in the schema may stand in it.
#[test]
fn the_schemas_of_views_hold_for_real_output() {
    run(async {
        let store = Store::sqlite();
        let sql = "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT, parts BLOB, created_at INTEGER);
            INSERT INTO messages VALUES (1, 'c', 'user', 'hi', x'00ff', 1767261600), (2, 'c', 'assistant', NULL, NULL, -1767261600)";
        execute(&*store.open().await, sql).await;
        let url = store.url();
        let view = |arguments: &[&str]| {
            let mut command = chatctl();
            command.args(["inspect", "--database-url", &url, "--format", "json"]);
            let output = command.args(arguments).output().unwrap();
            let (out, err) = text(&output);
            assert_eq!(output.status.code(), Some(0), "{arguments:?}: {err}");
            serde_json::from_str::<Value>(&out).unwrap()
        };
        for (arguments, schema) in [
            (&["tables"][..], "chatctl.sheet/1"),
            (&["schema"], "chatctl.sheet/1"),
            (
                &["sql", "SELECT *, 1.50, id FROM messages"],
                "chatctl.sheet/1",
            ),
            (&["conversations"], "chatctl.sheet/1"),
            (&["search", "h"], "chatctl.sheet/1"),
            (&["show", "c", "--raw"], "chatctl.sheet/1"),
            (&["show", "c"], "chatctl.transcript/1"),
            (&["mapping"], "chatctl.text/1"),
            (&["mapping", "--presets"], "chatctl.text/1"),
        ] {
            let mut document = view(arguments);
            assert_eq!(document["schema"], schema, "{arguments:?}");
            assert_eq!(errors(&document), Vec::<String>::new(), "{document:#}");
            document["more"] = Value::Null;
            assert_ne!(errors(&document), Vec::<String>::new(), "{arguments:?}");
        }
    });
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
