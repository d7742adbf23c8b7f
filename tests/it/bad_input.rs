//! Bad input gets one clear error with the next step, the right exit code, and leaves no process.

use crate::common::{Chat, chatctl, text};
use std::fs;
use std::net::TcpListener;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Runs it: the exit code, and an error that says all of these.
#[track_caller]
fn fails(command: &mut Command, exit: i32, says: &[&str]) {
    let output = command.output().unwrap();
    let (out, err) = text(&output);
    assert_eq!(
        output.status.code(),
        Some(exit),
        "stdout: {out}\nstderr: {err}"
    );
    assert_eq!(out, "", "an error leaves stdout alone");
    let told = err
        .lines()
        .filter(|line| line.starts_with("error: "))
        .count();
    assert_eq!(told, 1, "one error: {err}");
    assert!(!err.contains("panicked"), "{err}");
    for part in says {
        assert!(err.contains(part), "no `{part}` in: {err}");
    }
}

fn session(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A session that is right but for what the test changes.
const SESSION: &str = r#"
[[setup]]
request = "POST /conversations"
capture = { conversation_id = "$.id" }

[request]
request = "POST /chat"
json = { conversation_id = "{conversation_id}", message = "{user}" }

[[turn]]
user = "hello"
answer = "Hello there."
"#;

/// No process of this test's servers is left, or only one that is about to end: each has the folder in its
/// command.
fn nothing_runs(folder: &Path) {
    let folder = folder.to_str().unwrap().as_bytes();
    let left = || {
        let entries = fs::read_dir("/proc").unwrap().flatten();
        let mut commands = entries.filter_map(|entry| fs::read(entry.path().join("cmdline")).ok());
        commands.find(|command| command.windows(folder.len()).any(|window| window == folder))
    };
    let ended = (0..500).any(|_| {
        let ended = left().is_none();
        if !ended {
            std::thread::sleep(Duration::from_millis(10));
        }
        ended
    });
    let left = left().unwrap_or_default();
    assert!(
        ended,
        "left running: {}",
        String::from_utf8_lossy(&left).replace('\0', " ")
    );
}

#[test]
fn an_unreachable_server() {
    let folder = tempfile::tempdir().unwrap();
    let db = folder.path().join("chat.db");
    fs::write(&db, b"").unwrap();
    let url = format!("sqlite:{}", db.display());
    let closed = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap();
    fails(
        chatctl()
            .args([
                "verify-stream",
                "--gateway",
                "127.0.0.1:0",
                "--database-url",
                &url,
            ])
            .args(["--server", &format!("http://{closed}")]),
        3,
        &["no connection to", "hint: start the server"],
    );
}

#[test]
fn a_server_that_speaks_no_tls() {
    let folder = tempfile::tempdir().unwrap();
    // A plain HTTP listener that answers, asked over TLS.
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming().take(4).flatten() {
            use std::io::Write as _;
            let _ = (&stream).write_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n");
        }
    });
    let db = folder.path().join("empty.db");
    fs::write(&db, b"").unwrap();
    fails(
        chatctl()
            .args([
                "verify-stream",
                "--gateway",
                "127.0.0.1:0",
                "--database-url",
                &format!("sqlite:{}", db.display()),
            ])
            .args(["--server", &format!("https://{address}")]),
        3,
        &["http or https?"],
    );
}

#[test]
fn a_wrong_path() {
    let chat = Chat::new("correct");
    let file = session(
        chat.folder.path(),
        "s.toml",
        &SESSION.replace("POST /chat", "POST /chatt"),
    );
    fails(
        chat.verify().arg(&file),
        3,
        &[
            "`POST /chatt` was answered 404",
            "hint: check the path and method in [request]",
        ],
    );
    nothing_runs(chat.folder.path());
}

#[test]
fn a_server_that_answers_500() {
    let chat = Chat::new("status_500");
    fails(&mut chat.verify(), 3, &["was answered 500", "hint: "]);
    nothing_runs(chat.folder.path());
}

/// It accepts the turn and never says a word: the wait has an end.
#[test]
fn a_server_that_never_answers() {
    let chat = Chat::new("mute");
    fails(
        chat.verify().args(["--response-timeout", "500ms"]),
        3,
        &[
            "the response of the first turn did not end within 2s",
            "never called the gateway",
            "--response-timeout",
        ],
    );
    nothing_runs(chat.folder.path());
}

/// Neither a password in a URL nor a token in an answer is shown when something goes wrong.
#[test]
fn secrets_are_not_shown() {
    let chat = Chat::new("correct").set("AUTH", "bearer");
    let login = "[login]\nrequest = \"POST /login\"\njson = { email = \"a@example.org\" }\nbearer = \"$.token\"\n";
    let file = session(chat.folder.path(), "s.toml", &format!("{login}{SESSION}"));
    let output = chat.verify().arg(&file).output().unwrap();
    let (_, err) = text(&output);
    assert_eq!(output.status.code(), Some(3));
    assert!(
        err.contains("an object with `access_token`, `token_type`"),
        "{err}"
    );
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("chat.db"), b"").unwrap();
    let output = chatctl()
        .args([
            "verify-stream",
            "--gateway",
            "127.0.0.1:0",
            "--server",
            "http://bob:hunter2@127.0.0.1:1",
        ])
        .args([
            "--database-url",
            &format!("sqlite:{}", folder.path().join("chat.db").display()),
        ])
        .output()
        .unwrap();
    let (_, err) = text(&output);
    assert!(
        err.contains("bob:***@") && !err.contains("hunter2"),
        "{err}"
    );
}

