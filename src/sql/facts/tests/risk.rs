use super::*;
use Dialect::{Mysql, Postgres, Sqlite};

#[test]
fn what_must_not_be_in_a_transaction() {
    for (dialect, sql, expected) in [
        (Postgres, "CREATE INDEX CONCURRENTLY i ON m (a)", true),
        (Postgres, "CREATE INDEX i ON m (a)", false),
        (Postgres, "DROP INDEX CONCURRENTLY i", true),
        (Postgres, "REINDEX (CONCURRENTLY) INDEX i", true),
        (Postgres, "REINDEX DATABASE chat", true),
        (Postgres, "REINDEX INDEX i", false),
        (Postgres, "VACUUM m", true),
        (Postgres, "ALTER TYPE role ADD VALUE 'tool'", false),
        (Postgres, "CREATE DATABASE chat", true),
        (Postgres, "DROP DATABASE chat", true),
        (Postgres, "ALTER SYSTEM SET work_mem = '1MB'", true),
        (
            Postgres,
            "ALTER TABLE m DETACH PARTITION p CONCURRENTLY",
            true,
        ),
        (Sqlite, "VACUUM", true),
        (Sqlite, "PRAGMA foreign_keys=OFF", true),
        (Sqlite, "PRAGMA foreign_keys", false),
        (Sqlite, "PRAGMA journal_mode=WAL", true),
        (Sqlite, "PRAGMA defer_foreign_keys=ON", false),
        (Mysql, "OPTIMIZE TABLE m", false),
    ] {
        assert_eq!(
            of(sql, dialect).needs_no_transaction(dialect),
            expected,
            "{sql}"
        );
    }
}

#[test]
fn what_mysql_commits_by_itself() {
    for (sql, expected) in [
        ("CREATE TABLE m (a int)", true),
        ("CREATE TEMPORARY TABLE m (a int)", false),
        ("ALTER TABLE m ADD a int", true),
        ("TRUNCATE m", true),
        ("RENAME TABLE m TO n", true),
        ("GRANT ALL ON m TO x", true),
        ("LOCK TABLES m WRITE", true),
        ("BEGIN", true),
        ("CALL p()", true),
        ("INSERT INTO m VALUES (1)", false),
        ("DELETE FROM m", false),
        ("SELECT 1", false),
        ("SET autocommit = 1", true),
        ("SET autocommit = 0", false),
        ("ROLLBACK", false),
    ] {
        assert_eq!(of(sql, Mysql).implicit_commit(Mysql), expected, "{sql}");
        assert!(!of(sql, Postgres).implicit_commit(Postgres));
    }
}

#[test]
fn what_writes_rows() {
    for (sql, expected) in [
        ("INSERT INTO m VALUES (1)", true),
        ("TRUNCATE m", true),
        ("CREATE TABLE n AS SELECT 1", true),
        ("CREATE TABLE n (a int)", false),
        ("WITH d AS (DELETE FROM m) SELECT 1", true),
        ("DROP TABLE m", false),
        ("SELECT 1", false),
    ] {
        assert_eq!(of(sql, Postgres).writes_rows(), expected, "{sql}");
    }
    assert!(of("SAVEPOINT s", Sqlite).kind.controls_transaction());
    assert!(Destroys::No < Destroys::Possibly && Destroys::Possibly < Destroys::Certainly);
}
