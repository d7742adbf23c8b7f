//! A lock of a database server that lets one writer through at a time: two connections take turns
//! in holding it.
//!
//! For a step the second one queues for the lock behind the writer that waits. Then the first one
//! gives it up, the writer runs to the end of its transaction, and the second one has the lock: no
//! later writer can get in between.

use super::{Closed, Gate, Step, Waiting};
use crate::clock;
use crate::clock::Tick;
use crate::db::{Db, Tried, WriteError, Writer};
use anyhow::Context as _;
use std::time::Duration;
use tokio::sync::watch;

/// How long closing may wait for a transaction that is open.
pub(super) const CLOSE_WAIT: Duration = Duration::from_millis(400);
/// How long the writer of a step may take to the end of its transaction.
pub(super) const STEP_WAIT: Duration = Duration::from_secs(3);
/// What the database itself grants beyond the longest hold before it ends a connection that holds
/// the lock: chatctl may be stopped.
pub(super) const GRACE: Duration = Duration::from_secs(2);
/// Between two looks whether the second connection queues.
const LOOK: Duration = Duration::from_millis(2);

/// The statements of one lock.
pub(super) trait Lock: Send {
    /// Takes it, waiting for at most so long.
    fn take(&self, patience: Duration) -> String;

    /// Gives it up.
    fn give(&self) -> &'static str;

    /// The number by which a connection is called.
    fn number(&self) -> &'static str;

    /// Whether a connection has it, as another one sees.
    fn is_held<'a>(
        &'a self,
        look: &'a mut dyn Writer,
        other: &'a mut dyn Writer,
        holder: i64,
    ) -> Tried<'a, bool>;

    /// How many connections wait for it, without these two.
    fn waiting(&self, holder: i64, other: i64) -> String;

    /// Whether this connection waits for it, as 0 or 1.
    fn is_queued(&self, other: i64) -> String;

    /// How many writers wait ahead of the second connection, which waits too.
    fn ahead(&self, holder: i64, other: i64) -> String;

    /// Whether a trial behind it can prove an order, or why not.
    fn proves(&self) -> Result<(), &'static str>;

    /// Takes out of the database what was put there for it.
    fn clear<'a>(&'a self, look: &'a mut dyn Writer) -> Tried<'a, ()> {
        let _ = look;
        Box::pin(async { Ok(()) })
    }
}

/// A connection that can hold the lock.
struct Side {
    /// Absent while it queues.
    session: Option<Box<dyn Writer>>,
    number: i64,
}

impl Side {
    fn session(&mut self) -> anyhow::Result<&mut Box<dyn Writer>> {
        let session = self.session.as_mut();
        session.context("the connection that holds the gate was lost")
    }
}

/// A gate by such a lock.
pub(super) struct Turnstile {
    name: &'static str,
    lock: Box<dyn Lock>,
    holder: Side,
    other: Side,
    /// Looks who waits, and keeps what the lock needs.
    look: Box<dyn Writer>,
    is_closed: bool,
}

/// Connections for a turnstile: the one that looks is given, since a lock may be prepared on it.
pub(super) async fn connect(
    db: &dyn Db,
    name: &'static str,
    lock: Box<dyn Lock>,
    look: Box<dyn Writer>,
    settings: &[String],
) -> anyhow::Result<Turnstile> {
    let mut sides = Vec::new();
    for _ in 0..2 {
        let mut session = db.writer(STEP_WAIT).await?;
        for setting in settings {
            session.execute(setting).await?;
        }
        let number = session.value(lock.number()).await?;
        let number = number.int().context("the connection has no number")?;
        sides.push(Side {
            session: Some(session),
            number,
        });
    }
    let other = sides.pop().context("two were just made")?;
    let holder = sides.pop().context("two were just made")?;
    let mut gate = Turnstile {
        name,
        lock,
        holder,
        other,
        look,
        is_closed: false,
    };
    // Whether the rights are there, and the lock is seen, shows when it is tried.
    let tried = gate.close_it().await;
    let opened = gate.open_it().await;
    match tried {
        Ok(_) => opened.map(|_| gate),
        Err(error) => {
            gate.lock.clear(&mut *gate.look).await?;
            Err(error)
        }
    }
}

