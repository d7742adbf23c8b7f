//! Stores that chatctl finds by itself, before and after changes of the way in which they are stored.

use super::chats::{Chats, figure, told};
use crate::common::stores::Store;
use serde_json::Value;

fn looking_at(store: &Store) -> Chats {
    let chats = Chats::looking_at(store.url());
    chats.map("");
    chats
}

fn held(report: &Value, code: i32) {
    assert_eq!((told(report).as_str(), code), ("", 0), "{report:#}");
}

/// Messages with random keys are in the order of their times, in whatever form the column has them.
#[test]
fn times_may_get_another_unit_or_form() {
    let rows = "CREATE TABLE chat_message (id TEXT PRIMARY KEY, session_id TEXT, role TEXT, content TEXT, created_at INT);
        WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 47)
        INSERT INTO chat_message SELECT printf('%02x-%d', (i * 37) % 251, i), 's' || (i % 8),
            CASE WHEN i / 8 % 2 = 0 THEN 'user' ELSE 'assistant' END, 'text ' || i, 1767225600 + i * 61 FROM n";
    for detail in ["messages", "sketch", "conversations"] {
        for form in [
            "created_at * 1000",
            "created_at * 1000000",
            "datetime(created_at, 'unixepoch')",
            "created_at * 1.0",
        ] {
            let store = Store::sqlite();
            let chats = looking_at(&store);
            chats.sql(rows);
            chats.snapshot_with("before.cas", &["--detail", detail]);
            chats.sql(&format!("UPDATE chat_message SET created_at = {form}"));
            chats.sql(&format!(
                "INSERT INTO chat_message SELECT 'ff', 's1', 'user', 'more', {form} FROM (SELECT 1767325600 AS created_at)"
            ));
            let (report, code) = chats.compare(&["before.cas"]);
            held(&report, code);
            assert_eq!(figure(&report, "appended_messages"), 1, "{form} {detail}");
            chats.sql("UPDATE chat_message SET content = 'x' WHERE content = 'text 5'");
            let (report, code) = chats.compare(&["before.cas"]);
            assert_eq!(
                (told(&report).as_str(), code),
                ("E message-altered", 1),
                "{report:#}"
            );
        }
    }
}

/// The items of a column that names alone make a chat.
fn items(store: &Store, time: &str) -> Chats {
    let chats = looking_at(store);
    chats.sql(&format!(
        "CREATE TABLE chats (id TEXT PRIMARY KEY, user_id TEXT, title TEXT, messages TEXT, updated_at TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8)
         INSERT INTO chats SELECT 'c' || i, 'u', 'title', json_array(
            json_object('role', 'user', 'content', 'question ' || i, '{time}', '2026-01-01T10:00:00.000Z'),
            json_object('role', 'assistant', 'content', 'answer ' || i, '{time}', '2026-01-01T10:00:05.000Z')), 'x' FROM n"
    ));
    chats
}

#[test]
fn the_time_of_an_item_may_have_any_usual_name() {
    for time in ["timestamp", "createdAt", "created_at", "ts", "time"] {
        let store = Store::sqlite();
        let chats = items(&store, time);
        chats.sql(&format!(
            "UPDATE chats SET messages = json_insert(messages, '$[#]', json_object('role', 'assistant', 'content', 'Half a',
                '{time}', strftime('%Y-%m-%dT%H:%M:%fZ', 'now', '-5 seconds'))) WHERE id = 'c8'"
        ));
        chats.snapshot("before.cas");
        // The last answer was young, and goes on.
        chats.sql("UPDATE chats SET messages = json_set(messages, '$[2].content', 'Half a sentence') WHERE id = 'c8'");
        let (report, code) = chats.compare(&["before.cas"]);
        held(&report, code);
        chats.sql(&format!(
            "UPDATE chats SET messages = json_set(messages, '$[0].{time}', '2025-01-01T10:00:00.000Z') WHERE id = 'c3'"
        ));
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(
            (told(&report).as_str(), code),
            ("E times-shifted", 1),
            "{time} {report:#}"
        );
    }
}

/// A list whose items get ids loses nothing.
#[test]
fn items_that_get_ids_are_not_lost() {
    for time in ["ts", "unread"] {
        let store = Store::sqlite();
        let chats = items(&store, time);
        chats.snapshot("before.cas");
        chats.sql(
            "UPDATE chats SET messages = json_set(messages, '$[0].id', 'q' || id, '$[1].id', 'a' || id)",
        );
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(
            (told(&report).as_str(), code),
            ("E message-altered", 1),
            "{report:#}"
        );
        chats.sql("UPDATE chats SET messages = json_remove(messages, '$[1]') WHERE id = 'c2'");
        let (report, _) = chats.compare(&["before.cas"]);
        assert_eq!(
            told(&report),
            "E message-altered, E message-lost",
            "{report:#}"
        );
    }
}

