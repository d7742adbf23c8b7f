//! Opening a database file so that nothing of it is changed, and nothing is left beside it.

use crate::db::Target;
use crate::stop::Stop;
use anyhow::Context as _;
use rusqlite::Connection;
use rusqlite::ErrorCode;
use rusqlite::OpenFlags;
use rusqlite::config::DbConfig;
use std::ffi::OsString;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

/// A connection that only reads.
pub(super) struct Reader {
    pub(super) connection: Connection,
    path: PathBuf,
    /// Whether nobody else uses the database, so that a transaction is in nobody's way.
    pub(super) is_alone: bool,
    /// What whoever reads the results should know.
    pub(super) warning: Option<String>,
    /// The folder of a copy, which is gone with it.
    folder: Option<tempfile::TempDir>,
}

impl Reader {
    /// Opens what is there; a read waits that long for a writer's commit.
    ///
    /// A connection that may only read leaves an empty write-ahead log and its index behind; one
    /// that may write and never does takes them away when it is the last. But that one would also
    /// fold in a log that a killed server left. So the first is for a log with something in it.
    pub(super) fn open(target: &Target, wait: Duration) -> anyhow::Result<Self> {
        let path = target.path();
        if !path.exists() {
            return Err(
                Stop::unreachable(format!("no database at `{}`", path.display()))
                    .hint("check --database-url; chatctl never creates the store that it looks at")
                    .into(),
            );
        }
        let access = match target.read_only() || has_log(path) {
            true => OpenFlags::SQLITE_OPEN_READ_ONLY,
            false => OpenFlags::SQLITE_OPEN_READ_WRITE,
        };
        match looked(path, access, wait) {
            Ok(connection) => Ok(Self::new(connection, path)),
            // In a folder that can't be written, no index of a log can be made. Without a log,
            // the file alone is the database.
            Err(error) if is_in_the_way(&error) && !has_log(path) => {
                let uri = immutable(path);
                let access = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
                let connection = looked(Path::new(&uri), access, wait);
                let connection = connection.with_context(|| format!("opening `{target}`"))?;
                let mut reader = Self::new(connection, path);
                reader.is_alone = true;
                reader.warning = Some(format!(
                    "The folder of `{target}` can't be written, so the file was read without a lock: \
                     if a server wrote meanwhile, what was read may be of two moments."
                ));
                Ok(reader)
            }
            Err(error) => Err(error).with_context(|| format!("opening `{target}`")),
        }
    }

    fn new(connection: Connection, path: &Path) -> Self {
        Self {
            connection,
            path: path.to_owned(),
            is_alone: false,
            warning: None,
            folder: None,
        }
    }

    /// A copy, and the folder that is gone with it.
    pub(super) fn of_copy(connection: Connection, path: &Path, folder: tempfile::TempDir) -> Self {
        let mut reader = Self::new(connection, path);
        reader.folder = Some(folder);
        reader
    }

    /// The journal mode, as SQLite calls it.
    pub(super) fn mode(&self, target: &Target) -> anyhow::Result<String> {
        let mode = self
            .connection
            .query_row("PRAGMA journal_mode", [], |row| row.get(0));
        mode.with_context(|| format!("reading `{target}`"))
    }
}

impl Drop for Reader {
    /// What a server wrote meanwhile and did not fold in itself is left to the next server.
    fn drop(&mut self) {
        if has_log(&self.path) {
            let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            // It only fails for an option that SQLite doesn't know.
            let _ = self.connection.set_db_config(keep, true);
        }
    }
}

/// Opens a file and reads for the first time, which is what tells whether it can be read.
fn looked(path: &Path, access: OpenFlags, wait: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(wait)?;
    connection.execute_batch("PRAGMA query_only = ON; SELECT count(*) FROM sqlite_master")?;
    Ok(connection)
}

/// Whether there is a write-ahead log with something in it.
fn has_log(path: &Path) -> bool {
    let mut log = OsString::from(path);
    log.push("-wal");
    std::fs::metadata(log).is_ok_and(|about| about.len() > 0)
}

fn is_in_the_way(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
    )
}

/// A name of the file that says that nobody changes it (sqlite.org/uri.html).
fn immutable(path: &Path) -> String {
    let path = path.to_string_lossy();
    let path = path
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    format!("file:{path}?immutable=1")
}
