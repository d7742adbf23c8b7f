//! Rows that users write on MariaDB between the rehearsal on a copy and the statement in the
//! database.

use crate::common::errors;
use crate::common::faults::holder::runtime;
use crate::common::faults::store::until;
use crate::common::sites::{Site, TestBed, on_each_bed};
use sqlx::{Connection as _, Executor as _, MySqlConnection};

on_each_bed! { on_mysql Mysql:
    what_comes_meanwhile_stays what_is_meant_to_go_goes what_comes_in_the_very_moment_is_reported
    what_is_unlike_the_rehearsal_is_not_applied an_update_of_no_row_waits_for_nobody
}

const BEGIN: &str = "\
CREATE TABLE conversations (id INT PRIMARY KEY, title VARCHAR(100));
CREATE TABLE messages (id INT PRIMARY KEY, of_chat INT, body VARCHAR(100), kind VARCHAR(10) DEFAULT 'text', note TEXT, cost DECIMAL(10,4),
    CONSTRAINT in_chat FOREIGN KEY (of_chat) REFERENCES conversations (id) ON DELETE CASCADE);
CREATE TABLE drafts (id INT PRIMARY KEY);
CREATE TABLE events (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN (20));
CREATE TABLE people (id INT PRIMARY KEY);
CREATE TABLE reviews (id INT PRIMARY KEY, author_id INT, editor_id INT,
    FOREIGN KEY (author_id) REFERENCES people (id) ON DELETE SET NULL,
    FOREIGN KEY (editor_id) REFERENCES people (id) ON DELETE SET NULL);
CREATE TABLE replies (id INT PRIMARY KEY, parent_id INT, FOREIGN KEY (parent_id) REFERENCES replies (id) ON DELETE CASCADE);
CREATE VIEW shown AS SELECT * FROM messages;
INSERT INTO replies VALUES (1, NULL);
INSERT INTO people VALUES (1), (2);
INSERT INTO reviews VALUES (1, 1, NULL), (2, 1, 2);
INSERT INTO conversations VALUES (1, 'a'), (2, 'b');
INSERT INTO messages (id, of_chat, body) VALUES (1, 2, 'a'), (2, 2, 'b'), (3, 2, NULL);
INSERT INTO events VALUES (11);
";

const LATE: &str = "INSERT INTO messages (id, of_chat, body, kind, note) VALUES (9, 1, 'a long text', 'a kind', 'precious')";

/// A statement that does something in the database, and not on the copy; or nowhere.
fn meanwhile(statement: &str, comes: bool) -> String {
    let condition = if comes {
        "DATABASE() NOT LIKE 'chatctl\\_scratch%'"
    } else {
        "DATABASE() IS NULL"
    };
    format!("BEGIN NOT ATOMIC IF {condition} THEN {statement}; END IF; END;\n")
}

/// The database to which the first file is applied, for each case to copy.
fn begun(bed: &TestBed) -> Site {
    let site = bed.site("begun");
    site.file("1_file.sql", BEGIN);
    site.up();
    site
}

