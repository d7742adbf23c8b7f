//! The application writes on while a snapshot is taken and while it is compared: nothing is found.

use super::chats::{Chats, KEY, now, text};
use super::faults::{compare, take};
use crate::common::stores::{Store, on_each_backend, trials};
use sqlx::{Connection as _, MySqlConnection, PgConnection};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

on_each_backend! { growth_while_a_snapshot_is_taken }

/// Says something in each of its transactions, some of which last longer than others, until told to
/// stop; counts what it has said. After each it rests for as long: what is written while a snapshot
/// is taken has to be read by the next look, and writers that do nothing else write faster than
/// that.
fn write(url: &str, writer: u64, stop: &AtomicBool, said: &AtomicU64) {
    let now = now(url);
    let mut random = fastrand::Rng::with_seed(writer);
    let mut transaction = || {
        let lasts = random.u64(0..4_000);
        let row = |random: &mut fastrand::Rng| {
            let text = text(&format!("said by {writer}: {}", random.u64(..)));
            let (of, role) = (random.u8(1..=9), ["user", "assistant"][random.usize(..2)]);
            format!(
                "INSERT INTO message (conversation_id, role, parts, created_at) VALUES ({of}, '{role}', {text}, {now})"
            )
        };
        let one = row(&mut random);
        // Rows of a transaction have one time: these differ in their ids only.
        let other = if random.bool() {
            one.clone()
        } else {
            row(&mut random)
        };
        ([one, other], lasts)
    };
    macro_rules! talk {
        ($connection:ty, $part:expr) => {{
            let mut runtime = tokio::runtime::Builder::new_current_thread();
            runtime.enable_all().build().unwrap().block_on(async {
                let mut connection = <$connection>::connect(url).await.unwrap();
                while !stop.load(Ordering::Relaxed) {
                    let began = Instant::now();
                    let ([one, other], lasts) = transaction();
                    let wait = tokio::time::sleep(Duration::from_micros(lasts));
                    // What a framework does around a part that may fail.
                    for statement in ["BEGIN", &one, $part, &other] {
                        let statement = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.to_owned()));
                        statement.execute(&mut connection).await.unwrap();
                    }
                    wait.await;
                    sqlx::raw_sql("COMMIT")
                        .execute(&mut connection)
                        .await
                        .unwrap();
                    said.fetch_add(2, Ordering::Relaxed);
                    tokio::time::sleep(began.elapsed()).await;
                }
            });
        }};
    }
    match url.split_once(':').unwrap() {
        ("sqlite", path) => {
            let app = rusqlite::Connection::open(path).unwrap();
            app.busy_timeout(Duration::from_secs(60)).unwrap();
            while !stop.load(Ordering::Relaxed) {
                let ([one, other], lasts) = transaction();
                app.execute_batch(&format!("BEGIN IMMEDIATE; {one}; {other}; COMMIT"))
                    .unwrap();
                said.fetch_add(2, Ordering::Relaxed);
                std::thread::sleep(Duration::from_micros(lasts));
            }
        }
        ("postgres", _) => talk!(PgConnection, "SAVEPOINT part"),
        _ => talk!(MySqlConnection, "SAVEPOINT part"),
    }
}

async fn growth_while_a_snapshot_is_taken(store: &Store) {
    let chats = Chats::in_store(store);
    if chats.url.starts_with("sqlite:") {
        chats.sql("PRAGMA journal_mode = wal");
    }
    let writers = Writers::start(&chats.url, store.pick(1, 3, 3));
    for trial in 0..trials(store.pick(24, 12, 12)) {
        // In one range, and in several at a time.
        let [first, second] = [[1, 1], [1, 3], [3, 1], [3, 3]][trial as usize % 4];
        let before = take(&chats, &chats.file("before.cas"), first).await;
        writers.say_something();
        let found = compare(&chats, &before, second).await;
        assert!(
            found.intact(),
            "trial {trial}: {:?} {:?}",
            found.totals,
            found.groups
        );
        assert!(found.totals.appended > 0, "{:?}", found.totals);
        // Else each look would take longer than the one before.
        let few = before.summary.high.unwrap() - 300;
        chats.sql(&format!("DELETE FROM message WHERE id < {few}"));
    }
}

/// Threads that write until this is dropped.
struct Writers {
    stop: Arc<AtomicBool>,
    said: Arc<AtomicU64>,
    threads: Vec<JoinHandle<()>>,
}

impl Writers {
    fn start(url: &str, writers: u64) -> Self {
        let (stop, said) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = |writer| {
            let (url, stop, said) = (url.to_owned(), Arc::clone(&stop), Arc::clone(&said));
            std::thread::spawn(move || write(&url, writer, &stop, &said))
        };
        Self {
            threads: (0..writers).map(thread).collect(),
            stop,
            said,
        }
    }

    /// Waits until every transaction that runs now is over, and some more.
    fn say_something(&self) {
        let enough = self.said.load(Ordering::Relaxed) + 8;
        while self.said.load(Ordering::Relaxed) < enough {
            assert!(
                !self.threads.iter().any(JoinHandle::is_finished),
                "a writer ended"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

impl Drop for Writers {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

/// The time of an answer is the one at which it began, and other chats went on meanwhile; or times have
/// whole seconds. Without numbers the order is that of the times.
#[test]
fn an_answer_that_began_before_the_snapshot_is_not_backfilled() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("chat.db");
    let app = rusqlite::Connection::open(&path).unwrap();
    app.execute_batch(
        "CREATE TABLE message (id TEXT PRIMARY KEY, chat_id TEXT, role TEXT, content TEXT, created_at TEXT)",
    )
    .unwrap();
    let say = |key: &str, chat: &str, role: &str, ago: u32| {
        let text = format!("what {key} says");
        let statement = format!(
            "INSERT INTO message VALUES ('{key}', '{chat}', '{role}', '{text}', datetime('now', '-{ago} seconds'))"
        );
        app.execute_batch(&statement).unwrap();
    };
    say("q1", "one", "user", 4_000);
    say("a1", "one", "assistant", 3_990);
    say("q2", "one", "user", 70);
    say("q3", "two", "user", 5);
    let file = folder.path().join("before.cas");
    let url = format!("sqlite:{}", path.display());
    let run = |args: &[&str]| {
        let output = crate::common::chatctl()
            .args(["audit"])
            .args(args)
            .args(["--database-url", &url])
            .env("AUDIT_KEY", KEY)
            .args(["--key", "env:AUDIT_KEY"])
            .output()
            .unwrap();
        let (out, err) = crate::common::text(&output);
        (output.status.code(), format!("{out}{err}"))
    };
    let taken = run(&["snapshot", "-o", file.to_str().unwrap()]);
    assert_eq!(taken.0, Some(0), "{}", taken.1);
    say("a2", "one", "assistant", 65);
    say("a3", "two", "assistant", 5);
    let good = run(&["compare", file.to_str().unwrap()]);
    assert_eq!(good.0, Some(0), "{}", good.1);
    // What is much older was put in between.
    say("a4", "one", "assistant", 3_995);
    let bad = run(&["compare", file.to_str().unwrap()]);
    assert!(
        bad.0 == Some(1) && bad.1.contains("backfilled"),
        "{}",
        bad.1
    );
}
