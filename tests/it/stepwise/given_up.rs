//! Runs that came to a stop and were given up: what they made is the users' for the runs that follow. And
//! files that may not come to a stop, as nobody would find the rows.

use super::{WAITS, loss};
use crate::common::faults::holder::{Holder, until_waiting};
use crate::common::faults::store::{Host, Store};

const SEED: &str = "INSERT INTO tags VALUES (8, 'seed'), (9, 'seed');\n";
const TAKES_BACK: &str = "DELETE FROM tags WHERE label = 'seed';\n";

/// A store whose second file is applied, and whose third one failed.
fn stopped(host: &Host, name: &str) -> Store {
    let store = host.store(name);
    store.file("2_seed.sql", SEED);
    store.file("3_change.sql", "INSERT INTO nowhere VALUES (1);\n");
    assert_eq!(store.up(&[]).exit, 1, "{name}");
    assert_eq!(store.backend.count(&store.url, "tags"), 4, "{name}");
    store
}

#[track_caller]
fn passed(store: &Store, sub: &str, more: &[&str]) {
    let out = store.command(sub).args(more).output().unwrap();
    assert!(out.status.success(), "{out:?}");
}

/// Another file takes the version of the one that failed, or a later one; the last store is the control:
/// the file that failed was repaired.
#[test]
fn a_run_that_is_given_up_leaves_nothing_to_later_ones() {
    let host = Host::postgres();
    for (name, other) in [("same", "3_other.sql"), ("later", "4_other.sql")] {
        let store = stopped(&host, name);
        std::fs::remove_file(store.path("migrations/3_change.sql")).unwrap();
        assert_eq!(store.up(&[]).exit, 0, "{name}");
        store.file(other, TAKES_BACK);
        assert_eq!(loss(&store.up(&[])), ("rows-lost", "tags", 1), "{name}");
    }
    let store = stopped(&host, "baseline");
    passed(&store, "baseline", &["3"]);
    store.file("4_other.sql", TAKES_BACK);
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "tags", 1));

    let store = stopped(&host, "repaired");
    store.file("3_change.sql", TAKES_BACK);
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
}

/// A file that was settled by hand is not resumed.
#[test]
fn a_file_that_is_settled_by_hand_leaves_nothing_to_later_ones() {
    let postgres = Host::postgres();
    let store = postgres.store("settled");
    let file = format!("-- no-transaction\n{SEED}INSERT INTO nowhere VALUES (1);\n");
    store.file("2_seed.sql", &file);
    assert_eq!(store.up(&[]).exit, 1);
    keeps_what_was_made(&store);

    let mysql = Host::mysql();
    let store = mysql.store("settled");
    store.file("2_seed.sql", &format!("{SEED}{WAITS};\n"));
    let holder = Holder::new(&store, "DO get_lock(concat('held in ', database()), 0)");
    let running = store.spawn(&[]);
    until_waiting(&store, "DO get_lock");
    running.kill();
    drop(holder);
    keeps_what_was_made(&store);
}

fn keeps_what_was_made(store: &Store) {
    assert_eq!(store.backend.count(&store.url, "tags"), 4);
    passed(store, "resolve", &["2", "--as", "applied"]);
    store.file("3_other.sql", TAKES_BACK);
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "tags", 1));
}

/// Also by the same command, when it runs again.
#[test]
fn a_name_is_not_handed_on_from_one_transaction_to_the_next() {
    let host = Host::postgres();
    let swap = |rows: &str| {
        format!(
            "CREATE TABLE new (LIKE messages INCLUDING ALL);\nINSERT INTO new SELECT * FROM messages {rows};\n\
             BEGIN;\nALTER TABLE messages RENAME TO old;\nALTER TABLE new RENAME TO messages;\nCOMMIT;\n"
        )
    };
    let lost = swap("WHERE role = 'user'");
    let store = host.store("apart");
    let apart = lost.replace("BEGIN;\n", "").replace("COMMIT;\n", "");
    store.file("2_swap.sql", &format!("-- no-transaction\n{apart}"));
    for _ in 0..2 {
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 4, "{ended:?}");
        assert_eq!(store.backend.count(&store.url, "messages"), 1000);
    }
    store.file("2_swap.sql", &format!("-- no-transaction\n{lost}"));
    for _ in 0..2 {
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 1, "{ended:?}");
        let found = &ended.report["findings"][0];
        assert_eq!(
            (&found["code"], &found["subject"]),
            (&"rows-lost".into(), &"messages".into()),
            "{ended:?}"
        );
        assert_eq!(store.backend.count(&store.url, "messages"), 1000);
    }
    let store = host.store("whole");
    store.file("2_swap.sql", &format!("-- no-transaction\n{}", swap("")));
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
}

/// Names that the run took away are not forgotten with it: the file that takes one was made again under
/// another name.
#[test]
fn a_name_is_remembered_when_its_taker_is_renamed() {
    let host = Host::postgres();
    let store = host.store("renamed");
    store.file("2_away.sql", "ALTER TABLE tags RENAME TO old_tags;\n");
    let taker = "CREATE TABLE tags (id integer PRIMARY KEY, label text);\n";
    store.file("3_take.sql", taker);
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "old_tags", 1));
    std::fs::remove_file(store.path("migrations/3_take.sql")).unwrap();
    store.file("4_take.sql", taker);
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "old_tags", 1));
    let whole = format!("{taker}INSERT INTO tags SELECT * FROM old_tags;\n");
    store.file("4_take.sql", &whole);
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
}
