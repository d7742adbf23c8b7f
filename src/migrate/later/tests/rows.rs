//! What becomes of the written row, and of the rows that hang on it.

use super::{found, found_in, tables, trigger, unchanged};
use crate::migrate::later::{Extent, deeds};
use crate::model::{Action, Actions, On, Shape, Transitions};
use crate::sql::Dialect;

/// One of them has not all the columns.
fn with_few() -> Vec<Shape> {
    let mut tables = tables();
    let mut few = tables[2].clone();
    (few.name, few.table) = ("few".to_owned(), "few".to_owned());
    few.columns.truncate(2);
    tables.push(few);
    tables
}

#[test]
fn a_row_that_is_given_up_is_found() {
    let (insert, update) = ([On::Insert].as_slice(), [On::Update].as_slice());
    let both = [On::Insert, On::Update].as_slice();
    for (on, body) in [
        (insert, "BEGIN RAISE NOTICE 'new'; RETURN NULL; END"),
        (
            insert,
            "BEGIN UPDATE chats SET body = NEW.body WHERE id = NEW.chat_id; RETURN NULL; END",
        ),
        (
            both,
            "BEGIN IF TG_OP = 'UPDATE' THEN RETURN NEW; END IF; RETURN NULL; END",
        ),
        (
            insert,
            "INSERT INTO few (id, body) VALUES (new.id, new.body)",
        ),
        (
            update,
            "INSERT INTO chats (id, body) VALUES (old.id, old.body)",
        ),
        (insert, "NOTIFY m"),
        (update, "BEGIN NEW := OLD; RETURN NEW; END"),
        (
            update,
            "BEGIN SELECT OLD.* INTO STRICT NEW; RETURN NEW; END",
        ),
        (update, "DECLARE r messages; BEGIN r = OLD; RETURN r; END"),
        (
            update,
            "DECLARE r messages := OLD; BEGIN PERFORM f(); RETURN r; END",
        ),
        (insert, "DECLARE r messages; BEGIN RETURN r; END"),
    ] {
        let found = found_in(&with_few(), trigger(on, body), Dialect::Postgres);
        assert_eq!(found, ["messages"], "{body}");
    }
}

#[test]
fn a_row_that_is_stored_somewhere_is_not() {
    let (insert, update) = ([On::Insert].as_slice(), [On::Update].as_slice());
    let both = [On::Insert, On::Update].as_slice();
    for (on, body) in [
        (
            insert,
            "INSERT INTO chats (id, body) VALUES (new.id, new.body)",
        ),
        (
            insert,
            "INSERT INTO few (a, b, c, d) VALUES (new.id, new.body, new.chat_id, new.at)",
        ),
        (
            insert,
            "BEGIN INSERT INTO few SELECT (NEW).*; RETURN NULL; END",
        ),
        (
            update,
            "UPDATE chats SET body = new.body WHERE chats.id = old.id",
        ),
        (insert, "BEGIN RAISE EXCEPTION 'closed'; RETURN NULL; END"),
        (
            both,
            "BEGIN IF TG_OP = 'DELETE' THEN RETURN NULL; END IF; RETURN NEW; END",
        ),
    ] {
        let found = found_in(&with_few(), trigger(on, body), Dialect::Postgres);
        assert_eq!(found, [] as [&str; 0], "{body}");
    }
}

#[test]
fn a_condition_has_to_name_the_written_row_in_each_arm() {
    for (on, body, subject) in [
        (
            On::Update,
            "UPDATE chats SET body = NEW.body WHERE chat_id = chat_id AND (1 = 1);",
            Some("chats.body"),
        ),
        (
            On::Update,
            "UPDATE chats SET body = NEW.body WHERE chats.chat_id = chat_id;",
            Some("chats.body"),
        ),
        // A variable of the function.
        (
            On::Update,
            "UPDATE chats SET body = NEW.body WHERE id = r.id;",
            None,
        ),
        (
            On::Update,
            "UPDATE chats SET body = NEW.body WHERE chat_id = NEW.chat_id;",
            None,
        ),
        (
            On::Delete,
            "DELETE FROM chats WHERE body = 'a' OR body = 'b' AND chat_id = OLD.id;",
            Some("chats"),
        ),
        (
            On::Delete,
            "DELETE FROM chats WHERE (body = 'a' OR body = 'b') AND chat_id = OLD.id;",
            None,
        ),
        (
            On::Delete,
            "DELETE FROM chats WHERE chat_id = OLD.id OR id = OLD.chat_id;",
            None,
        ),
        (
            On::Delete,
            "DELETE FROM chats WHERE chat_id = OLD.id AND at BETWEEN 1 AND 2;",
            None,
        ),
    ] {
        let found = found(trigger(&[on], body), Dialect::Sqlite);
        let expected: Vec<_> = subject.into_iter().collect();
        assert_eq!(found, expected, "{body}");
    }
}

