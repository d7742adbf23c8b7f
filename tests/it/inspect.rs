//! `chatctl inspect`: what a store of each backend looks like through it.

mod redact;

use crate::common::stores::{Store, execute, on_each_backend};
use crate::common::{chatctl, text};
use serde_json::{Value, json};
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// `chatctl inspect` of a store.
fn inspect(store: &Store, arguments: &[&str]) -> Command {
    let mut command = chatctl();
    command.args(["inspect", "--database-url", &store.url()]);
    command.args(arguments);
    command
}

/// A query whose rows come without an end.
fn endless(store: &Store) -> &'static str {
    store.pick(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT i FROM n",
        "SELECT generate_series(1, 2000000000) AS i",
        "SELECT a.id AS i FROM message a, message b, message c, message d, message e, message f, message g, message h,
            message j, message k, message l, message m, message o, message p, message q, message r",
    )
}

/// Its JSON document.
fn document(store: &Store, arguments: &[&str]) -> Value {
    let output = inspect(store, arguments)
        .args(["--format", "json"])
        .output()
        .unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out}"))
}

async fn chat(store: &Store) {
    let db = store.open().await;
    let text = store.pick("TEXT", "TEXT", "VARCHAR(200)");
    execute(
        &*db,
        &format!(
            "CREATE TABLE conversation (id INTEGER PRIMARY KEY, title {text} DEFAULT 'new');
             CREATE TABLE message (id INTEGER PRIMARY KEY, conversation_id INTEGER NOT NULL, content {text},
                CONSTRAINT fk FOREIGN KEY (conversation_id) REFERENCES conversation (id));
             CREATE INDEX by_conversation ON message (conversation_id, id);
             INSERT INTO conversation VALUES (1, 'Milk');
             INSERT INTO message VALUES (1, 1, 'buy milk'), (2, 1, 'bought'), (3, 1, NULL);"
        ),
    )
    .await;
}

async fn tables_are_counted_and_known_again(store: &Store) {
    chat(store).await;
    let sheet = document(store, &["tables"]);
    let rows = sheet["rows"].as_array().unwrap();
    let told: Vec<_> = rows
        .iter()
        .map(|row| (&row["table"], &row["rows"]))
        .collect();
    assert_eq!(
        told,
        [
            (&json!("conversation"), &json!(1)),
            (&json!("message"), &json!(3))
        ]
    );
    for row in rows {
        assert!(row["bytes"].as_u64().unwrap() > 0, "{row}");
        let evidence = row["evidence"].as_str().unwrap();
        assert!(
            evidence.starts_with(store.pick("root page ", "oid ", "created 20")),
            "{evidence}"
        );
    }
    // Made again with the same rows, it is not the same table.
    let before = rows[1]["evidence"].clone();
    let db = store.open().await;
    std::thread::sleep(Duration::from_millis(store.pick(0, 0, 1100)));
    execute(
        &*db,
        "DROP TABLE message; CREATE TABLE message (id INTEGER)",
    )
    .await;
    let after = document(store, &["tables"]);
    assert_ne!(after["rows"][1]["evidence"], before);
}

async fn a_schema_shows_columns_keys_and_indexes(store: &Store) {
    chat(store).await;
    let sheet = document(store, &["schema", "MESSAGE"]);
    let rows = sheet["rows"].as_array().unwrap();
    assert!(
        rows.iter().all(|row| row["table"] == "message"),
        "{rows:#?}"
    );
    let find = |part: &str, within: &str| {
        let found = rows
            .iter()
            .find(|row| row["part"] == part && row.to_string().contains(within));
        found
            .unwrap_or_else(|| panic!("no {part} {within} in {rows:#?}"))
            .clone()
    };
    assert_eq!(find("column", "conversation_id")["null"], "no");
    assert_eq!(find("column", "\"content\"")["null"], "yes");
    find("primary key", "id");
    let key = find("foreign key", "conversation");
    let definition = key["definition"].as_str().unwrap().to_lowercase();
    assert!(
        definition.contains("references conversation"),
        "{definition}"
    );
    find("index", "conversation_id, id");
    let all = document(store, &["schema"]);
    assert!(
        all.to_string().contains("'new'"),
        "the default of a column: {all:#}"
    );
    let output = inspect(store, &["schema", "mesage"]).output().unwrap();
    let (_, err) = text(&output);
    assert_eq!(output.status.code(), Some(2));
    assert!(err.contains("did you mean `message`?"), "{err}");
}

