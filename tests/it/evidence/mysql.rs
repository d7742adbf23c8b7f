//! MariaDB.

use super::{Act, Expected, Look, Op, arm, look, op, wrong};
use crate::common::servers::{MariaDb, run_sql, texts};
use std::process::{Command, Stdio};

pub(crate) struct Place {
    server: MariaDb,
    /// As its owner, and as who looks.
    url: String,
    user: &'static str,
}

const MAKE: &str = "CREATE TABLE message (id BIGINT AUTO_INCREMENT PRIMARY KEY, conversation BIGINT, content TEXT)";
const FILL: &str = "INSERT INTO message (conversation, content) SELECT seq % 7, concat('text ', seq) FROM seq_1_to_100";

impl Place {
    fn start(user: &'static str) -> Self {
        let server = MariaDb::start();
        run_sql(&server.url(), "CREATE USER app; GRANT SELECT ON *.* TO app");
        Self {
            url: server.url(),
            server,
            user,
        }
    }

    fn sql(&self, sql: &str) {
        run_sql(&self.url, sql);
    }

    fn look(&self) -> Look {
        look(&self.url.replace("root@", &format!("{}@", self.user)))
    }

    fn mark(&self, act: Act) {
        arm(&self.url, act);
    }

    fn remake(&self) {
        self.sql("DROP TABLE message");
        self.sql(MAKE);
    }

    fn restart(&mut self) {
        self.server.stop();
        self.server.restart();
    }

    fn reload(&mut self) {
        let (at, database) = self.url.rsplit_once('/').unwrap();
        let port = at.rsplit_once(':').unwrap().1;
        let client = |program: &str| {
            let mut command = Command::new(program);
            command.args([
                "--no-defaults",
                "--protocol=tcp",
                "--host=127.0.0.1",
                "--user=root",
            ]);
            command.args([&format!("--port={port}"), database]);
            command
        };
        let dump = client("mariadb-dump").output().unwrap();
        assert!(dump.status.success());
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), dump.stdout).unwrap();
        let mut load = client("mariadb");
        load.stdin(Stdio::from(file.reopen().unwrap()));
        assert!(load.status().unwrap().success());
    }
}

const RECREATED: [&str; 2] = ["E table-recreated", "E table-recreated"];
const TRUNCATED: [&str; 2] = ["E table-truncated", "E table-truncated"];
const ALTERED: [&str; 2] = ["N schema-changed", "N schema-changed"];
const NOTHING: [&str; 2] = ["", ""];

/// What every user can tell.
fn ops() -> Vec<Op<Place>> {
    vec![
        op("nothing", |_| {}, NOTHING, ""),
        op("restart", Place::restart, NOTHING, "restarted"),
        op(
            "crash restart",
            |p| p.server.restart(),
            NOTHING,
            "restarted",
        ),
        op(
            "insert",
            |p| p.sql("INSERT INTO message (content) VALUES ('new')"),
            NOTHING,
            "",
        ),
        op(
            "update",
            |p| p.sql("UPDATE message SET conversation = 8 WHERE id = 1"),
            NOTHING,
            "",
        ),
        op("delete all", |p| p.sql("DELETE FROM message"), NOTHING, ""),
        op("drop, make", |p| p.remake(), RECREATED, ""),
        op(
            "drop, make, fill with others",
            |p| {
                p.remake();
                p.sql("INSERT INTO message (content) SELECT 'welcome'");
            },
            RECREATED,
            "",
        ),
        op(
            "drop, make, restart",
            |p| {
                p.remake();
                p.restart();
            },
            RECREATED,
            "",
        ),
        op(
            "drop",
            |p| p.sql("DROP TABLE message"),
            ["E table-missing", "E table-missing"],
            "",
        ),
        op("truncate", |p| p.sql("TRUNCATE message"), TRUNCATED, ""),
        op(
            "truncate, fill with others",
            |p| {
                p.sql("TRUNCATE message");
                p.sql("INSERT INTO message (content) SELECT 'welcome'");
            },
            TRUNCATED,
            "",
        ),
        op(
            "optimize",
            |p| p.sql("OPTIMIZE TABLE message"),
            NOTHING,
            "rebuilt in place",
        ),
        op(
            "optimize, restart",
            |p| {
                p.sql("OPTIMIZE TABLE message");
                p.restart();
            },
            ["W table-recreated", ""],
            "",
        ),
        op(
            "alter force",
            |p| p.sql("ALTER TABLE message FORCE"),
            NOTHING,
            "rebuilt in place",
        ),
        op(
            "alter by a copy",
            |p| p.sql("ALTER TABLE message FORCE, ALGORITHM = COPY"),
            NOTHING,
            "rebuilt in place",
        ),
        op(
            "add a column at once",
            |p| p.sql("ALTER TABLE message ADD COLUMN model TEXT, ALGORITHM = INSTANT"),
            ALTERED,
            "",
        ),
        op(
            "add an index",
            |p| p.sql("ALTER TABLE message ADD INDEX (conversation)"),
            ALTERED,
            "",
        ),
        op(
            "dump, load",
            Place::reload,
            ["W table-recreated", "W table-restored"],
            "",
        ),
        op(
            "ids set back",
            |p| p.sql("DELETE FROM message WHERE id > 9; ALTER TABLE message AUTO_INCREMENT = 10"),
            ["E sequence-rewound", "E sequence-rewound"],
            "",
        ),
    ]
}

