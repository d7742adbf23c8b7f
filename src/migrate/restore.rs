//! A database becomes what it was when a backup was made: what came since goes too, for it would
//! keep a migration from making it again.

use crate::cli_error::CliError;
use crate::db;
use crate::db::{Missing, Restore, Scratch, Target, Waits, unusable};
use std::path::Path;

/// Makes the database what it was when the backup was made.
pub fn restore(target: &Target, from: &Path) -> anyhow::Result<()> {
    if !from.is_file() {
        return Err(
            CliError::refused(format!("there is no backup `{}`", from.display()))
                .hint("`chatctl migrate history` lists the runs and their backups")
                .into(),
        );
    }
    let dump = db::dump(target.engine());
    (dump.check)(target, from).map_err(|error| unusable(&error))?;
    let (try_out, load, newer) = match dump.restore {
        Restore::AtOnce(restore) => return restore(target, from),
        Restore::AfterTrial {
            try_out,
            load,
            newer,
            ..
        } => (try_out, load, newer),
    };
    let mut session = db::open_session(target, Missing::Fail, Waits::SHORT)?;
    let scratch = Scratch::empty(session.as_mut(), target)?;
    let tried = try_out(&scratch.target, target, from);
    let newer = tried.and_then(|()| newer(session.as_mut(), &scratch.target.database()));
    scratch.remove(session.as_mut())?;
    for drop in newer.map_err(|error| unusable(&error))? {
        session.command(&drop)?;
    }
    drop(session);
    load(target, from)
}
