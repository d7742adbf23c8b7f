//! The system-call gate: what it withholds of a server on SQLite, in every journal mode.

use crate::common::stores::run;
use crate::common::{python, root};
use chatctl::current_exe;
use chatctl::gate::{
    Carries, CommitFault, CommitGate as _, CommitOutcome, Elsewhere, Hold, Lasts, Order, Syscalls,
    Withheld,
};
use chatctl::http::{Listens, Server, Start};
use chatctl::mask::Mask;
use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;

const MAX_HOLD: Duration = Duration::from_secs(20);
const PATIENCE: Duration = Duration::from_millis(300);

/// A server that writes, and its store.
struct Writer {
    server: Server,
    database: PathBuf,
    _folder: TempDir,
}

impl Writer {
    async fn start(journal: &str, more: &str) -> Self {
        current_exe::is_at(env!("CARGO_BIN_EXE_chatctl").into());
        let folder = tempfile::tempdir().unwrap();
        let database = folder.path().join("chat.db");
        let connection = Connection::open(&database).unwrap();
        let mode: String = connection
            .query_row(&format!("PRAGMA journal_mode = {journal}"), [], |row| {
                row.get(0)
            })
            .unwrap();
        assert_eq!(mode, journal);
        connection
            .execute_batch("CREATE TABLE message (id INTEGER PRIMARY KEY, content TEXT)")
            .unwrap();
        let command = format!(
            "{} {} {{port}} {} {journal} {more}",
            python().display(),
            root().join("tests/servers/writer.py").display(),
            database.display(),
        );
        let server = Server::start(&Start {
            name: None,
            listens: Listens::Yes,
            command,
            values: Vec::new(),
            environment: Vec::new(),
            port: None,
            ready: None,
            ready_timeout: Duration::from_secs(30),
            mask: Mask::default(),
        })
        .await
        .unwrap();
        Self {
            server,
            database,
            _folder: folder,
        }
    }

    fn gate(&mut self) -> Syscalls {
        Syscalls::new(&mut self.server, self.database.clone(), MAX_HOLD).unwrap()
    }

    /// Asks for a text to be saved; the answer comes when it is.
    fn ask(&self, path: &str, text: &str) -> JoinHandle<String> {
        let url = self
            .server
            .url()
            .join(&format!("{path}?text={text}"))
            .unwrap();
        tokio::task::spawn_blocking(move || get(&url))
    }

    fn rows(&self) -> Vec<String> {
        rows(&self.database)
    }

    /// A connection that has read.
    fn reader(&self) -> Connection {
        let connection = Connection::open(&self.database).unwrap();
        let count: u32 = connection
            .query_row("SELECT count(*) FROM message", [], |row| row.get(0))
            .unwrap();
        assert_eq!(count, 0);
        connection
    }
}

fn get(url: &url::Url) -> String {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", url.port().unwrap())).unwrap();
    let path = &url[url::Position::BeforePath..];
    write!(stream, "GET {path} HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer.split_once("\r\n\r\n").unwrap().1.to_owned()
}

/// What is in the store, read as another program reads it.
fn rows(database: &Path) -> Vec<String> {
    let connection =
        Connection::open_with_flags(database, OpenFlags::SQLITE_OPEN_READ_WRITE).unwrap();
    let mut select = connection
        .prepare("SELECT content FROM message ORDER BY id")
        .unwrap();
    let rows = select.query_map([], |row| row.get(0)).unwrap();
    rows.map(Result::unwrap).collect()
}

fn hold(nonce: &str, order: Order) -> Hold<'_> {
    Hold {
        nonce,
        order,
        patience: PATIENCE,
        elsewhere: Elsewhere::Flows,
    }
}

