//! The backup that is made before anything is destroyed, and checked before it counts.

mod shelf;

pub use shelf::{Seal, keep, remove, verify};

use super::intent::{Intent, Piece};
use super::tools;
use crate::db::{Missing, Target, Waits};
use crate::model::Engine;
use crate::sql::{Destroys, Dialect};
use crate::stop::Stop;
use crate::{db, stop, temporary};
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

/// When a backup is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum When {
    /// Before a loss that a file acknowledges, and on MySQL before what could not be taken back.
    Auto,
    /// Before every run that has something to do.
    Always,
    /// Not at all; refused where a file acknowledges a loss.
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
    pub(super) fn allowed(&self, files: &[Intent<'_>]) -> Result<(), Stop> {
        let acknowledges = files.iter().find(|intent| !intent.allowed.is_empty());
        match acknowledges.filter(|_| self.when == When::Never) {
            None => Ok(()),
            Some(intent) => Err(Stop::refused(format!(
                "`{}` acknowledges a loss, and without a backup nothing is destroyed",
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
    let ending = match target.engine() {
        Engine::Sqlite => "db",
        Engine::Postgres => "dump",
        Engine::Mysql => "sql",
    };
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
    let made = write(target, &part)
        .and_then(|()| check(target, &part))
        .and_then(|()| Ok(shelf::put(&part, &path)?));
    if let Err(error) = made {
        // A backup that can't be read is none, and its file would say otherwise.
        let _ = std::fs::remove_file(&part);
        return Err(refused("the backup could not be made, so nothing was run", &error).into());
    }
    Ok(path)
}

fn unwritable(path: &Path, error: &std::io::Error) -> Stop {
    Stop::refused(format!(
        "no backup can be made, so nothing was run: `{}`: {error}",
        path.display()
    ))
    .hint("name a folder that can be written with --backup-dir")
}

/// Whatever the reason is: without a good backup going on would be unsafe.
pub(super) fn refused(what: &str, error: &anyhow::Error) -> Stop {
    let (_, hint) = stop::classify(error);
    Stop::refused(format!("{what}: {error:#}")).hint(hint.unwrap_or(
        "`chatctl migrate history` lists the backups; what the database says is in its own log",
    ))
}

fn write(target: &Target, path: &Path) -> anyhow::Result<()> {
    let mut command = match target.engine() {
        Engine::Sqlite => {
            let mut session = db::open_session(target, Missing::Look, Waits::SHORT)?;
            let literal = path.display().to_string().replace('\'', "''");
            // A session that looks writes nothing at all, not even a copy elsewhere.
            let copy = format!("PRAGMA query_only = OFF; VACUUM INTO '{literal}'");
            return Ok(session.command(&copy)?);
        }
        Engine::Postgres => {
            let login = tools::login(target)?;
            let mut command = tools::PG_DUMP.command(&login)?;
            command
                .arg("--format=custom")
                .arg("--lock-wait-timeout=60000")
                .arg("--file")
                .arg(path);
            command.arg(login.database);
            command
        }
        Engine::Mysql => {
            let login = tools::login(target)?;
            let mut command = tools::MYSQL_DUMP.command(&login)?;
            command.args([
                "--single-transaction",
                "--routines",
                "--triggers",
                "--hex-blob",
            ]);
            command.arg(format!("--result-file={}", path.display()));
            if has_history(target)? {
                // Rows that were, and when: a restore without them would lose them for good.
                command.arg("--dump-history");
            }
            command.arg(login.database);
            command
        }
    };
    Ok(tools::run(&mut command)?)
}

/// Whether a database of MariaDB keeps the former versions of rows.
fn has_history(target: &Target) -> anyhow::Result<bool> {
    let mut session = db::open_session(target, Missing::Look, Waits::SHORT)?;
    let rows = session.rows(
        "SELECT 1 FROM information_schema.tables WHERE table_schema = database() AND table_type = 'SYSTEM VERSIONED' LIMIT 1",
    )?;
    Ok(!rows.is_empty())
}

/// Whether a backup can be read to its end.
pub(super) fn check(target: &Target, path: &Path) -> anyhow::Result<()> {
    let wrong = |why: &str| Stop::refused(format!("the backup `{}` {why}", path.display()));
    match target.engine() {
        Engine::Postgres => {
            let login = tools::login(target)?;
            // Without a database it lists what is in the file.
            let mut command = tools::PG_RESTORE.command(&login)?;
            tools::run(command.arg("--list").arg(path))?;
        }
        Engine::Mysql => {
            let mut file = std::fs::File::open(path)?;
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(200)))?;
            let mut end = String::new();
            file.take(200).read_to_string(&mut end)?;
            if !end.contains("-- Dump completed") {
                return Err(wrong("is not complete").into());
            }
        }
        Engine::Sqlite => {
            // SQLite takes an empty file for a sound database without tables.
            if std::fs::metadata(path)?.len() == 0 {
                return Err(wrong("is empty").into());
            }
            let copy = target.sibling(&path.display().to_string());
            let mut session = db::open_session(&copy, Missing::Look, Waits::SHORT)?;
            if session.rows("PRAGMA quick_check")?[0][0].text() != Some("ok") {
                return Err(wrong("is damaged").into());
            }
        }
    }
    Ok(())
}