/// A trigger that is run once for a statement has the rows in a table.
#[test]
fn a_table_of_rows_that_went_is_followed_as_they_are() {
    let body = "BEGIN DELETE FROM chats USING gone WHERE chats.chat_id = gone.id; RETURN NULL; END";
    let follows = Action {
        decides: false,
        transitions: Transitions {
            old: Some("gone".to_owned()),
            new: None,
        },
        ..trigger(&[On::Delete], body)
    };
    let alone = Action {
        transitions: Transitions::default(),
        ..follows.clone()
    };
    assert_eq!(found(follows, Dialect::Postgres), [] as [&str; 0]);
    assert_eq!(found(alone, Dialect::Postgres), ["chats"]);
}

#[test]
fn a_row_of_another_table_may_go_with_a_new_one() {
    let mut all = tables();
    for table in &mut all {
        table.key = vec!["id".to_owned()];
    }
    let one = [
        "DELETE FROM chats WHERE id = NEW.chat_id;",
        "DELETE FROM chats WHERE body = 'draft' AND NEW.chat_id = chats.id;",
    ];
    let any = [
        "DELETE FROM chats WHERE chat_id = NEW.chat_id;",
        "DELETE FROM chats WHERE id = NEW.id OR body = '';",
        "DELETE FROM chats WHERE id <= NEW.id;",
        "DELETE FROM messages WHERE id = NEW.id;",
    ];
    let one = one.map(|body| (On::Insert, body, Extent::One));
    let any = any.map(|body| (On::Insert, body, Extent::Any));
    let update = (
        On::Update,
        "DELETE FROM chats WHERE id = NEW.chat_id;",
        Extent::Any,
    );
    for (on, body, extent) in one.into_iter().chain(any).chain([update]) {
        let actions = Actions {
            all: vec![trigger(&[on], body)],
            ..Actions::default()
        };
        let found = deeds(&actions, &all, Dialect::Sqlite);
        assert_eq!(found[0].extent, extent, "{body}");
    }
    // A row without that text can't replace the one that goes.
    all[0].columns.retain(|it| it.name != "body");
    let actions = Actions {
        all: vec![trigger(
            &[On::Insert],
            "DELETE FROM chats WHERE id = NEW.chat_id;",
        )],
        ..Actions::default()
    };
    let found = deeds(&actions, &all, Dialect::Sqlite);
    assert_eq!(found[0].extent, Extent::Any);
}

