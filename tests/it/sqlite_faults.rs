//! What ends a SQLite migration from outside: SIGKILL while a statement writes, and a disk that is
//! full, at each statement. Afterwards everything is as before, and the next run gets to the end.

use crate::common::faults::store::{Host, Running, STEPS, Store, until};
use std::fs;
use std::process::Command;

const JOURNALS: [&str; 2] = ["delete", "wal"];
/// What a statement has written when it is killed: more than the engine keeps in memory.
const WRITTEN: u64 = 4 << 20;
/// The largest file that a full disk takes.
const FULL: u64 = 1 << 20;

/// A statement that writes about so many rows of 1 kB.
fn writes(rows: u64) -> String {
    format!(
        "INSERT INTO runs WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) \
         SELECT zeroblob(1000) FROM n"
    )
}

fn store(journal: &str) -> Store {
    let store = Host::sqlite().store("");
    let set = format!("PRAGMA journal_mode = {journal}");
    assert_eq!(store.backend.texts(&store.url, &set), [journal]);
    store
}

/// How much the database and what stands next to it have on the disk.
fn size(store: &Store) -> u64 {
    ["chat.db", "chat.db-wal"]
        .map(|name| fs::metadata(store.path(name)).map_or(0, |it| it.len()))
        .iter()
        .sum()
}

#[track_caller]
fn is_as_before(store: &Store, before: &[String]) {
    // Who only looks must not roll a killed writer's journal back, and can't read before it is.
    if store.path("chat.db-journal").exists() {
        let looked = store.command("status").output().unwrap();
        let said = String::from_utf8_lossy(&looked.stderr).into_owned();
        assert_eq!(looked.status.code(), Some(3), "{said}");
        assert!(said.contains("has the journal of a writer"), "{said}");
        assert!(store.path("chat.db-journal").exists());
    }
    assert_eq!(store.contents(), before);
    assert_eq!(store.status(), ("pending".to_owned(), 10));
    let whole = store.backend.texts(&store.url, "PRAGMA integrity_check");
    assert_eq!(whole, ["ok"]);
}

#[test]
fn killed_while_a_statement_writes() {
    for journal in JOURNALS {
        for place in 0..STEPS.len() {
            let store = store(journal);
            let before = store.contents();
            // Some 50 GB: it is killed long before its end.
            store.change(Some((place, &writes(50_000_000))));
            let began = size(&store);
            let mut running = store.spawn(&[]);
            until("the statement to have written", || {
                (size(&store) > began + WRITTEN).then_some(())
            });
            assert!(running.is_running());
            running.kill();
            is_as_before(&store, &before);
            store.change(None);
            let ended = store.up(&[]);
            assert_eq!(ended.exit, 0, "{journal}, {place}: {ended:?}");
            store.is_at_head();
        }
    }
}

/// The same command, for which no file can be larger than `FULL`.
fn on_a_full_disk(command: &Command) -> Command {
    let mut limited = Command::new("prlimit");
    limited.arg(format!("--fsize={FULL}")).arg("--");
    // Without the signal the write fails as it does on a full disk.
    limited.args(["sh", "-c", "trap '' XFSZ; exec \"$@\"", "sh"]);
    limited.arg(command.get_program()).args(command.get_args());
    limited.current_dir(command.get_current_dir().unwrap());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => limited.env(name, value),
            None => limited.env_remove(name),
        };
    }
    limited
}

#[test]
fn a_full_disk_changes_nothing() {
    // The first is more than the engine keeps in memory, so the statement fails; the second fits,
    // so that the transaction fails when it is committed.
    for (rows, exits) in [(20_000, 1), (1_200, 3)] {
        for journal in JOURNALS {
            for place in 0..STEPS.len() {
                let store = store(journal);
                let before = store.contents();
                store.change(Some((place, &writes(rows))));
                let mut up = store.command("up");
                up.args(["--format", "json"]);
                let ended = Running::of(&mut on_a_full_disk(&up)).ended();
                let what = format!("{rows} rows, {journal}, {place}: {ended:?}");
                assert_eq!(ended.exit, exits, "{what}");
                let told = format!("{} {}", ended.errors, ended.report);
                assert!(told.contains("full") || told.contains("I/O"), "{what}");
                is_as_before(&store, &before);
                store.change(None);
                let ended = store.up(&[]);
                assert_eq!(ended.exit, 0, "{ended:?}");
                store.is_at_head();
            }
        }
    }
}
