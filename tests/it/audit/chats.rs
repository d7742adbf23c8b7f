//! The same chats in a store of any backend, and the program that looks at them.

use crate::common::chatctl;
use crate::common::servers::run_sql;
use crate::common::stores::Store;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A secret of the tests.
pub(crate) const KEY: &str = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f";

/// How the store is read; times are of columns that each backend has another type for.
pub(crate) const MAPPING: &str = r#"[[store]]
shape = "row"
[store.conversation]
table = "conversation"
title = "title"
[store.message]
table = "message"
conversation = ["conversation_id"]
role = "role"
content = "parts::$"
time = "created_at"
append = "id"
open = "{status} = 'streaming'"
deleted = "{status} = 'deleted'"
"#;

/// The tables, in the backend's own types.
pub(crate) fn tables(url: &str) -> &'static str {
    match url.split_once(':').unwrap().0 {
        "sqlite" => {
            "CREATE TABLE conversation (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT);
             CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation_id INTEGER NOT NULL, role TEXT NOT NULL,
                parts TEXT, status TEXT NOT NULL DEFAULT 'done', created_at TEXT, note TEXT)"
        }
        "postgres" => {
            "CREATE TABLE conversation (id bigserial PRIMARY KEY, title text);
             CREATE TABLE message (id bigserial PRIMARY KEY, conversation_id bigint NOT NULL, role text NOT NULL,
                parts jsonb, status text NOT NULL DEFAULT 'done', created_at timestamptz, note text)"
        }
        _ => {
            "CREATE TABLE conversation (id BIGINT AUTO_INCREMENT PRIMARY KEY, title VARCHAR(200));
             CREATE TABLE message (id BIGINT AUTO_INCREMENT PRIMARY KEY, conversation_id BIGINT NOT NULL, role VARCHAR(20) NOT NULL,
                parts JSON, status VARCHAR(20) NOT NULL DEFAULT 'done', created_at DATETIME(6), note VARCHAR(200))"
        }
    }
}

/// How many conversations there are.
pub(crate) const CONVERSATIONS: u32 = 8;
/// How many messages there are; their keys are the even numbers from 2 on.
pub(crate) const MESSAGES: u32 = 48;

/// The rows. Every message is of another moment; tool calls have keys that `jsonb` puts in another
/// order.
pub(crate) fn rows(url: &str) -> String {
    let conversations: Vec<_> = (1..=CONVERSATIONS)
        .map(|id| format!("({id}, 'PLANTED title {id}')"))
        .collect();
    let messages: Vec<_> = (1..=MESSAGES).map(|number| message(url, number)).collect();
    format!(
        "INSERT INTO conversation (id, title) VALUES {};
         INSERT INTO message (id, conversation_id, role, parts, created_at) VALUES {}",
        conversations.join(", "),
        messages.join(", ")
    )
}

/// The values of a message.
fn message(url: &str, number: u32) -> String {
    let role = match (number - 1) / CONVERSATIONS % 2 {
        0 => "user",
        _ => "assistant",
    };
    let tool = r#"{"type": "tool-look", "toolCallId": "t", "input": {"zeta": 1, "a": [1.5, null]}, "output": {"b": 1, "aa": "x"}}"#;
    let tool = match number % 5 {
        0 => format!("{tool}, "),
        _ => String::new(),
    };
    format!(
        r#"({}, {}, '{role}', '[{tool}{{"type": "text", "text": "PLANTED text {number} é"}}]', {})"#,
        2 * number,
        (number - 1) % CONVERSATIONS + 1,
        time(
            url,
            &format!("2026-01-01 10:{number:02}:00.{:06}", 1_234 * number)
        )
    )
}

/// A time in UTC as the backend's column takes it.
pub(crate) fn time(url: &str, text: &str) -> String {
    if url.starts_with("postgres") {
        format!("'{text}+00'")
    } else {
        format!("'{text}'")
    }
}

/// This moment as the column takes it.
pub(crate) fn now(url: &str) -> &'static str {
    match url.split_once(':').unwrap().0 {
        "sqlite" => "strftime('%Y-%m-%d %H:%M:%f', 'now')",
        "postgres" => "now()",
        _ => "utc_timestamp(6)",
    }
}

