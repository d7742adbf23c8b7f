//! The migrations of `fixtures/migrations/`, each run for real on every backend that it has a file
//! for: what loses something is refused and nothing is changed, what loses nothing is applied.

mod case;

use crate::common::backend::{BACKENDS, Backend};
use crate::common::{chatctl, servers};
use case::{Case, Expect};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::panic::AssertUnwindSafe;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many cases run at a time: each is a process and a few connections.
const AT_A_TIME: usize = 4;

/// `chatctl migrate up`: the report, where there is one, and the exit code.
fn up(url: &str, migrations: &Path) -> (Value, i32) {
    let mut command = chatctl();
    command
        .args([
            "migrate",
            "up",
            "--format",
            "json",
            "--database-url",
            url,
            "--dir",
        ])
        .arg(migrations)
        // Backups are put into the working directory, which is not to be the project's.
        .current_dir(migrations.parent().unwrap());
    let output = command.output().unwrap();
    // What is refused before anything is looked at has no report.
    let report = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| String::from_utf8_lossy(&output.stderr).into());
    (report, output.status.code().unwrap_or(-1))
}

/// Runs a case in a database of its own; the error says what is not as expected.
fn run(case: &Case, backend: Backend, url: &str, migrations: &Path) -> Result<(), String> {
    fs::write(migrations.join("1_begin.sql"), case.begin(backend)).unwrap();
    let (report, exit) = up(url, migrations);
    if exit != 0 {
        return Err(format!("does not begin: exit {exit}, {report:#}"));
    }
    let (before, messages) = (backend.contents(url), backend.messages(url));
    fs::copy(case.file(backend), migrations.join("2_change.sql")).unwrap();
    if case.then(backend).exists() {
        fs::copy(case.then(backend), migrations.join("3_then.sql")).unwrap();
    }
    let expect = case.expect(backend);
    let (report, exit) = up(url, migrations);
    if exit != expect.exit {
        return Err(format!("exit {exit} and not {}: {report:#}", expect.exit));
    }
    if exit != 0 {
        found(&expect, &report)?;
        return same("contents", &before, &backend.contents(url));
    }
    let counts: Vec<_> = expect
        .tables
        .iter()
        .map(|table| backend.count(url, table))
        .collect();
    if counts != expect.rows {
        return Err(format!(
            "{:?} have {counts:?} rows and not {:?}",
            expect.tables, expect.rows
        ));
    }
    if expect.same {
        same("messages", &messages, &backend.messages(url))?;
    }
    let after = backend.contents(url);
    let (again, exit) = up(url, migrations);
    if exit != 0
        || !again["cases"][0]["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("already"))
    {
        return Err(format!(
            "a second run does something: exit {exit}, {again:#}"
        ));
    }
    same(
        "contents after a second run",
        &after,
        &backend.contents(url),
    )
}

/// The finding that is expected is among those of level error.
fn found(expect: &Expect, report: &Value) -> Result<(), String> {
    let Some(code) = &expect.code else {
        return Ok(());
    };
    let findings = report["findings"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let is_it = |finding: &Value| {
        finding["severity"] == "error"
            && finding["code"] == code.as_str()
            && expect
                .subject
                .as_ref()
                .is_none_or(|subject| finding["subject"] == subject.as_str())
            && expect
                .line
                .is_none_or(|line| finding["place"]["line"] == line)
    };
    if findings.iter().any(is_it) {
        Ok(())
    } else {
        Err(format!(
            "no {code} of {:?} at line {:?}: {report:#}",
            expect.subject, expect.line
        ))
    }
}

fn same(what: &str, before: &[String], after: &[String]) -> Result<(), String> {
    let (old, new): (BTreeSet<_>, BTreeSet<_>) = (before.iter().collect(), after.iter().collect());
    if before == after {
        return Ok(());
    }
    let some = |lines: Vec<&&String>| {
        lines
            .into_iter()
            .take(3)
            .map(|line| (*line).clone())
            .collect::<Vec<_>>()
    };
    let (gone, come) = (
        some(old.difference(&new).collect()),
        some(new.difference(&old).collect()),
    );
    Err(format!(
        "{what}: gone, among others: {gone:?}; come: {come:?}"
    ))
}

/// Runs every case that has a file for the backend, and tells of all that fail.
fn all(backend: Backend, database: impl Fn(&Case, &Path) -> String + Sync) {
    let cases: Vec<_> = Case::all()
        .into_iter()
        .filter(|case| case.file(backend).exists())
        .collect();
    assert!(!cases.is_empty());
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let place = tempfile::tempdir().unwrap();
            let migrations = place.path().join("migrations");
            fs::create_dir(&migrations).unwrap();
            // A case whose database can't be read fails alone.
            let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
                run(case, backend, &database(case, place.path()), &migrations)
            }));
            let failure = match ended {
                Ok(Ok(())) => continue,
                Ok(Err(failure)) => failure,
                Err(panic) => panic
                    .downcast_ref::<String>()
                    .cloned()
                    .unwrap_or_else(|| "it panicked".to_owned()),
            };
            failures
                .lock()
                .unwrap()
                .push(format!("{} ({}): {failure}", case.name, case.about));
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().unwrap();
    failures.sort();
    assert!(
        failures.is_empty(),
        "{} of {} cases fail:\n\n{}",
        failures.len(),
        cases.len(),
        failures.join("\n\n")
    );
}

