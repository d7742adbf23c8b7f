//! Rows that users write on MariaDB between the rehearsal on a copy and the statement in the database.

use crate::common::errors;
use crate::common::sites::{Site, TestBed, on_each_bed};

on_each_bed! { on_mysql Mysql: what_comes_meanwhile_stays what_is_unlike_the_rehearsal_is_not_applied }

const BEGIN: &str = "\
CREATE TABLE conversations (id INT PRIMARY KEY, title VARCHAR(100));
CREATE TABLE messages (id INT PRIMARY KEY, of_chat INT, body VARCHAR(100), kind VARCHAR(10) DEFAULT 'text', note TEXT,
    CONSTRAINT in_chat FOREIGN KEY (of_chat) REFERENCES conversations (id) ON DELETE CASCADE);
CREATE TABLE drafts (id INT PRIMARY KEY);
CREATE TABLE events (id INT PRIMARY KEY) PARTITION BY RANGE (id) (PARTITION p1 VALUES LESS THAN (10), PARTITION p2 VALUES LESS THAN (20));
INSERT INTO conversations VALUES (1, 'a'), (2, 'b');
INSERT INTO messages (id, of_chat, body) VALUES (1, 2, 'a'), (2, 2, 'b'), (3, 2, NULL);
INSERT INTO events VALUES (11);
";

/// A statement that does something in the database, and not on the copy; or nowhere.
fn meanwhile(statement: &str, comes: bool) -> String {
    let condition = if comes {
        "DATABASE() NOT LIKE 'chatctl\\_scratch%'"
    } else {
        "DATABASE() IS NULL"
    };
    format!("BEGIN NOT ATOMIC IF {condition} THEN {statement}; END IF; END;\n")
}

fn what_comes_meanwhile_stays(bed: &TestBed) {
    let late = "INSERT INTO messages (id, of_chat, body, kind, note) VALUES (9, 1, 'a long text', 'a kind', 'precious')";
    for (name, first, comes, statement, look) in [
        (
            "column",
            "",
            late,
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
            "cut",
            "SET sql_mode = '';\n",
            late,
            "ALTER TABLE messages MODIFY body VARCHAR(5)",
            "SELECT IF(body = 'a long text', 'precious', body) FROM messages WHERE id = 9",
        ),
        (
            "word",
            "SET sql_mode = '';\n",
            late,
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
            late,
            "EXECUTE s",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "put_aside",
            "CREATE TABLE n LIKE messages;\nINSERT INTO n SELECT * FROM messages;\n",
            late,
            "RENAME TABLE messages TO messages_old, n TO messages",
            "SELECT note FROM messages WHERE id = 9",
        ),
        (
            "cascade",
            "-- chatctl: allow-loss conversations rows<=1 reason=\"it is empty\"\n",
            late,
            "DELETE FROM conversations WHERE id = 1",
            "SELECT note FROM messages WHERE id = 9",
        ),
    ] {
        for is_late in [true, false] {
            let file = format!("{first}{}{statement};\n", meanwhile(comes, is_late));
            let site = bed.at(&format!("{name}_{is_late}"), &[BEGIN, &file]);
            let (report, exit) = site.report(&["up"]);
            assert_eq!(exit, i32::from(is_late), "{name}: {report:#}");
            if is_late {
                assert_eq!(site.texts(look), ["precious"], "{name}: {report:#}");
                assert_eq!(errors(&report).len(), 1, "{name}: {report:#}");
            }
        }
    }
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
