//! What a system call means to a database of SQLite, and whether it may proceed. No I/O.
//!
//! | journal | the commit is held at | its answer is held at |
//! |---|---|---|
//! | write-ahead log | the page behind the last frame's header, which has a size other than 0 | the call that gives the write lock back: the row is visible |
//! | rollback, in a file | the call that ends the journal: unlink, truncate, or a header of zeros | the return of the call that gives `PENDING` back: readers may read again |
//!
//! | rollback, in memory or none | the first page that is written to the database: no call says that the commit is done | the same |
//!
//! A long transaction may write its first page long before its commit, where its pages do not fit in memory.
//! Without a journal it is held there all the same: its row can't be there yet.
//!
//! SQLite has one write lock. A second writer of another process asks for it again and again; one
//! of the same process is turned away by SQLite itself. Both sleep in between, for a number of
//! milliseconds that SQLite counts by itself: one that sleeps is held there while the lock is
//! taken, so that its patience does not run out.
//!
//! Sources: SQLite's `os_unix.c` (lock bytes, `posixUnlock`, `unixShmLock`), `wal.c`
//! (`walWriteOneFrame`), `pager.c` (`pager_end_transaction`), `main.c`
//! (`sqliteDefaultBusyCallback`), and the file format, "The WAL File Format".

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

/// A thread of the server, by the kernel's number.
pub(super) type Thread = u32;

/// The write lock of the write-ahead log, in the `-shm` file.
pub(super) const WAL_WRITE_LOCK: i64 = 120;
/// The lock bytes of the database file.
pub(super) const PENDING: i64 = 0x4000_0000;
pub(super) const RESERVED: i64 = 0x4000_0001;

/// Which file of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum File {
    Database,
    /// The write-ahead log.
    Log,
    /// Its index, with the locks.
    Index,
    /// The rollback journal.
    Journal,
}

/// A system call of a thread, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Call {
    /// Bytes are written.
    Write {
        file: File,
        /// What the bytes are.
        what: Written,
    },
    /// A lock is asked for, or given back.
    Lock {
        file: File,
        kind: LockKind,
        start: i64,
        length: i64,
    },
    /// The rollback journal is removed, or cut to nothing.
    EndJournal,
    /// A short sleep, as SQLite sleeps between two tries for a lock.
    ShortSleep,
    /// Anything else.
    Other,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// The header of a frame, and whether it is the last one of a transaction.
    FrameHeader { last: bool },
    /// A header of zeros.
    Zeros,
    /// Anything else, and whether the nonce is in it.
    Page { nonce: bool },
    /// A page of a database that has no journal in a file at this time.
    Unjournaled,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LockKind {
    Read,
    Write,
    Give,
}

/// What is done with a thread that enters a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entry {
    /// It continues.
    Go,
    /// It is held: it is about to commit.
    HoldCommit,
    /// It is held: its row is visible, and it does not know that its commit is done.
    HoldAnswer,
    /// It is held: it would look for the write lock again, which another thread has.
    HoldSleep,
    /// The call is not made, and ends as if the lock were taken.
    Refuse,
}

/// What is done with a thread that leaves a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exit {
    /// It continues.
    Go,
    /// It is held: its row is visible, and it does not know that its commit is done.
    HoldAnswer,
}

/// How far a thread is.
#[derive(Debug, Default)]
struct Progress {
    /// The last frame's header is written, and its page is not.
    last_frame: bool,
    /// Its commit was let through.
    let_through: bool,
    /// The nonce was seen in what it writes.
    carries: bool,
}

/// Everything that is known while the gate is closed.
#[derive(Debug)]
pub(super) struct Watch {
    threads: BTreeMap<Thread, Progress>,
    /// Who has the write lock, as far as it was seen.
    writer: Option<Thread>,
    /// The first writer lets another one pass, until somebody has, or until this time.
    yields: Yields,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Yields {
    No,
    /// The first that asks for the lock will.
    First,
    /// This one does, until then.
    One(Thread, Duration),
}

impl Watch {
    /// Nothing was seen yet. With `yields`, the first writer lets another one pass.
    pub(super) fn new(yields: bool) -> Self {
        Self {
            threads: BTreeMap::new(),
            writer: None,
            yields: if yields { Yields::First } else { Yields::No },
        }
    }

    fn thread(&mut self, thread: Thread) -> &mut Progress {
        self.threads.entry(thread).or_default()
    }

    /// Whether the nonce was seen in what a thread writes.
    pub(super) fn carries(&self, thread: Thread) -> bool {
        self.threads
            .get(&thread)
            .is_some_and(|progress| progress.carries)
    }

