//! The files of backups: the checksum next to each, and how many are kept.

use crate::cli_error::CliError;
use crate::text::hex;
use sha2::{Digest as _, Sha256};
use std::fs;
use std::fs::{File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Whether a backup is what it was when it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seal {
    /// It has the checksum that was written then.
    Whole,
    /// There is no checksum next to it.
    Absent,
}

/// A file that only its owner may read: conversations are in it.
pub(super) fn create(path: &Path) -> std::io::Result<File> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
}

/// Gives a backup that was written and checked its own name, with its checksum next to it: a file with that
/// name is never a part of one.
pub(super) fn put(written: &Path, path: &Path) -> std::io::Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let line = format!("{}  {name}\n", sum(written)?);
    File::open(written)?.sync_all()?;
    let mut file = create(&checksum(path))?;
    // As `sha256sum --check` reads it.
    file.write_all(line.as_bytes())?;
    file.sync_all()?;
    fs::rename(written, path)?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// The file next to a backup that has its checksum.
pub(super) fn checksum(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".sha256");
    PathBuf::from(name)
}

/// Compares a backup with the checksum next to it.
///
/// # Errors
/// Refuses one that is not what it was.
pub fn verify(path: &Path) -> Result<Seal, CliError> {
    let unreadable = |path: &Path, error: &std::io::Error| {
        CliError::refused(format!("`{}` can't be read: {error}", path.display()))
            .hint("run chatctl as the user who made the backup")
    };
    let beside = checksum(path);
    let line = match fs::read_to_string(&beside) {
        Ok(line) => line,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Seal::Absent),
        Err(error) => return Err(unreadable(&beside, &error)),
    };
    let wanted = line.split_whitespace().next().unwrap_or_default();
    match sum(path).map_err(|error| unreadable(path, &error))? {
        sum if sum.eq_ignore_ascii_case(wanted) => Ok(Seal::Whole),
        _ => Err(CliError::refused(format!(
            "the backup `{}` was changed after it was made: its checksum differs from `{}`",
            path.display(),
            beside.display()
        ))
        .hint("use another backup: `chatctl migrate history` lists them")),
    }
}

/// SHA-256 in hexadecimal.
fn sum(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let mut digest = Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer)? {
            0 => break,
            length => digest.update(&buffer[..length]),
        }
    }
    Ok(hex(digest.finalize()))
}

/// Removes a backup and its checksum.
pub fn remove(path: &Path) -> std::io::Result<()> {
    fs::remove_file(path)?;
    match fs::remove_file(checksum(path)) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes all but the newest backups, of those that a database says it made, oldest first. One that can't
/// be removed is left. Gives what was removed.
///
/// A copy of a database says that it made those of the original, too: only those count that lie in the
/// folder of its `newest` one and are of a database with the same name.
pub fn keep(made: &[PathBuf], newest: &Path, count: usize) -> Vec<PathBuf> {
    let is_own = |path: &&PathBuf| path.is_file() && origin(path) == origin(newest);
    let there: Vec<_> = made.iter().filter(is_own).collect();
    let old = &there[..there.len().saturating_sub(count)];
    old.iter()
        .filter(|path| remove(path).is_ok())
        .map(|path| (*path).clone())
        .collect()
}

/// The folder of a backup, and the database in its name: `chat.db` of `chat.db.RUN.backup.db`.
fn origin(path: &Path) -> Option<(&Path, &str)> {
    let (of_run, _) = path.file_name()?.to_str()?.rsplit_once(".backup.")?;
    let (database, _) = of_run.rsplit_once('.')?;
    Some((path.parent()?, database))
}

#[cfg(test)]
mod tests {
    use super::{Seal, checksum, keep, put, verify};
    use std::fs;
    use std::path::PathBuf;

    fn backup(folder: &tempfile::TempDir, name: &str) -> PathBuf {
        let (part, path) = (folder.path().join("part"), folder.path().join(name));
        fs::write(&part, name).unwrap();
        put(&part, &path).unwrap();
        path
    }

    #[test]
    fn a_backup_that_changed_is_known_and_one_without_a_checksum_is_distinguished() {
        let folder = tempfile::tempdir().unwrap();
        let path = backup(&folder, "a");
        // By `printf a | sha256sum`.
        let line = "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb  a\n";
        assert_eq!(fs::read_to_string(checksum(&path)).unwrap(), line);
        assert_eq!(verify(&path).unwrap(), Seal::Whole);
        fs::write(&path, "b").unwrap();
        assert!(
            verify(&path)
                .unwrap_err()
                .message
                .contains("was changed after it was made")
        );
        fs::remove_file(checksum(&path)).unwrap();
        assert_eq!(verify(&path).unwrap(), Seal::Absent);
    }

    #[test]
    fn the_newest_are_kept_and_what_is_gone_does_not_count() {
        let folder = tempfile::tempdir().unwrap();
        let made: Vec<_> = ["1", "2", "3", "4"]
            .iter()
            .map(|run| backup(&folder, &format!("chat.db.{run}.backup.db")))
            .collect();
        let newest = made[3].clone();
        let keep = |made: &[PathBuf], count| keep(made, &newest, count);
        fs::remove_file(&made[2]).unwrap();
        assert_eq!(keep(&made, 2), [made[0].clone()]);
        assert!(!made[0].exists() && !checksum(&made[0]).exists());
        assert!(made[1].exists() && made[3].exists());
        assert!(keep(&made, 5).is_empty());
        fs::write(folder.path().join("other"), "").unwrap();
        assert_eq!(keep(&made, 0).len(), 2);
        assert!(folder.path().join("other").exists());
    }

    #[test]
    fn a_copy_of_a_database_removes_no_backup_of_the_original() {
        let (folder, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let own = ["copy.db.4.backup.db", "copy.db.5.backup.db"].map(|it| backup(&folder, it));
        let others = [
            backup(&elsewhere, "copy.db.1.backup.db"),
            backup(&folder, "chat.db.2.backup.db"),
            backup(&folder, "copy.db.old.3.backup.db"),
        ];
        let made = [&others[..], &own[..]].concat();
        assert_eq!(keep(&made, &own[1], 1), [own[0].clone()]);
        assert!(others.iter().all(|it| it.is_file()));
    }
}
