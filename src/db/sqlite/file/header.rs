//! What the first bytes of a database file say (sqlite.org/fileformat2.html, "The Database Header").

use std::collections::HashMap;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// How a database file is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Journal {
    /// What a transaction changes is saved first, and rolled back if it doesn't end.
    Rollback,
    /// What a transaction changes goes to a log.
    Log,
}

/// The files that were inspected. None is ever closed: closing it would drop the locks that
/// SQLite holds on it in this process.
static FILES: Mutex<Option<HashMap<(u64, u64), File>>> = Mutex::new(None);

const MAGIC: &[u8] = b"SQLite format 3\0";
/// Where the version is that a reader must know: 2 is that of a write-ahead log.
const READ_VERSION: usize = 19;

/// How a file is written; none if it is not a database.
pub(super) fn of(path: &Path, about: &Metadata) -> io::Result<Option<Journal>> {
    let mut header = [0; READ_VERSION + 1];
    // An empty file is an empty database.
    if about.len() == 0 {
        return Ok(Some(Journal::Rollback));
    }
    let mut files = FILES.lock().unwrap_or_else(PoisonError::into_inner);
    let files = files.get_or_insert_default();
    let key = (about.dev(), about.ino());
    let file = match files.remove(&key) {
        Some(file) => file,
        None => File::open(path)?,
    };
    let read = files.entry(key).insert_entry(file);
    let read = read.get().read_exact_at(&mut header, 0);
    let is_whole = match read {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => false,
        Err(error) => return Err(error),
    };
    Ok(match is_whole && header.starts_with(MAGIC) {
        true if header[READ_VERSION] == 2 => Some(Journal::Log),
        true => Some(Journal::Rollback),
        false => None,
    })
}
