//! The helper process that holds SQLite's lock bytes.
//!
//! It is a process of its own for two reasons. Closing any descriptor of the database file
//! would drop SQLite's locks of the process that does it, so the raw descriptors must not
//! live next to an SQLite connection. And a lock must not outlive chatctl: when chatctl is
//! killed, the pipe to this process closes and it ends; when chatctl is stopped, the alarm
//! ends it. The kernel gives the locks back either way.
//!
//! The bytes are those of SQLite's own protocol: `os_unix.c` (`PENDING_BYTE` and its
//! neighbours) for the rollback journal, `walformat.html` §2.3 for the WAL index.

use super::ofd::{LockKind, conflicts, lock, lock_behind, open, unlock};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead as _, Write};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use crate::clock;
use crate::clock::Tick;

/// How the database keeps its journal, and so which bytes stop a commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Journal {
    /// A write-ahead log: the write lock in the `-shm` file.
    Wal,
    /// A rollback journal: a shared lock stops every commit.
    Rollback,
}

/// What the helper is asked, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ask {
    /// Close the gate, trying for so many milliseconds.
    Close(u64),
    /// Who waits?
    Waiting,
    /// Let one write through and close; wait so many milliseconds for a writer.
    Step(u64),
    /// Stop waiting for a writer in the step under way.
    Cancel,
    /// Open the gate.
    Open,
}

/// What the helper answers, one JSON line each.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HolderReply {
    /// The files are open.
    Ready,
    /// The gate is closed.
    Closed {
        /// When.
        at: Tick,
        /// Whether another descriptor met the lock.
        met: bool,
    },
    /// Another process held a conflicting lock all the while.
    Busy,
    /// Whether a commit waits; absent when it can't be seen.
    Waiting(Option<bool>),
    /// A step is done.
    Stepped {
        /// When the gate opened.
        opened: Tick,
        /// When it closed again.
        closed: Tick,
        /// Commits in between, by the database's own change counter.
        writes: u32,
        /// How long after opening a writer appeared.
        writer_after: Option<Duration>,
    },
    /// The gate is open.
    Opened(Tick),
    /// It could not be done.
    Failed(String),
}

const WAL_WRITE: (i64, i64) = (120, 1);
const PENDING: (i64, i64) = (0x4000_0000, 1);
const RESERVED: (i64, i64) = (0x4000_0001, 1);
const SHARED: (i64, i64) = (0x4000_0002, 510);

/// Where the counter of committed transactions is: `iChange` in the WAL index header,
/// in the machine's byte order; the file change counter of the database header, big-endian.
const WAL_CHANGES: u64 = 8;
const FILE_CHANGES: u64 = 24;

const TRY: Duration = Duration::from_millis(1);

/// The helper's arguments.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The database file.
    #[arg(long)]
    db: PathBuf,
    /// How it keeps its journal.
    #[arg(long)]
    journal: Journal,
    /// Seconds that the gate may stay closed before the kernel ends this process.
    #[arg(long)]
    alarm: u32,
}

/// Runs until the pipe from chatctl closes. Gives the exit code.
pub fn run(args: &Args, answers: &mut dyn Write) -> anyhow::Result<()> {
    // A session of its own: Ctrl-C in the terminal reaches chatctl, which opens the gate
    // in order; the helper must not go first. Being leader already is as good.
    let _ = nix::unistd::setsid();
    let mut holder = Holder::new(args)?;
    let cancel = Arc::clone(&holder.cancel);
    let (asks, inbox) = mpsc::channel();
    std::thread::spawn(move || read_asks(&asks, &cancel));
    say(answers, &HolderReply::Ready)?;
    while let Ok(ask) = inbox.recv() {
        let answer = holder
            .answer(ask)
            .unwrap_or_else(|error| HolderReply::Failed(format!("{error:#}")));
        say(answers, &answer)?;
    }
    Ok(())
}

