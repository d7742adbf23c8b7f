//! Migrations that end in the middle: at each statement, on every backend, by a statement that
//! fails, by SIGKILL of chatctl, and by SIGKILL of the database server. Afterwards the status is
//! true, no row is lost, and the next run gets to the end with each statement done exactly once.

use crate::common::backend::Backend;
use crate::common::faults::holder::{Holder, until_waiting};
use crate::common::faults::store::{Host, STEPS, Store};

/// A wait for a lock that no test sees the end of.
const PATIENT: [&str; 2] = ["--lock-timeout", "80s"];

/// Statements that fail on what is there: the first is none, the second is not true of the rows.
const WRONG: [&str; 2] = [
    "ALTER TABEL drafts ADD COLUMN z INTEGER",
    "CREATE UNIQUE INDEX one_of_each ON messages (role)",
];

/// Not even on MariaDB, which can't take DDL back: there the copy fails first.
fn a_statement_that_fails_changes_nothing(host: &Host) {
    for place in 0..STEPS.len() {
        let store = host.store(&format!("fails_{place}"));
        let before = store.contents();
        for wrong in WRONG {
            store.change(Some((place, wrong)));
            let ended = store.up(&[]);
            assert_eq!(ended.exit, 1, "{wrong} at {place}: {ended:?}");
            let (line, _) = ended.failure();
            assert_eq!(line, place as u64 + 1, "{ended:?}");
            assert_eq!(store.contents(), before, "{wrong} at {place}");
            assert_eq!(store.status(), ("pending".to_owned(), 10));
        }
        store.change(None);
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "once corrected: {ended:?}");
        store.is_at_head();
    }
}

#[test]
fn a_statement_that_fails_changes_nothing_on_sqlite() {
    a_statement_that_fails_changes_nothing(&Host::sqlite());
}

#[test]
fn a_statement_that_fails_changes_nothing_on_postgres() {
    a_statement_that_fails_changes_nothing(&Host::postgres());
}

#[test]
fn a_statement_that_fails_changes_nothing_on_mysql() {
    a_statement_that_fails_changes_nothing(&Host::mysql());
}

/// What is known of version 2 after its run ended while a statement waited; `before` is what was
/// there when it began.
#[track_caller]
fn stands(store: &Store, place: usize, before: &[String]) {
    let (status, exit) = store.status();
    if store.backend != Backend::Mysql {
        assert_eq!((status.as_str(), exit), ("pending", 10), "at {place}");
        assert_eq!(store.contents(), before, "at {place}");
        return;
    }
    let (done, number) = (place, place + 1);
    assert_eq!(exit, 1, "{status}");
    assert!(
        status.contains(&match done {
            1 => "1 statement is applied".to_owned(),
            _ => format!("{done} statements are applied"),
        }),
        "at {place}: {status}"
    );
    // DDL is reported before it begins, and a write stands or falls with its row in the journal.
    let then = if STEPS[place].0.starts_with("ALTER") {
        format!("statement {number} was running when chatctl stopped")
    } else {
        format!("statement {number} is not recorded as applied")
    };
    assert!(status.contains(&then), "at {place}: {status}");
}

fn killed_while_a_statement_waits(host: &Host) {
    for (place, (statement, table)) in STEPS.into_iter().enumerate() {
        let store = host.store(&format!("killed_{place}"));
        store.change(None);
        let before = store.contents();
        let holder = Holder::of_rows(&store, table);
        let running = store.spawn(&PATIENT);
        let begins = statement.split(" /*").next().unwrap();
        until_waiting(&store, begins);
        running.kill();
        stands(&store, place, &before);
        holder.release();
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "killed at {place}: {ended:?}");
        store.is_at_head();
    }
}

#[test]
fn killed_while_a_statement_waits_on_postgres() {
    killed_while_a_statement_waits(&Host::postgres());
}

#[test]
fn killed_while_a_statement_waits_on_mysql() {
    killed_while_a_statement_waits(&Host::mysql());
}

fn the_server_is_killed_while_a_statement_waits(host: &mut Host) {
    for (place, (statement, table)) in STEPS.into_iter().enumerate() {
        let store = host.store(&format!("lost_{place}"));
        store.change(None);
        let before = store.contents();
        let holder = Holder::of_rows(&store, table);
        let running = store.spawn(&PATIENT);
        let begins = statement.split(" /*").next().unwrap();
        until_waiting(&store, begins);
        host.kill();
        let ended = running.ended();
        drop(holder);
        // Nothing is wrong with the migration: a retry may succeed.
        assert_eq!(ended.exit, 3, "lost at {place}: {ended:?}");
        assert!(
            ended.errors.contains("connection"),
            "lost at {place}: {ended:?}"
        );
        assert!(
            ended.errors.contains("`chatctl migrate` again"),
            "{ended:?}"
        );
        host.restart();
        stands(&store, place, &before);
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "lost at {place}: {ended:?}");
        store.is_at_head();
    }
}

#[test]
fn the_server_is_killed_while_a_statement_waits_on_postgres() {
    the_server_is_killed_while_a_statement_waits(&mut Host::postgres());
}

#[test]
fn the_server_is_killed_while_a_statement_waits_on_mysql() {
    the_server_is_killed_while_a_statement_waits(&mut Host::mysql());
}
