//! The resources of a run, and their clean-up: gates open, processes stopped, nothing left behind.

use super::Provoked;
use crate::cli_error::CliError;
use crate::clock::Tick;
use crate::db::{Db, Target, WriteError};
use crate::gate::{AnyGate, Fault, Gate};
use crate::gateway::Gateway;
use crate::http::{OutputLine, Server};
use crate::mask::Mask;
use crate::progress::Progress;
use crate::store::Declared;
use crate::{clock, db};
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Between two looks for a file that must come.
const ASK: Duration = Duration::from_millis(20);
/// How long the end of somebody's transaction is waited for, and how often is looked.
const REMOVAL: Duration = Duration::from_secs(60);
const BETWEEN_REMOVALS: Duration = Duration::from_millis(800);

/// Where a server has to connect so that its way to the database leads through the gate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// To this process.
    Proxy(Target),
    /// To a `chatctl gate`.
    Gate {
        /// As it is seen from this machine.
        target: Target,
        /// Where that gate listens, on its machine.
        listen: String,
    },
}

impl Way {
    /// The database, by this way.
    pub fn target(&self) -> &Target {
        match self {
            Self::Proxy(target) | Self::Gate { target, .. } => target,
        }
    }
}

/// The processes next to the server under test, in the order in which they were started.
#[derive(Default)]
pub struct OtherProcesses {
    pub before: Vec<Server>,
    pub after: Vec<Server>,
    /// Where those of them listen that clients may speak to as well.
    pub replicas: Vec<Url>,
}

impl OtherProcesses {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.before.is_empty() && self.after.is_empty()
    }

    /// Ends them, and the server under test between them. Who was started last may need those that were
    /// started before, so it is ended first.
    pub async fn end_with(self, tested: Option<Server>) {
        let all = self.before.into_iter().chain(tested).chain(self.after);
        for mut server in all.collect::<Vec<_>>().into_iter().rev() {
            server.end().await;
        }
    }
}

/// Everything that outlives a session.
pub struct World {
    /// Where the server under test listens.
    pub base: Url,
    /// The origin of the page that chatctl plays.
    pub origin: Option<String>,
    /// chatctl in the provider's place.
    pub gateway: Gateway,
    /// Where the store is.
    pub target: Target,
    /// The store, once it could be opened.
    pub db: Option<Box<dyn Db>>,
    /// What the user says of the store.
    pub declared: Declared,
    /// The server, when chatctl started it.
    pub server: Option<Server>,
    /// The processes that were started next to it.
    pub others: OtherProcesses,
    /// The gate, once it was made ready for the first time.
    pub gate: Option<AnyGate>,
    /// Where the server under test has to connect, when the gate is on the way to its database.
    pub way: Option<Way>,
    /// Triggers that are in the store now.
    pub fault: Option<Fault>,
    /// When chatctl made something go wrong.
    pub provoked: Provoked,
    /// The secrets of the run.
    pub mask: Mask,
    /// The way to the person who waits.
    pub progress: Arc<Progress>,
}

impl World {
    pub fn db(&self) -> &dyn Db {
        self.db
            .as_deref()
            .expect("the store is opened before anything is looked for in it")
    }

    /// Opens the store if it is there. A file that the server makes later, even with its first chat, is
    /// opened when it is inspected.
    ///
    /// # Errors
    /// When it is there and can't be opened.
    pub async fn open_if_there(&mut self) -> anyhow::Result<()> {
        if self.target.is_file() && !self.target.path().exists() {
            self.progress
                .note("the store does not exist yet: waiting for the server to create it");
            return Ok(());
        }
        self.open_store(Duration::ZERO).await
    }

    /// Opens the store. A server that was just asked for the first time may still be making the file.
    ///
    /// # Errors
    /// When it can't be opened, or is not there in time.
    pub async fn open_store(&mut self, patience: Duration) -> anyhow::Result<()> {
        if self.db.is_some() {
            return Ok(());
        }
        let path = self.target.path();
        let deadline = clock::now() + patience;
        while self.target.is_file() && !path.exists() {
            if clock::now() >= deadline {
                return Err(CliError::unreachable(format!(
                    "the server answered a chat, but there is no database at `{}`",
                    path.display()
                ))
                .hint(db::where_else(
                    path,
                    "let the server use this file (in --start, {database_path} is its path), or name the file \
                        that it uses with --database-url (SQLAlchemy's sqlite:///chat.db is sqlite:chat.db here)",
                ))
                .into());
            }
            tokio::time::sleep(ASK).await;
        }
        self.db = Some(db::open(self.target.clone()).await?);
        Ok(())
    }

