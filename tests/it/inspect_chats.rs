//! `chatctl inspect`: the chats of a store, whatever its tables are, on each backend.

use crate::common::stores::{Store, execute, on_each_backend, run};
use crate::common::{chatctl, text};
use serde_json::{Value, json};
use std::fs;

on_each_backend! {
    those_that_wait_for_an_answer
    conversations_are_listed_the_latest_first
    a_conversation_is_shown_by_the_beginning_of_its_id
    messages_are_found_by_their_text
    the_printed_mapping_can_be_declared
    what_users_wrote_can_be_hidden
    an_answer_that_only_calls_a_tool_is_not_empty
}

/// Exit code, stdout and stderr of `chatctl inspect`.
fn inspect(store: &Store, arguments: &[&str]) -> (i32, String, String) {
    let mut command = chatctl();
    command.args(["inspect", "--database-url", &store.url()]);
    let output = command.args(arguments).output().unwrap();
    let (out, err) = text(&output);
    (output.status.code().unwrap(), out, err)
}

fn document(store: &Store, arguments: &[&str]) -> Value {
    let json = [arguments, &["--format", "json"]].concat();
    let (code, out, err) = inspect(store, &json);
    assert_eq!(code, 0, "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

async fn fill(store: &Store) {
    let db = store.open().await;
    let sql = "CREATE TABLE conversations (id VARCHAR(40) PRIMARY KEY, title VARCHAR(40), user_id VARCHAR(9), created_at VARCHAR(30));
        CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id VARCHAR(40), role VARCHAR(9), content TEXT, created_at VARCHAR(30));
        INSERT INTO conversations VALUES ('ab12', 'Milk', 'u1', '2026-01-01 10:00:00'), ('ab34', 'Tea', 'u2', '2026-01-01 09:00:00'),
            ('cd', NULL, 'u1', '2026-01-01 08:00:00');
        INSERT INTO messages VALUES (1, 'ab12', 'user', 'buy milk for me@example.com', '2026-01-01 10:00:00'),
            (2, 'ab12', 'assistant', 'Bought.', '2026-01-01 10:00:01'), (3, 'ab34', 'user', 'tea\u{1b}[2J?', '2026-01-01 11:00:00')";
    execute(&*db, sql).await;
}

/// However many newer ones were answered, and of one user too.
async fn those_that_wait_for_an_answer(store: &Store) {
    let db = store.open().await;
    let tables = "CREATE TABLE conversations (id INTEGER PRIMARY KEY, title VARCHAR(40), user_id VARCHAR(9), created_at VARCHAR(30));
        CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER, role VARCHAR(9), content TEXT, created_at VARCHAR(30))";
    execute(&*db, tables).await;
    let waits = |number: u32| number == 3 || number == 40 || number == 120;
    let user = |number: u32| if number == 40 { "u2" } else { "u1" };
    let (mut chats, mut messages) = (Vec::new(), Vec::new());
    for number in 1..=150 {
        let at = |second: u32| {
            format!(
                "2026-01-01 10:{:02}:{:02}",
                number / 10,
                number % 10 * 2 + second
            )
        };
        chats.push(format!("({number}, NULL, '{}', '{}')", user(number), at(0)));
        messages.push(format!(
            "({}, {number}, 'user', 'why?', '{}')",
            number * 2,
            at(0)
        ));
        if !waits(number) {
            messages.push(format!(
                "({}, {number}, 'assistant', 'so', '{}')",
                number * 2 + 1,
                at(1)
            ));
        }
    }
    for (table, rows) in [("conversations", chats), ("messages", messages)] {
        execute(
            &*db,
            &format!("INSERT INTO {table} VALUES {}", rows.join(", ")),
        )
        .await;
    }
    let keys = |arguments: &[&str]| -> Vec<String> {
        let sheet = document(
            store,
            &[&["conversations", "--unanswered"], arguments].concat(),
        );
        let rows = sheet["rows"].as_array().unwrap().iter();
        rows.map(|row| row["conversation"].as_str().unwrap().to_owned())
            .collect()
    };
    assert_eq!(keys(&[]), ["120", "40", "3"]);
    assert_eq!(keys(&["--user", "u2"]), ["40"]);
    assert_eq!(keys(&["--limit", "2"]), ["120", "40"]);
    assert_eq!(keys(&["--user", "nobody"]), [""; 0]);
    assert_eq!(keys(&["--since", "1h"]), [""; 0]);
    let cut = document(store, &["conversations", "--unanswered", "--limit", "2"]);
    assert_eq!(cut["cut"], true);
    let whole = document(store, &["conversations", "--unanswered", "--limit", "3"]);
    assert_eq!(whole["cut"], false);
}

