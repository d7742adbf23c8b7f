//! What a deploy does to `chatctl migrate`: an older release starts again, the database is not there yet, and
//! a signal comes at any moment.

use crate::common::backend::Backend;
use crate::common::sites::{Site, TestBed, on_each_bed};
use crate::common::text;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

on_each_bed! {
    an_older_release_leaves_a_newer_database_alone
    a_signal_in_a_statement_is_no_failure
    a_signal_at_any_moment_is_no_failure
}

const BEGIN: &str = "CREATE TABLE messages (id BIGINT PRIMARY KEY, body VARCHAR(100));
INSERT INTO messages VALUES (1, 'a'), (2, 'b'), (3, 'c');
";
/// How long anything may take that has to come.
const BOUND: Duration = Duration::from_secs(60);

fn until(what: &str, mut is: impl FnMut() -> bool) {
    let deadline = Instant::now() + BOUND;
    while !is() {
        assert!(Instant::now() < deadline, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn an_older_release_leaves_a_newer_database_alone(bed: &TestBed) {
    let site = bed.at(
        "talk",
        &[BEGIN, "CREATE TABLE notes (id BIGINT PRIMARY KEY);\n"],
    );
    site.up();
    let (status, exit) = site.report(&["status", "--strict"]);
    assert_eq!(exit, 0, "all files are there: {status:#}");
    fs::remove_file(site.dir().join("2_file.sql")).unwrap();
    let before = site.contents();
    let (status, exit) = site.report(&["status"]);
    let reasons: Vec<_> = status["cases"]
        .as_array()
        .unwrap()
        .iter()
        .map(|case| case["reason"].as_str().unwrap())
        .collect();
    assert!(
        exit == 0 && reasons[1].starts_with("newer: applied at "),
        "{status:#}"
    );
    assert_eq!(site.report(&["status", "--strict"]).1, 10);
    let told = site.refused(&["up"]);
    assert!(
        told.contains("the database is newer than the files") && told.contains("up --allow-newer"),
        "{told}"
    );
    let (report, exit) = site.report(&["up", "--allow-newer"]);
    let reason = report["cases"][0]["reason"].as_str().unwrap();
    assert!(
        exit == 0 && reason.contains("version 2, newer than the files"),
        "{report:#}"
    );
    assert_eq!(site.contents(), before);
    // A file that this release has and the database has not is another matter.
    site.file("0_late.sql", "CREATE TABLE late (id BIGINT PRIMARY KEY);\n");
    let told = site.refused(&["up", "--allow-newer"]);
    assert!(
        told.contains("`0` is older than the newest applied one"),
        "{told}"
    );
    assert_eq!(site.contents(), before);
    fs::remove_file(site.dir().join("0_late.sql")).unwrap();
    // With the newer release's files it says nothing of it.
    site.file(
        "2_file.sql",
        "CREATE TABLE notes (id BIGINT PRIMARY KEY);\n",
    );
    let report = site.report(&["up", "--allow-newer"]).0;
    assert_eq!(
        report["cases"][0]["reason"],
        "every migration is applied already"
    );
}

/// Runs `up` until it has said which store it is on, so that it listens for signals.
fn started(site: &Site, arguments: &[&str]) -> (Child, BufReader<std::process::ChildStderr>) {
    let mut command = site.command(arguments);
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut errors = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    while !line.contains("store: ") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "it ended at once");
    }
    (child, errors)
}

/// Sends the signal and waits for the end: the exit code, and what was said.
fn ended_by(
    signal: Signal,
    mut child: Child,
    mut errors: BufReader<std::process::ChildStderr>,
) -> (Option<i32>, String) {
    kill(Pid::from_raw(i32::try_from(child.id()).unwrap()), signal).unwrap();
    let mut told = String::new();
    errors.read_to_string(&mut told).unwrap();
    let mut out = String::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    (child.wait().unwrap().code(), format!("{out}{told}"))
}

/// A statement that takes longer than any test waits.
fn endless(backend: Backend) -> &'static str {
    match backend {
        Backend::Sqlite => {
            "CREATE TABLE long AS WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9000000000) SELECT count(*) AS n FROM n;\n"
        }
        Backend::Postgres => "SELECT pg_sleep(900);\n",
        Backend::Mysql => "DO SLEEP(900);\n",
    }
}