#[test]
fn a_table_that_is_not_there() {
    let chat = Chat::new("correct");
    let config = session(
        chat.folder.path(),
        "chatctl.toml",
        "[[store]]\n[store.message]\ntable = \"mesage\"\nrole = \"role\"\ncontent = \"content\"\n",
    );
    fails(
        chat.verify().args(["--config", &config]),
        2,
        &["no table `mesage`", "did you mean `message`?"],
    );
    nothing_runs(chat.folder.path());
}

#[test]
fn a_database_that_must_not_be_written() {
    let chat = Chat::new("correct");
    let url = format!("sqlite:{}?mode=ro", chat.database().display());
    fails(
        chat.verify()
            .args(["--proof", "gate", "--database-url", &url]),
        2,
        &["cannot be used multiple times"],
    );
    let mut command = chatctl();
    command.args([
        "verify-stream",
        "--proof",
        "gate",
        "--gate",
        "raw-locks",
        "--ready",
        "/health",
        "--start",
        &chat.start(),
    ]);
    fails(
        command.args(["--database-url", &url]),
        3,
        &["is read-only", "--proof observe"],
    );
    nothing_runs(chat.folder.path());
}

#[test]
fn a_database_that_the_server_does_not_use() {
    let chat = Chat::new("correct");
    let other = chat.folder.path().join("other.db");
    fs::write(&other, b"").unwrap();
    let start = chat
        .start()
        .replace("{database_path}", chat.database().to_str().unwrap());
    let mut command = chatctl();
    command.args([
        "verify-stream",
        "--settle",
        "300ms",
        "--ready",
        "/health",
        "--start",
        &start,
    ]);
    fails(
        command.args(["--database-url", &format!("sqlite:{}", other.display())]),
        3,
        &[
            "neither its question nor its answer",
            "is this the server's database?",
        ],
    );
    nothing_runs(chat.folder.path());
}

/// A store that is declared and read in the wrong place makes no good server bad: the run stops,
/// names where the texts are, and prints what to write.
#[test]
fn a_store_that_is_declared_wrongly() {
    let chat = Chat::new("correct");
    let right = "table = 'message'\nconversation = ['conversation_id']\nrole = 'role'\n";
    let wrong_table =
        "table = 'conversation'\nconversation = ['id']\nrole = 'title'\ncontent = 'title'\n";
    let wrong_column = format!("{right}content = 'status'\n");
    let wrong_conversation =
        "table = 'message'\nconversation = ['id']\nrole = 'role'\ncontent = 'content'\n";
    let wrong_role = "table = 'message'\nconversation = ['conversation_id']\nrole = 'status'\ncontent = 'content'\n";
    for (declared, part) in [
        (wrong_table, "is in `message.content`"),
        (&wrong_column, "is in `message.content`"),
        (wrong_conversation, "the two sides of one conversation"),
        (wrong_role, "the two sides of one conversation"),
    ] {
        let config = chat.folder.path().join("chatctl.toml");
        fs::write(&config, format!("[[store]]\n[store.message]\n{declared}")).unwrap();
        let arguments = ["--settle", "300ms", "--config", config.to_str().unwrap()];
        fails(
            chat.verify().args(arguments),
            2,
            &[part, "correct it in chatctl.toml", "conversation_id"],
        );
    }
    nothing_runs(chat.folder.path());
}

/// Texts that are stored, and of which no message could be made, are not said to be nowhere.
#[test]
fn a_store_in_which_no_message_can_be_identified() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let mut command = chatctl();
    command.args(["verify-stream", "--settle", "300ms", "--ready", "/health"]);
    command.args(["--database-url", &url]);
    command.args([
        "--start",
        &crate::common::small::start(&["--keep", "transcripts"]),
    ]);
    fails(
        &mut command,
        3,
        &[
            "its answer in `minutes.spoken` and its question in `minutes.spoken`",
            "complete this in chatctl.toml",
            "table = \"minutes\"",
            "content = \"spoken\"",
            "# the columns of minutes: topic, spoken",
        ],
    );
}

