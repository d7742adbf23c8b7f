//! What counts as destroying later, and what does not.

mod any_table;
mod discards;
mod occasions;
mod rows;

use super::{Deed, deeds};
use crate::model::{Action, Actions, Body, On, Shape, ShapeColumn, Transitions};
use crate::sql::Dialect;

fn tables() -> Vec<Shape> {
    let column = |(name, declared): (&str, &str)| ShapeColumn {
        id: None,
        name: name.to_owned(),
        declared: declared.to_owned(),
    };
    let table = |name: &str| Shape {
        name: name.to_owned(),
        table: name.to_owned(),
        columns: [
            ("id", "integer"),
            ("body", "text"),
            ("chat_id", "integer"),
            ("at", "datetime"),
        ]
        .map(column)
        .to_vec(),
        ..Shape::default()
    };
    ["messages", "chats", "search"].map(table).to_vec()
}

fn trigger(on: &[On], body: &str) -> Action {
    Action {
        title: "trigger `t` on `messages`".to_owned(),
        table: Some("messages".to_owned()),
        on: on.to_vec(),
        decides: true,
        condition: None,
        transitions: Transitions::default(),
        body: Body::Statements(body.to_owned()),
    }
}

/// The names of a table and a column, where nothing is renamed.
fn unchanged(table: &str, column: Option<&str>) -> (String, Option<String>) {
    (table.to_owned(), column.map(str::to_owned))
}

fn found(action: Action, dialect: Dialect) -> Vec<String> {
    found_in(&tables(), action, dialect)
}

fn found_in(tables: &[Shape], action: Action, dialect: Dialect) -> Vec<String> {
    let code = |name: &str, text: &str| (name.to_owned(), Body::Statements(text.to_owned()));
    let hidden = Body::Unread {
        why: "runs code in the language plpython3u".to_owned(),
        text: "plpy.execute(TD)".to_owned(),
    };
    let routines = [
        code("prune", "BEGIN DELETE FROM chats; END"),
        // Another one of the same name.
        code("prune", "BEGIN PERFORM 1; END"),
        code("touch", "BEGIN NEW.at := now(); RETURN NEW; END"),
        ("hidden".to_owned(), hidden),
    ];
    let actions = Actions::new(vec![action], routines);
    let deeds = deeds(&actions, tables, dialect);
    let subject = |column: &Option<String>, table: &String| match column {
        Some(column) => format!("{table}.{column}"),
        None => table.clone(),
    };
    let columns = || tables.iter().flat_map(|table| &table.columns);
    let is_told = |deed: &&Deed| {
        let takes = deed.takes_from(columns().map(|it| it.name.as_str()));
        takes && !deeds.iter().any(|own| deed.is_owned_as(own))
    };
    deeds
        .iter()
        .filter(is_told)
        .map(|it| subject(&it.column, &it.table))
        .collect()
}

