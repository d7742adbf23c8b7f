//! Each way to lose chats over a restart is named, and a server that loses none is not.

mod at_the_marker;
mod backends;
mod in_a_turn;
mod in_the_store;
mod not_its_fault;
mod own_command;
mod reload;
mod shown;

use crate::common::{Chat, case, chatctl, errors, python, report, root};
use crate::tools;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::Value;
use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

/// A session of two turns with a history, next to the chat's store.
fn session(folder: &Path) -> String {
    let hello = root().join("fixtures/sessions/shipped/plain.toml");
    let text = fs::read_to_string(hello).unwrap();
    let (head, history) = text.split_once("[history]").unwrap();
    let second =
        "[[turn]]\nuser = \"Mark it as done\"\nanswer = \"Done: 'Buy milk'.\"\n\n[history]";
    let path = folder.join("two-turns.toml");
    fs::write(&path, format!("{head}{second}{history}")).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A session of one turn in which the model calls two tools, by eight chunks, and then answers.
fn with_steps(folder: &Path) -> String {
    fs::write(folder.join("calls.sse"), tools::calls()).unwrap();
    let path = folder.join("tools.toml");
    let text = r#"
profile = "plain"

[[setup]]
request = "POST /conversations"
json = { title = "a turn" }
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "Add a task to buy milk"
steps = ["calls.sse"]
answer = "Task 'Buy milk' has been added to your list."

[history]
request = "GET /conversations/{conversation_id}/messages"
"#;
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The same of a user who logs in first.
fn session_with_login(folder: &Path) -> String {
    let path = session(folder);
    let text = fs::read_to_string(&path).unwrap();
    let login = "[login]\nrequest = \"POST /login\"\njson = { email = \"a@example.org\" }\nbearer = \"$.access_token\"\n";
    let (head, rest) = text.split_once("[[setup]]").unwrap();
    fs::write(&path, format!("{head}{login}\n[[setup]]{rest}")).unwrap();
    path
}

/// The command of the demo's server, which starts at once.
fn demo_server() -> String {
    format!(
        "{} demo-server --db {{database_path}} --port {{port}} --gateway {{gateway_url}}",
        env!("CARGO_BIN_EXE_chatctl")
    )
}

/// A script that is given the server's command; in it, `again` is 1 from the second start on.
fn wrapped(folder: &Path, script: &str, start: &str) -> String {
    let file = folder.join("start.sh");
    let text = format!(
        "again=0; if [ -e '{0}' ]; then again=1; fi; touch '{0}'\n{script}\n",
        folder.join("started").display()
    );
    fs::write(&file, text).unwrap();
    format!("sh {} {start}", file.display())
}

/// `chatctl audit restart` of a chat server on SQLite; more arguments may follow.
fn audit(chat: &Chat) -> Command {
    let mut command = chatctl();
    command
        .args(["audit", "restart", &session(chat.folder.path())])
        .args([
            "--database-url",
            &format!("sqlite:{}", chat.database().display()),
            "--ready",
            "/health",
            "--start",
            &chat.start(),
        ]);
    command
}

fn audited(chat: &Chat, arguments: &[&str]) -> (Value, i32) {
    report(audit(chat).args(arguments))
}

/// Nothing is wrong: no error, and every case is held.
fn is_clean(report: &Value, exit: i32, cases: usize) {
    assert!(errors(report).is_empty(), "{report:#}");
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("held", 0),
        "{report:#}"
    );
    assert_eq!(
        report["cases"].as_array().unwrap().len(),
        cases,
        "{report:#}"
    );
}

/// The server in this mode is violated, and this code is among its errors.
fn fires(mode: &'static str, stop: &str, code: &str) -> Value {
    let chat = Chat::new(mode);
    let (report, exit) = audited(
        &chat,
        &["--stop", stop, "--rounds", "2", "--settle", "500ms"],
    );
    assert!(
        errors(&report).contains(&code),
        "{mode}: no {code} in {report:#}"
    );
    assert_eq!(
        (report["verdict"].as_str().unwrap(), exit),
        ("violated", 1),
        "{report:#}"
    );
    report
}

/// The server that is right loses nothing, however often it is killed. The demo's server, which
/// starts at once: twenty starts of Python are another test's patience.
#[test]
fn the_good_server_is_clean_over_twenty_kills() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let (report, exit) = report(
        chatctl()
            .args(["audit", "restart", &session(folder.path())])
            .args(["--database-url", &url, "--start", &demo_server()])
            .args(["--stop", "kill", "--rounds", "20"]),
    );
    is_clean(&report, exit, 20);
    // Conversations of the rounds before are asked for again.
    let last = &case(&report, "/round-20/kill")["metrics"];
    assert_eq!(last["conversations"], 20.0);
    assert_eq!(last["messages"], 2.0 * (19.0 * 3.0 + 2.0));
}

