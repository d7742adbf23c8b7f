//! Files that can't be one transaction, and end in the middle: what is done stays and is told, what
//! is half done is cleared away, and the next run goes on from there.

mod fresh;
mod given_up;
mod half_applied;
mod session;
mod stopped;
mod swapped;

use crate::common::faults::holder::{Holder, until_waiting};
use crate::common::faults::store::{Ended, Host, STEPS, Store, until};
use crate::common::servers;

/// Two indexes that are made while others write. The second holds for no table whose notes are
/// alike.
const INDEXES: &str = "CREATE INDEX CONCURRENTLY by_role ON messages (role);
CREATE UNIQUE INDEX CONCURRENTLY by_label ON tags (label);
INSERT INTO runs VALUES (1);
";

/// The indexes of the file, and whether they can be used.
fn indexes(store: &Store) -> Vec<String> {
    servers::texts(
        &store.url,
        "SELECT indexrelid::regclass || ' ' || indisvalid FROM pg_index \
         WHERE indexrelid::regclass::text LIKE 'by\\_%' ORDER BY 1",
    )
}

/// How many statements are applied, in words.
fn done(count: usize) -> String {
    match count {
        1 => "1 statement is applied".to_owned(),
        _ => format!("{count} statements are applied"),
    }
}

#[track_caller]
fn has_both_indexes(store: &Store) {
    assert_eq!(indexes(store), ["by_label true", "by_role true"]);
    assert_eq!(store.backend.count(&store.url, "runs"), 1);
    assert_eq!(store.status().1, 0);
    assert_eq!(store.backend.count(&store.url, "messages"), 1000);
}

/// However the mark stands at the beginning of the file.
#[test]
fn an_index_that_fails_leaves_no_half_of_it() {
    let host = Host::postgres();
    let marks = [
        "-- no-transaction\n",
        "\u{feff}-- no-transaction\n",
        "\n-- no-transaction\n",
    ];
    for (number, mark) in marks.into_iter().enumerate() {
        let store = host.store(&format!("index_{number}"));
        servers::run_sql(&store.url, "INSERT INTO tags VALUES (3, 'a')");
        store.file("2_change.sql", &format!("{mark}{INDEXES}"));
        for _ in 0..2 {
            let ended = store.up(&[]);
            assert_eq!(ended.exit, 1, "{ended:?}");
            let (line, said) = ended.failure();
            let mark_lines = mark.lines().count() as u64;
            assert_eq!(line, mark_lines + 2, "{ended:?}");
            assert!(said.contains("(label)=(a) is duplicated"), "{said}");
            assert_eq!(indexes(&store), ["by_role true"]);
            let (status, exit) = store.status();
            assert_eq!(exit, 1);
            assert!(
                status.starts_with("half applied: 1 statement is applied, statement 2 failed"),
                "{status}"
            );
        }
        servers::run_sql(&store.url, "UPDATE tags SET label = 'b' WHERE id = 3");
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
        has_both_indexes(&store);
    }
}

/// What sets something for the session is done again each time, and is counted once.
#[test]
fn a_file_that_sets_something_goes_on_as_often_as_it_fails() {
    let host = Host::postgres();
    let store = host.store("sets");
    servers::run_sql(&store.url, "INSERT INTO tags VALUES (3, 'a')");
    let text = format!("-- no-transaction\nSET maintenance_work_mem = '32MB';\n{INDEXES}");
    store.file("2_change.sql", &text);
    for _ in 0..4 {
        let ended = store.up(&[]);
        assert_eq!((ended.exit, ended.failure().0), (1, 4), "{ended:?}");
        let (status, _) = store.status();
        assert!(status.starts_with("half applied: 2 statements"), "{status}");
    }
    servers::run_sql(&store.url, "UPDATE tags SET label = 'b' WHERE id = 3");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    has_both_indexes(&store);
}

