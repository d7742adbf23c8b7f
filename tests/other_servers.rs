//! A snapshot through one server of a store, and a look through another: a standby that follows, a
//! standby that lags, a node of a cluster.
#![allow(clippy::unwrap_used)]

mod common;

use common::chatctl;
use common::codes;
use common::report;
use common::servers::Galera;
use common::servers::Postgres;
use common::servers::run_sql;
use common::servers::texts;
use common::text;
use serde_json::Value;
use sqlx::Connection as _;
use sqlx::Executor as _;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;
use std::time::Instant;

/// Where the snapshots and their key are.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// `chatctl audit` of a store that is read from this server.
    fn audit(&self, store: &str, from: &str, arguments: &[&str]) -> Command {
        let mut command = chatctl();
        command
            .arg("audit")
            .args(arguments)
            .arg(self.path("before"));
        command.args(["--database-url", store, "--read-from", from]);
        command.args(["--key", "env:AUDIT_KEY"]);
        command.env("AUDIT_KEY", "0123456789abcdef".repeat(4));
        command
    }

    #[track_caller]
    fn snapshot(&self, store: &str, from: &str) {
        let taken = report(&mut self.audit(store, from, &["snapshot", "-o"]));
        assert_eq!(taken.1, 0, "{:#}", taken.0);
    }

    fn compare(&self, store: &str, from: &str) -> (Value, i32) {
        report(&mut self.audit(store, from, &["compare", "--examples", "3"]))
    }

    /// A comparison that comes to no report.
    fn stopped(&self, store: &str, from: &str) -> Output {
        self.audit(store, from, &["compare"]).output().unwrap()
    }
}

#[track_caller]
fn holds((report, exit): &(Value, i32), appended: f64) {
    assert_eq!(*exit, 0, "{report:#}");
    assert_eq!(report["findings"], Value::Array(Vec::new()), "{report:#}");
    let metrics = &report["cases"][0]["metrics"];
    assert_eq!(metrics["appended_messages"], appended, "{report:#}");
}

/// Only lost messages are found, and nothing is said of how the tables were made.
#[track_caller]
fn loses((report, exit): &(Value, i32)) {
    assert_eq!(*exit, 1, "{report:#}");
    let errors = codes(report, "error");
    assert_eq!(errors, ["message-lost"], "{report:#}");
    let others = codes(report, "warning");
    assert_eq!(others, [] as [&str; 0], "{report:#}");
}

const CHATS: &str = "
    CREATE TABLE conversations (id BIGINT PRIMARY KEY, title VARCHAR(80) NOT NULL);
    CREATE TABLE messages (id {id} PRIMARY KEY, conversation_id BIGINT NOT NULL REFERENCES conversations (id),
        role VARCHAR(16) NOT NULL, content TEXT NOT NULL, created_at {time} NOT NULL DEFAULT CURRENT_TIMESTAMP);
    INSERT INTO conversations VALUES (1, 'one'), (2, 'two'), (3, 'three')";

/// No two have the same text: one that is there twice in a second would be a finding.
const TURN: &str = "INSERT INTO messages (conversation_id, role, content, created_at) VALUES
    (1, 'user', concat('What next? ', {any}), {then}), (1, 'assistant', concat('Buy milk. ', {any}), {then}),
    (2, 'user', concat('And then? ', {any}), {then}), (2, 'assistant', concat('Drink it. ', {any}), {then})";

/// A statement of both engines in the words of PostgreSQL.
fn postgres(sql: &str) -> String {
    sql.replace("{id}", "BIGSERIAL")
        .replace("{any}", "gen_random_uuid()")
        .replace("{time}", "TIMESTAMPTZ")
        .replace("{then}", "now() - interval '1 hour'")
}

/// A server with chats, and a standby of it.
fn pair() -> (Postgres, Postgres) {
    let primary = Postgres::start();
    run_sql(&primary.url(), &postgres(CHATS));
    run_sql(&primary.url(), &postgres(TURN));
    let standby = primary.standby();
    (primary, standby)
}

#[test]
fn what_one_server_keeps_and_loses_is_seen_through_its_standby() {
    let (primary, standby) = pair();
    let (store, replica) = (primary.url(), standby.url());
    let folder = Folder::new();
    for [first, second] in [[&store, &replica], [&replica, &store], [&replica, &replica]] {
        primary.reaches(&standby);
        folder.snapshot(&store, first);
        primary.reaches(&standby);
        holds(&folder.compare(&store, second), 0.0);
        run_sql(&store, &postgres(TURN));
        primary.reaches(&standby);
        holds(&folder.compare(&store, second), 4.0);
        run_sql(
            &store,
            "DELETE FROM messages WHERE id = (SELECT max(id) - 5 FROM messages)",
        );
        primary.reaches(&standby);
        loses(&folder.compare(&store, second));
    }
    assert_eq!(
        texts(&replica, "SELECT pg_is_in_recovery()::text"),
        ["true"]
    );
}

