//! Chooses the gate: the strongest that works, and why not a stronger one.

use super::stage::Stage;
use crate::cli_error::CliError;
use crate::gate;
use crate::gate::{Answers, AnyGate, CommitGate, Hold, How, Kind, LockTarget, Order, Syscalls};
use crate::stream::marks;
use anyhow::Context as _;
use std::time::Duration;

impl Stage<'_> {
    /// The gate of the run, made ready when it is needed for the first time.
    ///
    /// # Errors
    /// When none can be used.
    pub(super) async fn take_gate(&mut self) -> anyhow::Result<AnyGate> {
        if let Some(gate) = self.world.gate.take() {
            return Ok(gate);
        }
        let engine = self.world.target.engine();
        let mut passed_over = Vec::new();
        for kind in gate::on(engine, self.options.gate.as_deref()) {
            match self.make_ready(kind).await {
                Ok(gate) => {
                    for why in passed_over {
                        self.world
                            .progress
                            .warning(&format!("a stronger gate can't be used: {why}"));
                    }
                    self.note_gate(kind);
                    return Ok(gate);
                }
                Err(error) if error.downcast_ref::<CliError>().is_some() => return Err(error),
                Err(error) => passed_over.push(format!("{}: {error:#}", kind.name)),
            }
        }
        Err(CliError::unreachable(format!(
            "no gate can be held on `{}`: {}",
            self.world.target,
            passed_over.join("; ")
        ))
        .hint("use --proof observe, which needs no gate and proves less")
        .into())
    }

    /// A gate that withholds commits, made ready for the server that runs now.
    ///
    /// # Errors
    /// When there is none here.
    pub(super) async fn take_commit_gate(&mut self) -> anyhow::Result<Box<dyn CommitGate>> {
        if let Some(AnyGate::Commits(gate)) = self.world.gate.take() {
            return Ok(gate);
        }
        let mut kinds = gate::on(self.world.target.engine(), self.options.gate.as_deref());
        let kind = kinds.find(|kind| matches!(kind.how, How::SystemCalls));
        let none = |why: String| {
            CliError::unreachable(format!("the server's commits can't be withheld: {why}"))
                .hint("use --stop without before-commit and after-commit")
        };
        let Some(kind) = kind else {
            return Err(none("it does not connect through chatctl".to_owned()).into());
        };
        match self.make_ready(kind).await {
            Ok(AnyGate::Commits(gate)) => Ok(gate),
            Ok(AnyGate::Lock(_)) => {
                Err(none("a lock keeps other writers out, too".to_owned()).into())
            }
            Err(error) => Err(none(format!("{error:#}")).into()),
        }
    }

    /// Lets through what is withheld. A gate at the system calls ends with the server, and then nothing is.
    ///
    /// # Errors
    /// When the gate was lost.
    pub async fn let_commits_through(&mut self) -> anyhow::Result<()> {
        let is_wire = |gate: &AnyGate| matches!(gate.kind().how, How::Wire);
        let is_on_wire = self.world.gate.as_ref().is_some_and(is_wire);
        if let Some(AnyGate::Commits(gate)) = &mut self.world.gate {
            let opened = gate.open().await;
            if is_on_wire {
                opened?;
            }
        }
        Ok(())
    }

    /// The server was killed: what it had sent, and is withheld, never comes to the store.
    ///
    /// # Errors
    /// When the gate was lost.
    pub async fn drop_withheld(&mut self) -> anyhow::Result<()> {
        match &mut self.world.gate {
            Some(AnyGate::Commits(gate)) => gate.sever().await,
            Some(AnyGate::Lock(_)) | None => Ok(()),
        }
    }

    /// The server ended, and with it a gate at its system calls.
    pub fn forget_its_gate(&mut self) {
        let is_its_own = |gate: &AnyGate| matches!(gate.kind().how, How::SystemCalls);
        if self.world.gate.as_ref().is_some_and(is_its_own) {
            self.world.gate = None;
        }
    }

    /// Says which gate it is, and what it holds back.
    pub fn note_gate(&self, kind: &Kind) {
        self.world.progress.note(&format!(
            "gate {}: withholds {}, at most {:?} at a time",
            kind.name, kind.what, self.options.max_hold
        ));
    }

    async fn make_ready(&mut self, kind: &Kind) -> anyhow::Result<AnyGate> {
        let max_hold = self.options.max_hold;
        match kind.how {
            How::Wire => anyhow::bail!("chatctl does not set the server's database address"),
            How::SystemCalls => {
                let path = self.world.target.path().to_owned();
                anyhow::ensure!(
                    self.world.others.is_empty(),
                    "chatctl started several processes, but can trace the system calls of one only"
                );
                let server = self.world.server.as_mut();
                let server = server.context("chatctl did not start the server")?;
                let mut gate = Syscalls::new(server, path, max_hold)?;
                // Whether the system allows it shows when it is tried.
                let hold = Hold {
                    nonce: "chatctl-tries-the-gate",
                    order: Order::Arrival,
                    patience: Duration::ZERO,
                    elsewhere: gate::Elsewhere::Flows,
                };
                gate.close(hold).await?;
                gate.open().await?;
                Ok(AnyGate::Commits(Box::new(gate)))
            }
            How::Lock(open) => {
                self.allow(kind)?;
                let answers = self.mapping.as_ref().and_then(|mapping| mapping.answers());
                let on = LockTarget {
                    db: self.world.db(),
                    max_hold,
                    answers: answers.map(|(table, column)| Answers {
                        table,
                        column,
                        mark: marks::ANSWER,
                    }),
                };
                open(on).await.map(AnyGate::Lock)
            }
        }
    }

    /// A lock keeps others out, so it is taken on a store of this machine only, unless it is allowed.
    fn allow(&self, kind: &Kind) -> Result<(), CliError> {
        let target = &self.world.target;
        if target.is_local() || self.options.allow_gate {
            return Ok(());
        }
        let table = self.mapping.as_ref().map_or("-", |mapping| mapping.table());
        let longest = self.options.max_hold;
        Err(CliError::refused(format!(
            "gate {} withholds {} (table {table} of `{target}`), at most {longest:?} at a time, and that \
                database is on another machine",
            kind.name, kind.what
        ))
        .hint(
            "use a test database on this machine, let chatctl start the server (--start), or allow it with --allow-gate",
        ))
    }
}
