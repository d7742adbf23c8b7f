//! Several at once: replicas of chatctl that start together, sqlx's own migrator next to them, a
//! holder that is killed, and a chat server that goes on writing while a migration waits.

use crate::common::faults::holder::{Holder, runtime, until_waiting};
use crate::common::faults::store::{Host, Running, STEPS, Store, until};
use crate::common::servers;
use sqlx::migrate::{Migrate as _, Migrator};
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many start at once.
const REPLICAS: usize = 8;
/// How often they do.
const ROUNDS: usize = 3;
/// What can't be run twice and not in a transaction either.
const CONCURRENTLY: &str = "-- no-transaction
INSERT INTO runs VALUES (1), (2);
CREATE INDEX CONCURRENTLY by_role ON messages (role);
CREATE INDEX CONCURRENTLY by_note ON messages (note);
";

/// Starts them all; exactly one does something, and none complains.
fn all_at_once(store: &Store) {
    let running: Vec<_> = (0..REPLICAS).map(|_| store.spawn(&[])).collect();
    let ended: Vec<_> = running.into_iter().map(Running::ended).collect();
    for it in &ended {
        assert_eq!(it.exit, 0, "{it:?}");
    }
    let idle = ended.iter().filter(|it| it.found_nothing_to_do()).count();
    assert_eq!(idle, REPLICAS - 1, "{ended:?}");
}

fn one_of_eight_applies(host: &Host) {
    for round in 0..ROUNDS {
        let there = host.store(&format!("there_{round}"));
        let new = host.empty(&format!("new_{round}"));
        new.begin();
        for store in [there, new] {
            store.change(None);
            all_at_once(&store);
            store.is_at_head();
        }
    }
}

#[test]
fn one_of_eight_applies_on_sqlite() {
    one_of_eight_applies(&Host::sqlite());
}

#[test]
fn one_of_eight_applies_on_postgres() {
    one_of_eight_applies(&Host::postgres());
}

#[test]
fn one_of_eight_applies_on_mysql() {
    one_of_eight_applies(&Host::mysql());
}

/// The indexes of messages that were made, and whether they can be used.
fn indexes(store: &Store) -> Vec<String> {
    servers::texts(
        &store.url,
        "SELECT indexrelid::regclass || ' ' || indisvalid FROM pg_index \
         WHERE indexrelid::regclass::text LIKE 'by\\_%' ORDER BY 1",
    )
}

#[track_caller]
fn has_both_indexes(store: &Store) {
    assert_eq!(indexes(store), ["by_note true", "by_role true"]);
    assert_eq!(store.backend.count(&store.url, "runs"), 2);
    assert_eq!(store.status().1, 0);
}

#[test]
fn one_of_eight_makes_the_indexes_that_others_would_wait_for() {
    let host = Host::postgres();
    for round in 0..ROUNDS {
        let there = host.store(&format!("there_{round}"));
        let new = host.empty(&format!("new_{round}"));
        new.begin();
        for store in [there, new] {
            store.file("2_change.sql", CONCURRENTLY);
            all_at_once(&store);
            has_both_indexes(&store);
        }
    }
}

/// Runs sqlx's migrator on the store, as a server that embeds it does when it starts.
fn sqlx_runs(store: &Store) -> Result<(), sqlx::migrate::MigrateError> {
    runtime().block_on(async {
        let migrator = Migrator::new(store.path("migrations")).await.unwrap();
        let mut connection = PgConnection::connect(&store.url).await.unwrap();
        migrator.run(&mut connection).await
    })
}

#[test]
fn sqlx_and_chatctl_apply_once_together() {
    let host = Host::postgres();
    for round in 0..ROUNDS {
        let store = host.store(&format!("both_{round}"));
        store.change(None);
        std::thread::scope(|scope| {
            let theirs: Vec<_> = (0..3).map(|_| scope.spawn(|| sqlx_runs(&store))).collect();
            let ours: Vec<_> = (0..3).map(|_| store.spawn(&[])).collect();
            for it in ours.into_iter().map(Running::ended) {
                assert_eq!(it.exit, 0, "{it:?}");
            }
            for it in theirs {
                it.join().unwrap().unwrap();
            }
        });
        store.is_at_head();
    }
}

/// The wait for somebody else's turn has an end, and says what to do.
#[test]
fn chatctl_waits_for_sqlx_no_longer_than_it_is_asked_to() {
    let host = Host::postgres();
    let store = host.store("waits");
    store.change(None);
    let runtime = runtime();
    let mut sqlx = runtime.block_on(async {
        let mut connection = PgConnection::connect(&store.url).await.unwrap();
        connection.lock().await.unwrap();
        connection
    });
    let ended = store.up(&["--lock-wait", "300ms"]);
    assert_eq!(ended.exit, 3, "{ended:?}");
    assert!(ended.errors.contains("--lock-wait"), "{ended:?}");
    assert_eq!(store.status(), ("pending".to_owned(), 10));
    let mut patient = store.spawn(&[]);
    // Its second connection asks again and again for the turn.
    until("chatctl to ask for its turn", || {
        let asks = "SELECT query FROM pg_stat_activity WHERE application_name = 'chatctl' AND query LIKE '%pg_try_advisory_lock%'";
        servers::texts(&store.url, asks).pop()
    });
    assert!(patient.is_running());
    runtime.block_on(sqlx.unlock()).unwrap();
    let ended = patient.ended();
    assert_eq!(ended.exit, 0, "{ended:?}");
    store.is_at_head();
}

