//! Every type of every backend comes as the engine prints it, and as the kind of value it is.

use crate::common::stores::{Store, execute, on_each_backend};
use chatctl::db::Db;
use chatctl::model::{Cell, CellRef};
use std::ops::ControlFlow;
use std::time::Duration;

on_each_backend! {
    every_type_comes_as_the_engine_prints_it
}

fn text(text: &str) -> Cell {
    Cell::Text(text.to_owned())
}

/// A column's type, a value as SQL writes it, and how it comes.
type Typed = (&'static str, &'static str, Cell);

fn sqlite_types() -> Vec<Typed> {
    vec![
        ("INTEGER", "9223372036854775807", Cell::Int(i64::MAX)),
        (
            "DATETIME",
            "'2026-01-02 03:04:05'",
            text("2026-01-02 03:04:05"),
        ),
        ("REAL", "1.5", Cell::Real(1.5)),
        ("BOOLEAN", "TRUE", Cell::Int(1)),
        ("BLOB", "x'00ff'", Cell::Blob(vec![0, 255])),
        ("JSON", "'{\"a\": 1}'", text("{\"a\": 1}")),
        ("TEXT", "NULL", Cell::Null),
    ]
}

fn postgres_types() -> Vec<Typed> {
    vec![
        ("int2", "-32768", Cell::Int(-32768)),
        ("int8", "-9223372036854775808", Cell::Int(i64::MIN)),
        ("oid", "4294967295", Cell::Int(4_294_967_295)),
        ("float4", "0.1", Cell::Real(0.1)),
        ("float8", "0.1", Cell::Real(0.1)),
        ("float8", "'-Infinity'", Cell::Real(f64::NEG_INFINITY)),
        (
            "numeric(20,5)",
            "123456789012345.10000",
            text("123456789012345.10000"),
        ),
        ("numeric", "'NaN'", text("NaN")),
        ("money", "1234.5", text("$1,234.50")),
        ("bool", "true", Cell::Int(1)),
        ("bool", "false", Cell::Int(0)),
        ("bytea", "'\\x00ff'", Cell::Blob(vec![0, 255])),
        ("bytea", "''", Cell::Blob(Vec::new())),
        ("text", "'\u{20ac} \\n ''x'''", text("\u{20ac} \\n 'x'")),
        ("text", "''", text("")),
        ("char(4)", "'ab'", text("ab  ")),
        ("\"char\"", "'a'", text("a")),
        ("name", "'a'", text("a")),
        ("words", "'a'", text("a")),
        ("mood", "'so so'", text("so so")),
        ("mood[]", "'{so so,good}'", text("{\"so so\",good}")),
        (
            "uuid",
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        (
            "json",
            "'{\"b\": 1,  \"a\": 2}'",
            text("{\"b\": 1,  \"a\": 2}"),
        ),
        (
            "jsonb",
            "'{\"b\": 1,  \"a\": 2}'",
            text("{\"a\": 2, \"b\": 1}"),
        ),
        ("date", "'infinity'", text("infinity")),
        ("time", "'03:04:05.6'", text("03:04:05.6")),
        ("timetz", "'03:04:05+02'", text("03:04:05+02")),
        (
            "timestamp",
            "'2026-01-02 03:04:05.678901'",
            text("2026-01-02 03:04:05.678901"),
        ),
        (
            "timestamptz",
            "'2026-01-02 03:04:05+02'",
            text("2026-01-02 01:04:05+00"),
        ),
        (
            "interval",
            "'1 year 2 days 03:04:05'",
            text("1 year 2 days 03:04:05"),
        ),
        ("int4[]", "'{1,NULL,3}'", text("{1,NULL,3}")),
        ("text[]", "ARRAY['a b', 'c\"']", text("{\"a b\",\"c\\\"\"}")),
        ("bit(3)", "B'101'", text("101")),
        ("varbit", "B'1'", text("1")),
        ("inet", "'10.0.0.1/24'", text("10.0.0.1/24")),
        ("cidr", "'10.0.0.0/8'", text("10.0.0.0/8")),
        ("macaddr", "'08:00:2b:01:02:03'", text("08:00:2b:01:02:03")),
        ("point", "'(1,2)'", text("(1,2)")),
        ("int4range", "'[1,5)'", text("[1,5)")),
        ("tsvector", "'a b'", text("'a' 'b'")),
        ("xml", "'<a/>'", text("<a/>")),
        ("pair", "ROW(1, 'a b')", text("(1,\"a b\")")),
        ("timestamptz", "NULL", Cell::Null),
    ]
}

fn mysql_types() -> Vec<Typed> {
    vec![
        ("TINYINT", "-128", Cell::Int(-128)),
        ("BOOLEAN", "TRUE", Cell::Int(1)),
        ("INT UNSIGNED", "4294967295", Cell::Int(4_294_967_295)),
        ("BIGINT", "-9223372036854775808", Cell::Int(i64::MIN)),
        ("BIGINT UNSIGNED", "7", Cell::Int(7)),
        (
            "BIGINT UNSIGNED",
            "18446744073709551615",
            text("18446744073709551615"),
        ),
        ("YEAR", "2026", Cell::Int(2026)),
        ("FLOAT", "1.5", Cell::Real(1.5)),
        ("DOUBLE", "0.1", Cell::Real(0.1)),
        (
            "DECIMAL(20,5)",
            "123456789012345.1",
            text("123456789012345.10000"),
        ),
        ("BIT(1)", "b'1'", Cell::Int(1)),
        ("BIT(12)", "b'100000000001'", Cell::Int(2049)),
        ("BIT(64)", "~0", text("18446744073709551615")),
        ("CHAR(4)", "'ab'", text("ab")),
        ("VARCHAR(20)", "'\u{20ac} ''x'''", text("\u{20ac} 'x'")),
        (
            "VARCHAR(20) CHARACTER SET latin1",
            "'\u{e4}'",
            text("\u{e4}"),
        ),
        ("LONGTEXT", "''", text("")),
        // Its column has the flag of a binary one, and is a text all the same.
        ("TEXT COLLATE utf8mb4_bin", "'\u{1f600}'", text("\u{1f600}")),
        ("VARCHAR(9) COLLATE utf8mb4_bin", "'a'", text("a")),
        ("BINARY(2)", "x'00ff'", Cell::Blob(vec![0, 255])),
        ("VARBINARY(9)", "x'00ff'", Cell::Blob(vec![0, 255])),
        ("BLOB", "'text'", Cell::Blob(b"text".to_vec())),
        ("ENUM('so so', 'good')", "'so so'", text("so so")),
        ("SET('a', 'b')", "'b,a'", text("a,b")),
        (
            "JSON",
            "'{\"b\": 1,  \"a\": 2}'",
            text("{\"b\": 1,  \"a\": 2}"),
        ),
        (
            "UUID",
            "'A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11'",
            text("a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
        ),
        ("INET6", "'::1'", text("::1")),
        ("DATE", "'2026-01-02'", text("2026-01-02")),
        ("TIME(1)", "'-100:04:05.6'", text("-100:04:05.6")),
        (
            "DATETIME(6)",
            "'2026-01-02 03:04:05.678901'",
            text("2026-01-02 03:04:05.678901"),
        ),
        (
            "TIMESTAMP NULL",
            "from_unixtime(0.0 + 86400)",
            text("1970-01-02 00:00:00"),
        ),
        ("DATETIME", "NULL", Cell::Null),
    ]
}

async fn every_type_comes_as_the_engine_prints_it(store: &Store) {
    let db = store.open().await;
    let types = store.pick(sqlite_types(), postgres_types(), mysql_types());
    if let Store::Postgres(_) = store {
        let sql = "CREATE TYPE mood AS ENUM ('so so', 'good'); CREATE DOMAIN words AS text;
            CREATE TYPE pair AS (a int, b text)";
        execute(db.as_ref(), sql).await;
    }
    let columns: Vec<_> = (0..types.len())
        .map(|i| format!("c{i} {}", types[i].0))
        .collect();
    let values: Vec<_> = types.iter().map(|(_, value, _)| *value).collect();
    let sql = format!(
        "CREATE TABLE t ({}); INSERT INTO t VALUES ({})",
        columns.join(", "),
        values.join(", ")
    );
    execute(db.as_ref(), &sql).await;
    let rows = db.rows("SELECT * FROM t", &[]).await.unwrap();
    for ((declared, value, expected), cell) in types.iter().zip(&rows[0]) {
        assert_eq!(cell, expected, "{declared} {value}");
    }
    let view = chatctl::db::open_snapshot_read(db.target().clone(), &[], Duration::from_secs(60))
        .await
        .unwrap();
    assert_eq!(view.rows("SELECT * FROM t", &[]).await.unwrap(), rows);
    for db in [db.as_ref(), view.as_ref() as &dyn Db] {
        let mut scanned: Vec<Vec<Cell>> = Vec::new();
        let mut each = |row: &[CellRef<'_>]| {
            scanned.push(row.iter().map(|cell| Cell::from(*cell)).collect());
            Ok(ControlFlow::Continue(()))
        };
        db.scan("SELECT * FROM t", &[], &mut each).await.unwrap();
        assert_eq!(scanned, rows);
    }
    drop(view);
    let mut writer = db.writer(Duration::ZERO).await.unwrap();
    assert_eq!(writer.value("SELECT c0 FROM t").await.unwrap(), types[0].2);
}