#[test]
fn the_good_server_is_clean_in_every_way() {
    for (stack, auth, rounds) in [("sync", "none", "1"), ("async", "bearer", "2")] {
        let chat = Chat::new("correct").stack(stack).set("AUTH", auth);
        let path = match auth {
            "none" => session(chat.folder.path()),
            _ => session_with_login(chat.folder.path()),
        };
        let mut command = chatctl();
        command
            .args([
                "audit", "restart", &path, "--ready", "/health", "--rounds", rounds,
            ])
            .args([
                "--stop",
                "term,kill,kill-in-stream,term-in-stream",
                "--database-url",
                &format!("sqlite:{}", chat.database().display()),
                "--start",
                &chat.start(),
            ]);
        let (report, exit) = report(&mut command);
        is_clean(&report, exit, 4 * rounds.parse::<usize>().unwrap());
        let timeline = case(&report, "/round-1/term-in-stream")["timeline"].to_string();
        assert!(timeline.contains("came to its final marker"), "{timeline}");
    }
}

/// The incident: all tables are dropped at every start.
#[test]
fn a_hard_reset() {
    for stop in ["term", "kill"] {
        let report = fires("hard_reset", stop, "conversation-not-found");
        assert!(errors(&report).contains(&"startup-ddl"), "{report:#}");
    }
}

#[test]
fn chats_in_memory() {
    let report = fires("in_memory", "term", "conversation-not-found");
    assert!(errors(&report).contains(&"store-not-durable"), "{report:#}");
}

/// The table that the user names is there, and the server never writes to it.
#[test]
fn a_declared_table_that_stays_empty() {
    let chat = Chat::new("in_memory");
    let make = "import sqlite3, sys; sqlite3.connect(sys.argv[1]).execute('CREATE TABLE message \
        (id INTEGER PRIMARY KEY, conversation_id TEXT, role TEXT, content TEXT)')";
    let mut python = Command::new(python());
    python.args(["-c", make]).arg(chat.database());
    assert!(python.status().unwrap().success());
    let config = chat.folder.path().join("chatctl.toml");
    let text = "[[store]]\n[store.message]\ntable = \"message\"\nconversation = [\"conversation_id\"]\n\
        role = \"role\"\ncontent = \"content\"\norder = [\"id\"]\n";
    fs::write(&config, text).unwrap();
    let arguments = ["--config", config.to_str().unwrap(), "--stop", "term"];
    let (report, exit) = audited(&chat, &[&arguments[..], &["--rounds", "1"]].concat());
    let named = ["conversation-not-found", "store-not-durable"];
    assert_eq!(
        (errors(&report).as_slice(), exit),
        (&named[..], 1),
        "{report:#}"
    );
}

#[test]
fn a_new_file_at_each_start() {
    fires("ephemeral_path", "term", "conversation-not-found");
}

#[test]
fn models_that_nobody_imported() {
    fires("missing_models", "term", "models-not-imported");
}

/// What is reported before it is stored dies with the process, and only then.
#[test]
fn answers_that_are_sent_before_they_are_stored() {
    for stop in ["kill", "kill-at-final"] {
        fires("acknowledge_then_flush", stop, "message-lost-on-kill");
    }
    // In one turn at a time: of two, the second question is stored before the first answer.
    // A shell that runs the server ends at once, and the server still has its time.
    let chat = Chat::new("acknowledge_then_flush");
    let start = wrapped(chat.folder.path(), "\"$@\"", &chat.start());
    let mut command = chatctl();
    let url = format!("sqlite:{}", chat.database().display());
    command
        .args(["audit", "restart", "--ready", "/health", "--rounds", "2"])
        .args(["--stop", "term", "--database-url", &url, "--start", &start]);
    let (report, exit) = report(&mut command);
    is_clean(&report, exit, 2);
}

