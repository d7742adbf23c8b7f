//! On PostgreSQL and MariaDB: the experiment, and what is asked of the store next to it.

use crate::common::stores::{Store, execute, on_each_backend};
use crate::common::{Chat, chatctl, codes, errors, report, servers};
use crate::restart::{is_clean, session};
use chatctl::db::Db;
use serde_json::Value;

/// How often the server that is right is killed here: each time Python starts again.
const KILLS: usize = 4;

/// A chat server that is told to store in this database.
fn audit_on(store: &Store, mode: &'static str, stop: &str, rounds: usize) -> (Value, i32) {
    let chat = Chat::new(mode).stack("sync");
    let (url, driver) = (store.url(), store.pick("", "postgres", "mysql"));
    assert!(url.starts_with(driver));
    let start = chat.start().replace(
        "DATABASE_PATH={database_path}",
        "DATABASE_URL={database_url}",
    );
    report(
        chatctl()
            .args(["audit", "restart", &session(chat.folder.path())])
            .args([
                "--database-url",
                &url,
                "--ready",
                "/health",
                "--start",
                &start,
            ])
            .args(["--stop", stop, "--rounds", &rounds.to_string()])
            .args(["--settle", "500ms"]),
    )
}

/// The bad ones are named on the servers too, and the good one is clean there.
async fn is_named(store: &Store) {
    let (report, exit) = audit_on(store, "correct", "kill,kill-in-stream", 1);
    is_clean(&report, exit, 2);
    assert!(
        codes(&report, "warning").contains(&"role-may-drop"),
        "{report:#}"
    );
    for (mode, stop, code) in [
        ("acknowledge_then_flush", "kill", "message-lost-on-kill"),
        ("hard_reset", "term", "conversation-not-found"),
    ] {
        let (report, exit) = audit_on(store, mode, stop, 1);
        assert!(
            errors(&report).contains(&code),
            "{mode}: no {code} in {report:#}"
        );
        assert_eq!(exit, 1);
        // The table looks as it did; the catalogue knows that it is another one.
        let told = [errors(&report), codes(&report, "warning")].concat();
        assert_eq!(
            told.contains(&"table-recreated"),
            mode == "hard_reset",
            "{report:#}"
        );
    }
}

/// Killed again and again, it loses nothing.
async fn is_clean_over_kills(store: &Store) {
    let (report, exit) = audit_on(store, "correct", "kill", KILLS);
    is_clean(&report, exit, KILLS);
    let last = &report["cases"][KILLS - 1]["metrics"];
    assert_eq!(last["conversations"], KILLS as f64, "{report:#}");
}

/// The declared store never sees the chats: the server keeps them in memory, or in a database that
/// it makes again at each start. And one that has no tables for them.
async fn is_kept_elsewhere(store: &Store) {
    for mode in ["in_memory", "ephemeral_path"] {
        let (report, exit) = audit_on(store, mode, "term", 1);
        assert_eq!(
            errors(&report),
            ["conversation-not-found", "store-not-durable"],
            "{mode}: {report:#}"
        );
        assert_eq!(exit, 1);
        let findings = report["findings"].as_array().unwrap();
        let elsewhere = findings
            .iter()
            .find(|finding| finding["code"] == "store-not-durable")
            .unwrap();
        let help = elsewhere["help"].as_str().unwrap();
        assert!(help.contains("--database-url"), "{help}");
        assert_eq!(
            elsewhere["evidence"].to_string().contains("database chat_"),
            mode == "ephemeral_path",
            "{mode}: {elsewhere:#}"
        );
    }
    let (report, exit) = audit_on(store, "missing_models", "term", 1);
    assert_eq!(errors(&report), ["models-not-imported"], "{report:#}");
    assert_eq!(exit, 1);
}

const TABLE: &str = "CREATE TABLE message (id INT PRIMARY KEY, conversation_id VARCHAR(32), role VARCHAR(20), \
    content TEXT, created_at TIMESTAMP NULL)";

/// What the store's settings and its login's rights are found to be.
async fn preflight(db: &dyn Db) -> Vec<(&'static str, String)> {
    let schema = db.schema().await.unwrap();
    let mapping = chatctl::store::by_names(&schema).unwrap();
    let findings = chatctl::audit::restart::preflight(db, &mapping)
        .await
        .unwrap();
    let told = findings.into_iter();
    told.map(|finding| {
        let facts: Vec<_> = finding.evidence.into_iter().map(|e| e.fact).collect();
        (finding.code, facts.join("; "))
    })
    .collect()
}

fn fact<'a>(told: &'a [(&'static str, String)], code: &str) -> Option<&'a str> {
    let mut told = told.iter();
    told.find(|(known, _)| *known == code)
        .map(|(_, fact)| fact.as_str())
}

/// A login that owns the tables may drop them; one that may write rows only may not.
async fn a_login_that_may_drop(store: &Store) {
    let db = store.open().await;
    execute(db.as_ref(), TABLE).await;
    assert!(fact(&preflight(db.as_ref()).await, "role-may-drop").is_some());
    let grant = store.pick(
        "",
        "CREATE ROLE app LOGIN PASSWORD 'app'; GRANT SELECT, INSERT, UPDATE, DELETE ON message TO app",
        "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'app'; GRANT SELECT, INSERT, UPDATE, DELETE ON chat.* TO app@'127.0.0.1'",
    );
    servers::run_sql(&store.url(), grant);
    let app = db.target().for_user("app", "app");
    let app = chatctl::db::open(app).await.unwrap();
    assert_eq!(fact(&preflight(app.as_ref()).await, "role-may-drop"), None);
}

/// Settings and kinds of tables that lose what was committed.
async fn a_store_that_is_not_durable(store: &Store) {
    let db = store.open().await;
    execute(db.as_ref(), TABLE).await;
    let (bad, good) = store.pick(
        ("", ""),
        (
            "ALTER TABLE message SET UNLOGGED; ALTER SYSTEM SET synchronous_commit = off; SELECT pg_reload_conf()",
            "ALTER TABLE message SET LOGGED; ALTER SYSTEM SET synchronous_commit = on; ALTER SYSTEM SET fsync = on; \
             ALTER SYSTEM SET full_page_writes = on; SELECT pg_reload_conf()",
        ),
        (
            "SET GLOBAL innodb_flush_log_at_trx_commit = 2",
            "SET GLOBAL innodb_flush_log_at_trx_commit = 1",
        ),
    );
    let words = store.pick("", "UNLOGGED", "innodb_flush_log_at_trx_commit");
    for statement in bad.split(';') {
        servers::run_sql(&store.url(), statement);
    }
    let told = preflight(store.open().await.as_ref()).await;
    assert!(
        fact(&told, "store-not-durable").unwrap().contains(words),
        "{told:?}"
    );
    for statement in good.split(';') {
        servers::run_sql(&store.url(), statement);
    }
    let told = preflight(store.open().await.as_ref()).await;
    assert!(
        !fact(&told, "store-not-durable")
            .unwrap_or_default()
            .contains(words),
        "{told:?}"
    );
}

on_each_backend!(postgres: is_named is_clean_over_kills is_kept_elsewhere a_login_that_may_drop a_store_that_is_not_durable);
on_each_backend!(mysql: is_named is_clean_over_kills is_kept_elsewhere a_login_that_may_drop a_store_that_is_not_durable);