/// What comes out otherwise where the number of a table is known.
fn refilled(armed: Expected) -> Vec<Op<Place>> {
    vec![
        op(
            "drop, make, fill with the same",
            |p| {
                p.remake();
                p.sql(FILL);
            },
            ["W table-recreated", armed],
            "",
        ),
        op(
            "drop, make, fill with the same, restart",
            |p| {
                p.remake();
                p.sql(FILL);
                p.restart();
            },
            ["W table-recreated", armed],
            "",
        ),
    ]
}

/// What only the number of a table tells.
fn numbered() -> Vec<Op<Place>> {
    vec![
        op("unmark", |p| p.mark(Act::Remove), NOTHING, ""),
        op(
            "a comment, delete all",
            |p| p.sql("ALTER TABLE message COMMENT = 'the messages'; DELETE FROM message"),
            NOTHING,
            "",
        ),
        op(
            "truncate, restart",
            |p| {
                p.sql("TRUNCATE message");
                p.restart();
            },
            TRUNCATED,
            "",
        ),
        op(
            "truncate, fill with the same",
            |p| {
                p.sql("TRUNCATE message");
                p.sql(FILL);
            },
            ["W table-truncated", "W table-truncated"],
            "",
        ),
        op(
            "rename away and back",
            |p| p.sql("RENAME TABLE message TO m; RENAME TABLE m TO message"),
            NOTHING,
            "altered or renamed",
        ),
        op(
            "rename away",
            |p| p.sql("RENAME TABLE message TO m"),
            ["E table-missing", "E table-missing"],
            "",
        ),
    ]
}

/// The same, of who may not see the number.
fn unnumbered() -> Vec<Op<Place>> {
    vec![
        op(
            "unmark",
            |p| p.mark(Act::Remove),
            ["", "W table-recreated"],
            "",
        ),
        op(
            "truncate, restart",
            |p| {
                p.sql("TRUNCATE message");
                p.restart();
            },
            [
                "W table-truncated, E sequence-rewound",
                "W table-truncated, E sequence-rewound",
            ],
            "",
        ),
        op(
            "truncate, fill with the same",
            |p| {
                p.sql("TRUNCATE message");
                p.sql(FILL);
            },
            NOTHING,
            "",
        ),
        op(
            "rename away and back",
            |p| p.sql("RENAME TABLE message TO m; RENAME TABLE m TO message"),
            NOTHING,
            "rebuilt in place",
        ),
    ]
}

fn check(place: &mut Place, ops: &[Op<Place>]) {
    let mut ways = Vec::new();
    for (op, number) in ops.iter().zip(0..) {
        for is_armed in [false, true] {
            place.url = place.server.database(&format!("d{number}_{is_armed}"));
            place.sql(MAKE);
            place.sql(FILL);
            if is_armed {
                assert_eq!(arm(&place.url, Act::Arm), ["message"]);
            }
            ways.push((op, is_armed, place.url.clone()));
        }
    }
    // The time at which a table was made is kept to the second: what is made within the same one
    // can't be told by it.
    let passed = "SELECT count(*) = 0 FROM information_schema.tables WHERE table_name = 'message' AND create_time >= now()";
    while texts(&place.url, passed) != ["1"] {
        std::thread::yield_now();
    }
    let mut all = Vec::new();
    for (op, is_armed, url) in ways {
        place.url = url;
        let before = place.look();
        (op.act)(place);
        all.extend(wrong(op, is_armed, &before, &place.look()));
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn every_operation_is_reported_for_what_it_is() {
    let ops = ops().into_iter().chain(numbered());
    let ops: Vec<_> = ops.chain(refilled("E table-recreated")).collect();
    check(&mut Place::start("root"), &ops);
}

#[test]
fn a_user_without_privileges_learns_what_can_be_known() {
    let ops = ops().into_iter().chain(unnumbered());
    let ops: Vec<_> = ops.chain(refilled("W table-recreated")).collect();
    check(&mut Place::start("app"), &ops);
}

#[test]
fn a_comment_is_as_it_was_when_the_sentinel_is_removed() {
    let server = MariaDb::start();
    let comment =
        "SELECT table_comment FROM information_schema.tables WHERE table_name = 'message'";
    run_sql(&server.url(), MAKE);
    for (sql, was) in [
        ("ALTER TABLE message COMMENT = ''", ""),
        (
            "ALTER TABLE message COMMENT = 'our \\\\ ''messages'''",
            "our \\ 'messages'",
        ),
    ] {
        run_sql(&server.url(), sql);
        assert_eq!(arm(&server.url(), Act::Arm), ["message"]);
        let armed = texts(&server.url(), comment);
        assert!(armed[0].contains("chatctl:"), "{armed:?}");
        assert!(arm(&server.url(), Act::Arm).is_empty());
        assert_eq!(arm(&server.url(), Act::Remove), ["message"]);
        assert!(arm(&server.url(), Act::Remove).is_empty());
        assert_eq!(texts(&server.url(), comment), [was]);
    }
}
