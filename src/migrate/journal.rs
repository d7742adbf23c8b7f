//! What chatctl itself did to a database, one row per step: `_chatctl_journal`.
//!
//! The history of versions stays as sqlx has it; this table tells runs, losses that were
//! acknowledged and backups, and how far a file came that can't be one transaction.

use super::source::{Migration, Version};
use crate::cli_error::CliError;
use crate::db::Session;
use crate::model::Cell;
use crate::sql::Dialect;
use crate::text::hex;
use sha2::{Digest as _, Sha256};
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::SystemTime;

/// The table's name.
pub(super) const TABLE: &str = "_chatctl_journal";

/// One row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The run that wrote it: a time and a random number, in the order of the runs.
    pub run: String,
    /// When, RFC 3339 in UTC.
    pub at: String,
    /// The version that it is about; empty for a whole run.
    pub version: String,
    /// The statement's number in its file, from 1; 0 for the whole file.
    pub statement: u64,
    /// What happened.
    pub state: State,
    /// SHA-256 of the statement, or of the schema before it, in hexadecimal.
    pub hash: String,
    /// More, in words.
    pub detail: String,
}

/// What a row says happened. The words are on disk: they are never changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum State {
    /// A backup was made; the detail is its file.
    Backup,
    /// A file, or a statement outside of a transaction, was started.
    Begun,
    /// A statement is applied.
    Done,
    /// A statement failed and did nothing; or rows came while one that is done ran, and are not
    /// where they belong; or a file, all statements of which are done, did what it did not do in
    /// the rehearsal.
    Failed,
    /// A file is applied.
    Applied,
    /// A version was settled by hand.
    Resolved,
    /// A version was recorded in the history without being run.
    Baseline,
    /// A version was taken over from another tool's history.
    Adopted,
    /// A file was accepted with other line ends.
    Repaired,
    /// A version was removed from the history: its file is gone on purpose.
    Forgotten,
    /// The database was restored from a backup.
    Restored,
    /// What the runs made until here that have not come to their end: there is one such row, or none.
    Made,
    /// The names that were there when these runs began, and are other ones now: in the same way.
    Names,
}

impl State {
    const ALL: [Self; 13] = [
        Self::Backup,
        Self::Begun,
        Self::Done,
        Self::Failed,
        Self::Applied,
        Self::Resolved,
        Self::Baseline,
        Self::Adopted,
        Self::Repaired,
        Self::Forgotten,
        Self::Restored,
        Self::Made,
        Self::Names,
    ];

    /// Of these there is the row of the last run that has not come to its end.
    const OF_LAST_RUN: [Self; 2] = [Self::Made, Self::Names];

    /// The word in the table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Backup => "backup",
            Self::Begun => "begun",
            Self::Done => "done",
            Self::Failed => "failed",
            Self::Applied => "applied",
            Self::Resolved => "resolved",
            Self::Baseline => "baseline",
            Self::Adopted => "adopted",
            Self::Repaired => "repaired",
            Self::Forgotten => "forgotten",
            Self::Restored => "restored",
            Self::Made => "made",
            Self::Names => "names",
        }
    }

    /// # Errors
    /// Refuses a word that only a newer chatctl knows: a statement that it tells of could run twice.
    fn parse(word: &str) -> Result<Self, CliError> {
        let known = Self::ALL.into_iter().find(|state| state.word() == word);
        known.ok_or_else(|| {
            CliError::refused(format!(
                "the journal `{TABLE}` has an entry `{word}` that this version of chatctl does not know"
            ))
            .hint("a newer version wrote it: use that one")
        })
    }
}

/// A row to write.
#[derive(Debug, Clone, Copy)]
pub struct Mark<'a> {
    /// The version that it is about; empty for a whole run.
    pub version: &'a str,
    /// The statement's number in its file, from 1; 0 for the whole file.
    pub statement: u64,
    /// What happened.
    pub state: State,
    /// SHA-256 of the statement, or of the schema before it, in hexadecimal; empty without one.
    pub hash: &'a str,
    /// More, in words.
    pub detail: &'a str,
}

