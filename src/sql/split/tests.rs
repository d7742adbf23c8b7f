use super::*;
use crate::sql::tokenize;
use Dialect::{Mysql, Postgres, Sqlite};
use proptest::collection::vec;
use proptest::prelude::*;

#[track_caller]
fn texts(dialect: Dialect, sql: &str) -> Vec<&str> {
    let statements = split(sql, dialect).unwrap();
    for statement in &statements {
        assert_eq!(&sql[statement.span.clone()], statement.text);
    }
    statements.iter().map(|s| s.text).collect()
}

#[track_caller]
fn one(dialect: Dialect, sql: &str) {
    let all = [sql, ";\nSELECT 1;"].concat();
    assert_eq!(texts(dialect, &all), [sql, "SELECT 1"], "{dialect:?}");
}

#[track_caller]
fn error(dialect: Dialect, sql: &str) -> String {
    split(sql, dialect).unwrap_err().to_string()
}

#[test]
fn places_count_characters_and_lf() {
    let sql = "\u{feff}SELECT 'é'; SELECT 2;\r\n\r\n  -- no\r\n  SELECT 3;\r\n";
    let statements = split(sql, Sqlite).unwrap();
    let places: Vec<_> = statements
        .iter()
        .map(|s| (s.text, s.span.start, s.line, s.column))
        .collect();
    assert_eq!(
        places,
        [
            ("SELECT 'é'", 3, 1, 1),
            ("SELECT 2", 16, 1, 13),
            ("SELECT 3", 40, 4, 3)
        ]
    );
}

#[test]
fn comments_around_are_the_files_and_those_inside_stay() {
    let sql = "/* a */ SELECT /* b; */ 1 -- c;\n; -- d\n;;\n";
    assert_eq!(texts(Postgres, sql), ["SELECT /* b; */ 1"]);
    for dialect in [Sqlite, Postgres, Mysql] {
        for empty in ["", "\u{feff}", " ;; \r\n;", "-- x", "/* x */;"] {
            assert!(texts(dialect, empty).is_empty());
        }
        assert_eq!(texts(dialect, "A;B"), ["A", "B"]);
    }
}

#[test]
fn what_mariadb_dump_writes_for_its_client_is_a_comment() {
    let dump = "/*M!999999\\- enable the sandbox mode */ \n-- MariaDB dump\nSELECT 1;\n";
    assert_eq!(texts(Mysql, dump), ["SELECT 1"]);
    for other in [
        "/*M!999999\\- /* a */ b */ SELECT 1",
        "/*M!999999\\! ls */ SELECT 1",
        "/*M!100100\\- x */ SELECT 1",
        "/*M!999999\\- SELECT 1",
    ] {
        assert!(error(Mysql, other).contains("the mysql client"), "{other}");
    }
}

#[test]
fn sqlite_triggers_end_at_their_end() {
    one(
        Sqlite,
        "CREATE TRIGGER t AFTER INSERT ON m BEGIN SELECT 1; DELETE FROM x; END",
    );
    one(
        Sqlite,
        "CREATE TEMP TRIGGER IF NOT EXISTS t UPDATE OF a ON m WHEN NEW.a > 1 BEGIN\r\n\
         UPDATE m SET b = CASE WHEN a THEN 1 ELSE 2 END;\r\n END",
    );
    one(
        Sqlite,
        "EXPLAIN CREATE TRIGGER t INSERT ON m BEGIN SELECT 1; END",
    );
    one(Sqlite, "CREATE TABLE \"trigger\" (a)");
    one(Sqlite, "BEGIN");
    assert_eq!(
        error(
            Sqlite,
            "SELECT 1;\n CREATE TRIGGER t AFTER INSERT ON m BEGIN SELECT 1;"
        ),
        "2:2: the trigger that starts here has no `END;`"
    );
}

