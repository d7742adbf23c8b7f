use super::*;
use Destroys::{Certainly, No, Possibly};

#[test]
#[rustfmt::skip]
fn statements_of_sqlite() {
    let as_select = Kind::CreateTable {
        if_not_exists: true,
        or_replace: false,
        temporary: true,
        as_select: true,
    };
    let view = Kind::CreateView {
        if_not_exists: true,
        or_replace: false,
        materialized: false,
    };
    let trigger = Kind::CreateTrigger {
        if_not_exists: true,
        or_replace: false,
    };
    check(
        Dialect::Sqlite,
        vec![
            ("CREATE TABLE m (id INTEGER PRIMARY KEY) STRICT", create_table(), "m", No),
            ("CREATE TABLE \"main\".\"m\" (a CHECK (a > 0))", create_table(), "main.m", No),
            ("CREATE TEMP TABLE IF NOT EXISTS [m 2] AS SELECT 1", as_select, "m 2", No),
            ("CREATE VIRTUAL TABLE f USING fts5(body, content='m', tokenize='porter ascii')", create_table(), "f", No),
            ("DROP TABLE m", drop_table(false, false), "m", Certainly),
            ("drop table if exists 'm'", drop_table(true, false), "m", Certainly),
            ("ALTER TABLE m ADD COLUMN a TEXT", alter(add_column("TEXT", false, false)), "m", No),
            ("ALTER TABLE m ADD a TEXT NOT NULL DEFAULT ''", alter(add_column("TEXT NOT NULL DEFAULT ''", true, true)), "m", No),
            ("ALTER TABLE m DROP COLUMN b", alter(drop_column("b")), "m", Certainly),
            ("ALTER TABLE m DROP b", alter(drop_column("b")), "m", Certainly),
            ("ALTER TABLE m RENAME COLUMN a TO b", alter(rename_column()), "m", No),
            ("ALTER TABLE m RENAME a TO b", alter(rename_column()), "m", No),
            ("ALTER TABLE __new_m RENAME TO `m`", alter(AlterAction::RenameTable { to: Name::new("m") }), "__new_m", No),
            ("CREATE UNIQUE INDEX IF NOT EXISTS i ON m (a)", index(true, false, true), "m", No),
            ("DROP INDEX IF EXISTS i", Kind::DropIndex { concurrently: false, if_exists: true }, "", No),
            ("INSERT INTO m (a, b) VALUES (1, (SELECT 2))", insert(false, Conflict::Fail), "m", No),
            ("INSERT INTO __new_m(\"id\") SELECT \"id\" FROM m", insert(true, Conflict::Fail), "__new_m", No),
            ("INSERT OR IGNORE INTO m SELECT * FROM o", insert(true, Conflict::Ignore), "m", No),
            ("INSERT OR REPLACE INTO m VALUES (1)", insert(false, Conflict::Replace), "m", Possibly),
            ("REPLACE INTO m VALUES (1)", insert(false, Conflict::Replace), "m", Possibly),
            ("INSERT INTO m VALUES (1) ON CONFLICT DO NOTHING", insert(false, Conflict::Ignore), "m", No),
            ("INSERT INTO m VALUES (1) ON CONFLICT (id) DO UPDATE SET a = 1", insert(false, Conflict::Update), "m", Possibly),
            ("UPDATE m SET a = 1", update(false), "m", Possibly),
            ("UPDATE OR REPLACE m SET a = (SELECT 1 WHERE 1) WHERE id = 2", update(true), "m", Possibly),
            ("UPDATE m SET a = (SELECT b FROM o WHERE o.id = m.id)", update(false), "m", Possibly),
            ("DELETE FROM messages", delete(false), "messages", Certainly),
            ("DELETE FROM m WHERE 1=1", delete(false), "m", Certainly),
            ("DELETE FROM m WHERE true", delete(false), "m", Certainly),
            ("DELETE FROM m WHERE id IN (SELECT 1)", delete(true), "m", Certainly),
            ("WITH o AS (SELECT 1) DELETE FROM m WHERE id = 1", delete(true), "m", Certainly),
            ("WITH RECURSIVE o(n) AS (SELECT 1) SELECT n FROM o", Kind::Select, "", No),
            ("SELECT count(*), my_function() FROM m", Kind::Select, "", No),
            ("CREATE TRIGGER IF NOT EXISTS t AFTER UPDATE OF a ON m BEGIN DELETE FROM x; END", trigger, "m", No),
            ("DROP TRIGGER t", Kind::DropTrigger, "", No),
            ("CREATE VIEW IF NOT EXISTS v AS SELECT * FROM m", view, "", No),
            ("PRAGMA foreign_keys=OFF", pragma("foreign_keys", Some("OFF")), "", No),
            ("PRAGMA main.foreign_keys(0)", pragma("foreign_keys", Some("0")), "", No),
            ("PRAGMA foreign_key_check", pragma("foreign_key_check", None), "", No),
            ("PRAGMA journal_mode = 'WAL'", pragma("journal_mode", Some("WAL")), "", No),
            ("PRAGMA writable_schema = ON", pragma("writable_schema", Some("ON")), "", Possibly),
            ("VACUUM INTO 'b.db'", Kind::Vacuum, "", No),
            ("REINDEX", Kind::Reindex { concurrently: false, whole: false }, "", No),
            ("ANALYZE", Kind::Analyze, "", No),
            ("BEGIN IMMEDIATE", Kind::Begin, "", No),
            ("END TRANSACTION", Kind::Commit, "", No),
            ("ROLLBACK TO s", Kind::Rollback { to_savepoint: true }, "", No),
            ("SAVEPOINT s", Kind::Savepoint, "", No),
            ("RELEASE s", Kind::Release, "", No),
            ("ATTACH 'x.db' AS other", Kind::Attach, "", No),
            ("EXPLAIN QUERY PLAN DELETE FROM m", Kind::Select, "", No),
            ("FROBNICATE m", Kind::Other, "", Possibly),
            ("42", Kind::Other, "", Possibly),
        ],
    );
}

#[test]
#[rustfmt::skip]
fn what_a_statement_reads() {
    for (sql, expected) in [
        ("INSERT INTO __new_m SELECT * FROM m JOIN o ON 1", "m o"),
        ("CREATE TABLE a (m REFERENCES messages(id) ON DELETE CASCADE)", "messages"),
        ("SELECT 1 FROM a, b AS c, (SELECT 1 FROM d) WHERE x IS DISTINCT FROM y", "a b d"),
        ("WITH c AS (SELECT * FROM m) SELECT * FROM c", "m"),
        ("DELETE FROM m WHERE id IN (SELECT id FROM o)", "o"),
        ("SELECT trim(BOTH ' ' FROM a), json_each.value FROM m, json_each(m.a)", "m"),
    ] {
        let reads: Vec<_> = of(sql, Dialect::Sqlite)
            .reads
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(reads.join(" "), expected, "{sql}");
    }
}