#[test]
fn answers_that_are_never_stored() {
    let report = fires("never_saves", "term", "message-lost-on-restart");
    assert_eq!(errors(&report).len(), 1, "{report:#}");
    let harm = report["findings"][0]["harm"].as_str().unwrap();
    assert!(harm.ends_with(", in 2 of 2 rounds"), "{harm}");
    assert!(harm.contains("was in no row before"), "{harm}");
}

#[test]
fn context_and_history() {
    fires("forgets_context", "term", "context-lost");
    fires("history_reversed", "term", "history-differs");
}

/// A server that starts once and never again.
#[test]
fn a_server_that_does_not_come_back() {
    let chat = Chat::new("correct");
    let script = "if [ $again = 1 ]; then echo 'already running'; exit 1; fi; exec \"$@\"";
    let start = wrapped(chat.folder.path(), script, &chat.start());
    let mut command = chatctl();
    command
        .args(["audit", "restart", "--ready", "/health", "--stop", "kill"])
        .args([
            "--database-url",
            &format!("sqlite:{}", chat.database().display()),
            "--start",
            &start,
        ]);
    let (report, exit) = report(&mut command);
    assert_eq!(errors(&report), ["server-did-not-start"], "{report:#}");
    assert_eq!((report["verdict"].as_str().unwrap(), exit), ("violated", 1));
    assert!(
        report["findings"].to_string().contains("already running"),
        "{report:#}"
    );
}

/// The server is ready when another address says so, at its start and after each stop.
#[test]
fn ready_where_another_address_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/ready", listener.local_addr().unwrap());
    let asked = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&asked);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let mut connection = connection.unwrap();
            let number = counted.fetch_add(1, Ordering::Relaxed);
            let status = if number < 3 { "503 Not Yet" } else { "200 OK" };
            let mut asked = [0; 1024];
            let _ = connection.read(&mut asked);
            let _ = write!(
                connection,
                "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            );
        }
    });
    let folder = tempfile::tempdir().unwrap();
    let database = format!("sqlite:{}", folder.path().join("chat.db").display());
    let (report, exit) = report(
        chatctl()
            .args([
                "audit",
                "restart",
                "--ready",
                &url,
                "--database-url",
                &database,
            ])
            .args(["--start", &demo_server(), "--stop", "kill", "--rounds", "1"]),
    );
    is_clean(&report, exit, 1);
    assert!(asked.load(Ordering::Relaxed) >= 5);
}

/// Whether a process has this file in its command.
fn runs(file: &Path) -> bool {
    let listed = Command::new("pgrep").arg("-f").arg(file).output();
    listed.unwrap().status.success()
}

/// Signals a process.
fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(id, signal).unwrap();
}

/// Waits for something that must come.
fn until(holds: impl Fn() -> bool, otherwise: &str) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !holds() {
        assert!(Instant::now() < deadline, "{otherwise}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Ctrl-C ends what was started: the server, and whatever it started.
#[test]
fn an_interrupt_leaves_nothing_running() {
    for told in [Signal::SIGINT, Signal::SIGTERM] {
        let chat = Chat::new("correct");
        let mut child = audit(&chat)
            .args(["--rounds", "1000", "--stop", "kill"])
            .stderr(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let is_made = || fs::metadata(chat.database()).is_ok_and(|file| file.len() > 0);
        until(is_made, "no server was started");
        assert!(runs(&chat.database()));
        signal(&child, told);
        assert_eq!(child.wait().unwrap().code(), Some(130));
        until(|| !runs(&chat.database()), "a server is left");
    }
}

/// Arguments that do not fit together are reported with what to do.
#[test]
fn what_can_not_be_asked_for() {
    for (arguments, words) in [
        (&["--start", "x", "--", "y"][..], "exclude each other"),
        (&[], "nothing to restart"),
        (
            &[
                "--stop",
                "kill",
                "--server",
                "http://127.0.0.1:1",
                "--",
                "y",
            ],
            "`--stop` needs a server",
        ),
        (&["--", "y"], "no server to test"),
        (&["--start", "x", "--stop", "reload"], "needs a source file"),
    ] {
        let output = chatctl()
            .args(["audit", "restart"])
            .args(["--database-url", "sqlite:x.db"])
            .args(arguments)
            .output()
            .unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert!(told.contains(words) && told.contains("hint:"), "{told}");
        assert_eq!(output.status.code(), Some(2), "{told}");
    }
}
