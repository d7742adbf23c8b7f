//! Rows that a run copies and whose origin it then takes away, as a file acknowledges: from then on the
//! copy is the users', for the files that follow in the same run.

use crate::common::faults::store::{Ended, Host, Store};

/// The code and the subject of the first error.
#[track_caller]
fn refused(ended: &Ended) -> (&str, &str) {
    assert_eq!(ended.exit, 1, "{ended:?}");
    let findings = ended.report["findings"].as_array().into_iter().flatten();
    let mut errors = findings.filter(|it| it["severity"] == "error" || it["level"] == "error");
    let found = errors.next().unwrap_or_else(|| panic!("{ended:?}"));
    (
        found["code"].as_str().unwrap_or_default(),
        found["subject"].as_str().unwrap_or_default(),
    )
}

/// A host with a store that each case copies.
struct Begun {
    host: Host,
    store: Store,
}

impl Begun {
    fn on(host: Host) -> Self {
        let store = host.store("begun");
        Self { host, store }
    }
}

fn run(begun: &Begun, name: &str, files: &[&str]) -> (Store, Ended) {
    let store = begun.host.copy(&begun.store, "begun", name);
    for (number, text) in files.iter().enumerate() {
        store.file(&format!("{}_change.sql", number + 2), text);
    }
    let ended = store.up(&[]);
    (store, ended)
}

const COPY: &str = "CREATE TABLE kept AS SELECT id AS was, label AS name FROM tags;\n";
/// One row with a number of its own: nothing but the text tells that it is a copy.
const ONE: &str = "CREATE TABLE kept (n INTEGER PRIMARY KEY, name VARCHAR(50));
INSERT INTO kept SELECT id + 70, label FROM tags WHERE id = 1;
";
const JOINED: &str = "ALTER TABLE drafts ADD COLUMN label VARCHAR(50);
UPDATE drafts SET label = (SELECT label FROM tags WHERE tags.id = drafts.id);
";
/// From a table that loses nothing.
const COUNTED: &str = "CREATE TABLE counted (n INTEGER);
INSERT INTO counted SELECT count(*) FROM conversations;
";
const DROP: &str = "-- chatctl: allow-loss tags reason=\"kept\"\nDROP TABLE tags;\n";
const ARCHIVE: &str = "-- chatctl: allow-loss messages rows<=100 reason=\"archived\"
CREATE TABLE archive (n INTEGER PRIMARY KEY, text VARCHAR(200));
INSERT INTO archive SELECT id, body FROM messages WHERE id > 900;
DELETE FROM messages WHERE id > 900;
";
/// By a function, whose text does not say of which table's rows it is called.
const KEEPS: &str = "-- chatctl: allow-loss messages rows<=100 reason=\"archived\"
CREATE TABLE archive (n INTEGER PRIMARY KEY, text VARCHAR(200));
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO archive VALUES (OLD.id, 'kept: ' || OLD.body); RETURN OLD; END $$;
CREATE TRIGGER keep BEFORE DELETE ON messages FOR EACH ROW EXECUTE FUNCTION keep();
DELETE FROM messages WHERE id > 900;
";
const COLUMN: &str = "-- chatctl: allow-loss messages.body reason=\"it is in text\"
ALTER TABLE messages ADD COLUMN text VARCHAR(200);
UPDATE messages SET text = body;
ALTER TABLE messages DROP COLUMN body;
";
/// Not as it was, so that no value tells that it is a copy.
const FOLDED: &str = "-- chatctl: allow-loss messages.body reason=\"it is in text\"
ALTER TABLE messages ADD COLUMN text VARCHAR(200);
UPDATE messages SET text = replace(body, 'text', 'said');
ALTER TABLE messages DROP COLUMN body;
";
/// Seeds and defaults that are like rows which went by their numbers, roles, states and times.
const ALIKE: [&str; 3] = [
    "-- chatctl: allow-loss messages rows<=100 reason=\"old\"
-- chatctl: allow-loss tags reason=\"unused\"
DELETE FROM messages WHERE id > 900;
DROP TABLE tags;
ALTER TABLE drafts ADD COLUMN state VARCHAR(20) DEFAULT 'assistant';
",
    "CREATE TABLE kinds (name VARCHAR(20), place INTEGER, is_on INTEGER);
INSERT INTO kinds VALUES ('user', 901, 1), ('assistant', 902, 1), ('system', 1, 1), ('tool', 2, 1);
CREATE TABLE options (id INTEGER PRIMARY KEY, is_on INTEGER);
INSERT INTO options VALUES (1, 1), (2, 0);
CREATE TABLE starts (n INTEGER PRIMARY KEY, model VARCHAR(30), began VARCHAR(30));
INSERT INTO starts VALUES (901, 'assistant', '2026-01-01 00:00:00'), (2, 'gpt-4o-mini', '2026-01-01 00:00:00');
",
    "UPDATE kinds SET name = 'bot' WHERE name = 'assistant';
DELETE FROM options;
DROP TABLE starts;
UPDATE drafts SET state = 'user';
",
];
const SEED: &str = "CREATE TABLE roles (id INTEGER PRIMARY KEY, name VARCHAR(20));
INSERT INTO roles VALUES (1, 'one'), (2, 'two');
ALTER TABLE messages ADD COLUMN state VARCHAR(20) DEFAULT 'new';
";

