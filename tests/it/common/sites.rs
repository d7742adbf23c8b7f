//! Databases with a folder of migrations each, on every backend, and chatctl run on them.

use crate::common::backend::Backend;
use crate::common::stores::Store;
use crate::common::{chatctl, report, text};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Makes a test of each function for each backend; it takes the ground.
macro_rules! on_each_bed {
    ($($test:ident)*) => {
        $crate::common::sites::on_each_bed!(sqlite Sqlite: $($test)*);
        $crate::common::sites::on_each_bed!(postgres Postgres: $($test)*);
        $crate::common::sites::on_each_bed!(mysql Mysql: $($test)*);
    };
    ($name:ident $backend:ident: $($test:ident)*) => {
        mod $name {
            $(
                #[test]
                fn $test() {
                    super::$test(&$crate::common::sites::TestBed::new(
                        $crate::common::backend::Backend::$backend,
                    ));
                }
            )*
        }
    };
}

pub(crate) use on_each_bed;

/// A server, or a folder of database files, and a folder that is gone with it.
pub struct TestBed {
    pub backend: Backend,
    store: Store,
    folder: tempfile::TempDir,
}

/// A database with a folder of migrations.
pub struct Site {
    pub backend: Backend,
    pub url: String,
    /// Its folder, with the folder of migrations in it; chatctl runs here.
    pub folder: PathBuf,
}

impl TestBed {
    pub fn new(backend: Backend) -> Self {
        Self {
            backend,
            store: match backend {
                Backend::Sqlite => Store::sqlite(),
                Backend::Postgres => Store::postgres(),
                Backend::Mysql => Store::mysql(),
            },
            folder: tempfile::tempdir().unwrap(),
        }
    }

    /// An empty database, and an empty folder of migrations.
    pub fn site(&self, name: &str) -> Site {
        self.place(name, |path| match &self.store {
            Store::Sqlite(_) => {
                fs::write(path, b"").unwrap();
                format!("sqlite:{}", path.display())
            }
            Store::Postgres(server) => server.database(name),
            Store::Mysql(server) => server.database(name),
        })
    }

    /// A copy of a site: made in less time than by applying the same files.
    pub fn copy(&self, from: &Site, name: &str) -> Site {
        let of = from.folder.file_name().unwrap().to_str().unwrap();
        let site = self.place(name, |path| match &self.store {
            Store::Sqlite(_) => {
                fs::copy(from.folder.join("chat.db"), path).unwrap();
                format!("sqlite:{}", path.display())
            }
            Store::Postgres(server) => server.copy(of, name),
            Store::Mysql(server) => server.copy(of, name),
        });
        for file in files(&from.dir()) {
            fs::copy(&file, site.dir().join(file.file_name().unwrap())).unwrap();
        }
        site
    }

    /// Its folders, and the database that is made; where it is a file, at this path.
    fn place(&self, name: &str, database: impl FnOnce(&Path) -> String) -> Site {
        let folder = self.folder.path().join(name);
        fs::create_dir_all(folder.join("migrations")).unwrap();
        fs::create_dir(folder.join("tmp")).unwrap();
        Site {
            backend: self.backend,
            url: database(&folder.join("chat.db")),
            folder,
        }
    }

    /// Ends the server, as an operator does.
    pub fn stop(&mut self) {
        match &mut self.store {
            Store::Sqlite(_) => unreachable!("SQLite has no server"),
            Store::Postgres(server) => server.stop(),
            Store::Mysql(server) => server.stop(),
        }
    }

    /// Starts it again, on the same port.
    pub fn restart(&mut self) {
        match &mut self.store {
            Store::Sqlite(_) => unreachable!("SQLite has no server"),
            Store::Postgres(server) => server.restart(),
            Store::Mysql(server) => server.restart(),
        }
    }

    /// A database whose files have these texts, from version 1 on; the last is pending.
    pub fn at(&self, name: &str, texts: &[&str]) -> Site {
        let site = self.site(name);
        let (last, first) = texts.split_last().unwrap();
        for (number, text) in first.iter().enumerate() {
            site.file(&format!("{}_file.sql", number + 1), text);
        }
        if !first.is_empty() {
            site.up();
        }
        site.file(&format!("{}_file.sql", texts.len()), last);
        site
    }
}

impl Site {
    pub fn dir(&self) -> PathBuf {
        self.folder.join("migrations")
    }

    pub fn file(&self, name: &str, text: &str) {
        let path = self.dir().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Where chatctl puts what is temporary.
    pub fn tmp(&self) -> PathBuf {
        self.folder.join("tmp")
    }

    /// `chatctl migrate` with these arguments, and the database and the folder of migrations.
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.bare(arguments);
        command.arg("--dir").arg(self.dir());
        command
    }