/// Every type is what the engine prints; a number keeps every digit.
async fn types_are_rendered_truly(store: &Store) {
    let sqlite = (
        "SELECT 9223372036854775807 AS big, 1.5 AS real, 2.0 AS whole, 'é' AS txt, x'00ff' AS raw, NULL AS none,
            CAST(x'ff' AS TEXT) AS odd, 1 AS same, 2 AS same",
        json!({"big": 9223372036854775807_i64, "real": 1.5, "whole": 2.0, "txt": "é", "raw": {"blob": "00ff"},
            "none": null, "odd": {"blob": "ff"}, "same": 1, "same_2": 2}),
    );
    let postgres = (
        "SELECT 9223372036854775807 AS big, 0.1::float4 AS f, 12345678901234567890.50 AS dec, 'NaN'::numeric AS nan,
            true AS yes, '2026-01-02 03:04:05.678+02'::timestamptz AS at, '{\"a\": [1]}'::jsonb AS doc,
            '00000000-0000-0000-0000-00000000000a'::uuid AS id, ARRAY[1,2] AS many, '\\x00ff'::bytea AS raw,
            interval '1 day 2 h' AS span, NULL::int AS none, 1 AS same, 2 AS same",
        json!({"big": 9223372036854775807_i64, "f": 0.1, "nan": "NaN", "yes": true,
            "at": "2026-01-02 01:04:05.678+00", "doc": "{\"a\": [1]}", "id": "00000000-0000-0000-0000-00000000000a",
            "many": "{1,2}", "raw": {"blob": "00ff"}, "span": "1 day 02:00:00", "none": null, "same": 1, "same_2": 2}),
    );
    let mysql = (
        "SELECT 18446744073709551615 AS big, CAST(0.1 AS DOUBLE) AS f, CAST('1.50' AS DECIMAL(9,2)) AS dec_,
            CAST('2026-01-02 03:04:05.678' AS DATETIME(3)) AS at_, CAST('2026-01-02' AS DATE) AS day_, 'é' AS txt,
            x'00ff' AS raw, b'101' + 0 AS bits, NULL AS none, 1 AS same, 2 AS same",
        json!({"big": 18446744073709551615_u64, "f": 0.1, "at_": "2026-01-02 03:04:05.678", "day_": "2026-01-02",
            "txt": "é", "raw": {"blob": "00ff"}, "bits": 5, "none": null, "same": 1, "same_2": 2}),
    );
    let (sql, expected) = store.pick(sqlite, postgres, mysql);
    let sheet = document(store, &["sql", sql]);
    for (key, value) in expected.as_object().unwrap() {
        assert_eq!(&sheet["rows"][0][key], value, "{key} of {sheet:#}");
    }
    // No type that rounds lies between the engine and the page.
    let output = inspect(store, &["sql", sql, "--format", "jsonl"])
        .output()
        .unwrap();
    let (line, _) = text(&output);
    let exact = store.pick(
        "\"whole\": 2.0",
        "12345678901234567890.50",
        "\"dec_\": 1.50",
    );
    assert!(line.contains(exact), "{line}");
    let names = sheet["columns"].as_array().unwrap();
    assert_eq!(
        names
            .iter()
            .filter(|column| column["name"] == "same")
            .count(),
        2
    );
}

async fn no_rows_still_have_columns(store: &Store) {
    chat(store).await;
    let output = inspect(
        store,
        &[
            "sql",
            "SELECT id, content FROM message WHERE 1 = 0",
            "--format",
            "csv",
        ],
    )
    .output()
    .unwrap();
    assert_eq!(text(&output).0, "id,content\r\n");
}

