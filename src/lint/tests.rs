use super::{ALL, Input, Schema, Settings, check};
use crate::report::Finding;
use crate::sql::Dialect;
use crate::sql::Dialect::{Mysql, Postgres, Sqlite};
use std::fs;
use std::path::Path;

fn codes(dialect: Dialect, text: &str) -> Vec<String> {
    let input = Input {
        file: "f.sql",
        text,
        start: (1, 1),
        no_transaction: false,
        acknowledged: &[],
    };
    let settings = Settings {
        dialect,
        server: "16".parse().unwrap(),
        foreign: Vec::new(),
    };
    let checked = check(&input, &settings, &mut Schema::default());
    let severity = |finding: &Finding| format!("{:?}", finding.severity);
    checked
        .findings
        .iter()
        .map(|finding| format!("{} {}", finding.code, severity(finding).to_lowercase()))
        .collect()
}

#[test]
fn rows_are_in_the_order_of_the_alphabet_and_say_why() {
    assert!(ALL.is_sorted_by_key(|rule| rule.code));
    for rule in ALL {
        assert!(
            !rule.why.is_empty() && !rule.dialects.is_empty(),
            "{}",
            rule.code
        );
    }
}

#[test]
#[rustfmt::skip]
fn what_circumstances_change() {
    for (dialect, text, expected) in [
        (Sqlite, "CREATE TABLE a (x); DELETE FROM a; DROP TABLE a", ""),
        (Sqlite, "CREATE TABLE IF NOT EXISTS a (x); DROP TABLE a", "drop-table error"),
        // What took the name by a rename holds what was there.
        (Sqlite, "CREATE TABLE n (x); ALTER TABLE a RENAME TO n2; ALTER TABLE n RENAME TO a; DELETE FROM a", "delete-without-where error"),
        (Sqlite, "CREATE TABLE n AS SELECT * FROM a; DROP TABLE a; ALTER TABLE n RENAME TO a", "drop-table-cascades warning"),
        (Sqlite, "ALTER TABLE a RENAME TO o; CREATE TABLE a (x); INSERT INTO a SELECT x FROM o; DROP TABLE o", "drop-table-cascades warning"),
        (Sqlite, "CREATE TABLE n (x); INSERT INTO n SELECT x FROM a; DROP TABLE a", "drop-table warning"),
        (Sqlite, "PRAGMA foreign_keys=OFF; VACUUM", "pragma-without-effect warning needs-no-transaction warning"),
        (Sqlite, "-- chatctl: allow-loss a.x reason=\"r\"\nALTER TABLE a DROP COLUMN x; DROP TABLE a", "drop-table error"),
        (Sqlite, "-- chatctl: allow-loss a reason=\"r\"\nALTER TABLE a DROP COLUMN x; DROP TABLE a", ""),
        (Postgres, "-- chatctl: allow-loss a reason=\"r\"\nWITH d AS (DELETE FROM a RETURNING *) INSERT INTO b SELECT * FROM d", ""),
        (Postgres, "DO $$ BEGIN DELETE FROM a; END $$", "opaque-code error"),
        (Postgres, "-- chatctl: allow-loss a reason=\"r\"\nDO $$ BEGIN DELETE FROM a; END $$", "opaque-code warning"),
        (Postgres, "DROP TYPE mood CASCADE", "drop-column warning squawk/ban-drop-type warning"),
        (Postgres, "NOTIFY a", "unparsable-statement error"),
        (Sqlite, "CREATE TABEL b (id)", "unparsable-statement error"),
        (Sqlite, "ALTER TABEL messages ADD x", "unparsable-statement error"),
        (Sqlite, "DROP TABEL messages", "unparsable-statement error"),
        (Sqlite, "CREATE UNIQUE INDX a ON b (c)", "unparsable-statement error"),
        (Sqlite, "INSERT INTOO messages VALUES (1)", "unparsable-statement error"),
        (Sqlite, "CREATE TABLE b (id,,x)", "unparsable-statement error"),
        (Sqlite, "CREATE TABLE b (id, x,)", "unparsable-statement error"),
        (Sqlite, "CREATE TABLE b (id, x", "unparsable-statement error"),
        (Sqlite, "INSERT INTO b VALUES (1)),(2)", "unparsable-statement error"),
        (Sqlite, "CREATE VIRTUAL TABLE b USING fts5 (x, tokenize = 'porter')", ""),
        (Sqlite, "CREATE TEMP TABLE b (\"a,,\" TEXT DEFAULT ',)' /* (,, */)", ""),
        (Sqlite, "INSERT OR IGNORE INTO b AS c VALUES (1, '(') ON CONFLICT DO NOTHING", ""),
        (Sqlite, "REPLACE INTO b DEFAULT VALUES", "replace-deletes-rows warning"),
        (Mysql, "CREATE TABEL b (id INT)", "unparsable-statement error"),
        (Mysql, "ALTER TABEL messages ADD x INT", "unparsable-statement error"),
        (Mysql, "DROP TABEL messages", "unparsable-statement error"),
        (Mysql, "INSERT DELAYED INTOO b VALUES (1)", "unparsable-statement error"),
        (Mysql, "INSERT b VALUES (1)", ""),
        (Mysql, "INSERT b.c SET x = 1", ""),
        (Mysql, "INSERT LOW_PRIORITY b (x) SELECT 1", ""),
        (Mysql, "CREATE SEQUENCE s START 1", ""),
        (Mysql, "CREATE USER u IDENTIFIED BY 'x'", ""),
        (Mysql, "CREATE DEFINER = `a`@`%` SQL SECURITY INVOKER VIEW v AS SELECT 1", ""),
        (Mysql, "CREATE TABLE b (id INT /*!50000 , x INT */)", ""),
        (Postgres, "-- no-transaction\nBEGIN; UPDATE a SET x = 1 WHERE y; COMMIT", ""),
        (Postgres, "-- squawk-ignore ban-drop-not-null\nALTER TABLE a ALTER COLUMN x DROP NOT NULL", ""),
        (Postgres, "BEGIN; UPDATE a SET x = 1 WHERE y; COMMIT", ""),
        (Sqlite, "PRAGMA cache_size = 1; BEGIN; UPDATE a SET x = 1 WHERE y; END", ""),
        (Postgres, "BEGIN; UPDATE a SET x = 1 WHERE y; COMMIT; UPDATE a SET x = 2 WHERE z", "ends-transaction warning"),
        (Postgres, "BEGIN; UPDATE a SET x = 1 WHERE y; COMMIT AND CHAIN; COMMIT", "ends-transaction error ends-transaction error ends-transaction error"),
        (Mysql, "DELETE FROM a USING a JOIN b ON a.x = b.x", "delete-rows warning"),
        (Mysql, "SET sql_mode = REPLACE(@@sql_mode, 'STRICT_TRANS_TABLES', '')", "loosens-sql-mode warning"),
        (Mysql, "SET sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')", ""),
        (Mysql, "ALTER TABLE a CHANGE x X BIGINT", ""),
        (Mysql, "ALTER IGNORE TABLE a ADD UNIQUE (x)", "ignore-drops-rows warning"),
        (Mysql, "ALTER TABLE a DROP PRIMARY KEY", "table-copied warning"),
        (Mysql, "ALTER TABLE a DROP PRIMARY KEY, ADD PRIMARY KEY (x, y)", ""),
        (Mysql, "ALTER TABLE a ENGINE = InnoDB", ""),
        (Mysql, "BEGIN NOT ATOMIC DELETE FROM a; END", "opaque-code error"),
    ] {
        assert_eq!(codes(dialect, text).join(" "), expected, "{text}");
    }
}

/// A text that ends anywhere is read without a panic, also by squawk.
#[test]
fn every_start_of_a_fixture_can_be_read() {
    let fixtures = Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures/lint");
    for folder in fs::read_dir(fixtures).unwrap() {
        for file in fs::read_dir(folder.unwrap().path()).unwrap() {
            let text = fs::read_to_string(file.unwrap().path()).unwrap();
            for (end, _) in text.char_indices().step_by(7) {
                for dialect in [Sqlite, Postgres, Mysql] {
                    codes(dialect, &text[..end]);
                }
            }
        }
    }
}
