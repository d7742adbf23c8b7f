//! Rows that are given up on a condition, and values that are the same for each new row.

use super::{found, found_in, tables, trigger};
use crate::migrate::later::{Deed, Extent, Only, deeds};
use crate::model::{Action, Actions, On, Shape, ShapeColumn};
use crate::sql::Dialect;

/// What becomes of rows of `messages`, which have a role too.
fn deed(dialect: Dialect, on: &[On], condition: Option<&str>, body: &str) -> Option<Deed> {
    let action = Action {
        condition: condition.map(str::to_owned),
        ..trigger(on, body)
    };
    let mut found = deeds(&Actions::new(vec![action], []), &with_roles(), dialect);
    assert!(found.len() < 2, "{body}");
    found.pop()
}

fn with_roles() -> Vec<Shape> {
    let mut tables = tables();
    for table in &mut tables {
        table.columns.push(ShapeColumn {
            name: "role".to_owned(),
            declared: "text".to_owned(),
            ..ShapeColumn::default()
        });
    }
    tables
}

#[test]
fn a_row_that_is_given_up_on_a_condition_is_compared_with_those_that_are_there() {
    use Dialect::{Postgres, Sqlite};
    for (dialect, condition, body, met) in [
        (
            Postgres,
            None,
            "BEGIN IF NEW.role = 'ai' THEN RETURN NULL; END IF; RETURN NEW; END",
            "(((NEW.role = 'ai')))",
        ),
        (
            Postgres,
            None,
            "BEGIN IF NEW.role = 'user' THEN RETURN NEW; END IF; RETURN NULL; END",
            "((((NEW.role = 'user')) IS NOT TRUE) AND (TRUE))",
        ),
        (
            Postgres,
            Some("(new.role = 'ai'::text)"),
            "BEGIN RETURN NULL; END",
            "((new.role = 'ai'::text)) AND (((TRUE)))",
        ),
        (
            Postgres,
            Some("(new.role = 'ai'::text)"),
            "NOTHING",
            "((new.role = 'ai'::text)) AND ((TRUE))",
        ),
        (
            Sqlite,
            Some("NEW.role = 'ai'"),
            "SELECT RAISE(IGNORE);",
            "(NEW.role = 'ai') AND ((TRUE))",
        ),
        (
            Sqlite,
            None,
            "SELECT RAISE(IGNORE) WHERE NEW.role = 'ai';",
            "(NEW.role = 'ai')",
        ),
        (
            Sqlite,
            None,
            "SELECT CASE WHEN NEW.body = '' THEN RAISE(IGNORE) END;",
            "(NEW.body = '')",
        ),
    ] {
        let deed = deed(dialect, &[On::Insert], condition, body).expect(body);
        let Only::Met { row, condition } = &deed.only else {
            panic!("{body}: {:?}", deed.only);
        };
        assert_eq!(
            (*row, condition.replace('\n', "").as_str()),
            ("new", met),
            "{body}"
        );
        assert_eq!(deed.extent, Extent::Any, "{body}");
    }
}

#[test]
fn what_no_row_shows_is_a_warning() {
    for body in [
        "DECLARE n int; BEGIN SELECT 1 INTO n; LOOP IF n > 1 THEN RETURN NULL; END IF; END LOOP; RETURN NEW; END",
        "BEGIN IF NEW.at < '2026-01-01' THEN RETURN NULL; END IF; RETURN NEW; END",
        "BEGIN IF EXISTS (SELECT 1 FROM messages WHERE body = NEW.body) THEN RETURN NULL; END IF; RETURN NEW; END",
        "BEGIN NEW.body := trim(NEW.body); IF NEW.body = '' THEN RETURN NULL; END IF; RETURN NEW; END",
    ] {
        let deed = deed(Dialect::Postgres, &[On::Insert], None, body).expect(body);
        assert_eq!(
            (deed.only, deed.extent),
            (Only::Some, Extent::New),
            "{body}"
        );
    }
    let update = "BEGIN IF OLD.role = 'ai' THEN RETURN NULL; END IF; RETURN NEW; END";
    let deed = deed(Dialect::Postgres, &[On::Update], None, update).expect(update);
    assert!(matches!(deed.only, Only::Met { row: "old", .. }));
    assert_eq!(deed.extent, Extent::New);
}

