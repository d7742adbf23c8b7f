use super::Carries::{Answer, Other};
use super::Status::{Idle, Locked, Open};
use super::{Class, Effect, classes, shown};
use crate::sql::Dialect::{Mysql, Postgres};

fn one(text: &str, dialect: crate::sql::Dialect) -> Class {
    let classes = classes(text, dialect);
    assert_eq!(classes.len(), 1, "{text}");
    classes[0]
}

#[test]
fn a_statement_of_postgres_is_classed_by_its_first_words() {
    for (text, class) in [
        ("SELECT 1", Class::Read),
        (" /* hi */ select * from message", Class::Read),
        ("(SELECT 1) UNION (SELECT 2)", Class::Read),
        ("WITH x AS (SELECT 1) SELECT * FROM x", Class::Read),
        (
            "WITH x AS (INSERT INTO m VALUES (1) RETURNING id) SELECT * FROM x",
            Class::Write,
        ),
        ("SELECT 1 INTO t", Class::Write),
        ("SELECT * FROM conversation FOR UPDATE", Class::Write),
        ("EXPLAIN INSERT INTO m VALUES (1)", Class::Read),
        ("EXPLAIN (ANALYZE) INSERT INTO m VALUES (1)", Class::Write),
        ("INSERT INTO m VALUES ('COMMIT; it')", Class::Write),
        ("BEGIN ISOLATION LEVEL READ COMMITTED", Class::Begin),
        ("start transaction", Class::Begin),
        ("COMMIT", Class::Commit),
        ("END", Class::Commit),
        ("PREPARE TRANSACTION 'x'", Class::Commit),
        ("COMMIT PREPARED 'x'", Class::Commit),
        ("PREPARE p AS SELECT 1", Class::Session),
        ("ROLLBACK", Class::Rollback),
        ("ROLLBACK TO SAVEPOINT a", Class::Session),
        ("CALL save()", Class::Unknown),
        ("DO $$ BEGIN COMMIT; END $$", Class::Unknown),
        ("SET search_path = x", Class::Session),
        ("COPY m FROM STDIN", Class::CopyIn),
        ("COPY m FROM '/tmp/m'", Class::Write),
        ("COPY m TO STDOUT", Class::Write),
        ("NOTIFY x", Class::Write),
        ("SELECT 'open", Class::Unknown),
    ] {
        assert_eq!(one(text, Postgres), class, "{text}");
    }
    assert!(classes(" ; -- nothing", Postgres).is_empty());
}

#[test]
fn what_commits_implicitly_in_mysql_is_withheld_in_a_transaction() {
    for (text, class) in [
        ("SELECT 1", Class::Read),
        ("INSERT INTO m VALUES (1)", Class::Write),
        ("REPLACE INTO m VALUES (1)", Class::Write),
        ("SELECT 1 INTO OUTFILE 'x'", Class::Write),
        ("BEGIN", Class::Begin),
        ("SET autocommit=0", Class::Begin),
        ("SET @@session.AUTOCOMMIT = 1", Class::Begin),
        ("SET NAMES utf8mb4", Class::Session),
        ("COMMIT", Class::Commit),
        ("ROLLBACK", Class::Rollback),
        ("CREATE TABLE t (a INT)", Class::Unknown),
        ("LOCK TABLES m WRITE", Class::LockTables),
        ("UNLOCK TABLES", Class::UnlockTables),
        ("SET @id = save_message('a')", Class::Call),
        ("SET @now = now(6)", Class::Session),
        ("DO save_message('a')", Class::Unknown),
        ("XA COMMIT 'x'", Class::Unknown),
        ("CALL save()", Class::Unknown),
        ("EXECUTE s", Class::Unknown),
        ("BEGIN NOT ATOMIC COMMIT; END", Class::Unknown),
        ("/*!50000 COMMIT */", Class::Unknown),
    ] {
        assert_eq!(classes(text, Mysql)[0], class, "{text}");
    }
    assert!(Class::Begin.may_commit(Open, Other));
    assert!(!Class::Begin.may_commit(Idle, Other));
}

