//! Which values MariaDB's migrations keep though their type changes, and which they don't: every
//! conversion is done for real, in a table with a key and in one without.

use crate::common::backend::Backend;
use crate::common::servers::run_sql;
use crate::common::sites::{Site, TestBed};
use serde_json::Value;
use std::collections::BTreeSet;

/// A type, some of its values, and the type that they are given.
struct Conversion(&'static str, &'static [&'static str], &'static str);

/// A new column that is filled from the old one `{}` and takes its name, where no ALTER converts.
const BY: &str = " BY ";

const ALIKE: &[Conversion] = &[
    // Numbers as numbers.
    Conversion("INT", &["0", "-7", "2147483647"], "BIGINT"),
    Conversion("BIGINT", &["9223372036854775807"], "DECIMAL(30,5)"),
    Conversion(
        "BIGINT UNSIGNED",
        &["18446744073709551615"],
        "DECIMAL(20,0)",
    ),
    Conversion("DECIMAL(10,2)", &["1.50", "-0.01"], "DECIMAL(38,30)"),
    Conversion("INT(5) ZEROFILL", &["42"], "INT"),
    Conversion("TINYINT", &["0", "1"], "BIT(1)"),
    Conversion("BIT(1)", &["0", "1"], "TINYINT"),
    Conversion("BIT(4)", &["9"], "BIT(8)"),
    Conversion("YEAR", &["2024"], "SMALLINT"),
    Conversion("FLOAT", &["0.1", "16777215"], "DOUBLE"),
    Conversion("DOUBLE", &["0.1", "-1.25"], "DECIMAL(10,5)"),
    Conversion("DOUBLE", &["1767225600.123456"], "DECIMAL(16,6)"),
    Conversion("FLOAT", &["0.1", "2.5"], "DECIMAL(10,5)"),
    Conversion("INT", &["2147483647"], "DOUBLE"),
    Conversion("DECIMAL(12,6)", &["1.100000", "123456.654321"], "DOUBLE"),
    // Numbers as words, and words as numbers.
    Conversion("INT", &["42", "-1"], "VARCHAR(20)"),
    Conversion("BIGINT UNSIGNED", &["18446744073709551615"], "VARCHAR(30)"),
    Conversion("INT(5) ZEROFILL", &["42"], "VARCHAR(20)"),
    Conversion("DECIMAL(10,2)", &["1.50", "0.00"], "VARCHAR(20)"),
    Conversion("FLOAT", &["0.1", "3.25", "1e20"], "VARCHAR(40)"),
    Conversion(
        "DOUBLE",
        &["0.1", "1767225600.123451", "1e-20"],
        "VARCHAR(40)",
    ),
    Conversion("VARCHAR(20)", &["'42'", "'-1'"], "INT"),
    Conversion("VARCHAR(40)", &["'1.50'", "'7'"], "DECIMAL(20,4)"),
    Conversion("VARCHAR(40)", &["'0.1'", "'7'"], "DOUBLE"),
    Conversion("YEAR", &["2024"], "VARCHAR(4)"),
    // Times.
    Conversion("DATETIME", &["'2024-01-02 03:04:05'"], "DATETIME(6)"),
    Conversion("DATETIME(6)", &["'2024-01-02 03:04:05'"], "DATETIME"),
    Conversion("DATE", &["'2024-01-02'"], "DATETIME"),
    Conversion("DATETIME", &["'2024-01-02 00:00:00'"], "DATE"),
    Conversion(
        "DATETIME(3)",
        &["'2024-01-02 03:04:05.678'"],
        "TIMESTAMP(3) NULL",
    ),
    Conversion(
        "TIMESTAMP(6) NULL",
        &["'2024-01-02 03:04:05.000001'"],
        "DATETIME(6)",
    ),
    Conversion("DATETIME", &["'0000-00-00 00:00:00'"], "DATETIME(3)"),
    Conversion(
        "DATETIME(6)",
        &["'2024-01-02 03:04:05.678901'"],
        "VARCHAR(40)",
    ),
    Conversion(
        "VARCHAR(40)",
        &["'2024-01-02T03:04:05'", "'2024-01-02 03:04:05.123456'"],
        "DATETIME(6)",
    ),
    Conversion(
        "VARCHAR(40)",
        &["'2024-01-02T03:04:05Z'", "'2024-01-02T03:04:05.5+00:00'"],
        "DATETIME(6)",
    ),
    Conversion("VARCHAR(40)", &["'2024-01-02'"], "DATE"),
    Conversion("TIME(3)", &["'-12:34:56.789'"], "VARCHAR(20)"),
    Conversion(
        "TIME",
        &["'12:34:56'", "'-00:00:09'", "'0:0:0'"],
        "INT BY time_to_sec({})",
    ),
    Conversion(
        "TIME(3)",
        &["'-12:34:56.789'"],
        "DECIMAL(12,3) BY time_to_sec({})",
    ),
    Conversion("INT", &["45296", "-9"], "TIME BY sec_to_time({})"),
    Conversion("VARCHAR(20)", &["'12:34:56'"], "TIME"),
    Conversion("INT", &["1767225600"], "DATETIME BY from_unixtime({})"),
    Conversion(
        "BIGINT",
        &["1767225600123"],
        "DATETIME(3) BY from_unixtime({} / 1000)",
    ),
    Conversion(
        "DOUBLE",
        &["1767225600.25"],
        "DATETIME(6) BY from_unixtime({})",
    ),
    Conversion(
        "DATETIME(3)",
        &["'2026-01-01 00:00:00.250'"],
        "DECIMAL(16,3) BY unix_timestamp({})",
    ),
    // Words and bytes.
    Conversion("VARCHAR(20)", &["'é'", "' x '"], "TEXT"),
    Conversion(
        "VARCHAR(20) CHARACTER SET latin1",
        &["'é'"],
        "VARCHAR(20) CHARACTER SET utf8mb4",
    ),
    Conversion("ENUM('a','b')", &["'b'"], "VARCHAR(10)"),
    Conversion("VARCHAR(10)", &["'b'"], "ENUM('b','a')"),
    Conversion("SET('a','b')", &["'a,b'"], "VARCHAR(10)"),
    Conversion(
        "SET('a','b','c')",
        &["'a,b'", "'c'", "''"],
        "SET('c','b','a')",
    ),
    Conversion("VARCHAR(20)", &["'é'"], "VARBINARY(40)"),
    Conversion("BLOB", &["x'c3a9'"], "TEXT"),
    Conversion(
        "CHAR(36)",
        &["'550E8400-e29b-41d4-a716-446655440000'"],
        "UUID",
    ),
    Conversion(
        "UUID",
        &["'550e8400-e29b-41d4-a716-446655440000'"],
        "CHAR(36)",
    ),
    Conversion(
        "CHAR(36)",
        &["'550e8400-e29b-41d4-a716-446655440000'"],
        "BINARY(16) BY unhex(replace({}, '-', ''))",
    ),
    Conversion("VARCHAR(40)", &["'::1'"], "INET6"),
];

const UNLIKE: &[Conversion] = &[
    // Digits that go.
    Conversion(
        "DECIMAL(38,30)",
        &["0.000000000000000000000123"],
        "DECIMAL(38,20)",
    ),
    Conversion("DECIMAL(10,4)", &["1.2345"], "DECIMAL(10,2)"),
    Conversion("DOUBLE", &["3e-25"], "DECIMAL(10,5)"),
    Conversion("DOUBLE", &["1767225600.1234567"], "DECIMAL(16,6)"),
    Conversion("DOUBLE", &["0.1"], "FLOAT"),
    Conversion("DOUBLE", &["0.5"], "INT"),
    Conversion("FLOAT", &["16777216"], "VARCHAR(40)"),
    Conversion("BIGINT", &["9007199254740993"], "DOUBLE"),
    Conversion("DECIMAL(30,20)", &["0.12345678901234567891"], "DOUBLE"),
    Conversion("INT", &["70000"], "SMALLINT"),
    Conversion("INT", &["-1"], "INT UNSIGNED"),
    Conversion("INT", &["2"], "BIT(1)"),
    Conversion("INT", &["1234"], "VARCHAR(3)"),
    Conversion("VARCHAR(20)", &["'007'"], "INT"),
    Conversion("VARCHAR(20)", &["'42 apples'"], "INT"),
    Conversion("VARCHAR(20)", &["'1.25'"], "DECIMAL(10,1)"),
    Conversion("VARCHAR(20)", &["'0x10'"], "INT"),
    Conversion("VARCHAR(40)", &["'0.12345678901234567891'"], "DOUBLE"),
    Conversion("VARCHAR(40)", &["''"], "INT"),
    // Moments that move.
    Conversion("DATETIME(6)", &["'2024-01-02 03:04:05.000001'"], "DATETIME"),
    Conversion("DATETIME", &["'2024-01-02 03:04:05'"], "DATE"),
    Conversion(
        "VARCHAR(40)",
        &["'2024-01-02T03:04:05.123456789'"],
        "DATETIME(6)",
    ),
    Conversion(
        "VARCHAR(40)",
        &["'2024-01-02T03:04:05+02:00'"],
        "DATETIME(6)",
    ),
    Conversion("VARCHAR(40)", &["'2024-01-02 03:04:05\n'"], "DATETIME(6)"),
    Conversion("VARCHAR(40)", &["'soon'"], "DATETIME"),
    Conversion(
        "INT",
        &["1767225600"],
        "DATETIME BY from_unixtime({} + 3600)",
    ),
    Conversion(
        "DOUBLE",
        &["1767225600.1234567"],
        "DATETIME(6) BY from_unixtime({})",
    ),
    Conversion("TIME(3)", &["'12:34:56.789'"], "TIME"),
    Conversion(
        "TIME(3)",
        &["'12:34:56.789'"],
        "INT BY floor(time_to_sec({}))",
    ),
    Conversion("TIME", &["'12:34:56'"], "INT"),
    Conversion("SET('a','b','c')", &["'a,b'"], "SET('b','c')"),
    Conversion("SET('a','b')", &["'a'"], "SET('b','a') BY 'b'"),
    // Words that are others.
    Conversion("VARCHAR(20)", &["'😀'"], "VARCHAR(20) CHARACTER SET latin1"),
    Conversion("VARCHAR(20)", &["'a'"], "VARCHAR(20) BY upper({})"),
    Conversion("VARCHAR(20)", &["'a '"], "CHAR(20)"),
    Conversion(
        "ENUM('a','b')",
        &["'b'"],
        "ENUM('b','a') BY if({} = 'b', 'a', 'b')",
    ),
    Conversion("ENUM('a','b')", &["'b'"], "INT"),
    Conversion("VARBINARY(20)", &["x'00ff'"], "BINARY(3)"),
    Conversion(
        "CHAR(36)",
        &["'550e8400-e29b-41d4-a716-446655440000'"],
        "UUID BY uuid()",
    ),
];

/// The statements that convert a column.
fn change(table: &str, column: &str, Conversion(_, _, to): &Conversion) -> String {
    let Some((to, by)) = to.split_once(BY) else {
        return format!("ALTER TABLE {table} MODIFY {column} {to};\n");
    };
    let by = by.replace("{}", column);
    format!(
        "ALTER TABLE {table} ADD COLUMN made {to};\nUPDATE {table} SET made = {by};\n\
         ALTER TABLE {table} DROP COLUMN {column};\nALTER TABLE {table} CHANGE made {column} {to};\n"
    )
}

/// A table with a column for each conversion, and the statements that convert them.
fn as_columns(conversions: &[Conversion]) -> (String, String) {
    let most = conversions.iter().map(|it| it.1.len()).max().unwrap();
    let (mut columns, mut changes) = (String::new(), String::from("SET sql_mode = '';\n"));
    for (number, conversion) in conversions.iter().enumerate() {
        columns.push_str(&format!(", v{number} {} DEFAULT NULL", conversion.0));
        changes.push_str(&change("c", &format!("v{number}"), conversion));
    }
    let rows: Vec<_> = (0..most)
        .map(|row| {
            let value = |it: &Conversion| it.1.get(row).copied().unwrap_or("NULL");
            let values: Vec<_> = conversions.iter().map(value).collect();
            format!("({}, {})", row + 1, values.join(", "))
        })
        .collect();
    let begin = format!(
        "SET sql_mode = '';\nCREATE TABLE c (id INT PRIMARY KEY{columns});\nINSERT INTO c VALUES {};\n",
        rows.join(", ")
    );
    (begin, changes)
}

/// A table without a key for each conversion, and the statements that convert them.
fn as_tables(conversions: &[Conversion]) -> (String, String) {
    let (mut begin, mut changes) = (
        "SET sql_mode = '';\n".to_owned(),
        "SET sql_mode = '';\n".to_owned(),
    );
    for (number, conversion) in conversions.iter().enumerate() {
        let values: Vec<_> = conversion.1.iter().map(|it| format!("({it})")).collect();
        begin.push_str(&format!(
            "CREATE TABLE c{number} (v {} DEFAULT NULL);\nINSERT INTO c{number} VALUES {};\n",
            conversion.0,
            values.join(", ")
        ));
        changes.push_str(&change(&format!("c{number}"), "v", conversion));
    }
    (begin, changes)
}

/// What the findings of level error are about.
fn subjects(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().unwrap().iter();
    let errors = findings.filter(|finding| finding["severity"] == "error");
    errors
        .map(|finding| finding["subject"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn like_values_are_like() {
    let bed = TestBed::new(Backend::Mysql);
    for (name, (begin, change)) in [("keyed", as_columns(ALIKE)), ("keyless", as_tables(ALIKE))] {
        let site = bed.at(name, &[&begin, &change]);
        let (report, exit) = site.report(&["up"]);
        let wrong: Vec<_> = subjects(&report).into_iter().collect();
        assert_eq!(exit, 0, "{name}: {wrong:?}: {report:#}");
    }
}

/// The server's own zone is two hours ahead: all of it holds there, too.
#[test]
fn like_values_are_like_in_another_zone() {
    let bed = TestBed::new(Backend::Mysql);
    ahead(&bed);
    for (name, (begin, change)) in [("keyed", as_columns(ALIKE)), ("keyless", as_tables(ALIKE))] {
        let site = bed.at(name, &[&begin, &change]);
        let (report, exit) = site.report(&["up"]);
        let wrong: Vec<_> = subjects(&report).into_iter().collect();
        assert_eq!(exit, 0, "{name}: {wrong:?}: {report:#}");
    }
}

fn ahead(bed: &TestBed) {
    run_sql(&bed.site("zone").url, "SET GLOBAL time_zone = '+02:00'");
}

/// At ten o'clock in UTC, which is noon for whoever connects to the server.
const NOON: &str = "CREATE TABLE m (id INT PRIMARY KEY, t TIMESTAMP NULL, d DATETIME, u INT, a INT DEFAULT 1, b INT DEFAULT 1);
INSERT INTO m (id, t, d, u) VALUES (1, from_unixtime(1782900000), from_unixtime(1782900000), 1782900000);
";

#[test]
fn files_run_as_in_any_other_client() {
    let bed = TestBed::new(Backend::Mysql);
    ahead(&bed);
    let site = |name: &str, change: &str| -> Site { bed.at(name, &[NOON, change]) };
    for (name, change, column, is) in [
        (
            "local",
            "ALTER TABLE m MODIFY t DATETIME",
            "t",
            "2026-07-01 12:00:00",
        ),
        // The file says so itself.
        (
            "utc",
            "SET time_zone = '+00:00'; ALTER TABLE m MODIFY t DATETIME",
            "t",
            "2026-07-01 10:00:00",
        ),
        (
            "instant",
            "ALTER TABLE m MODIFY d TIMESTAMP NULL",
            "CAST(unix_timestamp(d) AS UNSIGNED)",
            "1782900000",
        ),
        (
            "counted",
            "ALTER TABLE m ADD n DATETIME; UPDATE m SET n = from_unixtime(u)",
            "n",
            "2026-07-01 12:00:00",
        ),
        (
            "either",
            "ALTER TABLE m ADD n INT; UPDATE m SET n = a || b",
            "n",
            "1",
        ),
        (
            "mode",
            "CREATE TRIGGER r BEFORE INSERT ON m FOR EACH ROW SET NEW.a = 1",
            "(SELECT sql_mode = @@GLOBAL.sql_mode FROM information_schema.triggers WHERE trigger_schema = database())",
            "1",
        ),
    ] {
        let site = site(name, change);
        site.up();
        let now = site.texts(&format!("SELECT CAST({column} AS CHAR) FROM m"));
        assert_eq!(now, [is], "{name}");
    }
    let moved = "SET time_zone = '+05:00'; ALTER TABLE m MODIFY t DATETIME";
    let (report, exit) = site("moved", moved).report(&["up"]);
    assert_eq!(exit, 1, "{report:#}");
    assert_eq!(subjects(&report), ["m.t".to_owned()].into());
}

#[test]
fn unlike_values_are_unlike() {
    let bed = TestBed::new(Backend::Mysql);
    for (name, part, (begin, change)) in [
        ("keyed", "c.v", as_columns(UNLIKE)),
        ("keyless", "c", as_tables(UNLIKE)),
    ] {
        let site = bed.at(name, &[&begin, &change]);
        let (report, exit) = site.report(&["up"]);
        assert_eq!(exit, 1, "{name}: {report:#}");
        let all = (0..UNLIKE.len()).map(|number| format!("{part}{number}"));
        let missed: Vec<_> = all.filter(|it| !subjects(&report).contains(it)).collect();
        let of = |name: &String| {
            let number: usize = name[part.len()..].parse().unwrap();
            let Conversion(from, values, to) = &UNLIKE[number];
            format!("{name}: {from} {values:?} to {to}")
        };
        let missed: Vec<_> = missed.iter().map(of).collect();
        assert!(missed.is_empty(), "{name}: {missed:#?}");
    }
}
