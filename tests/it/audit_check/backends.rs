//! What differs from backend to backend: types, and how the catalogue is asked.

use crate::audit_check::rows::MAPPING;
use crate::audit_check::{Chats, found};
use crate::common::stores::{Store, execute, on_each_backend, run};
use crate::common::{chatctl, report};
use std::fs;

on_each_backend! {
    an_import_that_ran_twice_is_reported
    an_answer_that_fills_its_column_is_reported
}

/// A table of the chats, its mapping, a statement for a text, and what is told of one that is cut.
type Place = (&'static str, &'static str, &'static str, &'static str);

/// MySQL's TEXT takes bytes, VARCHAR characters, and what is in JSON ends with the JSON.
async fn an_answer_that_fills_its_column_is_reported(store: &Store) {
    const TURN: Place = (
        "CREATE TABLE turn (id INT PRIMARY KEY, chat INT, prompt TEXT, response {type})",
        "[[store]]\nshape = 'turn'\n[store.message]\ntable = 'turn'\nconversation = ['chat']\nprompt = 'prompt'\nresponse = 'response'\n",
        "INSERT INTO turn VALUES ({id}, 1, 'q', '{text}')",
        "message `{id}#response`: ",
    );
    const PARTS: Place = (
        "CREATE TABLE said (id INT PRIMARY KEY, chat INT, role VARCHAR(9)); \
         CREATE TABLE part (id INT PRIMARY KEY, said INT, position INT, body {type})",
        "[[store]]\n[store.message]\ntable = 'said'\nconversation = ['chat']\nrole = 'role'\n\
         [store.parts]\ntable = 'part'\nkey = 'said'\norder = 'position'\ncontent = 'body'\n",
        "INSERT INTO said VALUES ({id}, 1, 'assistant'); INSERT INTO part VALUES ({id}0, {id}, 1, 'first '), ({id}1, {id}, 2, '{text}')",
        "message `{id}`: part `2`: ",
    );
    const JSON: Place = (
        "CREATE TABLE packed (id INT PRIMARY KEY, chat INT, role VARCHAR(9), body {type})",
        "[[store]]\n[store.message]\ntable = 'packed'\nconversation = ['chat']\nrole = 'role'\ncontent = 'body::$.text'\n",
        "INSERT INTO packed VALUES ({id}, 1, 'assistant', '{text}')",
        "conversation `1`, message `{id}`",
    );
    const BLOB: Place = (
        "CREATE TABLE session (id INT PRIMARY KEY, history {type})",
        "[[store]]\nshape = 'blob'\n[store.conversation]\ntable = 'session'\n\
         [store.item]\nitems = 'history::$'\nrole = '$.role'\ncontent = '$.text'\n",
        "INSERT INTO session VALUES ({id}, '{text}')",
        "conversation `{id}`, message `{id}#",
    );
    let (declared, most) = store.pick(
        ("VARCHAR(200)", 200),
        ("VARCHAR(200)", 200),
        ("TEXT", 65_535),
    );
    let mysql = most == 65_535;
    // So many characters of two bytes, and one more than fits.
    let fill = |count: usize| "é".repeat(if mysql { count / 2 } else { count });
    let db = store.open().await;
    for (place, cause) in [
        (TURN, "full"),
        (PARTS, "full"),
        (JSON, "json"),
        (BLOB, "json"),
    ] {
        let (tables, mapping, insert, named) = place;
        execute(db.as_ref(), &tables.replace("{type}", declared)).await;
        let add = |id: u8, text: &str| {
            insert
                .replace("{id}", &id.to_string())
                .replace("{text}", text)
        };
        let (cut, whole) = match cause {
            "json" => (
                format!("{{\"text\": \"{}", "x".repeat(most - 10)),
                format!("{{\"text\": \"{}\"}}", "x".repeat(most - 12)),
            ),
            _ => (fill(most), fill(most - 8)),
        };
        let config = tempfile::tempdir().unwrap();
        fs::write(config.path().join("chatctl.toml"), mapping).unwrap();
        let look = || {
            let mut command = chatctl();
            let check = ["--check", "truncated-answer"];
            command.args(["audit", "check", "--database-url", &store.url(), "--config"]);
            command.arg(config.path().join("chatctl.toml")).args(check);
            report(&mut command).0
        };
        execute(db.as_ref(), &add(1, &whole)).await;
        assert_eq!(found(&look(), "truncated-answer"), [], "{mapping}");
        execute(db.as_ref(), &add(2, &cut)).await;
        let report = look();
        let cause = match (cause, mysql) {
            (_, true) => "column-full",
            ("json", _) => "json-ends",
            _ => "length-limit",
        };
        let expected = [(cause.to_owned(), 1)];
        assert_eq!(found(&report, "truncated-answer"), expected, "{report:#}");
        let evidence = report["findings"].to_string();
        assert!(evidence.contains(&named.replace("{id}", "2")), "{evidence}");
    }
}