fn what_comes_meanwhile_stays(bed: &TestBed) {
    let begun = begun(bed);
    for (name, first, comes, statement, look) in [
        (
            "column",
            "",
            LATE,
            "ALTER TABLE messages DROP COLUMN note",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "partition",
            "",
            "INSERT INTO events VALUES (1)",
            "ALTER TABLE events DROP PARTITION p1",
            "SELECT 'precious' FROM events WHERE id = 1",
        ),
        (
            "emptied",
            "",
            "INSERT INTO events VALUES (1)",
            "ALTER TABLE events TRUNCATE PARTITION p1",
            "SELECT 'precious' FROM events WHERE id = 1",
        ),
        (
            "exchanged",
            "CREATE TABLE purged LIKE events;\nALTER TABLE purged REMOVE PARTITIONING;\n",
            "INSERT INTO events VALUES (1)",
            "ALTER TABLE events EXCHANGE PARTITION p1 WITH TABLE purged",
            "SELECT 'precious' FROM events WHERE id = 1",
        ),
        (
            "cut",
            "SET sql_mode = '';\n",
            LATE,
            "ALTER TABLE messages MODIFY body VARCHAR(5)",
            "SELECT IF(body = 'a long text', 'precious', body) FROM messages WHERE id = 9",
        ),
        (
            "word",
            "SET sql_mode = '';\n",
            LATE,
            "ALTER TABLE messages MODIFY kind ENUM('text', 'image')",
            "SELECT IF(kind = 'a kind', 'precious', kind) FROM messages WHERE id = 9",
        ),
        (
            "replaced",
            "",
            "INSERT INTO drafts VALUES (1)",
            "CREATE OR REPLACE TABLE drafts (id BIGINT PRIMARY KEY)",
            "SELECT 'precious' FROM drafts",
        ),
        (
            "put_together",
            "",
            "INSERT INTO drafts VALUES (1)",
            "EXECUTE IMMEDIATE 'DROP TABLE drafts'",
            "SELECT 'precious' FROM drafts",
        ),
        (
            "prepared",
            "SET @q = 'ALTER TABLE messages DROP COLUMN note';\nPREPARE s FROM @q;\n",
            LATE,
            "EXECUTE s",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "put_aside",
            "CREATE TABLE n LIKE messages;\nINSERT INTO n SELECT * FROM messages;\n",
            LATE,
            "RENAME TABLE messages TO messages_old, n TO messages",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "cascade",
            "-- chatctl: allow-loss conversations rows<=1 reason=\"it is empty\"\n",
            LATE,
            "DELETE FROM conversations WHERE id = 1",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "column_again",
            "",
            LATE,
            "ALTER TABLE messages DROP COLUMN note, ADD COLUMN note JSON",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "with_its_own",
            "CREATE TABLE own_one (id INT);\n",
            "INSERT INTO drafts VALUES (1)",
            "DROP TABLE drafts, own_one",
            "SELECT 'precious' FROM drafts",
        ),
        (
            "cut_with_key",
            "SET sql_mode = '';\n",
            LATE,
            "ALTER TABLE messages MODIFY body VARCHAR(5), ADD FOREIGN KEY (of_chat) REFERENCES conversations (id)",
            "SELECT IF(body = 'a long text', 'precious', body) FROM messages WHERE id = 9",
        ),
        (
            "set_null",
            "-- chatctl: allow-loss people rows<=1 reason=\"left\"\n-- chatctl: allow-loss reviews.author_id reason=\"left\"\n",
            "UPDATE reviews SET editor_id = 1 WHERE id = 1",
            "DELETE FROM people WHERE id = 1",
            "SELECT IF(editor_id = 1, 'precious', 'gone') FROM reviews WHERE id = 1",
        ),
        (
            "column_under_locks",
            "",
            LATE,
            "LOCK TABLES messages WRITE;\nALTER TABLE messages DROP COLUMN note;\nUNLOCK TABLES",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "copied_before_locks",
            "CREATE TABLE n LIKE messages;\nINSERT INTO n SELECT * FROM messages;\n",
            LATE,
            "LOCK TABLES messages WRITE, n WRITE;\nDROP TABLE messages;\nALTER TABLE n RENAME TO messages;\nUNLOCK TABLES",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "changed_before_locks",
            "CREATE TABLE n LIKE messages;\nINSERT INTO n SELECT * FROM messages;\n",
            "UPDATE messages SET note = 'precious' WHERE id = 1",
            "LOCK TABLES messages WRITE, n WRITE;\nINSERT INTO n SELECT * FROM messages WHERE id > 3;\nDROP TABLE messages;\n\
             ALTER TABLE n RENAME TO messages;\nUNLOCK TABLES",
            "SELECT note FROM messages WHERE id = 1",
        ),
        (
            "changed_before_locks_without_a_key",
            "CREATE TABLE n AS SELECT * FROM messages;\n",
            "UPDATE messages SET note = 'precious' WHERE id = 1",
            "LOCK TABLES messages WRITE, n WRITE;\nDROP TABLE messages;\nALTER TABLE n RENAME TO messages;\nUNLOCK TABLES",
            "SELECT note FROM messages WHERE id = 1",
        ),
        (
            "cascade_under_locks",
            "-- chatctl: allow-loss conversations rows<=1 reason=\"it is empty\"\n",
            LATE,
            "LOCK TABLES conversations WRITE, messages WRITE;\nDELETE FROM conversations WHERE id = 1;\nUNLOCK TABLES",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "twice",
            "",
            "INSERT INTO messages (id, of_chat, body, note) VALUES (9, 1, 'a', 'precious')",
            "ALTER IGNORE TABLE messages ADD UNIQUE (body)",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "put_together_rows",
            "",
            LATE,
            "EXECUTE IMMEDIATE 'DELETE FROM messages WHERE of_chat = ?' USING 1",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "prepared_before",
            "SET @q = 'DROP TABLE drafts';\nPREPARE s FROM @q;\nSET @q = 'SELECT 1';\n",
            "INSERT INTO drafts VALUES (1)",
            "EXECUTE s",
            "SELECT 'precious' FROM drafts",
        ),
        (
            "others_put_again",
            "-- chatctl: allow-loss conversations rows<=1 reason=\"it is empty\"\n",
            LATE,
            "DELETE FROM conversations WHERE id = 1;\nINSERT INTO messages (id, of_chat, body) VALUES (8, 2, 'moved')",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "with_its_own_rows",
            "-- chatctl: allow-loss conversations rows<=1 reason=\"it is empty\"\n\
             INSERT INTO messages (id, of_chat, body) VALUES (7, 2, 'own'), (8, 2, 'own');\n",
            LATE,
            "DELETE FROM conversations WHERE id = 1",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "replies",
            "-- chatctl: allow-loss replies rows<=1 reason=\"spam\"\n",
            "INSERT INTO replies VALUES (9, 1)",
            "DELETE FROM replies WHERE id = 1",
            "SELECT 'precious' FROM replies WHERE id = 9",
        ),
        (
            "with_ddl",
            "-- chatctl: allow-loss events rows<=1 reason=\"old\"\n",
            "INSERT INTO events VALUES (1)",
            "DELETE FROM events WHERE id = 11;\nALTER TABLE events DROP PARTITION p1",
            "SELECT 'precious' FROM events WHERE id = 1",
        ),
        (
            "one_for_another",
            "",
            "UPDATE messages SET id = 9, body = 'a', note = 'precious' WHERE id = 3",
            "ALTER IGNORE TABLE messages ADD UNIQUE (body)",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "one_by_one",
            "-- chatctl: allow-loss messages rows<=1 reason=\"one may go\"\n",
            "INSERT INTO messages (id, of_chat, body, note) VALUES (8, 2, 'a', ''), (9, 2, 'b', 'precious')",
            "DELETE FROM messages WHERE id = 8;\nDELETE FROM messages WHERE id = 9",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "overwritten",
            "",
            LATE,
            "UPDATE messages SET body = LEFT(body, 5)",
            "SELECT IF(body = 'a long text', 'precious', body) FROM messages WHERE id = 9",
        ),
        (
            "grown",
            "",
            "UPDATE messages SET body = 'a long text', note = 'precious' WHERE id = 1",
            "UPDATE messages SET body = LEFT(body, 5)",
            "SELECT IF(body = 'a long text', note, body) FROM messages WHERE id = 1",
        ),
        (
            "met_since",
            "",
            "UPDATE messages SET body = 'function', note = 'precious' WHERE id = 1",
            "UPDATE messages SET note = 'seed' WHERE body = 'function'",
            "SELECT note FROM messages WHERE id = 1",
        ),
        (
            "met_since_under_another_name",
            "ALTER TABLE messages CHANGE note remark TEXT;\n",
            "UPDATE messages SET body = 'function', remark = 'precious' WHERE id = 1",
            "UPDATE messages SET remark = 'seed' WHERE body = 'function'",
            "SELECT remark FROM messages WHERE id = 1",
        ),
        (
            "grown_in_a_transaction",
            "",
            "UPDATE messages SET body = 'a long text', note = 'precious' WHERE id = 1",
            "START TRANSACTION;\nSELECT count(*) FROM messages;\nUPDATE messages SET body = LEFT(body, 5);\nCOMMIT",
            "SELECT IF(body = 'a long text', note, body) FROM messages WHERE id = 1",
        ),
        (
            "upserted",
            "",
            LATE,
            "INSERT INTO messages (id, body) VALUES (9, 'seed') ON DUPLICATE KEY UPDATE note = 'seed'",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "shown",
            "-- chatctl: allow-loss messages rows<=1 reason=\"empty\"\n",
            LATE,
            "DELETE FROM messages WHERE body IS NULL OR of_chat = 1 RETURNING id",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "joined",
            "-- chatctl: allow-loss messages.body rows<=1 reason=\"one of them\"\n",
            "INSERT INTO messages (id, of_chat, body, note) VALUES (9, 2, 'c', 'precious')",
            "UPDATE conversations AS c JOIN messages AS m ON m.of_chat = c.id SET m.body = NULL WHERE m.id IN (1, 9)",
            "SELECT IF(body = 'c', note, 'gone') FROM messages WHERE id = 9",
        ),
        (
            "by_a_view",
            "-- chatctl: allow-loss messages rows<=1 reason=\"one of them\"\n",
            LATE,
            "DELETE FROM shown WHERE id IN (1, 9)",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "filled_again",
            "CREATE TABLE tmp AS SELECT * FROM events;\n",
            "UPDATE events SET id = 12",
            "TRUNCATE events;\nINSERT INTO events SELECT * FROM tmp",
            "SELECT 'precious' FROM events WHERE id = 12",
        ),
        (
            "rounded",
            "",
            "INSERT INTO messages (id, cost) VALUES (9, 0.0012)",
            "ALTER TABLE messages MODIFY cost DECIMAL(10,2)",
            "SELECT IF(cost = 0.0012, 'precious', cost) FROM messages WHERE id = 9",
        ),
        (
            "put_aside_with_more",
            "CREATE TABLE n LIKE messages;\nINSERT INTO n SELECT * FROM messages;\n",
            LATE,
            "ALTER TABLE messages COMMENT = 'old', RENAME TO messages_old;\nALTER TABLE n RENAME TO messages",
            "SELECT note FROM messages WHERE id = 9",
        ),
    ] {
        for is_late in [true, false] {
            let file = format!("{first}{}{statement};\n", meanwhile(comes, is_late));
            let site = bed.copy(&begun, &format!("{name}_{is_late}"));
            site.file("2_file.sql", &file);
            let (report, exit) = site.report(&["up"]);
            assert_eq!(exit, i32::from(is_late), "{name}: {report:#}");
            if is_late {
                assert_eq!(site.texts(look), ["precious"], "{name}: {report:#}");
                assert_eq!(errors(&report).len(), 1, "{name}: {report:#}");
            }
            if is_late && name == "copied_before_locks" {
                says_how_to_start_over(&site);
            }
        }
    }
}

