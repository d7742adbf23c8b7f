//! No mode that is right is ever violated; none that is wrong is ever proven or held.
//! One run of each mode; `benches/matrix.py` does many on every stack.

use crate::common::servers::{MariaDb, Postgres};
use crate::common::{Chat, side_by_side};

/// The framework that each stack runs on: what most people take, or what that is built on.
fn framework(stack: &str) -> &'static str {
    if stack == "sync" {
        "fastapi"
    } else {
        "starlette"
    }
}

fn verdict(
    mode: &'static str,
    stack: &'static str,
    journal: &'static str,
) -> (String, serde_json::Value) {
    let transport = if journal == "wal" { "starlette" } else { "sse" };
    let chat = Chat::new(mode)
        .stack(stack)
        .set("FRAMEWORK", framework(stack))
        .journal(journal)
        .transport(transport);
    let (report, _) = chat.report(&["--proof", "gate", "--trials", "3"]);
    (report["verdict"].as_str().unwrap().to_owned(), report)
}

fn right(mode: &'static str, stack: &'static str, journal: &'static str) {
    let (verdict, report) = verdict(mode, stack, journal);
    assert_ne!(
        verdict, "violated",
        "{mode} on {stack} is right: {report:#}"
    );
}

fn wrong(mode: &'static str, stack: &'static str, journal: &'static str) {
    let (verdict, report) = verdict(mode, stack, journal);
    assert!(
        verdict == "violated" || verdict == "inconclusive",
        "{mode} on {stack} is wrong and was {verdict}: {report:#}"
    );
}

