//! A dump of SQLite is a database file.

use super::session;
use crate::cli_error::CliError;
use crate::db::dump::{Dump, Restore, wrong};
use crate::db::{Missing, Target, Waits};
use anyhow::Context as _;
use rusqlite::backup::{Backup, StepResult};
use rusqlite::{Connection, OpenFlags};
use std::collections::BTreeSet;
use std::path::Path;

pub(super) static DUMP: Dump = Dump {
    ending: "db",
    write,
    check,
    tables,
    restore: Restore::AtOnce(restore),
};

/// A statement that writes a copy of the database into a file that is not there, or empty.
pub(super) fn copy_into(path: &Path) -> String {
    let literal = path.display().to_string().replace('\'', "''");
    format!("VACUUM INTO '{literal}'")
}

fn write(target: &Target, path: &Path) -> anyhow::Result<()> {
    let mut session = session::open(target, Missing::Look, Waits::SHORT)?;
    // A session that looks writes nothing at all, not even a copy elsewhere.
    let copy = format!("PRAGMA query_only = OFF; {}", copy_into(path));
    Ok(session.command(&copy)?)
}

fn check(target: &Target, path: &Path) -> anyhow::Result<()> {
    // SQLite takes an empty file for a sound database without tables.
    if std::fs::metadata(path)?.len() == 0 {
        return Err(wrong(path, "is empty"));
    }
    let copy = target.sibling(&path.display().to_string());
    let mut session = session::open(&copy, Missing::Look, Waits::SHORT)?;
    if session.rows("PRAGMA quick_check")?[0][0].text() != Some("ok") {
        return Err(wrong(path, "is damaged"));
    }
    Ok(())
}

fn tables(target: &Target, path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let copy = target.sibling(&path.display().to_string());
    let mut session = session::open(&copy, Missing::Look, Waits::SHORT)?;
    let rows = session.rows("SELECT name FROM sqlite_master WHERE type = 'table'")?;
    Ok(rows.iter().map(|row| row[0].to_string()).collect())
}

/// Makes a database file what another one is, all at once: whoever reads sees the one or the other.
fn restore(target: &Target, with: &Path) -> anyhow::Result<()> {
    let from = Connection::open_with_flags(with, OpenFlags::SQLITE_OPEN_READ_ONLY)
        .with_context(|| format!("opening `{}`", with.display()))?;
    let mut to = Connection::open(target.path()).with_context(|| format!("opening `{target}`"))?;
    to.busy_timeout(Waits::SHORT.lock)?;
    let backup = Backup::new(&from, &mut to)?;
    match backup.step(-1)? {
        StepResult::Done => Ok(()),
        _ => Err(
            CliError::unreachable(format!("`{target}` is locked by another connection"))
                .hint("stop the servers that use it, and try again")
                .into(),
        ),
    }
}
