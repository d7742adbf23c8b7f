//! Opens a database file of SQLite without changing it or leaving a file next to it.
//!
//! Reading may write: a write-ahead log and its index are made where there are none, and a journal
//! that a killed writer left is rolled back. Files that another user made keep the server out for
//! good. So a file is examined first, and then opened in the one way that does neither; where there
//! is none, that is an error which says what to do.

mod copy;
mod header;
mod read;
mod undone;

use crate::cli_error::CliError;
use crate::db::Target;
use anyhow::Context as _;
use header::Journal;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags, ffi};
use std::ffi::OsString;
use std::fs::Metadata;
use std::ops::Deref;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(super) use copy::of as copy;
pub(super) use read::{rows, scan};
pub use undone::Undone;

/// Whether a signal asked to stop reading.
static STOPPED: AtomicBool = AtomicBool::new(false);

/// Stops every long read of a file that this process does, for good.
pub fn stop_reading() {
    STOPPED.store(true, Ordering::Relaxed);
}

/// Whether long reads are to stop.
pub(super) fn is_stopped() -> bool {
    STOPPED.load(Ordering::Relaxed)
}

/// A connection that only reads.
pub(super) struct Opened {
    connection: Connection,
    path: PathBuf,
    way: Way,
}

/// How a file is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// As any other program does.
    Own,
    /// A read keeps nobody from writing: there is a write-ahead log.
    Beside,
    /// A read keeps everybody from committing.
    Locked,
    /// Without a lock: it is the file as it was then.
    Alone(Stamp),
}

/// What shows whether a file was written since.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    seconds: i64,
    nanoseconds: i64,
}

/// Whose file it is, to this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whose {
    /// What is made next to it belongs to the file's owner.
    Ours,
    /// What is made next to it would belong to a user who is not its owner.
    Others,
}

impl Opened {
    /// Opens what is there; a read waits that long for a writer's commit.
    pub(super) fn open(target: &Target, wait: Duration) -> anyhow::Result<Self> {
        let path = target.path();
        let (about, journal) = is_database(target)?;
        let way = match journal {
            Journal::Rollback => Way::Locked,
            Journal::Log => Way::Beside,
        };
        let opened = |flags| looked(path, flags, wait);
        let read_only = OpenFlags::SQLITE_OPEN_READ_ONLY;
        let has_log = has_content(path, "-wal");
        let connection = match (journal, whose(&about)) {
            (Journal::Rollback, _) => opened(read_only),
            (Journal::Log, _)
                if !has_log && (target.read_only() || whose(&about) == Whose::Others) =>
            {
                return Self::alone(path, &about, wait);
            }
            // A connection that may write and never does takes an empty log and its index away when
            // it is the last. But it would also fold in a log that a killed server left.
            (Journal::Log, Whose::Ours) if !has_log && !has_content(path, "-journal") => {
                opened(OpenFlags::SQLITE_OPEN_READ_WRITE)
            }
            (Journal::Log, Whose::Ours) => opened(read_only),
            (Journal::Log, Whose::Others) => {
                let uri = uri(path, "readonly_shm=1");
                looked(
                    Path::new(&uri),
                    read_only | OpenFlags::SQLITE_OPEN_URI,
                    wait,
                )
            }
        };
        match connection {
            Ok(connection) => Ok(Self::new(connection, path, way)),
            // In a folder that can't be written no index of a log can be made. Without a log, the
            // file alone is the database.
            Err(error)
                if journal == Journal::Log
                    && is_in_the_way(&error)
                    && !has_content(path, "-wal") =>
            {
                Self::alone(path, &about, wait)
            }
            Err(error) => Err(refused(target, &about, error)),
        }
    }

    /// A file that is taken not to change: no lock is taken, and nothing is made next to it.
    fn alone(path: &Path, about: &Metadata, wait: Duration) -> anyhow::Result<Self> {
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_URI;
        let connection = looked(Path::new(&uri(path, "immutable=1")), flags, wait)
            .with_context(|| format!("opening `{}`", path.display()))?;
        Ok(Self::new(connection, path, Way::Alone(Stamp::of(about))))
    }

    /// A connection that may write.
    pub(super) fn to_write(connection: Connection) -> Self {
        Self::new(connection, Path::new(""), Way::Own)
    }

