use super::*;
use Destroys::{Certainly, No, Possibly};

fn partitions(names: &[&str]) -> Vec<String> {
    names.iter().copied().map(str::to_owned).collect()
}

#[test]
#[rustfmt::skip]
fn tables_of_mysql() {
    let replaced = Kind::CreateTable {
        if_not_exists: false,
        or_replace: true,
        temporary: false,
        as_select: false,
    };
    let as_select = Kind::CreateTable {
        if_not_exists: true,
        or_replace: false,
        temporary: false,
        as_select: true,
    };
    let temporary = Kind::DropTable {
        if_exists: true,
        cascade: false,
        temporary: true,
    };
    let modify = AlterAction::Modify {
        column: "body".to_owned(),
        to: "varchar(5) NOT NULL".to_owned(),
    };
    let change = AlterAction::Change {
        from: "a".to_owned(),
        to: "b".to_owned(),
        definition: "enum('x','y') AFTER c".to_owned(),
    };
    let convert = AlterAction::ConvertCharset {
        to: "latin1".to_owned(),
    };
    let several = Kind::AlterTable {
        actions: vec![
            add_column("int AUTO_INCREMENT", false, true),
            AlterAction::DropIndex {
                name: "i".to_owned(),
            },
            AlterAction::DropConstraint {
                name: Some("fk".to_owned()),
            },
            AlterAction::DropConstraint { name: None },
            drop_column("b"),
            other_action("ALGORITHM=INPLACE"),
            other_action("LOCK=NONE"),
        ],
    };
    let both = Kind::AlterTable {
        actions: vec![
            add_column("int", false, false),
            AlterAction::AddColumn {
                column: "b".to_owned(),
                definition: "int NOT NULL".to_owned(),
                not_null: true,
                has_default: false,
                if_not_exists: false,
            },
        ],
    };
    let swap = Kind::RenameTable {
        renames: vec![
            (Name::new("m"), Name::new("m_old")),
            (Name::new("m_new"), Name::new("m")),
        ],
    };
    let rename = AlterAction::RenameTable { to: Name::new("n") };
    let dropped = AlterAction::DropPartition {
        partitions: partitions(&["p0", "p1"]),
    };
    let emptied = AlterAction::TruncatePartition {
        partitions: partitions(&["p0"]),
    };
    let ignoring = Kind::AlterTable {
        actions: vec![
            other_action("IGNORE"),
            AlterAction::AddConstraint {
                name: None,
                what: Constraint::Unique,
                not_valid: false,
            },
        ],
    };
    check(
        Dialect::Mysql,
        vec![
            ("CREATE TABLE `m` (id int) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4", create_table(), "m", No),
            ("CREATE OR REPLACE TABLE m (id int)", replaced, "m", Certainly),
            ("CREATE TABLE IF NOT EXISTS m (id int) SELECT * FROM n", as_select, "m", No),
            ("CREATE TABLE m LIKE n", create_table(), "m", No),
            ("CREATE TABLE m (id int) WITH SYSTEM VERSIONING", create_table(), "m", No),
            ("DROP TEMPORARY TABLE IF EXISTS m", temporary, "m", No),
            ("/*!40000 DROP TABLE */ `chat`.`m`", drop_table(false, false), "chat.m", Certainly),
            ("ALTER TABLE m MODIFY COLUMN body varchar(5) NOT NULL", alter(modify), "m", Possibly),
            ("ALTER TABLE m CHANGE a b enum('x','y') AFTER c", alter(change), "m", Possibly),
            ("ALTER TABLE m CONVERT TO CHARACTER SET latin1 COLLATE latin1_bin", alter(convert), "m", Possibly),
            ("ALTER TABLE m ADD a int AUTO_INCREMENT, DROP KEY i, DROP FOREIGN KEY fk, DROP PRIMARY KEY, DROP b, ALGORITHM=INPLACE, LOCK=NONE", several, "m", Certainly),
            ("ALTER TABLE m ADD COLUMN (a int, b int NOT NULL)", both, "m", No),
            ("ALTER TABLE m ADD FULLTEXT KEY k (a)", alter(other_action("ADD FULLTEXT KEY k (a)")), "m", No),
            ("ALTER TABLE m ENGINE=BLACKHOLE", alter(other_action("ENGINE=BLACKHOLE")), "m", Possibly),
            ("ALTER TABLE m DROP PARTITION p0, p1", alter(dropped), "m", Certainly),
            ("ALTER TABLE m TRUNCATE PARTITION p0", alter(emptied), "m", Certainly),
            ("ALTER TABLE m REORGANIZE PARTITION a, b INTO (PARTITION c VALUES LESS THAN (1))", alter(other_action("REORGANIZE PARTITION a, b INTO (PARTITION c VALUES LESS THAN (1))")), "m", Possibly),
            ("ALTER TABLE m ADD PARTITION (PARTITION p VALUES IN (1), PARTITION q VALUES IN (2))", alter(other_action("ADD PARTITION (PARTITION p VALUES IN (1), PARTITION q VALUES IN (2))")), "m", No),
            ("ALTER TABLE m DROP SYSTEM VERSIONING", alter(other_action("DROP SYSTEM VERSIONING")), "m", Possibly),
            ("ALTER IGNORE TABLE m ADD UNIQUE KEY (a)", ignoring, "m", Possibly),
            ("ALTER TABLE m RENAME n", alter(rename.clone()), "m", No),
            ("ALTER TABLE m RENAME AS n", alter(rename), "m", No),
            ("RENAME TABLE m TO m_old, m_new TO m", swap, "m m_old m_new m", No),
            ("CREATE FULLTEXT INDEX i ON m (a)", index(false, false, false), "m", No),
            ("DROP INDEX i ON m", Kind::DropIndex { concurrently: false, if_exists: false }, "m", No),
            ("TRUNCATE m", Kind::Truncate { cascade: false, tables: vec![Name::new("m")] }, "m", Certainly),
            ("OPTIMIZE TABLE m", Kind::Analyze, "m", No),
        ],
    );
}