/// An open transaction keeps an index from being finished; chatctl is killed while it waits. What others make
/// meanwhile, such as a partition, does not make the index.
#[test]
fn a_killed_index_is_dropped_and_made_again() {
    let host = Host::postgres();
    for (number, at_once) in [true, false].into_iter().enumerate() {
        let store = host.store(&format!("killed_{number}"));
        store.file("2_change.sql", &format!("-- no-transaction\n{INDEXES}"));
        let writer = Holder::new(&store, "LOCK TABLE tags IN ROW EXCLUSIVE MODE");
        let running = store.spawn(&[]);
        until_waiting(&store, "CREATE UNIQUE INDEX CONCURRENTLY");
        running.kill();
        assert_eq!(indexes(&store), ["by_label false", "by_role true"]);
        servers::run_sql(&store.url, "CREATE TABLE of_others (id integer)");
        let (status, exit) = store.status();
        assert_eq!(exit, 1);
        assert!(
            status.starts_with("half applied: 1 statement is applied, statement 2 was running"),
            "{status}"
        );
        // The next run may begin while the killed one's statement still waits in the server.
        let ended = if at_once {
            let running = store.spawn(&[]);
            until_waiting(&store, "DROP INDEX CONCURRENTLY");
            writer.release();
            running.ended()
        } else {
            writer.release();
            store.up(&[])
        };
        assert_eq!(ended.exit, 0, "{ended:?}");
        has_both_indexes(&store);
    }
}

/// What a file commits itself stays when a later part fails or loses something, and is told so; the
/// part that ends so does nothing, and the next run resumes with it.
fn a_file_with_transactions_of_its_own_resumes(host: &Host) {
    for (name, wrong, code) in [
        (
            "fails",
            "INSERT INTO nowhere VALUES (1)",
            "migration-failed",
        ),
        ("loses", "DELETE FROM drafts WHERE id = 2", "rows-lost"),
    ] {
        let store = host.store(name);
        let file = |part: &str| {
            let text = format!(
                "INSERT INTO runs VALUES (1);\nBEGIN;\nINSERT INTO runs VALUES (2);\nCOMMIT;\n\
                 BEGIN;\nINSERT INTO runs VALUES (3);\n{part};\nCOMMIT;\nINSERT INTO runs VALUES (4);\n"
            );
            store.file("2_change.sql", &text);
        };
        file(wrong);
        for _ in 0..2 {
            let ended = store.up(&[]);
            assert_eq!(ended.exit, 1, "{ended:?}");
            let finding = &ended.report["findings"][0];
            assert_eq!(finding["code"], code, "{ended:?}");
            assert_eq!(finding["place"]["line"], 7, "{ended:?}");
            let harm = finding["harm"].as_str().unwrap();
            let says = "2 of 5 statements of the file are applied and stay; statements 3 to 4 changed nothing";
            assert!(harm.ends_with(says), "{harm}");
            assert_eq!(store.backend.count(&store.url, "runs"), 2);
            let (status, _) = store.status();
            assert!(
                status.starts_with("half applied: 2 statements are applied"),
                "{status}"
            );
        }
        file("INSERT INTO drafts VALUES (3)");
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
        assert_eq!(store.backend.count(&store.url, "runs"), 4);
        assert_eq!(store.backend.count(&store.url, "drafts"), 3);
        assert_eq!(store.status().1, 0);
    }
}

fn a_file_that_ends_in_the_middle(host: &Host) {
    a_file_with_transactions_of_its_own_resumes(host);
    half_applied::what_is_half_applied_is_resumed_and_never_skipped(host);
    half_applied::what_a_run_leaves_is_named(host);
}

#[test]
fn a_file_with_transactions_of_its_own_resumes_on_sqlite() {
    a_file_that_ends_in_the_middle(&Host::sqlite());
}

#[test]
fn a_file_with_transactions_of_its_own_resumes_on_postgres() {
    a_file_that_ends_in_the_middle(&Host::postgres());
}

