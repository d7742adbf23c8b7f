//! `--fault`: what happens to the very commit that carries the answer, on real databases. A right
//! server is never accused, a wrong one is found, and a fault that can't be made is refused.

use crate::common::servers::{MariaDb, Postgres};
use crate::common::{Chat, case, errors};
use serde_json::Value;

const ON_THE_WIRE: &str =
    "commit-error,lost-before,lost-after,slow,database-gone,too-many-connections";

/// The verdicts of the cases of these faults.
fn verdicts<'a>(report: &'a Value, faults: &'a str) -> Vec<(&'a str, &'a str)> {
    let of = |fault: &'a str| {
        let case = case(report, &format!("/{fault}"));
        assert_eq!(case["fault"], fault);
        (fault, case["verdict"].as_str().unwrap())
    };
    faults.split(',').map(of).collect()
}

/// Those of the faults that violate the promise.
fn violated<'a>(report: &'a Value, faults: &'a str) -> Vec<&'a str> {
    let verdicts = verdicts(report, faults);
    for (fault, verdict) in &verdicts {
        assert!(
            ["held", "violated"].contains(verdict),
            "{fault} {verdict}: {report:#}"
        );
        // A fault that did not happen must not pass.
        let case = case(report, &format!("/{fault}"));
        assert!(
            case["metrics"]["faults"].as_f64().unwrap() >= 1.0,
            "{case:#}"
        );
    }
    let violated = verdicts.into_iter().filter(|it| it.1 == "violated");
    violated.map(|(fault, _)| fault).collect()
}

/// Modes, the faults that each of them does not stand, and the codes that are found.
type Expected = [(
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
)];

const EXPECTED: &Expected = &[
    ("correct", &[], &[]),
    ("retries_what_is_missing", &[], &[]),
    ("retries_blindly", &["lost-after"], &["answer-duplicated"]),
    (
        "swallow",
        &[
            "commit-error",
            "lost-before",
            "database-gone",
            "too-many-connections",
        ],
        &["swallows-save-errors"],
    ),
];

/// Every mode, each in a database of its own. Most of a run is waiting for faults to pass, so they
/// run next to each other.
fn on_the_wire(database: impl Fn(&str) -> String + Sync, drivers: &[(&str, &str)]) {
    let run = |index: usize, (mode, faults, codes): (&'static str, &[&str], &[&str])| {
        let (stack, driver) = drivers[index % drivers.len()];
        let chat = Chat::new(mode).stack(stack).on(database(mode), driver);
        let (report, exit) = chat.report(&["--trials", "3", "--fault", ON_THE_WIRE]);
        assert_eq!(
            violated(&report, ON_THE_WIRE),
            faults,
            "{mode} with {driver}: {report:#}"
        );
        let mut found = errors(&report);
        found.dedup();
        assert_eq!(found, codes, "{mode} with {driver}: {report:#}");
        assert_eq!(exit, i32::from(!codes.is_empty()), "{report:#}");
    };
    std::thread::scope(|scope| {
        for (index, expected) in EXPECTED.iter().enumerate() {
            let run = &run;
            scope.spawn(move || run(index, *expected));
        }
    });
}

#[test]
fn faults_at_the_commit_on_postgresql() {
    let server = Postgres::start();
    on_the_wire(
        |mode| server.database(mode),
        &[("async", "asyncpg"), ("sync", "psycopg2")],
    );
}

#[test]
fn faults_at_the_commit_on_mariadb() {
    let server = MariaDb::start();
    on_the_wire(
        |mode| server.database(mode),
        &[("async", "aiomysql"), ("sync", "pymysql")],
    );
}

/// A slow commit shows the wrong order without a gate that withholds.
#[test]
fn a_slow_commit_finds_a_marker_that_does_not_wait() {
    let server = Postgres::start();
    let chat = Chat::new("create_task_slow")
        .stack("async")
        .on(server.database("slow"), "asyncpg");
    let (report, exit) = chat.report(&["--trials", "3", "--fault", "slow"]);
    let slow = case(&report, "/slow");
    assert_eq!(slow["verdict"], "violated", "{report:#}");
    let found = report["findings"].as_array().unwrap();
    let late =
        |it: &&Value| it["code"] == "saved-after-done" && it["place"]["case"] == slow["name"];
    assert_eq!(found.iter().filter(late).count(), 1, "{report:#}");
    assert_eq!(exit, 1);
}

#[test]
fn faults_at_the_system_call_on_sqlite() {
    let faults = "disk-full,io-error";
    let run = |(way, mode, violations, codes): (&str, &'static str, &[&str], &[&str])| {
        let (journal, stack) = way.split_once(' ').unwrap();
        let chat = Chat::new(mode).stack(stack).journal(journal);
        let (report, exit) = chat.report(&["--trials", "3", "--fault", faults]);
        assert_eq!(violated(&report, faults), violations, "{mode}: {report:#}");
        let mut found = errors(&report);
        found.dedup();
        assert_eq!(found, codes, "{mode}: {report:#}");
        assert_eq!(exit, i32::from(!codes.is_empty()), "{mode}: {report:#}");
    };
    std::thread::scope(|scope| {
        for case in [
            ("wal sync", "correct", &[][..], &[][..]),
            ("delete sync", "retries_blindly", &[], &[]),
            // The commit that fails leaves its rollback journal.
            ("delete async", "correct", &[], &[]),
            (
                "wal sync",
                "swallow",
                &["disk-full", "io-error"],
                &["swallows-save-errors"],
            ),
            // Its final marker comes too, behind an error: it promises nothing.
            ("wal sync", "reports_then_ends", &[], &[]),
        ] {
            scope.spawn(move || run(case));
        }
    });
}

/// What can't be made is refused before anything is started.
#[test]
fn a_fault_that_can_not_be_made_is_refused() {
    let chat = Chat::new("correct");
    for (arguments, words) in [
        (
            &["--fault", "lost-after"][..],
            "on SQLite use disk-full or io-error",
        ),
        (
            &["--fault", "disk-full", "--proof", "observe"],
            "only reads",
        ),
        (
            &["--fault", "io-error", "--gate", "raw-locks"],
            "locks the store",
        ),
    ] {
        let output = chat.verify().args(arguments).output().unwrap();
        let (out, err) = crate::common::text(&output);
        assert!(err.contains(words) || out.contains(words), "{out}{err}");
        assert_eq!(output.status.code(), Some(2), "{out}{err}");
    }
}
