//! The chat schema that chatctl ships, on each backend: it applies once, is what its migrations
//! make, and keeps out what a chat store must not hold.
#![allow(clippy::unwrap_used)]

mod common;

use common::report;
use common::root;
use common::servers;
use common::stores::Store;
use std::process::Command;

fn migrate(store: &Store, backend: &str, sub: &str) -> Command {
    let mut command = common::chatctl();
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

#[test]
fn on_sqlite() {
    applies(&Store::sqlite(), "sqlite");
}

#[test]
fn on_postgres() {
    let store = Store::postgres();
    applies(&store, "postgres");
    let tables = "SELECT count(*)::text FROM pg_tables WHERE tablename IN ('user', 'task', 'conversation', 'message')";
    assert_eq!(servers::texts(&store.url(), tables), ["4"]);
}

#[test]
fn on_mysql() {
    let store = Store::mysql();
    applies(&store, "mysql");
    let left = servers::texts(&store.url(), "SHOW DATABASES LIKE 'chatctl%'");
    assert_eq!(left, [""; 0], "scratch databases are removed");
}
