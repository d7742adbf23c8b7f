//! What is tried on databases of its own: `verify` and `drift` change nothing and leave nothing
//! behind, nor does the rehearsal before `up` on MySQL.

use crate::common::backend::Backend;
use crate::common::errors;
use crate::common::sites::{Site, TestBed, on_each_bed};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Child, Stdio};
use std::time::Duration;

on_each_bed! {
    verify_passes_on_good_folders
    verify_finds_what_would_be_lost
    verify_finds_what_was_changed_by_hand
    verify_needs_a_way_from_empty_to_head
    drift_is_reported_line_by_line
    up_leaves_no_copy_behind
    what_is_only_counted_is_not_called_proven
}

on_each_bed! { of_a_file Sqlite: drift_finds_what_a_table_lets_in the_folder_of_a_killed_run_is_removed_by_the_next }
on_each_bed! { on_postgres Postgres: an_interrupted_rehearsal_ends_at_once the_copy_of_a_killed_run_is_removed_by_the_next }
on_each_bed! { on_mysql Mysql: an_interrupted_rehearsal_ends_at_once the_copy_of_a_killed_run_is_removed_by_the_next
code_may_not_ask_for_the_database_by_name what_is_gone_only_in_the_database_is_not_proven
a_column_is_not_dropped_with_what_came_meanwhile }

pub const BEGIN: &str = "\
CREATE TABLE conversations (id BIGINT PRIMARY KEY, title VARCHAR(100) NOT NULL DEFAULT 'New chat');
CREATE TABLE messages (id BIGINT PRIMARY KEY, body VARCHAR(100), kind VARCHAR(10) DEFAULT 'text');
CREATE INDEX messages_by_body ON messages (body);
INSERT INTO messages (id, body) VALUES (1, 'a'), (2, 'b'), (3, NULL);
";
pub const GOOD: &str = "\
-- Two statements; this; is; none.
ALTER TABLE conversations ADD COLUMN archived BOOLEAN;

CREATE TABLE notes (
    id BIGINT PRIMARY KEY
);
";
pub const LOSS: &str = "DELETE FROM messages WHERE id = 2;\n";

/// What a finding of this code shows.
fn evidence(report: &Value, code: &str) -> String {
    let findings = report["findings"].as_array().unwrap();
    let found = findings.iter().find(|finding| finding["code"] == code);
    let found = found.unwrap_or_else(|| panic!("no {code} in {report:#}"));
    let facts = found["evidence"].as_array().unwrap().iter();
    let facts: Vec<_> = facts.map(|it| it["fact"].as_str().unwrap()).collect();
    facts.join("\n")
}

fn verify_passes_on_good_folders(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, GOOD]);
    for is_applied in [false, true] {
        let before = site.contents();
        let (verified, exit) = site.report(&["verify"]);
        assert_eq!(exit, 0, "{verified:#}");
        assert_eq!(
            crate::common::case(&verified, "second run")["verdict"],
            "held"
        );
        assert_eq!(
            crate::common::case(&verified, "empty to head")["verdict"],
            "held"
        );
        assert_eq!(site.contents(), before);
        site.left_nothing();
        if !is_applied {
            assert_eq!(site.status(), 10);
            site.up();
        }
    }
    let virgin = bed.site("virgin");
    virgin.file("1_begin.sql", BEGIN);
    assert_eq!(virgin.report(&["verify"]).1, 0);
    assert_eq!(virgin.tables(), [] as [&str; 0]);
    virgin.left_nothing();
}

fn verify_finds_what_would_be_lost(bed: &TestBed) {
    for (name, pending, code) in [
        ("loses", LOSS, "rows-lost"),
        (
            "fails",
            "CREATE TABLE more (id BIGINT);\nDROP TABLE nowhere;\n",
            "migration-failed",
        ),
    ] {
        let site = bed.at(name, &[BEGIN, pending]);
        let before = site.contents();
        let (verified, exit) = site.report(&["verify"]);
        assert_eq!((exit, errors(&verified)), (1, vec![code]), "{verified:#}");
        assert_eq!(verified["findings"][0]["place"]["file"], "2_file.sql");
        assert_eq!(site.contents(), before, "{name}");
        site.left_nothing();
    }
}