/// Whether chatctl is in the middle of a statement that has these words.
fn is_running(site: &Site, words: &str) -> bool {
    let sql = match site.backend {
        // There only its lock can be seen.
        Backend::Sqlite => {
            let script = "import sqlite3, sys\nc = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)\n\
                try:\n    c.execute('BEGIN IMMEDIATE')\nexcept sqlite3.OperationalError:\n    sys.exit(7)\n";
            let path = site.url.strip_prefix("sqlite:").unwrap();
            let status = std::process::Command::new(crate::common::python())
                .args(["-c", script, path])
                .status();
            return status.unwrap().code() == Some(7);
        }
        Backend::Postgres => format!(
            "SELECT query FROM pg_stat_activity WHERE application_name = 'chatctl' AND state = 'active' AND query LIKE '%{words}%'"
        ),
        Backend::Mysql => format!(
            "SELECT info FROM information_schema.processlist WHERE info LIKE '%{words}%' AND info NOT LIKE '%processlist%'"
        ),
    };
    !site.texts(&sql).is_empty()
}

fn a_signal_in_a_statement_is_no_failure(bed: &TestBed) {
    for (name, signal) in [("term", Signal::SIGTERM), ("int", Signal::SIGINT)] {
        let site = bed.at(name, &[BEGIN, endless(bed.backend)]);
        let before = site.contents();
        let (child, errors) = started(&site, &["up"]);
        until("the statement", || is_running(&site, "(900)"));
        let (code, told) = ended_by(signal, child, errors);
        assert_eq!(code, Some(130), "{told}");
        assert!(
            told.contains("interrupted") && !told.contains("migration-failed"),
            "{told}"
        );
        assert!(told.contains("`chatctl migrate status` shows"), "{told}");
        assert_eq!(site.contents(), before);
        site.left_nothing();
        site.file(
            "2_file.sql",
            "CREATE TABLE notes (id BIGINT PRIMARY KEY);\n",
        );
        site.up();
    }
}

/// What happens at COMMIT happens before it here, and is a statement of chatctl's own.
#[test]
fn a_signal_in_a_deferred_trigger_is_no_failure() {
    let bed = TestBed::new(Backend::Postgres);
    let slow = "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(900); RETURN NULL; END';
        CREATE CONSTRAINT TRIGGER slow AFTER INSERT ON messages DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION slow();\n";
    let site = bed.at(
        "deferred",
        &[
            &format!("{BEGIN}{slow}"),
            "INSERT INTO messages VALUES (4, 'd');\n",
        ],
    );
    let before = site.contents();
    let (child, errors) = started(&site, &["up"]);
    until("the trigger", || {
        !site.texts("SELECT query FROM pg_stat_activity WHERE application_name = 'chatctl' AND wait_event = 'PgSleep'").is_empty()
    });
    let (code, told) = ended_by(Signal::SIGTERM, child, errors);
    assert_eq!(code, Some(130), "{told}");
    assert_eq!(site.contents(), before);
}

/// Somebody else's cancel is a failure, but not the statement's.
#[test]
fn who_else_cancels_a_statement_is_not_taken_for_a_signal() {
    let bed = TestBed::new(Backend::Postgres);
    let site = bed.at("cancelled", &[BEGIN, endless(Backend::Postgres)]);
    let (mut child, mut errors) = started(&site, &["up", "--format", "json"]);
    until("the statement", || is_running(&site, "(900)"));
    site.texts("SELECT pg_cancel_backend(pid)::text FROM pg_stat_activity WHERE application_name = 'chatctl' AND query LIKE '%(900)%'");
    let (mut out, mut told) = (String::new(), String::new());
    child
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut out)
        .unwrap();
    errors.read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(1), "{out}{told}");
    assert!(
        out.contains("another session cancelled the statement"),
        "{out}"
    );
}

