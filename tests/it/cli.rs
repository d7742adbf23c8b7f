//! What scripts and newcomers rely on: help, exit codes, streams, the README's claims.

mod told;

use crate::common::{chatctl, root, text};
use std::fs;

#[test]
fn help_tells_the_exit_codes_and_the_readme_too() {
    let (help, _) = text(&chatctl().arg("--help").output().unwrap());
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    for line in chatctl::outcome::EXIT_CODES
        .lines()
        .filter(|line| line.starts_with("  "))
    {
        assert!(help.contains(line), "--help lacks `{line}`");
        let (code, rest) = line.trim().split_once("  ").unwrap();
        let (name, what) = rest.split_once("  ").unwrap();
        let row = format!("| {code} | {name} | {} |", what.trim());
        assert!(readme.contains(&row), "README lacks `{row}`");
    }
}

#[test]
fn every_command_has_help() {
    for command in [
        "verify-stream",
        "gate",
        "demo",
        "explain",
        "config",
        "completions",
    ] {
        let output = chatctl().args([command, "--help"]).output().unwrap();
        let (out, err) = text(&output);
        assert_eq!((output.status.code(), err.as_str()), (Some(0), ""));
        assert!(out.contains("Usage: chatctl"), "{out}");
    }
}

/// What chatctl starts of itself is no command of a user.
#[test]
fn helpers_are_neither_completed_nor_suggested() {
    let helpers = ["gate-holder", "gate-alarm", "supervise", "demo-server"];
    for shell in ["bash", "zsh", "fish"] {
        let output = chatctl().args(["completions", shell]).output().unwrap();
        let (script, _) = text(&output);
        assert!(script.contains("verify-stream"), "{shell}");
        for helper in helpers {
            assert!(!script.contains(helper), "{shell} completes {helper}");
        }
    }
    for wrong in ["gateway", "supervisor", "demo-serve"] {
        let output = chatctl().arg(wrong).output().unwrap();
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{err}");
        for helper in helpers {
            assert!(!err.contains(&format!("'{helper}'")), "{err}");
        }
    }
}

#[test]
fn the_help_of_long_commands_has_an_example() {
    for command in [
        &["verify-stream"][..],
        &["migrate"],
        &["audit", "restart"],
        &["inspect", "sql"],
    ] {
        for flag in ["-h", "--help"] {
            let output = chatctl().args(command).arg(flag).output().unwrap();
            let (help, _) = text(&output);
            let (_, examples) = help.split_once("Examples:\n").expect(&help);
            assert!(examples.contains("  chatctl "), "{help}");
        }
    }
}

#[test]
fn a_wrong_command_line_is_exit_2_and_says_what_there_is() {
    for arguments in [
        &["verify-strem"][..],
        &["verify-stream", "--formt", "json"],
        &["verify-stream", "--format", "yaml"],
        &["verify-stream", "--gate", "none"],
        &[],
    ] {
        let output = chatctl().args(arguments).output().unwrap();
        let (out, err) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(out, "");
        assert!(
            err.contains("Usage") || err.contains("possible values"),
            "{err}"
        );
    }
}

#[test]
fn an_unknown_profile_is_exit_2_and_says_which_there_are() {
    let arguments = ["verify-stream", "--profile", "none"];
    let output = chatctl().args(arguments).output().unwrap();
    let (out, err) = text(&output);
    assert_eq!((output.status.code(), out.as_str()), (Some(2), ""));
    assert!(err.contains("unknown profile `none`"), "{err}");
    assert!(err.contains("`plain`") && err.contains("`ollama`"), "{err}");
}

#[test]
fn values_that_are_wrong_are_named() {
    for (flag, value) in [
        ("--trials", "2"),
        ("--hold", "soon"),
        ("--settle", "-"),
        ("--server", "localhost"),
        ("--report", "x"),
    ] {
        let output = chatctl()
            .args([
                "verify-stream",
                "--database-url",
                "sqlite:x.db",
                flag,
                value,
            ])
            .output()
            .unwrap();
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{flag}: {err}");
        assert!(err.contains(value), "{flag}: {err}");
    }
}