fn verify_finds_what_was_changed_by_hand(bed: &TestBed) {
    let site = bed.at("talk", &[BEGIN, GOOD]);
    site.texts("ALTER TABLE messages ADD COLUMN by_hand INTEGER");
    let before = site.contents();
    let (verified, exit) = site.report(&["verify"]);
    assert_eq!(
        (exit, errors(&verified)),
        (1, vec!["schema-drift"]),
        "{verified:#}"
    );
    assert!(
        evidence(&verified, "schema-drift").contains("by_hand"),
        "{verified:#}"
    );
    assert_eq!(
        crate::common::case(&verified, "empty to head")["verdict"],
        "violated"
    );
    assert_eq!(site.contents(), before);
    site.left_nothing();
}

/// What the live database got by hand once, no file makes.
fn verify_needs_a_way_from_empty_to_head(bed: &TestBed) {
    let site = bed.at(
        "talk",
        &[BEGIN, "ALTER TABLE by_hand ADD COLUMN more INTEGER;\n"],
    );
    site.texts("CREATE TABLE by_hand (id BIGINT PRIMARY KEY)");
    let before = site.contents();
    let told = site.refused(&["verify"]);
    assert!(
        told.contains("an empty database can't be migrated to the newest version")
            && told.contains("2_file.sql"),
        "{told}"
    );
    assert_eq!(site.contents(), before);
    site.left_nothing();
}

fn drift_is_reported_line_by_line(bed: &TestBed) {
    let site = bed.at("clean", &[BEGIN, GOOD]);
    assert_eq!(site.report(&["drift"]).1, 0, "a pending file is no drift");
    site.up();
    let (drift, exit) = site.report(&["drift"]);
    assert_eq!(
        (exit, drift["cases"][0]["verdict"].as_str()),
        (0, Some("held")),
        "{drift:#}"
    );
    site.left_nothing();
    let changed_default = match bed.backend {
        // SQLite has no statement for it.
        Backend::Sqlite => {
            "PRAGMA writable_schema = ON; UPDATE sqlite_master SET sql = replace(sql, '''text''', '''image''') WHERE name = 'messages'"
        }
        _ => "ALTER TABLE messages ALTER COLUMN kind SET DEFAULT 'image'",
    };
    let dropped_index = match bed.backend {
        Backend::Mysql => "DROP INDEX messages_by_body ON messages",
        _ => "DROP INDEX messages_by_body",
    };
    // What loses rows without a change of a table.
    let loses: (&str, &[&str]) = match bed.backend {
        Backend::Sqlite => (
            "CREATE TRIGGER lost AFTER INSERT ON messages BEGIN DELETE FROM messages; END",
            &["extra: ", "lost"],
        ),
        Backend::Postgres => (
            "CREATE RULE lost AS ON INSERT TO messages DO INSTEAD NOTHING; \
             ALTER TABLE messages ENABLE ROW LEVEL SECURITY; ALTER TABLE messages DISABLE TRIGGER ALL",
            &["RULE lost", "row level security"],
        ),
        Backend::Mysql => (
            "CREATE PROCEDURE lost(a INT) DELETE FROM messages; \
             CREATE EVENT gone ON SCHEDULE EVERY 1 DAY DO DELETE FROM messages",
            &["procedure lost", "event gone: every 1 DAY"],
        ),
    };
    for (number, (by_hand, told)) in [
        loses,
        (
            "ALTER TABLE messages ADD COLUMN extra_one INTEGER",
            &["extra: ", "extra_one"] as &[&str],
        ),
        (dropped_index, &["missing: ", "messages_by_body"]),
        (changed_default, &["missing: ", "extra: ", "text", "image"]),
        ("CREATE TABLE stray (id BIGINT)", &["extra: ", "stray"]),
        ("DROP TABLE notes", &["missing: ", "notes"]),
    ]
    .into_iter()
    .enumerate()
    {
        let site = bed.at(&format!("by_hand_{number}"), &[BEGIN, GOOD]);
        site.up();
        site.texts(by_hand);
        let before = site.contents();
        let (drift, exit) = site.report(&["drift"]);
        assert_eq!(
            (exit, errors(&drift)),
            (1, vec!["schema-drift"]),
            "{by_hand}: {drift:#}"
        );
        let evidence = evidence(&drift, "schema-drift");
        for part in told {
            assert!(
                evidence.contains(part),
                "{by_hand} without {part}: {evidence}"
            );
        }
        assert!(!evidence.contains("conversations"), "{by_hand}: {evidence}");
        assert_eq!(site.contents(), before);
        site.left_nothing();
    }
}

