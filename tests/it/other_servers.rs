//! A snapshot through one server of a store, and a look through another: a standby that follows, a
//! standby that lags, a node of a cluster.

mod cluster;

use crate::common::servers::{Postgres, run_sql, texts};
use crate::common::{chatctl, codes, report, text};
use chatctl::db;
use chatctl::db::Target;
use chatctl::model::CellRef;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::process::{Command, Output};
use std::time::Duration;

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
        let taken = report(&mut self.audit(store, from, &["snapshot", "--overwrite", "-o"]));
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

/// No two have the same text: one that appears twice in a second would be a finding.
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

/// A standby shares its moments too.
#[test]
fn a_standby_is_read_in_several_ranges_at_a_time() {
    let (primary, standby) = pair();
    let (store, replica) = (primary.url(), standby.url());
    let folder = Folder::new();
    run_sql(
        &store,
        "INSERT INTO messages (conversation_id, role, content, created_at) \
         SELECT n % 3 + 1, 'user', concat('Question ', n), now() - interval '1 hour' FROM generate_series(1, 2000) n",
    );
    primary.reaches(&standby);
    let taken = report(&mut folder.audit(
        &store,
        &replica,
        &["snapshot", "--overwrite", "--ranges", "4", "-o"],
    ));
    assert_eq!(
        taken.0["cases"][0]["metrics"]["ranges"], 4.0,
        "{:#}",
        taken.0
    );
    for from in [&store, &replica] {
        holds(
            &report(&mut folder.audit(&store, from, &["compare", "--ranges", "3"])),
            0.0,
        );
    }
    run_sql(&store, "DELETE FROM messages WHERE id = 1900");
    primary.reaches(&standby);
    loses(&report(&mut folder.audit(
        &store,
        &replica,
        &["compare", "--ranges", "3"],
    )));
    // And so it is when the standby adds its messages up.
    let taken = report(&mut folder.audit(
        &store,
        &replica,
        &["snapshot", "--overwrite", "--quick", "-o"],
    ));
    assert_eq!(taken.1, 0, "{:#}", taken.0);
    holds(&folder.compare(&store, &replica), 0.0);
    run_sql(&store, "DELETE FROM messages WHERE id = 1901");
    primary.reaches(&standby);
    loses(&folder.compare(&store, &replica));
}

#[test]
fn a_table_that_was_made_again_is_reported_through_a_standby() {
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
        "may just be late",
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

/// The standby's replay goes before a reader, and the error says what to set.
#[test]
fn a_read_that_a_standby_ends_says_why() {
    let (primary, standby) = pair();
    run_sql(
        &standby.url(),
        "ALTER SYSTEM SET max_standby_streaming_delay = 0",
    );
    run_sql(&standby.url(), "SELECT pg_reload_conf()");
    primary.reaches(&standby);
    crate::common::stores::run(async {
        let target = Target::parse(&standby.url()).unwrap();
        let view = db::open_snapshot_read(target, &[], Duration::from_secs(60)).await;
        let view = view.unwrap();
        run_sql(&primary.url(), "DELETE FROM messages");
        run_sql(&primary.url(), "VACUUM messages");
        primary.reaches(&standby);
        let mut each = |_: &[CellRef<'_>]| Ok(ControlFlow::Continue(()));
        let ended = view.scan("SELECT id, content FROM messages", &[], &mut each);
        let error = ended.await.unwrap_err();
        assert!(error.to_string().contains("cancelled a read"), "{error:#}");
        let (outcome, hint) = chatctl::cli_error::classify(&error);
        assert_eq!(outcome.code(), 3);
        assert!(hint.unwrap().contains("hot_standby_feedback"));
    });
}

/// A standby doesn't list the transactions that run on its primary.
#[test]
fn what_ran_while_a_standby_was_read_may_come_late() {
    let (primary, standby) = pair();
    let (store, replica) = (primary.url(), standby.url());
    let folder = Folder::new();
    let late = "INSERT INTO messages (conversation_id, role, content, created_at) VALUES (3, 'user', 'Late.', now() - interval '1 hour')";
    crate::common::stores::run(async {
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