/// The copy lacks what came, and so it does in the next run: both say what to do then.
fn says_how_to_start_over(site: &Site) {
    let (again, exit) = site.report(&["up"]);
    assert_eq!(exit, 1, "{again:#}");
    let told = again.to_string();
    let way_out = "chatctl migrate resolve 2 --as retry --force";
    assert!(told.contains(way_out), "{again:#}");
    assert!(
        told.contains("statements of the file are applied and stay"),
        "{again:#}"
    );
}

/// What comes meanwhile is not in the way of what any number of rows may be lost by, or of what
/// loses none.
fn what_is_meant_to_go_goes(bed: &TestBed) {
    let begun = begun(bed);
    for (name, file, look, there) in [
        (
            "altered_twice_under_locks",
            "CREATE TABLE dumped (id INT PRIMARY KEY, b TEXT);\nLOCK TABLES dumped WRITE;\n\
             ALTER TABLE dumped DISABLE KEYS;\nINSERT INTO dumped VALUES (1, 'a');\n\
             ALTER TABLE dumped ENABLE KEYS;\nUNLOCK TABLES;\n"
                .to_owned(),
            "SELECT b FROM dumped",
            "a",
        ),
        (
            "any_number",
            format!(
                "-- chatctl: allow-loss messages.note reason=\"unread\"\n{}ALTER TABLE messages DROP COLUMN note;\n",
                meanwhile(LATE, true)
            ),
            "SELECT body FROM messages WHERE id = 9",
            "a long text",
        ),
        (
            "up_to_a_number",
            format!(
                "-- chatctl: allow-loss messages.note rows<=1 reason=\"unread\"\n{}ALTER TABLE messages DROP COLUMN note;\n",
                meanwhile(LATE, true)
            ),
            "SELECT body FROM messages WHERE id = 9",
            "a long text",
        ),
        (
            "no_value",
            "SET sql_mode = '';\nINSERT INTO messages (id, of_chat) VALUES (8, 2);\n\
             ALTER TABLE messages MODIFY body VARCHAR(100) NOT NULL DEFAULT '';\n"
                .to_owned(),
            "SELECT concat(count(*), min(body)) FROM messages WHERE id IN (3, 8)",
            "2",
        ),
        (
            "its_own",
            "INSERT INTO conversations VALUES (7, 'try');\nINSERT INTO messages (id, of_chat) VALUES (7, 7);\n\
             DELETE FROM conversations WHERE id = 7;\n"
                .to_owned(),
            "SELECT count(*) FROM messages",
            "3",
        ),
        (
            "with_a_key",
            "SET sql_mode = '';\nALTER TABLE messages MODIFY kind VARCHAR(12), \
             ADD CONSTRAINT again FOREIGN KEY (of_chat) REFERENCES conversations (id);\n"
                .to_owned(),
            "SELECT count(*) FROM messages",
            "3",
        ),
        (
            "copied_under_locks",
            format!(
                "CREATE TABLE n LIKE messages;\n{}LOCK TABLES messages WRITE, n WRITE;\nINSERT INTO n SELECT * FROM messages;\n\
                 DROP TABLE messages;\nALTER TABLE n RENAME TO messages;\nUNLOCK TABLES;\n",
                meanwhile(LATE, true)
            ),
            "SELECT count(*) FROM messages",
            "4",
        ),
        (
            "filled",
            format!(
                "{}UPDATE messages SET kind = coalesce(kind, 'text'), cost = 0 WHERE cost IS NULL;\n",
                meanwhile(LATE, true)
            ),
            "SELECT kind FROM messages WHERE id = 9",
            "a kind",
        ),
        (
            "its_own_row",
            format!(
                "INSERT INTO messages (id, body) VALUES (8, 'a text of its own');\n{}\
                 UPDATE messages SET body = LEFT(body, 5) WHERE id = 8;\n",
                meanwhile("UPDATE messages SET body = 'a long text' WHERE id = 1", true)
            ),
            "SELECT group_concat(body ORDER BY id) FROM messages WHERE id IN (1, 8)",
            "a long text,a tex",
        ),
        (
            "grown_and_kept",
            format!(
                "{}UPDATE messages SET body = LEFT(body, 50), cost = 1 WHERE cost IS NULL;\n",
                meanwhile("UPDATE messages SET body = 'a long text' WHERE id = 1", true)
            ),
            "SELECT body FROM messages WHERE id = 1",
            "a long text",
        ),
        (
            "its_own_column",
            format!(
                "ALTER TABLE messages ADD size INT;\n{}UPDATE messages SET size = char_length(body);\n",
                meanwhile(LATE, true)
            ),
            "SELECT size FROM messages WHERE id = 9",
            "11",
        ),
        (
            "more_digits",
            format!(
                "{}ALTER TABLE messages MODIFY cost DECIMAL(12,5);\n",
                meanwhile("INSERT INTO messages (id, cost) VALUES (9, 0.0012)", true)
            ),
            "SELECT cost FROM messages WHERE id = 9",
            "0.00120",
        ),
        (
            "ignored_as_rehearsed",
            "INSERT INTO messages (id, of_chat, body) VALUES (8, 2, 'a');\n\
             ALTER IGNORE TABLE messages ADD UNIQUE (body);\n"
                .to_owned(),
            "SELECT count(*) FROM messages",
            "3",
        ),
    ] {
        let site = bed.copy(&begun, name);
        site.file("2_file.sql", &file);
        let (report, exit) = site.report(&["up"]);
        assert_eq!(exit, 0, "{name}: {report:#}");
        assert_eq!(site.texts(look), [there], "{name}: {report:#}");
    }
}

