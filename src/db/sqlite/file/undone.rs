//! A file of SQLite without its commit in progress.
//!
//! In the modes of a rollback journal a commit is done when its journal is gone. Until then the journal has
//! the pages as they were, and its writer has the file to itself: nobody can read it. Of a copy of both,
//! SQLite itself undoes the commit when it is opened. Without a journal in a file the writer is held before its
//! first page, and the file is as it was.

use crate::db::Target;
use crate::temporary::Folder;
use anyhow::Context as _;
use rusqlite::Connection;
use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// The largest file that is copied.
const LARGEST: u64 = 256 << 20;

/// A copy in a folder of its own, which is removed when this is dropped.
pub struct Undone {
    target: Target,
    _folder: Folder,
}

impl Undone {
    /// Copies a file whose writer is held before its commit is done. It has to be held until this returns.
    ///
    /// # Errors
    /// When the file is too large, or has a write-ahead log.
    pub fn copy(path: &Path) -> anyhow::Result<Self> {
        let length = fs::metadata(path)?.len();
        anyhow::ensure!(length <= LARGEST, "the file is too large to be copied");
        let folder = Folder::new().context("making a temporary folder")?;
        let copy = folder.path().join("undone.db");
        let journal = journal_of(&copy);
        let has_log = with_ending(path, "-wal").exists();
        anyhow::ensure!(!has_log, "the file has a write-ahead log");
        let has_journal = is_in_use(&journal_of(path));
        if has_journal {
            fs::copy(journal_of(path), &journal).context("copying the journal")?;
        }
        fs::copy(path, &copy).context("copying the file")?;
        let connection = Connection::open(&copy)?;
        connection.query_row("SELECT count(*) FROM sqlite_master", [], |_| Ok(()))?;
        drop(connection);
        // What SQLite does not take for the journal of a commit under way is left where it is.
        anyhow::ensure!(!journal.exists(), "the journal undoes nothing");
        let target = Target::parse(&format!("sqlite:{}", copy.display()))?;
        Ok(Self {
            target,
            _folder: folder,
        })
    }

    /// Where the copy is.
    pub fn target(&self) -> &Target {
        &self.target
    }
}

/// Whether a journal has pages: one that is kept after its commit begins with zeros.
fn is_in_use(journal: &Path) -> bool {
    let mut magic = [0; 8];
    let read = fs::File::open(journal).and_then(|mut file| file.read_exact(&mut magic));
    read.is_ok() && magic != [0; 8]
}

fn journal_of(path: &Path) -> PathBuf {
    with_ending(path, "-journal")
}

fn with_ending(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::Undone;
    use rusqlite::Connection;

    fn rows(path: &std::path::Path) -> rusqlite::Result<u32> {
        let connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::ZERO)?;
        connection.query_row("SELECT count(*) FROM a", [], |row| row.get(0))
    }

    #[test]
    fn a_commit_under_way_is_undone_in_the_copy() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.db");
        let writer = Connection::open(&path).unwrap();
        let sql = "PRAGMA journal_mode = delete; PRAGMA cache_size = 1; CREATE TABLE a (text); INSERT INTO a VALUES ('old')";
        writer.execute_batch(sql).unwrap();
        // Nothing is under way.
        let same = Undone::copy(&path).unwrap();
        assert_eq!(rows(same.target().path()).unwrap(), 1);
        // More than its memory holds is written to the file before the commit, as a commit does.
        let fill = "BEGIN; INSERT INTO a WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 999) \
             SELECT hex(randomblob(400)) FROM n";
        writer.execute_batch(fill).unwrap();
        assert!(rows(&path).is_err());
        let undone = Undone::copy(&path).unwrap();
        assert_eq!(rows(undone.target().path()).unwrap(), 1);
        writer.execute_batch("COMMIT").unwrap();
        assert_eq!(rows(&path).unwrap(), 1000);
        writer
            .execute_batch("PRAGMA journal_mode = wal; INSERT INTO a VALUES ('new')")
            .unwrap();
        assert!(Undone::copy(&path).is_err(), "the row is in the log");
    }
}