#[test]
fn postgres_bodies_hold_semicolons() {
    one(Postgres, "DO $$ BEGIN DROP TABLE messages; END $$");
    one(
        Postgres,
        "CREATE FUNCTION f() RETURNS int LANGUAGE sql AS $f$ SELECT 1; $f$",
    );
    one(
        Postgres,
        "CREATE OR REPLACE FUNCTION f(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC\n\
         SELECT CASE WHEN a > 1 THEN 1 ELSE (CASE WHEN true THEN 2 END) END;\n\
         SELECT t.end FROM t; END",
    );
    one(
        Postgres,
        "CREATE PROCEDURE p() BEGIN ATOMIC INSERT INTO t VALUES (1); END",
    );
    one(
        Postgres,
        "CREATE RULE r AS ON DELETE TO t DO ALSO (SELECT 1; SELECT 2)",
    );
    one(
        Postgres,
        "INSERT INTO t VALUES (E'\\';', ';', U&'\\0061;', $a$;$a$)",
    );
    assert_eq!(
        texts(Postgres, "BEGIN; SELECT 1; END;"),
        ["BEGIN", "SELECT 1", "END"]
    );
    assert!(error(Postgres, "CREATE FUNCTION f() BEGIN ATOMIC SELECT 1;").contains("BEGIN ATOMIC"));
}

#[test]
#[rustfmt::skip]
fn what_only_a_client_understands_is_an_error() {
    for (dialect, sql, expected) in [
        (Postgres, "COPY t (a, b) FROM stdin;\n1\t'\n\\.\n", "1:15: the rows of `COPY"),
        (Postgres, "copy t from /* x */ STDIN with csv;", "1:8: the rows of `COPY"),
        (Postgres, "SELECT 1;\n\\i other.sql\n", "2:1: `\\i` is a command of the psql client"),
        (Postgres, "\\c chat", "1:1: `\\c` is a command of the psql client"),
        (Postgres, "SELECT 1 \\gexec", "1:10: `\\gexec` is a command of the psql"),
        (Mysql, "SELECT 1\\G", "1:9: `\\G` is a command of the mysql client"),
        (Mysql, "source a.sql", "1:1: `source` is a command of the mysql client"),
        (Sqlite, ".read a.sql", "1:1: `.read` is a command of the sqlite3 client"),
        (Sqlite, "SELECT 1;\0 DROP TABLE t;", "1:10: a NUL character"),
        (Mysql, "DELIMITER\nSELECT 1", "1:1: `DELIMITER` names no delimiter"),
    ] {
        let message = error(dialect, sql);
        assert!(message.starts_with(expected), "{message}");
    }
    one(Postgres, "COPY t FROM '/tmp/stdin'");
    one(Mysql, "SELECT \\N");
    one(Sqlite, "SELECT a.b");
}

#[test]
#[rustfmt::skip]
fn what_is_never_closed_is_an_error() {
    for (dialect, sql, expected) in [
        (Sqlite, "SELECT 'a", "1:8: the string that starts here is never closed"),
        (Postgres, "SELECT\n \"a", "2:2: the quoted name that starts here is never closed"),
        (Mysql, "SELECT \"a", "1:8: the string that"),
        (Postgres, "/* /* */", "1:1: the comment that"),
        (Postgres, "DO $x$ $$", "1:4: the dollar quote that"),
        (Postgres, "SELECT E'\\'", "1:8: the string that"),
        (Mysql, "SELECT 1;\n/*!50000 SELECT 1;", "2:1: the version comment that"),
    ] {
        let message = error(dialect, sql);
        assert!(message.starts_with(expected), "{message}");
    }
}

#[test]
#[rustfmt::skip]
fn each_error_has_the_hint_that_helps() {
    let hint = |dialect, sql| split(sql, dialect).unwrap_err().hint;
    for (dialect, sql, expected) in [
        (Sqlite, "SELECT 'a", "close the open quote"),
        (Mysql, "/*!50000 SELECT 1;", "close the open quote"),
        (Postgres, "\\restrict x", "remove it, or write in SQL"),
        (Sqlite, ".mode csv", "remove it, or write in SQL"),
        (Postgres, "SELECT 1;\0", "remove it from the file"),
        (Postgres, "COPY m (a) FROM stdin;\n1\n\\.\n", "`pg_dump --inserts`"),
        (Mysql, "DELIMITER\nSELECT 1", "write one after it"),
        (Sqlite, "CREATE TRIGGER t AFTER INSERT ON m BEGIN SELECT 1;", "complete the statement"),
    ] {
        let hint = hint(dialect, sql);
        assert!(hint.starts_with(expected), "{sql}: {hint}");
    }
}