/// A version that stopped in the middle counts as applied, or is pending from its first statement.
#[test]
fn a_version_that_stopped_is_resolved() {
    let host = Host::postgres();
    for how in ["applied", "retry"] {
        let store = host.store(how);
        servers::run_sql(&store.url, "INSERT INTO tags VALUES (3, 'a')");
        store.file("2_change.sql", &format!("-- no-transaction\n{INDEXES}"));
        assert_eq!(store.up(&[]).exit, 1);
        // Whoever settles it by hand fixes the file, too.
        let corrected = INDEXES.replace("UNIQUE ", "");
        store.file("2_change.sql", &format!("-- no-transaction\n{corrected}"));
        let resolve = |options: &[&str]| {
            let mut command = store.command("resolve");
            let command = command.args(["2", "--as", how]).args(options);
            command.output().unwrap()
        };
        let options = if how == "retry" {
            // The first statement is applied: it is not forgotten without being asked for.
            let refused = resolve(&[]);
            let told = String::from_utf8_lossy(&refused.stderr);
            assert_eq!(refused.status.code(), Some(4), "{told}");
            assert!(told.contains("1 statement of `2` is applied"), "{told}");
            assert!(told.contains("--as retry --force"), "{told}");
            assert!(store.status().0.starts_with("half applied: 1 statement"));
            &["--force"] as &[&str]
        } else {
            &[]
        };
        let resolved = resolve(options);
        assert_eq!(resolved.status.code(), Some(0), "{resolved:?}");
        let told = String::from_utf8_lossy(&resolved.stderr);
        let is_warned = told.contains("did not apply statements 2 to 3 of `2`");
        assert_eq!(is_warned, how == "applied", "{told}");
        let again = resolve(options);
        assert_eq!(again.status.code(), Some(4), "nothing is half applied");
        if how == "applied" {
            let ended = store.up(&[]);
            assert!(ended.exit == 0 && ended.found_nothing_to_do(), "{ended:?}");
            assert_eq!(indexes(&store), ["by_role true"]);
            assert_eq!(store.status().1, 0);
        } else {
            assert_eq!(store.status(), ("pending".to_owned(), 10));
            // From the first statement on: its index is there already.
            let ended = store.up(&[]);
            assert_eq!((ended.exit, ended.failure().0), (1, 2), "{ended:?}");
            servers::run_sql(&store.url, "DROP INDEX by_role");
            let ended = store.up(&[]);
            assert_eq!(ended.exit, 0, "{ended:?}");
            has_both_indexes(&store);
        }
    }
}

/// What passes on the copy can fail on the database itself; MariaDB keeps what is done.
#[test]
fn a_lock_that_never_comes_leaves_what_is_done() {
    let host = Host::mysql();
    for (place, (_, table)) in STEPS.into_iter().enumerate() {
        let store = host.store(&format!("busy_{place}"));
        store.change(None);
        let holder = Holder::of_rows(&store, table);
        let ended = store.up(&["--lock-timeout", "1s", "--retries", "0"]);
        assert_eq!(ended.exit, 1, "{ended:?}");
        assert_eq!(ended.failure().0, place as u64 + 1, "{ended:?}");
        let (status, exit) = store.status();
        assert_eq!(exit, 1);
        let told = format!(
            "half applied: {}, statement {} failed",
            done(place),
            place + 1
        );
        assert!(status.starts_with(&told), "{status}");
        holder.release();
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
        store.is_at_head();
    }
}