/// Constraints decide which rows a table keeps; how they are written does not.
fn drift_finds_what_a_table_lets_in(bed: &TestBed) {
    const MADE: &str = "\
CREATE TABLE messages (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    client_id TEXT UNIQUE,
    role TEXT CHECK (role IN ('user', 'ai')),
    body TEXT COLLATE NOCASE,
    size INTEGER GENERATED ALWAYS AS (length(body)) VIRTUAL,
    CONSTRAINT once UNIQUE (role, body)
);
CREATE TABLE notes (id TEXT PRIMARY KEY, body TEXT) STRICT, WITHOUT ROWID;
";
    const SAME: &str = "create table messages_2 (role text constraint known check(\"role\" in('user','ai')), \
        [body] text collate \"nocase\", client_id text, -- once\n id integer primary key autoincrement, \
        size integer as (LENGTH(`body`)), unique (role, body), unique (client_id)); \
        DROP TABLE messages; ALTER TABLE messages_2 RENAME TO messages";
    let site = |name: &str, by_hand: &str| {
        let site = bed.at(name, &[MADE]);
        site.up();
        site.texts(by_hand);
        let (drift, exit) = site.report(&["drift"]);
        (exit, drift)
    };
    let (exit, drift) = site("same", SAME);
    assert_eq!(exit, 0, "{drift:#}");
    let rebuilt = |table: &str, from: &str, to: &str| {
        let made = MADE.replace(from, to);
        assert_ne!(made, MADE);
        let made = made.split_inclusive(";\n");
        let head = format!("CREATE TABLE {table} ");
        let made = made.filter(|it| it.starts_with(&head)).collect::<String>();
        format!("DROP TABLE {table}; {made}")
    };
    for (number, (table, from, to, told)) in [
        ("messages", " AUTOINCREMENT", "", "autoincrement"),
        ("messages", "TEXT UNIQUE", "TEXT", "unique (client_id)"),
        (
            "messages",
            "TEXT UNIQUE",
            "TEXT UNIQUE ON CONFLICT REPLACE",
            "unique (client_id) on conflict replace",
        ),
        (
            "messages",
            "'user', 'ai'",
            "'user'",
            "check (role in ( 'user' ))",
        ),
        ("messages", " COLLATE NOCASE", "", "body collate nocase"),
        ("messages", "(length(body))", "(id)", "size as (id)"),
        (
            "messages",
            "UNIQUE (role, body)",
            "UNIQUE (role)",
            "unique (role)",
        ),
        ("notes", " STRICT,", "", "strict without rowid"),
        ("notes", ", WITHOUT ROWID", "", "strict"),
    ]
    .into_iter()
    .enumerate()
    {
        let (exit, drift) = site(&format!("lets_in_{number}"), &rebuilt(table, from, to));
        assert_eq!((exit, errors(&drift)), (1, vec!["schema-drift"]), "{to}");
        let evidence = evidence(&drift, "schema-drift");
        assert!(evidence.contains(told), "{told}: {evidence}");
    }
}

fn up_leaves_no_copy_behind(bed: &TestBed) {
    for (name, pending, expected) in [
        ("good", GOOD, 0),
        ("loses", LOSS, 1),
        ("fails", "DROP TABLE nowhere;\n", 1),
    ] {
        let site = bed.at(name, &[BEGIN, pending]);
        let (report, exit) = site.report(&["up"]);
        assert_eq!(exit, expected, "{name}: {report:#}");
        site.left_nothing();
        let left = site
            .tables()
            .into_iter()
            .find(|table| table.starts_with("chatctl_"));
        assert_eq!(left, None, "{name}");
    }
}

/// The copy has another name, so that code would find nothing there.
fn code_may_not_ask_for_the_database_by_name(bed: &TestBed) {
    let drops = |schema: &str| {
        format!(
            "SET @q = (SELECT IF(count(*) > 0, 'ALTER TABLE messages DROP COLUMN note', 'SELECT 1') FROM information_schema.columns \
             WHERE table_schema = {schema} AND table_name = 'messages' AND column_name = 'note');\nPREPARE s FROM @q;\nEXECUTE s;\n"
        )
    };
    let begin = format!("{BEGIN}ALTER TABLE messages ADD note TEXT;\n");
    let site = bed.at("named", &[&begin, GOOD]);
    let database = site.texts("SELECT database()").concat();
    site.file("2_file.sql", &drops(&format!("'{database}'")));
    let told = site.refused(&["up"]);
    assert!(told.contains("2_file.sql:1 names the database"), "{told}");
    assert!(told.contains("write DATABASE()"), "{told}");
    site.file("2_file.sql", &drops("DATABASE()"));
    let (report, exit) = site.report(&["up"]);
    assert_eq!(exit, 0, "{report:#}");
    let left = "SELECT column_name FROM information_schema.columns WHERE table_schema = database() AND column_name = 'note'";
    assert!(site.texts(left).is_empty());
}