macro_rules! modes {
    ($($test:ident: $judge:ident($stack:ident, $journal:ident);)*) => {
        $(#[test] fn $test() { $judge(stringify!($test), stringify!($stack), stringify!($journal)); })*
        /// Every mode whose truth is reported has a test.
        #[test]
        fn every_mode_is_here() {
            let listed = std::process::Command::new(crate::common::python())
                .args(["-m", "chat.modes"])
                .current_dir(crate::common::root().join("tests/servers"))
                .output()
                .unwrap();
            let listed = String::from_utf8(listed.stdout).unwrap();
            let mut here = vec![$((stringify!($test), stringify!($judge))),*];
            let mut told: Vec<_> = listed
                .lines()
                .filter_map(|line| match line.split_once(' ')? {
                    (mode, "pass") => Some((mode, "right")),
                    (mode, "violation") => Some((mode, "wrong")),
                    _ => None,
                })
                .collect();
            here.sort_unstable();
            told.sort_unstable();
            assert_eq!(here, told);
        }
    };
}

modes! {
    correct: right(sync, wal);
    finish_reason: right(async, wal);
    ph_correct: right(raw, wal);
    tok_pre: right(sync, delete);
    tok_post: right(async, delete);
    tok_batch_correct: right(raw, delete);
    chars_batch_correct: right(sync, wal);
    touch_correct: right(sync, delete);
    save_touch: right(async, wal);
    conc_both: right(raw, wal);
    three_transactions: right(sync, wal);
    keyed_by_provider: right(async, delete);
    held_correct: right(raw, delete);
    correct_slow: right(sync, delete);
    long_tx_correct: right(async, wal);
    after: wrong(raw, wal);
    background: wrong(sync, wal);
    create_task: wrong(async, wal);
    // Not on raw: the save blocks the loop there, and so the order is right by accident.
    create_task_slow: wrong(sync, delete);
    write_behind: wrong(sync, wal);
    ph_after: wrong(async, delete);
    tok_batch_after: wrong(raw, delete);
    chars_batch_after: wrong(sync, delete);
    touch_after: wrong(sync, wal);
    slow_after: wrong(async, wal);
    long_tx_after: wrong(raw, wal);
    conc_writer: wrong(sync, delete);
    // Not on raw: the next request waits there for the lock of the save, and keeps the loop from saving.
    depends_commit: wrong(sync, wal);
    flush_after: wrong(raw, delete);
    acknowledge_then_flush: wrong(sync, delete);
}

/// The order of a plain right server is not only not violated: it is proven, in both journals. On raw
/// the final marker follows the commit within a fifth of a millisecond.
#[test]
fn a_right_server_is_proven() {
    let cases = ["sync", "async", "raw"].map(|stack| ["wal", "delete"].map(|it| (stack, it)));
    side_by_side(&cases.concat(), |(stack, journal)| {
        let chat = Chat::new("correct").stack(stack).journal(journal);
        let (report, exit) = chat.report(&["--proof", "gate", "--trials", "3"]);
        assert_eq!(
            (report["verdict"].as_str().unwrap(), exit),
            ("proven", 0),
            "{stack} {journal}: {report:#}"
        );
        // The evidence names the thread and the file.
        let order = crate::common::case(&report, "/order");
        let moments = order["timeline"].as_array().unwrap();
        let commit = |moment: &serde_json::Value| {
            let by = moment["commit"]["by"].as_str()?.to_owned();
            let what = moment["commit"]["commit"].as_str()?.to_owned();
            Some((by, what))
        };
        let (by, what) = moments.iter().find_map(commit).unwrap();
        let file = if *journal == "wal" {
            "chat.db-wal"
        } else {
            "chat.db-journal"
        };
        assert!(by.starts_with("thread ") && by.ends_with(')'), "{by}");
        assert!(what.contains(file), "{what}");
    });
}

/// What servers of databases are asked to tell apart, and the driver that they use.
const ON_A_WIRE: [(&str, &str); 9] = [
    ("correct", "proven"),
    ("long_tx_correct", "proven"),
    ("save_touch", "proven"),
    ("conc_both", "proven"),
    ("three_transactions", "proven"),
    ("after", "violated"),
    ("long_tx_after", "violated"),
    ("conc_writer", "violated"),
    ("flush_after", "violated"),
];

/// Every mode with the next driver, each a database of its own.
fn on_a_wire(database: impl Fn(&str) -> String + Sync, drivers: &[(&str, &str)]) {
    let cases: Vec<_> = ON_A_WIRE.into_iter().zip(drivers.iter().cycle()).collect();
    side_by_side(&cases, |((mode, wanted), (stack, driver))| {
        let chat = Chat::new(mode).stack(stack).on(database(mode), driver);
        let (report, _) = chat.report(&["--proof", "gate", "--trials", "3"]);
        let order = crate::common::case(&report, "/order");
        assert_eq!(
            order["verdict"], *wanted,
            "{mode} with {driver}: {report:#}"
        );
    });
}

#[test]
fn the_order_is_reported_on_postgresql() {
    let server = Postgres::start();
    let drivers = [
        ("async", "asyncpg"),
        ("async", "psycopg"),
        ("sync", "psycopg2"),
        ("sync", "pg8000"),
    ];
    on_a_wire(|mode| server.database(mode), &drivers);
}

#[test]
fn the_order_is_reported_on_mariadb() {
    let server = MariaDb::start();
    let drivers = [
        ("async", "aiomysql"),
        ("async", "asyncmy"),
        ("sync", "pymysql"),
    ];
    on_a_wire(|mode| server.database(mode), &drivers);
}

/// What becomes of a save that fails is reported there too: the commit fails at the gate, without a right
/// in the database.
#[test]
fn a_save_that_fails_is_reported_on_postgresql() {
    let server = Postgres::start();
    for (mode, code) in [("correct", None), ("swallow", Some("swallows-save-errors"))] {
        let chat = Chat::new(mode)
            .stack("async")
            .on(server.database(mode), "asyncpg");
        let (report, exit) = chat.report(&["--trials", "3"]);
        let found = crate::common::errors(&report);
        assert_eq!(found, code.into_iter().collect::<Vec<_>>(), "{report:#}");
        assert_eq!(exit, i32::from(code.is_some()));
        let fails = crate::common::case(&report, "/save-fails");
        assert_eq!(fails["verdict"] == "violated", code.is_some(), "{fails:#}");
    }
}

/// A server that cancels a save which takes long, and ends as if nothing was wrong: the proxy answers the
/// request to cancel, for the database was never sent the statement.
#[test]
fn a_save_that_is_cancelled_is_not_proven_on_postgresql() {
    let server = Postgres::start();
    let drops = "waits_briefly_for_saves";
    let reports = "waits_briefly_and_reports";
    let cases = [(drops, "asyncpg"), (drops, "psycopg"), (reports, "asyncpg")];
    side_by_side(&cases, |(mode, driver)| {
        let database = server.database(&format!("{mode}_{driver}"));
        let chat = Chat::new(mode).stack("async").on(database, driver);
        let (report, exit) = chat.report(&["--proof", "gate", "--trials", "3"]);
        let order = crate::common::case(&report, "/order");
        assert_eq!(order["verdict"], "inconclusive", "{driver}: {report:#}");
        let found = (crate::common::errors(&report), exit);
        if *mode == drops {
            assert_eq!(
                found,
                (vec!["swallows-save-errors"], 1),
                "{driver}: {report:#}"
            );
            let order = order.to_string();
            assert!(
                order.contains("the server cancelled a commit"),
                "{report:#}"
            );
        } else {
            assert_eq!(found, (vec![], 3), "{report:#}");
        }
    });
}

/// A proof tells the server's own statements, in words and as fields; `--redact` hides their values.
#[test]
fn the_evidence_is_the_servers_own_sql() {
    let server = Postgres::start();
    for (name, redact) in [("shown", &[][..]), ("hidden", &["--redact"])] {
        // This driver writes values into the statements.
        let chat = Chat::new("three_transactions")
            .stack("sync")
            .on(server.database(name), "psycopg2");
        let mut arguments = vec!["--proof", "gate", "--trials", "3"];
        arguments.extend(redact);
        let (report, _) = chat.report(&arguments);
        let order = crate::common::case(&report, "/order");
        assert_eq!(order["verdict"], "proven", "{report:#}");
        let moments = order["timeline"].as_array().unwrap();
        let of = |event: &str| {
            let commits = moments.iter().filter(|it| it["commit"]["event"] == event);
            commits.map(|it| &it["commit"]).collect::<Vec<_>>()
        };
        let withheld = of("withheld");
        let carries = withheld.iter().find(|it| it["carries_answer"] == true);
        let insert = carries.unwrap()["statements"].to_string();
        assert!(insert.contains("INSERT INTO message"), "{insert}");
        // The conversation's key.
        let mut runs = insert.split(|c: char| !c.is_ascii_hexdigit());
        let has_key = runs.any(|run| run.len() >= 16);
        assert_eq!(has_key, redact.is_empty(), "{insert}");
        let let_through = of("let-through");
        for (index, commit) in let_through.iter().enumerate() {
            assert_eq!(commit["step"], index + 1);
            assert!(commit["withheld_ms"].as_u64().unwrap() >= 300, "{commit:#}");
            assert!(commit["by"].as_str().unwrap().starts_with("connection "));
        }
        let complete: Vec<_> = let_through
            .iter()
            .map(|it| it["row_complete"] == true)
            .collect();
        // The session, then the message; what follows changes no row.
        assert_eq!(complete[..2], [false, true], "{order:#}");
        assert_eq!(of("answer-given").len(), let_through.len());
    }
}

/// A server whose way to its database does not lead through the gate gets no verdict.
#[test]
fn a_server_that_connects_elsewhere_gets_no_verdict() {
    let server = Postgres::start();
    let url = server.database("elsewhere");
    let chat = Chat::new("after").stack("async").on(url.clone(), "asyncpg");
    let start = chat.start().replace("{database_url}", &url);
    let output = crate::common::chatctl()
        .args([
            "verify-stream",
            "--ready",
            "/health",
            "--database-url",
            &url,
        ])
        .args(["--start", &start])
        .output()
        .unwrap();
    let (_, said) = crate::common::text(&output);
    assert_eq!(output.status.code(), Some(3), "{said}");
    for part in [
        "does not connect to its database through chatctl",
        "by postgres from 127.0.0.1",
        "{database_url}",
    ] {
        assert!(said.contains(part), "{part} is not in {said}");
    }
}
