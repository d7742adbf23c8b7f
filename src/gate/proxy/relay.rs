//! Both directions of one connection, for any protocol.
//!
//! Bytes are passed on as they come; messages are read only as far as a commit could be in them.

use super::connection::Cancelled;
use super::passed::Passed;
use super::queue::{Commit, Connected, Passage, Queue, Ticket};
use super::wire::{Incoming, Link, Writer};
use crate::gate::commits::{Carries, CommitFault, CommitOutcome, Stage};
use memchr::memmem;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Notify;

/// While commits are withheld, a message is read as a whole up to this size.
const WHOLE: usize = 64 << 20;
/// While they are not, the beginning of a longer one says what is needed.
const BEGINNING: usize = 4 << 10;
/// The longest answer to a commit that is kept back as a whole.
const ANSWER: usize = 8 << 20;

/// The state of one connection, from the messages that passed. No I/O.
pub(super) trait Session: Send {
    /// The kind and length of the message at the beginning of these bytes; none while its header
    /// is not there as a whole.
    ///
    /// # Errors
    /// When that can't be a header: what follows can't be read as messages.
    fn header(bytes: &[u8]) -> anyhow::Result<Option<Header>>;

    /// What to do with a message of the server under test while commits are withheld.
    fn decide(&self, message: Message<'_>) -> Decision;

    /// A message of the server under test is forwarded. `reads` keeps its statement for the
    /// timeline.
    fn forwarded(&mut self, message: Message<'_>, reads: bool);

    /// Whether so many bytes of a database's message are too few to read it.
    fn needs_more(header: Header, there: usize) -> bool;

    fn hear(&mut self, message: Message<'_>) -> Heard;

    /// Whether the database has not answered everything yet.
    fn is_busy(&self) -> bool;

    /// What passed of the open transaction.
    fn passed(&mut self) -> &mut Passed;

    /// The connection whose statement this message cancels, and what the database is sent in its
    /// place where that statement is withheld.
    fn cancels(_message: Message<'_>) -> Option<(u64, Vec<u8>)> {
        None
    }

    /// Whether the transaction that is open stays so if this message fails.
    fn stays_open(&self, message: Message<'_>) -> bool;

    /// The messages that make the commit in a message of this kind fail.
    fn commit_error(&mut self, why: Refusal, kind: u8) -> CommitError;

    /// Whether a message of this kind ends a group whose rest is dropped.
    fn ends_group(kind: u8) -> bool;
}

/// A message's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    /// Its kind, as the protocol numbers it.
    pub(super) kind: u8,
    /// The length of the header.
    pub(super) begins: usize,
    /// The whole message in bytes, header included.
    pub(super) length: usize,
}

/// A message that was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) kind: u8,
    /// As much of the body as was read.
    pub(super) body: &'a [u8],
    /// How long the body is.
    pub(super) length: usize,
}

impl Message<'_> {
    /// Whether all of it was read.
    pub(super) fn is_whole(&self) -> bool {
        self.body.len() == self.length
    }
}

/// What is to be done with a message of the server under test.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Decision {
    Forward,
    /// It may commit: this is the statement.
    Commit(String),
    /// It writes in an open transaction, and commits nothing: this is the statement.
    Write(String),
    /// It locks tables, and commits nothing: this is the statement.
    Lock(String),
    /// Nothing can be said before the database has answered what went before.
    Wait,
}

/// What a message of the database means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard {
    /// Nothing for the gate.
    Other,
    /// Everything that was sent is answered.
    Ready,
    /// The database waits for rows or a file of the client: what was sent has done nothing yet.
    Asks,
    /// From now on bytes are copied both ways: replication.
    Raw,
    /// A request to cancel the connection's statement names this.
    Key(u64),
}

/// Why a commit is answered with an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It is made to fail.
    OnPurpose,
    /// The server under test cancelled it.
    Cancelled,
    /// The same of a statement within a transaction, which stays open.
    CancelledInside,
}