/// Reads asks until chatctl is gone. Then the process must end at once, whatever the main
/// thread waits for: it may sit in the kernel's queue for a lock.
fn read_asks(asks: &mpsc::Sender<Ask>, cancel: &AtomicBool) {
    for line in std::io::stdin().lock().lines() {
        let Ok(line) = line else { break };
        match serde_json::from_str(&line) {
            Ok(Ask::Cancel) => cancel.store(true, Ordering::SeqCst),
            Ok(ask) => {
                // Cleared here, in the order of the lines, so that a cancel that comes right
                // after its step is not lost and one that comes too late does not hit the next.
                if matches!(ask, Ask::Step(_)) {
                    cancel.store(false, Ordering::SeqCst);
                }
                if asks.send(ask).is_err() {
                    break;
                }
            }
            Err(_) => break,
        }
    }
    #[expect(clippy::exit, reason = "no destructor may delay giving the locks back")]
    std::process::exit(0);
}

fn say(answers: &mut dyn Write, answer: &HolderReply) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(answer)?;
    line.push(b'\n');
    answers.write_all(&line)?;
    answers.flush()?;
    Ok(())
}

struct Holder {
    journal: Journal,
    file: File,
    witness: File,
    alarm: u32,
    /// The byte that a step gives up and takes again; the rollback journal's first step changes it.
    held: Option<Held>,
    cancel: Arc<AtomicBool>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Held {
    /// The one writer's lock: nobody can begin to write.
    Writer,
    /// A reader's lock: writers may begin, nobody can commit.
    Reader,
}

/// What passed in a step.
struct Passed {
    opened: Tick,
    closed: Tick,
    writer_after: Option<Duration>,
}

impl Holder {
    fn new(args: &Args) -> anyhow::Result<Self> {
        let path = match args.journal {
            Journal::Wal => sibling(&args.db, "-shm"),
            Journal::Rollback => args.db.clone(),
        };
        Ok(Self {
            journal: args.journal,
            file: open(&path)?,
            witness: open(&path)?,
            alarm: args.alarm,
            held: None,
            cancel: Arc::new(AtomicBool::new(false)),
        })
    }

    fn answer(&mut self, ask: Ask) -> anyhow::Result<HolderReply> {
        match ask {
            Ask::Close(wait) => self.close(Duration::from_millis(wait)),
            Ask::Waiting => self.waiting(),
            Ask::Step(wait) => self.step(Duration::from_millis(wait)),
            Ask::Open => self.open(),
            Ask::Cancel => unreachable!("the reading thread keeps this one"),
        }
    }

    fn writer_byte(&self) -> (i64, i64) {
        match self.journal {
            Journal::Wal => WAL_WRITE,
            Journal::Rollback => RESERVED,
        }
    }

    fn close(&mut self, patience: Duration) -> anyhow::Result<HolderReply> {
        // SIGALRM's default action ends the process, and with it every lock.
        nix::unistd::alarm::set(self.alarm);
        let deadline = clock::now() + patience;
        loop {
            if self.try_close()? {
                let at = clock::now();
                let met = match self.journal {
                    Journal::Wal => conflicts(&self.witness, LockKind::Write, WAL_WRITE)?,
                    Journal::Rollback => conflicts(&self.witness, LockKind::Write, SHARED)?,
                };
                return Ok(HolderReply::Closed { at, met });
            }
            if clock::now() >= deadline {
                nix::unistd::alarm::cancel();
                return Ok(HolderReply::Busy);
            }
            std::thread::sleep(TRY);
        }
    }

    fn try_close(&mut self) -> anyhow::Result<bool> {
        let (kind, range, held) = match self.journal {
            Journal::Wal => (LockKind::Write, WAL_WRITE, Held::Writer),
            // A commit that waits already would be passed by a new reader: SQLite itself
            // lets no reader in while PENDING is held.
            Journal::Rollback if conflicts(&self.file, LockKind::Write, PENDING)? => {
                return Ok(false);
            }
            Journal::Rollback => (LockKind::Read, SHARED, Held::Reader),
        };
        let taken = lock(&self.file, kind, range)?;
        if taken {
            self.held = Some(held);
        }
        Ok(taken)
    }

