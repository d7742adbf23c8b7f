//! A database becomes what it was when a backup was made: what came since goes too, for it would
//! keep a migration from making it again.

use super::history;
use crate::cli_error::CliError;
use crate::db;
use crate::db::{Missing, OWN_TABLES, Restore, Scratch, Session, Target, Waits, unusable};
use std::collections::BTreeSet;
use std::path::Path;

/// A backup that was tried out and can take the place of the database.
pub struct Ready<'a> {
    target: &'a Target,
    from: &'a Path,
    /// The tables that the database has and the backup has not: they go.
    pub go: Vec<String>,
    /// Statements that drop what came since, where the load does not do it by itself.
    drops: Vec<String>,
}

/// What becomes of a backup that has none of the database's tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Foreign {
    /// It is refused.
    Refused,
    /// The user says that it is meant.
    Allowed,
}

/// Looks whether the database can become what it was when the backup was made. Changes nothing.
///
/// # Errors
/// When it can't, and when it is a backup of something else.
pub fn prepare<'a>(
    target: &'a Target,
    from: &'a Path,
    foreign: Foreign,
) -> anyhow::Result<Ready<'a>> {
    if !from.is_file() {
        return Err(
            CliError::refused(format!("there is no backup `{}`", from.display()))
                .hint("`chatctl migrate history` lists the runs and their backups")
                .into(),
        );
    }
    let dump = db::dump(target.engine());
    (dump.check)(target, from).map_err(|error| unusable(&error))?;
    let inside = (dump.tables)(target, from).map_err(|error| unusable(&error))?;
    let mut session = db::open_session(target, Missing::Look, Waits::SHORT)?;
    let shapes = session.catalog()?.into_iter();
    let there: Vec<_> = shapes.map(|shape| shape.table).collect();
    drop(session);
    let go = missing(&there, &inside);
    let own = there.iter().filter(|table| !is_history(table)).count();
    if foreign == Foreign::Refused && own > 0 && go.len() == own {
        return Err(CliError::refused(format!(
            "`{}` is a backup of another database: it has none of the tables of `{target}` ({})",
            from.display(),
            go.join(", ")
        ))
        .hint("`chatctl migrate history` lists the backups of this database; --allow-foreign restores the file anyway")
        .into());
    }
    let mut ready = Ready {
        target,
        from,
        go,
        drops: Vec::new(),
    };
    if let Restore::AfterTrial { newer, .. } = &dump.restore {
        let mut session = db::open_session(target, Missing::Fail, Waits::SHORT)?;
        let scratch = Scratch::trial(session.as_mut(), target)?;
        let tried = tried(session.as_mut(), &scratch, (target, from), &dump.restore);
        let newer = tried.and_then(|()| newer(session.as_mut(), &scratch.target.database()));
        scratch.remove(session.as_mut())?;
        ready.drops = newer.map_err(|error| unusable(&error))?;
    }
    Ok(ready)
}

/// Loads the backup into an empty database, as a user who can write nowhere else where that goes: a dump
/// may name other databases, or this one.
fn tried(
    session: &mut dyn Session,
    scratch: &Scratch,
    (target, from): (&Target, &Path),
    restore: &Restore,
) -> anyhow::Result<()> {
    let Restore::AfterTrial {
        try_out,
        is_denied,
        leaves,
        ..
    } = restore
    else {
        return Ok(());
    };
    let Some(confined) = &scratch.confined else {
        return try_out(&scratch.target, target, from);
    };
    let Err(error) = try_out(confined, target, from) else {
        return Ok(());
    };
    let message = format!("{error:#}");
    if leaves(&message) {
        return Err(CliError::refused(format!("it writes into another database: {message}"))
            .hint("make a dump of this database alone, without `--databases`: it must not name a database")
            .into());
    }
    if !is_denied(&message) {
        return Err(error);
    }
    // Another right is missing, such as one that the dump's own settings need.
    scratch.empty_again(session)?;
    try_out(&scratch.target, target, from)
}

/// The tables of the application that a backup has not.
fn missing(there: &[String], inside: &BTreeSet<String>) -> Vec<String> {
    let is_inside = |table: &str| {
        let mut names = inside.iter();
        names.any(|name| name.eq_ignore_ascii_case(table))
    };
    let own = there.iter().filter(|table| !is_history(table));
    own.filter(|table| !is_inside(table)).cloned().collect()
}

/// Whether chatctl or another migrator keeps its history there: other applications have such a table, too.
fn is_history(table: &str) -> bool {
    let known = history::ALL.iter().map(|history| history.table);
    known.chain(OWN_TABLES).any(|name| name == table)
}

impl Ready<'_> {
    /// Makes the database what it was. `before`: the backup of what it is now.
    ///
    /// # Errors
    /// When that fails, with the state in which it leaves the database.
    pub fn replace(self, before: &Path) -> anyhow::Result<()> {
        let load = match &db::dump(self.target.engine()).restore {
            Restore::AtOnce(restore) => return restore(self.target, self.from),
            Restore::AfterTrial { load, .. } => load,
        };
        let mut session = db::open_session(self.target, Missing::Fail, Waits::SHORT)?;
        let replaced = self
            .drops
            .iter()
            .try_for_each(|drop| Ok(session.command(drop)?));
        drop(session);
        let replaced = replaced.and_then(|()| load(self.target, self.from));
        replaced.map_err(|error: anyhow::Error| {
            CliError::unreachable(format!(
                "the restore ended early, so `{}` may be neither the old database nor the backup: {error:#}; \
                 the old database is in {}",
                self.target,
                before.display()
            ))
            .hint(format!(
                "stop the servers, correct the cause, and repeat it, or go back: chatctl migrate restore {}",
                before.display()
            ))
            .into()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::missing;

    #[test]
    fn histories_do_not_make_a_backup_one_of_this_database() {
        let all = |names: &[&str]| names.iter().map(|it| (*it).to_owned()).collect::<Vec<_>>();
        let there = all(&["messages", "chats", "_sqlx_migrations", "_chatctl_journal"]);
        for (inside, gone) in [
            (&["Messages", "chats"][..], &[][..]),
            (&["chats", "_sqlx_migrations"], &["messages"]),
            (&["foo", "_sqlx_migrations"], &["messages", "chats"]),
        ] {
            let inside = all(inside).into_iter().collect();
            assert_eq!(missing(&there, &inside), gone, "{inside:?}");
        }
    }
}
