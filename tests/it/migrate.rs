//! Migrations on SQLite, run for real: in each case the rows after are those before, or the loss
//! is acknowledged, or nothing was changed.

use crate::common::{chatctl, codes, errors, report, root, text};
use serde_json::Value;
use sqlx::{Connection as _, Row as _, SqliteConnection};
use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

/// The schema and rows that every case begins with: 100 conversations, 1 000 messages, 100
/// attachments, each with a cascade to its parent.
const BEGIN: &str = "
CREATE TABLE conversations (id INTEGER PRIMARY KEY, title TEXT NOT NULL);
CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
    role TEXT NOT NULL, body TEXT, note TEXT);
CREATE TABLE attachments (id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE);
CREATE INDEX messages_of_conversation ON messages (conversation_id);
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO conversations SELECT i, 'chat ' || i FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000)
    INSERT INTO messages SELECT i, i % 100 + 1, CASE i % 2 WHEN 0 THEN 'user' ELSE 'ai' END, 'text ' || i, NULL FROM n;
WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100) INSERT INTO attachments SELECT i, i FROM n;
";

struct Store {
    folder: tempfile::TempDir,
}

impl Store {
    /// A store at version 1, whose folder has this as version 2.
    fn with(second: &str) -> Self {
        let store = Self {
            folder: tempfile::tempdir().unwrap(),
        };
        fs::create_dir(store.dir()).unwrap();
        store.file("1_begin.sql", BEGIN);
        let (report, exit) = store.up();
        assert_eq!(exit, 0, "{report:#}");
        store.file("2_change.sql", second);
        store
    }

    fn dir(&self) -> PathBuf {
        self.folder.path().join("migrations")
    }

    fn url(&self) -> String {
        format!("sqlite:{}", self.folder.path().join("chat.db").display())
    }

    fn file(&self, name: &str, text: &str) {
        fs::write(self.dir().join(name), text).unwrap();
    }

    fn command(&self, sub: &str) -> Command {
        let mut command = chatctl();
        command
            .args(["migrate", sub, "--database-url", &self.url(), "--dir"])
            .arg(self.dir());
        command
    }

    fn up(&self) -> (Value, i32) {
        report(&mut self.command("up"))
    }

    /// Rows of the three tables and everything else that a query gives, as text.
    fn query(&self, sql: &'static str) -> Vec<String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut connection = SqliteConnection::connect(&self.url()).await.unwrap();
            let rows = sqlx::query(sql).fetch_all(&mut connection).await.unwrap();
            rows.iter()
                .map(|row| {
                    row.get::<Option<String>, _>(0)
                        .unwrap_or_else(|| "-".into())
                })
                .collect()
        })
    }

    fn counts(&self) -> Vec<String> {
        self.query(
            "SELECT CAST(count(*) AS TEXT) FROM conversations UNION ALL SELECT CAST(count(*) AS TEXT) FROM messages \
             UNION ALL SELECT CAST(count(*) AS TEXT) FROM attachments",
        )
    }

    /// Everything that is in the database: the schema, and a digest of the messages.
    fn contents(&self) -> Vec<String> {
        let mut all =
            self.query("SELECT sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name");
        all.extend(self.query("SELECT group_concat(id || role || coalesce(body, '-') || coalesce(note, '-')) FROM messages"));
        all.extend(self.query("SELECT CAST(version AS TEXT) FROM _sqlx_migrations ORDER BY 1"));
        all
    }
}

/// The migration is refused with this code, for this table or column, and nothing is changed.
#[track_caller]
fn refused(second: &str, code: &str, subject: &str) -> Value {
    let store = Store::with(second);
    let before = store.contents();
    let (report, exit) = store.up();
    assert_eq!(
        (exit, report["verdict"].as_str().unwrap()),
        (1, "violated"),
        "{report:#}"
    );
    assert!(errors(&report).contains(&code), "no {code} in {report:#}");
    let findings = report["findings"].as_array().unwrap();
    assert!(
        findings.iter().any(|finding| finding["subject"] == subject),
        "not about {subject}: {report:#}"
    );
    assert_eq!(store.contents(), before, "something was changed");
    report
}

