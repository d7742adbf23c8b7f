//! A server that is slow, one whose port is taken, one that does not end, and a chatctl that was
//! put in another's place: none of it is a loss.

use crate::common::{case, chatctl, errors, python, report, small};
use crate::restart::{demo_server, is_clean, session, wrapped};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

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

/// A wrapper that detaches the server and ends: it is the server all the same, and nothing of it is left.
#[test]
fn a_server_in_a_session_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let script = "setsid \"$@\" & exit 0";
    let (report, exit) = audited(folder.path(), script, &["--stop", "kill,term"]);
    is_clean(&report, exit, 2);
    let store = folder.path().display().to_string();
    let left = fs::read_dir("/proc").unwrap().flatten().filter(|process| {
        let command = fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&command).contains(&store)
    });
    assert_eq!(left.count(), 0);
}

/// Another process takes the port between the stop and the start.
#[test]
fn a_port_that_is_taken() {
    let folder = tempfile::tempdir().unwrap();
    let [pid, port] = ["stranger", "port"].map(|name| folder.path().join(name));
    let listen = "import http.server, os, signal, sys\n\
        signal.alarm(120)\n\
        server = http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), http.server.BaseHTTPRequestHandler)\n\
        open(sys.argv[2], 'w').write(str(os.getpid()))\n\
        server.serve_forever()\n";
    // The sixth word of the demo server's command is its port. Nothing that the script starts is a stranger.
    let script = format!(
        "if [ $again = 1 ]; then echo $6 > {port}.new; mv {port}.new {port}; while [ ! -s {pid} ]; do sleep 0.02; done; fi; exec \"$@\"",
        port = port.display(),
        pid = pid.display()
    );
    let audit = std::thread::spawn({
        let folder = folder.path().to_owned();
        move || audited(&folder, &script, &["--stop", "kill"])
    });
    while !port.exists() && !audit.is_finished() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let number = fs::read_to_string(&port).unwrap();
    let mut stranger = Command::new(python())
        .args(["-c", listen, number.trim()])
        .arg(&pid)
        .spawn()
        .unwrap();
    let (report, exit) = audit.join().unwrap();
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    is_undecided(
        &report,
        exit,
        &format!("process {} (python3", stranger.id()),
    );
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