/// A transaction that began before RENAME and is committed while RENAME waits for it.
fn what_comes_in_the_very_moment_is_reported(bed: &TestBed) {
    let aside = "CREATE TABLE n LIKE messages;\nINSERT INTO n SELECT * FROM messages;\n";
    let site = bed.at(
        "moment",
        &[
            &format!("{BEGIN}{aside}"),
            "RENAME TABLE messages TO messages_old, n TO messages;\nCREATE TABLE behind (id INT PRIMARY KEY);\n",
        ],
    );
    let runtime = runtime();
    let mut writer = runtime
        .block_on(MySqlConnection::connect(&site.url))
        .unwrap();
    let mut write = |sql: &'static str| {
        runtime.block_on(writer.execute(sql)).unwrap();
    };
    write("START TRANSACTION");
    write("INSERT INTO messages (id, of_chat, body) VALUES (9, 1, 'late')");
    let (report, exit) = std::thread::scope(|scope| {
        let run = scope.spawn(|| site.report(&["up", "--lock-timeout", "10m"]));
        until("RENAME to wait", || {
            let waits = "SELECT info FROM information_schema.processlist WHERE info LIKE 'RENAME TABLE%' AND state LIKE 'Waiting for%'";
            (!site.texts(waits).is_empty()).then_some(())
        });
        write("COMMIT");
        run.join().unwrap()
    });
    assert_eq!(exit, 1, "{report:#}");
    let told = report.to_string();
    assert!(told.contains("exist only in `messages_old`"), "{report:#}");
    assert!(
        told.contains("1 of 2 statements of the file are applied and stay"),
        "{report:#}"
    );
    assert!(!told.contains("changed nothing"), "{report:#}");
    // Who starts it again changes nothing by that.
    let (again, exit) = site.report(&["up"]);
    assert_eq!(exit, 1, "{again:#}");
    assert!(
        again.to_string().contains("exist only in `messages_old`"),
        "{again:#}"
    );
    write("INSERT INTO messages SELECT * FROM messages_old WHERE id = 9");
    site.up();
    assert!(site.tables().contains(&"behind".to_owned()));
}