#[test]
fn a_table_that_was_made_anew_is_told_through_a_standby() {
    let (primary, standby) = pair();
    let (store, replica) = (primary.url(), standby.url());
    let folder = Folder::new();
    folder.snapshot(&store, &store);
    run_sql(
        &store,
        &format!("DROP TABLE messages, conversations; {}", postgres(CHATS)),
    );
    primary.reaches(&standby);
    let (report, exit) = folder.compare(&store, &replica);
    assert_eq!(exit, 1);
    assert!(
        codes(&report, "error").contains(&"table-recreated"),
        "{report:#}"
    );
}

/// What has not come yet is not lost, and the report says that nothing could be told.
#[test]
fn a_standby_that_lags_behind_the_snapshot_is_not_judged() {
    let (primary, standby) = pair();
    let (store, replica) = (primary.url(), standby.url());
    let folder = Folder::new();
    primary.reaches(&standby);
    standby.pause(true);
    run_sql(&store, &postgres(TURN));
    folder.snapshot(&store, &store);
    let stopped = folder.stopped(&store, &replica);
    let (told, errors) = text(&stopped);
    assert_eq!(
        (stopped.status.code(), told.as_str()),
        (Some(3), ""),
        "{errors}"
    );
    for part in [
        "may only be late",
        "hint: wait until",
        "pg_last_wal_replay_lsn() >= '0/",
    ] {
        assert!(errors.contains(part), "{errors}");
    }
    standby.pause(false);
    primary.reaches(&standby);
    let compared = folder
        .audit(&store, &replica, &["compare"])
        .output()
        .unwrap();
    let (told, errors) = text(&compared);
    assert_eq!(compared.status.code(), Some(0), "{told}{errors}");
    assert!(errors.contains("is a standby"), "{errors}");
}

/// A standby doesn't list the transactions that run on its primary.
#[test]
fn what_ran_while_a_standby_was_read_may_come_late() {
    let (primary, standby) = pair();
    let (store, replica) = (primary.url(), standby.url());
    let folder = Folder::new();
    let late = "INSERT INTO messages (conversation_id, role, content, created_at) VALUES (3, 'user', 'Late.', now() - interval '1 hour')";
    common::stores::run(async {
        let mut writer = sqlx::PgConnection::connect(&store).await.unwrap();
        let mut open = writer.begin().await.unwrap();
        open.execute(late).await.unwrap();
        run_sql(&store, &postgres(TURN));
        primary.reaches(&standby);
        folder.snapshot(&store, &replica);
        open.commit().await.unwrap();
    });
    primary.reaches(&standby);
    for from in [&store, &replica] {
        let compared = folder.compare(&store, from);
        holds(&compared, 0.0);
        assert_eq!(compared.0["cases"][0]["metrics"]["late_messages"], 1.0);
    }
}

/// The same in the words of MariaDB.
fn mysql(sql: &str) -> String {
    sql.replace("{id}", "BIGINT AUTO_INCREMENT")
        .replace("{any}", "uuid()")
        .replace("{time}", "DATETIME")
        .replace("{then}", "utc_timestamp() - INTERVAL 1 HOUR")
}

const NOW: &str = "INSERT INTO messages (conversation_id, role, content, created_at)
    VALUES (3, 'user', concat('And now? ', uuid()), utc_timestamp())";

/// The evidence in a report's notes is no finding; that a table can't be judged is said.
#[track_caller]
fn says_what_is_not_known(folder: &Folder, store: &str, from: &str) {
    let compared = folder.audit(store, from, &["compare"]).output().unwrap();
    let (told, errors) = text(&compared);
    assert_eq!(compared.status.code(), Some(0), "{told}{errors}");
    assert!(
        errors.contains("looked at through another server"),
        "{errors}"
    );
}