/// How a commit is made to fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct CommitError {
    /// What the database is sent in its place; it rolls back, or its transaction fails.
    pub(super) to_database: Vec<u8>,
    /// What the server under test is sent in place of the database's answer.
    pub(super) to_server: Vec<u8>,
    /// What of the server's messages is dropped.
    pub(super) drops: Drops,
}

/// What is not forwarded of a commit that is made to fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Drops {
    /// Nothing: what follows is for the database.
    Nothing,
    /// The message that commits.
    Message,
    /// It, and what follows to the end of its group.
    Group,
}

/// One connection of the server under test.
pub(super) struct Relay<S> {
    queue: Arc<Queue>,
    connection: Connected,
    shared: Mutex<Shared<S>>,
    /// The database has answered everything.
    ready: Notify,
}

/// What both directions know.
struct Shared<S> {
    session: S,
    /// The commit that was let through and is not answered yet.
    ticket: Option<Ticket>,
    /// What takes the place of the database's next answer.
    instead: Option<Instead>,
    /// What is dropped next.
    drops: Drops,
}

enum Instead {
    /// The server under test is sent these bytes.
    Send(Vec<u8>),
    /// The connection is broken.
    Break,
}

/// A message that waits at the gate.
#[derive(Clone, Copy)]
struct Asks {
    kind: u8,
    stays_open: bool,
}

impl Asks {
    fn cancelled(self) -> Refusal {
        if self.stays_open {
            Refusal::CancelledInside
        } else {
            Refusal::Cancelled
        }
    }
}

/// What comes behind the bytes that may be passed on.
enum Then {
    /// Nothing yet.
    More,
    /// The rest of a long message, so many bytes, which needs no reading.
    Rest(usize),
    /// A message of so many bytes that is dropped.
    Drop(usize),
    /// The same, and these bytes take its place.
    Replace(usize, Vec<u8>),
    /// A message that can be judged once the database has answered what went before.
    Wait,
    /// A message that may commit, and what it is.
    Ask(Asks, Commit),
}

impl<S: Session> Relay<S> {
    /// A connection that is logged in.
    pub(super) fn new(session: S, queue: Arc<Queue>) -> Self {
        Self {
            connection: queue.connected(),
            queue,
            shared: Mutex::new(Shared {
                session,
                ticket: None,
                instead: None,
                drops: Drops::Nothing,
            }),
            ready: Notify::new(),
        }
    }

    /// A request to cancel this connection's statement names it so.
    pub(super) fn known_by(self, key: u64) -> Self {
        self.connection.known_by(key);
        self
    }

    /// Passes both directions on until one of them ends.
    pub(super) async fn run(&self, client: Link, database: Link) -> anyhow::Result<()> {
        tokio::select! {
            ended = self.to_database(client.incoming, database.writer) => ended,
            ended = self.to_client(database.incoming, client.writer) => ended,
            () = self.queue.gone() => Ok(()),
        }
    }