/// Code that asks where it runs.
const IN_THE_DATABASE: &str = "DATABASE() NOT LIKE 'chatctl\\_scratch%'";

fn what_is_gone_only_in_the_database_is_not_proven(bed: &TestBed) {
    for (condition, exit) in [(IN_THE_DATABASE, 1), ("DATABASE() IS NULL", 0)] {
        let name = format!("gone{exit}");
        let drops = format!(
            "BEGIN NOT ATOMIC IF {condition} THEN DROP TABLE conversations; END IF; END;\n"
        );
        let site = bed.at(&name, &[BEGIN, &drops]);
        let (report, code) = site.report(&["up"]);
        assert_eq!(code, exit, "{report:#}");
        if exit == 1 {
            let told = evidence(&report, "migration-failed");
            assert!(told.contains("the table `conversations` is gone"), "{told}");
            assert!(
                report.to_string().contains("chatctl migrate restore"),
                "{report:#}"
            );
        }
    }
}

fn a_column_is_not_dropped_with_what_came_meanwhile(bed: &TestBed) {
    for (condition, exit) in [(IN_THE_DATABASE, 1), ("DATABASE() IS NULL", 0)] {
        let begin = format!("{BEGIN}ALTER TABLE messages ADD note TEXT;\n");
        let change = format!(
            "BEGIN NOT ATOMIC IF {condition} THEN UPDATE messages SET note = 'precious' WHERE id = 1; END IF; END;\n\
             ALTER TABLE messages DROP COLUMN note;\n"
        );
        let site = bed.at(&format!("late{exit}"), &[&begin, &change]);
        let (report, code) = site.report(&["up"]);
        assert_eq!(code, exit, "{report:#}");
        if exit == 1 {
            assert_eq!(
                site.texts("SELECT note FROM messages WHERE id = 1"),
                ["precious"]
            );
            assert!(report.to_string().contains("column-lost"), "{report:#}");
        }
    }
}