/// What a run made that did not come to its end is the next run's to change, but for what users did
/// to it in between. Each file is a transaction, and in one for all nothing stays.
#[test]
fn what_a_stopped_run_made_is_the_next_ones_to_change() {
    let host = Host::postgres();
    for (name, options) in [("each", &[][..]), ("all", &["--single-transaction"])] {
        let store = host.store(&format!("made_{name}"));
        let seed = "INSERT INTO tags VALUES (8, 'seed'), (9, 'seed');
ALTER TABLE messages ADD COLUMN state text NOT NULL DEFAULT 'new';
";
        store.file("2_seed.sql", seed);
        store.file("3_change.sql", "SELECT 1 / 0;\n");
        let ended = store.up(options);
        assert_eq!(ended.exit, 1, "{ended:?}");
        let tags = if options.is_empty() { 4 } else { 2 };
        assert_eq!(store.backend.count(&store.url, "tags"), tags, "{name}");
        let change = "DELETE FROM tags WHERE label = 'seed';
UPDATE messages SET state = 'old';
";
        store.file("3_change.sql", change);
        if options.is_empty() {
            servers::run_sql(
                &store.url,
                "UPDATE messages SET state = 'liked' WHERE id = 5",
            );
            let ended = store.up(options);
            let found = &ended.report["findings"][0];
            let found = (&found["code"], &found["subject"], &found["place"]["line"]);
            assert_eq!(ended.exit, 1, "{ended:?}");
            assert_eq!(found.0, "values-changed", "{ended:?}");
            assert_eq!((found.1, found.2), (&"messages.state".into(), &2.into()));
            servers::run_sql(&store.url, "UPDATE messages SET state = 'new' WHERE id = 5");
        }
        let ended = store.up(options);
        assert_eq!(ended.exit, 0, "{ended:?}");
        assert_eq!(store.backend.count(&store.url, "tags"), 2, "{name}");
        // The run came to its end: what it made is the users' now.
        store.file("4_again.sql", "UPDATE messages SET state = 'older';\n");
        assert_eq!(store.up(options).exit, 1, "{name}");
    }
}

/// What came from a table of the users' is theirs in the table that takes its place, though the run
/// made that one.
#[test]
fn rows_stay_the_users_in_a_table_that_the_run_made() {
    let host = Host::postgres();
    let copied = "CREATE TABLE tags_2 AS SELECT * FROM tags;
DROP TABLE tags;
ALTER TABLE tags_2 RENAME TO tags;
";
    let parted = "ALTER TABLE tags RENAME TO old_tags;
CREATE TABLE tags (LIKE old_tags) PARTITION BY RANGE (id);
CREATE TABLE tags_1 PARTITION OF tags FOR VALUES FROM (0) TO (1000);
INSERT INTO tags SELECT * FROM old_tags;
DROP TABLE old_tags;
";
    for (name, rebuild) in [("copied", copied), ("parted", parted)] {
        let store = host.store(name);
        store.file("2_rebuild.sql", rebuild);
        store.file("3_delete.sql", "DELETE FROM tags;\n");
        let ended = store.up(&[]);
        let found = &ended.report["findings"][0];
        assert_eq!((ended.exit, &found["code"]), (1, &"rows-lost".into()));
        assert_eq!(store.backend.count(&store.url, "tags"), 2, "{name}");
        store.file("3_delete.sql", "SELECT 1;\n");
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
    }
}
/// What waits here on the database waits for nobody on a copy, whose name is another one.
const WAITS: &str = "DO get_lock(concat('held in ', database()), 60)";

/// Runs `migrate up` on MariaDB, and does something else when its statement `WAITS` waits.
fn meanwhile(host: &Host, name: &str, file: &str, does: impl FnOnce(&Store)) -> (Store, Ended) {
    let store = host.store(name);
    store.file("2_change.sql", file);
    let holder = Holder::new(&store, "DO get_lock(concat('held in ', database()), 0)");
    let running = store.spawn(&[]);
    until_waiting(&store, "DO get_lock");
    does(&store);
    drop(holder);
    (store, running.ended())
}

fn insert(sql: &'static str) -> impl FnOnce(&Store) {
    move |store| drop(servers::texts(&store.url, sql))
}

/// The finding of a loss: its code, its subject, and its line.
#[track_caller]
fn loss(ended: &Ended) -> (&str, &str, u64) {
    assert_eq!(ended.exit, 1, "{ended:?}");
    let finding = &ended.report["findings"][0];
    (
        finding["code"].as_str().expect("it has a code"),
        finding["subject"].as_str().expect("it has a subject"),
        finding["place"]["line"].as_u64().expect("it has a line"),
    )
}