/// A text as the content of a message.
pub(crate) fn text(text: &str) -> String {
    format!(r#"'[{{"type": "text", "text": "{text}"}}]'"#)
}

/// Runs statements as the application would.
pub(crate) fn sql(url: &str, sql: &str) {
    match url.strip_prefix("sqlite:") {
        Some(path) => {
            let app = rusqlite::Connection::open(path).unwrap();
            app.busy_timeout(Duration::from_secs(10)).unwrap();
            // The disk would take most of the time, and no test pulls the plug.
            app.pragma_update(None, "synchronous", "off").unwrap();
            app.execute_batch(sql)
                .unwrap_or_else(|error| panic!("{error}: {sql}"));
        }
        None => run_sql(url, sql),
    }
}

/// Puts every row back.
pub(crate) fn again(url: &str) {
    let rows = rows(url);
    sql(
        url,
        &format!("DELETE FROM message; DELETE FROM conversation; {rows}"),
    );
}

/// A store with chats in it, and a folder for the configuration and snapshots.
pub(crate) struct Chats {
    pub(crate) url: String,
    folder: tempfile::TempDir,
}

impl Chats {
    /// Fills the store.
    pub(crate) fn in_store(store: &Store) -> Self {
        Self::at(store.url())
    }

    /// Fills the database.
    pub(crate) fn at(url: String) -> Self {
        let chats = Self::looking_at(url);
        chats.sql(tables(&chats.url));
        chats.sql(&rows(&chats.url));
        if chats.url.starts_with("postgres") {
            // The others count on by themselves.
            let next = format!("setval('message_id_seq', {})", 2 * MESSAGES);
            chats.sql(&format!(
                "SELECT {next}, setval('conversation_id_seq', {CONVERSATIONS})"
            ));
        }
        chats
    }

    /// A database that is filled otherwise.
    pub(crate) fn looking_at(url: String) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("chatctl.toml"), MAPPING).unwrap();
        Self { url, folder }
    }

    pub(crate) fn sql(&self, text: &str) {
        sql(&self.url, text);
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Reads the store otherwise from now on.
    pub(crate) fn map(&self, mapping: &str) {
        fs::write(self.file("chatctl.toml"), mapping).unwrap();
    }

    /// `chatctl audit …` of the store.
    pub(crate) fn audit(&self, arguments: &[&str]) -> Command {
        let mut command = chatctl();
        command
            .arg("audit")
            .args(arguments)
            .args(["--database-url", &self.url])
            .arg("--config")
            .arg(self.file("chatctl.toml"))
            .current_dir(self.folder.path())
            .env("AUDIT_KEY", KEY);
        if arguments[0] != "arm" {
            command.args(["--key", "env:AUDIT_KEY"]);
        }
        command
    }

    /// Takes a snapshot.
    pub(crate) fn snapshot(&self, name: &str) {
        self.snapshot_with(name, &[]);
    }

    /// Takes a snapshot with more arguments, and gives the report.
    pub(crate) fn snapshot_with(&self, name: &str, arguments: &[&str]) -> Value {
        let mut all = vec!["snapshot", "--overwrite", "--output", name];
        all.extend(arguments);
        let (report, code) = crate::common::report(&mut self.audit(&all));
        assert_eq!(code, 0, "{report:#}");
        report
    }

    /// Compares the store with a snapshot: the report and the exit code.
    pub(crate) fn compare(&self, arguments: &[&str]) -> (Value, i32) {
        let mut all = vec!["compare"];
        all.extend(arguments);
        crate::common::report(&mut self.audit(&all))
    }

    /// Arms the tables.
    pub(crate) fn arm(&self, arguments: &[&str]) -> Value {
        let mut all = vec!["arm"];
        all.extend(arguments);
        let (report, code) = crate::common::report(&mut self.audit(&all));
        assert_eq!(code, 0, "{report:#}");
        report
    }
}

/// The findings of a report in one line: `E message-lost, W table-recreated`, each once, sorted.
pub(crate) fn told(report: &Value) -> String {
    let mut told: Vec<_> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| {
            let severity = finding["severity"].as_str().unwrap().to_uppercase();
            format!("{} {}", &severity[..1], finding["code"].as_str().unwrap())
        })
        .collect();
    told.sort();
    told.dedup();
    told.join(", ")
}

/// A number that a report's only case tells.
pub(crate) fn figure(report: &Value, name: &str) -> u64 {
    let figure = &report["cases"][0]["metrics"][name];
    figure
        .as_f64()
        .unwrap_or_else(|| panic!("no {name} in {report:#}")) as u64
}
