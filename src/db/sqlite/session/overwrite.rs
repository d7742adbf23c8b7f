//! A database file becomes what another one is.

use crate::cli_error::CliError;
use crate::db::{Target, Waits};
use anyhow::Context as _;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Makes a database file what another one is, all at once: whoever reads sees the one or the other.
pub(in crate::db::sqlite) fn overwrite(target: &Target, with: &Path) -> anyhow::Result<()> {
    let from = Connection::open_with_flags(with, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("opening `{}`", with.display()))?;
    let mut to = Connection::open(target.path()).with_context(|| format!("opening `{target}`"))?;
    to.busy_timeout(Waits::SHORT.lock)?;
    let backup = rusqlite::backup::Backup::new(&from, &mut to)?;
    match backup.step(-1)? {
        rusqlite::backup::StepResult::Done => Ok(()),
        _ => Err(
            CliError::unreachable(format!("`{target}` is locked by another connection"))
                .hint("stop the servers that use it, and try again")
                .into(),
        ),
    }
}