#[test]
fn an_error_is_json_when_json_was_asked_for() {
    let output = chatctl()
        .args(["verify-stream", "--format", "json"])
        .output()
        .unwrap();
    let (out, err) = text(&output);
    assert_eq!(out, "");
    let error: serde_json::Value = serde_json::from_str(err.lines().last().unwrap()).unwrap();
    assert_eq!(error["exit"], 2);
    assert!(error["hint"].is_string());
}

/// Text stays text: another format is refused, unless it is the setting of all commands.
#[test]
fn a_format_for_what_is_text_is_refused() {
    let run = |arguments: &[&str]| {
        let mut command = chatctl();
        command.env("CHATCTL_FORMAT", "json").args(arguments);
        let output = command.output().unwrap();
        (output.status.code(), text(&output).1)
    };
    for command in ["explain", "config"] {
        let (code, err) = run(&[command, "--format", "json"]);
        assert_eq!(code, Some(2), "{command}: {err}");
        assert!(err.contains("which is text"), "{command}: {err}");
        let (code, err) = run(&[command, "--report", "json=out.json"]);
        assert_eq!(code, Some(2), "{command}: {err}");
        for taken in [&[command][..], &[command, "--format", "human"]] {
            let (code, err) = run(taken);
            assert_eq!(code, Some(0), "{taken:?}: {err}");
        }
    }
}

/// A value says what is missing from it, and a URL where it came from.
#[test]
fn a_wrong_value_says_what_to_write() {
    let says = |flags: &[&str], part: &str| {
        let mut command = chatctl();
        command.arg("verify-stream").args(flags);
        let output = command.output().unwrap();
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{flags:?}: {err}");
        assert!(err.contains(part), "no `{part}` in: {err}");
    };
    let store = ["--database-url", "sqlite:x.db"];
    says(
        &[&store[..], &["--hold", "3"]].concat(),
        "a duration needs a unit: --hold 3s",
    );
    says(&[&store[..], &["--trials", "1"]].concat(), "at least 3");
    says(
        &["--database-url", "chat.db"],
        "did you mean sqlite:chat.db?",
    );
    for (words, part) in [
        (&["migrate", "--lock-timeout", "3"][..], "needs a unit: 3s"),
        (
            &["inspect", "sql", "--timeout", "3", "-"],
            "needs a unit: 3s",
        ),
        (&["migrate", "baseline"], "<VERSION|--none>"),
        (&["migrate", "repair"], "<--eol|--missing <VERSION>>"),
        (&["migrate", "--source", "flywy"], "'flyway'"),
    ] {
        let output = chatctl().args(words).output().unwrap();
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{words:?}: {err}");
        assert!(err.contains(part), "no `{part}` in: {err}");
    }
    let config = |key: &str, value: &str| {
        let output = chatctl().arg("config").env(key, value).output().unwrap();
        let (out, err) = text(&output);
        assert!(out.contains("trials"), "{out}");
        err
    };
    assert_eq!(config("CHATCTL_TRIALS", "3"), "");
    for (key, value) in [("CHATCTL_TRIALS", "2"), ("CHATCTL_READY_TIMEOUT", "30")] {
        let err = config(key, value);
        let told = format!("warning: `{value}` is not a valid value");
        assert!(err.starts_with(&told), "{err}");
    }
    let mut command = chatctl();
    command.args(["inspect", "tables"]);
    command.env("DATABASE_URL", "postgresql+asyncpg://app:secret@db/chat");
    let (_, err) = text(&command.output().unwrap());
    assert!(err.contains("(from: environment DATABASE_URL)"), "{err}");
    assert!(
        err.contains("postgresql://app:") && !err.contains("secret"),
        "{err}"
    );
}

#[test]
fn explain_pages_are_printed_and_listed() {
    let (list, _) = text(&chatctl().arg("explain").output().unwrap());
    for page in chatctl::explain::ALL {
        assert!(list.contains(page.code));
        let (out, _) = text(&chatctl().args(["explain", page.code]).output().unwrap());
        assert_eq!(out, page.text);
    }
}