/// The migration is applied, and no row is lost.
#[track_caller]
fn applied(second: &str) -> (Store, Value) {
    let store = Store::with(second);
    let (report, exit) = store.up();
    assert_eq!(
        (exit, report["verdict"].as_str().unwrap()),
        (0, "proven"),
        "{report:#}"
    );
    let (again, exit) = store.up();
    assert_eq!(exit, 0, "a second run has nothing to do: {again:#}");
    assert!(
        again["cases"][0]["reason"]
            .as_str()
            .unwrap()
            .contains("already"),
        "{again:#}"
    );
    (store, report)
}

#[test]
fn a_rebuild_as_generators_write_it_keeps_the_children() {
    let (store, report) = applied(
        "PRAGMA foreign_keys=OFF;
         CREATE TABLE __new_conversations (id INTEGER PRIMARY KEY, title TEXT NOT NULL DEFAULT 'New chat');
         INSERT INTO __new_conversations (id, title) SELECT id, title FROM conversations;
         DROP TABLE conversations;
         ALTER TABLE __new_conversations RENAME TO conversations;
         PRAGMA foreign_keys=ON;",
    );
    assert_eq!(store.counts(), ["100", "1000", "100"]);
    assert_eq!(report["summary"]["errors"], 0);
}

#[test]
fn a_rebuild_that_moves_the_old_table_aside_keeps_everything() {
    let (store, _) = applied(
        "PRAGMA legacy_alter_table = ON;
         ALTER TABLE messages RENAME TO messages_old;
         CREATE TABLE messages (id INTEGER PRIMARY KEY, conversation_id INTEGER NOT NULL REFERENCES conversations (id),
            role TEXT NOT NULL, body TEXT, note TEXT);
         INSERT INTO messages SELECT * FROM messages_old;
         DROP TABLE messages_old;",
    );
    assert_eq!(store.counts()[1], "1000");
}

#[test]
fn what_a_rebuild_takes_along_is_reported() {
    let (_, report) = applied(
        "CREATE TABLE m (id INTEGER PRIMARY KEY, conversation_id INTEGER NOT NULL REFERENCES conversations (id) ON DELETE CASCADE,
            role TEXT NOT NULL, body TEXT, note TEXT);
         INSERT INTO m SELECT * FROM messages; DROP TABLE messages; ALTER TABLE m RENAME TO messages;",
    );
    assert!(
        codes(&report, "warning").contains(&"objects-lost"),
        "{report:#}"
    );
    let index = "index `messages_of_conversation` on `messages` (2_change.sql:3)";
    assert!(report.to_string().contains(index), "{report:#}");
}

/// A copy by CREATE TABLE AS has no key, so that a new row has no id.
#[test]
fn a_rebuild_without_the_key_is_reported() {
    let rebuilt = |made: &str| {
        let (_, report) = applied(&format!(
            "CREATE TABLE a {made}; DROP TABLE attachments; ALTER TABLE a RENAME TO attachments;"
        ));
        let lost = codes(&report, "warning").contains(&"objects-lost");
        let key = "primary key `id` on `attachments`";
        assert_eq!(lost, report.to_string().contains(key), "{report:#}");
        lost
    };
    let with_key = "(id INTEGER PRIMARY KEY, message_id INTEGER NOT NULL REFERENCES messages (id) ON DELETE CASCADE); \
        INSERT INTO a SELECT * FROM attachments";
    assert!(!rebuilt(with_key));
    assert!(rebuilt("AS SELECT * FROM attachments"));
}

