//! The same chats in three kinds of database: a snapshot of one holds in the others.

use super::chats::{Chats, MESSAGES, figure, told};
use crate::common::stores::Store;
use crate::common::text;
use serde_json::Value;
use std::fs;
use std::path::Path;

#[test]
fn a_snapshot_of_one_backend_holds_in_the_others() {
    let stores = [Store::sqlite(), Store::postgres(), Store::mysql()];
    let all = stores.each_ref().map(Chats::in_store);
    for chats in &all {
        chats.snapshot("before.cas");
    }
    for (from, before) in all.iter().enumerate() {
        for (to, now) in all.iter().enumerate() {
            let file = before.file("before.cas");
            let (report, code) = now.compare(&[file.to_str().unwrap()]);
            assert_eq!(
                (told(&report).as_str(), code),
                ("", 0),
                "from {from} to {to}: {report:#}"
            );
            assert_eq!(figure(&report, "messages"), u64::from(MESSAGES));
            assert_eq!(figure(&report, "intact_conversations"), 8);
            assert_eq!(figure(&report, "appended_messages"), 0);
        }
    }
    // Not because nothing is looked at.
    all[1].sql("UPDATE message SET role = 'system' WHERE id = 20");
    let file = all[2].file("before.cas");
    let (report, code) = all[1].compare(&[file.to_str().unwrap()]);
    assert_eq!((told(&report).as_str(), code), ("E message-altered", 1));
}

/// At another address nothing of the snapshot is more likely a wrong address than a loss.
#[test]
fn another_database_is_called_one() {
    let stores = [Store::sqlite(), Store::sqlite()];
    let [one, other] = stores.each_ref().map(Chats::in_store);
    one.snapshot("before.cas");
    let file = one.file("before.cas");
    for (chats, is_other) in [(&other, true), (&one, false)] {
        chats.sql(
            "UPDATE message SET conversation_id = conversation_id + 100; \
             UPDATE conversation SET id = id + 100",
        );
        let (report, code) = chats.compare(&[file.to_str().unwrap()]);
        assert_eq!(code, 1, "{report:#}");
        let reason = report["cases"][0]["reason"].as_str().unwrap();
        assert_eq!(
            reason.contains("may be another database"),
            is_other,
            "{reason}"
        );
    }
}

/// Of several schemas with the same tables, as one for each tenant, the first one is read.
#[test]
fn the_tables_of_another_tenant_are_named() {
    let store = Store::postgres();
    let mut chats = Chats::in_store(&store);
    chats.snapshot("alone.cas");
    let (report, _) = chats.compare(&["alone.cas"]);
    let reason = |report: &Value| {
        let reason = report["cases"][0]["reason"].as_str().unwrap();
        reason.contains("`globex.message` looks like the chats too, and was not compared")
    };
    assert!(!reason(&report), "{report:#}");
    chats.sql("CREATE SCHEMA globex; CREATE TABLE globex.message (LIKE message)");
    // Off the path it is another application's.
    let (report, _) = chats.compare(&["alone.cas"]);
    assert!(!reason(&report), "{report:#}");
    let mark = if chats.url.contains('?') { '&' } else { '?' };
    chats.url = format!("{}{mark}search_path=public,globex", chats.url);
    let mut taken = chats.audit(&["snapshot", "--output", "both.cas"]);
    let said = text(&taken.output().unwrap()).1;
    assert!(
        said.contains(
            "`globex.message` on the search path looks like the chats too, and is not read"
        ),
        "{said}"
    );
    let (report, code) = chats.compare(&["both.cas"]);
    assert!(code == 0 && reason(&report), "{report:#}");
}

fn fixture(engine: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let file = root.join(format!("fixtures/presets/langgraph/{engine}.sql"));
    fs::read_to_string(file).unwrap()
}

/// On a server LangGraph keeps the texts in another table, so checkpoints that are unchanged show
/// nothing of them.
#[test]
fn texts_in_tables_that_are_not_read_are_not_proven() {
    let reason = |report: &Value| report["cases"][0]["reason"].as_str().unwrap().to_owned();
    for (store, engine, expected) in [
        (Store::sqlite(), "sqlite", 0),
        (Store::postgres(), "postgres", 3),
    ] {
        let chats = Chats::looking_at(store.url());
        chats.map("");
        chats.sql(&fixture(engine));
        chats.snapshot("before.cas");
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(code, expected, "{report:#}");
        let is_said = reason(&report).contains("does not read");
        assert_eq!(is_said, expected == 3, "{report:#}");
    }
}