    /// A thread enters a call. `until` is when one that lets another pass waits no longer.
    pub(super) fn enters(&mut self, thread: Thread, call: Call, until: Duration) -> Entry {
        match call {
            Call::Write { file, what } => self.writes(thread, file, what),
            Call::EndJournal => self.commits(thread),
            Call::Lock {
                file: File::Index,
                kind: LockKind::Give,
                start,
                length,
            } if covers(start, length, WAL_WRITE_LOCK) => {
                if self.thread(thread).let_through {
                    Entry::HoldAnswer
                } else {
                    self.gives_up(thread);
                    Entry::Go
                }
            }
            Call::Lock {
                file,
                kind: LockKind::Write,
                start,
                length,
            } if is_write_lock(file, start, length) => self.asks(thread, until),
            Call::ShortSleep => self.sleeps(thread),
            Call::Lock { .. } | Call::Other => Entry::Go,
        }
    }

    fn writes(&mut self, thread: Thread, file: File, what: Written) -> Entry {
        match (file, what) {
            (File::Log, Written::FrameHeader { last }) => {
                self.thread(thread).last_frame = last;
                Entry::Go
            }
            (File::Log, Written::Page { nonce }) => {
                let progress = self.thread(thread);
                progress.carries |= nonce;
                if std::mem::take(&mut progress.last_frame) {
                    self.commits(thread)
                } else {
                    Entry::Go
                }
            }
            (File::Database, Written::Page { nonce }) => {
                self.thread(thread).carries |= nonce;
                Entry::Go
            }
            (File::Journal, Written::Zeros) | (File::Database, Written::Unjournaled) => {
                self.commits(thread)
            }
            _ => Entry::Go,
        }
    }

    fn commits(&mut self, thread: Thread) -> Entry {
        // A thread that had the lock before the gate closed shows it only now.
        self.writer = Some(thread);
        if self.thread(thread).let_through {
            // What follows the commit that was let through, such as a second journal.
            Entry::Go
        } else {
            Entry::HoldCommit
        }
    }

    fn asks(&mut self, thread: Thread, until: Duration) -> Entry {
        match self.yields {
            Yields::First if self.writer.is_none() => {
                self.yields = Yields::One(thread, until);
                Entry::Refuse
            }
            Yields::One(first, _) if first == thread => Entry::Refuse,
            _ => Entry::Go,
        }
    }

    fn sleeps(&self, thread: Thread) -> Entry {
        let yields = matches!(self.yields, Yields::One(first, _) if first == thread);
        let waits = self.writer.is_some_and(|writer| writer != thread);
        if yields || waits {
            Entry::HoldSleep
        } else {
            Entry::Go
        }
    }

    pub(super) fn leaves(&mut self, thread: Thread, call: Call, succeeded: bool) -> Exit {
        let Call::Lock {
            file,
            kind,
            start,
            length,
        } = call
        else {
            return Exit::Go;
        };
        match kind {
            LockKind::Write if succeeded && is_write_lock(file, start, length) => {
                self.writer = Some(thread);
                *self.thread(thread) = Progress::default();
                Exit::Go
            }
            LockKind::Give if file == File::Database && covers(start, length, PENDING) => {
                if self.thread(thread).let_through {
                    return Exit::HoldAnswer;
                }
                self.gives_up(thread);
                Exit::Go
            }
            _ => Exit::Go,
        }
    }

    /// The commit of a thread is let through.
    pub(super) fn lets_through(&mut self, thread: Thread) {
        self.thread(thread).let_through = true;
    }

    /// A thread is given the answer to its commit: it has the lock no longer.
    pub(super) fn gives_up(&mut self, thread: Thread) {
        *self.thread(thread) = Progress::default();
        if self.writer == Some(thread) {
            self.writer = None;
            if matches!(self.yields, Yields::One(first, _) if first != thread) {
                self.yields = Yields::No;
            }
        }
    }

    /// Whether nobody has the write lock, so that those may continue which sleep.
    pub(super) fn is_free(&self) -> bool {
        self.writer.is_none()
    }

    /// Whether a thread still lets another one pass, at this time.
    pub(super) fn yields(&mut self, thread: Thread, now: Duration) -> bool {
        match self.yields {
            Yields::One(first, until) if first == thread => {
                if now < until {
                    return true;
                }
                self.yields = Yields::No;
                false
            }
            _ => false,
        }
    }

    /// A thread is gone.
    pub(super) fn ended(&mut self, thread: Thread) {
        self.threads.remove(&thread);
        if self.writer == Some(thread) {
            self.writer = None;
        }
    }
}

fn is_write_lock(file: File, start: i64, length: i64) -> bool {
    match file {
        File::Index => covers(start, length, WAL_WRITE_LOCK),
        File::Database => covers(start, length, RESERVED),
        File::Log | File::Journal => false,
    }
}

/// Whether a range covers a byte; a length of 0 is up to the end of the file.
fn covers(start: i64, length: i64, byte: i64) -> bool {
    start <= byte && (length == 0 || byte < start.saturating_add(length))
}
