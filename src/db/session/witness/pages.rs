//! Rows on their way to be digested: that is half of what it costs to read a table, and a thread of its own
//! does it while the next rows are read.

use super::reading::Reading;
use crate::db::session::Failed;
use std::io;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, Scope, ScopedJoinHandle};

/// Rows with so many bytes go over together. A table that has fewer needs no thread.
const PAGE: usize = 64 << 10;
/// Pages on their way.
const PAGES: usize = 4;

/// How the rows of a page, as an engine wrote them there, are taken one by one.
pub(in crate::db) type Take = fn(&mut [u8], &mut Reading) -> io::Result<()>;

/// Lets rows be read, and digests them meanwhile.
pub(in crate::db) fn digested(
    reading: &mut Reading,
    take: Take,
    read: impl FnOnce(&mut Pages<'_, '_>) -> Result<(), Failed>,
) -> Result<(), Failed> {
    std::thread::scope(|scope| {
        let mut pages = Pages {
            scope,
            take,
            page: Vec::new(),
            digester: Digester::Here(reading),
        };
        let done = read(&mut pages);
        let digested = pages.end();
        done?;
        digested.map_err(unkept)
    })
}

/// Where rows are put that are to be digested.
pub(in crate::db) struct Pages<'scope, 'env> {
    scope: &'scope Scope<'scope, 'env>,
    take: Take,
    page: Vec<u8>,
    digester: Digester<'scope, 'env>,
}

enum Digester<'scope, 'env> {
    /// Until the first page is full.
    Here(&'env mut Reading),
    Thread {
        to: SyncSender<Vec<u8>>,
        /// Pages come back, so that their room is made only once.
        back: Receiver<Vec<u8>>,
        thread: ScopedJoinHandle<'scope, io::Result<()>>,
    },
    /// It failed.
    Gone,
}

impl<'scope, 'env> Pages<'scope, 'env> {
    /// One row, which is written behind others.
    pub(in crate::db) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), Failed> {
        write(&mut self.page);
        if self.page.len() < PAGE {
            return Ok(());
        }
        if let Digester::Here(_) = self.digester
            && let Digester::Here(reading) = std::mem::replace(&mut self.digester, Digester::Gone)
        {
            self.digester = start(self.scope, reading, self.take).map_err(unkept)?;
        }
        let Digester::Thread { to, back, .. } = &self.digester else {
            return Ok(());
        };
        let empty = back.try_recv().unwrap_or_default();
        match to.send(std::mem::replace(&mut self.page, empty)) {
            Ok(()) => Ok(()),
            Err(_) => self.ended().map_err(unkept),
        }
    }

    fn end(mut self) -> io::Result<()> {
        let mut page = std::mem::take(&mut self.page);
        match &mut self.digester {
            Digester::Here(reading) => return (self.take)(&mut page, reading),
            // What went wrong is reported by the thread's end.
            Digester::Thread { to, .. } => drop(to.send(page)),
            Digester::Gone => {}
        }
        self.ended()
    }

    fn ended(&mut self) -> io::Result<()> {
        match std::mem::replace(&mut self.digester, Digester::Gone) {
            Digester::Thread { to, thread, .. } => {
                drop(to);
                match thread.join() {
                    Ok(done) => done,
                    Err(panic) => std::panic::resume_unwind(panic),
                }
            }
            Digester::Here(_) | Digester::Gone => Ok(()),
        }
    }
}

fn unkept(error: io::Error) -> Failed {
    Failed::because(format!("keeping what the rows were: {error}"))
}

fn start<'scope, 'env>(
    scope: &'scope Scope<'scope, 'env>,
    reading: &'env mut Reading,
    take: Take,
) -> io::Result<Digester<'scope, 'env>> {
    let (to, pages) = sync_channel::<Vec<u8>>(PAGES);
    let (done, back) = sync_channel(PAGES + 1);
    let digest = move || {
        for mut page in pages {
            take(&mut page, reading)?;
            page.clear();
            // Nobody wants it any more when the reader is through.
            let _ = done.try_send(page);
        }
        Ok(())
    };
    let thread = Builder::new().name("digests".to_owned());
    let thread = thread.spawn_scoped(scope, digest)?;
    Ok(Digester::Thread { to, back, thread })
}