/// The journal says that all statements of a file are done which is no more applied for that.
fn is_held_back(site: &Site, told: &str) {
    let (again, exit) = site.report(&["up"]);
    assert_eq!(exit, 1, "{again:#}");
    assert!(again.to_string().contains(told), "{again:#}");
    assert_ne!(site.status(), 0);
    site.passed(&["resolve", "2", "--as", "applied"]);
    assert_eq!(site.report(&["up"]).1, 0);
}

fn what_is_unlike_the_rehearsal_is_not_applied(bed: &TestBed) {
    let drops = meanwhile("DROP TABLE drafts", true);
    let site = bed.at("unlike", &[BEGIN, &drops]);
    let (report, exit) = site.report(&["up"]);
    assert_eq!(exit, 1, "{report:#}");
    is_held_back(&site, "the table `drafts` is gone");
}

/// A sum of what it leaves would lock every row, and the place of new ones.
fn an_update_of_no_row_waits_for_nobody(bed: &TestBed) {
    let update = "UPDATE messages SET note = 'x' WHERE id = 4;\n";
    let site = bed.at("no_row", &[BEGIN, update]);
    let runtime = runtime();
    let mut writer = runtime
        .block_on(MySqlConnection::connect(&site.url))
        .unwrap();
    let mut write = |sql: &'static str| {
        runtime.block_on(writer.execute(sql)).unwrap();
    };
    write("START TRANSACTION");
    write("INSERT INTO messages (id, of_chat, body) VALUES (9, 1, 'not committed yet')");
    let (report, exit) = site.report(&["up", "--lock-timeout", "3s"]);
    assert_eq!(exit, 0, "{report:#}");
    write("COMMIT");
}