    /// Whether the server, and so its store, is chatctl's own to break.
    pub fn is_ours(&self) -> bool {
        self.server.is_some()
    }

    /// What the server, and each process next to it, wrote since a moment.
    pub fn output_since(&self, since: Tick) -> Vec<OutputLine> {
        let OtherProcesses { before, after, .. } = &self.others;
        let all = before.iter().chain(&self.server).chain(after);
        let mut lines: Vec<_> = all.flat_map(|server| server.output_since(since)).collect();
        lines.sort_by_key(|line| line.at);
        lines
    }

    /// The last lines that they wrote.
    pub fn tail(&self, lines: usize) -> String {
        let all = self.output_since(Tick::ZERO);
        let tail = all.iter().skip(all.len().saturating_sub(lines));
        let tail: Vec<_> = tail.map(|line| format!("  {line}")).collect();
        self.mask.said(&tail.join("\n"))
    }

    /// What to do so that the server's way to its database leads through the gate.
    pub fn how_to_connect(&self) -> String {
        match (&self.way, &self.server) {
            (Some(Way::Proxy(proxied)), None) => {
                format!("let the server use {proxied} as its database")
            }
            (Some(Way::Gate { listen, .. }), None) => format!(
                "let the server connect to its database through `chatctl gate`, which listens at {listen}"
            ),
            (Some(_), Some(_)) => {
                "use {database_url} in --start where the server takes its database's address; DATABASE_URL in \
                    its environment has it too"
                    .to_owned()
            }
            (None, _) => "use --start, --database-listen or --gate-control".to_owned(),
        }
    }

    /// Leaves everything as it was: the gate open, no trigger, the server ended.
    pub async fn close(&mut self) {
        match &mut self.gate {
            // A server that ends may have something to write.
            Some(AnyGate::Commits(gate)) => {
                if let Err(error) = gate.open().await {
                    self.progress
                        .warning(&format!("the gate was lost: {error:#}"));
                }
            }
            Some(AnyGate::Lock(gate)) => {
                if let Err(error) = gate.open().await {
                    self.progress.warning(&format!(
                        "the gate was lost: {error:#}; `verify-stream --clean` removes what it put into the store"
                    ));
                    // Ends the helper process; the kernel gives its locks back.
                    self.gate = None;
                }
            }
            None => {}
        }
        // First the server: one whose save failed may keep its transaction open.
        let others = std::mem::take(&mut self.others);
        others.end_with(self.server.take()).await;
        if let Some(AnyGate::Lock(gate)) = &mut self.gate
            && let Err(error) = removed(gate.as_mut(), &self.progress).await
        {
            self.progress.warning(&format!(
                "what the gate put into the store could not be removed: {error:#}; `verify-stream --clean` does it later"
            ));
        }
        self.gate = None;
        if let Some(mut fault) = self.fault.take()
            && let Err(error) = fault.remove().await
        {
            self.progress.warning(&format!(
                "the triggers chatctl_fault_* could not be removed: {error:#}; they are harmless, and the next run removes them"
            ));
        }
        self.progress.done();
    }
}

/// Ends a gate. Somebody's open transaction may be in the way: then it is tried again. A database that
/// has to do it at the end of the session waits without a limit, and all readers wait behind it.
async fn removed(gate: &mut dyn Gate, progress: &Progress) -> anyhow::Result<()> {
    let until = clock::now() + REMOVAL;
    let mut is_said = false;
    loop {
        let Err(error) = gate.end().await else {
            return Ok(());
        };
        let is_busy = matches!(error.downcast_ref(), Some(WriteError::Busy));
        if !is_busy {
            return Err(error);
        }
        if clock::now() > until {
            let why =
                "a transaction is open in the table, and nobody can read the table until it ends";
            return Err(error.context(why));
        }
        if !is_said {
            progress.warning(&format!(
                "an open transaction keeps the gate's trigger in the table: waiting for up to {} s until it ends",
                REMOVAL.as_secs()
            ));
            is_said = true;
        }
        tokio::time::sleep(BETWEEN_REMOVALS).await;
    }
}