#[test]
fn a_missing_or_broken_database() {
    let chat = Chat::new("correct");
    let start = chat
        .start()
        .replace("{database_path}", chat.database().to_str().unwrap());
    let run = |url: &str| {
        let mut command = chatctl();
        command.args([
            "verify-stream",
            "--ready",
            "/health",
            "--start",
            &start,
            "--database-url",
            url,
        ]);
        command
    };
    fails(&mut run("sqlite:/no/such/chat.db"), 3, &["no database at"]);
    fails(&mut run("sqlite::memory:"), 4, &["in-memory database"]);
    fails(
        &mut run("oracle://x"),
        2,
        &["unsupported database scheme `oracle`"],
    );
    let text = chat.folder.path().join("text.db");
    fs::write(
        &text,
        "not a database, but long enough to have a header of its own, surely so",
    )
    .unwrap();
    fails(
        &mut run(&format!("sqlite:{}", text.display())),
        3,
        &["not a database"],
    );
    nothing_runs(chat.folder.path());
}

#[test]
fn sessions_that_are_wrong() {
    let folder = tempfile::tempdir().unwrap();
    let run = |file: &str| {
        let mut command = chatctl();
        command.args([
            "verify-stream",
            "--database-url",
            "sqlite:x.db",
            "--server",
            "http://127.0.0.1:9",
            file,
        ]);
        command
    };
    let empty = session(folder.path(), "empty.toml", "");
    fails(&mut run(&empty), 2, &["empty.toml"]);
    let unknown = session(
        folder.path(),
        "unknown.toml",
        &SESSION.replace("{conversation_id}", "{conversation}"),
    );
    fails(
        &mut run(&unknown),
        2,
        &["unknown.toml:", "{conversation}", "conversation_id"],
    );
    let key = session(
        folder.path(),
        "key.toml",
        &SESSION.replace("answer =", "anwser ="),
    );
    fails(&mut run(&key), 2, &["key.toml:12:1", "anwser", "answer"]);
    fails(&mut run("no-such.toml"), 2, &["no-such.toml"]);
}

#[test]
fn two_sessions_of_one_name() {
    let folder = tempfile::tempdir().unwrap();
    let named = format!("name = \"same\"\n{SESSION}");
    session(folder.path(), "a.toml", &named);
    session(folder.path(), "b.toml", &named);
    let mut command = chatctl();
    command.args([
        "verify-stream",
        "--database-url",
        "sqlite:x.db",
        "--server",
        "http://127.0.0.1:9",
    ]);
    fails(command.arg(folder.path()), 2, &["are both named `same`"]);
}

#[test]
fn a_port_in_use() {
    let chat = Chat::new("correct");
    let taken = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}", taken.local_addr().unwrap());
    fails(
        chat.verify().args(["--server", &url]),
        3,
        &["is in use already", "hint: stop the process"],
    );
    fails(
        chat.verify()
            .args(["--gateway", &taken.local_addr().unwrap().to_string()]),
        3,
        &["the gateway can't listen on"],
    );
    nothing_runs(chat.folder.path());
}

#[test]
fn servers_that_do_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let run = |start: &str| {
        let mut command = chatctl();
        command.args([
            "verify-stream",
            "--database-url",
            &url,
            "--ready-timeout",
            "700ms",
            "--start",
            start,
        ]);
        command
    };
    fails(
        &mut run("sh -c 'echo no module named app; exit 1' {port}"),
        3,
        &["ended before it was ready", "no module named app"],
    );
    fails(
        &mut run("sh -c 'sleep 60' {port}"),
        3,
        &["was not ready within 700ms", "it wrote nothing"],
    );
    fails(
        &mut run("no-such-program-here {port}"),
        3,
        &["could not be started", "no-such-program-here"],
    );
    fails(
        &mut run("sh -c {port} 'unclosed"),
        2,
        &["a quote is not closed"],
    );
}

/// Another process takes the port while the server starts: it is not mistaken for the server.
#[test]
fn a_listener_that_is_not_the_server() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let port = TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let start = format!("sh -c 'touch {}; sleep 30'", started.display());
    let (looked, stop) = (started.clone(), Arc::new(AtomicBool::new(false)));
    let stopped = Arc::clone(&stop);
    let stranger = std::thread::spawn(move || {
        while !looked.exists() && !stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
        while !stopped.load(Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(listener);
    });
    let url = format!("sqlite:{}", folder.path().join("chat.db").display());
    let server = format!("http://127.0.0.1:{port}");
    let says = format!(
        "process {} listens on port {port}, not the server that was started",
        std::process::id()
    );
    fails(
        chatctl().args([
            "verify-stream",
            "--database-url",
            &url,
            "--server",
            &server,
            "--start",
            &start,
        ]),
        3,
        &[&says],
    );
    stop.store(true, Ordering::SeqCst);
    stranger.join().unwrap();
    nothing_runs(folder.path());
}

#[test]
fn nothing_to_verify() {
    fails(
        chatctl().args([
            "verify-stream",
            "--database-url",
            "sqlite:x.db",
            "--gateway",
            "127.0.0.1:0",
        ]),
        2,
        &["no server to test"],
    );
    fails(
        chatctl().args(["verify-stream", "--server", "http://127.0.0.1:9"]),
        2,
        &["no store"],
    );
    fails(
        chatctl().args(["explain", "saved-after-don"]),
        2,
        &["did you mean `chatctl explain saved-after-done`?"],
    );
}