#[test]
fn deleted_rows_are_refused_with_their_statement() {
    let report = refused(
        "-- tidy up\nSELECT 1;\nDELETE FROM messages;\n",
        "rows-lost",
        "messages",
    );
    let findings = report["findings"].as_array().unwrap();
    let finding = findings
        .iter()
        .find(|finding| finding["subject"] == "messages")
        .unwrap();
    assert_eq!(
        (&finding["place"]["file"], &finding["place"]["line"]),
        (&"2_change.sql".into(), &3.into())
    );
    assert!(
        finding["harm"]
            .as_str()
            .unwrap()
            .contains("1000 of 1000 rows of `messages` are gone"),
        "{report:#}"
    );
    assert!(
        finding["help"]
            .as_str()
            .unwrap()
            .contains("allow-loss messages rows<=1000"),
        "{report:#}"
    );
}

#[test]
fn every_way_to_lose_something_is_refused() {
    for (second, code, subject) in [
        ("DROP TABLE attachments", "table-lost", "attachments"),
        ("ALTER TABLE messages DROP COLUMN body", "column-lost", "messages.body"),
        ("DELETE FROM messages WHERE id = 7", "rows-lost", "messages"),
        ("UPDATE messages SET body = NULL WHERE id < 4", "values-lost", "messages.body"),
        ("UPDATE messages SET role = 'user'", "values-changed", "messages.role"),
        ("UPDATE messages SET body = substr(body, 1, 5)", "values-changed", "messages.body"),
        // Two values swapped: the same values, in other rows.
        (
            "UPDATE messages SET body = CASE id WHEN 1 THEN 'text 2' ELSE 'text 1' END WHERE id IN (1, 2)",
            "values-changed",
            "messages.body",
        ),
        (
            "CREATE TRIGGER t AFTER INSERT ON conversations BEGIN DELETE FROM messages WHERE id < 11; END;
             INSERT INTO conversations VALUES (1000, 'x');",
            "rows-lost",
            "messages",
        ),
        (
            "CREATE TABLE m (id INTEGER PRIMARY KEY, conversation_id INTEGER, role TEXT, body TEXT, note TEXT);
             INSERT INTO m SELECT messages.* FROM messages JOIN attachments ON message_id = messages.id;
             DROP TABLE messages; ALTER TABLE m RENAME TO messages;",
            "rows-lost",
            "messages",
        ),
        ("INSERT OR REPLACE INTO messages VALUES (1, 1, 'user', 'other', NULL)", "values-changed", "messages.body"),
    ] {
        refused(second, code, subject);
    }
}

/// What a reviewer tried to get past the proof; each lost data once and said `proven`.
#[test]
fn nothing_gets_around_the_proof() {
    for (second, code, subject) in [
        ("CREATE TEMP TABLE messages AS SELECT * FROM main.messages; DELETE FROM main.messages", "rows-lost", "messages"),
        // The same number of rows and keys, at other messages.
        (
            "CREATE TABLE m (id INTEGER, conversation_id INTEGER, role TEXT, body TEXT, note TEXT, PRIMARY KEY (conversation_id, id));
             INSERT INTO m SELECT id, conversation_id, role, (SELECT body FROM messages x WHERE x.id = 1001 - messages.id), note FROM messages;
             DROP TABLE messages; ALTER TABLE m RENAME TO messages;",
            "values-changed",
            "messages.body",
        ),
        // A row goes and another comes: the count is the same.
        (
            "DELETE FROM attachments WHERE id = 1; INSERT INTO attachments VALUES (1000, 5)",
            "rows-lost",
            "attachments",
        ),
        // What only bytes tell apart, with growth next to it.
        (
            "CREATE TABLE c (id INTEGER PRIMARY KEY, title TEXT NOT NULL COLLATE NOCASE);
             INSERT INTO c SELECT id, upper(title) FROM conversations; INSERT INTO c VALUES (5000, 'new');
             DROP TABLE conversations; ALTER TABLE c RENAME TO conversations;",
            "values-changed",
            "conversations.title",
        ),
        // Two tables become one.
        (
            "DROP TABLE attachments; ALTER TABLE messages RENAME TO attachments; ALTER TABLE attachments RENAME COLUMN body TO text",
            "table-lost",
            "attachments",
        ),
        // A copy under another name does not bring back what is written over.
        (
            "UPDATE messages SET note = 'n'; UPDATE messages SET body = 'x' WHERE id = 4",
            "values-changed",
            "messages.body",
        ),
    ] {
        refused(second, code, subject);
    }
    for second in [
        "COMMIT; DELETE FROM messages;",
        "ROLLBACK; DELETE FROM messages; BEGIN;",
        "DELETE FROM messages; COMMIT; SELECT nope;",
        "COMMIT; PRAGMA foreign_keys = ON; DELETE FROM conversations WHERE id = 1; BEGIN;",
        "PRAGMA writable_schema = ON; DELETE FROM sqlite_master WHERE name = 'messages';",
        "ATTACH ':memory:' AS o;",
        "DELETE FROM _sqlx_migrations;",
    ] {
        refused(second, "migration-failed", "2_change.sql");
    }
}