/// Rows that come after the rehearsal are in no copy; a statement that would take them is not
/// committed, or not run.
#[test]
fn rows_that_come_meanwhile_stay_on_mysql() {
    let host = Host::mysql();
    let (store, ended) = meanwhile(
        &host,
        "bounded",
        &format!(
            "-- chatctl: allow-loss messages rows<=5 reason=\"drafts\"\n{WAITS};\nDELETE FROM messages WHERE id > 995;\n"
        ),
        insert(
            "INSERT INTO messages (id, conversation_id, role) VALUES (1001, 1, 'x'), (1002, 1, 'x')",
        ),
    );
    assert_eq!(loss(&ended), ("rows-lost", "messages", 3));
    assert_eq!(store.backend.count(&store.url, "messages"), 1002);

    let (store, ended) = meanwhile(
        &host,
        "unseen",
        &format!("{WAITS};\nDELETE FROM messages WHERE role = 'draft';\n"),
        insert("INSERT INTO messages (id, conversation_id, role) VALUES (1001, 1, 'draft')"),
    );
    assert_eq!(loss(&ended), ("rows-lost", "messages", 2));
    assert_eq!(store.backend.count(&store.url, "messages"), 1001);

    let rebuild = format!(
        "CREATE TABLE new LIKE drafts;\nINSERT INTO new SELECT * FROM drafts;\n{WAITS};\n\
         RENAME TABLE drafts TO old, new TO drafts;\nDROP TABLE old;\n"
    );
    let late = "INSERT INTO drafts VALUES (3)";
    let (store, ended) = meanwhile(&host, "rebuilt", &rebuild, insert(late));
    // Before the table gets another name: the row is where users read it.
    assert_eq!(loss(&ended), ("rows-lost", "drafts", 4));
    assert_eq!(store.backend.count(&store.url, "drafts"), 3);
    // The next run does not take the copy for the table, until somebody has it made again.
    assert_eq!(loss(&store.up(&[])), ("table-lost", "drafts", 4));
    drop(servers::texts(&store.url, "DROP TABLE new"));
    let mut command = store.command("resolve");
    let resolved = command
        .args(["2", "--as", "retry", "--force"])
        .output()
        .unwrap();
    assert!(resolved.status.success(), "{resolved:?}");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert_eq!(store.backend.count(&store.url, "drafts"), 3);
}

/// A lock and a transaction of the file are the database's too: who writes waits for their end.
#[test]
fn a_file_keeps_its_locks_and_transactions_on_mysql() {
    let host = Host::mysql();
    let locked = format!(
        "CREATE TABLE new LIKE drafts;\nLOCK TABLES drafts WRITE, new WRITE;\nINSERT INTO new SELECT * FROM drafts;\n{WAITS};\n\
         ALTER TABLE drafts RENAME old;\nALTER TABLE new RENAME drafts;\nUNLOCK TABLES;\nDROP TABLE old;\n"
    );
    let archived = format!(
        "-- chatctl: allow-loss drafts reason=\"they are archived\"\nCREATE TABLE archive LIKE drafts;\nSTART TRANSACTION;\n\
         INSERT INTO archive SELECT * FROM drafts WHERE id > 0;\n{WAITS};\nDELETE FROM drafts WHERE id > 0;\nCOMMIT;\n"
    );
    for (name, file, tables) in [
        ("locked", locked, [("drafts", 3), ("runs", 0)]),
        ("archived", archived, [("drafts", 1), ("archive", 2)]),
    ] {
        let mut writer = None;
        let (store, ended) = meanwhile(&host, name, &file, |store| {
            let url = store.url.clone();
            let late = "INSERT INTO drafts VALUES (3)";
            // Between two names there is no such table for a moment.
            writer = Some(std::thread::spawn(move || {
                until("the row to get in", || {
                    std::panic::catch_unwind(|| servers::texts(&url, late)).ok()
                })
            }));
            until_waiting(store, late);
        });
        assert_eq!(ended.exit, 0, "{ended:?}");
        drop(writer.map(|writer| writer.join().expect("the row got in")));
        for (table, rows) in tables {
            assert_eq!(
                store.backend.count(&store.url, table),
                rows,
                "{name}: {table}"
            );
        }
    }
}

