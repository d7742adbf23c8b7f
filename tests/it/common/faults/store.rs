//! Stores that migrations fail on: each begins alike, at version 1, and has five statements to come
//! of which none can be run twice.

use crate::common::backend::Backend;
use crate::common::servers::{MariaDb, Postgres};
use crate::common::{chatctl, root};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

/// How long anything may take; the machine may be busy with other tests.
pub const BOUND: Duration = Duration::from_secs(90);
/// How often a state is looked for that has to come.
const LOOK: Duration = Duration::from_millis(20);

/// What every store has next to the conversations, so that each statement has a table of its own.
const TABLES: &str = "
CREATE TABLE tags (id INTEGER PRIMARY KEY, label VARCHAR(50));
INSERT INTO tags VALUES (1, 'a'), (2, NULL);
CREATE TABLE runs (n INTEGER);
CREATE TABLE drafts (id INTEGER PRIMARY KEY);
INSERT INTO drafts VALUES (1), (2);
";

/// The statements of version 2, and the table that each needs and no earlier one does: on MariaDB a
/// parent that is altered waits for who has its children, too.
pub const STEPS: [(&str, &str); 5] = [
    ("ALTER TABLE drafts ADD COLUMN body VARCHAR(50)", "drafts"),
    (
        "UPDATE messages SET note = 'kept' WHERE note IS NULL",
        "messages",
    ),
    (
        "ALTER TABLE conversations ADD COLUMN topic VARCHAR(50)",
        "conversations",
    ),
    // Reading with a lock waits for whoever has the row; SQLite has no such words.
    ("INSERT INTO runs SELECT id FROM tags /* locked */", "tags"),
    (
        "ALTER TABLE attachments ADD COLUMN bytes INTEGER",
        "attachments",
    ),
];

/// Where databases are made.
pub enum Host {
    Sqlite,
    Postgres(Postgres),
    Mysql(MariaDb),
}

impl Host {
    pub fn sqlite() -> Self {
        Self::Sqlite
    }

    pub fn postgres() -> Self {
        Self::Postgres(Postgres::start())
    }

    pub fn mysql() -> Self {
        Self::Mysql(MariaDb::start())
    }

    pub fn kill(&mut self) {
        match self {
            Self::Sqlite => unreachable!("SQLite has no server"),
            Self::Postgres(server) => server.kill(),
            Self::Mysql(server) => server.kill(),
        }
    }

    pub fn restart(&mut self) {
        match self {
            Self::Sqlite => unreachable!("SQLite has no server"),
            Self::Postgres(server) => server.restart(),
            Self::Mysql(server) => server.restart(),
        }
    }

    /// An empty database, and a folder without migrations.
    pub fn empty(&self, name: &str) -> Store {
        let folder = tempfile::tempdir().unwrap();
        let (backend, url) = match self {
            Self::Sqlite => {
                let path = folder.path().join("chat.db");
                (Backend::Sqlite, format!("sqlite:{}", path.display()))
            }
            Self::Postgres(server) => (Backend::Postgres, server.database(name)),
            Self::Mysql(server) => (Backend::Mysql, server.database(name)),
        };
        fs::create_dir(folder.path().join("migrations")).unwrap();
        Store {
            backend,
            url,
            folder,
        }
    }

    /// A copy of a store, whose database has this name: made in less time than by applying its files.
    pub fn copy(&self, from: &Store, of: &str, name: &str) -> Store {
        let folder = tempfile::tempdir().unwrap();
        let url = match self {
            Self::Sqlite => {
                let path = folder.path().join("chat.db");
                fs::copy(from.path("chat.db"), &path).unwrap();
                format!("sqlite:{}", path.display())
            }
            Self::Postgres(server) => server.copy(of, name),
            Self::Mysql(server) => server.copy(of, name),
        };
        fs::create_dir(folder.path().join("migrations")).unwrap();
        let store = Store {
            backend: from.backend,
            url,
            folder,
        };
        store.begin();
        store
    }

    /// A database at version 1.
    pub fn store(&self, name: &str) -> Store {
        let store = self.empty(name);
        store.begin();
        let ended = store.up(&[]);
        assert_eq!(ended.exit, 0, "{ended:?}");
        store
    }
}

/// A database and its migrations.
pub struct Store {
    pub backend: Backend,
    pub url: String,
    folder: tempfile::TempDir,
}

/// How chatctl ended.
#[derive(Debug)]
pub struct Ended {
    pub exit: i32,
    /// Null where it stopped before it had one.
    pub report: Value,
    pub errors: String,
}

