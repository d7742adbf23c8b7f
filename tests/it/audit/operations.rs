//! What operators do, on tables that are armed and on tables that are not: what is legitimate is
//! fine, and what destroys is named.

use super::chats::{Chats, now, rows, tables, text, told};
use crate::common::stores::{Store, on_each_backend};
use std::fs;
use std::process::{Command, Stdio};

on_each_backend! {
    operations_that_keep_every_row
    operations_that_destroy
}

/// Statements of each backend, and what is told of unarmed and of armed tables.
struct Op {
    name: &'static str,
    sql: fn(&str) -> String,
    /// For SQLite, PostgreSQL and MariaDB.
    unarmed: [&'static str; 3],
    armed: [&'static str; 3],
}

const fn op(
    name: &'static str,
    sql: fn(&str) -> String,
    unarmed: [&'static str; 3],
    armed: [&'static str; 3],
) -> Op {
    Op {
        name,
        sql,
        unarmed,
        armed,
    }
}

const NOTHING: [&str; 3] = [""; 3];
/// The key 11 was never given; where transactions overlap, a message this young may be a late one.
const REWOUND: [&str; 3] = [
    "E backfilled, E conversation-emptied, E id-reused, E message-lost, E sequence-rewound",
    "E conversation-emptied, E id-reused, E message-lost, E sequence-rewound",
    "E conversation-emptied, E id-reused, E message-lost, E sequence-rewound",
];
const ALTERED: [&str; 3] = ["N schema-changed"; 3];

/// One of three statements.
fn pick(url: &str, three: [&str; 3]) -> String {
    let all = ["sqlite", "postgres", "mysql"];
    let at = all.iter().position(|backend| url.starts_with(backend));
    three[at.unwrap()].to_owned()
}

/// Both tables once more, with the same rows; the ids go on where they were.
fn made_again(url: &str) -> String {
    let next = pick(
        url,
        [
            "SELECT 1",
            "SELECT setval('message_id_seq', 96), setval('conversation_id_seq', 8)",
            "SELECT 1",
        ],
    );
    format!(
        "DROP TABLE message; DROP TABLE conversation; {}; {}; {next}",
        tables(url),
        rows(url)
    )
}

const KEEPING: &[Op] = &[
    op(
        "vacuum",
        |url| pick(url, ["VACUUM", "VACUUM message", "ANALYZE TABLE message"]),
        NOTHING,
        NOTHING,
    ),
    op(
        "rebuilt in place",
        |url| {
            let optimize = "OPTIMIZE TABLE message; OPTIMIZE TABLE conversation";
            pick(url, ["VACUUM; REINDEX", "VACUUM FULL", optimize])
        },
        NOTHING,
        NOTHING,
    ),
    op(
        "a new column",
        |_| "ALTER TABLE message ADD COLUMN model VARCHAR(20)".to_owned(),
        ALTERED,
        ALTERED,
    ),
    op(
        "an index",
        |_| "CREATE INDEX of_conversation ON message (conversation_id)".to_owned(),
        ALTERED,
        ALTERED,
    ),
];

const DESTROYING: &[Op] = &[
    op(
        "created again with the same rows",
        made_again,
        // In the file nothing but the count of statements differs, and no row is another one.
        ["", "W table-recreated", "W table-recreated"],
        // Whoever removes the mark of SQLite, and changes the table, leaves the same behind.
        [
            "W table-recreated",
            "E table-recreated",
            "E table-recreated",
        ],
    ),
    op(
        "created again",
        |url| {
            format!(
                "DROP TABLE message; DROP TABLE conversation; {}",
                tables(url)
            )
        },
        ["E conversation-lost, E table-recreated"; 3],
        ["E conversation-lost, E table-recreated"; 3],
    ),
    op(
        "truncated",
        |url| {
            let sql = "TRUNCATE TABLE message";
            pick(url, ["DELETE FROM message", sql, sql])
        },
        [
            "E conversation-emptied",
            "E conversation-emptied, E table-truncated",
            "E conversation-emptied, E table-truncated",
        ],
        [
            "E conversation-emptied",
            "E conversation-emptied, E table-truncated",
            "E conversation-emptied, E table-truncated",
        ],
    ),
    op(
        "ids begin again",
        |url| {
            let rewind = pick(
                url,
                [
                    "UPDATE sqlite_sequence SET seq = 10 WHERE name = 'message'",
                    "ALTER SEQUENCE message_id_seq RESTART WITH 11",
                    "ALTER TABLE message AUTO_INCREMENT = 11",
                ],
            );
            let (text, now) = (text("another one"), now(url));
            format!(
                "DELETE FROM message WHERE id > 10; {rewind}; \
                 INSERT INTO message (conversation_id, role, parts, created_at) VALUES (1, 'user', {text}, {now}), (1, 'user', {text}, {now})"
            )
        },
        REWOUND,
        REWOUND,
    ),
];

async fn operations_that_keep_every_row(store: &Store) {
    look(store, KEEPING);
}

async fn operations_that_destroy(store: &Store) {
    look(store, DESTROYING);
}

/// Each of them on tables that are as new, armed or not; a failure tells all that is wrong.
fn look(store: &Store, ops: &[Op]) {
    let chats = Chats::in_store(store);
    let at = store.pick(0, 1, 2);
    let mut wrong = Vec::new();
    for op in ops {
        for (arms, expected) in [(false, op.unarmed[at]), (true, op.armed[at])] {
            chats.sql(&made_again(&chats.url));
            if arms {
                chats.arm(&[]);
            }
            chats.snapshot("before.cas");
            for statement in (op.sql)(&chats.url).split("; ") {
                chats.sql(statement);
            }
            let (report, code) = chats.compare(&["before.cas"]);
            let is_right = code == i32::from(expected.contains("E "));
            if told(&report) != expected || !is_right {
                let name = op.name;
                wrong.push(format!(
                    "{name}, armed {arms}: {code}, {}\n{:#}",
                    told(&report),
                    report["findings"]
                ));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_server_that_is_started_again_keeps_its_chats() {
    for mut store in [Store::postgres(), Store::mysql()] {
        let chats = Chats::in_store(&store);
        for arms in [false, true] {
            if arms {
                chats.arm(&[]);
            }
            for kills in [false, true] {
                chats.snapshot("before.cas");
                match &mut store {
                    Store::Postgres(server) => {
                        if !kills {
                            server.stop();
                        }
                        server.restart();
                    }
                    Store::Mysql(server) => {
                        if !kills {
                            server.stop();
                        }
                        server.restart();
                    }
                    Store::Sqlite(_) => {}
                }
                let (report, code) = chats.compare(&["before.cas"]);
                assert_eq!((told(&report).as_str(), code), ("", 0), "{report:#}");
            }
        }
    }
}

#[test]
fn a_dump_in_another_database_holds() {
    let (postgres, mysql) = (Store::postgres(), Store::mysql());
    for store in [&postgres, &mysql] {
        for arms in [false, true] {
            let chats = Chats::in_store(store);
            if arms {
                chats.arm(&[]);
            }
            chats.snapshot("before.cas");
            let name = if arms { "armed" } else { "unarmed" };
            let url = match store {
                Store::Postgres(server) => {
                    let dump = Command::new("pg_dump").arg(&chats.url).output().unwrap();
                    let file = chats.file("dump.sql");
                    fs::write(&file, dump.stdout).unwrap();
                    let url = server.database(name);
                    let load = Command::new("psql")
                        .args(["--quiet", "--file"])
                        .arg(&file)
                        .arg(&url)
                        .stdout(Stdio::null())
                        .status();
                    assert!(load.unwrap().success());
                    url
                }
                Store::Mysql(server) => {
                    let port = chats.url.rsplit([':', '/']).nth(1).unwrap();
                    let to = ["--host=127.0.0.1", "--user=root", &format!("--port={port}")];
                    let dump = Command::new("mariadb-dump").args(to).arg("chat").output();
                    let file = chats.file("dump.sql");
                    fs::write(&file, dump.unwrap().stdout).unwrap();
                    let url = server.database(name);
                    let load = Command::new("mariadb")
                        .args(to)
                        .arg(name)
                        .stdin(fs::File::open(&file).unwrap())
                        .status();
                    assert!(load.unwrap().success());
                    url
                }
                Store::Sqlite(_) => continue,
            };
            let before = chats.file("before.cas");
            let restored = Chats::looking_at(url);
            let (report, code) = restored.compare(&[before.to_str().unwrap()]);
            assert_eq!(code, 0, "{report:#}");
            let expected = match (store, arms) {
                (Store::Mysql(_), false) => ["", "W table-recreated"],
                _ => ["W table-restored"; 2],
            };
            assert!(expected.contains(&told(&report).as_str()), "{report:#}");
            chats.sql("DROP TABLE message; DROP TABLE conversation");
        }
    }
}

#[test]
fn a_file_that_the_application_makes_again_is_another_one() {
    for arms in [false, true] {
        let store = Store::sqlite();
        let chats = Chats::in_store(&store);
        if arms {
            chats.arm(&[]);
        }
        chats.snapshot("before.cas");
        let path = chats.url.strip_prefix("sqlite:").unwrap();
        fs::remove_file(path).unwrap();
        chats.sql(tables(&chats.url));
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(code, 1, "{report:#}");
        assert_eq!(told(&report), "E conversation-lost, E file-replaced");
        // With all its rows it is a copy.
        chats.sql(&rows(&chats.url));
        let (report, code) = chats.compare(&["before.cas"]);
        assert!(told(&report).contains("file-replaced"), "{report:#}");
        assert_eq!(code, i32::from(told(&report).starts_with('E')));
    }
}

/// `chatctl migrate up` rebuilds the table of the messages.
#[test]
fn a_migration_that_rebuilds_a_table_keeps_its_chats() {
    for arms in [false, true] {
        let store = Store::sqlite();
        let chats = Chats::in_store(&store);
        if arms {
            chats.arm(&[]);
        }
        chats.snapshot("before.cas");
        let folder = chats.file("migrations");
        fs::create_dir(&folder).unwrap();
        let rebuild = tables(&chats.url)
            .split_once(";\n")
            .unwrap()
            .1
            .replace("message", "message_new")
            .replace("note TEXT", "note TEXT, model TEXT");
        fs::write(
            folder.join("1_rebuild.sql"),
            format!(
                "{rebuild};\nINSERT INTO message_new (id, conversation_id, role, parts, status, created_at, note) \
                 SELECT id, conversation_id, role, parts, status, created_at, note FROM message;\n\
                 DROP TABLE message;\nALTER TABLE message_new RENAME TO message;\n"
            ),
        )
        .unwrap();
        let mut migrate = crate::common::chatctl();
        migrate
            .args(["migrate", "up", "--database-url", &chats.url, "--dir"])
            .arg(&folder)
            .current_dir(chats.file(""));
        let output = migrate.output().unwrap();
        let (_, err) = crate::common::text(&output);
        assert!(output.status.success(), "{err}");
        let (report, code) = chats.compare(&["before.cas"]);
        assert_eq!(code, 0, "{report:#}");
        assert!(!told(&report).contains("E "), "{report:#}");
    }
}
