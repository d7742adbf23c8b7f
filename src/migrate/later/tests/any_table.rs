//! What does not say which table it means, or hangs on none.

use super::{found, trigger};
use crate::model::{Action, On};
use crate::sql::Dialect;

/// Which table a statement means that gets the name when it runs, its text does not show.
#[test]
fn what_names_its_table_when_it_runs_may_destroy_rows_of_any() {
    let all = ["messages", "chats", "search"];
    for (dialect, body) in [
        (
            Dialect::Postgres,
            "BEGIN EXECUTE format('DELETE FROM %I WHERE id < $1', TG_ARGV[0]) USING NEW.id; RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            "BEGIN EXECUTE format('DELETE  FROM ONLY %I', t); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            "BEGIN EXECUTE format('ALTER TABLE %I DROP COLUMN %I', t, c); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            "BEGIN EXECUTE format('UPDATE %I SET %I = %L', t, c, 'x'); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            "BEGIN EXECUTE format('MERGE INTO %I AS m USING jobs ON true WHEN MATCHED THEN DELETE', t); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            "BEGIN EXECUTE 'ALTER TABLE ' || quote_ident(NEW.body) || ' DROP COLUMN body'; RETURN NEW; END",
        ),
        (
            Dialect::Mysql,
            "EXECUTE IMMEDIATE concat('DELETE FROM ', tab)",
        ),
    ] {
        assert_eq!(found(trigger(&[On::Insert], body), dialect), all, "{body}");
    }
    let columns = ["messages.body", "chats.body", "search.body"];
    for (dialect, body) in [
        (
            Dialect::Postgres,
            "BEGIN EXECUTE format('UPDATE %I SET body = NULL', TG_ARGV[0]); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            "BEGIN EXECUTE format('WITH x AS (UPDATE %I SET body = NULL RETURNING 1) SELECT count(*) FROM x', t); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            "BEGIN EXECUTE format('UPDATE %I SET body = %L WHERE id < 9', NEW.body, 'x'); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            "BEGIN EXECUTE 'UPDATE ' || quote_ident(NEW.body) || ' SET body = NULL'; RETURN NEW; END",
        ),
        (
            Dialect::Mysql,
            "EXECUTE IMMEDIATE concat('UPDATE ', tab, ' SET body = \'\'')",
        ),
    ] {
        assert_eq!(
            found(trigger(&[On::Insert], body), dialect),
            columns,
            "{body}"
        );
    }
}

#[test]
fn what_names_its_table_when_it_runs_may_follow_the_written_row() {
    for (on, body) in [
        (
            On::Delete,
            "BEGIN EXECUTE format('DELETE FROM %I WHERE chat_id = $1', TG_ARGV[0]) USING OLD.id; RETURN OLD; END",
        ),
        (
            On::Insert,
            "BEGIN EXECUTE format('UPDATE %I SET chat_id = chat_id + 1 WHERE id = $1', TG_ARGV[0]) USING NEW.id; RETURN NEW; END",
        ),
        (
            On::Insert,
            "BEGIN EXECUTE format('UPDATE %I SET at = now()', TG_ARGV[0]); RETURN NEW; END",
        ),
    ] {
        let deeds = found(trigger(&[on], body), Dialect::Postgres);
        assert_eq!(deeds, [] as [&str; 0], "{body}");
    }
}

/// What nobody can read may reach every table, unless it hangs on one that has rows.
#[test]
fn what_hangs_on_no_table_may_destroy_rows_of_any() {
    let event = Action {
        table: None,
        ..trigger(&[On::Time], "EXECUTE IMMEDIATE @sql")
    };
    assert_eq!(
        found(event, Dialect::Mysql),
        ["messages", "chats", "search"]
    );
}
