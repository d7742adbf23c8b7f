//! SQLite, with and without a write-ahead log, and with and without ids that are never given twice.

use super::{Act, Op, arm, look, op, wrong};
use rusqlite::Connection;
use std::fs;
use std::path::PathBuf;

pub(crate) struct Place {
    folder: tempfile::TempDir,
    journal: &'static str,
    key: &'static str,
}

impl Place {
    fn new(journal: &'static str, key: &'static str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let place = Self {
            folder,
            journal,
            key,
        };
        place.make();
        place.fill();
        place
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("chat.db")
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.path().display())
    }

    fn sql(&self, sql: &str) {
        let connection = Connection::open(self.path()).unwrap();
        connection.execute_batch(sql).unwrap();
    }

    fn make(&self) {
        let (journal, key) = (self.journal, self.key);
        self.sql(&format!(
            "PRAGMA journal_mode = {journal};
            CREATE TABLE IF NOT EXISTS user (id INTEGER {key}, name TEXT);
            CREATE TABLE IF NOT EXISTS message (id INTEGER {key}, conversation INTEGER, content TEXT);
            CREATE INDEX IF NOT EXISTS by_conversation ON message (conversation)"
        ));
    }

    fn fill(&self) {
        self.sql(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
                INSERT INTO message (conversation, content) SELECT i % 7, 'text ' || i FROM n",
        );
    }

    fn mark(&self, act: Act) {
        arm(&self.url(), act);
    }

    /// As an ORM makes everything again: the youngest is dropped first.
    fn remake(&self) {
        self.sql("DROP TABLE message; DROP TABLE user");
        self.make();
    }

    fn new_file(&self) {
        for ending in ["", "-wal", "-shm", "-journal"] {
            let _ = fs::remove_file(self.path().with_extension(format!("db{ending}")));
        }
        self.make();
    }

    /// The statements that `.dump` writes, run on a new file.
    fn reload(&self) {
        self.dump();
        self.renamed_here("new.db");
    }

    fn dump(&self) {
        let from = Connection::open(self.path()).unwrap();
        let to = Connection::open(self.folder.path().join("new.db")).unwrap();
        let sql = "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite%' ORDER BY rowid";
        let mut objects = from.prepare(sql).unwrap();
        let mut objects = objects.query([]).unwrap();
        while let Some(row) = objects.next().unwrap() {
            to.execute_batch(&row.get::<_, String>(0).unwrap()).unwrap();
        }
        let old = self.path().display().to_string();
        to.execute_batch(&format!(
            "ATTACH '{old}' AS old; INSERT INTO message SELECT * FROM old.message; DETACH old"
        ))
        .unwrap();
    }

    fn renamed_here(&self, from: &str) {
        fs::rename(self.folder.path().join(from), self.path()).unwrap();
    }
}

const RECREATED: [&str; 2] = ["E table-recreated", "E table-recreated"];
const REPLACED: [&str; 2] = ["E file-replaced", "E file-replaced"];
const COPIED: [&str; 2] = ["W file-replaced", "W file-replaced"];
const ALTERED: [&str; 2] = ["N schema-changed", "N schema-changed"];
const NOTHING: [&str; 2] = ["", ""];

