//! PostgreSQL.

use super::{Act, Op, arm, look, op, wrong};
use crate::common::servers::{Postgres, run_sql, texts};
use std::process::{Command, Stdio};

pub(crate) struct Place {
    server: Postgres,
    url: String,
}

const MAKE: &str =
    "CREATE TABLE message (id bigserial PRIMARY KEY, conversation bigint, content text);
    CREATE INDEX by_conversation ON message (conversation)";
const FILL: &str = "INSERT INTO message (conversation, content) SELECT n % 7, 'text ' || n FROM generate_series(1, 100) n";

impl Place {
    fn sql(&self, sql: &str) {
        run_sql(&self.url, sql);
    }

    fn refill(&self) {
        self.sql(FILL);
    }

    fn remake(&self) {
        self.sql("DROP TABLE message");
        self.sql(MAKE);
    }

    /// `pg_dump` of the database in a format, into a file that `load` reads.
    fn dump(&self) -> tempfile::NamedTempFile {
        let file = tempfile::NamedTempFile::new().unwrap();
        let mut dump = Command::new("pg_dump");
        dump.args(["--format=custom", "--file"]).arg(file.path());
        assert!(dump.arg(&self.url).status().unwrap().success());
        file
    }

    fn load(&self, dump: &tempfile::NamedTempFile, arguments: &[&str]) {
        let mut load = Command::new("pg_restore");
        load.args(arguments).args(["--dbname", &self.url]);
        assert!(
            load.arg(dump.path())
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
    }
}

const RECREATED: [&str; 2] = ["E table-recreated", "E table-recreated"];
const TRUNCATED: [&str; 2] = ["E table-truncated", "E table-truncated"];
const ALTERED: [&str; 2] = ["N schema-changed", "N schema-changed"];
const NOTHING: [&str; 2] = ["", ""];

fn ops() -> Vec<Op<Place>> {
    vec![
        op("nothing", |_| {}, NOTHING, ""),
        op(
            "restart",
            |p| {
                p.server.stop();
                p.server.restart();
            },
            NOTHING,
            "restarted",
        ),
        op(
            "crash restart",
            |p| p.server.restart(),
            NOTHING,
            "restarted",
        ),
        op(
            "insert 1",
            |p| p.sql("INSERT INTO message (content) VALUES ('new')"),
            NOTHING,
            "",
        ),
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
            "drop, make, fill with the same",
            |p| {
                p.remake();
                p.refill();
            },
            ["W table-recreated", "E table-recreated"],
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
            "truncate restart identity",
            |p| p.sql("TRUNCATE message RESTART IDENTITY"),
            TRUNCATED,
            "",
        ),
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
            "truncate, fill with the same",
            |p| {
                p.sql("TRUNCATE message RESTART IDENTITY");
                p.refill();
            },
            ["W table-truncated", "W table-truncated"],
            "",
        ),
        op(
            "truncate, crash",
            |p| {
                p.sql("TRUNCATE message");
                p.server.restart();
            },
            TRUNCATED,
            "",
        ),
        // Told by the rows alone: the table is what it was.
        op("delete all", |p| p.sql("DELETE FROM message"), NOTHING, ""),
        op(
            "delete all, rewrite",
            |p| {
                p.sql("DELETE FROM message");
                p.sql("VACUUM FULL message");
            },
            NOTHING,
            "deleted one by one",
        ),
        op(
            "delete some, rewrite",
            |p| {
                p.sql("DELETE FROM message WHERE id < 9");
                p.sql("VACUUM FULL message");
            },
            NOTHING,
            "the old ones",
        ),
        op(
            "delete, insert the same",
            |p| {
                p.sql("BEGIN; CREATE TEMP TABLE m AS SELECT * FROM message; DELETE FROM message; INSERT INTO message SELECT * FROM m; COMMIT");
            },
            NOTHING,
            "",
        ),
        op(
            "update 1",
            |p| p.sql("UPDATE message SET conversation = 8 WHERE id = 1"),
            NOTHING,
            "",
        ),
        op(
            "ids set back",
            |p| p.sql("SELECT setval('message_id_seq', 7)"),
            ["W sequence-rewound", "W sequence-rewound"],
            "",
        ),
        op(
            "delete, ids set back",
            |p| p.sql("DELETE FROM message WHERE id > 7; SELECT setval('message_id_seq', 7)"),
            ["E sequence-rewound", "E sequence-rewound"],
            "",
        ),
        op("vacuum", |p| p.sql("VACUUM message"), NOTHING, ""),
        op("analyze", |p| p.sql("ANALYZE message"), NOTHING, ""),
        op(
            "vacuum freeze",
            |p| p.sql("VACUUM FREEZE message"),
            NOTHING,
            "",
        ),
        op(
            "vacuum full",
            |p| p.sql("VACUUM FULL message"),
            NOTHING,
            "VACUUM FULL",
        ),
        op(
            "cluster",
            |p| p.sql("CLUSTER message USING message_pkey"),
            NOTHING,
            "CLUSTER",
        ),
        op("reindex", |p| p.sql("REINDEX TABLE message"), NOTHING, ""),
        op(
            "add a column",
            |p| p.sql("ALTER TABLE message ADD COLUMN model text"),
            ALTERED,
            "",
        ),
        op(
            "grant",
            |p| p.sql("GRANT SELECT ON message TO public"),
            NOTHING,
            "",
        ),
        op(
            "a column of another type",
            |p| p.sql("ALTER TABLE message ALTER conversation TYPE text"),
            ALTERED,
            "rewritten with every row",
        ),
        op(
            "a rewrite to the same type",
            |p| p.sql("ALTER TABLE message ALTER conversation TYPE bigint USING conversation + 0"),
            NOTHING,
            "rewritten with every row",
        ),
        op(
            "rename away and back",
            |p| p.sql("ALTER TABLE message RENAME TO m; ALTER TABLE m RENAME TO message"),
            NOTHING,
            "",
        ),
        op(
            "statistics reset",
            |p| p.sql("SELECT pg_stat_reset()"),
            NOTHING,
            "statistics were reset",
        ),
        op(
            "dump, restore into a new database",
            |p| {
                let dump = p.dump();
                p.url = p.server.database(&format!(
                    "n{}",
                    p.url.len() + dump.path().as_os_str().len() + fastrand::usize(..1 << 30)
                ));
                p.load(&dump, &[]);
            },
            ["W table-restored", "W table-restored"],
            "created again",
        ),
        op(
            "pg_restore --clean",
            |p| p.load(&p.dump(), &["--clean"]),
            ["W table-recreated", "W table-restored"],
            "",
        ),
        op(
            "pg_restore --clean of an old dump",
            |p| {
                let dump = p.dump();
                p.sql("SELECT 1");
                p.sql("INSERT INTO message (content) VALUES ('later')");
                p.load(&dump, &["--clean"]);
            },
            ["W table-recreated", "W table-restored"],
            "",
        ),
    ]
}