/// What the copy has not may be changed by a foreign key, by a trigger and by code of any kind.
fn outside_of_a_sample(bed: &TestBed) {
    let parts = "CREATE TABLE parts (id INT PRIMARY KEY, of_note BIGINT, FOREIGN KEY (of_note) REFERENCES notes (id) ON DELETE CASCADE);
CREATE TABLE labels (id INT PRIMARY KEY);
CREATE TABLE labelled (id INT PRIMARY KEY, label INT, FOREIGN KEY (label) REFERENCES labels (id) ON UPDATE CASCADE);
";
    let trigger = "CREATE TRIGGER noted AFTER INSERT ON notes FOR EACH ROW UPDATE messages SET body = 'c' WHERE id = 20000;\n";
    let begin = format!("{BEGIN}{GOOD}{parts}INSERT INTO notes VALUES (1);\n");
    let cases = [
        (
            "code",
            "EXECUTE IMMEDIATE concat('UPDATE messages ', 'SET body = 1 WHERE id = 20000');\n",
            "2_file.sql:1 runs code that may change",
        ),
        (
            "cascade",
            "-- chatctl: allow-loss notes reason=\"old\"\nDELETE FROM notes WHERE id = 20000;\n",
            "2_file.sql:2 changes, by a foreign key, `parts`",
        ),
        (
            "trigger",
            "INSERT INTO notes VALUES (2);\n",
            "2_file.sql:1 runs code that may change",
        ),
        (
            "moved",
            "-- chatctl: allow-loss labels reason=\"numbers\"\nUPDATE labels SET id = id + 1;\n",
            "2_file.sql:2 changes, by a foreign key, `labelled`",
        ),
        (
            "made_and_dropped",
            "CREATE TRIGGER once AFTER INSERT ON notes FOR EACH ROW UPDATE messages SET body = 'c' WHERE id = 20000;
INSERT INTO notes VALUES (2);
DROP TRIGGER once;
",
            "2_file.sql:2 runs code that may change",
        ),
        (
            "key_made_and_dropped",
            "CREATE TABLE extra (id BIGINT PRIMARY KEY);
INSERT INTO extra SELECT id FROM messages;
ALTER TABLE messages ADD CONSTRAINT once FOREIGN KEY (id) REFERENCES extra (id) ON DELETE CASCADE;
DELETE FROM extra WHERE id = 20000;
ALTER TABLE messages DROP FOREIGN KEY once;
",
            "2_file.sql:4 changes, by a foreign key, `messages`",
        ),
        (
            "renamed",
            "RENAME TABLE messages TO old;\nUPDATE old SET body = 'c' WHERE id = 20000;\n",
            "2_file.sql:2 changes `messages`",
        ),
        (
            "rebuilt",
            "CREATE TABLE new LIKE messages;
INSERT INTO new SELECT * FROM messages WHERE id < 20000;
RENAME TABLE messages TO old, new TO messages;
DROP TABLE old;
",
            "2_file.sql:4 changes `messages`",
        ),
        (
            "column_renamed",
            "ALTER TABLE messages RENAME COLUMN body TO content;\nUPDATE messages SET content = 'c' WHERE id = 20000;\n",
            "2_file.sql:2 changes `messages`",
        ),
    ];
    for (name, change, expected) in cases {
        let begin = if name == "trigger" {
            format!("{begin}{trigger}")
        } else {
            begin.clone()
        };
        let site = bed.at(name, &[&begin, change]);
        let told = site.refused(&["up", "--guard", "counts"]);
        assert!(told.contains(expected), "{told}");
    }
    // A row that the copy has not got may be in the database.
    let ids: Vec<_> = (30_000..50_000).map(|id| format!("({id})")).collect();
    let asked = format!(
        "CREATE TABLE asked (id BIGINT PRIMARY KEY, of_message BIGINT);\n\
        INSERT INTO messages (id) VALUES {};\nINSERT INTO asked VALUES (1, 40000);\n",
        ids.join(", ")
    );
    let key = "ALTER TABLE asked ADD FOREIGN KEY (of_message) REFERENCES messages (id);\n";
    let site = bed.at("key", &[&begin, &asked, key]);
    let (report, exit) = site.report(&["up", "--guard", "counts"]);
    assert_eq!(exit, 1, "{report:#}");
    assert!(report.to_string().contains("--guard exact"), "{report:#}");
    site.up();
    let plain = "INSERT INTO notes VALUES (2);\nINSERT INTO labels VALUES (7);\nRENAME TABLE notes TO memos;\nOPTIMIZE TABLE messages;\nALTER TABLE messages ADD COLUMN more INT;\n\
        UPDATE messages SET more = char_length(body);\nUPDATE messages SET body = '' WHERE body IS NULL;\n";
    let site = bed.at("plain", &[&begin, plain]);
    let (report, exit) = site.report(&["up", "--guard", "counts"]);
    assert_eq!(exit, 0, "{report:#}");
}

/// Counts see rows go, but no value change, and the report claims no more than that. Where the engine
/// says which tables were written, one that was has to be acknowledged.
fn what_is_only_counted_is_not_called_proven(bed: &TestBed) {
    let change = "UPDATE messages SET body = 'c' WHERE id = 1;\n";
    let acknowledged = format!("-- chatctl: allow-loss messages.body reason=\"seen\"\n{change}");
    let site = bed.at("unseen", &[BEGIN, change]);
    match bed.backend {
        // It is rehearsed with a sample only.
        Backend::Mysql => {
            let told = site.refused(&["up", "--guard", "counts"]);
            let changes =
                "2_file.sql:1 changes `messages`, of which at most 10000 rows were rehearsed";
            assert!(told.contains(changes), "{told}");
            let way_out = "`chatctl migrate up --guard exact`; or write into the migration";
            assert!(told.contains(way_out), "{told}");
            outside_of_a_sample(bed);
        }
        Backend::Postgres | Backend::Sqlite => {
            let (report, code) = site.report(&["up", "--guard", "counts"]);
            assert_eq!((errors(&report), code), (vec!["values-changed"], 1));
        }
    }
    let counted = match bed.backend {
        Backend::Mysql => acknowledged,
        Backend::Postgres | Backend::Sqlite => acknowledged.replace("messages.body", "messages"),
    };
    for (name, guard, verdict, exit, change) in [
        ("exact", "exact", "violated", 1, change),
        ("counted", "counts", "held", 0, &counted),
    ] {
        let site = bed.at(name, &[BEGIN, change]);
        let (report, code) = site.report(&["up", "--guard", guard]);
        assert_eq!(
            (report["verdict"].as_str(), code),
            (Some(verdict), exit),
            "{report:#}"
        );
        let reason = report["cases"][0]["reason"].as_str().unwrap();
        let says = reason.contains("only rows and values were counted");
        assert_eq!(says, guard == "counts", "{reason}");
        let sampled = reason.contains("only a sample of the rows was rehearsed");
        let rehearses = guard == "counts" && bed.backend == Backend::Mysql;
        assert_eq!(sampled, rehearses, "{reason}");
    }
    let site = bed.at("deleted", &[BEGIN, LOSS]);
    let (report, code) = site.report(&["up", "--guard", "counts"]);
    assert_eq!(
        (errors(&report), code),
        (vec!["rows-lost"], 1),
        "{report:#}"
    );
}