#[test]
#[rustfmt::skip]
fn rows_and_sessions_of_mysql() {
    let modes = Kind::SetVariable {
        name: "@old".to_owned(),
        value: "@@SQL_MODE".to_owned(),
        also: vec![("sql_mode".to_owned(), String::new())],
    };
    let trigger = Kind::CreateTrigger {
        if_not_exists: false,
        or_replace: false,
    };
    check(
        Dialect::Mysql,
        vec![
            ("DELETE m FROM messages m JOIN c ON m.c = c.id WHERE c.x", delete(true), "messages", Certainly),
            ("DELETE FROM a.*, b USING a JOIN b", delete(false), "a b", Certainly),
            ("DELETE QUICK FROM `m` LIMIT 5", delete(false), "m", Certainly),
            ("UPDATE LOW_PRIORITY m x JOIN n ON 1 SET x.a = n.a", update(false), "m n", Possibly),
            ("UPDATE m, n SET m.a = 1 WHERE \"a\" = 'b'", update(true), "m n", Possibly),
            ("INSERT IGNORE m SET a = (SELECT 1)", insert(false, Conflict::Ignore), "m", No),
            ("INSERT INTO m (a) VALUES (1) ON DUPLICATE KEY UPDATE a = VALUES(a)", insert(false, Conflict::Update), "m", Possibly),
            ("INSERT INTO m PARTITION (p) (a) SELECT 1", insert(true, Conflict::Fail), "m", No),
            ("REPLACE m SELECT 1", insert(true, Conflict::Replace), "m", Possibly),
            ("LOAD DATA LOCAL INFILE 'x' REPLACE INTO TABLE m", insert(false, Conflict::Replace), "m", Possibly),
            ("LOAD DATA INFILE 'a.csv' INTO TABLE m", insert(false, Conflict::Fail), "m", No),
            ("LOAD DATA LOW_PRIORITY INFILE 'into' IGNORE INTO TABLE `chat`.`m` PARTITION (p) CHARACTER SET utf8mb4 FIELDS TERMINATED BY ',' LINES STARTING BY 'x' IGNORE 1 LINES (a, @b) SET c = upper(@b)", insert(false, Conflict::Ignore), "chat.m", No),
            ("LOAD DATA CONCURRENT LOCAL INFILE 'a' INTO TABLE m (a) SET b = prune(a)", insert(false, Conflict::Fail), "m", Possibly),
            ("LOAD XML INFILE 'a.xml' REPLACE INTO TABLE m ROWS IDENTIFIED BY '<m>'", insert(false, Conflict::Replace), "m", Possibly),
            ("LOAD INDEX INTO CACHE m", Kind::Other, "", Possibly),
            ("SET sql_mode=''", set("sql_mode", ""), "", No),
            ("SET @@session.`sql_mode` = 'ANSI'", set("sql_mode", "ANSI"), "", No),
            ("/*!40101 SET @OLD := @@SQL_MODE, SESSION SQL_MODE = '' */", modes, "", No),
            ("SET FOREIGN_KEY_CHECKS = 0", set("foreign_key_checks", "0"), "", No),
            ("SET NAMES utf8mb4", set("names", "utf8mb4"), "", No),
            ("SET STATEMENT max_statement_time=9 FOR DELETE FROM m", delete(false), "m", Certainly),
            ("ANALYZE FORMAT=JSON DELETE FROM m", Kind::Other, "", Possibly),
            ("BEGIN NOT ATOMIC DROP TABLE m; END", Kind::Do, "", Possibly),
            ("DROP SCHEMA chat", Kind::DropDatabase, "", Certainly),
            ("CREATE OR REPLACE DATABASE chat", Kind::CreateDatabase { or_replace: true }, "", Certainly),
            ("CREATE DEFINER='a'@'%' TRIGGER t BEFORE INSERT ON m FOR EACH ROW BEGIN SET NEW.a = 1; END", trigger, "m", No),
            ("CREATE DEFINER = CURRENT_USER() PROCEDURE p() BEGIN DELETE FROM m; END", Kind::CreateFunction { writes: true }, "", Possibly),
            ("CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO SELECT TRUNCATE(1.5, 0)", Kind::CreateFunction { writes: false }, "", No),
            ("SELECT my_cleanup()", Kind::Select, "", Possibly),
            ("PREPARE s FROM @sql", Kind::Other, "", Possibly),
            ("USE other", Kind::Use, "", No),
            ("UNLOCK TABLES", Kind::Lock, "", No),
            ("RESET MASTER", Kind::Other, "", Possibly),
        ],
    );
    let facts = of("SET @a = 1, autocommit = 1", Dialect::Mysql);
    assert_eq!(facts.kind.set_value("autocommit"), Some("1"));
    assert_eq!(facts.kind.set_value("sql_mode"), None);
}

#[test]
fn several_statements_in_one_are_not_recognized() {
    let sql = "DELIMITER //\nSELECT 1; DROP TABLE m;\n//";
    assert_eq!(of(sql, Dialect::Mysql).kind, Kind::Other);
    // The server gets the whole and runs both.
    let trigger = "CREATE TRIGGER t BEFORE INSERT ON m FOR EACH ROW SET NEW.a := IF(1, 2, 3)";
    for (tail, kind) in [
        ("", "CreateTrigger"),
        (";", "CreateTrigger"),
        ("; DROP TABLE m", "Other"),
    ] {
        for text in [
            format!("DELIMITER //\n{trigger}{tail} //"),
            format!("/*!50003 {trigger}{tail} */"),
        ] {
            let found = format!("{:?}", of(&text, Dialect::Mysql).kind);
            assert!(found.starts_with(kind), "{text}: {found}");
        }
    }
}