/// Statements of all kinds, so that the signal comes in each part of a run; each ends well or by it.
fn a_signal_at_any_moment_is_no_failure(bed: &TestBed) {
    let site = bed.site("moments");
    site.file("1_begin.sql", BEGIN);
    site.up();
    let mut version = 1;
    let (mut stopped, mut whole) = (0, 0);
    for trial in 0..crate::common::stores::trials(10) {
        version += 1;
        let (add, fill, index) = (
            format!("ALTER TABLE messages ADD COLUMN c{version} INTEGER;\n"),
            format!("UPDATE messages SET c{version} = id;\n"),
            format!("CREATE INDEX i{version} ON messages (c{version});\n"),
        );
        let name = format!("{version}_step.sql");
        site.file(&name, &format!("{add}{fill}{index}"));
        let (child, errors) = started(&site, &["up", "--backup", "never"]);
        std::thread::sleep(Duration::from_millis(u64::from(trial) * 23 % 200));
        let (code, told) = ended_by(Signal::SIGTERM, child, errors);
        match code {
            Some(130) => stopped += 1,
            Some(0) => whole += 1,
            _ => panic!("{code:?} after {trial}: {told}"),
        }
        assert!(!told.contains("migration-failed"), "{told}");
        // Whatever the moment was, the next run gets to the end, and no row is lost.
        let output = site.command(&["up"]).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{:?}", text(&output));
        assert_eq!(site.status(), 0);
        assert_eq!(site.backend.count(&site.url, "messages"), 3);
    }
    site.left_nothing();
    assert!(stopped + whole > 0);
}

/// The database comes while it is waited for.
fn a_database_that_starts_is_waited_for(backend: Backend) {
    let mut bed = TestBed::new(backend);
    let site = bed.at("talk", &[BEGIN]);
    bed.stop();
    let output = site.command(&["up"]).output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{:?}", text(&output));
    let output = site.command(&["status", "--wait", "1s"]).output().unwrap();
    let told = text(&output).1;
    assert_eq!(output.status.code(), Some(3), "{told}");
    assert!(
        told.contains("waiting for `127.0.0.1:") && told.contains("start the database server"),
        "{told}"
    );
    // A signal ends the wait.
    let (child, mut errors) = started(&site, &["up", "--wait", "60s"]);
    let mut line = String::new();
    while !line.contains("waiting for ") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "it does not wait");
    }
    let (code, told) = ended_by(Signal::SIGTERM, child, errors);
    assert_eq!(code, Some(130), "{told}");
    let (mut child, mut errors) = started(&site, &["up", "--wait", "60s"]);
    line.clear();
    while !line.contains("waiting for ") {
        line.clear();
        assert!(errors.read_line(&mut line).unwrap() > 0, "it does not wait");
    }
    bed.restart();
    let mut told = String::new();
    errors.read_to_string(&mut told).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{told}");
    assert_eq!(site.status(), 0);
    // What is wrong for good is not waited for: an hour would not do.
    let wrong = site.url.replace("/talk", "/none");
    let mut up = crate::common::chatctl();
    up.args([
        "migrate",
        "up",
        "--wait",
        "1h",
        "--database-url",
        &wrong,
        "--dir",
    ])
    .arg(site.dir());
    let output = up.output().unwrap();
    assert_eq!(output.status.code(), Some(3), "{:?}", text(&output));
    assert!(
        !text(&output).1.contains("waiting for"),
        "{:?}",
        text(&output)
    );
}

#[test]
fn a_database_that_starts_is_waited_for_on_postgres() {
    a_database_that_starts_is_waited_for(Backend::Postgres);
}

#[test]
fn a_database_that_starts_is_waited_for_on_mysql() {
    a_database_that_starts_is_waited_for(Backend::Mysql);
}