/// A statement that takes a minute.
fn sleep(backend: Backend) -> &'static str {
    match backend {
        Backend::Mysql => "DO sleep(60);\n",
        _ => "SELECT pg_sleep(60);\n",
    }
}

/// Runs chatctl until that statement runs.
fn until_asleep(site: &Site, sub: &str) -> Child {
    let sleeping = match site.backend {
        Backend::Mysql => {
            "SELECT info FROM information_schema.processlist WHERE info = 'DO sleep(60)'"
        }
        _ => "SELECT query FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(60)'",
    };
    let mut running = site
        .command(&[sub])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let begun = (0..1000).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        !site.texts(sleeping).is_empty()
    });
    if !begun {
        running.kill().unwrap();
        running.wait().unwrap();
        panic!("{sub} did not begin");
    }
    running
}

/// One that is in use stays: the next run of another database leaves it alone.
fn the_copy_of_a_killed_run_is_removed_by_the_next(bed: &TestBed) {
    let (long, other) = (
        bed.at("long", &[BEGIN, sleep(bed.backend)]),
        bed.at("other", &[BEGIN, GOOD]),
    );
    let mut running = until_asleep(&long, "verify");
    let copies = long.scratch();
    assert!(!copies.is_empty());
    other.passed(&["verify"]);
    let left = long.scratch();
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(left, copies, "it was in use");
    // The server notices a moment later that nobody is there any more.
    let swept = (0..100).any(|_| {
        other.passed(&["verify"]);
        other.scratch().is_empty()
    });
    assert!(swept, "{:?}", other.scratch());
}

/// Whoever asks it to stop does not wait for a long statement, and finds nothing left behind.
fn an_interrupted_rehearsal_ends_at_once(bed: &TestBed) {
    for (name, sub, signal) in [
        ("of_verify", "verify", Signal::SIGQUIT),
        ("of_up", "up", Signal::SIGINT),
    ] {
        let site = bed.at(name, &[BEGIN, sleep(bed.backend)]);
        let before = site.contents();
        let mut running = until_asleep(&site, sub);
        let id = Pid::from_raw(i32::try_from(running.id()).unwrap());
        kill(id, signal).unwrap();
        let ended = (0..1000).find_map(|_| {
            std::thread::sleep(Duration::from_millis(20));
            running.try_wait().unwrap()
        });
        if ended.is_none() {
            running.kill().unwrap();
            running.wait().unwrap();
        }
        assert_eq!(
            ended.map(|status| status.code()),
            Some(Some(130)),
            "{sub} runs on"
        );
        assert_eq!(site.contents(), before, "{sub}");
        site.left_nothing();
    }
}

/// Nobody else can look into it meanwhile.
fn the_folder_of_a_killed_run_is_removed_by_the_next(bed: &TestBed) {
    let endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) \
                   INSERT INTO notes SELECT count(*) FROM n;\n";
    let site = bed.at("killed", &[BEGIN, GOOD]);
    site.up();
    site.file("3_file.sql", endless);
    let mut command = site.command(&["verify"]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let mut running = command.spawn().unwrap();
    let folder = (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        let mut entries = std::fs::read_dir(site.tmp()).unwrap();
        entries.next().map(|entry| entry.unwrap().path())
    });
    running.kill().unwrap();
    running.wait().unwrap();
    let folder = folder.expect("it makes a copy");
    let mode = std::fs::metadata(&folder).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{}", folder.display());
    // Whatever the next run does.
    site.passed_with(&["status"], 10);
    site.left_nothing();
}
