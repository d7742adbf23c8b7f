//! The demo shows a proven pass and a proven violation, and leaves nothing behind.

use crate::common::{Turn, case, chatctl, errors, report, text};
use std::fs;
use std::path::Path;
use std::process::Command;

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
        "Both verdicts are as expected",
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

/// What the demo prints at its end, and the README's first command, work on a server as it is, to
/// the letter: it calls what OPENAI_BASE_URL names and stores where DATABASE_URL says.
#[test]
fn the_printed_commands_work_as_printed() {
    let _turn = Turn::alone();
    let folder = tempfile::tempdir().unwrap();
    let demo = fs::read_to_string(crate::common::root().join("src/commands/demo.rs")).unwrap();
    let printed = demo
        .lines()
        .find_map(|line| {
            line.trim()
                .strip_prefix("chatctl verify-stream")?
                .strip_suffix(r"\n\n\")
        })
        .unwrap();
    let readme = fs::read_to_string(crate::common::root().join("README.md")).unwrap();
    let block = |language: &str, holds: &str| {
        let opening = format!("```{language}\n");
        let mut blocks = readme.split(&opening).skip(1);
        let block = blocks.find(|block| block.split("```").next().unwrap().contains(holds));
        block.unwrap().split("```").next().unwrap().to_owned()
    };
    fs::create_dir(folder.path().join("sessions")).unwrap();
    let session = block("toml", "[[turn]]");
    fs::write(folder.path().join("sessions/hello.toml"), session).unwrap();
    fs::write(folder.path().join("app.py"), "from chat.app import app\n").unwrap();
    let programs = [
        env!("CARGO_BIN_EXE_chatctl"),
        crate::common::python().to_str().unwrap(),
    ]
    .map(|program| Path::new(program).parent().unwrap().display().to_string());
    let path = format!("{}:{}", programs.join(":"), std::env::var("PATH").unwrap());
    for command in [
        format!("chatctl verify-stream{printed}"),
        block("sh", "sessions/hello.toml"),
    ] {
        let output = Command::new("sh")
            .args(["-c", &command])
            .current_dir(folder.path())
            .env("PATH", &path)
            .env("PYTHONPATH", crate::common::root().join("tests/servers"))
            .env_remove("DATABASE_URL")
            .output()
            .unwrap();
        let (out, err) = text(&output);
        assert_eq!(output.status.code(), Some(0), "{command}: {out}{err}");
        assert!(out.contains("proven"), "{command}: {out}{err}");
    }
}
