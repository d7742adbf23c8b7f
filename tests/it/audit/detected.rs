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
        says.contains("`chat_messages` was read instead of `messages`"),
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

/// A model that thinks before it answers writes more thoughts than words, and may be stopped before
/// the first word; a copy of the text for a page or a search is longer than the text.
#[test]
fn longer_texts_next_to_the_messages_are_not_taken_for_them() {
    for (column, value) in [
        (
            "reasoning",
            "CASE role WHEN 'assistant' THEN 'hmm, let me think about all of it: ' || content END",
        ),
        ("content_html", "'<p class=\"text\">' || content || '</p>'"),
        ("search_text", "'words of the index: ' || content"),
    ] {
        let store = Store::sqlite();
        let chats = looking_at(&store);
        chats.sql(&format!(
            "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INT, role TEXT, content TEXT, {column} TEXT, created_at TEXT);
             WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 48)
             INSERT INTO messages SELECT i, (i + 5) / 6, CASE i % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
                'the text of ' || i, NULL, datetime(1767225600 + i * 61, 'unixepoch') FROM n;
             UPDATE messages SET {column} = {value};
             UPDATE messages SET content = '' WHERE id = 4"
        ));
        chats.snapshot("before.cas");
        let reason = |report: &Value| {
            let reason = report["cases"][0]["reason"].as_str().unwrap();
            reason.contains(&format!("the texts in `{column}` were not compared"))
        };
        let (report, code) = chats.compare(&["before.cas"]);
        held(&report, code);
        // What a model thought is compared as what belongs to the message.
        assert_eq!(reason(&report), column != "reasoning", "{report:#}");
        chats.sql("UPDATE messages SET content = 'x' WHERE role = 'assistant' AND id <> 4");
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(
            (told(&report).as_str(), code),
            ("E message-altered", 1),
            "{column}: {report:#}"
        );
    }
}

/// Short texts beside the messages that are no texts of theirs need no word.
#[test]
fn other_columns_of_the_messages_are_not_named() {
    let store = Store::sqlite();
    let chats = looking_at(&store);
    chats.sql(
        "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INT, role TEXT, content TEXT, model TEXT, metadata TEXT, created_at TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 48)
         INSERT INTO messages SELECT i, (i + 5) / 6, CASE i % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
            'the text of ' || i, 'large model', json_object('n', i), datetime(1767225600 + i * 61, 'unixepoch') FROM n",
    );
    chats.snapshot("before.cas");
    let (report, code) = chats.compare(&["before.cas"]);
    held(&report, code);
    let reason = report["cases"][0]["reason"].as_str().unwrap();
    assert!(!reason.contains("not compared"), "{reason}");
}

/// The server's own messages next to the checkpoints of an agent.
#[test]
fn a_preset_hides_no_other_table_of_messages() {
    let store = Store::sqlite();
    let chats = looking_at(&store);
    chats.sql(
        "CREATE TABLE checkpoints (thread_id TEXT, checkpoint_ns TEXT, checkpoint_id TEXT, parent_checkpoint_id TEXT, type TEXT,
            checkpoint BLOB, metadata BLOB, PRIMARY KEY (thread_id, checkpoint_ns, checkpoint_id));
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
         INSERT INTO checkpoints SELECT 't' || (i % 4), '', printf('%04d', i), NULL, 'msgpack', CAST('state ' || i AS BLOB), x'80' FROM n",
    );
    chats.snapshot("alone.cas");
    let named = |file: &str| {
        let (report, code) = chats.compare(&[file]);
        held(&report, code);
        let reason = report["cases"][0]["reason"].as_str().unwrap();
        reason.contains("`messages` looks like the chats too, and was not compared")
    };
    assert!(!named("alone.cas"));
    chats.sql(
        "CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INT, role TEXT, content TEXT, created_at TEXT);
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 48)
         INSERT INTO messages SELECT i, (i + 5) / 6, CASE i % 2 WHEN 1 THEN 'user' ELSE 'assistant' END,
            'the text of ' || i, datetime(1767225600 + i * 61, 'unixepoch') FROM n",
    );
    assert!(named("alone.cas"));
}