#[test]
fn a_condition_on_no_row_of_users_is_not_found() {
    let (insert, update) = ([On::Insert].as_slice(), [On::Update].as_slice());
    for (on, body) in [
        (
            insert,
            "BEGIN IF NEW.id < 0 THEN RETURN NULL; END IF; RETURN NEW; END",
        ),
        (
            insert,
            "BEGIN IF EXISTS (SELECT 1 FROM messages WHERE id = NEW.id) THEN RETURN NULL; END IF; RETURN NEW; END",
        ),
        (
            update,
            "BEGIN IF NEW.body = OLD.body THEN RETURN NULL; END IF; RETURN NEW; END",
        ),
        (
            insert,
            "BEGIN IF NEW.role = 'ai' THEN INSERT INTO chats SELECT NEW.*; RETURN NULL; END IF; RETURN NEW; END",
        ),
        (
            insert,
            "BEGIN IF NEW.role = 'ai' THEN RAISE EXCEPTION 'no'; END IF; RETURN NEW; END",
        ),
    ] {
        let found = deed(Dialect::Postgres, on, None, body);
        assert!(found.is_none(), "{body}");
    }
}

#[test]
fn one_value_for_each_new_row_is_found() {
    use Dialect::{Mysql, Postgres, Sqlite};
    for (dialect, body, column) in [
        (
            Postgres,
            "BEGIN SELECT 'a', '' INTO n, NEW.body; RETURN NEW; END",
            "messages.body",
        ),
        (
            Postgres,
            "BEGIN SELECT INTO STRICT NEW.body ''; RETURN NEW; END",
            "messages.body",
        ),
        (
            Postgres,
            "DECLARE b text := ''; BEGIN NEW.body := b; RETURN NEW; END",
            "messages.body",
        ),
        (
            Postgres,
            "BEGIN NEW := ROW(NEW.id, '', NEW.chat_id, now(), NEW.role); RETURN NEW; END",
            "messages.body",
        ),
        (
            Mysql,
            "BEGIN DECLARE b TEXT DEFAULT ''; SET NEW.body = b; END",
            "messages.body",
        ),
        (
            Postgres,
            "BEGIN NEW.role := 'user'; RETURN NEW; END",
            "messages.role",
        ),
        (Mysql, "SET NEW.role = 'user'", "messages.role"),
        (
            Sqlite,
            "UPDATE messages SET role = 'user' WHERE id = NEW.id;",
            "messages.role",
        ),
    ] {
        let found = found_in(&with_roles(), trigger(&[On::Insert], body), dialect);
        assert_eq!(found, [column], "{body}");
    }
    let role = "BEGIN NEW.role := 'user'; RETURN NEW; END";
    let several = deed(Postgres, &[On::Insert], None, role).expect(role);
    assert_eq!(several.only, Only::Several);
    for (dialect, body) in [
        (
            Postgres,
            "BEGIN SELECT NEW.body, '' INTO NEW.body, note; RETURN NEW; END",
        ),
        (Postgres, "BEGIN NEW := ROW(NEW.*); RETURN NEW; END"),
        (Postgres, "BEGIN NEW.status_id := 1; RETURN NEW; END"),
        (
            Mysql,
            "IF NEW.role IS NULL THEN SET NEW.role = 'user'; END IF",
        ),
    ] {
        let found = found(trigger(&[On::Insert], body), dialect);
        assert_eq!(found, [] as [&str; 0], "{body}");
    }
    // A role of users does not say who speaks.
    let mut users = with_roles();
    users[0].columns.retain(|it| it.name != "body");
    let action = Actions::new(vec![trigger(&[On::Insert], role)], []);
    assert_eq!(deeds(&action, &users, Postgres)[0].only, Only::Different);
}