#[test]
fn sqlite() {
    all(Backend::Sqlite, |_, place| {
        format!("sqlite:{}", place.join("chat.db").display())
    });
}

#[test]
fn postgres() {
    let server = servers::Postgres::start();
    all(Backend::Postgres, |case, _| server.database(&case.name));
}

#[test]
fn mysql() {
    let server = servers::MariaDb::start();
    all(Backend::Mysql, |case, _| server.database(&case.name));
}

/// A case that nobody runs, or a key that nobody reads, would be a promise without proof.
#[test]
fn every_case_is_well_formed() {
    for case in Case::all() {
        let (name, files) = (&case.name, &mut BTreeSet::from(["case.toml".to_owned()]));
        assert!(case.about.ends_with('.'), "{name}: `about` is a sentence");
        let backends: Vec<_> = BACKENDS
            .into_iter()
            .filter(|backend| case.file(*backend).exists())
            .collect();
        assert!(!backends.is_empty(), "{name} has no migration");
        for backend in BACKENDS {
            let is_here = backends.contains(&backend);
            assert!(
                is_here || !case.expect.contains_key(backend.name()),
                "{name}: expected of {backend:?}, which it has no file for"
            );
            if is_here {
                files.extend([
                    format!("{}.sql", backend.name()),
                    format!("begin.{}.sql", backend.name()),
                    format!("then.{}.sql", backend.name()),
                ]);
            }
        }
        for entry in fs::read_dir(&case.folder).unwrap() {
            let file = entry.unwrap().file_name().to_string_lossy().into_owned();
            assert!(files.contains(&file), "{name}/{file} belongs to nothing");
        }
        for backend in backends {
            let expect = case.expect(backend);
            let prefix = if expect.exit == 0 { "ok_" } else { "err_" };
            assert!(name.starts_with(prefix), "{name} and exit {}", expect.exit);
            assert_eq!(
                expect.code.is_some(),
                expect.exit == 1,
                "{name}: a code stands where exit is 1"
            );
            assert_eq!(
                expect.code.is_some(),
                expect.subject.is_some(),
                "{name}: a code has a subject"
            );
            assert_eq!(
                expect.tables.len(),
                expect.rows.len(),
                "{name}: a number of rows for each table"
            );
            let (begin, change) = (
                case.begin(backend),
                fs::read_to_string(case.file(backend)).unwrap(),
            );
            let cut = |text| ::chatctl::sql::split(text, backend.dialect());
            assert!(cut(&begin).is_ok(), "{name}: {backend:?} does not begin");
            let statements = cut(&change).unwrap_or_else(|error| panic!("{name}: {error}"));
            let begins = |line| {
                statements
                    .iter()
                    .any(|statement| u64::from(statement.line) == line)
            };
            assert!(
                expect.line.is_none_or(begins),
                "{name}: on {backend:?} no statement begins at line {:?}",
                expect.line
            );
        }
    }
}