/// Texts that an older version of the server left in another column are not read, and the last line says so.
#[test]
fn messages_without_a_text_are_counted() {
    let store = Store::sqlite();
    let chats = looking_at(&store);
    chats.sql(TWO);
    chats.sql(
        "ALTER TABLE messages ADD COLUMN older_words TEXT; \
         WITH RECURSIVE n(i) AS (SELECT 3 UNION ALL SELECT i + 1 FROM n WHERE i < 400) \
         INSERT INTO messages SELECT i, 1, CASE i % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, 'text ' || i, \
             datetime('2026-01-01 10:00:05', i || ' seconds'), NULL FROM n",
    );
    let says = || {
        let _ = std::fs::remove_file(chats.file("before.cas"));
        chats.snapshot("before.cas");
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(code, 0, "{report:#}");
        report["cases"][0]["reason"].as_str().unwrap().to_owned()
    };
    assert!(!says().contains("have no text"), "{}", says());
    chats.sql("UPDATE messages SET older_words = content, content = '' WHERE id < 60");
    assert!(
        says().contains("59 of 400 messages have no text"),
        "{}",
        says()
    );
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

/// Rows of messages, in eight conversations of six.
fn messages(store: &Store, columns: &str, values: &str) -> Chats {
    let chats = looking_at(store);
    chats.sql(&format!(
        "CREATE TABLE messages (id TEXT PRIMARY KEY, conversation_id INT, role TEXT, created_at TEXT, {columns});
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 48)
         INSERT INTO messages SELECT printf('m%02x-%d', (i * 37) % 251, i), (i + 5) / 6,
            CASE i % 2 WHEN 1 THEN 'user' ELSE 'assistant' END, datetime(1767225600 + i * 61, 'unixepoch'), {values} FROM n"
    ));
    chats.snapshot("before.cas");
    let (report, code) = chats.compare(&["before.cas"]);
    held(&report, code);
    chats
}

/// Makes a change, compares, and takes the change back.
fn after(chats: &Chats, change: &str) -> String {
    let file = chats.url.strip_prefix("sqlite:").unwrap();
    let kept = chats.file("kept.db");
    std::fs::copy(file, &kept).unwrap();
    chats.sql(change);
    let (report, code) = chats.compare(&["before.cas"]);
    std::fs::copy(&kept, file).unwrap();
    let told = told(&report);
    assert_eq!(code == 1, told.starts_with("E "), "{report:#}");
    told
}

/// A product that went from texts to parts: no row says which of the two an older one has.
#[test]
fn texts_in_two_columns_are_both_compared() {
    const PARTS: &str = "json_array(json_object('type', 'text', 'text', 'text ' || i), json_object('type', 'tool-search', \
        'toolCallId', 'c', 'state', 'output-available', 'input', json('{}'), 'output', i))";
    const ALTERED: &str = "E message-altered";
    for old in ["i <= 18", "i <= 2", "i > 2", "i > 0"] {
        let store = Store::sqlite();
        let chats = messages(
            &store,
            "content TEXT NOT NULL DEFAULT '', parts TEXT NOT NULL DEFAULT '[]'",
            &format!(
                "CASE WHEN {old} THEN 'text ' || i ELSE '' END, CASE WHEN {old} THEN '[]' ELSE {PARTS} END"
            ),
        );
        for (change, expected) in [
            ("UPDATE messages SET content = 'tex' WHERE content IN ('text 2', 'text 5')", ALTERED),
            ("UPDATE messages SET content = '' WHERE content <> ''", ALTERED),
            (
                "UPDATE messages SET parts = json_remove(parts, '$[0]') WHERE parts LIKE '%text 48%'",
                if old == "i > 2" || old == "i > 0" { "" } else { ALTERED },
            ),
            (
                "UPDATE messages SET parts = json_remove(parts, '$[1]') WHERE parts LIKE '%text 1\"%'",
                if old == "i > 2" { ALTERED } else { "" },
            ),
            // A migration of the older ones is no loss.
            (
                "UPDATE messages SET parts = json_array(json_object('type', 'text', 'text', content)) WHERE content <> ''",
                "",
            ),
            (
                "UPDATE messages SET parts = json_array(json_object('type', 'text', 'text', content)), content = ''
                    WHERE content <> ''",
                "",
            ),
        ] {
            assert_eq!(after(&chats, change), expected, "{old}: {change}");
        }
    }
}