/// Without a key rows are compared as a whole, each as often as it is there.
#[test]
fn rows_without_a_key_are_kept_too() {
    let keyless = "CREATE TABLE log (c INTEGER, body TEXT); INSERT INTO log VALUES (1, 'a'), (1, 'a'), (2, 'b'), (2, 'c')";
    for (third, passes) in [
        ("INSERT INTO log VALUES (5, 'x')", true),
        ("ALTER TABLE log ADD COLUMN extra TEXT", true),
        (
            "DELETE FROM log WHERE rowid = 2; INSERT INTO log VALUES (5, 'x'), (6, 'y')",
            false,
        ),
        (
            "UPDATE log SET body = CASE body WHEN 'b' THEN 'a' WHEN 'a' THEN 'b' ELSE body END",
            false,
        ),
    ] {
        let store = Store::with(keyless);
        assert_eq!(store.up().1, 0);
        store.file("3_more.sql", third);
        let (report, exit) = store.up();
        assert_eq!(exit == 0, passes, "{third}: {report:#}");
    }
}

/// An acknowledgement bounds what it says, and counts for its own file only.
#[test]
fn an_acknowledgement_does_not_leak() {
    for second in [
        "-- chatctl: allow-loss messages.body rows<=1 reason=\"x\"\nUPDATE messages SET body = 'zzz';",
        "-- chatctl: allow-loss messages rows<=900 reason=\"x\"\nDELETE FROM attachments; DELETE FROM messages WHERE id = 4; UPDATE messages SET role = 'zzz';",
        "-- chatctl: allow-loss attachments rows<=1 reason=\"x\"\nDELETE FROM attachments; INSERT INTO attachments SELECT id + 5000, id FROM messages WHERE id < 100;",
    ] {
        let store = Store::with(second);
        let before = store.contents();
        assert_eq!(store.up().1, 1, "{second}");
        assert_eq!(store.contents(), before);
    }
    let store =
        Store::with("-- chatctl: allow-loss messages.body reason=\"x\"\nCREATE TABLE z (a);");
    store.file("3_more.sql", "UPDATE messages SET body = 'gone'");
    let (report, exit) = store.up();
    assert_eq!(exit, 1, "{report:#}");
}

/// Names that are followed, whatever way they took.
#[test]
fn renames_are_followed() {
    for second in [
        "ALTER TABLE messages RENAME TO m2; ALTER TABLE m2 RENAME TO m3;",
        "ALTER TABLE Messages RENAME TO mm;",
        "ALTER TABLE messages RENAME COLUMN body TO b2; ALTER TABLE messages RENAME COLUMN b2 TO b3;",
    ] {
        applied(second);
    }
}