#[test]
fn a_text_of_several_statements_commits_when_one_of_them_may() {
    for (text, before, may_commit, after) in [
        ("BEGIN; INSERT INTO m VALUES (1)", Idle, false, Open),
        ("BEGIN; INSERT INTO m VALUES (1); COMMIT", Idle, true, Idle),
        ("INSERT INTO m VALUES (1)", Idle, true, Idle),
        ("INSERT INTO m VALUES (1)", Open, false, Open),
        ("ROLLBACK; INSERT INTO m VALUES (1)", Open, true, Idle),
        ("SELECT 1; SELECT 2", Idle, false, Idle),
        ("SELECT 1; COMMIT; BEGIN", Open, true, Open),
    ] {
        let effect = Effect::of_text(text, Postgres, before, Other);
        assert_eq!(
            (effect.may_commit, effect.after),
            (may_commit, after),
            "{text}"
        );
    }
}

#[test]
fn a_function_that_is_not_known_may_write() {
    for save in [
        "SELECT save_message($1)",
        "SELECT * FROM app.finish ($1)",
        "SELECT \"save\"($1) FROM m",
        "SELECT pg_notify('saved', '1')",
        "WITH saved AS (SELECT save_message($1)) SELECT * FROM saved",
        "VALUES (save_message($1))",
    ] {
        assert_eq!(one(save, Postgres), Class::Call, "{save}");
        assert!(Effect::of_text(save, Postgres, Idle, Other).may_commit);
        assert!(!Effect::of_text(save, Postgres, Open, Answer).may_commit);
    }
    for read in [
        "SELECT count(*), max(length(content)) FROM m WHERE id IN (1, 2) AND (a OR b)",
        "SELECT pg_catalog.version()",
        "select coalesce (a, 'save_message(1)') from m where exists (select 1)",
        "SELECT CAST(a AS numeric(10, 2)) FROM unnest($1::varchar(40)[]) AS a",
    ] {
        assert_eq!(one(read, Postgres), Class::Read, "{read}");
        assert!(!Effect::of_text(read, Postgres, Idle, Other).may_commit);
        // What carries the answer may write it, in a way that can't be seen.
        assert!(Effect::of_text(read, Postgres, Idle, Answer).may_commit);
    }
    // It commits over a connection of its own.
    let apart = "SELECT dblink_exec('dbname=chat', 'INSERT INTO m VALUES (1)')";
    assert!(Effect::of_text(apart, Postgres, Open, Other).may_commit);
}

#[test]
fn what_is_written_under_a_lock_is_seen_when_tables_are_unlocked() {
    let effect = |text: &str, before| {
        let effect = Effect::of_text(text, Mysql, before, Other);
        (effect.may_commit, effect.locks, effect.after)
    };
    assert_eq!(effect("LOCK TABLES m WRITE", Idle), (false, true, Locked));
    assert_eq!(effect("LOCK TABLES m WRITE", Open), (true, true, Locked));
    for text in ["INSERT INTO m VALUES (1)", "COMMIT", "ROLLBACK"] {
        assert_eq!(effect(text, Locked), (false, false, Locked), "{text}");
    }
    assert_eq!(effect("UNLOCK TABLES", Locked), (true, false, Idle));
    assert_eq!(effect("UNLOCK TABLES", Open), (false, false, Open));
    assert_eq!(effect("BEGIN", Locked), (true, false, Open));
    let all = "LOCK TABLES m WRITE; INSERT INTO m VALUES (1); UNLOCK TABLES";
    assert_eq!(effect(all, Idle), (true, true, Idle));
}

#[test]
fn a_statement_is_shown_in_one_short_line() {
    assert_eq!(shown("SELECT\n  1"), "SELECT 1");
    let long = shown(&"ü ".repeat(200));
    assert!(long.ends_with('…') && long.len() < 130, "{long}");
    let text = format!("INSERT INTO message VALUES ('{}')", "a".repeat(200));
    assert!(shown(&text).ends_with("aa…'"), "{}", shown(&text));
    assert_eq!(shown(r"SELECT 'it\'s'"), "SELECT 'it''s'");
}
