//! A folder of `fixtures/migrations/`, and what it says is expected.

use crate::common::backend::{BACKENDS, Backend};
use crate::common::root;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

/// A folder of `fixtures/migrations/`.
pub struct Case {
    pub name: String,
    pub folder: PathBuf,
    pub about: String,
    pub expect: toml::Table,
}

/// What `case.toml` says of a backend.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    pub exit: i32,
    /// A finding of level error with this code, this subject and, when given, this line.
    pub code: Option<String>,
    pub subject: Option<String>,
    pub line: Option<u64>,
    /// The tables in which `rows` are counted afterwards.
    #[serde(default = "three_tables")]
    pub tables: Vec<String>,
    #[serde(default = "all_rows")]
    pub rows: Vec<u64>,
    /// With exit 0: the codes of all warnings, when given.
    pub warnings: Option<BTreeSet<String>>,
    /// Whether ids, roles and bodies of `messages` are those of before.
    #[serde(default = "yes")]
    pub same: bool,
}

fn three_tables() -> Vec<String> {
    ["conversations", "messages", "attachments"]
        .map(str::to_owned)
        .to_vec()
}

fn all_rows() -> Vec<u64> {
    vec![100, 1000, 100]
}

const fn yes() -> bool {
    true
}

impl Case {
    pub fn all() -> Vec<Self> {
        let folders = fs::read_dir(folder())
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let mut cases: Vec<_> = folders
            .filter(|path| path.is_dir())
            .map(Self::read)
            .collect();
        cases.sort_by(|a, b| a.name.cmp(&b.name));
        cases
    }

    fn read(folder: PathBuf) -> Self {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let text = fs::read_to_string(folder.join("case.toml"))
            .unwrap_or_else(|error| panic!("{name}/case.toml: {error}"));
        let mut table: toml::Table = text
            .parse()
            .unwrap_or_else(|error| panic!("{name}/case.toml: {error}"));
        let about = table
            .remove("about")
            .and_then(|about| about.as_str().map(str::to_owned));
        let expect = table
            .remove("expect")
            .and_then(|expect| expect.as_table().cloned());
        assert!(table.is_empty(), "{name}/case.toml: unknown keys {table:?}");
        Self {
            folder,
            about: about.unwrap_or_else(|| panic!("{name}/case.toml has no `about`")),
            expect: expect.unwrap_or_else(|| panic!("{name}/case.toml has no `[expect]`")),
            name,
        }
    }

    pub fn file(&self, backend: Backend) -> PathBuf {
        self.folder.join(format!("{}.sql", backend.name()))
    }

    /// The file that follows it in the same run, where there is one.
    pub fn then(&self, backend: Backend) -> PathBuf {
        self.folder.join(format!("then.{}.sql", backend.name()))
    }

    /// What is expected of a backend: its own table's keys over those for all.
    pub fn expect(&self, backend: Backend) -> Expect {
        let mut keys = self.expect.clone();
        let mut own = toml::Table::new();
        for other in BACKENDS {
            let Some(table) = keys.remove(other.name()) else {
                continue;
            };
            if other == backend {
                own = table.as_table().unwrap().clone();
            }
        }
        keys.extend(own);
        keys.try_into()
            .unwrap_or_else(|error| panic!("{}/case.toml: {error}", self.name))
    }

    /// Whether it begins as most of them do.
    pub fn begins_alike(&self, backend: Backend) -> bool {
        !self
            .folder
            .join(format!("begin.{}.sql", backend.name()))
            .exists()
    }

    /// The schema and rows that the case begins with.
    pub fn begin(&self, backend: Backend) -> String {
        let more = self.folder.join(format!("begin.{}.sql", backend.name()));
        begin(backend) + &fs::read_to_string(more).unwrap_or_default()
    }
}

/// The schema and rows that most cases begin with.
pub fn begin(backend: Backend) -> String {
    fs::read_to_string(folder().join(format!("begin.{}.sql", backend.name()))).unwrap()
}

fn folder() -> PathBuf {
    root().join("fixtures/migrations")
}