/// What waits for a lock is stopped at once, and nothing was done.
#[test]
fn an_interrupted_wait_ends_at_once() {
    use nix::sys::signal::Signal;
    let store = Store::with("CREATE TABLE t (x)");
    let script = "import sqlite3, sys, time\nc = sqlite3.connect(sys.argv[1], isolation_level=None)\n\
        c.execute('BEGIN IMMEDIATE')\nprint('locked', flush=True)\ntime.sleep(30)\n";
    let path = store.folder.path().join("chat.db");
    let mut holder = Command::new(crate::common::python())
        .args(["-c", script])
        .arg(&path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    std::io::BufRead::read_line(
        &mut std::io::BufReader::new(holder.stdout.take().unwrap()),
        &mut line,
    )
    .unwrap();
    let mut waiting = store
        .command("up")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(400));
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(waiting.id() as i32),
        Signal::SIGINT,
    )
    .unwrap();
    let ended = (0..300).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        waiting.try_wait().unwrap()
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(ended.expect("it waits on").code(), Some(130));
    assert_eq!(report_of(&store, "status").1, 10, "it is still pending");
}

/// Where values were added, sums say nothing of the old ones: they are compared one by one.
#[test]
fn a_backfill_passes_and_one_that_spoils_a_value_does_not() {
    let store = Store::with("UPDATE messages SET note = 'first' WHERE id <= 500");
    assert_eq!(store.up().1, 0);
    store.file(
        "3_more.sql",
        "UPDATE messages SET note = 'second' WHERE note IS NULL",
    );
    let (report, exit) = store.up();
    assert_eq!(exit, 0, "{report:#}");
    store.file(
        "4_add.sql",
        "ALTER TABLE messages ADD COLUMN kind TEXT; UPDATE messages SET kind = 'a' WHERE id <= 500",
    );
    assert_eq!(store.up().1, 0);
    store.file(
        "5_spoil.sql",
        "UPDATE messages SET kind = coalesce(kind || '!', 'b')",
    );
    let (report, exit) = store.up();
    assert_eq!(exit, 1, "{report:#}");
    assert!(errors(&report).contains(&"values-changed"), "{report:#}");
    assert_eq!(
        store.query("SELECT CAST(count(*) AS TEXT) FROM messages WHERE kind = 'a'"),
        ["500"]
    );
}

#[test]
fn what_loses_nothing_passes() {
    for second in [
        "ALTER TABLE messages RENAME TO message",
        "ALTER TABLE messages RENAME COLUMN body TO content",
        "ALTER TABLE messages DROP COLUMN note",
        "CREATE TABLE empty (x); DROP TABLE empty",
        "INSERT INTO conversations VALUES (1001, 'a new one')",
        "ALTER TABLE messages ADD COLUMN status TEXT NOT NULL DEFAULT 'complete'",
        // The note was NULL before the file: what it writes over is its own.
        "UPDATE messages SET note = 'n' WHERE id < 9; UPDATE messages SET note = 'again' WHERE id = 3",
        "CREATE VIEW v AS SELECT * FROM messages; CREATE VIRTUAL TABLE f USING fts5(body); INSERT INTO f SELECT body FROM messages",
    ] {
        applied(second);
    }
}

#[test]
fn a_loss_is_acknowledged_narrowly_or_not_at_all() {
    let acknowledge = |directive: &str| {
        let store = Store::with(&format!(
            "-- chatctl: {directive}\nDELETE FROM messages WHERE id <= 10;"
        ));
        let (report, exit) = store.up();
        (store, report, exit)
    };
    // The attachments go with their messages, and that loss is acknowledged by nobody.
    let meant = "allow-loss messages rows<=10 reason=\"drafts\"";
    let (_, report, exit) = acknowledge(meant);
    assert_eq!(exit, 1, "attachments would be gone: {report:#}");
    assert!(errors(&report).contains(&"rows-lost"), "{report:#}");
    let both = |directive: &str| {
        let store = Store::with(&format!(
            "-- chatctl: {directive}\n-- chatctl: allow-loss attachments rows<=10 reason=\"of drafts\"\n\
             DELETE FROM attachments WHERE message_id <= 10; DELETE FROM messages WHERE id <= 10;"
        ));
        store.up()
    };
    let (report, exit) = both(meant);
    assert_eq!(exit, 0, "{report:#}");
    assert!(codes(&report, "note").contains(&"rows-lost"), "{report:#}");
    for narrow in [
        "allow-loss messages rows<=9 reason=\"drafts\"",
        "allow-loss messages.body rows<=10 reason=\"drafts\"",
        "allow-loss conversations rows<=10 reason=\"drafts\"",
    ] {
        assert_eq!(both(narrow).1, 1, "{narrow}");
    }
    let output = Store::with("-- chatctl: allow-los messages reason=\"x\"\nSELECT 1;")
        .command("up")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{:?}", text(&output));
}

