//! The way to stdout: a separate thread writes, so that a stalled reader blocks nobody.
//!
//! What is written waits in a [`Spool`]. Whoever makes more looks at [`Outlet::has_room`] first.

use crate::pager::Pager;
use crate::spool::Spool;
use std::io;
use std::io::Write;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// A way to stdout, with a pager in between if there is one. Its clones are one and the same.
#[derive(Clone)]
pub struct Outlet {
    shared: Arc<Shared>,
}

struct Shared {
    state: Mutex<State>,
    /// There is more to write, or there will be no more.
    more: Condvar,
    /// Something was written, or nothing more will be.
    moved: Notify,
}

#[derive(Default)]
struct State {
    spool: Spool,
    /// Nothing more comes.
    closed: bool,
    /// The thread has ended.
    ended: bool,
    /// Why nothing more can be written.
    failed: Option<io::Error>,
}

impl Outlet {
    /// Begins to write to `pager`, in a thread of its own.
    pub fn new(mut pager: Pager) -> io::Result<Self> {
        let shared = Arc::new(Shared {
            state: Mutex::default(),
            more: Condvar::new(),
            moved: Notify::new(),
        });
        let thread = Arc::clone(&shared);
        let write = move || {
            let written = thread.write(&mut pager);
            // The reader may look at it for as long as they like.
            drop(pager);
            let mut state = thread.state();
            state.failed = written.err();
            state.ended = true;
            thread.moved.notify_waiters();
        };
        std::thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(write)?;
        Ok(Self { shared })
    }

    /// Whether so little waits to be written that more may be made.
    pub fn has_room(&self) -> bool {
        self.shared.state().spool.has_room()
    }

    /// Waits until there is room, or until the reader has taken something.
    pub async fn moved(&self) {
        let moved = self.shared.moved.notified();
        if !self.has_room() && !self.has_ended() {
            moved.await;
        }
    }

    /// Waits until nothing more can be written: all is, or the reader has gone.
    pub async fn ended(&self) {
        loop {
            let moved = self.shared.moved.notified();
            if self.has_ended() {
                return;
            }
            moved.await;
        }
    }

    /// Nothing more comes.
    pub fn close(&self) {
        self.shared.state().closed = true;
        self.shared.more.notify_all();
    }

    /// Why something could not be written. A reader who goes before the end is not a failure.
    pub fn failed(&self) -> io::Result<()> {
        match self.shared.state().failed.take() {
            Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
            _ => Ok(()),
        }
    }

    fn has_ended(&self) -> bool {
        self.shared.state().ended
    }
}

impl Write for Outlet {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut state = self.shared.state();
        if state.ended {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        state.spool.push(bytes)?;
        self.shared.more.notify_all();
        Ok(bytes.len())
    }

    /// Each piece is flushed where it is written.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        loop {
            let waits = |state: &mut State| state.spool.is_empty() && !state.closed;
            let state = self.more.wait_while(self.state(), waits);
            let bytes = state.unwrap_or_else(PoisonError::into_inner).spool.take()?;
            if bytes.is_empty() {
                return Ok(());
            }
            out.write_all(&bytes)?;
            out.flush()?;
            self.moved.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Outlet;
    use crate::pager::Pager;
    use std::io::{Read as _, Write as _};
    use std::time::Duration;

    #[tokio::test]
    async fn a_reader_that_stalls_keeps_nobody_waiting() {
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut outlet = Outlet::new(Pager::new(Vec::new(), Box::new(writer))).unwrap();
        let text = vec![b'x'; 10 << 20];
        outlet.write_all(&text).unwrap();
        outlet.close();
        let early = tokio::time::timeout(Duration::from_millis(50), outlet.ended()).await;
        assert!(early.is_err(), "nobody has read it yet");
        let reading = std::thread::spawn(move || {
            let mut read = Vec::new();
            reader.read_to_end(&mut read).unwrap();
            read.len()
        });
        outlet.ended().await;
        outlet.failed().unwrap();
        drop(outlet);
        assert_eq!(reading.join().unwrap(), text.len());
    }

    #[tokio::test]
    async fn a_reader_that_goes_ends_it_and_a_full_disk_is_an_error() {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut outlet = Outlet::new(Pager::new(Vec::new(), Box::new(writer))).unwrap();
        outlet.write_all(b"x").unwrap();
        outlet.ended().await;
        assert!(outlet.write_all(b"x").is_err());
        outlet.failed().unwrap();
        let full = std::fs::File::options().write(true).open("/dev/full");
        let mut outlet = Outlet::new(Pager::new(Vec::new(), Box::new(full.unwrap()))).unwrap();
        outlet.write_all(b"x").unwrap();
        outlet.ended().await;
        assert!(outlet.failed().is_err());
    }
}