    /// A copy that only this process sees.
    fn of_copy(connection: Connection) -> Self {
        Self::new(connection, Path::new(""), Way::Own)
    }

    fn new(connection: Connection, path: &Path, way: Way) -> Self {
        Self {
            connection,
            path: path.to_owned(),
            way,
        }
    }

    /// Whether a read keeps everybody from committing until it ends.
    pub(super) fn locks(&self) -> bool {
        self.way == Way::Locked
    }

    /// Whether what was read without a lock is still what the file holds, and all that it holds.
    pub(super) fn is_current(&self) -> bool {
        match self.way {
            Way::Own | Way::Beside | Way::Locked => true,
            Way::Alone(stamp) => {
                let now = std::fs::metadata(&self.path).map(|about| Stamp::of(&about));
                now.is_ok_and(|now| now == stamp) && !has_content(&self.path, "-wal")
            }
        }
    }
}

impl Deref for Opened {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.connection
    }
}

impl Drop for Opened {
    /// What a server wrote meanwhile and did not fold in itself is left to the next server.
    fn drop(&mut self) {
        if self.way == Way::Beside && has_content(&self.path, "-wal") {
            let keep = DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE;
            // It only fails for an option that SQLite doesn't know.
            let _ = self.connection.set_db_config(keep, true);
        }
    }
}

impl Stamp {
    fn of(about: &Metadata) -> Self {
        Self {
            inode: about.ino(),
            size: about.size(),
            seconds: about.mtime(),
            nanoseconds: about.mtime_nsec(),
        }
    }
}

pub(super) fn is_there(target: &Target) -> anyhow::Result<()> {
    is_database(target).map(|_| ())
}

/// What is at the path of a database, and how it is written.
fn is_database(target: &Target) -> anyhow::Result<(Metadata, Journal)> {
    let path = target.path();
    let about = about(path)?;
    let journal = header::of(path, &about)
        .with_context(|| format!("opening `{target}`"))?
        .ok_or_else(|| no_database(path))?;
    Ok((about, journal))
}

/// What is at a path, if that can be a database: reading a pipe would wait for a writer.
fn about(path: &Path) -> Result<Metadata, CliError> {
    let shown = path.display();
    let about = match std::fs::metadata(path) {
        Ok(about) => about,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let hint = format!(
                "check --database-url{}; chatctl never creates the store that it reads \
                 (SQLAlchemy's sqlite:///chat.db is sqlite:chat.db here)",
                relative_to(path)
            );
            return Err(CliError::unreachable(format!("no database at `{shown}`"))
                .hint(where_else(path, &hint)));
        }
        Err(error) => {
            return Err(
                CliError::unreachable(format!("can't read `{shown}`: {error}"))
                    .hint("run chatctl as the user that the server runs as"),
            );
        }
    };
    if about.is_file() {
        return Ok(about);
    }
    let what = if about.is_dir() {
        "a folder"
    } else {
        "a pipe, a socket or a device"
    };
    Err(
        CliError::unreachable(format!("`{shown}` is {what}, not a database file"))
            .hint("give the path of the file itself: sqlite:PATH"),
    )
}

/// The folder to which a relative path refers: a `chatctl.toml` may be in another folder.
fn relative_to(path: &Path) -> String {
    match std::env::current_dir() {
        Ok(folder) if path.is_relative() => {
            format!(", whose path is relative to `{}`", folder.display())
        }
        Ok(_) | Err(_) => String::new(),
    }
}

/// That the folder of a file is there, in which SQLite would make it.
pub(super) fn folder_is_there(path: &Path) -> Result<(), CliError> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.exists() => {
            let stop = CliError::unreachable(format!(
                "the folder `{}` of the database does not exist",
                folder.display()
            ));
            Err(stop.hint(where_else(path, "create it, or correct --database-url")))
        }
        Some(_) | None => Ok(()),
    }
}

/// What to do about a file that is not there: a path of a container's means another one, else this.
pub fn where_else<'a>(path: &Path, otherwise: &'a str) -> &'a str {
    if is_of_container(path) {
        "it looks like a path inside a container: give the path of its volume on this machine \
         (docker inspect -f '{{ .Mounts }}' CONTAINER), or run chatctl in the container"
    } else {
        otherwise
    }
}

