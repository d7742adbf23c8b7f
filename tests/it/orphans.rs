//! SQLite: rows that have referred to none for long keep no migration from running, and a row that is left so
//! by a file does.

use crate::common::{chatctl, errors, report};
use rusqlite::Connection;
use serde_json::Value;
use std::fs;

/// UUIDs as keys, a deleted message before others, and ten messages of a chat that is gone.
const BEGIN: &str = "PRAGMA foreign_keys = OFF;
CREATE TABLE chats (id TEXT PRIMARY KEY, title TEXT);
CREATE TABLE messages (id TEXT PRIMARY KEY, chat_id TEXT REFERENCES chats (id) ON DELETE CASCADE, body TEXT);
CREATE TABLE tags (message_id TEXT REFERENCES messages, name TEXT, PRIMARY KEY (message_id, name)) WITHOUT ROWID;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 10) INSERT INTO chats SELECT 'c' || i, 'chat' FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
    INSERT INTO messages SELECT 'm' || i, 'c' || (i % 10 + 1), 'text ' || i FROM n;
INSERT INTO tags VALUES ('m1', 'a'), ('m0', 'a');
DELETE FROM chats WHERE id = 'c9';
DELETE FROM messages WHERE id = 'm3';";

/// SQLite's own twelve steps, with what is done to the rows on the way.
fn rebuild(chat: &str) -> String {
    format!(
        "PRAGMA foreign_keys = OFF;
         CREATE TABLE new (id TEXT PRIMARY KEY, chat_id TEXT REFERENCES chats (id) ON DELETE CASCADE, body TEXT NOT NULL);
         INSERT INTO new SELECT id, {chat}, body FROM messages;
         DROP TABLE messages;
         ALTER TABLE new RENAME TO messages;
         PRAGMA foreign_keys = ON;"
    )
}

/// `migrate up` of a file, and how many messages there are behind it in the table of that name.
fn up(file: &str, table: &str) -> (Value, i32, i64) {
    let place = tempfile::tempdir().unwrap();
    let (store, folder) = (place.path().join("chat.db"), place.path().join("m"));
    Connection::open(&store)
        .unwrap()
        .execute_batch(BEGIN)
        .unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("1_change.sql"), file).unwrap();
    let url = format!("sqlite:{}", store.display());
    let mut command = chatctl();
    command.args(["migrate", "up", "--database-url", &url, "--dir"]);
    let (report, exit) = report(command.arg(&folder).current_dir(place.path()));
    let count = format!("SELECT count(*) FROM {table}");
    let database = Connection::open(&store).unwrap();
    let rows = database.query_row(&count, [], |row| row.get(0)).unwrap();
    (report, exit, rows)
}

#[test]
fn orphans_of_long_ago_keep_no_file_from_running() {
    let mut files = vec![
        (rebuild("chat_id"), "messages"),
        (
            "ALTER TABLE messages RENAME TO posts;".to_owned(),
            "posts",
        ),
        (
            "ALTER TABLE chats RENAME TO conversations; ALTER TABLE messages RENAME COLUMN chat_id TO conversation_id;".to_owned(),
            "messages",
        ),
    ];
    // The engine numbers the keys again.
    files.push((
        "CREATE TABLE new (message_id TEXT REFERENCES messages, name TEXT, chat_id TEXT REFERENCES chats, PRIMARY KEY (message_id, name)) WITHOUT ROWID;
         INSERT INTO new SELECT message_id, name, NULL FROM tags; DROP TABLE tags; ALTER TABLE new RENAME TO tags;"
            .to_owned(),
        "messages",
    ));
    for (file, table) in files {
        let (report, exit, rows) = up(&file, table);
        assert_eq!(
            (exit, report["verdict"].as_str().unwrap(), rows),
            (0, "proven", 99),
            "{file}: {report:#}"
        );
    }
}

#[test]
fn a_row_that_a_file_leaves_without_its_parent_is_found_among_them() {
    let one_more = "-- chatctl: allow-loss messages.chat_id rows<=1 reason=\"it moved\"\n";
    for file in [
        format!(
            "{one_more}{}",
            rebuild("CASE id WHEN 'm1' THEN 'c9' ELSE chat_id END")
        ),
        format!(
            "{one_more}{}",
            rebuild("CASE id WHEN 'm1' THEN 'c0' ELSE chat_id END")
        ),
        format!(
            "{one_more}UPDATE messages SET chat_id = 'c0' WHERE id = 'm1'; ALTER TABLE messages RENAME TO posts;"
        ),
    ] {
        let (report, exit, rows) = up(&file, "messages");
        assert_eq!((exit, rows), (1, 99), "{file}: {report:#}");
        assert!(
            errors(&report).contains(&"migration-failed"),
            "{file}: {report:#}"
        );
    }
}