impl<'a> Mark<'a> {
    /// About a whole run.
    pub const fn of_run(state: State, detail: &'a str) -> Self {
        Self::of_file("", state, detail)
    }

    /// About a whole file.
    pub const fn of_file(version: &'a str, state: State, detail: &'a str) -> Self {
        Self {
            version,
            statement: 0,
            state,
            hash: "",
            detail,
        }
    }
}

/// Who writes: one run on one database.
pub struct Journal {
    /// Its name.
    pub run: String,
    dialect: Dialect,
    /// The files that are not applied when it begins.
    files: Vec<String>,
    /// Of what it may have a row for a later run.
    kept: BTreeSet<State>,
    /// Whether the run has found or made its tables, which nothing takes back.
    pub is_there: bool,
}

impl Journal {
    /// A new run.
    pub fn new(dialect: Dialect) -> Self {
        let now = humantime::format_rfc3339_seconds(SystemTime::now()).to_string();
        let digits: String = now.chars().filter(char::is_ascii_digit).collect();
        Self {
            run: format!("{digits}-{:04x}", fastrand::u16(..)),
            dialect,
            files: Vec::new(),
            kept: BTreeSet::new(),
            is_there: false,
        }
    }

    /// A new run of these files.
    pub fn of_files(dialect: Dialect, files: &[&Migration]) -> Self {
        Self {
            files: files.iter().map(|file| file.file_name()).collect(),
            ..Self::new(dialect)
        }
    }

    /// Makes the table when there is none; one that was made before may be rolled back since.
    pub fn create(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        if exists(session)? {
            return Ok(());
        }
        let table = session.quote(TABLE);
        let (number, text) = match self.dialect {
            Dialect::Sqlite => ("INTEGER PRIMARY KEY", "TEXT"),
            Dialect::Postgres => ("BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY", "TEXT"),
            Dialect::Mysql => ("BIGINT AUTO_INCREMENT PRIMARY KEY", "LONGTEXT"),
        };
        session.command(&format!(
            "CREATE TABLE IF NOT EXISTS {table} (id {number}, run {text} NOT NULL, written_at {text} NOT NULL, version {text} NOT NULL, \
             statement BIGINT NOT NULL, state {text} NOT NULL, hash {text} NOT NULL, detail {text} NOT NULL)"
        ))?;
        Ok(())
    }

    /// Writes what a later run has to know of this one, in place of what was written before.
    pub fn keep(
        &mut self,
        session: &mut dyn Session,
        state: State,
        text: Option<String>,
    ) -> anyhow::Result<()> {
        if text.is_none() && !self.kept.contains(&state) {
            return Ok(());
        }
        // A rollback brings back what is deleted here, so that from now on it is searched for.
        self.kept.insert(state);
        let sql = format!("DELETE FROM {} WHERE state = ?", session.quote(TABLE));
        session.write(&sql, &[Cell::Text(state.word().to_owned())])?;
        match text {
            Some(text) => {
                let files = self.files.join("\n");
                let mark = Mark::of_run(state, &text);
                self.write(
                    session,
                    &Mark {
                        version: &files,
                        ..mark
                    },
                )
            }
            None => Ok(()),
        }
    }

    /// What earlier runs that did not come to their end wrote for a later one. A run that was
    /// given up, none of whose files is left under its name, made its rows for the users. Names
    /// count all the same: the file that takes one may have been renamed.
    pub fn kept(
        &mut self,
        session: &mut dyn Session,
        state: State,
    ) -> anyhow::Result<Option<String>> {
        if !exists(session)? {
            return Ok(None);
        }
        let rows = session.rows(&format!(
            "SELECT version, detail FROM {} WHERE state = '{}' ORDER BY id",
            session.quote(TABLE),
            state.word()
        ))?;
        let Some(row) = rows.last() else {
            return Ok(None);
        };
        self.kept.insert(state);
        let left = row[0].to_string();
        let is_left = state == State::Names
            || left
                .split('\n')
                .any(|left| self.files.iter().any(|it| it == left));
        Ok(is_left.then(|| row[1].to_string()))
    }