#[test]
fn a_statement_that_fails_leaves_nothing_behind() {
    for (second, line) in [
        (
            "CREATE TABLE a (x);\nCREATE TABLE b (x);\nCREATE TABEL c (x);\n",
            3,
        ),
        (
            "CREATE TABLE a (x);\nINSERT INTO messages (id) VALUES (1);\n",
            2,
        ),
        (
            "CREATE TABLE a (x);\nALTER TABLE messages ADD COLUMN k TEXT NOT NULL;\n",
            2,
        ),
    ] {
        let store = Store::with(second);
        let before = store.contents();
        let (report, exit) = store.up();
        assert_eq!(exit, 1, "{report:#}");
        let finding = &report["findings"][0];
        assert_eq!(
            (finding["code"].as_str().unwrap(), &finding["place"]["line"]),
            ("migration-failed", &line.into()),
            "{report:#}"
        );
        assert_eq!(store.contents(), before);
        let (status, exit) = report_of(&store, "status");
        assert_eq!(exit, 10, "{status:#}");
        store.file("2_change.sql", "CREATE TABLE a (x)");
        assert_eq!(store.up().1, 0, "once corrected it runs");
    }
}

fn report_of(store: &Store, sub: &str) -> (Value, i32) {
    report(&mut store.command(sub))
}