#[test]
fn what_deletes_or_overwrites_is_found() {
    let insert = || vec![On::Insert];
    for (dialect, on, body, subject) in [
        (
            Dialect::Sqlite,
            insert(),
            "DELETE FROM messages WHERE id <= NEW.id - 1000;",
            "messages",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "DELETE FROM messages WHERE chat_id = NEW.chat_id AND id <> NEW.id;",
            "messages",
        ),
        (
            Dialect::Sqlite,
            vec![On::Delete],
            "DELETE FROM chats;",
            "chats",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "UPDATE messages SET body = '';",
            "messages.body",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "UPDATE messages SET body = '' WHERE chat_id = NEW.chat_id;",
            "messages.body",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "UPDATE messages SET body = upper(body);",
            "messages.body",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "UPDATE messages SET chat_id = 7 WHERE id > 1;",
            "messages.chat_id",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "SELECT RAISE(IGNORE);",
            "messages",
        ),
        (
            Dialect::Mysql,
            insert(),
            "BEGIN IF NEW.id > 5 THEN DELETE FROM chats; END IF; END",
            "chats",
        ),
        (Dialect::Mysql, vec![On::Time], "CALL prune()", "chats"),
        (
            Dialect::Mysql,
            vec![On::Time],
            "DELETE FROM messages WHERE at < now() - INTERVAL 30 DAY",
            "messages",
        ),
        (
            Dialect::Mysql,
            vec![On::Time],
            "TRUNCATE messages",
            "messages",
        ),
        (
            Dialect::Mysql,
            vec![On::Update],
            "SET NEW.body = ''",
            "messages.body",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN PERFORM prune(); RETURN NEW; END",
            "chats",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN EXECUTE 'DELETE FROM ' || TG_TABLE_NAME; RETURN NEW; END",
            "messages",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN EXECUTE format('UPDATE %I SET body = $1', TG_TABLE_NAME) USING ''; RETURN NEW; END",
            "messages.body",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN ALTER TABLE chats DROP COLUMN body; RETURN NEW; END",
            "chats",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN RETURN NULL; END",
            "messages",
        ),
        (Dialect::Postgres, insert(), "NOTHING", "messages"),
        (
            Dialect::Postgres,
            insert(),
            "DECLARE n int; BEGIN WITH d AS (DELETE FROM chats RETURNING *) SELECT count(*) INTO n FROM d; RETURN NEW; END",
            "chats",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN EXECUTE NEW.body; RETURN NEW; END",
            "messages",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN PERFORM hidden(); RETURN NEW; END",
            "messages",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN CREATE TRIGGER u AFTER INSERT ON chats EXECUTE FUNCTION later(); RETURN NEW; END",
            "messages",
        ),
        (
            Dialect::Mysql,
            vec![On::Time],
            "EXECUTE IMMEDIATE 'DELETE FROM chats'",
            "chats",
        ),
        (
            Dialect::Postgres,
            vec![On::Update],
            "BEGIN NEW.body := ''; RETURN NEW; END",
            "messages.body",
        ),
        (
            Dialect::Postgres,
            vec![On::Update],
            "BEGIN UPDATE messages SET body = NULL::text WHERE messages.chat_id = old.chat_id; RETURN NEW; END",
            "messages.body",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "INSERT OR REPLACE INTO messages (id, body) SELECT id, '' FROM messages;",
            "messages",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "REPLACE INTO messages (id, body) SELECT id, 'x' FROM chats;",
            "messages.body",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "INSERT INTO messages (id, body) SELECT id, 'x' FROM chats WHERE true ON CONFLICT (id) DO UPDATE SET body = '';",
            "messages.body",
        ),
        (
            Dialect::Mysql,
            insert(),
            "INSERT INTO messages (id, body) SELECT id, 'x' FROM chats ON DUPLICATE KEY UPDATE body = 'gone'",
            "messages.body",
        ),
        (
            Dialect::Mysql,
            insert(),
            "BEGIN REPEAT DELETE FROM chats; UNTIL true END REPEAT; END",
            "chats",
        ),
        (
            Dialect::Mysql,
            insert(),
            "BEGIN DECLARE EXIT HANDLER FOR SQLSTATE '23000' DELETE FROM chats; END",
            "chats",
        ),
        (
            Dialect::Mysql,
            insert(),
            "SET NEW.body = left(NEW.body, 5)",
            "messages.body",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN FOR r IN DELETE FROM chats RETURNING * LOOP NULL; END LOOP; RETURN NEW; END",
            "chats",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN RETURN QUERY DELETE FROM chats RETURNING *; END",
            "chats",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN NEW.body := substring(NEW.body FROM 1 FOR 9); RETURN NEW; END",
            "messages.body",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN NEW.body := 'gone'::text; RETURN NEW; END",
            "messages.body",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN MERGE INTO chats USING messages AS m ON m.chat_id = chats.id WHEN MATCHED THEN UPDATE SET body = ''; RETURN NEW; END",
            "chats.body",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "UPDATE messages SET body = NEW.body WHERE chat_id = NEW.chat_id AND id <> NEW.id;",
            "messages.body",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "UPDATE messages SET body = (SELECT max(title) FROM others);",
            "messages.body",
        ),
        (
            Dialect::Sqlite,
            insert(),
            "UPDATE messages SET body = '[gone]' WHERE id = NEW.id;",
            "messages.body",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN INSERT INTO chats (id, body) VALUES (NEW.id, TG_OP); RETURN NULL; END",
            "messages",
        ),
        (
            Dialect::Postgres,
            insert(),
            "BEGIN INSERT INTO chats (body) VALUES (to_jsonb(NEW)); RETURN NULL; END",
            "messages",
        ),
        (
            Dialect::Postgres,
            vec![On::Update, On::Delete],
            "BEGIN IF TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN OLD; END",
            "messages",
        ),
        (
            Dialect::Postgres,
            vec![On::Update, On::Delete],
            "BEGIN DELETE FROM chats WHERE chat_id = OLD.id; RETURN NEW; END",
            "chats",
        ),
        (
            Dialect::Sqlite,
            vec![On::Update],
            "UPDATE chats SET body = NEW.body;",
            "chats.body",
        ),
        (
            Dialect::Mysql,
            insert(),
            "UPDATE chats SET chat_id = NEW.id",
            "chats.chat_id",
        ),
    ] {
        assert_eq!(found(trigger(&on, body), dialect), [subject], "{body}");
    }
}

