//! The same chats in three kinds of database: a snapshot of one holds in the others.

use super::chats::{Chats, MESSAGES, figure, told};
use crate::common::stores::Store;
use crate::common::text;
use serde_json::Value;

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

/// On a server LangGraph keeps the texts in another table, so checkpoints that are unchanged show
/// nothing of them.
#[test]
fn texts_in_tables_that_are_not_read_are_not_proven() {
    let reason = |report: &Value| report["cases"][0]["reason"].as_str().unwrap().to_owned();
    let fixture = |engine: &str| {
        let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
        std::fs::read_to_string(root.join(format!("fixtures/presets/langgraph/{engine}.sql")))
            .unwrap()
    };
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
