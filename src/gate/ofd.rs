//! Linux's open-file-description locks (fcntl(2)): they belong to a descriptor, not to a process,
//! so that another descriptor of the same process meets them too.

use crate::clock;
use crate::clock::Tick;
use nix::fcntl::{FcntlArg, fcntl};
use nix::libc;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

/// How long a commit is waited for without pause.
const SPIN: Duration = Duration::from_millis(50);

pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| anyhow::anyhow!("opening `{}`: {error}", path.display()))
}

fn flock(kind: i32, (start, len): (i64, i64)) -> libc::flock {
    libc::flock {
        // The constants are `c_int`, the field is `c_short`; their values are 0, 1 and 2.
        l_type: i16::try_from(kind).expect("a lock type is 0, 1 or 2"),
        l_whence: 0,
        l_start: start,
        l_len: len,
        l_pid: 0,
    }
}

/// Takes a lock if nobody holds a conflicting one.
pub(super) fn lock(file: &File, kind: i32, range: (i64, i64)) -> anyhow::Result<bool> {
    match fcntl(file, FcntlArg::F_OFD_SETLK(&flock(kind, range))) {
        Ok(_) => Ok(true),
        Err(nix::errno::Errno::EAGAIN | nix::errno::Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes a write lock as soon as the writer that has it gives it back. A commit takes a few
/// milliseconds, so it is first tried without pause: a process that sleeps in the kernel's queue
/// wakes up later than the server goes on. Bounded by the alarm. Gives the time at which the lock
/// was there, read before anything else: the final marker is compared with it.
pub(super) fn lock_behind(file: &File, range: (i64, i64)) -> anyhow::Result<Tick> {
    let deadline = clock::now() + SPIN;
    while clock::now() < deadline {
        if lock(file, libc::F_WRLCK, range)? {
            return Ok(clock::now());
        }
        std::thread::yield_now();
    }
    fcntl(file, FcntlArg::F_OFD_SETLKW(&flock(libc::F_WRLCK, range)))?;
    Ok(clock::now())
}

pub(super) fn unlock(file: &File, range: (i64, i64)) -> anyhow::Result<()> {
    fcntl(file, FcntlArg::F_OFD_SETLK(&flock(libc::F_UNLCK, range)))?;
    Ok(())
}

/// Whether somebody else holds a lock that conflicts.
pub(super) fn conflicts(file: &File, kind: i32, range: (i64, i64)) -> anyhow::Result<bool> {
    let mut probe = flock(kind, range);
    fcntl(file, FcntlArg::F_OFD_GETLK(&mut probe))?;
    Ok(i32::from(probe.l_type) != libc::F_UNLCK)
}