/// A look at another table may fail, as where its policy wants a setting; the chats are read all the same.
#[test]
fn a_table_that_cannot_be_looked_at_ends_no_snapshot() {
    let store = Store::postgres();
    let mut chats = Chats::looking_at(store.url());
    chats.map("");
    chats.sql(&fixture("postgres"));
    chats.sql(
        "CREATE TABLE message (id int PRIMARY KEY, conversation_id int, role text, content text); \
         CREATE POLICY own ON message USING (id = current_setting('app.tenant')::int); \
         ALTER TABLE message ENABLE ROW LEVEL SECURITY; INSERT INTO message VALUES (1, 1, 'user', 'hello there'); \
         CREATE ROLE reader LOGIN PASSWORD 'reader'; GRANT SELECT ON ALL TABLES IN SCHEMA public TO reader",
    );
    let url = chats.url.clone();
    let (_, place) = url.split_once('@').unwrap();
    chats.url = format!("postgres://reader:reader@{place}");
    let output = chats
        .audit(&["snapshot", "--output", "before.cas"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output).1);
    // The same where chatctl looks for the chats.
    let owner = Chats::looking_at(url.clone());
    owner.sql(
        "DROP TABLE checkpoints, checkpoint_blobs, checkpoint_writes, message CASCADE; \
         CREATE TABLE chat_history (id int PRIMARY KEY, session_id int, role text, content text); \
         CREATE TABLE messages (id int PRIMARY KEY, chat_id int, role text, content text); \
         INSERT INTO messages VALUES (1, 1, 'user', 'is there milk?'), (2, 1, 'assistant', 'there is some'); \
         GRANT SELECT ON messages TO reader",
    );
    let found = chats.snapshot_with("found.cas", &[]);
    assert_eq!(found["summary"]["checked"], 2, "{found:#}");
}

/// The server reads a view that has the name of the table, and nobody knows what it leaves out.
#[test]
fn a_view_in_the_place_of_the_table_proves_nothing() {
    for store in [Store::postgres(), Store::mysql()] {
        let chats = Chats::looking_at(store.url());
        chats.map("");
        chats.sql(
            "CREATE TABLE messages (id int PRIMARY KEY, conversation_id int, role varchar(20), content varchar(200)); \
             INSERT INTO messages VALUES (1, 1, 'user', 'is there milk?'), (2, 1, 'assistant', 'there is some')",
        );
        chats.snapshot("before.cas");
        chats.sql("ALTER TABLE messages RENAME TO chat_messages");
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(code, 0, "{report:#}");
        chats.sql("CREATE VIEW messages AS SELECT * FROM chat_messages WHERE id > 1");
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(code, 3, "{report:#}");
    }
}

/// A key of another type than the snapshot's has no largest value on every server.
#[test]
fn numbers_that_became_uuids_are_compared() {
    let store = Store::postgres();
    let chats = Chats::in_store(&store);
    chats.snapshot("before.cas");
    chats.sql(
        "ALTER TABLE message ADD other uuid DEFAULT gen_random_uuid(); \
         ALTER TABLE message DROP COLUMN id; ALTER TABLE message RENAME other TO id",
    );
    let (report, code) = chats.compare(&["before.cas"]);
    assert_eq!(code, 1, "{report:#}");
}

/// A store that keeps whole seconds, or milliseconds, is no other store.
#[test]
fn times_are_compared_at_the_coarser_precision() {
    let (fine, coarse) = (Store::sqlite(), Store::mysql());
    let (fine, coarse) = (Chats::in_store(&fine), Chats::in_store(&coarse));
    for column in ["DATETIME(3)", "DATETIME"] {
        // MariaDB cuts what does not fit off.
        coarse.sql(&format!("ALTER TABLE message MODIFY created_at {column}"));
        for (from, to) in [(&fine, &coarse), (&coarse, &fine)] {
            from.snapshot("before.cas");
            let file = from.file("before.cas");
            let (report, code) = to.compare(&[file.to_str().unwrap()]);
            assert_eq!(
                (told(&report).as_str(), code),
                ("", 0),
                "{column}: {report:#}"
            );
        }
    }
    coarse.sql("UPDATE message SET created_at = created_at + INTERVAL 1 SECOND WHERE id = 20");
    let file = fine.file("before.cas");
    let (report, code) = coarse.compare(&[file.to_str().unwrap()]);
    assert_eq!((told(&report).as_str(), code), ("E times-shifted", 1));
}