#[test]
fn every_operation_is_reported_for_what_it_is() {
    let mut place = Place {
        server: Postgres::start(),
        url: String::new(),
    };
    let mut all = Vec::new();
    for (op, number) in ops().iter().zip(0..) {
        for is_armed in [false, true] {
            place.url = place.server.database(&format!("d{number}_{is_armed}"));
            place.sql(MAKE);
            place.refill();
            if is_armed {
                assert_eq!(arm(&place.url, Act::Arm), ["message"]);
            }
            let before = look(&place.url);
            (op.act)(&mut place);
            let after = look(&place.url);
            all.extend(wrong(op, is_armed, &before, &after));
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

/// Who may only read has less to go by, and is told nothing wrong.
#[test]
fn an_ordinary_user_sees_what_proves_it() {
    let server = Postgres::start();
    let mut place = Place {
        url: server.url(),
        server,
    };
    place.sql(MAKE);
    place.refill();
    place.sql("CREATE ROLE app LOGIN; GRANT SELECT ON message TO app; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO app");
    let app = place.url.replace("postgres@", "app@");
    let before = look(&app);
    let nothing = op::<Place>("nothing", |_| {}, NOTHING, "");
    assert_eq!(wrong(&nothing, false, &before, &look(&app)), None);
    let again = op("drop, make", |p: &mut Place| p.remake(), RECREATED, "");
    (again.act)(&mut place);
    assert_eq!(wrong(&again, false, &before, &look(&app)), None);
}

#[test]
fn a_comment_is_as_it_was_when_the_sentinel_is_removed() {
    let server = Postgres::start();
    let comment = || texts(&server.url(), "SELECT obj_description('message'::regclass)");
    run_sql(&server.url(), MAKE);
    for (sql, was) in [
        ("COMMENT ON TABLE message IS NULL", "-"),
        (
            "COMMENT ON TABLE message IS 'our \\ ''messages'''",
            "our \\ 'messages'",
        ),
    ] {
        run_sql(&server.url(), sql);
        assert_eq!(arm(&server.url(), Act::Arm), ["message"]);
        let armed = comment();
        assert!(armed[0].contains("chatctl:"), "{armed:?}");
        assert!(arm(&server.url(), Act::Arm).is_empty());
        assert_eq!(comment(), armed);
        assert_eq!(arm(&server.url(), Act::Remove), ["message"]);
        assert!(arm(&server.url(), Act::Remove).is_empty());
        assert_eq!(comment(), [was]);
    }
}
