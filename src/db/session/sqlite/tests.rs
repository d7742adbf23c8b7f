//! A session on real files.
#![allow(clippy::unwrap_used)]

use super::Duration;
use super::Missing;
use super::Session;
use super::Target;
use crate::model::Measured;

const HISTORY: &str = "_sqlx_migrations";

fn session(sql: &str) -> (tempfile::TempDir, Session) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("t.db").display());
    let session = Session::open(
        &Target::parse(&url).unwrap(),
        Missing::Create,
        Duration::ZERO,
    )
    .unwrap();
    session.command(sql).unwrap();
    (folder, session)
}

fn after(session: &Session, sql: &str) -> Measured {
    session.command(sql).unwrap();
    session.measure(HISTORY).unwrap()
}

#[test]
fn a_rebuild_measures_the_same_and_a_swap_does_not() {
    let (_folder, session) = session(
        "CREATE TABLE m (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO m VALUES (1, 'a'), (2, 'b'), (3, NULL)",
    );
    let before = session.measure(HISTORY).unwrap();
    assert_eq!(
        (
            before.tables["m"].rows,
            before.tables["m"].columns["body"].filled
        ),
        (3, 2)
    );
    let rebuilt = after(
        &session,
        "CREATE TABLE n (id INTEGER PRIMARY KEY, body TEXT); INSERT INTO n SELECT * FROM m ORDER BY id DESC;
         DROP TABLE m; ALTER TABLE n RENAME TO m",
    );
    assert_eq!(rebuilt, before);
    let swapped = after(
        &session,
        "UPDATE m SET body = CASE id WHEN 1 THEN 'b' ELSE 'a' END WHERE id < 3",
    );
    assert_ne!(
        swapped.tables["m"].columns["body"],
        before.tables["m"].columns["body"]
    );
}

#[test]
fn a_temporary_table_does_not_hide_the_real_one() {
    let (_folder, session) =
        session("CREATE TABLE m (id INTEGER PRIMARY KEY); INSERT INTO m VALUES (1)");
    let now = after(
        &session,
        "CREATE TEMP TABLE m AS SELECT * FROM main.m; DELETE FROM main.m",
    );
    assert_eq!(now.tables["m"].rows, 0);
}

#[test]
fn a_statement_that_fails_is_named() {
    let (_folder, session) = session("");
    let failed = session
        .run(
            "CREATE TABLE a (x); CREATE TABLE a (x); SELECT 1",
            HISTORY,
            |_| Ok(()),
        )
        .unwrap_err();
    assert_eq!(failed.statement, 1);
    assert!(failed.message.contains("already exists"));
}

#[test]
fn what_would_get_around_the_measure_is_not_let_through() {
    let (_folder, session) = session("CREATE TABLE _sqlx_migrations (version)");
    session.command("BEGIN").unwrap();
    for (sql, says) in [
        ("COMMIT", "own transaction"),
        ("ROLLBACK", "own transaction"),
        ("BEGIN", "own transaction"),
        ("ATTACH ':memory:' AS o", "ATTACH"),
        ("PRAGMA writable_schema = ON", "writable_schema"),
        ("DELETE FROM _sqlx_migrations", "history"),
        ("DROP TABLE _sqlx_migrations", "history"),
        (
            "CREATE TEMP TABLE Chatctl_before_0 (x)",
            "take another name",
        ),
    ] {
        let failed = session.run(sql, HISTORY, |_| Ok(())).unwrap_err();
        assert!(failed.message.contains(says), "{sql}: {}", failed.message);
    }
    session
        .run(
            "SAVEPOINT a; RELEASE a; PRAGMA foreign_keys = OFF",
            HISTORY,
            |_| Ok(()),
        )
        .unwrap();
    session.command("COMMIT").unwrap();
}
