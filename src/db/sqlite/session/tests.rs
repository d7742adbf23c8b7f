//! A session on real files: what the engine says of each statement.

use super::{Measure, Missing, Session as _, Sqlite, Target, Waits};

const STORE: &str = "
    CREATE TABLE m (id INTEGER PRIMARY KEY, body TEXT);
    CREATE TABLE other (id INTEGER PRIMARY KEY, body TEXT);
    CREATE TABLE keyed (k TEXT PRIMARY KEY, v TEXT) WITHOUT ROWID;
    CREATE VIRTUAL TABLE f USING fts5(body);
    INSERT INTO m VALUES (1, 'a'), (2, 'b'), (3, NULL);
    INSERT INTO keyed VALUES ('a', 'x');
    INSERT INTO f VALUES ('hello');
";

fn session(sql: &str) -> (tempfile::TempDir, Sqlite) {
    let folder = tempfile::tempdir().unwrap();
    let url = format!("sqlite:{}", folder.path().join("t.db").display());
    let target = Target::parse(&url).unwrap();
    let mut session = Sqlite::open(&target, Missing::Create, Waits::SHORT).unwrap();
    session.command(sql).unwrap();
    (folder, session)
}

/// The tables that statements touch, by the engine's evidence.
fn touched(statements: &[&str]) -> Vec<String> {
    let (_folder, mut session) = session(STORE);
    session.command("BEGIN IMMEDIATE").unwrap();
    session.watch(&[], Measure::Values).unwrap();
    for statement in statements {
        session.run(statement).unwrap();
    }
    session.touched().unwrap().into_iter().collect()
}

#[test]
fn an_update_of_an_old_column_touches() {
    for (statement, table) in [
        ("UPDATE m SET body = body", "m"),
        ("UPDATE main.M SET \"BODY\" = 'x' WHERE id = 1", "m"),
        (
            "INSERT INTO m VALUES (1, 'z') ON CONFLICT (id) DO UPDATE SET body = excluded.body",
            "m",
        ),
        ("UPDATE keyed SET v = 'y'", "keyed"),
        ("UPDATE m SET id = id + 10", "m"),
        ("UPDATE m SET rowid = 7 WHERE id = 1", "m"),
    ] {
        assert_eq!(touched(&[statement]), [table], "{statement}");
    }
    let added = [
        "ALTER TABLE m ADD COLUMN status TEXT",
        "UPDATE m SET status = 'done'",
    ];
    assert_eq!(touched(&added), [""; 0], "a new column has nothing to lose");
}

#[test]
fn what_only_adds_touches_nothing() {
    for statement in [
        "CREATE TABLE n (id INTEGER PRIMARY KEY)",
        "CREATE INDEX i ON m (body)",
        "INSERT INTO m VALUES (4, 'd')",
        "INSERT OR IGNORE INTO m VALUES (1, 'd')",
        "ALTER TABLE m ADD COLUMN note TEXT DEFAULT 'x'",
        "CREATE TRIGGER t AFTER INSERT ON m BEGIN DELETE FROM other; END",
        "SELECT * FROM m",
    ] {
        assert_eq!(touched(&[statement]), [""; 0], "{statement}");
    }
}

#[test]
fn whatever_may_take_a_row_or_a_value_away_is_seen() {
    for statements in [
        &["DELETE FROM m WHERE id = 7"][..],
        &["DELETE FROM m"],
        &["UPDATE OR REPLACE m SET body = body"],
        &["DROP TABLE m"],
        &["ALTER TABLE m DROP COLUMN body"],
        &["ALTER TABLE m RENAME COLUMN body TO text"],
        &["REPLACE INTO m VALUES (1, 'z')"],
        &["INSERT OR REPLACE INTO m VALUES (1, 'z')"],
        &["WITH x AS (SELECT 1 AS i) DELETE FROM m WHERE id IN (SELECT i FROM x)"],
        // A view that writes, and a trigger that does.
        &[
            "CREATE VIEW v AS SELECT id FROM m",
            "CREATE TRIGGER t INSTEAD OF DELETE ON v BEGIN DELETE FROM m WHERE id = old.id; END",
            "DELETE FROM v WHERE id = 1",
        ],
        &[
            "CREATE TRIGGER t AFTER INSERT ON other BEGIN DELETE FROM m; END",
            "INSERT INTO other VALUES (1, 'x')",
        ],
        // Renamed away, and a new one in its place that looks alike.
        &[
            "ALTER TABLE m RENAME TO x",
            "CREATE TABLE m (id INTEGER PRIMARY KEY, body TEXT)",
            "DROP TABLE x",
        ],
        &[
            "ALTER TABLE m ADD COLUMN note",
            "ALTER TABLE m RENAME TO x",
            "CREATE TABLE m (id INTEGER PRIMARY KEY, body TEXT)",
        ],
    ] {
        assert_eq!(touched(statements), ["m"], "{statements:?}");
    }
    assert_eq!(
        touched(&["REPLACE INTO keyed VALUES ('a', 'y')"]),
        ["keyed"]
    );
}