async fn conversations_are_listed_the_latest_first(store: &Store) {
    fill(store).await;
    let sheet = document(store, &["conversations"]);
    let row = |key: &str, title: Value, user: &str, messages: u32, last: &str, marks: Value| {
        json!({"conversation": key, "title": title, "user": user, "messages": messages,
            "last activity": format!("2026-01-01T{last}.000Z"), "marks": marks})
    };
    let rows = json!([
        row(
            "ab34",
            json!("Tea"),
            "u2",
            1,
            "11:00:00",
            json!("unanswered")
        ),
        row("ab12", json!("Milk"), "u1", 2, "10:00:01", Value::Null),
        row("cd", Value::Null, "u1", 0, "08:00:00", Value::Null),
    ]);
    assert_eq!(sheet["rows"], rows);
    assert_eq!(sheet["cut"], false);
    let cut = document(store, &["conversations", "--limit", "2"]);
    assert_eq!(
        (cut["rows"].as_array().unwrap().len(), &cut["cut"]),
        (2, &json!(true))
    );
    let of_one = document(store, &["conversations", "--user", "u1"]);
    assert_eq!(of_one["rows"].as_array().unwrap().len(), 2);
    let recent = document(store, &["conversations", "--since", "1h"]);
    assert_eq!(recent["rows"], json!([]));
    for (since, count) in [
        ("2026-01-01T10:30:00Z", 1),
        ("2026-01-01", 3),
        ("36500days", 3),
    ] {
        let recent = document(store, &["conversations", "--since", since]);
        assert_eq!(recent["rows"].as_array().unwrap().len(), count, "{since}");
    }
    let (code, _, told) = inspect(store, &["conversations", "--since", "soon"]);
    assert!(
        code == 2 && told.contains("neither a time nor a duration"),
        "{told}"
    );
}