#[test]
fn the_usual_work_of_a_trigger_is_not() {
    let update = || vec![On::Update];
    for (dialect, on, body) in [
        (
            Dialect::Sqlite,
            update(),
            "UPDATE messages SET at = CURRENT_TIMESTAMP WHERE id = NEW.id;",
        ),
        (
            Dialect::Postgres,
            vec![On::Insert, On::Delete],
            "BEGIN DELETE FROM chats WHERE chat_id = OLD.id; RETURN coalesce(NEW, OLD); END",
        ),
        (
            Dialect::Sqlite,
            update(),
            "DELETE FROM search WHERE id = OLD.id; INSERT INTO search (id, body) VALUES (NEW.id, NEW.body);",
        ),
        (
            Dialect::Sqlite,
            update(),
            "INSERT INTO search (search, rowid, body) VALUES ('delete', OLD.id, OLD.body);",
        ),
        (
            Dialect::Sqlite,
            vec![On::Delete],
            "DELETE FROM search WHERE id = OLD.id;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Delete],
            "UPDATE messages SET body = NULL WHERE chat_id = OLD.id;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "UPDATE chats SET chat_id = chat_id + 1 WHERE id = NEW.chat_id;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "UPDATE chats SET body = NEW.body WHERE id = NEW.chat_id;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "UPDATE chats SET body = 'open', chat_id = 0 WHERE id = NEW.chat_id;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "SELECT RAISE(IGNORE) WHERE EXISTS (SELECT 1 FROM messages WHERE id = NEW.id);",
        ),
        (Dialect::Sqlite, vec![On::Delete], "SELECT RAISE(IGNORE);"),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "INSERT INTO chats (body) VALUES ('x') ON CONFLICT DO UPDATE SET body = '';",
        ),
        (
            Dialect::Postgres,
            vec![On::Insert],
            "BEGIN INSERT INTO search VALUES (NEW.*); RETURN NULL; END",
        ),
        (
            Dialect::Postgres,
            vec![On::Update, On::Delete],
            "BEGIN IF TG_OP = 'DELETE' THEN DELETE FROM chats WHERE chat_id = OLD.id; RETURN OLD; END IF; RETURN NEW; END",
        ),
        (
            Dialect::Sqlite,
            vec![On::Update],
            "UPDATE chats SET chat_id = chat_id + NEW.id;",
        ),
        (Dialect::Mysql, vec![On::Insert], "SET NEW.at = now()"),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "UPDATE messages SET body = NEW.body WHERE chat_id = NEW.id;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "UPDATE messages SET body = (SELECT title FROM others WHERE others.id = chat_id);",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "UPDATE messages SET body = lower(body) WHERE NEW.id = id;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "UPDATE messages SET body = 'none' WHERE id = NEW.id AND body IS NULL;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "INSERT OR REPLACE INTO search (id, body) VALUES (NEW.id, NEW.body);",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "REPLACE INTO chats (id, body) SELECT chat_id, max(body) FROM messages GROUP BY 1;",
        ),
        (
            Dialect::Sqlite,
            vec![On::Insert],
            "INSERT INTO chats (id, body) SELECT id, body FROM messages WHERE true ON CONFLICT (id) DO UPDATE SET body = excluded.body;",
        ),
        (
            Dialect::Mysql,
            vec![On::Insert],
            "INSERT INTO chats (id, chat_id) SELECT chat_id, count(*) FROM messages GROUP BY 1 ON DUPLICATE KEY UPDATE chat_id = VALUES(chat_id)",
        ),
        (
            Dialect::Mysql,
            vec![On::Insert],
            "BEGIN DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = true; SET NEW.body = REPLACE(NEW.body, 'a', 'b'); END",
        ),
        (
            Dialect::Postgres,
            vec![On::Insert],
            "BEGIN PERFORM 1 FROM chats WHERE id = NEW.chat_id FOR UPDATE; IF TG_OP = 'UPDATE' OR TG_OP = 'DELETE' THEN RETURN OLD; END IF; RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            vec![On::Insert],
            "BEGIN NEW.body := left(NEW.body, NEW.id); RETURN NEW; END",
        ),
        (
            Dialect::Mysql,
            vec![On::Insert],
            "BEGIN IF NEW.body IS NULL THEN SET NEW.body = ''; END IF; END",
        ),
        (
            Dialect::Mysql,
            vec![On::Time],
            "UPDATE chats SET at = now()",
        ),
        (
            Dialect::Mysql,
            vec![On::Time],
            "DELETE FROM gone WHERE id = 1",
        ),
        (
            Dialect::Postgres,
            update(),
            "BEGIN NEW.at := now(); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            vec![On::Insert],
            "BEGIN IF NEW.id = 1 THEN RETURN NULL; END IF; RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            vec![On::Insert],
            "BEGIN INSERT INTO part VALUES (NEW.*); RETURN NULL; END",
        ),
        (Dialect::Postgres, vec![On::Delete], "NOTHING"),
        (
            Dialect::Postgres,
            vec![On::Insert, On::Update, On::Delete],
            "BEGIN IF TG_OP = 'DELETE' THEN DELETE FROM chats WHERE id = OLD.chat_id; END IF; RETURN coalesce(NEW, OLD); END",
        ),
        (
            Dialect::Postgres,
            vec![On::Insert],
            "BEGIN PERFORM pg_notify('new', NEW.id::text); RETURN NEW; END",
        ),
        (
            Dialect::Postgres,
            vec![On::Delete],
            "BEGIN EXECUTE format('INSERT INTO %I_history SELECT $1.*', TG_TABLE_NAME) USING OLD; RETURN OLD; END",
        ),
        (
            Dialect::Postgres,
            vec![On::Definition],
            "BEGIN EXECUTE format('CREATE TRIGGER t BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION touch()', name); END",
        ),
    ] {
        assert_eq!(
            found(trigger(&on, body), dialect),
            [] as [&str; 0],
            "{body}"
        );
    }
}

#[test]
fn what_was_done_before_is_known_again() {
    let of = |body: &str| {
        let actions = Actions {
            all: vec![trigger(&[On::Insert], body)],
            ..Actions::default()
        };
        deeds(&actions, &tables(), Dialect::Sqlite)
    };
    let before = of("DELETE FROM messages\n WHERE id <= NEW.id - 1000;");
    assert!(of("DELETE FROM messages WHERE id <= NEW.id - 1000;")[0].is_among(&before, unchanged));
    assert!(!of("DELETE FROM messages WHERE id <= NEW.id - 10;")[0].is_among(&before, unchanged));
}