#[test]
fn mysql_blocks_need_no_delimiter() {
    one(
        Mysql,
        "CREATE TRIGGER t BEFORE INSERT ON m FOR EACH ROW SET NEW.a = IF(NEW.b, 1, 2)",
    );
    one(
        Mysql,
        "CREATE DEFINER=`root`@`localhost` TRIGGER t BEFORE INSERT ON m FOR EACH ROW FOLLOWS u\n\
         BEGIN SET NEW.end = CASE WHEN NEW.a THEN IF(1, 2, 3) ELSE 2 END; END",
    );
    one(
        Mysql,
        "CREATE TRIGGER t AFTER DELETE ON m FOR EACH ROW IF OLD.a THEN DELETE FROM x; END IF",
    );
    one(
        Mysql,
        "CREATE PROCEDURE p(IN n INT, OUT m DECIMAL(10,2))\nMODIFIES SQL DATA COMMENT 'a;'\n\
         body: BEGIN\n DECLARE done INT DEFAULT 0;\n\
         DECLARE c CURSOR FOR SELECT id FROM m;\n\
         DECLARE CONTINUE HANDLER FOR NOT FOUND SET done = 1;\n\
         DECLARE EXIT HANDLER FOR SQLEXCEPTION BEGIN ROLLBACK; END;\n\
         START TRANSACTION; DROP TABLE IF EXISTS tmp;\n\
         l: LOOP IF n > 3 THEN LEAVE l; ELSEIF n = 2 THEN SET n = IF(n, 1, 0); END IF; END LOOP l;\n\
         WHILE n > 0 DO SET n = n - 1; IF n THEN DO SLEEP(0); END IF; END WHILE;\n\
         REPEAT SET n = REPEAT('a', 2); UNTIL n > 3 END REPEAT;\n\
         CASE n WHEN 1 THEN SELECT 1; WHEN CASE n WHEN 1 THEN 2 END THEN IF n THEN SELECT 2; \
         END IF; ELSE BEGIN END; END CASE;\n\
         SET @end := 1; COMMIT;\nEND body",
    );
    one(
        Mysql,
        "CREATE FUNCTION f(a INT) RETURNS VARCHAR(9) CHARACTER SET utf8mb4 DETERMINISTIC\n\
         BEGIN RETURN CASE a WHEN 1 THEN 'x' END; END",
    );
    one(
        Mysql,
        "CREATE FUNCTION f(a INT) RETURNS INT RETURN CASE a WHEN 1 THEN IF(a,1,2) END",
    );
    one(
        Mysql,
        "CREATE EVENT e ON SCHEDULE EVERY 1 DAY DO BEGIN DELETE FROM m; END",
    );
    one(Mysql, "CREATE OR REPLACE PROCEDURE p() BEGIN SELECT 1; END");
    one(Mysql, "BEGIN NOT ATOMIC DROP TABLE a; DROP TABLE b; END");
    one(Mysql, "IF (SELECT 1) THEN DROP TABLE a; END IF");
    one(Mysql, "WHILE @a DO BEGIN END; SET @a = 0; END WHILE");
    one(Mysql, "CREATE TABLE t (`begin` int, end int, `case` int)");
    one(
        Mysql,
        "CREATE DEFINER = CURRENT_USER() SQL SECURITY INVOKER VIEW v AS SELECT 1",
    );
    one(Mysql, "BEGIN WORK");
    assert_eq!(
        texts(Mysql, "BEGIN; SELECT 1; COMMIT"),
        ["BEGIN", "SELECT 1", "COMMIT"]
    );
    let message = error(Mysql, "CREATE PROCEDURE p() BEGIN SELECT 1;");
    assert!(message.contains("has no `END`"), "{message}");
}

#[test]
fn mysql_delimiters() {
    let sql = "DROP PROCEDURE IF EXISTS p;\r\nDELIMITER //\r\n\
               CREATE PROCEDURE p() BEGIN SELECT '//'; -- //\r\n END; //\r\n\
               SELECT 2 //\r\ndelimiter ;\r\nSELECT 3;";
    assert_eq!(
        texts(Mysql, sql),
        [
            "DROP PROCEDURE IF EXISTS p",
            "CREATE PROCEDURE p() BEGIN SELECT '//'; -- //\r\n END",
            "SELECT 2",
            "SELECT 3"
        ]
    );
    assert_eq!(
        texts(
            Mysql,
            "DELIMITER $$\nBEGIN NOT ATOMIC SELECT 1; END$$\nSELECT 2$$"
        ),
        ["BEGIN NOT ATOMIC SELECT 1; END", "SELECT 2"]
    );
    one(Mysql, "CREATE TABLE t (\ndelimiter varchar(3))");
}

