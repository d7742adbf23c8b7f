//! The backup that is made before anything is destroyed, and verified before it counts.

mod shelf;

pub use shelf::{Seal, keep, remove, verify};

use super::intent::{Intent, Piece};
use crate::cli_error::CliError;
use crate::db::{Missing, Restore, Scratch, Target, Waits, refused};
use crate::sql::{Destroys, Dialect};
use crate::temporary::Folder;
use crate::{db, temporary};
use std::path::{Path, PathBuf};

/// When a backup is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// Before a loss that a file acknowledges, and on MySQL before statements that can't be rolled back.
    Auto,
    /// Before every run that has something to do.
    Always,
    /// Never; a file that acknowledges a loss is then refused.
    Never,
}

/// When and where.
#[derive(Debug, Clone)]
pub struct Backup {
    /// When.
    pub when: When,
    /// Where; next to a database file, else in `chatctl-backups` of the working directory.
    pub dir: Option<PathBuf>,
}

impl Backup {
    /// Refuses to destroy without a backup.
    pub(super) fn allowed(&self, files: &[Intent<'_>]) -> Result<(), CliError> {
        let acknowledges = files.iter().find(|intent| !intent.allowed.is_empty());
        match acknowledges.filter(|_| self.when == When::Never) {
            None => Ok(()),
            Some(intent) => Err(CliError::refused(format!(
                "`{}` acknowledges a loss, which requires a backup",
                intent.migration.path.display()
            ))
            .hint("leave `--backup never` out")),
        }
    }

    /// Whether one is made before these files.
    pub(super) fn is_wanted<'a, 'b: 'a>(
        &self,
        dialect: Dialect,
        files: impl IntoIterator<Item = &'a Intent<'b>>,
    ) -> bool {
        let destroys = |piece: &Piece<'_>| piece.facts.destroys() != Destroys::No;
        match self.when {
            When::Always => true,
            When::Never => false,
            When::Auto => files.into_iter().any(|intent| {
                !intent.allowed.is_empty()
                    || dialect == Dialect::Mysql && intent.pieces.iter().any(destroys)
            }),
        }
    }
}

/// Makes a backup of the whole database and looks whether it can be read. Gives the file.
pub fn take(target: &Target, dir: Option<&Path>, run: &str) -> anyhow::Result<PathBuf> {
    let dir = match dir {
        Some(dir) => dir.to_owned(),
        None if target.is_file() => target.path().parent().unwrap_or(Path::new("")).to_owned(),
        None => PathBuf::from("chatctl-backups"),
    };
    // The journal names the file, and whoever restores it may be in another folder.
    let dir = std::path::absolute(if dir.as_os_str().is_empty() {
        Path::new(".")
    } else {
        &dir
    })?;
    std::fs::create_dir_all(&dir).map_err(|error| unwritable(&dir, &error))?;
    let name = target.database();
    let name = Path::new(&name)
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let dump = db::dump(target.engine());
    let ending = dump.ending;
    let path = dir.join(format!("{name}.{run}.backup.{ending}"));
    let part = dir.join(format!("{name}.{run}.part.{ending}"));
    // A run that was killed left its own.
    let (begins, ends) = (format!("{name}."), format!(".part.{ending}"));
    temporary::sweep_named(&dir, |file| {
        file.starts_with(&begins) && file.ends_with(&ends)
    });
    let _lock = shelf::create(&part)
        .and_then(|file| temporary::claim(&file, &part).map(|_| file))
        .map_err(|error| unwritable(&part, &error))?;
    let made = (dump.write)(target, &part)
        .and_then(|()| (dump.check)(target, &part))
        .and_then(|()| Ok(shelf::put(&part, &path)?));
    if let Err(error) = made {
        // A backup that can't be read is none, and its file would say otherwise.
        let _ = std::fs::remove_file(&part);
        return Err(refused("the backup could not be made, so nothing was run", &error).into());
    }
    Ok(path)
}

/// Looks whether a backup of this database could be restored, before anything is destroyed: its
/// tables, views and routines are made in an empty database. The rows are not, which would take as
/// long as the restore.
pub(super) fn rehearse(target: &Target) -> anyhow::Result<()> {
    let (outline, try_out, is_denied) = match db::dump(target.engine()).restore {
        Restore::AtOnce(_) => return Ok(()),
        Restore::AfterTrial {
            outline,
            try_out,
            is_denied,
            ..
        } => (outline, try_out, is_denied),
    };
    let folder = Folder::new()?;
    let path = folder.path().join("outline.sql");
    outline(target, &path)
        .map_err(|error| refused("the backup could not be made, so nothing was run", &error))?;
    let mut session = db::open_session(target, Missing::Fail, Waits::SHORT)?;
    // Whoever lacks a right for it may restore as another user.
    let Ok(scratch) = Scratch::empty(session.as_mut(), target) else {
        return Ok(folder.close()?);
    };
    let tried = try_out(&scratch.target, target, &path);
    scratch.remove(session.as_mut())?;
    match tried {
        Err(error) if !is_denied(&format!("{error:#}")) => Err(CliError::refused(format!(
            "a backup could not be restored, so nothing was run: {error:#}"
        ))
        .hint("correct or drop the object that the message names, and run again")
        .into()),
        Ok(()) | Err(_) => Ok(folder.close()?),
    }
}

fn unwritable(path: &Path, error: &std::io::Error) -> CliError {
    CliError::refused(format!(
        "no backup can be made in `{}`, so nothing was run: {error}",
        path.display()
    ))
    .hint("name a writable folder with --backup-dir")
}
