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

/// Applies the file that a case begins with.
fn begin(url: &str, migrations: &Path) -> Result<(), String> {
    let (report, exit) = up(url, migrations);
    if exit == 0 {
        Ok(())
    } else {
        Err(format!("does not begin: exit {exit}, {report:#}"))
    }
}

/// Runs a case in a database of its own; the error says what is not as expected.
fn run(case: &Case, hosts: &dyn Hosts, migrations: &Path) -> Result<(), String> {
    let (backend, place) = (hosts.backend(), migrations.parent().unwrap());
    fs::write(migrations.join("1_begin.sql"), case.begin(backend)).unwrap();
    let url = &if case.begins_alike(backend) {
        hosts.begun(&case.name, place)
    } else {
        let url = hosts.empty(&case.name, place);
        begin(&url, migrations)?;
        url
    };
    let mut database = backend.at(url);
    let (before, messages) = (database.contents(), database.messages());
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
        return same("contents", &before, &database.contents());
    }
    if let Some(warnings) = &expect.warnings
        && warned(&report) != *warnings
    {
        return Err(format!("not the warnings {warnings:?}: {report:#}"));
    }
    let counts = database.counts(&expect.tables);
    if counts != expect.rows {
        return Err(format!(
            "{:?} have {counts:?} rows and not {:?}",
            expect.tables, expect.rows
        ));
    }
    if expect.same {
        same("messages", &messages, &database.messages())?;
    }
    let after = database.contents();
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
    same("contents after a second run", &after, &database.contents())
}

/// The codes of all findings of level warning.
fn warned(report: &Value) -> BTreeSet<String> {
    let findings = report["findings"].as_array().into_iter().flatten();
    let warnings = findings.filter(|finding| finding["severity"] == "warning");
    let codes = warnings.filter_map(|finding| finding["code"].as_str());
    codes.map(str::to_owned).collect()
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

/// Where the databases of a backend are.
trait Hosts: Sync {
    fn backend(&self) -> Backend;

    /// An empty database; in this folder, if it is a file.
    fn empty(&self, name: &str, place: &Path) -> String;

    /// One to which the file that most cases begin with is applied: a copy, as applying it takes longer.
    fn begun(&self, name: &str, place: &Path) -> String;

    /// Removes the database of a case that passed, so that the server does not keep those of all.
    fn remove(&self, name: &str);
}

/// The name of the database that is copied.
const BEGUN: &str = "begun";

/// Applies the file that most cases begin with to an empty database.
fn common(backend: Backend, url: &str) {
    let place = tempfile::tempdir().unwrap();
    let migrations = place.path().join("migrations");
    fs::create_dir(&migrations).unwrap();
    fs::write(migrations.join("1_begin.sql"), case::begin(backend)).unwrap();
    begin(url, &migrations).unwrap();
}

/// Runs every case that has a file for the backend, and tells of all that fail.
fn all(hosts: &dyn Hosts) {
    let backend = hosts.backend();
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
            let ended =
                std::panic::catch_unwind(AssertUnwindSafe(|| run(case, hosts, &migrations)));
            let failure = match ended {
                Ok(Ok(())) => {
                    hosts.remove(&case.name);
                    continue;
                }
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

struct Files(tempfile::TempDir);

impl Hosts for Files {
    fn backend(&self) -> Backend {
        Backend::Sqlite
    }

    fn empty(&self, _name: &str, place: &Path) -> String {
        format!("sqlite:{}", place.join("chat.db").display())
    }

    fn begun(&self, name: &str, place: &Path) -> String {
        fs::copy(self.0.path().join("chat.db"), place.join("chat.db")).unwrap();
        self.empty(name, place)
    }

    /// It goes with its folder.
    fn remove(&self, _name: &str) {}
}

#[test]
fn sqlite() {
    let files = Files(tempfile::tempdir().unwrap());
    common(Backend::Sqlite, &files.empty(BEGUN, files.0.path()));
    all(&files);
}

impl Hosts for servers::Postgres {
    fn backend(&self) -> Backend {
        Backend::Postgres
    }

    fn empty(&self, name: &str, _place: &Path) -> String {
        self.database(name)
    }

    fn begun(&self, name: &str, _place: &Path) -> String {
        self.copy(BEGUN, name)
    }

    fn remove(&self, name: &str) {
        self.drop_database(name);
    }
}

#[test]
fn postgres() {
    let server = servers::Postgres::start();
    common(Backend::Postgres, &server.database(BEGUN));
    all(&server);
}

/// A server, and the dump of the database that is copied.
struct Dumped(servers::MariaDb, String);

impl Hosts for Dumped {
    fn backend(&self) -> Backend {
        Backend::Mysql
    }

    fn empty(&self, name: &str, _place: &Path) -> String {
        self.0.database(name)
    }

    fn begun(&self, name: &str, _place: &Path) -> String {
        let url = self.0.database(name);
        servers::run_sql(&url, &self.1);
        url
    }

    fn remove(&self, name: &str) {
        self.0.drop_database(name);
    }
}

#[test]
fn mysql() {
    let server = servers::MariaDb::start();
    common(Backend::Mysql, &server.database(BEGUN));
    let dump = server.dump(BEGUN);
    all(&Dumped(server, dump));
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
