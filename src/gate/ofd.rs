//! Linux's open-file-description locks (fcntl(2)): they belong to a descriptor, not to a process,
//! so that another descriptor of the same process meets them too.

use crate::clock;
use crate::clock::Tick;
use nix::errno::Errno;
use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

/// How long a commit is waited for without pause.
const SPIN: Duration = Duration::from_millis(50);

pub(super) fn open(path: &Path) -> anyhow::Result<File> {
    let opened = OpenOptions::new().read(true).write(true).open(path);
    opened.map_err(|error| anyhow::anyhow!("opening `{}`: {error}", path.display()))
}

/// What a lock keeps others from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockKind {
    /// From writing.
    Read,
    /// From reading and writing.
    Write,
}

/// Takes a lock if nobody holds a conflicting one.
pub(super) fn lock(file: &File, kind: LockKind, range: (i64, i64)) -> anyhow::Result<bool> {
    match calls::take(file, kind, range) {
        Ok(()) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Takes a write lock as soon as the writer that has it gives it back. A commit takes a few
/// milliseconds, so it is first tried without pause: a process that sleeps in the kernel's queue
/// wakes up later than the server continues. Bounded by the alarm. Gives the time at which the lock
/// was there, read before anything else: the final marker is compared with it.
pub(super) fn lock_behind(file: &File, range: (i64, i64)) -> anyhow::Result<Tick> {
    let deadline = clock::now() + SPIN;
    while clock::now() < deadline {
        if lock(file, LockKind::Write, range)? {
            return Ok(clock::now());
        }
        std::thread::yield_now();
    }
    calls::wait_for(file, LockKind::Write, range)?;
    Ok(clock::now())
}

pub(super) fn unlock(file: &File, range: (i64, i64)) -> anyhow::Result<()> {
    Ok(calls::release(file, range)?)
}

/// Whether somebody else holds a lock that conflicts.
pub(super) fn conflicts(file: &File, kind: LockKind, range: (i64, i64)) -> anyhow::Result<bool> {
    Ok(calls::is_refused(file, kind, range)?)
}

#[cfg(target_os = "linux")]
mod calls {
    use super::LockKind;
    use nix::errno::Errno;
    use nix::fcntl::{FcntlArg, fcntl};
    use nix::libc;
    use std::fs::File;

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

    fn of(kind: LockKind) -> i32 {
        match kind {
            LockKind::Read => libc::F_RDLCK,
            LockKind::Write => libc::F_WRLCK,
        }
    }

    pub(super) fn take(file: &File, kind: LockKind, range: (i64, i64)) -> Result<(), Errno> {
        fcntl(file, FcntlArg::F_OFD_SETLK(&flock(of(kind), range))).map(|_| ())
    }

    pub(super) fn wait_for(file: &File, kind: LockKind, range: (i64, i64)) -> Result<(), Errno> {
        fcntl(file, FcntlArg::F_OFD_SETLKW(&flock(of(kind), range))).map(|_| ())
    }

    pub(super) fn release(file: &File, range: (i64, i64)) -> Result<(), Errno> {
        fcntl(file, FcntlArg::F_OFD_SETLK(&flock(libc::F_UNLCK, range))).map(|_| ())
    }

    pub(super) fn is_refused(
        file: &File,
        kind: LockKind,
        range: (i64, i64),
    ) -> Result<bool, Errno> {
        let mut probe = flock(of(kind), range);
        fcntl(file, FcntlArg::F_OFD_GETLK(&mut probe))?;
        Ok(i32::from(probe.l_type) != libc::F_UNLCK)
    }
}

/// macOS has these locks too, but there is no safe function for them: the gate `raw-locks` refuses
/// before it comes here, and `begin-immediate` takes its place.
#[cfg(not(target_os = "linux"))]
mod calls {
    use super::LockKind;
    use nix::errno::Errno;
    use std::fs::File;

    pub(super) fn take(_: &File, _: LockKind, _: (i64, i64)) -> Result<(), Errno> {
        Err(Errno::ENOTSUP)
    }

    pub(super) fn wait_for(_: &File, _: LockKind, _: (i64, i64)) -> Result<(), Errno> {
        Err(Errno::ENOTSUP)
    }

    pub(super) fn release(_: &File, _: (i64, i64)) -> Result<(), Errno> {
        Err(Errno::ENOTSUP)
    }

    pub(super) fn is_refused(_: &File, _: LockKind, _: (i64, i64)) -> Result<bool, Errno> {
        Err(Errno::ENOTSUP)
    }
}