    fn shared(&self) -> MutexGuard<'_, Shared<S>> {
        self.shared
            .lock()
            .expect("nobody panics with the lock held")
    }

    /// From the server under test to its database, until it hangs up.
    async fn to_database(&self, mut from: Incoming, mut to: Writer) -> anyhow::Result<()> {
        // Whether the first message was let through already.
        let mut allowed = false;
        loop {
            let (pass, then) = self.scan(&from.bytes, std::mem::take(&mut allowed))?;
            from.pass(pass, &mut to).await?;
            let more = match then {
                Then::More => from.more().await?,
                Then::Rest(length) => from.pass_on(length, &mut to).await?,
                Then::Drop(length) => from.pass_on(length, &mut tokio::io::sink()).await?,
                Then::Replace(length, with) => {
                    to.write_all(&with).await?;
                    to.flush().await?;
                    from.pass_on(length, &mut tokio::io::sink()).await?
                }
                Then::Wait => {
                    self.ready.notified().await;
                    true
                }
                Then::Ask(asks, commit) => {
                    allowed = true;
                    match self.queue.ask(&self.connection, commit).await {
                        Passage::Free => true,
                        Passage::Step(ticket) => {
                            self.shared().ticket = Some(ticket);
                            true
                        }
                        Passage::Fault(fault) => self.fail(fault, asks, &mut to).await?,
                        Passage::Cancelled => {
                            self.refuse(asks.cancelled(), asks.kind, &mut to).await?;
                            true
                        }
                    }
                }
            };
            if !more {
                return Ok(());
            }
        }
    }

    /// How many bytes may be passed on, and what comes behind them.
    fn scan(&self, bytes: &[u8], mut allowed: bool) -> anyhow::Result<(usize, Then)> {
        let reads = self.queue.reads();
        let nonce = self.queue.nonce();
        let mut shared = self.shared();
        let mut at = 0;
        while let Some(header) = S::header(&bytes[at..])? {
            let there = (bytes.len() - at).min(header.length);
            let whole = there == header.length;
            if !whole && there < if reads { WHOLE } else { BEGINNING } {
                break;
            }
            let message = Message {
                kind: header.kind,
                body: &bytes[at + header.begins..at + there],
                length: header.length - header.begins,
            };
            let drops = std::mem::replace(&mut shared.drops, Drops::Nothing);
            if drops != Drops::Nothing {
                if drops == Drops::Group && !S::ends_group(header.kind) {
                    shared.drops = drops;
                }
                return Ok((at, Then::Drop(header.length)));
            }
            if let Some(nonce) = &nonce
                && ((reads && !whole) || memmem::find(message.body, nonce).is_some())
            {
                if reads {
                    shared.session.passed().carries = Carries::Answer;
                }
                self.queue.carried(self.connection.number);
            }
            if reads
                && let Some((key, instead)) = S::cancels(message)
                && self.queue.cancel(key)
            {
                // The database knows nothing of the withheld statement, and could cancel the next one.
                if let Some(header) = S::header(&instead)? {
                    let body = &instead[header.begins..];
                    let message = Message {
                        kind: header.kind,
                        body,
                        length: body.len(),
                    };
                    shared.session.forwarded(message, false);
                }
                return Ok((at, Then::Replace(header.length, instead)));
            }
            // What was let through goes with the rest of its group.
            let goes = allowed || (shared.ticket.is_some() && !shared.session.is_busy());
            if reads && !goes {
                let asks = match shared.session.decide(message) {
                    Decision::Forward => None,
                    Decision::Wait => return Ok((at, Then::Wait)),
                    Decision::Commit(what) => Some((Stage::Commit, what)),
                    Decision::Write(what) => Some((Stage::Write, what)),
                    Decision::Lock(what) => Some((Stage::Lock, what)),
                };
                if let Some((stage, what)) = asks {
                    let passed = shared.session.passed();
                    let commit = Commit {
                        stage,
                        what,
                        statements: passed.statements.clone(),
                        carries: passed.carries,
                    };
                    let asks = Asks {
                        kind: header.kind,
                        stays_open: shared.session.stays_open(message),
                    };
                    return Ok((at, Then::Ask(asks, commit)));
                }
            }
            allowed = false;
            shared.session.forwarded(message, reads);
            if shared.session.is_busy() {
                self.connection.busy(true);
            }
            at += there;
            if !whole {
                return Ok((at, Then::Rest(header.length - there)));
            }
        }
        Ok((at, Then::More))
    }

    /// Makes a commit fail whose message waits at the gate. False ends the connection.
    async fn fail(&self, fault: CommitFault, asks: Asks, to: &mut Writer) -> anyhow::Result<bool> {
        match fault {
            CommitFault::LostBefore
            | CommitFault::DatabaseGone
            | CommitFault::TooManyConnections => {
                self.queue.fault_done();
                Ok(false)
            }
            CommitFault::DiskFull | CommitFault::IoError => {
                anyhow::bail!("a proxy can't make a system call of the database fail")
            }
            CommitFault::LostAfter => {
                self.shared().instead = Some(Instead::Break);
                Ok(true)
            }
            CommitFault::Slow => {
                self.queue.fault_done();
                let slow = tokio::time::sleep(CommitFault::SLOW);
                if let Err(Cancelled) = self.connection.withheld(slow).await {
                    self.refuse(asks.cancelled(), asks.kind, to).await?;
                }
                Ok(true)
            }
            CommitFault::CommitError => {
                self.refuse(Refusal::OnPurpose, asks.kind, to).await?;
                self.queue.fault_done();
                Ok(true)
            }
        }
    }

    /// Answers a message that waits at the gate with an error, and has the database end where an
    /// error leaves it.
    async fn refuse(&self, why: Refusal, kind: u8, to: &mut Writer) -> anyhow::Result<()> {
        let error = {
            let mut shared = self.shared();
            let error = shared.session.commit_error(why, kind);
            shared.instead = Some(Instead::Send(error.to_server));
            shared.drops = error.drops;
            error.to_database
        };
        to.write_all(&error).await?;
        to.flush().await?;
        Ok(())
    }

    /// From the database to the server under test, until it hangs up.
    async fn to_client(&self, mut from: Incoming, mut to: Writer) -> anyhow::Result<()> {
        // So many bytes are read, and not passed on yet.
        let mut read = 0;
        loop {
            while let Some(header) = S::header(&from.bytes[read..])? {
                let there = (from.bytes.len() - read).min(header.length);
                let whole = there == header.length;
                if !whole && (S::needs_more(header, there) || self.holds_back(there)) {
                    break;
                }
                let heard = self.shared().session.hear(Message {
                    kind: header.kind,
                    body: &from.bytes[read + header.begins..read + there],
                    length: header.length - header.begins,
                });
                read += there;
                if !whole {
                    self.queue.may_speak().await;
                    from.pass(std::mem::take(&mut read), &mut to).await?;
                    if !from.pass_on(header.length - there, &mut to).await? {
                        return Ok(());
                    }
                }
                let goes_on = match heard {
                    Heard::Other => true,
                    Heard::Key(key) => {
                        self.connection.known_by(key);
                        true
                    }
                    Heard::Ready => self.answered(&mut from, &mut read, &mut to).await?,
                    Heard::Asks => {
                        self.connection.busy(false);
                        let ticket = self.shared().ticket.take();
                        if let Some(ticket) = ticket {
                            ticket.answered(CommitOutcome::Done).await;
                        }
                        true
                    }
                    Heard::Raw => {
                        self.queue.may_speak().await;
                        from.pass(from.bytes.len(), &mut to).await?;
                        return from.all_on(&mut to).await;
                    }
                };
                if !goes_on {
                    return Ok(());
                }
            }
            if !self.holds_back(read) {
                self.queue.may_speak().await;
                from.pass(std::mem::take(&mut read), &mut to).await?;
            }
            if !from.more().await? {
                return Ok(from.pass(read, &mut to).await?);
            }
        }
    }

    /// Whether the database's bytes are kept: they answer a commit at the gate.
    fn holds_back(&self, bytes: usize) -> bool {
        let shared = self.shared();
        bytes < ANSWER && (shared.ticket.is_some() || shared.instead.is_some())
    }

    /// The database has answered everything: a withheld answer waits for its permission. False
    /// ends the connection.
    async fn answered(
        &self,
        from: &mut Incoming,
        read: &mut usize,
        to: &mut Writer,
    ) -> anyhow::Result<bool> {
        let (ticket, instead, outcome) = {
            let mut shared = self.shared();
            let outcome = shared.session.passed().outcome();
            (shared.ticket.take(), shared.instead.take(), outcome)
        };
        let is_done = outcome == CommitOutcome::Done;
        self.connection.busy(false);
        self.ready.notify_one();
        if let Some(ticket) = ticket {
            ticket.answered(outcome).await;
        }
        match instead {
            None => Ok(true),
            Some(Instead::Break) => {
                // Only a commit that is done is lost in the way that is meant.
                if is_done {
                    self.queue.fault_done();
                }
                Ok(false)
            }
            Some(Instead::Send(bytes)) => {
                to.write_all(&bytes).await?;
                to.flush().await?;
                from.forget(std::mem::take(read));
                Ok(true)
            }
        }
    }
}