/// The default values that a statement gave are the file's own, also for the run after a stop.
#[test]
fn a_stop_between_a_default_and_its_backfill_on_mysql() {
    let host = Host::mysql();
    let store = host.store("stopped");
    store.file(
        "2_change.sql",
        &format!(
            "ALTER TABLE messages ADD COLUMN state VARCHAR(9) NOT NULL DEFAULT 'x';\n{WAITS};\nUPDATE messages SET state = 'y';\n"
        ),
    );
    let holder = Holder::new(&store, "DO get_lock(concat('held in ', database()), 0)");
    let running = store.spawn(&[]);
    until_waiting(&store, "DO get_lock");
    running.kill();
    drop(holder);
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let done = "messages WHERE state = 'y'";
    assert_eq!(store.backend.count(&store.url, done), 1000);
}

/// What finished files made is the next run's to change, but for what users wrote there in between.
#[test]
fn what_a_stopped_run_made_is_the_next_ones_to_change_on_mysql() {
    let host = Host::mysql();
    let store = host.store("made");
    store.file(
        "2_seed.sql",
        "CREATE TABLE roles (id INT PRIMARY KEY, name VARCHAR(20));\nINSERT INTO roles VALUES (1, 'a'), (2, 'b');\n\
         ALTER TABLE messages ADD COLUMN state VARCHAR(9) NOT NULL DEFAULT 'new';\n",
    );
    store.file("3_wait.sql", &format!("{WAITS};\n"));
    store.file(
        "4_change.sql",
        "UPDATE messages SET state = 'old';\nDROP TABLE roles;\n",
    );
    let holder = Holder::new(&store, "DO get_lock(concat('held in ', database()), 0)");
    let running = store.spawn(&[]);
    until_waiting(&store, "DO get_lock");
    running.kill();
    drop(holder);
    let write = |sql: &str| drop(servers::texts(&store.url, sql));

    write("INSERT INTO roles VALUES (3, 'mine')");
    assert_eq!(loss(&store.up(&[])), ("table-lost", "roles", 2));
    write("DELETE FROM roles WHERE id = 3");
    write("UPDATE messages SET state = 'liked' WHERE id = 5");
    assert_eq!(
        loss(&store.up(&[])),
        ("values-changed", "messages.state", 1)
    );
    write("UPDATE messages SET state = 'new' WHERE id = 5");
    // A row that has the default value is no hindrance.
    write("INSERT INTO messages (id, conversation_id, role) VALUES (1001, 1, 'user')");
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let done = "messages WHERE state = 'old'";
    assert_eq!(store.backend.count(&store.url, done), 1001);
    // The run came to its end: what it made is the users' now.
    store.file("5_again.sql", "UPDATE messages SET state = 'older';\n");
    assert_eq!(
        loss(&store.up(&[])),
        ("values-changed", "messages.state", 1)
    );
}

/// Rows that the server reads from a file of its own, on the copy as well.
#[test]
fn a_file_of_the_server_is_loaded_on_mysql() {
    let host = Host::mysql();
    let store = host.store("loaded");
    let folder = servers::texts(&store.url, "SELECT @@datadir").remove(0);
    let path = format!("{folder}/loaded.csv");
    drop(servers::texts(
        &store.url,
        &format!("SELECT 101, 1 UNION ALL SELECT 102, 2 INTO OUTFILE '{path}'"),
    ));
    store.file(
        "2_change.sql",
        &format!("LOAD DATA INFILE '{path}' INTO TABLE attachments;\n"),
    );
    let ended = store.up(&[]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    assert_eq!(store.backend.count(&store.url, "attachments"), 102);
    let replace = format!("LOAD DATA INFILE '{path}' REPLACE INTO TABLE drafts (id, @other);\n");
    store.file("3_change.sql", &format!("DELETE FROM drafts;\n{replace}"));
    assert_eq!(loss(&store.up(&[])), ("rows-lost", "drafts", 1));
}