#[test]
fn what_a_cluster_keeps_and_loses_is_seen_through_every_node() {
    let cluster = Galera::start(3);
    let [first, second, third] = [0, 1, 2].map(|node| cluster.url(node));
    let folder = Folder::new();
    // A table that only the second node had: from now on it gives other numbers.
    let own = "SET SESSION wsrep_on = OFF; CREATE TABLE own (id INT); DROP TABLE own";
    run_sql(&second, own);
    run_sql(&first, &mysql(CHATS));
    run_sql(&first, &mysql(TURN));
    let number =
        "SELECT table_id FROM information_schema.innodb_sys_tables WHERE name = 'chat/messages'";
    let [here, there] = [&first, &second].map(|node| settled(node, number));
    assert_ne!(here, there, "a table has another number at each node");
    folder.snapshot(&first, &first);
    for node in [&first, &second, &third] {
        holds(&folder.compare(&first, node), 0.0);
    }
    says_what_is_not_known(&folder, &first, &second);
    // Each node hands out ids of its own, and what it is given is at once in the others.
    for node in [&second, &third] {
        run_sql(node, &mysql(TURN));
    }
    for node in [&first, &second, &third] {
        holds(&folder.compare(&first, node), 8.0);
    }

    let done = AtomicBool::new(false);
    let written = std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut written = 0;
            while !done.load(Ordering::Relaxed) || written < 10 {
                run_sql(&second, NOW);
                written += 1;
            }
            written
        });
        folder.snapshot(&first, &first);
        holds_at_least(&folder.compare(&first, &third));
        done.store(true, Ordering::Relaxed);
        writer.join().unwrap()
    });
    assert!(written >= 10);
    for node in [&first, &second, &third] {
        holds_at_least(&folder.compare(&first, node));
    }

    run_sql(
        &third,
        "DELETE FROM messages WHERE id = (SELECT min(id) FROM messages)",
    );
    for node in [&first, &second, &third] {
        loses(&folder.compare(&first, node));
    }
}

/// An answer of a node that has applied all that was committed before the question.
fn settled(node: &str, sql: &str) -> Vec<String> {
    run_sql(node, "SET SESSION wsrep_sync_wait = 1; SELECT 1");
    texts(node, sql)
}

/// It may have grown meanwhile.
#[track_caller]
fn holds_at_least(compared: &(Value, i32)) {
    let appended = &compared.0["cases"][0]["metrics"]["appended_messages"];
    holds(compared, appended.as_f64().unwrap_or(0.0));
}

/// The sentinel is in the table's definition, which every node has.
#[test]
fn a_table_that_was_armed_proves_its_making_through_every_node() {
    let cluster = Galera::start(2);
    let [first, second] = [0, 1].map(|node| cluster.url(node));
    let folder = Folder::new();
    run_sql(&first, &mysql(CHATS));
    run_sql(&first, &mysql(TURN));
    let armed = chatctl()
        .args(["audit", "arm", "--database-url", &first])
        .output()
        .unwrap();
    assert!(armed.status.success(), "{:?}", text(&armed));
    folder.snapshot(&first, &first);
    holds(&folder.compare(&first, &second), 0.0);
    run_sql(
        &second,
        &format!("DROP TABLE messages, conversations; {}", mysql(CHATS)),
    );
    run_sql(&second, &mysql(TURN));
    for node in [&first, &second] {
        let (report, exit) = folder.compare(&first, node);
        assert_eq!(exit, 1, "{report:#}");
        assert!(
            codes(&report, "error").contains(&"table-recreated"),
            "{report:#}"
        );
    }
}

/// A node that applies nothing for a while is waited for: what it has not applied is not lost.
#[test]
fn a_node_that_is_behind_is_waited_for() {
    let cluster = Galera::start(2);
    let [first, second] = [0, 1].map(|node| cluster.url(node));
    let folder = Folder::new();
    run_sql(&first, &mysql(CHATS));
    settled(&second, "SELECT 1");
    common::stores::run(async {
        let mut holder = sqlx::MySqlConnection::connect(&second).await.unwrap();
        let stop = "FLUSH TABLES WITH READ LOCK";
        holder.execute(stop).await.unwrap();
        run_sql(&first, &mysql(TURN));
        folder.snapshot(&first, &first);
        assert_eq!(texts(&second, "SELECT count(*) FROM messages"), ["0"]);
        let mut comparing = folder.audit(&first, &second, &["compare"]);
        comparing.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut comparing = comparing.spawn().unwrap();
        let waits = "SELECT id FROM information_schema.processlist WHERE info LIKE 'SELECT table_name FROM %'";
        let deadline = Instant::now() + Duration::from_secs(20);
        while texts(&second, waits).is_empty() {
            assert!(Instant::now() < deadline, "nobody waits");
            assert!(comparing.try_wait().unwrap().is_none(), "it did not wait");
            std::thread::sleep(Duration::from_millis(20));
        }
        holder.execute("UNLOCK TABLES").await.unwrap();
        let compared = comparing.wait_with_output().unwrap();
        assert_eq!(compared.status.code(), Some(0), "{:?}", text(&compared));
    });
}
