//! Options of a run.

use crate::cli_error::CliError;
use crate::clock;
use crate::db::{Door, Session, Target};
use crate::migrate::backup;
use crate::migrate::backup::Backup;
use crate::migrate::intent::Intent;
use crate::migrate::plan::Policy;
use crate::migrate::source::Folder;
use crate::sql::Dialect;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// How tables are compared that a migration touches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Guard {
    /// Row by row and value by value, however large.
    Exact,
    /// As `exact`; on MySQL, where it needs a copy, only tables up to 1 GiB.
    Auto,
    /// By counts of rows and values only, so that an UPDATE or DELETE has to be acknowledged.
    Counts,
}

/// Which files are one transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Together {
    /// Each file is one of its own, so that what it locks is free again before the next one; on
    /// SQLite, which has one lock only, all files are.
    EachFile,
    /// All files that follow one another and can be.
    Run,
}

/// How large a table may be that is compared row by row by default, in bytes.
pub(super) const BUDGET: u64 = 1 << 30;
/// Rows of a table that is too large to be copied as a whole: the oldest and the newest.
pub(super) const SAMPLE: u64 = 10_000;
/// How often a lock is tried for, so that a signal is not waited out.
pub(super) const TRY: Duration = Duration::from_millis(20);

/// What is to be done, and how.
pub struct ApplyOptions<'a> {
    /// The database.
    pub target: &'a Target,
    /// The migrations.
    pub folder: &'a Folder,
    /// Which of them.
    pub policy: Policy,
    /// The database's SQL.
    pub dialect: Dialect,
    /// How touched tables are compared.
    pub guard: Guard,
    /// Which files are one transaction.
    pub together: Together,
    /// How long to wait for another replica or writer.
    pub lock_wait: Duration,
    /// How often to try again when a statement does not get its lock.
    pub retries: u32,
    /// What is saved before anything is destroyed.
    pub backup: Backup,
    /// Turns true when a signal asks to stop.
    pub stop: &'a AtomicBool,
    /// Opens a further connection, whose statements a signal stops as well.
    pub open: &'a dyn Fn(Door<'_>) -> anyhow::Result<Box<dyn Session>>,
    /// Tells what is being done.
    pub tell: &'a (dyn Fn(&str) + Sync),
}

impl ApplyOptions<'_> {
    pub(super) fn check(&self) -> Result<(), CliError> {
        if self.stop.load(Ordering::SeqCst) {
            Err(CliError::interrupted())
        } else {
            Ok(())
        }
    }

    /// Waits a little, longer each time, and never as long as another replica does.
    pub(super) fn pause(&self, tried: u32) -> Result<(), CliError> {
        let most = 50_u64.saturating_mul(1 << tried.min(6));
        let until = clock::now() + Duration::from_millis(fastrand::u64(most / 2..=most));
        while clock::now() < until {
            self.check()?;
            std::thread::sleep(TRY);
        }
        Ok(())
    }

    /// Makes a backup where one is wanted. Without it, nothing is run.
    pub(super) fn back_up<'i, 'b: 'i>(
        &self,
        files: impl IntoIterator<Item = &'i Intent<'b>>,
        run: &str,
    ) -> anyhow::Result<Option<PathBuf>> {
        if !self.backup.is_wanted(self.dialect, files) {
            return Ok(None);
        }
        (self.tell)("making a backup");
        backup::rehearse(self.target)?;
        backup::take(self.target, self.backup.dir.as_deref(), run).map(Some)
    }
}