async fn a_conversation_is_shown_by_the_beginning_of_its_id(store: &Store) {
    fill(store).await;
    let transcript = document(store, &["show", "ab1"]);
    assert_eq!(
        (&transcript["key"], &transcript["title"]),
        (&json!("ab12"), &json!("Milk"))
    );
    let messages = transcript["messages"].as_array().unwrap();
    let told: Vec<_> = messages
        .iter()
        .map(|message| {
            (
                message["role"].as_str().unwrap(),
                message["text"].as_str().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            ("user", "buy milk for me@example.com"),
            ("assistant", "Bought.")
        ]
    );
    let (code, out, _) = inspect(store, &["show", "ab34"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("[unanswered]") && out.contains("tea\\u{1b}[2J?"),
        "{out}"
    );
    let (code, out, err) = inspect(store, &["show", "ab"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("\"ab12\", \"ab34\""), "{err}");
    let (code, _, err) = inspect(store, &["show", "zz"]);
    assert_eq!(code, 2);
    assert!(
        err.contains("hint: `chatctl inspect conversations`"),
        "{err}"
    );
    let raw = document(store, &["show", "ab34", "--raw"]);
    let columns: Vec<_> = raw["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|column| &column["name"])
        .collect();
    assert_eq!(
        columns,
        ["id", "conversation_id", "role", "content", "created_at"]
    );
    assert_eq!(raw["rows"][0]["content"], "tea\u{1b}[2J?");
}

async fn messages_are_found_by_their_text(store: &Store) {
    fill(store).await;
    let (code, out, err) = inspect(
        store,
        &["search", "MILK", "--format", "jsonl", "--context", "4"],
    );
    assert_eq!(code, 0, "{err}");
    assert!(err.contains("every row of `messages` is read"), "{err}");
    let row: Value = serde_json::from_str(out.trim()).unwrap();
    assert_eq!(
        (&row["conversation"], &row["message"], &row["text"]),
        (&json!("ab12"), &json!("1"), &json!("buy milk for…"))
    );
    let cut = document(store, &["search", "e", "--limit", "1"]);
    assert_eq!(
        (cut["rows"].as_array().unwrap().len(), &cut["cut"]),
        (1, &json!(true))
    );
    assert_eq!(document(store, &["search", "nowhere"])["rows"], json!([]));
}

async fn the_printed_mapping_can_be_declared(store: &Store) {
    fill(store).await;
    let (code, toml, err) = inspect(store, &["mapping"]);
    assert_eq!(code, 0, "{err}");
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("chatctl.toml");
    let path = config.to_str().unwrap();
    fs::write(&config, &toml).unwrap();
    let declared = document(store, &["conversations", "--config", path]);
    assert_eq!(declared["rows"].as_array().unwrap().len(), 3);
    let (_, again, _) = inspect(store, &["mapping", "--config", path]);
    let without = |text: &str| {
        text.lines()
            .filter(|line| !line.starts_with('#'))
            .collect::<Vec<_>>()
            .join("\n")
    };
    assert_eq!(without(&again), without(&toml));
    fs::write(&config, toml.replace("role = \"role\"", "role = \"roll\"")).unwrap();
    let (code, _, err) = inspect(store, &["show", "ab1", "--config", path]);
    assert_eq!(code, 2);
    assert!(
        err.contains("no column `roll` in table `messages`") && err.contains("`role`"),
        "{err}"
    );
    fs::write(&config, "[store]\npreset = \"sqlmodel\"\n").unwrap();
    let (code, _, err) = inspect(store, &["show", "ab1", "--config", path]);
    assert_eq!(code, 2);
    assert!(err.contains("sqlmodel-chat"), "{err}");
}

async fn what_users_wrote_can_be_hidden(store: &Store) {
    fill(store).await;
    for arguments in [
        &["show", "ab12"][..],
        &["search", "milk"],
        &["conversations"],
        &["show", "ab12", "--raw"],
    ] {
        let (_, plain, _) = inspect(store, arguments);
        assert!(plain.contains("ilk"), "{arguments:?}: {plain}");
        for format in ["human", "json", "jsonl", "csv", "markdown"] {
            let more = [arguments, &["--redact", "--format", format]].concat();
            let (code, out, err) = inspect(store, &more);
            assert_eq!(code, 0, "{err}");
            let all = out + &err.replace("search milk", "");
            for secret in ["me@example.com", "buy milk", "Bought", "Milk"] {
                assert!(!all.contains(secret), "{more:?}: {all}");
            }
        }
    }
}

/// Its calls are in a column of their own. What the mapping counts for is for who asks.
async fn an_answer_that_only_calls_a_tool_is_not_empty(store: &Store) {
    let sql = r#"CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id VARCHAR(9), role VARCHAR(9), content TEXT, tool_calls TEXT, created_at VARCHAR(30));
        INSERT INTO messages VALUES (1, 'c', 'user', 'rain?', NULL, '2026-01-01 10:00:00'),
            (2, 'c', 'assistant', '', '[{"id": "x", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}]', '2026-01-01 10:00:01'),
            (3, 'c', 'assistant', '', NULL, '2026-01-01 10:00:02')"#;
    execute(&*store.open().await, sql).await;
    let (code, out, err) = inspect(store, &["show", "c"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("get_weather({})"), "{out}");
    assert_eq!(out.matches("(empty)").count(), 1, "{out}");
    assert!(
        err.contains("detected: ") && !err.contains("score"),
        "{err}"
    );
    assert!(!err.contains("(+"), "{err}");
    let (_, _, err) = inspect(store, &["-v", "show", "c"]);
    assert!(err.contains("score ") && err.contains("(+3)"), "{err}");
    let (_, out, _) = inspect(store, &["mapping"]);
    assert!(
        out.contains("tools = \"tool_calls\"") && !out.contains("(+"),
        "{out}"
    );
    let (_, out, _) = inspect(store, &["-v", "mapping"]);
    assert!(out.contains("(+3)"), "{out}");
}

/// A new conversation may have no message and no time of a change: its question was not stored,
/// perhaps.
#[test]
fn a_new_conversation_without_messages_is_listed_first() {
    let store = Store::sqlite();
    let sql = "CREATE TABLE conversations (id INTEGER PRIMARY KEY, title TEXT, created_at TEXT, updated_at TEXT);
        CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER, role TEXT, content TEXT, created_at TEXT);
        WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
        INSERT INTO conversations SELECT i, 'old', '2026-01-01 10:00:0' || i, '2026-01-02 10:00:0' || i FROM n;
        INSERT INTO conversations VALUES (10, 'new', '2026-01-03 10:00:00', NULL);
        INSERT INTO messages SELECT id, id, 'user', 'buy milk', updated_at FROM conversations WHERE id < 10;
        INSERT INTO messages SELECT 20 + id, id, 'assistant', 'Bought.', updated_at FROM conversations WHERE id < 10";
    run(async { execute(&*store.open().await, sql).await });
    for (limit, expected) in [
        ("1", &["10"][..]),
        ("3", &["10", "9", "8"]),
        ("0", &["10", "9", "8", "7", "6", "5", "4", "3", "2", "1"]),
    ] {
        let sheet = document(&store, &["conversations", "--limit", limit]);
        let rows = sheet["rows"].as_array().unwrap().iter();
        let keys: Vec<_> = rows
            .map(|row| row["conversation"].as_str().unwrap())
            .collect();
        assert_eq!(keys, expected);
        assert_eq!(sheet["cut"], limit != "0");
    }
}

/// Without a time nothing is recent, and that is said; with one, an empty list is an answer.
#[test]
fn since_needs_a_time() {
    let tables = "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER, role VARCHAR(9), content TEXT TIME);
        INSERT INTO messages VALUES (1, 1, 'user', 'buy milk' WHEN), (2, 1, 'assistant', 'Bought.' WHEN)";
    for (time, when, is_told) in [
        ("", "", true),
        (", created_at VARCHAR(30)", ", '2026-01-01 10:00:00'", false),
    ] {
        let store = Store::sqlite();
        let sql = tables.replace(" TIME", time).replace(" WHEN", when);
        run(async { execute(&*store.open().await, &sql).await });
        let (code, out, err) = inspect(&store, &["conversations", "--since", "1h"]);
        assert_eq!(code, 0, "{out}{err}");
        assert_eq!(err.contains("the mapping has no time"), is_told, "{err}");
        let (code, out, err) = inspect(&store, &["conversations", "--limit", "0"]);
        assert_eq!(code, 0, "{err}");
        assert!(
            out.contains('1') && !err.contains("the first"),
            "{out}{err}"
        );
    }
}

/// A mapping without a user selects nobody: that is no answer.
#[test]
fn user_needs_a_user() {
    let store = Store::sqlite();
    let sql = "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER, role VARCHAR(9), content TEXT);
        INSERT INTO messages VALUES (1, 1, 'user', 'buy milk'), (2, 1, 'assistant', 'Bought.')";
    run(async { execute(&*store.open().await, sql).await });
    let (code, out, err) = inspect(&store, &["conversations", "--user", "u1"]);
    assert_eq!(code, 2, "{out}{err}");
    assert!(err.contains("the mapping names no user"), "{err}");
}

/// JavaScript writes half of a surrogate pair as three bytes, which are no text.
#[test]
fn a_text_that_is_not_utf_8_is_read_as_a_text() {
    let store = Store::sqlite();
    let sql = "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER, role VARCHAR(9), content TEXT);
        INSERT INTO messages VALUES (1, 1, 'user', 'buy milk'), (2, 1, 'assistant', CAST(x'426f75676874eda0bd2e' AS TEXT)),
            (3, 1, 'assistant', x'ff00')";
    run(async { execute(&*store.open().await, sql).await });
    let (code, out, err) = inspect(&store, &["show", "1"]);
    assert_eq!(code, 0, "{err}");
    assert!(out.contains("Bought\u{fffd}\u{fffd}\u{fffd}."), "{out}");
    assert!(out.contains("ff00"), "{out}");
}