/// A list that a new version of a format puts into an object, or takes out of one, in some rows or
/// in all.
#[test]
fn a_list_may_be_put_into_an_object_and_taken_out() {
    let wrap = "UPDATE chats SET messages = json_object('version', 2, 'tags', json_array('x'), 'messages', json(messages))";
    let unwrap = "UPDATE chats SET messages = json_extract(messages, '$.messages')";
    let lose = "UPDATE chats SET messages = json_remove(messages, '$.messages[1]', '$[1]') WHERE id = 'c2'";
    for (before, after) in [("", wrap), (wrap, unwrap)] {
        for rows in ["", " WHERE id < 'c5'"] {
            let store = Store::sqlite();
            let chats = items(&store, "ts");
            chats.sql(before);
            chats.snapshot("before.cas");
            chats.sql(&format!("{after}{rows}"));
            let (report, code) = chats.compare(&["before.cas"]);
            held(&report, code);
            // A new chat without messages has none.
            chats.sql("INSERT INTO chats VALUES ('new', 'u', 'title', '{\"version\": 2, \"messages\": []}', 'x')");
            let (report, code) = chats.compare(&["before.cas"]);
            held(&report, code);
            assert_eq!(figure(&report, "appended_messages"), 0, "{report:#}");
            chats.sql(lose);
            let (report, code) = chats.compare(&["before.cas"]);
            assert_eq!(
                (told(&report).as_str(), code),
                ("E message-lost", 1),
                "{after}{rows} {report:#}"
            );
        }
    }
}

const TWO: &str = "CREATE TABLE conversations (id INTEGER PRIMARY KEY, user_id TEXT, title TEXT, created_at TEXT, updated_at TEXT);
    CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER REFERENCES conversations, role TEXT, content TEXT, created_at TEXT);
    INSERT INTO conversations VALUES (1, 'u', 't', '2026-01-01 09:00:00', '2026-01-01 09:00:00');
    INSERT INTO messages VALUES (1, 1, 'user', 'milk?', '2026-01-01 10:00:00'), (2, 1, 'assistant', 'yes', '2026-01-01 10:00:05')";

#[test]
fn a_dropped_table_is_named() {
    let store = Store::sqlite();
    let chats = looking_at(&store);
    chats.sql(TWO);
    chats.snapshot("before.cas");
    chats.sql("ALTER TABLE messages RENAME TO chat_messages");
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("N schema-changed", 0),
        "{report:#}"
    );
    let reason = |report: &Value| report["cases"][0]["reason"].as_str().unwrap().to_owned();
    let says = reason(&report);
    assert!(
        says.contains("`messages`, which the snapshot was taken of, is gone"),
        "{says}"
    );
    // The server reads the view, which may leave out anything.
    chats.sql("CREATE VIEW messages AS SELECT * FROM chat_messages WHERE id > 1");
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(code, 3, "{report:#}");
    let says = reason(&report);
    assert!(says.contains("is a view now"), "{says}");
    chats.sql("DROP VIEW messages");
    chats.sql("DROP TABLE chat_messages");
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("E table-missing", 1),
        "{report:#}"
    );
    assert_eq!(report["findings"][0]["subject"], "messages");
    let says = reason(&report);
    assert!(says.contains("none of 2 messages was found"), "{says}");
    // Another database has none of the tables.
    chats.sql("DROP TABLE conversations; CREATE TABLE note (id INTEGER PRIMARY KEY)");
    let code = chats
        .audit(&["compare", "before.cas"])
        .output()
        .unwrap()
        .status
        .code();
    assert_eq!(code, Some(3));
}

/// The messages are there: nobody has looked for them yet, so nobody calls them gone.
#[test]
fn a_missing_table_of_conversations_is_no_loss_of_messages() {
    let odd = |sql: &str| {
        let named = sql
            .replace("conversations", "zz_rooms")
            .replace("messages", "zz_lines");
        named
            .replace("content", "zz_said")
            .replace("role", "zz_who")
    };
    let store = Store::sqlite();
    let chats = looking_at(&store);
    chats.map(
        r#"[[store]]
shape = "row"
[store.conversation]
table = "zz_rooms"
[store.message]
table = "zz_lines"
conversation = ["conversation_id"]
role = "zz_who"
content = "zz_said"
time = "created_at"
append = "id"
"#,
    );
    chats.sql(&odd(TWO));
    chats.snapshot("before.cas");
    let exit = || {
        chats
            .audit(&["compare", "before.cas"])
            .output()
            .unwrap()
            .status
            .code()
    };
    assert_eq!(exit(), Some(0));
    chats.sql("ALTER TABLE zz_rooms RENAME TO zz_halls");
    // The mapping names what is not there.
    assert_eq!(exit(), Some(2));
    chats.sql("ALTER TABLE zz_halls RENAME TO zz_rooms; DROP TABLE zz_lines");
    assert_eq!(exit(), Some(1));
}

/// What of items is read, and which tables next to the messages are not, is in the last line.
#[test]
fn what_is_not_compared_is_named() {
    let store = Store::sqlite();
    let chats = items(&store, "ts");
    chats.snapshot("before.cas");
    let last = || {
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(code, 0, "{report:#}");
        report["cases"][0]["reason"].as_str().unwrap().to_owned()
    };
    let named =
        "fields of the messages in `messages::$` that the mapping does not name were not compared";
    assert!(last().contains(named), "{}", last());
    assert!(!last().contains("refer to the same chats"), "{}", last());
    chats.sql(
        "CREATE TABLE exchanges (id INTEGER PRIMARY KEY, chat_id TEXT, prompt TEXT, response TEXT);
         CREATE TABLE votes (id INTEGER PRIMARY KEY, chat_id TEXT, value INTEGER);
         CREATE TABLE tasks (id INTEGER PRIMARY KEY, message TEXT)",
    );
    let named =
        "tables that refer to the same chats and may hold texts were not compared: `exchanges`";
    assert!(last().contains(named), "{}", last());
}