async fn an_import_that_ran_twice_is_reported(store: &Store) {
    let stamp = store.pick("TEXT", "TIMESTAMPTZ", "DATETIME(3)");
    let tables = format!(
        "CREATE TABLE conversation (id VARCHAR(36) PRIMARY KEY, created_at {stamp}); \
         CREATE TABLE message (id VARCHAR(36) PRIMARY KEY, conversation_id VARCHAR(36), role VARCHAR(20), content TEXT, created_at {stamp})"
    );
    let db = store.open().await;
    execute(db.as_ref(), &tables).await;
    let config = tempfile::tempdir().unwrap();
    fs::write(config.path().join("chatctl.toml"), MAPPING).unwrap();
    let look = || {
        let mut command = chatctl();
        let check = ["--check", "duplicate-conversation"];
        command.args(["audit", "check", "--database-url", &store.url(), "--config"]);
        command.arg(config.path().join("chatctl.toml")).args(check);
        report(&mut command).0
    };
    for run in ["a", "b"] {
        for conversation in 0..3 {
            let messages: Vec<_> = (0..4)
                .map(|at| {
                    let role = ["user", "assistant"][at % 2];
                    format!(
                        "('{run}{conversation}{at}', '{run}{conversation}', '{role}', 'text {at} of {conversation}', '2026-01-01 10:0{at}:00')"
                    )
                })
                .collect();
            let rows = format!(
                "INSERT INTO conversation VALUES ('{run}{conversation}', NULL); INSERT INTO message VALUES {}",
                messages.join(", ")
            );
            execute(db.as_ref(), &rows).await;
        }
        let expected = match run {
            "a" => vec![],
            _ => vec![("copied".to_owned(), 3)],
        };
        let report = look();
        assert_eq!(
            found(&report, "duplicate-conversation"),
            expected,
            "{report:#}"
        );
    }
}

/// The statements of the checks that ask the catalogue, where they differ.
#[test]
fn servers_are_asked_in_their_own_words() {
    for (store, mysql) in [(Store::postgres(), false), (Store::mysql(), true)] {
        let key = if mysql { "VARCHAR(36)" } else { "UUID" };
        let uuid = |n: u32| format!("00000000-0000-4000-8000-{n:012}");
        let conversation =
            format!("CREATE TABLE conversation (id {key} PRIMARY KEY, created_at TIMESTAMP NULL)");
        let engine = if mysql { " ENGINE=MyISAM" } else { "" };
        let tables = format!(
            "CREATE TABLE message (id INT PRIMARY KEY, conversation_id VARCHAR(36), role VARCHAR(20), content TEXT, created_at TIMESTAMP NULL){engine}"
        );
        let bad = format!(
            "INSERT INTO message VALUES (1, '{0}', 'user', 'q', '2026-01-01 10:00:00'), (2, '{0}', 'assistant', {2}, '2026-01-01 10:00:01'), (3, '{1}', 'user', 'lost', NULL)",
            uuid(1),
            uuid(9),
            if mysql { "repeat('x', 65535)" } else { "'a'" },
        );
        let rows = format!(
            "INSERT INTO conversation VALUES ('{}', NULL), ('{}', NULL)",
            uuid(1),
            uuid(2)
        );
        let mut sql = vec![
            conversation.as_str(),
            tables.as_str(),
            rows.as_str(),
            bad.as_str(),
        ];
        if !mysql {
            sql.push("CREATE TABLE other (id UUID PRIMARY KEY)");
            sql.push("ALTER TABLE message ADD other UUID REFERENCES other (id), ADD CONSTRAINT late FOREIGN KEY (other) REFERENCES other (id) NOT VALID");
        }
        let chats = Chats::new(store, "", &sql);
        let (report, exit) = chats.report(&[]);
        assert_eq!(exit, 1, "{report:#}");
        let one = |name: &str| vec![(name.to_owned(), 1)];
        assert_eq!(
            found(&report, "orphan-message"),
            one("no-conversation"),
            "{report:#}"
        );
        assert_eq!(found(&report, "empty-conversation"), one("no-message"));
        assert_eq!(found(&report, "no-index"), one("full-scan"));
        assert_eq!(found(&report, "unanswered-turn"), one("no-row"));
        let (keys, cut) = if mysql {
            (one("no-transactions"), one("column-full"))
        } else {
            (one("not-checked"), vec![])
        };
        assert_eq!(found(&report, "foreign-keys-off"), keys, "{report:#}");
        assert_eq!(found(&report, "truncated-answer"), cut);
        run(async {
            let db = chats.store.open().await;
            execute(
                db.as_ref(),
                "CREATE INDEX by_conversation ON message (conversation_id)",
            )
            .await;
        });
        assert_eq!(found(&chats.report(&[]).0, "no-index"), []);
        // The question's row is in another conversation, and is there.
        for (parent, told) in [(1, vec![]), (77, one("parent-missing"))] {
            let add = "ALTER TABLE message ADD parent INT";
            let link = format!("UPDATE message SET parent = {parent} WHERE id = 3");
            run(async {
                let db = chats.store.open().await;
                if parent == 1 {
                    execute(db.as_ref(), add).await;
                }
                execute(db.as_ref(), &link).await;
            });
            let mapping = format!("{MAPPING}parent = 'parent'\n");
            fs::write(chats.config(), mapping).unwrap();
            assert_eq!(found(&chats.report(&[]).0, "branch-broken"), told);
        }
    }
}