/// Whether a path is where images keep their data, and its folder is not there.
fn is_of_container(path: &Path) -> bool {
    const ROOTS: [&str; 8] = [
        "/app",
        "/code",
        "/data",
        "/home/node",
        "/srv",
        "/usr/src",
        "/var/lib",
        "/workspace",
    ];
    let is_there = path.parent().is_some_and(Path::exists);
    !is_there && ROOTS.iter().any(|root| path.starts_with(root))
}

fn no_database(path: &Path) -> CliError {
    CliError::unreachable(format!(
        "`{}` is not a database of SQLite, or it is encrypted",
        path.display()
    ))
    .hint("give the path of the server's own database file: sqlite:PATH")
}

/// SQLite gives what root makes next to a file to the file's owner.
fn whose(about: &Metadata) -> Whose {
    let me = nix::unistd::geteuid();
    if me.is_root() || me.as_raw() == about.uid() {
        Whose::Ours
    } else {
        Whose::Others
    }
}

/// Opens a file and reads for the first time, which is what shows whether it can be read.
fn looked(path: &Path, access: OpenFlags, wait: Duration) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(wait)?;
    // A check of its pages would evaluate conditions, which may need functions of the application.
    connection.execute_batch(
        "PRAGMA query_only = ON; PRAGMA ignore_check_constraints = ON; SELECT count(*) FROM sqlite_master",
    )?;
    Ok(connection)
}

/// Whether there is a file of that ending next to a database, with something in it.
fn has_content(path: &Path, ending: &str) -> bool {
    let mut name = OsString::from(path);
    name.push(ending);
    std::fs::metadata(name).is_ok_and(|about| about.len() > 0)
}

fn is_in_the_way(error: &rusqlite::Error) -> bool {
    matches!(
        error.sqlite_error_code(),
        Some(ErrorCode::ReadOnly | ErrorCode::CannotOpen)
    )
}

/// What was read without a lock may be of two moments.
pub(super) fn written(target: &Target) -> CliError {
    CliError::unreachable(format!(
        "`{target}` was written while it was read, and this user may not take its lock"
    ))
    .hint("run chatctl as the user that the server runs as")
}

/// Why a file can't be read without changing it, and what to do (sqlite.org/rescode.html).
fn refused(target: &Target, about: &Metadata, error: rusqlite::Error) -> anyhow::Error {
    let code = error.sqlite_error().map(|error| error.extended_code);
    let shown = target.path().display();
    let owner = about.uid();
    match code {
        Some(ffi::SQLITE_READONLY_ROLLBACK) => CliError::unreachable(format!(
            "`{shown}` has the journal of a writer that was killed: it can't be read until the journal is \
                rolled back, and chatctl changes nothing"
        ))
        .hint(format!(
            "start the server, which rolls it back, or run as its user: sqlite3 {shown} 'PRAGMA quick_check'"
        ))
        .into(),
        _ if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => {
            CliError::unreachable(format!("`{shown}` is locked by another process"))
                .hint(format!(
                    "wait until it ends its transaction; `fuser -v {shown}` lists who has the file open"
                ))
                .into()
        }
        _ if is_in_the_way(&error) && has_content(target.path(), "-wal") => {
            CliError::unreachable(format!(
                "`{shown}` has a write-ahead log: only a user who may write both files can read it at the moment"
            ))
            .hint(format!(
                "run chatctl as the file's owner: sudo -u '#{owner}' chatctl …"
            ))
            .into()
        }
        _ if error.sqlite_error_code() == Some(ErrorCode::DatabaseCorrupt) => damaged(target).into(),
        _ => anyhow::Error::from(error).context(format!("opening `{target}`")),
    }
}

/// A file that begins as a database does and is none.
pub(super) fn damaged(target: &Target) -> CliError {
    let shown = target.path().display();
    CliError::unreachable(format!("`{shown}` is damaged or cut short"))
        .hint(format!("restore it from a backup (`chatctl migrate history` names those that chatctl made), or save what can be read: sqlite3 {shown} .recover"))
}

/// A name of the file with a parameter (sqlite.org/uri.html).
fn uri(path: &Path, parameter: &str) -> String {
    let path = path.to_string_lossy();
    let path = path
        .replace('%', "%25")
        .replace('?', "%3f")
        .replace('#', "%23");
    format!("file:{path}?{parameter}")
}
