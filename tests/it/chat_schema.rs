//! The chat schema that chatctl ships, on each backend: it applies once, is what its migrations
//! make, and keeps out what a chat store must not hold.

use crate::common::stores::Store;
use crate::common::{report, root, servers, stores};
use chatctl::audit::arm;
use chatctl::audit::arm::Act;
use std::fs;
use std::process::Command;
use std::time::Duration;

fn migrate(store: &Store, backend: &str, sub: &str) -> Command {
    let mut command = crate::common::chatctl();
    command
        .args(["migrate", sub, "--database-url", &store.url(), "--dir"])
        .arg(root().join("migrations").join(backend));
    command
}

fn applies(store: &Store, backend: &str) {
    for (sub, exit) in [
        ("plan", 10),
        ("up", 0),
        ("plan", 0),
        ("drift", 0),
        ("verify", 0),
    ] {
        let (report, code) = report(&mut migrate(store, backend, sub));
        assert_eq!(code, exit, "{sub}: {report:#}");
    }
    let (report, _) = report(&mut migrate(store, backend, "up"));
    let reason = report["cases"][0]["reason"].as_str().unwrap();
    assert!(reason.contains("already"), "{report:#}");
}

/// The sentinels of an armed store are no part of its schema.
fn stays_as_it_is_when_armed(store: &Store, backend: &str) {
    stores::run(async {
        let db = store.open().await;
        let tables = ["conversation", "message"].map(str::to_owned);
        let armed = arm::run(db.as_ref(), &tables, Act::Arm, Duration::from_secs(5)).await;
        assert_eq!(armed.unwrap(), tables);
    });
    for sub in ["plan", "drift", "verify"] {
        let (report, code) = report(&mut migrate(store, backend, sub));
        assert_eq!(code, 0, "{sub}: {report:#}");
    }
}

#[test]
fn on_sqlite() {
    let store = Store::sqlite();
    applies(&store, "sqlite");
    stays_as_it_is_when_armed(&store, "sqlite");
}

/// A rebuild takes the sentinel along, and that is no index that somebody misses.
#[test]
fn a_rebuild_of_an_armed_table_loses_nothing() {
    let store = Store::sqlite();
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, sql: &str| fs::write(folder.path().join(name), sql).unwrap();
    let up = || {
        let mut command = crate::common::chatctl();
        command.args(["migrate", "up", "--database-url", &store.url(), "--dir"]);
        report(command.arg(folder.path()))
    };
    write(
        "0001_make.sql",
        "CREATE TABLE message (id INTEGER PRIMARY KEY, content TEXT); INSERT INTO message VALUES (1, 'hi');",
    );
    assert_eq!(up().1, 0);
    stores::run(async {
        let db = store.open().await;
        let tables = ["message".to_owned()];
        let armed = arm::run(db.as_ref(), &tables, Act::Arm, Duration::from_secs(5)).await;
        assert_eq!(armed.unwrap(), tables);
    });
    write(
        "0002_rebuild.sql",
        "CREATE TABLE n (id INTEGER PRIMARY KEY, content TEXT NOT NULL); INSERT INTO n SELECT * FROM message;
        DROP TABLE message; ALTER TABLE n RENAME TO message;",
    );
    let (report, code) = up();
    assert_eq!(code, 0, "{report:#}");
    assert_eq!(
        report["findings"].as_array().unwrap().len(),
        0,
        "{report:#}"
    );
}

#[test]
fn on_postgres() {
    let store = Store::postgres();
    applies(&store, "postgres");
    stays_as_it_is_when_armed(&store, "postgres");
    let tables = "SELECT count(*)::text FROM pg_tables WHERE tablename IN ('user', 'task', 'conversation', 'message')";
    assert_eq!(servers::texts(&store.url(), tables), ["4"]);
}

#[test]
fn on_mysql() {
    let store = Store::mysql();
    applies(&store, "mysql");
    stays_as_it_is_when_armed(&store, "mysql");
    let left = servers::texts(&store.url(), "SHOW DATABASES LIKE 'chatctl%'");
    assert_eq!(left, [""; 0], "scratch databases are removed");
}
