//! A dump of SQLite is a database file.

use super::session;
use crate::db::dump::{Dump, Restore, wrong};
use crate::db::{Missing, Target, Waits};
use std::path::Path;

pub(super) static DUMP: Dump = Dump {
    ending: "db",
    write,
    check,
    restore: Restore::AtOnce(session::overwrite),
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