#[test]
fn a_temporary_trigger_that_replaces_is_seen_by_a_later_watch() {
    let (_folder, mut session) = session(STORE);
    session.command("BEGIN IMMEDIATE").unwrap();
    let plain =
        "CREATE TEMP TRIGGER p AFTER INSERT ON other BEGIN INSERT INTO m VALUES (9, 'z'); END";
    let replacing = "CREATE TEMP TRIGGER r AFTER INSERT ON other BEGIN INSERT OR REPLACE INTO m VALUES (1, 'z'); END";
    for (trigger, takes) in [(plain, false), (replacing, true)] {
        session.run(trigger).unwrap();
        session.watch(&[], Measure::Values).unwrap();
        session
            .run("INSERT INTO other (body) VALUES ('x')")
            .unwrap();
        assert_eq!(session.touched().unwrap().contains("m"), takes, "{trigger}");
        session.reset().unwrap();
    }
}

/// A trigger keeps the name of its table as it was written.
#[test]
fn an_object_has_the_name_of_its_table() {
    let (_folder, mut session) = session(STORE);
    session
        .command(
            "CREATE TRIGGER t AFTER INSERT ON M BEGIN SELECT 1; END; CREATE VIEW v AS SELECT 1",
        )
        .unwrap();
    let objects = session.objects().unwrap();
    let table = |name: &str| {
        objects
            .iter()
            .find(|it| it.name == name)
            .map(|it| it.table.as_str())
    };
    assert_eq!((table("t"), table("v")), (Some("m"), Some("v")));
}

#[test]
fn a_virtual_table_is_touched_by_whatever_is_said_to_it() {
    for statement in [
        "INSERT INTO f (f) VALUES ('rebuild')",
        "DELETE FROM f",
        "UPDATE f_content SET c0 = 'x'",
        "DROP TABLE f",
    ] {
        assert_eq!(touched(&[statement]), ["f", "f_content"], "{statement}");
    }
}

#[test]
fn a_comparison_sees_bytes_and_rows() {
    let (_folder, mut session) = session(STORE);
    let before = session.catalog().unwrap();
    let m = before.iter().find(|shape| shape.name == "m").unwrap();
    session
        .watch(std::slice::from_ref(m), Measure::Values)
        .unwrap();
    session
        .command(
            "CREATE TABLE n (id INTEGER PRIMARY KEY, body TEXT COLLATE NOCASE);
             INSERT INTO n SELECT id, CASE id WHEN 1 THEN 'A' ELSE NULL END FROM m WHERE id < 3;
             DROP TABLE m; ALTER TABLE n RENAME TO m",
        )
        .unwrap();
    let columns = m
        .columns
        .iter()
        .map(|column| (column.clone(), column.clone()));
    let successor = crate::model::Successor {
        table: "m".into(),
        columns: columns.collect(),
        key: vec![(m.columns[0].clone(), m.columns[0].clone())],
        keyed: true,
    };
    let compared = session.compare(m, Some(&successor)).unwrap().unwrap();
    assert_eq!((compared.before, compared.missing), (3, 1));
    let body = &compared.columns[1];
    assert_eq!((body.filled, body.nulled, body.changed), (2, 1, 1));
}

#[test]
fn an_orphan_is_told_with_its_number_and_its_values() {
    let (_folder, mut session) = session(STORE);
    let table = "CREATE TABLE r (rowid TEXT PRIMARY KEY, a INT, b REFERENCES keyed);
                 INSERT INTO r VALUES ('x', 1, 'gone'), ('y', 2, NULL), ('z', 3, 'it''s gone')";
    session.command(table).unwrap();
    let found = session.orphans().unwrap();
    let told = found.iter().map(|it| (it.row, it.values.join(",")));
    let told: Vec<_> = told.collect();
    let expected = [(Some(1), "gone".into()), (Some(3), "it's gone".into())];
    assert_eq!(told, expected);
    let (tables, columns) = (found[0].tables(), found[0].columns());
    assert_eq!(
        (tables, columns),
        (["r".into(), "keyed".into()], vec!["b".into()])
    );
}