    /// Writes a row. The table must be there.
    pub fn write(&self, session: &mut dyn Session, mark: &Mark<'_>) -> anyhow::Result<()> {
        let sql = format!(
            "INSERT INTO {} (run, written_at, version, statement, state, hash, detail) VALUES (?, ?, ?, ?, ?, ?, ?)",
            session.quote(TABLE)
        );
        let text = |text: &str| Cell::Text(text.to_owned());
        let now = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let args = [
            text(&self.run),
            Cell::Text(now),
            text(mark.version),
            Cell::Int(i64::try_from(mark.statement).unwrap_or(i64::MAX)),
            text(mark.state.word()),
            text(mark.hash),
            text(mark.detail),
        ];
        session.write(&sql, &args)
    }
}

fn exists(session: &mut dyn Session) -> anyhow::Result<bool> {
    Ok(session.columns(TABLE)?.is_some())
}

/// Every row but those for a later run, from the first on; none when there is no journal.
pub fn read(session: &mut dyn Session) -> anyhow::Result<Vec<Entry>> {
    if !exists(session)? {
        return Ok(Vec::new());
    }
    let others = State::OF_LAST_RUN.map(|state| format!("'{}'", state.word()));
    let sql = format!(
        "SELECT run, written_at, version, statement, state, hash, detail FROM {} WHERE state NOT IN ({}) ORDER BY id",
        session.quote(TABLE),
        others.join(", ")
    );
    let rows = session.rows(&sql)?;
    let entries = rows.iter().map(|row| {
        Ok(Entry {
            run: row[0].to_string(),
            at: row[1].to_string(),
            version: row[2].to_string(),
            statement: row[3].to_string().parse().unwrap_or(0),
            state: State::parse(&row[4].to_string())?,
            hash: row[5].to_string(),
            detail: row[6].to_string(),
        })
    });
    entries.collect()
}

/// The files of the backups that were made, oldest first.
pub fn backups(session: &mut dyn Session) -> anyhow::Result<Vec<PathBuf>> {
    let entries = read(session)?.into_iter();
    let made = entries.filter(|entry| entry.state == State::Backup);
    Ok(made.map(|entry| PathBuf::from(entry.detail)).collect())
}

/// How far a version came, statement by statement.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Standing {
    /// The hashes of the statements that are done, by their number from 1.
    pub done: BTreeMap<u64, String>,
    /// The statement that was begun and neither done nor failed, with the schema's hash before it.
    pub in_flight: Option<(u64, String)>,
    /// What the file began with, where it is noted.
    pub began: String,
    /// What the last failed statement said; one that is done as well left rows where they do not
    /// belong.
    pub failed: Option<(u64, String)>,
    /// What each of them took of what has a limit.
    pub took: BTreeMap<u64, Vec<Took>>,
    /// Why the file does not count as applied, although its statements are done.
    pub unlike: Option<String>,
}

/// So many rows of a table, or values of a column.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Took {
    /// The table, as it was called when the file began.
    pub table: String,
    /// The column; none for rows.
    pub column: Option<String>,
    /// How many.
    pub rows: u64,
}

impl Standing {
    /// The statement, by its number from 0, that is done and left rows where they do not belong.
    pub fn left_behind(&self) -> Option<usize> {
        let (number, _) = self.failed.as_ref()?;
        let is_done = self.done.contains_key(number);
        usize::try_from(number - 1).ok().filter(|_| is_done)
    }
}