/// What belongs to a message next to its text, and whether it is deleted for its user.
#[test]
fn columns_next_to_the_text_are_compared() {
    let store = Store::sqlite();
    let chats = messages(
        &store,
        "content TEXT, reasoning TEXT, attachments JSON, deleted_at TEXT, seq INT",
        "'text ' || i, 'thought ' || i, json_array('file ' || i), NULL, (i - 1) % 6",
    );
    for (change, expected) in [
        (
            "UPDATE messages SET reasoning = NULL WHERE content = 'text 4'",
            "E message-altered",
        ),
        (
            "UPDATE messages SET attachments = '[]' WHERE content = 'text 4'",
            "E message-altered",
        ),
        (
            "UPDATE messages SET deleted_at = '2026-02-01' WHERE content = 'text 4'",
            "E message-lost",
        ),
        // The number within a conversation tells nothing of other ones.
        (
            "INSERT INTO messages VALUES ('n1', 9, 'user', '2026-02-01 10:00:00', 'new', NULL, NULL, NULL, 0)",
            "",
        ),
        (
            "UPDATE messages SET seq = CASE seq WHEN 1 THEN 2 WHEN 2 THEN 1 ELSE seq END WHERE conversation_id = 3",
            "E message-altered",
        ),
    ] {
        assert_eq!(after(&chats, change), expected, "{change}");
    }
}

/// Rows of other tables that are parts of messages, and what a conversation's own row says.
#[test]
fn tables_of_parts_owners_and_titles_are_compared() {
    let store = Store::sqlite();
    let chats = messages(&store, "content TEXT", "'text ' || i");
    chats.sql(
        "CREATE TABLE conversations (id INTEGER PRIMARY KEY, user_id INT, title TEXT);
         INSERT INTO conversations SELECT DISTINCT conversation_id, conversation_id % 3 + 1, 'chat ' || conversation_id FROM messages;
         UPDATE conversations SET user_id = NULL WHERE id = 8;
         CREATE TABLE tool_calls (id INTEGER PRIMARY KEY, message_id TEXT REFERENCES messages(id), name TEXT, result JSON, status TEXT);
         INSERT INTO tool_calls (message_id, name, result, status) SELECT id, 'search', json_object('found', content), 'done' FROM messages WHERE role = 'assistant';
         UPDATE tool_calls SET result = NULL WHERE id = 9;
         CREATE TABLE attachments (id INTEGER PRIMARY KEY, message_id TEXT REFERENCES messages(id), filename TEXT, data BLOB);
         INSERT INTO attachments (message_id, filename, data) SELECT id, 'a.png', randomblob(20) FROM messages WHERE role = 'user';
         CREATE TABLE message_feedback (id INTEGER PRIMARY KEY, message_id TEXT REFERENCES messages(id), text TEXT);
         INSERT INTO message_feedback (message_id, text) SELECT id, 'good' FROM messages",
    );
    chats.snapshot("before.cas");
    let (report, code) = chats.compare(&["before.cas"]);
    held(&report, code);
    assert!(!report.to_string().contains("`tool_calls`"), "{report:#}");
    for (change, expected) in [
        ("DELETE FROM tool_calls WHERE id = 4", "E part-lost"),
        ("DROP TABLE attachments", "E part-lost"),
        ("UPDATE tool_calls SET result = NULL WHERE id = 4", "E part-altered"),
        ("UPDATE tool_calls SET message_id = (SELECT id FROM messages LIMIT 1) WHERE id = 20", "E part-altered"),
        ("UPDATE attachments SET data = x'00' WHERE id = 5", "E part-altered"),
        ("UPDATE conversations SET user_id = 99 WHERE id = 2", "E owner-changed"),
        ("UPDATE conversations SET user_id = NULL", "E owner-changed"),
        ("UPDATE conversations SET title = ''", "W title-lost"),
        // With the message its parts are gone, too.
        (
            "PRAGMA foreign_keys = off;
             DELETE FROM tool_calls WHERE message_id IN (SELECT id FROM messages WHERE content = 'text 4');
             DELETE FROM messages WHERE content = 'text 4'",
            "E message-lost",
        ),
        // A result that comes, another state, more calls, a guest who logs in, titles, and what is no part.
        ("UPDATE tool_calls SET result = '{}' WHERE id = 9", ""),
        ("UPDATE tool_calls SET result = '[1]', status = 'failed' WHERE id = 9", ""),
        ("UPDATE tool_calls SET status = 'archived'", ""),
        ("INSERT INTO tool_calls (message_id, name) SELECT id, 'more' FROM messages", ""),
        ("UPDATE conversations SET user_id = 5 WHERE id = 8", ""),
        ("UPDATE conversations SET title = 'new ' || title", ""),
        ("UPDATE conversations SET title = NULL WHERE id = 3", ""),
        ("DELETE FROM message_feedback", ""),
    ] {
        assert_eq!(after(&chats, change), expected, "{change}");
    }
    chats.sql("DELETE FROM attachments WHERE id = 7");
    chats.snapshot("after.cas");
    let (report, code) = chats.compare(&["before.cas", "after.cas"]);
    assert_eq!(
        (told(&report).as_str(), code),
        ("E part-lost", 1),
        "{report:#}"
    );
}

