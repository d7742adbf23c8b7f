//! Temporary files of a run, and the remains of killed runs.
//!
//! Each folder and file is locked for as long as its run lives: the kernel lets go of a lock however a
//! process ends. So the next run knows what nobody needs any more, and removes it.

use nix::sys::statvfs::Statvfs;
use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::{fs, io};
use tempfile::{Builder, NamedTempFile, TempDir};

/// How the names of folders and files begin. Nobody gives such a name to anything of their own.
const FOLDER: &str = ".chatctl-scratch.";
const FILE: &str = ".chatctl-part.";

/// How often a place is made again because another run removed it before it was locked.
const TRIES: usize = 16;

/// How many bytes a file system has left. The types of its fields differ between systems.
pub fn free_bytes(about: &Statvfs) -> u64 {
    fn product(blocks: impl Into<u64>, size: impl Into<u64>) -> u64 {
        blocks.into().saturating_mul(size.into())
    }
    product(about.blocks_available(), about.fragment_size())
}

/// A folder that no other user can look into, gone when it is dropped.
pub struct Folder {
    folder: TempDir,
    _lock: File,
}

impl Folder {
    /// An empty one, where temporary files are kept.
    pub fn new() -> io::Result<Self> {
        let parent = std::env::temp_dir();
        locked(|| {
            let private = Permissions::from_mode(0o700);
            let folder = named(FOLDER).permissions(private).tempdir_in(&parent)?;
            let lock = match File::open(folder.path()) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                opened => opened?,
            };
            let made = claim(&lock, folder.path())?.then_some((folder, lock));
            Ok(made.map(|(folder, lock)| Self {
                folder,
                _lock: lock,
            }))
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Removes it, and says what was in the way.
    pub fn close(self) -> io::Result<()> {
        self.folder.close()
    }
}

/// A file that is written in a folder until it gets its name there; only its user may open it.
pub fn part(folder: &Path) -> io::Result<NamedTempFile> {
    locked(|| {
        let file = named(FILE).tempfile_in(folder)?;
        Ok(claim(file.as_file(), file.path())?.then_some(file))
    })
}

fn named(prefix: &str) -> Builder<'_, 'static> {
    let mut builder = Builder::new();
    builder.prefix(prefix).rand_bytes(10);
    builder
}

/// Makes something until it is this run's.
fn locked<T>(make: impl Fn() -> io::Result<Option<T>>) -> io::Result<T> {
    for _ in 0..TRIES {
        if let Some(made) = make()? {
            return Ok(made);
        }
    }
    Err(io::Error::other("other runs remove what this one makes"))
}

/// Locks what was just made; false when another run took it for a leftover.
pub fn claim(file: &File, path: &Path) -> io::Result<bool> {
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => return Ok(false),
        // Where the file system knows no locks, nobody takes anything for a leftover either.
        Ok(()) | Err(TryLockError::Error(_)) => {}
    }
    let own = file.metadata()?;
    let there = path.symlink_metadata();
    Ok(there.is_ok_and(|there| (there.dev(), there.ino()) == (own.dev(), own.ino())))
}

/// Removes what dead runs of this user left in a folder. What can't be removed is left.
pub fn sweep(folder: &Path) {
    let is_left = |name: &str| name.starts_with(FOLDER) || name.starts_with(FILE);
    sweep_named(folder, is_left);
}

/// The same of the files and folders with such a name.
pub fn sweep_named(folder: &Path, is_left: impl Fn(&str) -> bool) {
    let Ok(entries) = fs::read_dir(folder) else {
        return;
    };
    for entry in entries.flatten() {
        if entry.file_name().to_str().is_some_and(&is_left) {
            // Another run may be faster.
            let _ = remove_left(&entry.path());
        }
    }
}

/// Removes a file or a folder of this user that no run has locked.
fn remove_left(path: &Path) -> io::Result<()> {
    let flags = nix::libc::O_NOFOLLOW | nix::libc::O_NONBLOCK;
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(flags)
        .open(path)?;
    let about = file.metadata()?;
    let own = about.uid() == nix::unistd::geteuid().as_raw();
    if !own || file.try_lock().is_err() {
        return Ok(());
    }
    match (about.is_dir(), about.is_file()) {
        (true, _) => fs::remove_dir_all(path),
        (false, true) => fs::remove_file(path),
        (false, false) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::{Folder, claim, part, sweep};
    use std::fs;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn what_a_run_has_stays_and_what_nobody_has_goes() {
        let folder = tempfile::tempdir().unwrap();
        let mine = part(folder.path()).unwrap();
        let left = folder.path().join(".chatctl-part.abcdefghij");
        fs::write(&left, "x").unwrap();
        let rest = folder.path().join(".chatctl-scratch.abcdefghij");
        fs::create_dir(&rest).unwrap();
        fs::write(rest.join("copy.db"), "x").unwrap();
        let link = folder.path().join(".chatctl-part.link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        let other = folder.path().join("chatctl.toml");
        fs::write(&other, "").unwrap();
        sweep(folder.path());
        assert!(mine.path().exists());
        assert!(!left.exists() && !rest.exists());
        assert!(link.is_symlink() && other.exists());
    }

    #[test]
    fn what_another_run_removes_is_not_claimed() {
        let folder = tempfile::tempdir().unwrap();
        let mine = part(folder.path()).unwrap();
        let seen = fs::File::open(mine.path()).unwrap();
        assert!(!claim(&seen, mine.path()).unwrap(), "it has a lock");
        let path = mine.path().to_owned();
        fs::remove_file(&path).unwrap();
        assert!(!claim(mine.as_file(), &path).unwrap(), "it is gone");
    }

    #[test]
    fn only_its_user_looks_into_it() {
        let folder = Folder::new().unwrap();
        let mode = folder.path().metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        let path = folder.path().to_owned();
        folder.close().unwrap();
        assert!(!path.exists());
    }
}