/// The commit that is withheld, once there is one.
async fn withheld(gate: &mut Syscalls) -> Withheld {
    let mut changes = gate.changes();
    let one = async {
        loop {
            if let [one] = gate.withheld().await.unwrap().as_slice() {
                return one.clone();
            }
            changes.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(20), one)
        .await
        .unwrap()
}

/// Returns when a thread waits for the lock of the store.
async fn one_waits_in_store(gate: &mut Syscalls) {
    let mut changes = gate.changes();
    while gate.waiting_in_store().await.unwrap().is_empty() {
        tokio::time::timeout(Duration::from_secs(20), changes.changed())
            .await
            .unwrap()
            .unwrap();
    }
}

async fn is_waiting<T>(task: &mut JoinHandle<T>) -> bool {
    tokio::time::timeout(Duration::from_millis(200), task)
        .await
        .is_err()
}

#[test]
fn a_commit_is_withheld_then_its_answer_in_every_journal_mode() {
    run(async {
        for journal in ["wal", "delete", "truncate", "persist", "memory", "off"] {
            // Without a journal in a file it is held before the page that has the text.
            let carries = match journal {
                "memory" | "off" => Carries::Other,
                _ => Carries::Answer,
            };
            let mut writer = Writer::start(journal, "").await;
            let mut gate = writer.gate();
            assert_eq!(writer.ask("/save", "before").await.unwrap(), "ok");
            for nonce in ["nonce-1", "nonce-2"] {
                gate.close(hold(nonce, Order::Arrival)).await.unwrap();
                let mut save = writer.ask("/save", nonce);
                let commit = withheld(&mut gate).await;
                assert_eq!(commit.carries, carries, "{journal}");
                assert!(is_waiting(&mut save).await);
                if journal == "wal" {
                    assert!(!writer.rows().contains(&nonce.to_owned()));
                }
                let passed = gate.pass(commit.id).await.unwrap();
                assert_eq!(passed.outcome, CommitOutcome::Done, "{journal}");
                assert!(writer.rows().contains(&nonce.to_owned()), "{journal}");
                assert!(
                    is_waiting(&mut save).await,
                    "{journal}: the server knows too early"
                );
                gate.answer(commit.id).await.unwrap();
                assert_eq!(save.await.unwrap(), "ok", "{journal}");
                gate.open().await.unwrap();
                assert_eq!(gate.expired(), 0);
            }
            assert_eq!(writer.ask("/save", "after").await.unwrap(), "ok");
            assert_eq!(writer.rows(), ["before", "nonce-1", "nonce-2", "after"]);
            writer.server.end().await;
        }
    });
}

#[test]
fn a_second_writer_waits_without_losing_its_patience_and_may_go_first() {
    run(async {
        for (more, order, first) in [
            ("", Order::Arrival, "nonce-1"),
            ("", Order::SecondFirst, "other"),
            ("fork", Order::Arrival, "nonce-1"),
        ] {
            let mut writer = Writer::start("wal", more).await;
            // While it is open the log stays, and no writer takes the write lock to read it first.
            let _reader = writer.reader();
            let mut gate = writer.gate();
            let patience = Duration::from_secs(10);
            let hold = Hold {
                nonce: "nonce-1",
                order,
                patience,
                elsewhere: Elsewhere::Flows,
            };
            gate.close(hold).await.unwrap();
            let save = writer.ask("/save", "nonce-1");
            // The second one comes when the first has the lock, or waits for another to pass.
            match order {
                Order::Arrival => {
                    withheld(&mut gate).await;
                }
                Order::SecondFirst => one_waits_in_store(&mut gate).await,
            }
            let other = writer.ask("/save", "other");
            let commit = withheld(&mut gate).await;
            assert_eq!(commit.carries == Carries::Answer, first == "nonce-1");
            one_waits_in_store(&mut gate).await;
            gate.pass(commit.id).await.unwrap();
            assert_eq!(writer.rows(), [first]);
            gate.answer(commit.id).await.unwrap();
            let commit = withheld(&mut gate).await;
            gate.pass(commit.id).await.unwrap();
            gate.answer(commit.id).await.unwrap();
            assert_eq!(save.await.unwrap(), "ok");
            assert_eq!(other.await.unwrap(), "ok");
            gate.open().await.unwrap();
            assert_eq!(writer.rows().len(), 2);
            writer.server.end().await;
        }
    });
}

/// On a busy machine a thread may wait for the disk for longer than all others take to be traced.
#[test]
fn a_thread_that_does_not_stop_for_seconds_is_waited_for() {
    run(holds_a_commit_of("stuck"));
}

#[test]
fn a_process_that_has_ended_is_not_traced() {
    run(holds_a_commit_of("child"));
}

async fn holds_a_commit_of(way: &str) {
    let mut writer = Writer::start("wal", way).await;
    let mut gate = writer.gate();
    gate.close(hold("nonce-1", Order::Arrival)).await.unwrap();
    let saved = writer.ask("/save", "nonce-1");
    let commit = withheld(&mut gate).await;
    assert_eq!(writer.rows(), [""; 0]);
    let passed = gate.pass(commit.id).await.unwrap();
    assert_eq!(passed.outcome, CommitOutcome::Done);
    gate.answer(commit.id).await.unwrap();
    assert_eq!(saved.await.unwrap(), "ok");
    gate.open().await.unwrap();
    writer.server.end().await;
}

#[test]
fn a_full_disk_at_the_commit_fails_this_commit_only() {
    run(async {
        for (journal, fault, words) in [
            ("wal", CommitFault::DiskFull, "database or disk is full"),
            ("delete", CommitFault::IoError, "disk I/O error"),
        ] {
            let mut writer = Writer::start(journal, "").await;
            let mut gate = writer.gate();
            gate.arm("nonce-1", fault, Lasts::UntilOpened)
                .await
                .unwrap();
            assert_eq!(writer.ask("/save", "other").await.unwrap(), "ok");
            assert_eq!(writer.ask("/save", "nonce-1").await.unwrap(), words);
            gate.open().await.unwrap();
            assert_eq!(gate.faults_done(), 1);
            assert_eq!(writer.rows(), ["other"]);
            assert_eq!(writer.ask("/save", "nonce-1").await.unwrap(), "ok");
            writer.server.end().await;
        }
    });
}
