//! A copy of a database whose readers would block its writers.
//!
//! Without a write-ahead log nobody commits while anybody reads, and a server gives up after some
//! seconds. So the file is copied a little at a time, which takes the lock for a moment only, and the
//! copy is read. If a server commits meanwhile, SQLite begins the copy again: then more is copied
//! under one lock, until all of it fits between two commits or the lock would be held for too long.

use super::{Opened, is_stopped};
use crate::cli_error::CliError;
use crate::db::Target;
use crate::temporary::{self, Folder};
use anyhow::Context as _;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use std::time::{Duration, Instant};

/// How many pages are copied under one lock at first.
const PAGES: i32 = 256;

/// How long the lock is held at first, and at most: a third of what servers usually wait for it.
const SHORT: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(1500);

/// How long it is left to the writers after each step, and after a page that could not be had.
const PAUSE: Duration = Duration::from_millis(1);
const BUSY: Duration = Duration::from_millis(5);

/// So small a database is copied into memory.
const SMALL: u64 = 16 << 20;

/// A copy, to be read in the place of the database.
pub(in crate::db::sqlite) fn of(
    from: &Opened,
    target: &Target,
    deadline: Instant,
) -> anyhow::Result<Opened> {
    let number = |name: &str| {
        let sql = format!("PRAGMA {name}");
        let number = from.query_row(&sql, [], |row| row.get::<_, i64>(0));
        number.with_context(|| format!("reading `{target}`"))
    };
    let size = number("page_count")?.saturating_mul(number("page_size")?);
    let size = u64::try_from(size).unwrap_or(0);
    loop {
        let version = number("schema_version")?;
        let mut to = empty(size)?;
        Copying::new(target, deadline).fill(from, &mut to)?;
        // The copying counted the version on; it is put back to what it stood for, if it is sure
        // that it did.
        if number("schema_version")? == version {
            to.execute_batch(&format!(
                "PRAGMA journal_mode = OFF; PRAGMA schema_version = {version}; PRAGMA query_only = ON; \
                 BEGIN; SELECT count(*) FROM sqlite_master"
            ))
            .context("reading a copy")?;
            return Ok(Opened::of_copy(to));
        }
    }
}

/// A place for a copy of so many bytes: in memory, or in a file that has no name any more.
fn empty(size: u64) -> anyhow::Result<Connection> {
    if size <= SMALL {
        let to = Connection::open_in_memory().context("making a copy in memory")?;
        return checking_no_conditions(to);
    }
    let folder = Folder::new().context("making a folder for a copy")?;
    let about =
        nix::sys::statvfs::statvfs(folder.path()).context("checking the space for a copy")?;
    let free = temporary::free_bytes(&about);
    // A copy may grow while it is made, and whoever else writes there needs room as well.
    if free / 2 < size {
        return Err(CliError::unreachable(format!(
            "{} has no space for a copy of the store ({} MB), and reading the store itself would block its writers",
            std::env::temp_dir().display(),
            size >> 20
        ))
        .hint("set TMPDIR to a folder with twice that space, or switch the store to a write-ahead log: PRAGMA \
            journal_mode = WAL")
        .into());
    }
    let to = Connection::open(folder.path().join("copy.db")).context("opening a copy")?;
    // Only with its first page is the file there, and its name can be taken away.
    to.execute_batch("PRAGMA journal_mode = OFF; PRAGMA user_version = 1")
        .context("making a copy")?;
    folder.close().context("unlinking a copy")?;
    checking_no_conditions(to)
}

/// As the file itself is opened.
fn checking_no_conditions(to: Connection) -> anyhow::Result<Connection> {
    to.execute_batch("PRAGMA ignore_check_constraints = ON")
        .context("making a copy")?;
    Ok(to)
}

/// A copy that is made.
struct Copying<'t> {
    target: &'t Target,
    deadline: Instant,
    /// How long the lock may be held.
    hold: Duration,
    /// How many pages are copied under one lock.
    pages: i32,
}

impl<'t> Copying<'t> {
    fn new(target: &'t Target, deadline: Instant) -> Self {
        Self {
            target,
            deadline,
            hold: SHORT,
            pages: PAGES,
        }
    }

    fn fill(&mut self, from: &Connection, to: &mut Connection) -> anyhow::Result<()> {
        let backup = Backup::new(from, to).context("copying")?;
        let mut left = i32::MAX;
        loop {
            let began = Instant::now();
            let pause = match backup.step(self.pages).context("copying")? {
                StepResult::Done => return Ok(()),
                StepResult::More => {
                    let remaining = backup.progress().remaining;
                    // There is more left than before: it was begun again.
                    if remaining > left {
                        self.hold = (self.hold * 2).min(LONGEST);
                    }
                    left = remaining;
                    self.pages = fitting(self.pages, began.elapsed(), self.hold);
                    PAUSE
                }
                _ => BUSY,
            };
            if is_stopped() {
                return Err(CliError::interrupted().into());
            }
            if Instant::now() > self.deadline {
                return Err(self.starved().into());
            }
            std::thread::sleep(pause);
        }
    }

    fn starved(&self) -> CliError {
        CliError::unreachable(format!(
            "`{}` was written repeatedly while it was copied",
            self.target
        ))
        .hint("give it more time, read when less is written, or switch the store to a write-ahead log: PRAGMA journal_mode = WAL")
    }
}

/// How many pages may be copied in the time, if so many took so long.
fn fitting(pages: i32, took: Duration, time: Duration) -> i32 {
    let rate = f64::from(pages) / took.as_secs_f64().max(1e-6);
    let fitting = rate * time.as_secs_f64();
    // A single step tells little of the next one.
    let most = f64::from(pages) * 4.0;
    fitting.clamp(f64::from(PAGES), most.max(f64::from(PAGES))) as i32
}

#[cfg(test)]
mod tests {
    use super::{PAGES, fitting};
    use std::time::Duration;

    #[test]
    fn a_step_is_as_long_as_the_lock_may_be_held() {
        let ms = Duration::from_millis;
        assert_eq!(fitting(1000, ms(10), ms(20)), 2000);
        assert_eq!(fitting(1000, ms(40), ms(20)), 500);
        assert_eq!(fitting(1000, ms(1), ms(100)), 4000, "four times at most");
        assert_eq!(fitting(1000, ms(10_000), ms(1)), PAGES, "it goes on");
    }
}