impl Ended {
    fn of(output: &Output) -> Self {
        Self {
            exit: output.status.code().unwrap_or(-1),
            report: serde_json::from_slice(&output.stdout).unwrap_or_default(),
            errors: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }

    /// Whether another one had applied everything.
    pub fn found_nothing_to_do(&self) -> bool {
        let reason = &self.report["cases"][0]["reason"];
        reason.as_str().is_some_and(|text| text.contains("already"))
    }

    /// The finding of a failed statement: its line, and what the database said.
    #[track_caller]
    pub fn failure(&self) -> (u64, String) {
        let findings = self.report["findings"].as_array();
        let failed = findings
            .into_iter()
            .flatten()
            .find(|finding| finding["code"] == "migration-failed");
        let failed = failed.unwrap_or_else(|| panic!("nothing failed: {self:?}"));
        let line = failed["place"]["line"].as_u64().unwrap();
        (line, failed["evidence"].to_string())
    }
}

impl Store {
    /// Writes a migration.
    pub fn file(&self, name: &str, text: &str) {
        fs::write(self.folder.path().join("migrations").join(name), text).unwrap();
    }

    /// Version 1, the common start.
    pub fn begin(&self) {
        let begin = format!("fixtures/migrations/begin.{}.sql", self.backend.name());
        let begin = fs::read_to_string(root().join(begin)).unwrap();
        self.file("1_begin.sql", &format!("{begin}{TABLES}"));
    }

    /// Version 2, with another statement in the place of one of its own, if any. Each statement is
    /// a line.
    pub fn change(&self, other: Option<(usize, &str)>) {
        let own = STEPS.map(|(statement, _)| statement);
        let mut text = String::new();
        for (number, statement) in own.into_iter().enumerate() {
            let statement = match other {
                Some((at, other)) if at == number => other,
                _ => statement,
            };
            let locked = match self.backend {
                Backend::Sqlite => "",
                _ => "FOR UPDATE",
            };
            text.push_str(&statement.replace("/* locked */", locked));
            text.push_str(";\n");
        }
        self.file("2_change.sql", &text);
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A connection of somebody else's to a database of SQLite.
    pub fn sqlite(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.path("chat.db")).unwrap()
    }

    pub fn command(&self, sub: &str) -> Command {
        let mut command = chatctl();
        command.args(["migrate", sub, "--database-url", &self.url, "--dir"]);
        command.arg(self.path("migrations"));
        command.current_dir(self.folder.path());
        command
    }

    pub fn up(&self, arguments: &[&str]) -> Ended {
        self.spawn(arguments).ended()
    }

    /// `migrate up`, not waited for.
    pub fn spawn(&self, arguments: &[&str]) -> Running {
        let mut command = self.command("up");
        Running::of(command.args(["--format", "json"]).args(arguments))
    }

    /// How version 2 stands, in words, and the exit code of `migrate status`.
    pub fn status(&self) -> (String, i32) {
        let mut command = self.command("status");
        let ended = Running::of(command.args(["--format", "json"])).ended();
        let reason = &ended.report["cases"][1]["reason"];
        let reason = reason.as_str().unwrap_or_else(|| panic!("{ended:?}"));
        (reason.to_owned(), ended.exit)
    }

    pub fn contents(&self) -> Vec<String> {
        self.backend.contents(&self.url)
    }

    /// Every statement of version 2 has done its work, exactly once, and no row is lost.
    #[track_caller]
    pub fn is_at_head(&self) {
        let again = self.up(&[]);
        assert!(again.exit == 0 && again.found_nothing_to_do(), "{again:?}");
        assert_eq!(self.status().1, 0);
        let rows = [
            ("conversations", 100),
            ("conversations WHERE topic IS NULL", 100),
            ("messages", 1000),
            ("messages WHERE note = 'kept'", 1000),
            ("attachments", 100),
            ("attachments WHERE bytes IS NULL", 100),
            ("tags", 2),
            ("runs", 2),
            ("drafts WHERE body IS NULL", 2),
        ];
        for (table, count) in rows {
            assert_eq!(self.backend.count(&self.url, table), count, "{table}");
        }
        let messages = self.backend.messages(&self.url);
        for (number, message) in (1..).zip(&messages) {
            let role = if number % 2 == 0 { "user" } else { "ai" };
            // The ids are numbers, and so are sorted as such.
            assert_eq!(*message, format!("{number}|{role}|text {number}"));
        }
    }
}

/// A chatctl that runs; it is ended when it is dropped.
pub struct Running(Option<Child>);

impl Running {
    pub fn of(command: &mut Command) -> Self {
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        Self(Some(command.spawn().unwrap()))
    }

    /// Waits for its end, but not for ever.
    #[track_caller]
    pub fn ended(mut self) -> Ended {
        until("chatctl to end", || {
            let child = self.0.as_mut().unwrap();
            child.try_wait().unwrap()
        });
        let child = self.0.take().unwrap();
        Ended::of(&child.wait_with_output().unwrap())
    }

    /// SIGKILL, as the kernel sends it when memory is short.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        if let Some(mut child) = self.0.take() {
            child.kill().unwrap();
            child.wait().unwrap();
        }
    }

    pub fn is_running(&mut self) -> bool {
        self.0.as_mut().unwrap().try_wait().unwrap().is_none()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.end();
    }
}

/// Looks until something is there.
#[track_caller]
pub fn until<T>(what: &str, mut there: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + BOUND;
    while Instant::now() < deadline {
        if let Some(found) = there() {
            return found;
        }
        std::thread::sleep(LOOK);
    }
    panic!("waited {BOUND:?} in vain for {what}");
}