#[test]
fn plan_and_status_tell_and_change_nothing() {
    let store = Store::with("DELETE FROM messages WHERE id = 1;\nCREATE TABLE t (x);\n");
    let before = store.contents();
    let (plan, exit) = report_of(&store, "plan");
    assert_eq!(exit, 10, "{plan:#}");
    assert!(
        codes(&plan, "warning").contains(&"destructive-statement"),
        "{plan:#}"
    );
    let (status, exit) = report_of(&store, "status");
    let reasons: Vec<_> = status["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["reason"].as_str().unwrap())
        .collect();
    assert_eq!(exit, 10);
    assert!(
        reasons[0].starts_with("applied at ") && reasons[1] == "pending",
        "{status:#}"
    );
    assert_eq!(store.contents(), before);
    let fresh = tempfile::tempdir().unwrap();
    let path = fresh.path().join("none.db");
    let url = format!("sqlite:{}", path.display());
    let (_, exit) = report(
        chatctl()
            .args(["migrate", "plan", "--database-url", &url, "--dir"])
            .arg(store.dir()),
    );
    assert_eq!(exit, 10);
    assert!(!path.exists(), "plan made a database");
}

#[test]
fn a_changed_file_is_refused_and_line_ends_are_distinguished() {
    let store = Store::with("CREATE TABLE t (x);\n");
    assert_eq!(store.up().1, 0);
    store.file("2_change.sql", "CREATE TABLE t (x);\r\n");
    let output = store.command("up").output().unwrap();
    assert_eq!(output.status.code(), Some(4), "{:?}", text(&output));
    let (status, exit) = report_of(&store, "status");
    assert_eq!(exit, 1);
    assert!(
        status.to_string().contains("line ends changed"),
        "{status:#}"
    );
    let (plan, exit) = report_of(&store, "plan");
    assert_eq!(
        (exit, codes(&plan, "error")),
        (1, vec!["migration-changed"])
    );
    let repaired = store.command("repair").arg("--eol").output().unwrap();
    assert_eq!(text(&repaired).0, "2  accepted with other line ends\n");
    assert_eq!(store.up().1, 0, "and then there is nothing to do");
    store.file("2_change.sql", "CREATE TABLE t (x, y);\n");
    assert_eq!(
        text(&store.command("repair").arg("--eol").output().unwrap()).0,
        "nothing to do\n"
    );
    assert!(
        report_of(&store, "status")
            .0
            .to_string()
            .contains("\"changed"),
        "a real edit is told as one"
    );
    assert_eq!(store.command("up").output().unwrap().status.code(), Some(4));
}

/// A version that another tool left unfinished is settled by hand, either way.
#[test]
fn a_dirty_version_is_resolved() {
    for (how, exit_after) in [("applied", 0), ("retry", 10)] {
        let store = Store::with("CREATE TABLE t (x);\n");
        assert_eq!(store.up().1, 0);
        store.query("UPDATE _sqlx_migrations SET success = FALSE WHERE version = 2");
        assert_eq!(store.command("up").output().unwrap().status.code(), Some(4));
        assert!(
            report_of(&store, "status")
                .0
                .to_string()
                .contains("\"half applied")
        );
        let resolved = store
            .command("resolve")
            .args(["2", "--as", how])
            .output()
            .unwrap();
        assert_eq!(resolved.status.code(), Some(0), "{:?}", text(&resolved));
        assert_eq!(report_of(&store, "status").1, exit_after, "{how}");
        let again = store
            .command("resolve")
            .args(["2", "--as", how])
            .output()
            .unwrap();
        assert_eq!(again.status.code(), Some(4), "nothing is half applied");
    }
}

/// A database whose schema came about in another way is taken over without running its files.
#[test]
fn a_baseline_runs_nothing() {
    let store = Store::with("CREATE TABLE t (x);\n");
    store.query("DROP TABLE _sqlx_migrations");
    let told = store.command("baseline").arg("1").output().unwrap();
    assert_eq!(
        text(&told).0,
        "1  recorded in the history without being run\n"
    );
    assert_eq!(store.up().1, 0);
    assert_eq!(store.counts(), ["100", "1000", "100"]);
}

#[test]
fn a_new_migration_gets_the_next_version() {
    let store = Store::with("CREATE TABLE t (x);\n");
    let made = chatctl()
        .args(["migrate", "new", "Add a status!", "--dir"])
        .arg(store.dir())
        .output()
        .unwrap();
    assert!(
        text(&made).0.trim_end().ends_with("3_add_a_status.sql"),
        "{:?}",
        text(&made)
    );
    assert!(store.dir().join("3_add_a_status.sql").exists());
}

/// Eight replicas start at once, on a store that is there and on one that is not: one applies,
/// all are content, and what was applied is there afterwards.
#[test]
fn eight_at_once_apply_once() {
    for is_new in [false, true] {
        let store =
            Store::with("CREATE TABLE counter (n INTEGER); INSERT INTO counter VALUES (1);");
        if is_new {
            fs::remove_file(store.folder.path().join("chat.db")).unwrap();
        }
        let children: Vec<_> = (0..8)
            .map(|_| {
                let mut command = store.command("up");
                command
                    .args(["--format", "json"])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::null())
                    .spawn()
                    .unwrap()
            })
            .collect();
        let reports: Vec<Value> = children
            .into_iter()
            .map(|child| {
                let output = child.wait_with_output().unwrap();
                assert_eq!(
                    output.status.code(),
                    Some(0),
                    "{}",
                    String::from_utf8_lossy(&output.stdout)
                );
                serde_json::from_slice(&output.stdout).unwrap()
            })
            .collect();
        let applied = reports
            .iter()
            .filter(|report| report["verdict"] == "proven")
            .count();
        assert_eq!(
            applied, 1,
            "one applies, seven find nothing to do (new: {is_new})"
        );
        assert_eq!(
            store.query("SELECT CAST(count(*) AS TEXT) FROM counter"),
            ["1"],
            "new: {is_new}"
        );
        assert_eq!(store.counts(), ["100", "1000", "100"], "new: {is_new}");
    }
}

