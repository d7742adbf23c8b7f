//! A store of SQLite without a write-ahead log, which a server writes while it is read.

use super::chatctl;
use rusqlite::Connection;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

const CHATS: &str = "
    CREATE TABLE conversation (id INTEGER PRIMARY KEY, title TEXT, updated_at TEXT);
    CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id INTEGER NOT NULL REFERENCES conversation(id),
        role TEXT NOT NULL, content TEXT NOT NULL, created_at TEXT NOT NULL);
    CREATE INDEX by_conversation ON message (conversation_id);
    WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)
        INSERT INTO conversation SELECT i, 'chat ' || i, '2026-01-02 03:04:05' FROM n;
    WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 199999)
        INSERT INTO message SELECT i + 1, i / 10 + 1, CASE i % 2 WHEN 0 THEN 'user' ELSE 'assistant' END,
            'a text of an ordinary length, as people and models write it, number ' || i, '2026-01-02 03:04:05' FROM n;
";

/// How long a server waits for its turn to write.
const PATIENCE: Duration = Duration::from_secs(2);

/// A store, and a server that writes to it twenty times a second.
fn while_a_server_writes(read: impl FnOnce(&str)) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let app = Connection::open(&path).unwrap();
    app.execute_batch(&format!("PRAGMA synchronous = OFF; {CHATS}"))
        .unwrap();
    drop(app);
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writing = scope.spawn(|| write(&path, &done));
        // Also when an assertion fails.
        let end = End(&done);
        read(&format!("sqlite:{}", path.display()));
        drop(end);
        assert!(writing.join().unwrap() > 0);
    });
}

struct End<'d>(&'d AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// How many messages were written; each one that can't be is lost.
fn write(path: &Path, done: &AtomicBool) -> u32 {
    let app = Connection::open(path).unwrap();
    app.busy_timeout(PATIENCE).unwrap();
    let mut written = 0;
    while !done.load(Ordering::Relaxed) {
        let sql = "INSERT INTO message (conversation_id, role, content, created_at)
            VALUES (1, 'user', 'and then?', '2026-01-02 03:04:05')";
        app.execute(sql, []).unwrap();
        written += 1;
        std::thread::sleep(Duration::from_millis(50));
    }
    written
}

fn run(url: &str, arguments: &[&str]) -> Option<i32> {
    let mut command: Command = chatctl();
    command.env(
        "CHATCTL_TEST_KEY",
        "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
    );
    command.args(["--database-url", url]).args(arguments);
    let output = command.output().unwrap();
    output.status.code()
}

#[test]
fn a_query_that_takes_long_keeps_no_server_waiting() {
    while_a_server_writes(|url| {
        // It takes longer than the server would wait.
        let slow = "SELECT count(*) FROM message a, message b WHERE a.content < b.content";
        let code = run(url, &["inspect", "sql", slow, "--timeout", "6s"]);
        assert_eq!(code, Some(3), "it takes too long");
        let code = run(url, &["inspect", "sql", "SELECT count(*) FROM message"]);
        assert_eq!(code, Some(0));
    });
}

#[test]
fn a_look_at_all_chats_keeps_no_server_waiting() {
    while_a_server_writes(|url| {
        // The last one asks.
        assert_eq!(run(url, &["audit", "check", "--grace", "0s"]), Some(0));
        for looks in [
            &["inspect", "conversations"][..],
            &["inspect", "search", "nowhere"],
        ] {
            assert_eq!(run(url, looks), Some(0), "{looks:?}");
        }
    });
}

#[test]
fn a_copy_is_made_however_much_is_written() {
    while_a_server_writes(|url| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.cas");
        let code = run(
            url,
            &[
                "audit",
                "snapshot",
                "-o",
                file.to_str().unwrap(),
                "--key",
                "env:CHATCTL_TEST_KEY",
                "--max-time",
                "60s",
            ],
        );
        assert_eq!(code, Some(0));
    });
}