fn ops(counts: bool) -> Vec<Op<Place>> {
    let by_ids = |certain: [&'static str; 2], unsure: [&'static str; 2]| {
        if counts { certain } else { unsure }
    };
    vec![
        op("nothing", |_| {}, NOTHING, ""),
        op(
            "start again",
            |p| {
                p.make();
                p.sql("SELECT count(*) FROM message");
            },
            NOTHING,
            "",
        ),
        op(
            "insert",
            |p| p.sql("INSERT INTO message (content) VALUES ('new')"),
            NOTHING,
            "",
        ),
        op(
            "delete some",
            |p| p.sql("DELETE FROM message WHERE id < 9"),
            NOTHING,
            "",
        ),
        op("delete all", |p| p.sql("DELETE FROM message"), NOTHING, ""),
        op("unmark", |p| p.mark(Act::Remove), NOTHING, ""),
        op(
            "unmark, delete all",
            |p| {
                p.mark(Act::Remove);
                p.sql("DELETE FROM message");
            },
            NOTHING,
            "",
        ),
        // Marked again, it has another sentinel; one that had none has one now.
        op(
            "unmark, mark, delete some",
            |p| {
                p.mark(Act::Remove);
                p.mark(Act::Arm);
                p.sql("DELETE FROM message WHERE id < 9");
            },
            NOTHING,
            "",
        ),
        op(
            "mark, delete some, vacuum",
            |p| {
                p.mark(Act::Arm);
                p.sql("DELETE FROM message WHERE id < 9; VACUUM");
            },
            NOTHING,
            "",
        ),
        op(
            "mark, drop all, make all, mark",
            |p| {
                p.mark(Act::Arm);
                p.remake();
                p.mark(Act::Arm);
            },
            by_ids(RECREATED, ["W table-recreated", "E table-recreated"]),
            "",
        ),
        op(
            "unmark, another index",
            |p| {
                p.mark(Act::Remove);
                p.sql("CREATE INDEX by_name ON user (name)");
            },
            ["", "W table-recreated"],
            "",
        ),
        op(
            "delete all, vacuum",
            |p| p.sql("DELETE FROM message; VACUUM"),
            NOTHING,
            "",
        ),
        // Nothing distinguishes it from a drop but the sentinel, and ids that are never given twice.
        op(
            "delete all, vacuum twice",
            |p| p.sql("DELETE FROM message; VACUUM; VACUUM"),
            by_ids(["W table-recreated", ""], ["W table-recreated", ""]),
            "",
        ),
        op(
            "drop all, make all",
            |p| p.remake(),
            by_ids(RECREATED, ["W table-recreated", "E table-recreated"]),
            "",
        ),
        op(
            "drop all, make all, fill with others",
            |p| {
                p.remake();
                p.sql("INSERT INTO message (content) VALUES ('welcome')");
            },
            by_ids(RECREATED, ["W table-recreated", "E table-recreated"]),
            "",
        ),
        op(
            "drop all, make all, fill with the same",
            |p| {
                p.remake();
                p.fill();
            },
            by_ids(
                ["W table-recreated", "E table-recreated"],
                ["", "W table-recreated"],
            ),
            if counts {
                ""
            } else {
                "no compared table changed"
            },
        ),
        op(
            "drop",
            |p| p.sql("DROP TABLE message"),
            ["E table-missing", "E table-missing"],
            "",
        ),
        op("vacuum", |p| p.sql("VACUUM"), NOTHING, "VACUUM"),
        op("analyze", |p| p.sql("ANALYZE"), NOTHING, "ANALYZE"),
        op("reindex", |p| p.sql("REINDEX"), NOTHING, ""),
        op(
            "add a column",
            |p| p.sql("ALTER TABLE message ADD COLUMN model TEXT"),
            ALTERED,
            "",
        ),
        op(
            "drop a column",
            |p| p.sql("DROP INDEX by_conversation; ALTER TABLE message DROP COLUMN conversation"),
            ALTERED,
            "",
        ),
        op(
            "add an index",
            |p| p.sql("CREATE INDEX by_content ON message (content)"),
            ALTERED,
            "",
        ),
        op(
            "rebuilt by a migration",
            |p| {
                p.sql(
                "BEGIN; CREATE TABLE n (id INTEGER PRIMARY KEY, conversation INTEGER NOT NULL, content TEXT);
                INSERT INTO n SELECT * FROM message; DROP TABLE message; ALTER TABLE n RENAME TO message;
                CREATE INDEX by_conversation ON message (conversation); COMMIT",
            );
            },
            ALTERED,
            "",
        ),
        op(
            "file deleted and created again",
            |p| p.new_file(),
            REPLACED,
            "",
        ),
        op(
            "file deleted, created again, filled with the same",
            |p| {
                p.new_file();
                p.fill();
            },
            ["W file-replaced", "E file-replaced"],
            "",
        ),
        op(
            "copied by VACUUM INTO",
            |p| {
                p.sql(&format!(
                    "VACUUM INTO '{}'",
                    p.folder.path().join("new.db").display()
                ));
                p.renamed_here("new.db");
            },
            COPIED,
            "",
        ),
        op(
            "copied as a backup",
            |p| {
                let from = Connection::open(p.path()).unwrap();
                from.backup("main", p.folder.path().join("new.db"), None)
                    .unwrap();
                drop(from);
                p.renamed_here("new.db");
            },
            COPIED,
            "",
        ),
        op("dumped and loaded", |p| p.reload(), COPIED, ""),
        op(
            "copied as a file",
            |p| {
                p.sql("PRAGMA wal_checkpoint(TRUNCATE)");
                fs::copy(p.path(), p.folder.path().join("new.db")).unwrap();
                p.renamed_here("new.db");
            },
            COPIED,
            "",
        ),
        op(
            "an old copy put back",
            |p| {
                p.sql("PRAGMA wal_checkpoint(TRUNCATE)");
                fs::copy(p.path(), p.folder.path().join("new.db")).unwrap();
                p.sql("DELETE FROM message WHERE id < 9");
                p.renamed_here("new.db");
            },
            COPIED,
            "",
        ),
    ]
}

#[test]
fn every_operation_is_reported_for_what_it_is() {
    let mut all = Vec::new();
    for journal in ["delete", "wal"] {
        for (key, counts) in [("PRIMARY KEY", false), ("PRIMARY KEY AUTOINCREMENT", true)] {
            for op in ops(counts) {
                for is_armed in [false, true] {
                    let mut place = Place::new(journal, key);
                    if is_armed {
                        assert_eq!(arm(&place.url(), Act::Arm), ["message"]);
                    }
                    let before = look(&place.url());
                    (op.act)(&mut place);
                    let wrong = wrong(&op, is_armed, &before, &look(&place.url()));
                    all.extend(wrong.map(|wrong| format!("{journal}, {key}: {wrong}")));
                }
            }
        }
    }
    assert!(all.is_empty(), "{}", all.join("\n"));
}

#[test]
fn the_sentinel_is_an_index_that_comes_and_goes() {
    let place = Place::new("wal", "PRIMARY KEY");
    let sentinels = || {
        let connection = Connection::open(place.path()).unwrap();
        let sql = "SELECT count(*) FROM sqlite_master WHERE name LIKE 'chatctl%'";
        connection
            .query_row(sql, [], |row| row.get::<_, i64>(0))
            .unwrap()
    };
    assert_eq!(arm(&place.url(), Act::Arm), ["message"]);
    assert!(arm(&place.url(), Act::Arm).is_empty());
    assert_eq!(sentinels(), 1);
    assert_eq!(arm(&place.url(), Act::Remove), ["message"]);
    assert!(arm(&place.url(), Act::Remove).is_empty());
    assert_eq!(sentinels(), 0);
}