#[test]
fn mysqldump_files_are_cut_like_the_client_does() {
    let sql = "/*!40101 SET NAMES utf8 */;\nDELIMITER ;;\n\
               /*!50003 CREATE*/ /*!50017 DEFINER=`a`@`b`*/ /*!50003 TRIGGER t BEFORE INSERT ON m \
               FOR EACH ROW BEGIN SET NEW.a = 1; END */;;\nDELIMITER ;\n";
    let found = texts(Mysql, sql);
    assert_eq!(found.len(), 2);
    assert_eq!(found[0], "/*!40101 SET NAMES utf8 */");
    assert!(found[1].ends_with("END */"));
    one(
        Mysql,
        "/*!50003 CREATE TRIGGER t BEFORE INSERT ON m FOR EACH ROW BEGIN SELECT 1; END */",
    );
}

/// Pieces that open, close or look like something in one of the dialects.
fn sql() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        ";",
        "'",
        "\"",
        "`",
        "[",
        "]",
        "(",
        ")",
        "--",
        "-- ",
        "#",
        "/*",
        "*/",
        "/*!50000",
        "$$",
        "$a$",
        "\\",
        "\n",
        "\r",
        " ",
        "é",
        "\u{feff}",
        "CREATE ",
        "TRIGGER ",
        "BEGIN ",
        "END ",
        "CASE ",
        "IF ",
        "FUNCTION f() ",
        "ATOMIC ",
        "FOR EACH ROW ",
        "E'",
        "U&\"",
        "COPY ",
        "FROM ",
        "SELECT ",
        "DROP TABLE ",
        "ALTER TABLE t ",
        "WITH a AS (",
        "DELETE FROM ",
        "INSERT INTO ",
        "UPDATE ",
        "SET ",
        "a",
        ".",
        ",",
        "1",
        "=",
        "@",
        ":",
        "PRAGMA ",
        "ADD ",
        "DROP ",
        "RENAME ",
        "PARTITION ",
        "\0",
        "-- chatctl: ignore x reason=\"",
    ]);
    prop_oneof![
        vec(pieces, 0..40).prop_map(|pieces| pieces.concat()),
        any::<String>()
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn tokens_and_blanks_are_the_text(sql in sql()) {
        for dialect in [Sqlite, Postgres, Mysql] {
            let mut end = if sql.starts_with('\u{feff}') { 3 } else { 0 };
            for token in tokenize(&sql, dialect) {
                prop_assert!(token.start < token.end);
                prop_assert!(sql[end..token.start].bytes().all(|b| b" \t\n\r\x0b\x0c".contains(&b)));
                end = token.end;
            }
            prop_assert_eq!(sql[end..].trim(), "");
        }
    }

    #[test]
    fn nothing_but_comments_and_delimiters_is_outside_of_the_statements(sql in sql()) {
        for dialect in [Sqlite, Postgres, Mysql] {
            crate::sql::directives(&sql, dialect);
            let Ok(statements) = split(&sql, dialect) else { continue };
            let mut end = 0;
            let mut outside = String::new();
            for statement in &statements {
                prop_assert!(statement.span.start >= end);
                prop_assert_eq!(&sql[statement.span.clone()], statement.text);
                prop_assert_eq!(statement.text.trim_ascii(), statement.text);
                prop_assert!(!statement.text.is_empty());
                outside.push_str(&sql[end..statement.span.start]);
                outside.push('\n');
                end = statement.span.end;
                crate::sql::facts(statement, dialect);
            }
            outside.push_str(&sql[end..]);
            for token in tokenize(&outside, dialect) {
                let covered = matches!(token.kind, TokenKind::Comment | TokenKind::Semicolon);
                // A byte order mark is only a blank at the start of the text.
                let mark = token.text(&outside).starts_with('\u{feff}');
                prop_assert!(covered || mark, "{:?} in {:?}", token.text(&outside), sql);
            }
        }
    }

    #[test]
    fn facts_never_panic(text in sql()) {
        let statement = Statement { text: &text, span: 0..text.len(), line: 1, column: 1 };
        for dialect in [Sqlite, Postgres, Mysql] {
            let _facts = crate::sql::facts(&statement, dialect).destroys();
        }
    }
}