impl Turnstile {
    async fn count(&mut self, sql: &str) -> anyhow::Result<u32> {
        let count = self.look.value(sql).await?;
        let count = count.int().and_then(|count| u32::try_from(count).ok());
        count.context("the database does not count waiting sessions")
    }

    async fn close_it(&mut self) -> anyhow::Result<Closed> {
        let take = self.lock.take(CLOSE_WAIT);
        match self.holder.session()?.execute(&take).await {
            Ok(()) => {}
            Err(WriteError::Busy) => {
                self.holder.session()?.execute(self.lock.give()).await?;
                return Ok(Closed::WriterInTheWay);
            }
            Err(error) => {
                // Fails when nothing was begun, which is as good.
                let _ = self.holder.session()?.execute(self.lock.give()).await;
                return Err(error.into());
            }
        }
        self.is_closed = true;
        let at = clock::now();
        let Self {
            lock,
            holder,
            other,
            look,
            ..
        } = self;
        let held = lock
            .is_held(&mut **look, &mut **other.session()?, holder.number)
            .await?;
        anyhow::ensure!(held, "another connection does not see the lock");
        let verified = "another connection saw the lock".to_owned();
        Ok(Closed::Held { at, verified })
    }

    async fn open_it(&mut self) -> anyhow::Result<Tick> {
        if std::mem::take(&mut self.is_closed) {
            self.holder.session()?.execute(self.lock.give()).await?;
        }
        Ok(clock::now())
    }

    async fn step_it(&mut self) -> anyhow::Result<Step> {
        anyhow::ensure!(self.is_closed, "a step needs a closed gate");
        let take = self.lock.take(STEP_WAIT);
        let session = self.other.session.take();
        let mut session = session.context("the connection that holds the gate was lost")?;
        let queueing = tokio::spawn(async move {
            let taken = session.execute(&take).await;
            (session, taken, clock::now())
        });
        let (holder, other) = (self.holder.number, self.other.number);
        let is_queued = self.lock.is_queued(other);
        let ahead = loop {
            if queueing.is_finished() {
                // It has the lock already, next to the first one: nobody waits that it let pass.
                break 0;
            }
            if self.count(&is_queued).await? > 0 {
                break self.count(&self.lock.ahead(holder, other)).await?;
            }
            tokio::time::sleep(LOOK).await;
        };
        let opened = clock::now();
        self.is_closed = false;
        let given = self.holder.session()?.execute(self.lock.give()).await;
        let (mut session, taken, closed) = queueing.await?;
        if let Err(error) = taken {
            // Fails when nothing was begun, which is as good.
            let _ = session.execute(self.lock.give()).await;
            self.other.session = Some(session);
            return Err(anyhow::Error::from(error).context(
                "the gate could not be closed again: a transaction that was let through did not end",
            ));
        }
        self.other.session = Some(session);
        self.is_closed = true;
        std::mem::swap(&mut self.holder, &mut self.other);
        given?;
        Ok(Step {
            opened,
            closed,
            writes: Some(ahead),
            writer_after: (ahead > 0).then_some(Duration::ZERO),
        })
    }
}

impl Gate for Turnstile {
    fn name(&self) -> &'static str {
        self.name
    }

    fn close(&mut self) -> Tried<'_, Closed> {
        Box::pin(self.close_it())
    }

    fn waiting(&mut self) -> Tried<'_, Waiting> {
        Box::pin(async {
            let waiting = self.lock.waiting(self.holder.number, self.other.number);
            Ok(match self.count(&waiting).await? {
                0 => Waiting::Nobody,
                _ => Waiting::Writer,
            })
        })
    }

    fn step(&mut self, _seen: watch::Receiver<bool>) -> Tried<'_, Step> {
        Box::pin(self.step_it())
    }

    fn open(&mut self) -> Tried<'_, Tick> {
        Box::pin(self.open_it())
    }

    fn proves(&self) -> Result<(), &'static str> {
        self.lock.proves()
    }

    fn end(&mut self) -> Tried<'_, ()> {
        Box::pin(async {
            self.open_it().await?;
            self.lock.clear(&mut *self.look).await
        })
    }
}