fn rows_of_json(store: &Store, columns: &str, values: &str) -> Chats {
    let chats = looking_at(store);
    chats.sql(&format!(
        "CREATE TABLE chats (id TEXT PRIMARY KEY, user_id TEXT, {columns});
         WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 8)
         INSERT INTO chats SELECT 'c' || i, 'u', {values} FROM n"
    ));
    chats.snapshot("before.cas");
    let (report, code) = chats.compare(&["before.cas"]);
    held(&report, code);
    chats
}

/// What version 4 of the AI SDK keeps next to a text.
#[test]
fn fields_next_to_the_text_of_an_item_are_compared() {
    let store = Store::sqlite();
    let chats = rows_of_json(
        &store,
        "messages JSON",
        "json_array(json_object('id', 'q' || i, 'role', 'user', 'content', 'question ' || i,
            'experimental_attachments', json_array(json_object('name', 'a.png', 'url', 'data:,' || i))),
         json_object('id', 'a' || i, 'role', 'assistant', 'content', 'answer ' || i, 'reasoning', 'hm ' || i,
            'toolInvocations', json_array(json_object('state', 'result', 'toolCallId', 't', 'toolName', 'search',
                'args', json_object('n', i), 'result', json_object('price', i)))))",
    );
    for (path, value) in [
        ("$[0].experimental_attachments", "json('[]')"),
        ("$[1].reasoning", "''"),
        ("$[1].toolInvocations", "json('[]')"),
        ("$[1].toolInvocations[0].args.n", "7"),
        ("$[1].toolInvocations[0].result.price", "7"),
    ] {
        let change = format!(
            "UPDATE chats SET messages = json_set(messages, '{path}', {value}) WHERE id = 'c3'"
        );
        assert_eq!(after(&chats, &change), "E message-altered", "{path}");
    }
    // The same in the parts that a later version writes next to it is no other text.
    let change = "UPDATE chats SET messages = json_set(messages, '$[0].parts', json_array(json_object('type', 'text', 'text',
        json_extract(messages, '$[0].content'))))";
    assert_eq!(after(&chats, change), "");
}

/// Lists of messages in several columns of one row.
#[test]
fn several_lists_of_messages_are_compared() {
    let store = Store::sqlite();
    let item = |role: &str, text: &str| {
        format!("json_object('role', '{role}', 'content', '{text} ' || i)")
    };
    let list = |texts: [&str; 2]| {
        format!(
            "json_array({}, {})",
            item("user", texts[0]),
            item("assistant", texts[1])
        )
    };
    let chats = rows_of_json(
        &store,
        "messages JSON, archived_messages JSON, tool_messages JSON",
        &format!(
            "{}, {}, json_array({})",
            list(["question", "answer"]),
            list(["old question", "old answer"]),
            item("tool", "result")
        ),
    );
    let set =
        |column: &str, value: &str| format!("UPDATE chats SET {column} = {value} WHERE id = 'c3'");
    let said = "json_object('role', 'user', 'content', 'more')";
    for (change, expected) in [
        (set("archived_messages", "json_set(archived_messages, '$[0].content', 'x')"), "E message-altered"),
        (set("tool_messages", "json_set(tool_messages, '$[0].content', 'x')"), "E message-altered"),
        (set("tool_messages", "'[]'"), "E message-lost"),
        (set("messages", &format!("json_insert(messages, '$[#]', {said})")), ""),
        (set("tool_messages", &format!("json_insert(tool_messages, '$[#]', {said})")), ""),
        // A product archives what is old.
        (
            "UPDATE chats SET archived_messages = json_insert(archived_messages, '$[#]', json_extract(messages, '$[0]')),
                messages = json_remove(messages, '$[0]')".to_owned(),
            "",
        ),
    ] {
        assert_eq!(after(&chats, &change), expected, "{change}");
    }
}
