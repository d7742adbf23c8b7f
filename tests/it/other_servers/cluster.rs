//! The nodes of a Galera cluster.

use super::{CHATS, Folder, TURN, holds, loses};
use crate::common::servers::{Galera, run_sql, texts};
use crate::common::stores::run;
use crate::common::{chatctl, codes, text};
use serde_json::Value;
use sqlx::{Connection as _, Executor as _};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

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
    assert!(errors.contains("read through another server"), "{errors}");
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
    run(async {
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