#[test]
fn config_tells_where_a_value_came_from() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("chatctl.toml"), "settle = \"3s\"\n").unwrap();
    let output = chatctl()
        .arg("config")
        .current_dir(folder.path())
        .env("CHATCTL_TRIALS", "7")
        .env("DATABASE_URL", "sqlite:a.db")
        .output()
        .unwrap();
    let (out, _) = text(&output);
    let row = |key: &str| {
        out.lines()
            .find(|line| line.starts_with(key))
            .unwrap()
            .to_owned()
    };
    assert!(
        row("settle").contains("3s") && row("settle").contains("chatctl.toml"),
        "{out}"
    );
    assert!(
        row("trials").contains('7') && row("trials").contains("environment CHATCTL_TRIALS"),
        "{out}"
    );
    assert!(
        row("hold").contains("auto") && row("hold").contains("default"),
        "{out}"
    );
}

/// A reader that goes early is no failure of chatctl.
#[test]
fn a_closed_pipe_is_no_panic() {
    use std::process::Stdio;
    let mut child = chatctl()
        .arg("explain")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    let (_, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(!err.contains("panicked"), "{err}");
}

/// A CI sees red, and why, whatever ended the run before there was a report.
#[test]
fn a_run_without_a_report_says_so_in_its_format() {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("migrations")).unwrap();
    fs::write(folder.path().join("chat.db"), "").unwrap();
    fs::write(folder.path().join("migrations/1_a.sql"), "SELECT 1;\n").unwrap();
    for (arguments, exit, word) in [
        (&["verify-stream", "--formt", "x"][..], 2, "usage"),
        (&["verify-stream"], 2, "usage"),
        (
            &["audit", "check", "--database-url", "sqlite:no.db"],
            3,
            "undecided",
        ),
        (
            &["migrate", "up", "--database-url", "sqlite:chat.db?mode=ro"],
            4,
            "refused",
        ),
    ] {
        let run = |more: &[&str], environment: &str| {
            let output = chatctl()
                .args(arguments)
                .args(more)
                .current_dir(folder.path())
                .env("CHATCTL_FORMAT", environment)
                .output()
                .unwrap();
            let (out, err) = text(&output);
            assert_eq!(output.status.code(), Some(exit), "{arguments:?}: {err}");
            (out, err)
        };
        let (out, err) = run(&["--format", "github"], "");
        assert!(
            out.starts_with(&format!("::error title=chatctl%3A {word}::")),
            "{out}"
        );
        assert_eq!(out.lines().count(), 1, "{out}");
        assert!(err.contains("error: "), "{err}");
        assert_eq!(run(&[], "github").0, out);

        let (out, _) = run(&["--report", "sarif=out.sarif", "--format", "junit"], "");
        let document = quick_junit::Report::deserialize_from_str(&out).unwrap();
        assert_eq!(document.errors, 1, "{out}");
        assert!(out.contains(&format!("type=\"{word}\"")), "{out}");
        let sarif = fs::read_to_string(folder.path().join("out.sarif")).unwrap();
        let sarif: serde_json::Value = serde_json::from_str(&sarif).unwrap();
        let invocation = &sarif["runs"][0]["invocations"][0];
        assert_eq!(invocation["executionSuccessful"], false);
        assert_eq!(invocation["exitCode"], exit);

        for (more, environment) in [(&["--format", "json"][..], ""), (&[], "json")] {
            let (out, err) = run(more, environment);
            assert_eq!(out, "");
            let error: serde_json::Value =
                serde_json::from_str(err.lines().last().unwrap()).unwrap();
            assert_eq!(error["exit"], exit, "{err}");
        }
        fs::write(folder.path().join("chatctl.toml"), "format = \"json\"").unwrap();
        let (_, err) = run(&["--report", "markdown=out.md"], "");
        fs::remove_file(folder.path().join("chatctl.toml")).unwrap();
        assert!(
            err.lines().last().unwrap().starts_with("{\"error\""),
            "{err}"
        );
        let told = fs::read_to_string(folder.path().join("out.md")).unwrap();
        assert!(told.starts_with(&format!("## chatctl: {word}")), "{told}");
    }
}

#[test]
fn a_value_of_any_length_is_shown() {
    let start = "x".repeat(70_000);
    let output = chatctl()
        .arg("config")
        .env("CHATCTL_START", &start)
        .output()
        .unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(out.contains(&start));
    assert!(
        out.lines().filter(|line| line.len() > 1000).count() == 1,
        "the others stay short"
    );
}
