//! A copy of a database whose readers would keep its writers waiting.
//!
//! Without a write-ahead log nobody commits while anybody reads, and a server gives up after some
//! seconds. So the file is copied a few pages at a time, which takes the lock for a moment only, and
//! the copy is read. If a server commits meanwhile, SQLite begins the copy again.

use super::reader::Reader;
use crate::db::Target;
use crate::stop::Stop;
use anyhow::Context as _;
use rusqlite::Connection;
use rusqlite::backup::Backup;
use rusqlite::backup::StepResult;
use std::time::Duration;
use std::time::Instant;

/// How many pages are copied under one lock: about a millisecond's work.
const PAGES: i32 = 256;

/// How long it is left to the writers after a page that could not be had.
const PAUSE: Duration = Duration::from_millis(5);

/// A copy, to be read in the place of the database; none if there is no room for one.
pub(super) fn of(
    reader: &Reader,
    target: &Target,
    deadline: Instant,
) -> anyhow::Result<Option<Reader>> {
    let folder = tempfile::tempdir().context("making a folder for a copy")?;
    let number = |name: &str| {
        let sql = format!("PRAGMA {name}");
        let number = reader
            .connection
            .query_row(&sql, [], |row| row.get::<_, i64>(0));
        number.with_context(|| format!("reading `{target}`"))
    };
    let size = number("page_count")?.saturating_mul(number("page_size")?);
    let about = nix::sys::statvfs::statvfs(folder.path()).context("looking for room for a copy")?;
    let free = about
        .blocks_available()
        .saturating_mul(about.fragment_size());
    // A copy may grow while it is made, and whoever else writes there needs room as well.
    if free / 2 < u64::try_from(size).unwrap_or(0) {
        return Ok(None);
    }
    let path = folder.path().join("copy.db");
    loop {
        let version = number("schema_version")?;
        let mut to = Connection::open(&path).context("opening a copy")?;
        fill(&reader.connection, &mut to, target, deadline)?;
        // The copying counted the version on; it is put back to what it stood for, if it is sure
        // that it did.
        if number("schema_version")? == version {
            to.execute_batch(&format!(
                "PRAGMA journal_mode = OFF; PRAGMA schema_version = {version}; PRAGMA query_only = ON; \
                 BEGIN; SELECT count(*) FROM sqlite_master"
            ))
            .context("reading a copy")?;
            return Ok(Some(Reader::of_copy(to, &path, folder)));
        }
    }
}

fn fill(
    from: &Connection,
    to: &mut Connection,
    target: &Target,
    deadline: Instant,
) -> anyhow::Result<()> {
    let backup = Backup::new(from, to).context("copying")?;
    loop {
        match backup.step(PAGES).context("copying")? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => std::thread::sleep(PAUSE),
        }
        if Instant::now() > deadline {
            return Err(Stop::unreachable(format!(
                "`{target}` was written again and again while it was copied"
            ))
            .hint("give it more time, or switch the store to a write-ahead log: PRAGMA journal_mode = WAL")
            .into());
        }
    }
}