async fn a_limit_cuts_and_says_so(store: &Store) {
    chat(store).await;
    let endless = endless(store);
    let output = inspect(store, &["sql", endless, "--limit", "5", "--format", "json"])
        .output()
        .unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(
        err.contains("note: 5 rows shown, the limit; more may exist (--limit)"),
        "{err}"
    );
    let sheet: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (sheet["rows"].as_array().unwrap().len(), &sheet["cut"]),
        (5, &json!(true))
    );
    // Exactly as many as there are is no cut.
    let sheet = document(store, &["sql", "SELECT id FROM message", "--limit", "3"]);
    assert_eq!(sheet["cut"], false);
}

async fn a_query_that_takes_too_long_is_stopped(store: &Store) {
    chat(store).await;
    let endless = store.pick(
        "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
        "SELECT pg_sleep(600)",
        "SELECT benchmark(100000000000, md5('a'))",
    );
    let begun = Instant::now();
    let output = inspect(store, &["sql", endless, "--timeout", "300ms"])
        .output()
        .unwrap();
    let (out, err) = text(&output);
    assert_eq!(output.status.code(), Some(3), "{out}{err}");
    assert!(err.contains("--timeout"), "{err}");
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "it was waited for"
    );
}

async fn a_signal_stops_the_query(store: &Store) {
    chat(store).await;
    let endless = endless(store);
    let mut child = inspect(
        store,
        &[
            "sql",
            endless,
            "--limit",
            "0",
            "--timeout",
            "10m",
            "--format",
            "csv",
        ],
    )
    .stdout(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert_eq!(
        lines.next().unwrap().unwrap(),
        "i",
        "rows come while the query runs"
    );
    let id = nix::unistd::Pid::from_raw(i32::try_from(child.id()).unwrap());
    nix::sys::signal::kill(id, nix::sys::signal::Signal::SIGINT).unwrap();
    // What was read before is still to be taken.
    let rest = std::thread::spawn(move || lines.count());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    rest.join().unwrap();
}

async fn a_reader_that_goes_ends_it(store: &Store) {
    chat(store).await;
    let endless = endless(store);
    let mut child = inspect(
        store,
        &[
            "sql",
            endless,
            "--limit",
            "0",
            "--timeout",
            "10m",
            "--format",
            "jsonl",
        ],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next().unwrap().unwrap().starts_with("{\"i\": "));
    drop(lines);
    let output = child.wait_with_output().unwrap();
    let (_, err) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{err}");
    assert!(!err.contains("error"), "{err}");
}

on_each_backend! {
    tables_are_counted_and_known_again
    a_schema_shows_columns_keys_and_indexes
    types_are_rendered_truly
    no_rows_still_have_columns
    a_limit_cuts_and_says_so
    a_query_that_takes_too_long_is_stopped
    a_signal_stops_the_query
    a_reader_that_goes_ends_it
    a_large_value_is_cut_and_says_so
}

fn sqlite() -> Store {
    let store = Store::sqlite();
    crate::common::stores::run(chat(&store));
    store
}

#[test]
fn a_query_is_read_from_stdin_and_a_pipe_gets_no_pager() {
    let store = sqlite();
    let mut child = inspect(&store, &["sql", "-"])
        .env("PAGER", "/no/such/pager")
        .env("CHATCTL_PAGER", "false")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"SELECT content FROM message WHERE id = 1;\n")
        .unwrap();
    drop(stdin);
    let (out, _) = text(&child.wait_with_output().unwrap());
    assert!(out.contains("buy milk") && out.contains("1 row"), "{out}");
}

#[test]
fn a_format_that_cannot_carry_it_is_a_usage_error() {
    let store = sqlite();
    for (arguments, can) in [
        (
            &["inspect", "tables", "--format", "sarif"][..],
            "human, json, jsonl, csv, markdown",
        ),
        (
            &["inspect", "tables", "--report", "junit=x.xml"],
            "human, json, jsonl, csv, markdown",
        ),
        (
            &["migrate", "status", "--format", "csv"],
            "human, json, junit, sarif, github, jsonl, markdown",
        ),
    ] {
        let output = chatctl()
            .args(arguments)
            .args(["--database-url", &store.url()])
            .output()
            .unwrap();
        let (_, err) = text(&output);
        assert_eq!(output.status.code(), Some(2), "{err}");
        assert!(err.contains(&format!("hint: one of {can}\n")), "{err}");
    }
}