fn what_is_copied_is_the_users(begun: &Begun) {
    let cases: [(&str, &[&str], (&str, &str)); 8] = [
        (
            "dropped",
            &[COPY, DROP, "DROP TABLE kept;\n"],
            ("table-lost", "kept"),
        ),
        (
            "at_once",
            &[
                &DROP.replace("DROP TABLE tags", &format!("{COPY}DROP TABLE tags")),
                "DELETE FROM kept;\n",
            ],
            ("rows-lost", "kept"),
        ),
        (
            "archived",
            &[ARCHIVE, "DELETE FROM archive WHERE n = 950;\n"],
            ("rows-lost", "archive"),
        ),
        (
            "emptied",
            &[ARCHIVE, "UPDATE archive SET text = '' WHERE n = 950;\n"],
            ("values-changed", "archive.text"),
        ),
        (
            "column",
            &[COLUMN, "UPDATE messages SET text = upper(text);\n"],
            ("values-changed", "messages.text"),
        ),
        (
            "folded",
            &[FOLDED, "UPDATE messages SET text = 'x';\n"],
            ("values-changed", "messages.text"),
        ),
        (
            "one_row",
            &[ONE, DROP, "DELETE FROM kept;\n"],
            ("rows-lost", "kept"),
        ),
        (
            "joined",
            &[JOINED, DROP, "UPDATE drafts SET label = 'x';\n"],
            ("values-changed", "drafts.label"),
        ),
    ];
    for (name, files, expected) in cases {
        let (store, ended) = run(begun, name, files);
        assert_eq!(refused(&ended), expected, "{name}: {ended:?}");
        drop(store);
    }
}

/// A new table that took the name of an old one, which is kept: a later file may take nothing from either.
fn both_tables_are_the_users(begun: &Begun) {
    let swap = "ALTER TABLE tags RENAME TO old_tags;
CREATE TABLE tags (id INTEGER PRIMARY KEY, label VARCHAR(50));
INSERT INTO tags SELECT * FROM old_tags;
";
    for (name, delete, lost) in [
        ("new_one", "DELETE FROM tags WHERE id = 1;\n", "tags"),
        (
            "old_one",
            "DELETE FROM old_tags WHERE id = 1;\n",
            "old_tags",
        ),
    ] {
        let (_store, ended) = run(begun, name, &[swap, delete]);
        assert_eq!(refused(&ended), ("rows-lost", lost), "{ended:?}");
    }
}

fn what_the_run_made_itself_is_its_own(begun: &Begun) {
    let changes = "UPDATE messages SET state = 'old';\nDROP TABLE roles;\n";
    let (_store, ended) = run(begun, "seeds", &[SEED, DROP, ARCHIVE, changes]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let (_store, ended) = run(begun, "alike", &ALIKE);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let (_store, ended) = run(begun, "counted", &[COUNTED, DROP, "DELETE FROM counted;\n"]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let of_role = FOLDED.replace("replace(body, 'text', 'said')", "upper(role)");
    let files = [of_role.as_str(), "UPDATE messages SET text = 'x';\n"];
    let (_store, ended) = run(begun, "of_another_column", &files);
    assert_eq!(ended.exit, 0, "{ended:?}");
    // Its origin is there.
    let (_store, ended) = run(begun, "origin", &[COPY, "DROP TABLE kept;\n"]);
    assert_eq!(ended.exit, 0, "{ended:?}");
    let acknowledged = "-- chatctl: allow-loss kept reason=\"nobody wants it\"\nDROP TABLE kept;\n";
    let (_store, ended) = run(begun, "both", &[COPY, DROP, acknowledged]);
    assert_eq!(ended.exit, 0, "{ended:?}");
}

#[test]
fn a_copy_is_the_users_when_its_origin_goes_on_sqlite() {
    let begun = Begun::on(Host::sqlite());
    what_is_copied_is_the_users(&begun);
    both_tables_are_the_users(&begun);
    what_the_run_made_itself_is_its_own(&begun);
}

#[test]
fn a_copy_is_the_users_when_its_origin_goes_on_postgres() {
    let begun = Begun::on(Host::postgres());
    what_is_copied_is_the_users(&begun);
    both_tables_are_the_users(&begun);
    what_the_run_made_itself_is_its_own(&begun);
    let (_store, ended) = run(&begun, "by_a_function", &[KEEPS, "DELETE FROM archive;\n"]);
    assert_eq!(refused(&ended), ("rows-lost", "archive"), "{ended:?}");
}

#[test]
fn a_copy_is_the_users_when_its_origin_goes_on_mysql() {
    let begun = Begun::on(Host::mysql());
    what_is_copied_is_the_users(&begun);
    both_tables_are_the_users(&begun);
    what_the_run_made_itself_is_its_own(&begun);
}

/// What chatctl itself wrote is not for code to change that no text shows.
#[test]
fn hidden_code_changes_neither_history_nor_journal() {
    let postgres = [
        "DO $$ BEGIN EXECUTE 'DELETE FROM _chatctl' || '_journal'; END $$;\n",
        "DO $$ BEGIN EXECUTE 'UPDATE _sqlx' || '_migrations SET description = version'; END $$;\n",
    ];
    let mysql = [
        "EXECUTE IMMEDIATE concat('DELETE FROM _sqlx', '_migrations');\n",
        "EXECUTE IMMEDIATE concat('DELETE FROM _chatctl', '_journal');\n",
    ];
    for (host, files) in [(Host::postgres(), postgres), (Host::mysql(), mysql)] {
        for (number, hidden) in files.into_iter().enumerate() {
            let store = host.store(&format!("history_{number}"));
            store.file("2_change.sql", hidden);
            let ended = store.up(&[]);
            assert_eq!(ended.exit, 1, "{hidden}: {ended:?}");
            let said = format!("{ended:?}");
            assert!(said.contains("code that it runs changes rows"), "{said}");
            let row = "_sqlx_migrations WHERE version = 1 AND description = 'begin'";
            assert_eq!(store.backend.count(&store.url, row), 1);
            assert!(store.backend.count(&store.url, "_chatctl_journal") > 0);
        }
    }
}
