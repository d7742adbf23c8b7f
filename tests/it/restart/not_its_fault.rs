//! A server that is slow, one whose port is taken, one that does not end, and a chatctl that was
//! put in another's place: none of it is a loss.

use crate::common::{case, chatctl, errors, python, report, small};
use crate::restart::{demo_server, is_clean, session, wrapped};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Audits the demo's server behind a script.
fn audited(folder: &Path, script: &str, arguments: &[&str]) -> (Value, i32) {
    let url = format!("sqlite:{}", folder.join("chat.db").display());
    report(
        chatctl()
            .args(["audit", "restart", &session(folder)])
            .args(["--database-url", &url, "--rounds", "1"])
            .args(["--start", &wrapped(folder, script, &demo_server())])
            .args(arguments),
    )
}

/// Nothing is shown, and this is why.
fn is_undecided(report: &Value, exit: i32, why: &str) {
    let told = (report["verdict"].as_str().unwrap(), exit);
    assert_eq!(told, ("inconclusive", 3), "{report:#}");
    assert_eq!(report["cases"].as_array().unwrap().len(), 1, "{report:#}");
    let reason = report["cases"][0]["reason"].as_str().unwrap();
    assert!(reason.contains(why), "{reason}");
}

/// It may only need more time: that it does not come back is not shown.
#[test]
fn a_server_that_starts_slowly() {
    let folder = tempfile::tempdir().unwrap();
    let script = "if [ $again = 1 ]; then sleep 600; fi; exec \"$@\"";
    let arguments = ["--stop", "kill,term", "--ready-timeout", "5s"];
    let (report, exit) = audited(folder.path(), script, &arguments);
    is_undecided(&report, exit, "runs, and was not ready within 5s");
}

/// Another process takes the port between the stop and the start.
#[test]
fn a_port_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let pid = folder.path().join("stranger");
    let stranger = "import http.server, os, signal, sys\n\
        signal.alarm(120)\n\
        server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.BaseHTTPRequestHandler)\n\
        open(sys.argv[2], 'w').write(str(os.getpid()))\n\
        server.serve_forever()\n";
    let program = folder.path().join("stranger.py");
    fs::write(&program, stranger).unwrap();
    // The sixth word of the demo server's command is its port.
    let script = format!(
        "if [ $again = 1 ]; then setsid {} {} $6 {pid} & while [ ! -s {pid} ]; do sleep 0.02; done; fi; exec \"$@\"",
        python().display(),
        program.display(),
        pid = pid.display()
    );
    let (report, exit) = audited(folder.path(), &script, &["--stop", "kill"]);
    let stranger = fs::read_to_string(&pid).unwrap();
    let ended = Command::new("kill").arg(&stranger).status().unwrap();
    assert!(ended.success());
    is_undecided(&report, exit, &format!("process {stranger} (python3"));
}

/// Part of the server does not listen to SIGTERM. It is killed, as Docker does, and that is reported.
#[test]
fn a_server_that_does_not_end() {
    let folder = tempfile::tempdir().unwrap();
    let script = "(trap '' TERM; exec sleep 600) & exec \"$@\"";
    let (report, exit) = audited(folder.path(), script, &["--stop", "term"]);
    is_clean(&report, exit, 1);
    let timeline = report["cases"][0]["timeline"].to_string();
    assert!(timeline.contains("did not end within 10s"), "{timeline}");
}

/// An upgrade of chatctl during a run, or a build: the one that runs is still the one that helps.
#[test]
fn a_program_that_was_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("chatctl");
    fs::copy(env!("CARGO_BIN_EXE_chatctl"), &program).unwrap();
    let script = format!("rm -f {}; exec \"$@\"", program.display());
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let (report, exit) = report(
        Command::new(&program)
            .args(["audit", "restart", &session(folder.path())])
            .args(["--database-url", &url, "--rounds", "1", "--stop", "kill"])
            .args(["--start", &wrapped(folder.path(), &script, &demo_server())]),
    );
    assert!(!program.exists());
    is_clean(&report, exit, 1);
}

/// Start-up code that moves messages to another table: a reload shows them all, so nobody calls them lost. And
/// nobody knows, so it is no pass.
#[test]
fn messages_that_are_moved_are_not_called_lost() {
    let arguments = ["--rounds", "1", "--stop", "term"];
    let (report, exit) = small::audit(&["--archive"], &arguments);
    assert_eq!((errors(&report), exit), (vec![], 3), "{report:#}");
    let reason = case(&report, "/term")["reason"].to_string();
    assert!(reason.contains("a reload shows all of them"), "{reason}");
}