#[test]
fn orphans_without_a_row_number_are_counted() {
    let (_folder, mut session) = session(STORE);
    let table = "CREATE TABLE tag (k TEXT REFERENCES keyed, n, PRIMARY KEY (k, n)) WITHOUT ROWID;";
    session.command(table).unwrap();
    session.command("INSERT INTO tag VALUES ('b', 1)").unwrap();
    assert_eq!(session.orphans().unwrap().len(), 1);
    session.command("INSERT INTO tag VALUES ('c', 1)").unwrap();
    assert_eq!(session.orphans().unwrap().len(), 2);
    session.command("DELETE FROM tag").unwrap();
    assert!(session.orphans().unwrap().is_empty());
}

#[test]
fn what_would_get_around_the_measure_is_not_let_through() {
    let (_folder, mut session) = session("CREATE TABLE _sqlx_migrations (version)");
    session.command("BEGIN").unwrap();
    for (sql, says) in [
        ("COMMIT", "own transaction"),
        ("ROLLBACK", "own transaction"),
        ("BEGIN", "own transaction"),
        ("ATTACH ':memory:' AS o", "ATTACH"),
        ("PRAGMA writable_schema = ON", "writable_schema"),
        ("UPDATE _sqlx_migrations SET version = 1", "history"),
        ("INSERT INTO _sqlx_migrations VALUES (1)", "history"),
        ("DROP TABLE _sqlx_migrations", "history"),
    ] {
        let failed = session.run(sql).unwrap_err();
        assert!(failed.message.contains(says), "{sql}: {}", failed.message);
    }
    session
        .run("SAVEPOINT a; RELEASE a; PRAGMA foreign_keys = OFF")
        .unwrap();
    session.command("COMMIT").unwrap();
}

/// The manual says only that it may change them.
#[test]
fn vacuum_keeps_the_numbers_of_rows_that_have_an_index() {
    for (columns, keeps) in [
        ("id TEXT PRIMARY KEY, body", true),
        ("body, id TEXT UNIQUE", true),
        ("body, id TEXT", false),
    ] {
        let (_folder, mut session) = session(&format!(
            "CREATE TABLE d ({columns}); CREATE VIRTUAL TABLE i USING fts5(body, content='d');
             INSERT INTO d (id, body) VALUES ('c', 'x'), ('b', 'y'), ('a', 'z'); DELETE FROM d WHERE id = 'c'"
        ));
        let rows = "SELECT rowid, id FROM d ORDER BY 1";
        let before = session.rows(rows).unwrap();
        assert_eq!(
            session.keeps_numbers().unwrap().is_none(),
            keeps,
            "{columns}"
        );
        session.command("VACUUM").unwrap();
        assert_eq!(session.rows(rows).unwrap() == before, keeps, "{columns}");
    }
}

#[test]
fn the_journal_stays_that_takes_a_file_back() {
    for sql in [
        "PRAGMA journal_mode = OFF",
        "PRAGMA journal_mode = o",
        "PRAGMA journal_mode = 'memory'",
        "PRAGMA main.journal_mode(Mem)",
    ] {
        let (_folder, mut session) = session(STORE);
        session.command("BEGIN IMMEDIATE").unwrap();
        session.command("SAVEPOINT chatctl_file").unwrap();
        session.run(sql).unwrap();
        session.run("DELETE FROM m").unwrap();
        session.command("ROLLBACK TO chatctl_file").unwrap();
        let mut one = |sql: &str| session.rows(sql).unwrap()[0][0].to_string();
        assert_eq!(one("SELECT count(*) FROM m"), "3", "{sql}");
        assert_eq!(one("PRAGMA journal_mode"), "delete", "{sql}");
    }
    let (_folder, mut session) = session(STORE);
    session.run("PRAGMA journal_mode = WAL").unwrap();
    let mode = session.rows("PRAGMA journal_mode").unwrap();
    assert_eq!(mode[0][0].to_string(), "wal");
}
