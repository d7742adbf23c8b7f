//! What every backend does alike: one suite, run on each of them.

use crate::common::stores::{Store, execute, on_each_backend};
use chatctl::db::WriteError;
use chatctl::model::Cell;
use chatctl::store;
use std::time::Duration;

on_each_backend! {
    the_schema_is_reported_with_keys_and_references
    values_are_bound_whatever_they_hold
    odd_names_are_quoted
    a_reader_cannot_write
    a_writer_learns_what_is_in_its_way
    messages_are_read_letter_by_letter
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

async fn the_schema_is_reported_with_keys_and_references(store: &Store) {
    let db = store.open().await;
    assert!(db.schema().await.unwrap().is_empty());
    let text = store.pick("TEXT", "text", "varchar(200)");
    let sql = format!(
        "CREATE TABLE chats (a INTEGER NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b));
         CREATE TABLE messages (id INTEGER PRIMARY KEY, chat INTEGER, part INTEGER, body {text},
            FOREIGN KEY (chat, part) REFERENCES chats (a, b));
         CREATE VIEW seen AS SELECT id FROM messages"
    );
    execute(db.as_ref(), &sql).await;
    let schema = db.schema().await.unwrap();
    let told: Vec<_> = schema
        .iter()
        .flat_map(|table| {
            table.columns.iter().map(|column| {
                let reference = column.references.as_deref().unwrap_or("-");
                format!("{}.{} {} {reference}", table.name, column.name, column.key)
            })
        })
        .collect();
    let expected = [
        "chats.a true -",
        "chats.b true -",
        "messages.id true -",
        "messages.chat false chats",
        "messages.part false chats",
        "messages.body false -",
    ];
    assert_eq!(told, expected);
    let body = schema[1].column("body").unwrap();
    assert_eq!(body.declared, text.to_uppercase());
    assert!(body.holds_text());
}

async fn values_are_bound_whatever_they_hold(store: &Store) {
    let db = store.open().await;
    let (text_type, blob) = (
        store.pick("TEXT", "text", "TEXT"),
        store.pick("BLOB", "bytea", "BLOB"),
    );
    let sql = format!("CREATE TABLE t (a {text_type}, b {blob}, c BIGINT, d DOUBLE PRECISION)");
    execute(db.as_ref(), &sql).await;
    let texts = ["'; DROP TABLE t; --", "\\'", "?", "\u{1f600}\n\"`", ""];
    let mut writer = db.writer(Duration::from_secs(1)).await.unwrap();
    for held in texts {
        let row = [
            text(held),
            Cell::Blob(vec![0, 39, 92, 255]),
            Cell::Int(i64::MIN),
            Cell::Real(-0.1),
        ];
        writer
            .write("INSERT INTO t VALUES (?, ?, ?, ?)", &row)
            .await
            .unwrap();
        let found = db
            .rows("SELECT * FROM t WHERE a = ?", &row[..1])
            .await
            .unwrap();
        assert_eq!(found, [row], "{held}");
    }
    let nothing = db.rows("SELECT ?", &[Cell::Null]).await.unwrap();
    assert_eq!(nothing, [[Cell::Null]]);
}

async fn odd_names_are_quoted(store: &Store) {
    let db = store.open().await;
    for name in [
        "a b",
        "select",
        "\"",
        "`",
        "``\"\"",
        "'",
        "?",
        "\u{e4}\u{20ac}",
    ] {
        let quoted = db.quote(name);
        let sql =
            format!("CREATE TABLE {quoted} ({quoted} INTEGER); INSERT INTO {quoted} VALUES (7)");
        execute(db.as_ref(), &sql).await;
        let sql = format!("SELECT {quoted} FROM {quoted} WHERE {quoted} = ?");
        let rows = db.rows(&sql, &[Cell::Int(7)]).await.unwrap();
        assert_eq!(rows, [[Cell::Int(7)]], "{name}");
        let schema = db.schema().await.unwrap();
        let table = schema.iter().find(|table| table.name == name).unwrap();
        assert_eq!(table.columns[0].name, name);
    }
}

async fn a_reader_cannot_write(store: &Store) {
    let db = store.open().await;
    execute(
        db.as_ref(),
        "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)",
    )
    .await;
    let own = store.pick(
        "",
        "CREATE SEQUENCE s; CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'INSERT INTO t VALUES (2) RETURNING a'",
        "CREATE SEQUENCE s; CREATE TABLE old (a INT) ENGINE=MyISAM;
         CREATE FUNCTION f() RETURNS INT BEGIN INSERT INTO t VALUES (2); RETURN 1; END",
    );
    execute(db.as_ref(), own).await;
    let mut refused = vec![
        "INSERT INTO t VALUES (2)",
        "UPDATE t SET a = 2",
        "DELETE FROM t",
        "DROP TABLE t",
        "CREATE TABLE u (a INTEGER)",
        "ALTER TABLE t ADD COLUMN b INTEGER",
        "CREATE INDEX i ON t (a)",
        "CREATE VIEW v AS SELECT 1 AS a",
    ];
    refused.extend(store.pick::<&[&str]>(
        &["REPLACE INTO t VALUES (2)", "VACUUM"],
        &[
            "WITH gone AS (DELETE FROM t RETURNING a) SELECT * FROM gone",
            "SELECT f()",
            "SELECT nextval('s')",
            "SELECT setval('s', 7)",
            "SELECT a INTO u FROM t",
            "SELECT a FROM t FOR UPDATE",
            "TRUNCATE t",
            "COMMENT ON TABLE t IS 'x'",
        ],
        &[
            "SELECT f()",
            "SELECT nextval(s)",
            "INSERT INTO old VALUES (1)",
            "REPLACE INTO t VALUES (2)",
            "TRUNCATE t",
        ],
    ));
    // For that reason and no other.
    let reason = store.pick("readonly database", "read-only transaction", "READ ONLY");
    for sql in refused {
        let error = format!("{:#}", db.rows(sql, &[]).await.unwrap_err());
        assert!(error.contains(reason), "{sql}: {error}");
    }
    // It takes no second statement.
    assert!(db.rows("COMMIT; DELETE FROM t", &[]).await.is_err());
    // Each connection of a pool is one that can't write.
    let insert = || db.rows("INSERT INTO t VALUES (2)", &[]);
    let (a, b, c, d) = tokio::join!(insert(), insert(), insert(), insert());
    assert!(a.is_err() && b.is_err() && c.is_err() && d.is_err());
    let rows = db.rows("SELECT a FROM t", &[]).await.unwrap();
    assert_eq!(rows, [[Cell::Int(1)]]);
    assert!(db.rows("SELECT a FROM u", &[]).await.is_err());
}

async fn a_writer_learns_what_is_in_its_way(store: &Store) {
    let db = store.open().await;
    execute(
        db.as_ref(),
        "CREATE TABLE t (a INTEGER); INSERT INTO t VALUES (1)",
    )
    .await;
    let mut first = db.writer(Duration::ZERO).await.unwrap();
    let mut second = db.writer(Duration::ZERO).await.unwrap();
    first.execute("BEGIN; UPDATE t SET a = 2").await.unwrap();
    let busy = second.write("UPDATE t SET a = ?", &[Cell::Int(3)]).await;
    assert!(matches!(busy, Err(WriteError::Busy)), "{busy:?}");
    // What is not committed is not read, and doesn't keep a reader waiting.
    let rows = db.rows("SELECT a FROM t", &[]).await.unwrap();
    assert_eq!(rows, [[Cell::Int(1)]]);
    first.execute("ROLLBACK").await.unwrap();

    let read_only = store.pick(
        "PRAGMA query_only = on",
        "SET default_transaction_read_only = on",
        "SET SESSION TRANSACTION READ ONLY",
    );
    second.execute(read_only).await.unwrap();
    let refused = second.execute("UPDATE t SET a = 3").await;
    assert!(matches!(refused, Err(WriteError::ReadOnly)), "{refused:?}");
    let wrong = first.execute("UPDATE none SET a = 3").await;
    assert!(matches!(wrong, Err(WriteError::Other(_))), "{wrong:?}");
}

async fn messages_are_read_letter_by_letter(store: &Store) {
    let db = store.open().await;
    let key = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11";
    let (uuid, name, words) = (
        store.pick("CHAR(32)", "uuid", "CHAR(36)"),
        store.pick("TEXT", "text", "VARCHAR(20)"),
        store.pick("TEXT", "text", "TEXT"),
    );
    let stored = store.pick("a0eebc999c0b4ef8bb6d6bb9bd380a11", key, key);
    let sql = format!(
        "CREATE TABLE message (id {name} PRIMARY KEY, conversation_id {uuid}, role {name}, content {words}, position INTEGER);
         INSERT INTO message VALUES ('k', '{stored}', 'ai', 'the Nonce', 2), ('j', '{stored}', 'human', 'milk?', 1),
            ('m', NULL, 'ai', 'the nonce', 3), ('n', NULL, 'ai', NULL, 4)"
    );
    execute(db.as_ref(), &sql).await;
    let schema = db.schema().await.unwrap();
    let mapping = store::by_names(&schema).unwrap();
    let spellings = [key.to_uppercase(), key.replace('-', "")];
    for spelling in spellings {
        let found = store::conversation(db.as_ref(), &mapping, &spelling)
            .await
            .unwrap();
        let texts: Vec<_> = found
            .iter()
            .map(|m| (m.role.word(), m.content.as_str()))
            .collect();
        assert_eq!(texts, [("user", "milk?"), ("assistant", "the Nonce")]);
        assert_eq!(found[0].conversation.as_deref(), Some(stored));
    }
    let found = store::holding(db.as_ref(), &mapping, "Nonce")
        .await
        .unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].key, "k");
    let hits = store::find_text(db.as_ref(), &schema, "Nonce")
        .await
        .unwrap();
    assert_eq!((hits.len(), hits[0].rows), (1, 1));
    let by_key = |key| store::by_key(db.as_ref(), &mapping, key);
    assert_eq!(by_key("k").await.unwrap().unwrap().content, "the Nonce");
    assert_eq!(by_key("K").await.unwrap(), None);
}