#[test]
fn new_values_that_are_not_stored_are_found() {
    use Dialect::{Mysql, Postgres, Sqlite};
    let (insert, update) = ([On::Insert].as_slice(), [On::Update].as_slice());
    let one = |dialect, on: &[On], condition: Option<&str>, body: &str| {
        let action = Action {
            condition: condition.map(str::to_owned),
            ..trigger(on, body)
        };
        let deeds = deeds(&Actions::new(vec![action], []), &tables(), dialect);
        let of_new = deeds.iter().filter(|it| it.extent == Extent::New);
        let columns: Vec<_> = of_new.filter_map(|it| it.column.clone()).collect();
        (columns.concat(), deeds.len())
    };
    let found = |column: &str| (column.to_owned(), column.len().min(1));
    let keeps = "BEGIN NEW.body := OLD.body; RETURN NEW; END";
    let is_new = "((new.body)::text IS DISTINCT FROM (old.body)::text)";
    for (dialect, on, condition, body, column) in [
        (Postgres, update, None, keeps, "body"),
        (Postgres, update, Some(is_new), keeps, "body"),
        (Postgres, update, Some("(old.id = 1)"), keeps, ""),
        (
            Postgres,
            update,
            None,
            "BEGIN INSERT INTO old (id, body) VALUES (NEW.id, NEW.body); NEW.body := OLD.body; RETURN NEW; END",
            "",
        ),
        (
            Postgres,
            update,
            None,
            "BEGIN NEW.body := OLD.body; INSERT INTO old (id, body) VALUES (NEW.id, NEW.body); RETURN NEW; END",
            "body",
        ),
        (Mysql, update, None, "SET NEW.body = OLD.body", "body"),
        (Mysql, update, None, "SET NEW.at = OLD.at", ""),
        (
            Mysql,
            insert,
            None,
            "SET NEW.body = sha2(NEW.body, 256)",
            "body",
        ),
        (
            Mysql,
            insert,
            None,
            "SET NEW.body = upper(hex(md5(NEW.body)))",
            "body",
        ),
        (Mysql, update, None, "SET NEW.body = md5(NEW.body)", ""),
        (
            Mysql,
            insert,
            None,
            "SET NEW.body = concat(NEW.body, md5(NEW.body))",
            "",
        ),
        (Mysql, insert, None, "SET NEW.body = md5(NEW.chat_id)", ""),
        (
            Postgres,
            update,
            Some("(new.body <> old.body)"),
            "NOTHING",
            "body",
        ),
        (
            Postgres,
            update,
            Some("(old.body <> new.body)"),
            "NOTHING",
            "body",
        ),
        (Postgres, update, Some("(new.at <> old.at)"), "NOTHING", ""),
        (
            Postgres,
            update,
            Some("(new.body <> old.body) AND old.id > 1"),
            "NOTHING",
            "",
        ),
        (
            Postgres,
            update,
            Some("length(new.body) <> length(old.body)"),
            "NOTHING",
            "",
        ),
        (
            Postgres,
            update,
            Some("(new.body = old.body)"),
            "NOTHING",
            "",
        ),
        (
            Postgres,
            update,
            Some(is_new),
            "BEGIN RETURN OLD; END",
            "body",
        ),
        (
            Sqlite,
            update,
            Some("NEW.body IS NOT OLD.body"),
            "SELECT RAISE(IGNORE);",
            "body",
        ),
        (
            Sqlite,
            update,
            None,
            "UPDATE messages SET body = OLD.body WHERE id = NEW.id;",
            "body",
        ),
    ] {
        assert_eq!(
            one(dialect, on, condition, body),
            found(column),
            "{condition:?} {body}"
        );
    }
}

#[test]
fn a_clock_on_the_time_when_a_row_was_made_is_found() {
    let mut tables = tables();
    tables[0].columns[3].name = "created_at".to_owned();
    let (update, both) = ([On::Update].as_slice(), [On::Insert, On::Update].as_slice());
    for (dialect, on, body, is_found) in [
        (
            Dialect::Mysql,
            update,
            "SET NEW.`created_at` = CURRENT_TIMESTAMP",
            true,
        ),
        (Dialect::Mysql, update, "SET NEW.created_at = now(6)", true),
        (
            Dialect::Mysql,
            &[On::Insert],
            "SET NEW.created_at = now()",
            false,
        ),
        (
            Dialect::Mysql,
            update,
            "SET NEW.created_at = coalesce(OLD.created_at, now())",
            false,
        ),
        (
            Dialect::Mysql,
            update,
            "IF NEW.created_at IS NULL THEN SET NEW.created_at = now(); END IF",
            false,
        ),
        (
            Dialect::Postgres,
            both,
            "BEGIN NEW.created_at := now(); RETURN NEW; END",
            true,
        ),
        (
            Dialect::Postgres,
            both,
            "BEGIN IF TG_OP = 'INSERT' THEN NEW.created_at := now(); END IF; RETURN NEW; END",
            false,
        ),
        (
            Dialect::Sqlite,
            update,
            "UPDATE messages SET created_at = datetime('now') WHERE id = NEW.id;",
            true,
        ),
        (
            Dialect::Sqlite,
            update,
            "UPDATE chats SET at = datetime('now') WHERE id = NEW.id;",
            false,
        ),
    ] {
        let found = found_in(&tables, trigger(on, body), dialect);
        let wanted: &[&str] = if is_found {
            &["messages.created_at"]
        } else {
            &[]
        };
        assert_eq!(found, wanted, "{body}");
    }
    // A time of the last change is meant to be so.
    for name in ["updated_at", "created_or_updated_at", "creator_seen_at"] {
        tables[0].columns[3].name = name.to_owned();
        let body = format!("SET NEW.{name} = CURRENT_TIMESTAMP");
        let found = found_in(&tables, trigger(update, &body), Dialect::Mysql);
        assert!(found.is_empty(), "{name}");
    }
}