/// How far a version came since it was last applied or given up; none when it was not begun.
pub fn standing(entries: &[Entry], version: &Version) -> Option<Standing> {
    let mut standing: Option<Standing> = None;
    // Histories write a version without the zeros before it.
    let of_it = |entry: &&Entry| {
        Version::parse(&entry.version).as_ref() == Some(version) || entry.version == version.text()
    };
    for entry in entries.iter().filter(of_it) {
        let number = entry.statement;
        match (entry.state, number) {
            (State::Applied | State::Resolved | State::Forgotten, 0) => standing = None,
            (State::Begun, 0) => {
                standing.get_or_insert_with(|| Standing {
                    began: entry.detail.clone(),
                    ..Standing::default()
                });
            }
            (State::Begun, _) => {
                let standing = standing.get_or_insert_with(Standing::default);
                standing.in_flight = Some((number, entry.hash.clone()));
                standing.failed = None;
            }
            (State::Done, _) => {
                let standing = standing.get_or_insert_with(Standing::default);
                standing.done.insert(number, entry.hash.clone());
                if let Ok(took) = serde_json::from_str(&entry.detail) {
                    standing.took.insert(number, took);
                }
                standing.in_flight = None;
                standing.failed = None;
            }
            (State::Failed, 0) => {
                let standing = standing.get_or_insert_with(Standing::default);
                standing.unlike = Some(entry.detail.clone());
            }
            (State::Failed, _) => {
                let standing = standing.get_or_insert_with(Standing::default);
                standing.in_flight = None;
                standing.failed = Some((number, entry.detail.clone()));
            }
            // Of a run, or of the history alone; no statement is applied twice by them.
            (
                State::Applied
                | State::Resolved
                | State::Backup
                | State::Baseline
                | State::Adopted
                | State::Repaired
                | State::Forgotten
                | State::Restored
                | State::Made
                | State::Names,
                _,
            ) => {}
        }
    }
    standing
}

/// SHA-256 in hexadecimal.
pub(super) fn hash(text: &str) -> String {
    hex(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::{Entry, State, Version, standing};

    /// What is on disk is read again, and what only a newer chatctl knows is refused.
    #[test]
    fn the_words_on_disk() {
        let words = State::ALL.map(State::word);
        assert_eq!(
            words,
            [
                "backup",
                "begun",
                "done",
                "failed",
                "applied",
                "resolved",
                "baseline",
                "adopted",
                "repaired",
                "forgotten",
                "restored",
                "made",
                "names"
            ]
        );
        for state in State::ALL {
            assert_eq!(State::parse(state.word()).unwrap(), state);
        }
        let error = State::parse("undone").unwrap_err();
        assert!(error.message.contains("`undone`"), "{error}");
    }

    fn entry(statement: u64, state: State, hash: &str) -> Entry {
        Entry {
            run: "r".into(),
            at: "t".into(),
            version: "2".into(),
            statement,
            state,
            hash: hash.into(),
            detail: "no".into(),
        }
    }

    #[test]
    fn how_far_a_file_came() {
        let version = Version::parse("2").unwrap();
        assert_eq!(standing(&[], &version), None);
        let mut entries = vec![
            entry(0, State::Begun, ""),
            entry(1, State::Begun, "s"),
            entry(1, State::Done, "a"),
        ];
        let done = standing(&entries, &version).unwrap().done;
        assert_eq!(done, [(1, "a".to_owned())].into());
        entries.push(entry(2, State::Begun, "t"));
        let killed = standing(&entries, &version).unwrap();
        assert_eq!(killed.in_flight, Some((2, "t".to_owned())));
        entries.push(entry(2, State::Failed, ""));
        let failed = standing(&entries, &version).unwrap();
        assert_eq!(failed.unlike, None);
        assert_eq!(failed.left_behind(), None);
        assert_eq!((failed.in_flight, failed.failed.unwrap().0), (None, 2));
        entries.push(entry(2, State::Done, "t"));
        let done = standing(&entries, &version).unwrap();
        assert_eq!((done.failed, done.done.len()), (None, 2));
        // Rows came while it ran.
        entries.push(entry(2, State::Failed, ""));
        let behind = standing(&entries, &version).unwrap();
        assert_eq!((behind.left_behind(), behind.done.len()), (Some(1), 2));
        entries.push(entry(0, State::Failed, ""));
        let unlike = standing(&entries, &version).unwrap().unlike;
        assert_eq!(unlike.as_deref(), Some("no"));
        entries.push(entry(0, State::Applied, ""));
        assert_eq!(standing(&entries, &version), None);
    }
}
