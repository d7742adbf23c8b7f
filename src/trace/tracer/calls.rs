//! A system call of a stopped thread, read as what it does to a database of SQLite.

use crate::trace::registers::Registers;
use crate::trace::watch::{Call, File, LockKind, Written};
use memchr::memmem;
use nix::libc;
use nix::sys::uio::{RemoteIoVec, process_vm_readv};
use nix::unistd::Pid;
use std::ffi::{OsStr, OsString};
use std::io::{IoSliceMut, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

/// The header of a frame in the write-ahead log.
const FRAME_HEADER: usize = 24;
/// The header of a rollback journal that is zeroed.
const JOURNAL_HEADER: usize = 28;
/// What a journal in use begins with.
const JOURNAL_MAGIC: usize = 8;
/// The smallest page of memory.
const PAGE: u64 = 4096;
/// The longest page of a database, and the longest path.
const LONGEST: usize = 64 << 10;
/// The longest sleep between two tries for a lock, in milliseconds.
const LONGEST_SLEEP: u32 = 100;
/// So long the Go runtime sleeps between two looks at its threads, by the call that it makes.
const GO_MONITOR: u32 = 10;

/// The files of one database.
pub(super) struct Files {
    folder: PathBuf,
    /// Their names.
    names: [(File, OsString); 4],
}

impl Files {
    /// Of a database that exists.
    pub(super) fn of(database: &Path) -> io::Result<Self> {
        let database = fs::canonicalize(database)?;
        let name = database.file_name().unwrap_or_default();
        let with = |ending: &str| {
            let mut name = name.to_owned();
            name.push(ending);
            name
        };
        Ok(Self {
            folder: database.parent().unwrap_or(Path::new("/")).to_owned(),
            names: [
                (File::Database, with("")),
                (File::Log, with("-wal")),
                (File::Index, with("-shm")),
                (File::Journal, with("-journal")),
            ],
        })
    }

    /// What the call does that a thread is about to make.
    pub(super) fn call(&self, thread: Pid, registers: &Registers, nonce: &[u8]) -> Call {
        let [first, second, third, _] = registers.arguments();
        match registers.number() {
            libc::SYS_pwrite64 | libc::SYS_write => {
                self.open_file(thread, first)
                    .map_or(Call::Other, |file| Call::Write {
                        file,
                        what: match file {
                            File::Database if !self.is_journaled() => Written::Unjournaled,
                            file => written(thread, file, second, third, nonce),
                        },
                    })
            }
            libc::SYS_fcntl if is_lock(second) => self
                .open_file(thread, first)
                .and_then(|file| lock(thread, file, third))
                .unwrap_or(Call::Other),
            #[cfg(target_arch = "x86_64")]
            libc::SYS_unlink if self.is_journal(thread, first) => Call::EndJournal,
            libc::SYS_unlinkat if self.is_journal(thread, second) => Call::EndJournal,
            libc::SYS_ftruncate
                if second == 0 && self.open_file(thread, first) == Some(File::Journal) =>
            {
                Call::EndJournal
            }
            libc::SYS_clock_nanosleep if second == 0 => {
                short_sleep(thread, third).map_or(Call::Other, |_| Call::ShortSleep)
            }
            libc::SYS_nanosleep => match short_sleep(thread, first) {
                None | Some(GO_MONITOR) => Call::Other,
                Some(_) => Call::ShortSleep,
            },
            _ => Call::Other,
        }
    }

    /// The call at which a commit is held, for a person.
    pub(super) fn shown(&self, call: Option<Call>) -> String {
        let named = |wanted: File| {
            let mut names = self.names.iter();
            let name = names.find(|(file, _)| *file == wanted);
            name.map_or_else(String::new, |(_, name)| name.to_string_lossy().into_owned())
        };
        match call {
            Some(Call::Write {
                file: File::Log, ..
            }) => format!(
                "the last page of its transaction is written to {}",
                named(File::Log)
            ),
            Some(Call::Write {
                file: File::Database,
                ..
            }) => format!(
                "the first page of its transaction is written to {}, which has no journal in a file",
                named(File::Database)
            ),
            Some(Call::Write { .. }) => {
                format!("the header of {} is zeroed", named(File::Journal))
            }
            _ => format!("{} is removed or cut", named(File::Journal)),
        }
    }

    /// Which of the files a descriptor of a thread is.
    fn open_file(&self, thread: Pid, descriptor: u64) -> Option<File> {
        let link = format!("/proc/{thread}/fd/{descriptor}");
        let path = fs::read_link(&link).ok()?;
        let name = path.file_name()?;
        let (file, name) = self.names.iter().find(|(_, ours)| ours == name)?;
        // In a container the same file has another path.
        let is_ours = path.parent() == Some(&self.folder)
            || same_file(Path::new(&link), &self.folder.join(name));
        is_ours.then_some(*file)
    }

    /// Whether what is written to the database can be undone from a file: the log, which it is moved from, or a
    /// journal that is in use. SQLite writes its header before the first page.
    fn is_journaled(&self) -> bool {
        let path = |file: File| {
            let (_, name) = self.names.iter().find(|(named, _)| *named == file)?;
            Some(self.folder.join(name))
        };
        let in_use = |journal: PathBuf| {
            let mut magic = [0; JOURNAL_MAGIC];
            let read = fs::File::open(journal).and_then(|mut file| file.read_exact(&mut magic));
            read.is_ok() && magic != [0; JOURNAL_MAGIC]
        };
        path(File::Log).is_some_and(|log| log.exists()) || path(File::Journal).is_some_and(in_use)
    }

    /// Whether a path in a thread's memory names the journal.
    fn is_journal(&self, thread: Pid, address: u64) -> bool {
        let path = text(thread, address);
        Path::new(OsStr::from_bytes(&path)).file_name() == Some(&self.names[3].1)
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let id = |path: &Path| {
        let found = fs::metadata(path).ok()?;
        Some((found.dev(), found.ino()))
    };
    id(one).is_some_and(|one| Some(one) == id(other))
}

fn written(thread: Pid, file: File, address: u64, length: u64, nonce: &[u8]) -> Written {
    let length = usize::try_from(length).unwrap_or(LONGEST).min(LONGEST);
    match file {
        File::Log if length == FRAME_HEADER => {
            let bytes = read(thread, address, length);
            Written::FrameHeader {
                // The size of the database in pages: only the last frame of a transaction has one.
                last: bytes.get(4..8).is_some_and(|size| size != [0; 4]),
            }
        }
        File::Journal if length == JOURNAL_HEADER => {
            let zeros = read(thread, address, length) == [0; JOURNAL_HEADER];
            if zeros {
                Written::Zeros
            } else {
                Written::Page { nonce: false }
            }
        }
        File::Log | File::Database => Written::Page {
            nonce: memmem::find(&read(thread, address, length), nonce).is_some(),
        },
        File::Index | File::Journal => Written::Page { nonce: false },
    }
}

fn is_lock(command: u64) -> bool {
    let command = i32::try_from(command).unwrap_or(0);
    [
        libc::F_SETLK,
        libc::F_SETLKW,
        libc::F_OFD_SETLK,
        libc::F_OFD_SETLKW,
    ]
    .contains(&command)
}

/// A `struct flock`: type and whence (2 bytes each), 4 bytes of nothing, start and length.
fn lock(thread: Pid, file: File, address: u64) -> Option<Call> {
    let bytes = read(thread, address, 24);
    let kind = i16::from_ne_bytes(*bytes.first_chunk()?);
    let number = |at: usize| Some(i64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?));
    Some(Call::Lock {
        file,
        kind: match i32::from(kind) {
            libc::F_WRLCK => LockKind::Write,
            libc::F_UNLCK => LockKind::Give,
            _ => LockKind::Read,
        },
        start: number(8)?,
        length: number(16)?,
    })
}

/// The milliseconds of a `struct timespec`, when it is as SQLite sleeps.
fn short_sleep(thread: Pid, address: u64) -> Option<u32> {
    let bytes = read(thread, address, 16);
    let seconds = i64::from_ne_bytes(*bytes.first_chunk()?);
    let nanos = i64::from_ne_bytes(*bytes.get(8..)?.first_chunk()?);
    let sleep = Duration::new(0, u32::try_from(nanos).ok()?);
    let whole = sleep.subsec_nanos().is_multiple_of(1_000_000);
    let ms = sleep.subsec_millis();
    (seconds == 0 && whole && (1..=LONGEST_SLEEP).contains(&ms)).then_some(ms)
}

/// A text that ends with a zero byte. What it lies in may end with the page, so it is read up to
/// there first.
fn text(thread: Pid, mut address: u64) -> Vec<u8> {
    let mut text = Vec::new();
    while text.len() < LONGEST {
        let page = PAGE - address % PAGE;
        let bytes = read(thread, address, page as usize);
        let end = memchr::memchr(0, &bytes);
        text.extend_from_slice(&bytes[..end.unwrap_or(bytes.len())]);
        if end.is_some() || bytes.is_empty() {
            break;
        }
        address += page;
    }
    text
}

/// So many bytes of a thread's memory; none where it has no so many.
fn read(thread: Pid, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let Ok(base) = usize::try_from(address) else {
        return Vec::new();
    };
    let from = [RemoteIoVec { base, len: length }];
    match process_vm_readv(thread, &mut [IoSliceMut::new(&mut bytes)], &from) {
        Ok(count) => {
            bytes.truncate(count);
            bytes
        }
        Err(_) => Vec::new(),
    }
}
