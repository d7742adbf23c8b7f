//! Whoever reads what chatctl shows may stall: no store waits for them, and a signal ends it at once.

mod quiet;
mod terminal;

use crate::common::chatctl;
use crate::common::stores::{Store, execute, on_each_backend};
use chatctl::db::Query;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use std::io::Read as _;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// As long as a process may take to end that is to end at once; a machine may be busy.
const END: Duration = Duration::from_secs(20);

/// So many rows, more than a pipe and a pager take in.
const ROWS: usize = 900;

async fn chat(store: &Store) {
    let db = store.open().await;
    let text = store.pick("TEXT", "TEXT", "VARCHAR(3000)");
    let long = "x".repeat(2000);
    let values: Vec<_> = (0..ROWS).map(|id| format!("({id}, '{long}')")).collect();
    execute(
        &*db,
        &format!(
            "CREATE TABLE message (id INTEGER PRIMARY KEY, content {text}); INSERT INTO message VALUES {}",
            values.join(", ")
        ),
    )
    .await;
}

/// A statement that nobody can run who has to wait for a reader.
async fn is_free(store: &Store) {
    let db = store.open().await;
    let mut writer = db.writer(END).await.unwrap();
    let sql = store.pick(
        "INSERT INTO message VALUES (1000000, 'x'); DELETE FROM message WHERE id = 1000000",
        "ALTER TABLE message ADD COLUMN more INT; ALTER TABLE message DROP COLUMN more",
        "ALTER TABLE message ADD COLUMN more INT; ALTER TABLE message DROP COLUMN more",
    );
    writer.execute(sql).await.unwrap();
}

fn sql(store: &Store, arguments: &[&str]) -> Command {
    let mut command = chatctl();
    command.args(["inspect", "sql", "--database-url", &store.url()]);
    command.args(arguments);
    command
}

/// How a process ends that is to end at once.
fn ended(child: &mut Child) -> ExitStatus {
    let late = Instant::now() + END;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status;
        }
        if Instant::now() > late {
            child.kill().unwrap();
            panic!("it did not end: {:?}", child.wait());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, signal: Signal) {
    let id = Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(id, signal).unwrap();
}

async fn a_stalled_reader_holds_no_lock_and_misses_nothing(store: &Store) {
    chat(store).await;
    let mut child = sql(store, &["SELECT * FROM message", "--format", "csv"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = child.stdout.take().unwrap();
    // From the first byte on the query runs, or has run.
    out.read_exact(&mut [0]).unwrap();
    is_free(store).await;
    assert!(
        child.try_wait().unwrap().is_none(),
        "nobody has read it yet"
    );
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert_eq!(rest.lines().count(), 1 + ROWS);
    assert_eq!(ended(&mut child).code(), Some(0));
}

async fn a_signal_ends_it_while_its_reader_stalls(store: &Store) {
    chat(store).await;
    for asked in [Signal::SIGINT, Signal::SIGTERM] {
        let mut child = sql(store, &["SELECT * FROM message", "--format", "csv"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut out = child.stdout.take().unwrap();
        out.read_exact(&mut [0]).unwrap();
        signal(&child, asked);
        assert_eq!(ended(&mut child).code(), Some(130), "{asked}");
        is_free(store).await;
    }
}

/// The engine's own clock stands still while it waits for whoever takes its rows.
async fn a_query_whose_rows_nobody_takes_ends_by_its_time(store: &Store) {
    chat(store).await;
    let db = store.open().await;
    let (answers, mut coming) = mpsc::channel(1);
    let query = Query {
        sql: "SELECT a.content, b.content FROM message a, message b".to_owned(),
        rows: u64::MAX,
        // Long enough for the first row on a busy machine.
        timeout: Duration::from_secs(3),
        longest: 1 << 20,
        answers,
    };
    let (done, ()) = tokio::join!(db.query(query), async {
        coming.recv().await.unwrap();
        // Kept, so that nothing tells the query that nobody reads.
        tokio::time::sleep(Duration::from_secs(6)).await;
        coming.close();
    });
    let error = done.unwrap_err().to_string();
    assert!(error.contains("stopped after 3s"), "{error}");
    is_free(store).await;
}

on_each_backend! {
    a_stalled_reader_holds_no_lock_and_misses_nothing
    a_signal_ends_it_while_its_reader_stalls
    a_query_whose_rows_nobody_takes_ends_by_its_time
}