/// sqlx waits in the database, with a snapshot that CREATE INDEX CONCURRENTLY would wait for.
#[test]
fn a_waiting_sqlx_does_not_keep_an_index_from_being_made() {
    let host = Host::postgres();
    let store = host.store("index");
    store.file("2_change.sql", CONCURRENTLY);
    let holder = Holder::new(&store, "LOCK TABLE messages IN ROW EXCLUSIVE MODE");
    let running = store.spawn(&[]);
    until_waiting(&store, "CREATE INDEX CONCURRENTLY");
    std::thread::scope(|scope| {
        let sqlx = scope.spawn(|| sqlx_runs(&store));
        until("sqlx to have come to an end, or to its wait", || {
            let waits =
                "SELECT pid::text FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
            (sqlx.is_finished() || !servers::texts(&store.url, waits).is_empty()).then_some(())
        });
        holder.release();
        let ended = running.ended();
        assert_eq!(ended.exit, 0, "{ended:?}");
        // It may have seen the version in the middle, which it calls dirty.
        let _ = sqlx.join().unwrap();
    });
    has_both_indexes(&store);
    sqlx_runs(&store).unwrap();
}

/// Who waits for a holder that is killed goes on: its place goes with its connection.
fn the_next_goes_on_when_the_holder_is_killed(host: &Host) {
    let store = host.store("killed");
    store.change(None);
    let (statement, table) = STEPS[0];
    let rows = Holder::of_rows(&store, table);
    let first = store.spawn(&["--lock-timeout", "80s"]);
    until_waiting(&store, statement);
    let ended = store.up(&["--lock-wait", "300ms"]);
    assert_eq!(ended.exit, 3, "{ended:?}");
    assert!(ended.errors.contains("--lock-wait"), "{ended:?}");
    let second = store.spawn(&[]);
    first.kill();
    rows.release();
    let ended = second.ended();
    assert_eq!(ended.exit, 0, "{ended:?}");
    store.is_at_head();
}

#[test]
fn the_next_goes_on_when_the_holder_is_killed_on_postgres() {
    the_next_goes_on_when_the_holder_is_killed(&Host::postgres());
}

#[test]
fn the_next_goes_on_when_the_holder_is_killed_on_mysql() {
    the_next_goes_on_when_the_holder_is_killed(&Host::mysql());
}

/// A killed chatctl waits on in the server, and everybody else behind it, unless the server
/// notices that nobody waits for the answer.
#[test]
fn a_killed_holder_keeps_nobody_from_the_table() {
    let host = Host::postgres();
    let store = host.store("killed");
    store.change(None);
    let (statement, table) = STEPS[0];
    let _reader = Holder::of_rows(&store, table);
    let first = store.spawn(&["--lock-timeout", "600s"]);
    until_waiting(&store, statement);
    first.kill();
    // Reading goes behind the one that waits to alter the table, which would be ten minutes.
    let began = Instant::now();
    assert_eq!(store.backend.count(&store.url, table), 2);
    assert!(began.elapsed() < crate::common::faults::store::BOUND);
}

/// The longest that a writer waited for one message to be stored.
fn worst_stall(store: &Store, stop: &AtomicBool) -> Duration {
    runtime().block_on(async {
        let mut connection = PgConnection::connect(&store.url).await.unwrap();
        let mut worst = Duration::ZERO;
        for id in 5000.. {
            if stop.load(Ordering::SeqCst) {
                break;
            }
            let sql = format!(
                "INSERT INTO messages (id, conversation_id, role) VALUES ({id}, 1, 'user')"
            );
            let began = Instant::now();
            connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
            worst = worst.max(began.elapsed());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        worst
    })
}

/// A reader keeps the migration waiting; what queues behind the migration waits only for as long
/// as one try does.
#[test]
fn a_migration_that_waits_lets_the_chat_go_on() {
    let host = Host::postgres();
    let store = host.store("stall");
    store.file("2_change.sql", "ALTER TABLE messages ADD COLUMN lang TEXT");
    // As in a database that chatctl was not in before: each try makes the journal again.
    servers::run_sql(&store.url, "DROP TABLE _chatctl_journal");
    let reader = Holder::new(&store, "SELECT count(*) FROM messages");
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| worst_stall(&store, &stop));
        let mut running = store.spawn(&["--lock-timeout", "200ms", "--retries", "1000"]);
        let tries = "SELECT n::text FROM (SELECT deadlocks + xact_rollback AS n FROM pg_stat_database WHERE datname = current_database()) AS t WHERE n >= 3";
        until("three tries to have ended", || {
            servers::texts(&store.url, tries).pop()
        });
        assert!(running.is_running());
        reader.release();
        let ended = running.ended();
        stop.store(true, Ordering::SeqCst);
        let worst = writer.join().unwrap();
        assert_eq!(ended.exit, 0, "{ended:?}");
        // A try is 200 ms; what is more is what a busy machine takes.
        assert!(worst < Duration::from_millis(2200), "{worst:?}");
        assert!(
            worst > Duration::from_millis(50),
            "the writer never met it: {worst:?}"
        );
    });
    assert_eq!(
        store.backend.count(&store.url, "messages WHERE id <= 1000"),
        1000
    );
    assert_eq!(store.status().1, 0);
}
