//! A run on MariaDB that comes to a stop: what it made until then is the next one's to change, and what users
//! wrote there in between is theirs.

use super::{WAITS, loss};
use crate::common::faults::holder::{Holder, until_waiting};
use crate::common::faults::store::{Host, Store};
use crate::common::servers;

/// Runs the files until one of them waits, and kills chatctl there.
fn stopped(host: &Host, name: &str, files: &[&str]) -> Store {
    let store = host.store(name);
    for (number, text) in files.iter().enumerate() {
        let text = text.replace("WAITS", WAITS);
        store.file(&format!("{}_change.sql", number + 2), &text);
    }
    let holder = Holder::new(&store, "DO get_lock(concat('held in ', database()), 0)");
    let running = store.spawn(&[]);
    until_waiting(&store, "DO get_lock");
    running.kill();
    drop(holder);
    store
}

fn write(store: &Store, sql: &str) {
    drop(servers::texts(&store.url, sql));
}

#[track_caller]
fn passes(store: &Store) {
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
}

/// In the file itself in which it stopped.
#[test]
fn what_users_wrote_into_a_half_done_files_own_is_theirs_on_mysql() {
    let host = Host::mysql();
    let file = "CREATE TABLE roles (id INT PRIMARY KEY, name VARCHAR(20));
INSERT INTO roles VALUES (1, 'a'), (2, 'b');
CREATE TABLE empty (id INT PRIMARY KEY);
ALTER TABLE messages ADD COLUMN state VARCHAR(9) NOT NULL DEFAULT 'new', ADD COLUMN at INT NOT NULL DEFAULT 0;
UPDATE messages SET at = id;
WAITS;
UPDATE messages SET state = 'old', at = 0;
DROP TABLE roles;
DROP TABLE empty;
";
    let store = stopped(&host, "own", &[file]);
    write(&store, "INSERT INTO roles VALUES (3, 'mine')");
    assert_eq!(loss(&store.up(&[])), ("table-lost", "roles", 8));
    write(&store, "DELETE FROM roles WHERE id = 3");
    write(&store, "INSERT INTO empty VALUES (1)");
    assert_eq!(loss(&store.up(&[])), ("table-lost", "empty", 9));
    write(&store, "DELETE FROM empty");
    write(&store, "UPDATE messages SET state = 'liked' WHERE id = 5");
    assert_eq!(
        loss(&store.up(&[])),
        ("values-changed", "messages.state", 7)
    );
    write(
        &store,
        "UPDATE messages SET state = 'new', at = 7 WHERE id = 5",
    );
    assert_eq!(loss(&store.up(&[])), ("values-changed", "messages.at", 7));
    write(&store, "UPDATE messages SET at = 5 WHERE id = 5");
    passes(&store);
    let done = "messages WHERE state = 'old' AND at = 0";
    assert_eq!(store.backend.count(&store.url, done), 1000);
}

/// A new table that has taken the place of an old one is written by the application.
#[test]
fn a_table_that_was_swapped_in_is_the_users_on_mysql() {
    let host = Host::mysql();
    let swap = "CREATE TABLE new LIKE drafts;
ALTER TABLE new ADD COLUMN state VARCHAR(9) NOT NULL DEFAULT 'x';
INSERT INTO new (id) SELECT id FROM drafts;
RENAME TABLE drafts TO old, new TO drafts;
WAITS;
";
    let end = "UPDATE drafts SET state = 'y';\nDROP TABLE old;\n";
    let store = stopped(&host, "kept", &[&format!("{swap}{end}")]);
    write(&store, "INSERT INTO drafts (id) VALUES (3)");
    passes(&store);
    assert_eq!(
        store.backend.count(&store.url, "drafts WHERE state = 'y'"),
        3
    );

    let deletes = format!("{swap}DELETE FROM drafts WHERE id > 2;\n{end}");
    let store = stopped(&host, "lost", &[&deletes]);
    write(&store, "INSERT INTO drafts (id) VALUES (3)");
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "drafts", 6));
    assert_eq!(store.backend.count(&store.url, "drafts"), 3);
}

/// Where the origin is gone already, the copy in the file's own table is all that the users have.
#[test]
fn the_only_copy_is_the_users_after_a_stop_on_mysql() {
    let host = Host::mysql();
    let moved = "CREATE TABLE new LIKE drafts;
INSERT INTO new SELECT * FROM drafts;
DROP TABLE drafts;
WAITS;
RENAME TABLE new TO drafts;
";
    let store = stopped(&host, "renamed", &[moved]);
    passes(&store);
    assert_eq!(store.backend.count(&store.url, "drafts"), 2);
    // A later file of the same run.
    let store = stopped(&host, "later", &[moved]);
    store.file("3_change.sql", "DELETE FROM drafts;\n");
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "drafts", 1));
    // What is not done yet may be edited.
    let store = stopped(&host, "edited", &[moved]);
    let edited = moved.replace("WAITS;\n", "DELETE FROM new;\n");
    store.file("2_change.sql", &edited);
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "new", 4));
}