/// sqlx goes on from chatctl's history, and chatctl from sqlx's.
#[test]
fn sqlx_has_nothing_left_to_do_and_the_reverse() {
    let store = Store::with("CREATE TABLE t (x);\n");
    assert_eq!(store.up().1, 0);
    let sqlx_runs = |store: &Store| {
        let (url, dir) = (store.url(), store.dir());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        runtime.block_on(async move {
            let mut connection = SqliteConnection::connect(&url).await.unwrap();
            sqlx::migrate::Migrator::new(dir)
                .await
                .unwrap()
                .run(&mut connection)
                .await
        })
    };
    let before = store.contents();
    sqlx_runs(&store).unwrap();
    assert_eq!(store.contents(), before);
    store.file("3_more.sql", "CREATE TABLE u (x);\n");
    sqlx_runs(&store).unwrap();
    store.file("4_yet_more.sql", "CREATE TABLE v (x);\n");
    let (report, exit) = store.up();
    assert_eq!(exit, 0, "{report:#}");
    assert_eq!(
        report["cases"].as_array().unwrap().len(),
        1,
        "only the fourth was left: {report:#}"
    );
    sqlx_runs(&store).unwrap();
}

/// The second incident's code is found by the command, and its corrected form is not.
#[test]
fn guard_finds_the_incident() {
    let tree = |side: &str| root().join("fixtures/guard/incident").join(side);
    let (found, exit) = report(chatctl().args(["migrate", "guard"]).arg(tree("before")));
    assert_eq!(exit, 1);
    assert!(errors(&found).contains(&"models-not-imported"), "{found:#}");
    let (found, exit) = report(chatctl().args(["migrate", "guard"]).arg(tree("after")));
    assert_eq!(
        (exit, found["findings"].as_array().unwrap().len()),
        (0, 0),
        "{found:#}"
    );
}

/// A file that writes each row, where a trigger keeps the time of the change by this clock, three hours
/// ahead of UTC.
fn touched(clock: &str, file: &str) -> (Value, i32) {
    let store = Store::with(&format!(
        "ALTER TABLE messages ADD COLUMN updated_at TEXT; UPDATE messages SET updated_at = '2026-01-01 00:00:00';
         CREATE TRIGGER touch AFTER UPDATE OF body ON messages BEGIN
            UPDATE messages SET updated_at = {clock} WHERE id = new.id;
         END;"
    ));
    let (begun, exit) = store.up();
    assert_eq!(exit, 0, "{begun:#}");
    store.file("3_touch.sql", file);
    report(store.command("up").env("TZ", "LOCAL-3"))
}

#[test]
fn a_trigger_may_keep_the_time_of_a_change_by_the_clock_on_the_wall() {
    let backfill = "UPDATE messages SET body = body;";
    for clock in ["datetime('now', 'localtime')", "datetime('now')"] {
        let (report, exit) = touched(clock, backfill);
        assert_eq!(exit, 0, "{clock}: {report:#}");
    }
    let ahead = "DROP TRIGGER touch; UPDATE messages SET updated_at = datetime('now', '+3 hours');";
    for (clock, file) in [
        ("datetime('now')", ahead),
        (
            "datetime('now', 'localtime')",
            "UPDATE messages SET updated_at = datetime('now', '+1 hours');",
        ),
    ] {
        let (report, exit) = touched(clock, file);
        assert_eq!(
            (exit, errors(&report)),
            (1, vec!["values-changed"]),
            "{clock}: {report:#}"
        );
    }
}