    fn waiting(&self) -> anyhow::Result<HolderReply> {
        Ok(HolderReply::Waiting(match self.held {
            // Readers lock this byte too, for a moment and for reading only.
            Some(Held::Reader) => Some(conflicts(&self.file, LockKind::Read, PENDING)?),
            _ => None,
        }))
    }

    fn step(&mut self, patience: Duration) -> anyhow::Result<HolderReply> {
        let before = self.changes()?;
        let Passed {
            opened,
            closed,
            writer_after,
        } = match self.held {
            Some(Held::Reader) => self.step_from_reader(before, patience)?,
            Some(Held::Writer) => self.step_from_writer(before, patience)?,
            None => anyhow::bail!("a step needs a closed gate"),
        };
        self.held = Some(Held::Writer);
        // Each hold is bounded by itself.
        nix::unistd::alarm::set(self.alarm);
        let writes = self.changes()?.wrapping_sub(before);
        Ok(HolderReply::Stepped {
            opened,
            closed,
            writes,
            writer_after,
        })
    }

    /// The writer that waits to commit holds RESERVED, so nobody can get in between: the reader's
    /// lock is dropped, exactly that commit can pass, and then RESERVED is taken.
    fn step_from_reader(&self, before: u32, patience: Duration) -> anyhow::Result<Passed> {
        let waiting = conflicts(&self.file, LockKind::Read, PENDING)?;
        if lock(&self.file, LockKind::Write, RESERVED)? {
            // Nobody has begun to write: nothing passes.
            let opened = clock::now();
            unlock(&self.file, SHARED)?;
            return Ok(Passed {
                opened,
                closed: clock::now(),
                writer_after: None,
            });
        }
        unlock(&self.file, SHARED)?;
        let opened = clock::now();
        // A writer that has only begun may commit much later; one that commits locks readers out.
        self.until(opened + patience, before, SHARED)?;
        Ok(Passed {
            opened,
            closed: lock_behind(&self.file, RESERVED)?,
            writer_after: waiting.then_some(Duration::ZERO),
        })
    }

    /// Nobody queues in the kernel for this byte, since SQLite polls. So the helper watches for
    /// the writer that takes it, and then takes it right behind it.
    fn step_from_writer(&self, before: u32, patience: Duration) -> anyhow::Result<Passed> {
        let range = self.writer_byte();
        unlock(&self.file, range)?;
        let opened = clock::now();
        let writer = self.until(opened + patience, before, range)?;
        Ok(Passed {
            opened,
            closed: lock_behind(&self.file, range)?,
            writer_after: writer.map(|at| at - opened),
        })
    }

    /// Watches until somebody holds a lock on the range, or something was committed. Nothing
    /// when neither happened in time, or when chatctl has seen what it waits for.
    ///
    /// Without pause: between two looks a server can commit and send its final marker, and then
    /// it is not known which was first.
    fn until(
        &self,
        deadline: Tick,
        before: u32,
        range: (i64, i64),
    ) -> anyhow::Result<Option<Tick>> {
        while clock::now() < deadline && !self.cancel.load(Ordering::SeqCst) {
            if conflicts(&self.file, LockKind::Read, range)? || self.changes()? != before {
                return Ok(Some(clock::now()));
            }
            std::thread::yield_now();
        }
        Ok(None)
    }

    fn open(&mut self) -> anyhow::Result<HolderReply> {
        match self.held.take() {
            Some(Held::Reader) => unlock(&self.file, SHARED)?,
            Some(Held::Writer) => unlock(&self.file, self.writer_byte())?,
            None => {}
        }
        nix::unistd::alarm::cancel();
        Ok(HolderReply::Opened(clock::now()))
    }

    fn changes(&self) -> anyhow::Result<u32> {
        let mut bytes = [0; 4];
        Ok(match self.journal {
            Journal::Wal => {
                self.file.read_exact_at(&mut bytes, WAL_CHANGES)?;
                u32::from_ne_bytes(bytes)
            }
            Journal::Rollback => {
                self.file.read_exact_at(&mut bytes, FILE_CHANGES)?;
                u32::from_be_bytes(bytes)
            }
        })
    }
}

fn sibling(db: &Path, suffix: &str) -> PathBuf {
    let mut name = db.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