#[test]
fn a_view_goes_to_further_files_too() {
    let store = sqlite();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("rows.csv");
    let output = inspect(&store, &["sql", "SELECT id, content FROM message"])
        .args(["--report", &format!("csv={}", file.display())])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let csv = std::fs::read_to_string(file).unwrap();
    assert_eq!(csv, "id,content\r\n1,buy milk\r\n2,bought\r\n3,\r\n");
}

#[test]
fn a_wrong_query_is_the_callers_fault() {
    for store in [Store::sqlite(), Store::postgres(), Store::mysql()] {
        for sql in [
            "SELECT nothing FROM nowhere",
            "SELECT FROM WHERE",
            "",
            "SELECT 1 1",
        ] {
            let output = inspect(&store, &["sql", sql]).output().unwrap();
            let (out, err) = text(&output);
            assert_eq!(
                (output.status.code(), out.as_str()),
                (Some(2), ""),
                "{sql}: {err}"
            );
        }
    }
}

/// The query comes as it is: what is behind a NUL would not be read.
#[test]
fn a_nul_in_a_query_is_an_error() {
    for store in [sqlite(), Store::postgres(), Store::mysql()] {
        let mut child = inspect(&store, &["sql", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(b"SELECT 1\0 WHERE 1 = 0").unwrap();
        drop(stdin);
        let output = child.wait_with_output().unwrap();
        let (out, err) = text(&output);
        assert_eq!((output.status.code(), out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains("NUL"), "{err}");
    }
}

/// What is larger than a cell may be is cut where it is read, and said to be.
async fn a_large_value_is_cut_and_says_so(store: &Store) {
    let large = store.pick(
        "SELECT hex(zeroblob(2500000)) AS a, zeroblob(3000) AS b",
        "SELECT repeat('é', 2500000) AS a, decode(repeat('00', 3000), 'hex') AS b",
        "SELECT repeat('é', 2500000) AS a, unhex(repeat('00', 3000)) AS b",
    );
    let run = |longest: &str| {
        let output = inspect(
            store,
            &["sql", large, "--max-cell", longest, "--format", "json"],
        )
        .output()
        .unwrap();
        let (out, err) = text(&output);
        assert_eq!(output.status.code(), Some(0), "{err}");
        (serde_json::from_str::<Value>(&out).unwrap(), err)
    };
    let (sheet, err) = run("1001");
    let cell = sheet["rows"][0]["a"].as_str().unwrap();
    assert!(
        cell.contains("… (cut: 100") && cell.len() < 1100,
        "{}",
        &cell[..1100.min(cell.len())]
    );
    assert!(sheet["rows"][0]["b"]["blob"].as_str().unwrap().len() <= 2002);
    assert_eq!(sheet["cut"], true);
    assert!(err.contains("2 values are longer than 1001 bytes"), "{err}");
    let (sheet, err) = run("10M");
    assert_eq!(
        sheet["rows"][0]["a"].as_str().unwrap().chars().count() / 2_500_000,
        store.pick(2, 1, 1)
    );
    assert!(!err.contains("longer"), "{err}");
}

/// SQLite takes a placeholder for NULL, and would show no rows.
#[test]
fn a_query_with_a_placeholder_is_refused() {
    let store = crate::common::stores::Store::sqlite();
    crate::common::stores::run(async {
        let db = store.open().await;
        crate::common::stores::execute(db.as_ref(), "CREATE TABLE a (b TEXT)").await;
    });
    for (sql, exit) in [
        ("SELECT * FROM a WHERE b = ?", 2),
        ("SELECT * FROM a WHERE b = '?'", 0),
    ] {
        let mut chatctl = crate::common::chatctl();
        chatctl.args(["inspect", "sql", sql, "--database-url", &store.url()]);
        let output = chatctl.output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{sql}: {output:?}");
    }
}