/// Rows that a finished file put into a table of before.
#[test]
fn seeds_in_a_table_of_before_are_the_next_runs_on_mysql() {
    let host = Host::mysql();
    let times = "ALTER TABLE tags ADD COLUMN at DATETIME(6) NOT NULL DEFAULT now(6);\n";
    let seeds = "INSERT INTO tags (id, label) VALUES (8, 'seed'), (9, 'seed');
INSERT INTO conversations (id, title) VALUES (500, 'Welcome');
";
    let change = "UPDATE tags SET label = 'sown' WHERE id = 8;
DELETE FROM tags WHERE id = 9;
DELETE FROM conversations WHERE id = 500;
";
    let files = [times, seeds, "WAITS;\n", change];
    let store = stopped(&host, "seeds", &files);
    write(&store, "UPDATE tags SET label = 'mine' WHERE id = 9");
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "tags", 2));
    write(&store, "UPDATE tags SET label = 'seed' WHERE id = 9");
    write(&store, "INSERT INTO tags (id, label) VALUES (10, 'seed')");
    passes(&store);
    assert_eq!(store.backend.count(&store.url, "tags"), 4);
    assert_eq!(store.backend.count(&store.url, "conversations"), 100);
    // The run came to its end: what it made is the users' now.
    store.file("6_again.sql", "DELETE FROM tags WHERE id = 8;\n");
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "tags", 1));
}

/// What a statement prepared ends with the connection.
#[test]
fn what_was_prepared_is_prepared_again_by_the_next_run_on_mysql() {
    let host = Host::mysql();
    let store = host.store("prepared");
    let file = "SET @q = 'ALTER TABLE messages ADD COLUMN state INT';
PREPARE s FROM @q;
EXECUTE s;
DEALLOCATE PREPARE s;
";
    store.file("2_change.sql", file);
    let holder = Holder::of_rows(&store, "messages");
    let ended = store.up(&["--lock-timeout", "1s", "--retries", "0"]);
    assert_eq!((ended.exit, ended.failure().0), (1, 3), "{ended:?}");
    holder.release();
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert_eq!(store.status().1, 0);
}

/// A limit is that of both runs together.
#[test]
fn a_run_that_goes_on_counts_what_the_stopped_one_took_on_mysql() {
    let host = Host::mysql();
    let store = host.store("limit");
    let file = "-- chatctl: allow-loss tags rows<=1 reason=\"one of them\"
DELETE FROM tags WHERE id = 1;
ALTER TABLE messages ADD COLUMN state INT;
DELETE FROM tags WHERE label = 'late';
";
    store.file("2_change.sql", file);
    let holder = Holder::of_rows(&store, "messages");
    let ended = store.up(&["--lock-timeout", "1s", "--retries", "0"]);
    assert_eq!((ended.exit, ended.failure().0), (1, 3), "{ended:?}");
    holder.release();
    write(&store, "INSERT INTO tags VALUES (3, 'late')");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 1, "{ended:?}");
    assert_eq!(
        ended.report["findings"][0]["code"], "rows-lost",
        "{ended:?}"
    );
    assert_eq!(store.backend.count(&store.url, "tags"), 2);
    write(&store, "UPDATE tags SET label = 'early' WHERE id = 3");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert_eq!(store.backend.count(&store.url, "tags"), 2);
}

/// Between a swap and the DROP of the old table, users write the new one: only a row that came to
/// the old one is nowhere else.
#[test]
fn what_users_write_behind_a_swap_is_no_loss_on_mysql() {
    let host = Host::mysql();
    let copy = "CREATE TABLE new LIKE tags;\n";
    let fill = "INSERT INTO new SELECT * FROM tags;\n";
    let locked = format!(
        "{copy}LOCK TABLES tags WRITE, new WRITE;\n{fill}ALTER TABLE tags RENAME old;\nALTER TABLE new RENAME tags;\nUNLOCK TABLES;\n"
    );
    let plain = format!("{copy}{fill}RENAME TABLE tags TO old, new TO tags;\n");
    let edits = "UPDATE tags SET label = 'edited' WHERE id = 1; DELETE FROM tags WHERE id = 2";
    let astray = "INSERT INTO old VALUES (3, 'late')";
    for (name, swap, does, exit) in [
        ("swapped", &plain, edits, 0),
        ("swapped_under_locks", &locked, edits, 0),
        ("astray", &plain, astray, 1),
        ("astray_under_locks", &locked, astray, 1),
    ] {
        let store = host.store(name);
        let behind = "ALTER TABLE drafts ADD COLUMN body VARCHAR(50);\nDROP TABLE old;\n";
        store.file("2_change.sql", &format!("{swap}{behind}"));
        let holder = Holder::of_rows(&store, "drafts");
        let running = store.spawn(&["--lock-timeout", "20s"]);
        until_waiting(&store, "ALTER TABLE drafts");
        servers::run_sql(&store.url, does);
        holder.release();
        let ended = running.ended();
        assert_eq!(ended.exit, exit, "{name}: {ended:?}");
    }
}

/// A kill between EXCHANGE PARTITION and its mark: the schema is the same before and behind it, and
/// a second run of the statement would bring back what it took.
#[test]
fn a_partition_is_exchanged_once_on_mysql() {
    let host = Host::mysql();
    let exchange = "ALTER TABLE events EXCHANGE PARTITION p1 WITH TABLE purged";
    for (name, is_done) in [("done", true), ("undone", false)] {
        let begin = "CREATE TABLE events (id INT PRIMARY KEY, body TEXT) PARTITION BY RANGE (id) (PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN (20));
INSERT INTO events VALUES (1, 'a'), (11, 'b');
";
        let file = format!(
            "-- chatctl: allow-loss events rows<=1 reason=\"old\"
CREATE TABLE purged LIKE events;
ALTER TABLE purged REMOVE PARTITIONING;
{exchange};
WAITS;
"
        );
        let store = stopped(&host, &format!("exchange_{name}"), &[begin, &file]);
        write(
            &store,
            "DELETE FROM _chatctl_journal WHERE version = '3' AND (statement > 3 OR statement = 3 AND state = 'done')",
        );
        if !is_done {
            write(&store, exchange);
        }
        passes(&store);
        let rows = |table: &str| store.backend.count(&store.url, table);
        assert_eq!((rows("events"), rows("purged")), (1, 1), "{name}");
    }
}