#[test]
fn a_clock_that_was_there_before_is_known_by_its_new_names() {
    let of = |table: &str, column: &str| {
        let mut tables = tables();
        tables[0].name = table.to_owned();
        tables[0].table = table.to_owned();
        tables[0].columns[3].name = column.to_owned();
        let action = Action {
            table: Some(table.to_owned()),
            ..trigger(&[On::Update], &format!("SET NEW.{column} = now()"))
        };
        deeds(&Actions::new(vec![action], []), &tables, Dialect::Mysql)
    };
    let (was, now) = (of("messages", "ts"), of("posts", "created_at"));
    let renamed = |_: &str, column: Option<&str>| {
        ("posts".to_owned(), column.map(|_| "created_at".to_owned()))
    };
    assert!(now[0].is_among(&was, renamed));
    assert!(!now[0].is_among(&was, unchanged));
    // One that the run makes holds no time of the users.
    assert!(now[0].takes_from(["id", "created_at"]));
    assert!(!now[0].takes_from(["id"]));
}

#[test]
fn a_row_that_is_returned_in_a_variable_is_stored() {
    for (on, body) in [
        (
            On::Update,
            "BEGIN IF NEW.chat_id <> OLD.chat_id THEN NEW := OLD; END IF; RETURN NEW; END",
        ),
        (
            On::Update,
            "DECLARE kept int; BEGIN NEW := OLD; NEW.body := kept; RETURN NEW; END",
        ),
        (
            On::Insert,
            "DECLARE r messages; BEGIN r := NEW; r.at := now(); RETURN r; END",
        ),
        (
            On::Insert,
            "DECLARE r messages; BEGIN SELECT NEW.* INTO r; RETURN r; END",
        ),
        (
            On::Update,
            "DECLARE r messages := OLD; BEGIN r := NEW; RETURN r; END",
        ),
        (
            On::Insert,
            "DECLARE r public.messages%ROWTYPE := NEW; BEGIN RETURN r; END",
        ),
        (
            On::Insert,
            "DECLARE r messages; BEGIN CALL fill(NEW, r); RETURN r; END",
        ),
    ] {
        let found = found(trigger(&[on], body), Dialect::Postgres);
        assert_eq!(found, [] as [&str; 0], "{body}");
    }
}

#[test]
fn a_value_of_each_new_row_is_found() {
    for (dialect, body, column) in [
        (
            Dialect::Mysql,
            "SET NEW.at = now(), NEW.body = ''",
            "messages.body",
        ),
        (
            Dialect::Mysql,
            "SET NEW.chat_id = 1, NEW.at = now()",
            "messages.chat_id",
        ),
        (
            Dialect::Postgres,
            "BEGIN NEW.chat_id := NULL; RETURN NEW; END",
            "messages.chat_id",
        ),
        (
            Dialect::Sqlite,
            "UPDATE messages SET chat_id = 7 WHERE id = NEW.id;",
            "messages.chat_id",
        ),
        (
            Dialect::Postgres,
            "BEGIN IF length(NEW.body) > 9 THEN NEW.body := left(NEW.body, 9); END IF; RETURN NEW; END",
            "messages.body",
        ),
        (
            Dialect::Mysql,
            "IF char_length(NEW.body) > 9 THEN SET NEW.body = left(NEW.body, 9); END IF",
            "messages.body",
        ),
    ] {
        let found = found(trigger(&[On::Insert], body), dialect);
        assert_eq!(found, [column], "{body}");
    }
    // What a condition or the row decides is no one value for all.
    for (dialect, body) in [
        (
            Dialect::Mysql,
            "IF NEW.chat_id IS NULL THEN SET NEW.chat_id = 1; END IF",
        ),
        (
            Dialect::Mysql,
            "SET NEW.at = concat(NEW.body, ', '), NEW.body = trim(NEW.body)",
        ),
        (
            Dialect::Postgres,
            "BEGIN NEW.chat_id := abs(NEW.chat_id); RETURN NEW; END",
        ),
        (
            Dialect::Mysql,
            "BEGIN SELECT count(*), NEW.id INTO @n, @id FROM chats WHERE body = ''; END",
        ),
    ] {
        let found = found(trigger(&[On::Insert], body), dialect);
        assert_eq!(found, [] as [&str; 0], "{body}");
    }
}
