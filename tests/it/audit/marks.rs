//! Arming: once, and as it was before.

use super::chats::Chats;
use crate::common::stores::{Store, on_each_backend};
use crate::common::text;

on_each_backend! { arming_twice_changes_nothing_and_removing_restores }

/// What the tables look like to whoever describes them.
async fn described(store: &Store) -> String {
    let db = store.open().await;
    let sql = store.pick(
        "SELECT group_concat(sql, ';') FROM sqlite_master",
        "SELECT string_agg(concat(relname, obj_description(oid, 'pg_class')), ';' ORDER BY relname) \
         FROM pg_class WHERE relname IN ('message', 'conversation')",
        "SELECT group_concat(concat(table_name, table_comment) ORDER BY table_name) \
         FROM information_schema.tables WHERE table_schema = database()",
    );
    db.rows(sql, &[]).await.unwrap()[0][0].to_string()
}

async fn arming_twice_changes_nothing_and_removing_restores(store: &Store) {
    let chats = Chats::in_store(store);
    chats.sql(store.pick(
        "SELECT 1",
        "COMMENT ON TABLE message IS 'what was ''said'''",
        "ALTER TABLE message COMMENT = 'what was ''said'' \\\\ kept'",
    ));
    let before = described(store).await;
    chats.arm(&[]);
    let armed = described(store).await;
    assert_eq!(armed.matches("chatctl").count(), 2, "{armed}");
    let again = chats.arm(&[]);
    assert_eq!(described(store).await, armed);
    assert_eq!(again["cases"][0]["reason"], "was marked before");
    chats.arm(&["--remove"]);
    assert_eq!(described(store).await, before);
    chats.arm(&["--remove"]);
    assert_eq!(described(store).await, before);
}

#[test]
fn a_store_that_forbids_writing_is_not_armed() {
    let store = Store::sqlite();
    let mut chats = Chats::in_store(&store);
    chats.url.push_str("?mode=ro");
    let output = chats.audit(&["arm"]).output().unwrap();
    let (_, err) = text(&output);
    assert_eq!(output.status.code(), Some(4), "{err}");
    assert!(
        err.contains("forbids writing") && err.contains("hint: "),
        "{err}"
    );
}