    /// The same without a folder of migrations.
    pub fn bare(&self, arguments: &[&str]) -> Command {
        let mut command = chatctl();
        command.arg("migrate").args(arguments);
        command.args(["--database-url", &self.url]);
        command.current_dir(&self.folder).env("TMPDIR", self.tmp());
        command
    }

    /// The report, and the exit code.
    pub fn report(&self, arguments: &[&str]) -> (Value, i32) {
        report(&mut self.command(arguments))
    }

    /// Applies what is pending, which must work.
    #[track_caller]
    pub fn up(&self) -> Value {
        let (report, exit) = self.report(&["up"]);
        assert_eq!(exit, 0, "{report:#}");
        report
    }

    /// What is reported when the command is refused.
    #[track_caller]
    pub fn refused(&self, arguments: &[&str]) -> String {
        refused(self.command(arguments).output().unwrap())
    }

    /// What is said when the command passes: what it tells, and its notes.
    #[track_caller]
    pub fn passed(&self, arguments: &[&str]) -> (String, String) {
        passed(self.command(arguments).output().unwrap())
    }

    /// The same for a command that ends with another code.
    #[track_caller]
    pub fn passed_with(&self, arguments: &[&str], exit: i32) -> (String, String) {
        let output = self.command(arguments).output().unwrap();
        let (stdout, stderr) = text(&output);
        assert_eq!(output.status.code(), Some(exit), "{stdout}{stderr}");
        (stdout, stderr)
    }

    /// How `migrate status` ends.
    pub fn status(&self) -> i32 {
        self.report(&["status"]).1
    }

    /// The first column of each row as text.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        self.backend.texts(&self.url, sql)
    }

    /// The names of all tables, those of chatctl among them.
    pub fn tables(&self) -> Vec<String> {
        self.texts(match self.backend {
            Backend::Sqlite => "SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY 1",
            Backend::Postgres => {
                "SELECT relname::text FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
            }
            Backend::Mysql => {
                "SELECT table_name FROM information_schema.tables WHERE table_schema = database() ORDER BY 1"
            }
        })
    }

    /// What is in the database, with the history of sqlx where there is one.
    pub fn contents(&self) -> Vec<String> {
        let mut all = self.tables();
        let has_history = all.iter().any(|table| table == "_sqlx_migrations");
        all.extend(self.backend.tables(&self.url));
        if has_history {
            all.extend(self.history());
        }
        all
    }

    /// Version, success and checksum of each row of sqlx's history.
    pub fn history(&self) -> Vec<String> {
        self.texts(match self.backend {
            Backend::Sqlite => {
                "SELECT version || '|' || description || '|' || success || '|' || lower(hex(checksum)) FROM _sqlx_migrations ORDER BY version"
            }
            Backend::Postgres => {
                "SELECT concat_ws('|', version, description, success::int, encode(checksum, 'hex')) FROM _sqlx_migrations ORDER BY version"
            }
            Backend::Mysql => {
                "SELECT concat_ws('|', version, description, success, lower(hex(checksum))) FROM _sqlx_migrations ORDER BY version"
            }
        })
    }

    /// The scratch databases on the server, and their users.
    pub fn scratch(&self) -> Vec<String> {
        let names = match self.backend {
            Backend::Sqlite => return Vec::new(),
            Backend::Postgres => "SELECT datname::text FROM pg_database",
            Backend::Mysql => {
                "SELECT schema_name FROM information_schema.schemata UNION SELECT user FROM mysql.user"
            }
        };
        let mut scratch = self.texts(names);
        scratch.retain(|name| name.starts_with("chatctl_scratch_"));
        scratch.sort();
        scratch
    }

    /// Fails when a scratch database, its user, or a file of one is still there.
    #[track_caller]
    pub fn left_nothing(&self) {
        let left: Vec<_> = fs::read_dir(self.tmp())
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .collect();
        assert!(left.is_empty(), "{left:?}");
        let scratch = self.scratch();
        assert!(scratch.is_empty(), "{scratch:?}");
    }
}

/// What is reported by a command that is refused.
#[track_caller]
pub fn refused(output: Output) -> String {
    let (stdout, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(4), "{stdout}{stderr}");
    stderr
}

/// What a command shows that passes, and its notes.
#[track_caller]
pub fn passed(output: Output) -> (String, String) {
    let (stdout, stderr) = text(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}{stderr}");
    (stdout, stderr)
}

/// The files of a folder, by name.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .map(|entries| entries.map(|entry| entry.unwrap().path()).collect())
        .unwrap_or_default();
    files.sort();
    files
}
