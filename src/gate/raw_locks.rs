//! SQLite's lock bytes, held by a helper process: the gate that can let exactly one write through.

use super::holder::{Ask, HolderReply, Journal};
use super::{Closed, Fails, Gate, How, Kind, LockTarget, Step, Waiting, begin_immediate, fault};
use crate::clock::Tick;
use crate::current_exe;
use crate::db::{Tried, WriteError, Writer};
use crate::model::Engine;
use anyhow::Context as _;
use clap::ValueEnum as _;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout};
use tokio::sync::watch;

pub(super) const KIND: Kind = Kind {
    name: "raw-locks",
    engines: &[Engine::Sqlite],
    what: "every write to the database file, by the lock bytes of SQLite's own protocol",
    how: How::Lock(|on| Box::pin(open(on))),
    fault: Fails::ByTriggers(&fault::SQLITE),
    sweep: None,
};

/// How long closing may wait for another writer, in milliseconds.
const CLOSE_WAIT_MS: u64 = 400;
/// How long a step waits for a writer: SQLite's busy handler sleeps up to 100 ms.
const STEP_WAIT_MS: u64 = 400;
/// Longer than the longest thing that the helper does by itself.
const ANSWER_WAIT: Duration = Duration::from_secs(12);
/// What the alarm grants beyond the longest hold, in seconds.
const ALARM_GRACE: u32 = 2;

struct RawLocks {
    path: PathBuf,
    journal: Journal,
    alarm: u32,
    helper: Option<Helper>,
    witness: Box<dyn Writer>,
}

struct Helper {
    // Ends the helper when the gate is dropped; its pipe closing would do so too.
    _child: Child,
    asks: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

async fn open(on: LockTarget<'_>) -> anyhow::Result<Box<dyn Gate>> {
    let LockTarget { db, max_hold, .. } = on;
    anyhow::ensure!(
        cfg!(target_os = "linux"),
        "open-file-description locks need Linux"
    );
    let witness = begin_immediate::writer(db).await?;
    let mode = db.rows("PRAGMA journal_mode", &[]).await?[0][0].to_string();
    let journal = match mode.as_str() {
        "wal" => Journal::Wal,
        "delete" | "truncate" | "persist" => Journal::Rollback,
        other => anyhow::bail!("journal mode `{other}` uses other locks"),
    };
    let exclusive = db.rows("PRAGMA locking_mode", &[]).await?[0][0].to_string();
    anyhow::ensure!(
        exclusive == "normal",
        "locking mode `{exclusive}` never releases its locks"
    );
    let mut gate = RawLocks {
        path: db.target().path().to_owned(),
        journal,
        alarm: u32::try_from(max_hold.as_millis().div_ceil(1000))? + ALARM_GRACE,
        helper: None,
        witness,
    };
    gate.helper().await?;
    Ok(Box::new(gate))
}

impl RawLocks {
    /// The helper, started when there is none: the alarm or a stuck step may have ended it.
    async fn helper(&mut self) -> anyhow::Result<&mut Helper> {
        if self.helper.is_none() {
            let journal = self
                .journal
                .to_possible_value()
                .expect("no variant is skipped");
            let mut child = tokio::process::Command::new(current_exe::program()?)
                .arg("gate-holder")
                .arg("--db")
                .arg(&self.path)
                .args([
                    "--journal",
                    journal.get_name(),
                    "--alarm",
                    &self.alarm.to_string(),
                ])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .spawn()
                .context("starting the helper that holds the gate")?;
            let asks = child.stdin.take().expect("stdin is piped");
            let answers = BufReader::new(child.stdout.take().expect("stdout is piped")).lines();
            let mut helper = Helper {
                _child: child,
                asks,
                answers,
            };
            match helper.answer().await? {
                HolderReply::Ready => self.helper = Some(helper),
                other => anyhow::bail!("the helper that holds the gate said {other:?}"),
            }
        }
        Ok(self.helper.as_mut().expect("it was just started"))
    }

    async fn ask(&mut self, ask: &Ask) -> anyhow::Result<HolderReply> {
        let helper = self.helper().await?;
        helper.say(ask).await?;
        let answer = helper.answer().await;
        self.keep(answer)
    }

    /// A helper that failed is not asked again: its locks are gone or must go.
    fn keep(&mut self, answer: anyhow::Result<HolderReply>) -> anyhow::Result<HolderReply> {
        match answer {
            Ok(HolderReply::Failed(why)) => {
                self.helper = None;
                anyhow::bail!("holding the gate: {why}")
            }
            Ok(answer) => Ok(answer),
            Err(error) => {
                self.helper = None;
                Err(error)
            }
        }
    }
}

impl Helper {
    async fn say(&mut self, ask: &Ask) -> anyhow::Result<()> {
        let mut line = serde_json::to_vec(ask)?;
        line.push(b'\n');
        self.asks
            .write_all(&line)
            .await
            .context("the helper that held the gate is gone")
    }

    async fn answer(&mut self) -> anyhow::Result<HolderReply> {
        let line = tokio::time::timeout(ANSWER_WAIT, self.answers.next_line())
            .await
            .context("the helper that holds the gate does not answer")??
            .context("the helper that held the gate ended: its alarm went off, or its files could not be opened")?;
        Ok(serde_json::from_str(&line)?)
    }
}

impl Gate for RawLocks {
    fn name(&self) -> &'static str {
        KIND.name
    }

    fn close(&mut self) -> Tried<'_, Closed> {
        Box::pin(async move {
            let (at, met) = match self.ask(&Ask::Close(CLOSE_WAIT_MS)).await? {
                HolderReply::Closed { at, met } => (at, met),
                HolderReply::Busy => return Ok(Closed::WriterInTheWay),
                other => anyhow::bail!("closing the gate: the helper said {other:?}"),
            };
            anyhow::ensure!(
                met,
                "the lock did not hold: another descriptor did not meet it"
            );
            let verified = match self.journal {
                // A reader's lock lets a write transaction begin; asking for more would get in
                // the server's way. That the kernel holds it was seen by the helper.
                Journal::Rollback => "a second descriptor met the shared lock",
                Journal::Wal => match begin_immediate::try_write(self.witness.as_mut()).await {
                    Err(WriteError::Busy) => {
                        "a second connection's BEGIN IMMEDIATE was answered SQLITE_BUSY"
                    }
                    Ok(()) => {
                        anyhow::bail!("the lock did not hold: a second connection could write")
                    }
                    Err(error) => return Err(error.into()),
                },
            };
            Ok(Closed::Held {
                at,
                verified: verified.into(),
            })
        })
    }

    fn waiting(&mut self) -> Tried<'_, Waiting> {
        Box::pin(async move {
            match self.ask(&Ask::Waiting).await? {
                HolderReply::Waiting(Some(true)) => Ok(Waiting::Commit),
                HolderReply::Waiting(Some(false)) => Ok(Waiting::Nobody),
                HolderReply::Waiting(None) => Ok(Waiting::Unobservable),
                other => anyhow::bail!("looking for waiters: the helper said {other:?}"),
            }
        })
    }

    fn step(&mut self, mut seen: watch::Receiver<bool>) -> Tried<'_, Step> {
        Box::pin(async move {
            let helper = self.helper().await?;
            helper.say(&Ask::Step(STEP_WAIT_MS)).await?;
            let is_seen = async { seen.wait_for(|seen| *seen).await.is_ok() };
            let answer = tokio::select! {
                answer = helper.answer() => answer,
                // False means that the client is gone: then there is nothing to cancel for.
                true = is_seen => {
                    helper.say(&Ask::Cancel).await?;
                    helper.answer().await
                }
            };
            match self.keep(answer)? {
                HolderReply::Stepped {
                    opened,
                    closed,
                    writes,
                    writer_after,
                } => Ok(Step {
                    opened,
                    closed,
                    writes: Some(writes),
                    writer_after,
                }),
                other => anyhow::bail!("stepping: the helper said {other:?}"),
            }
        })
    }

    fn open(&mut self) -> Tried<'_, Tick> {
        Box::pin(async move {
            if self.helper.is_none() {
                // A helper that is gone holds nothing.
                return Ok(crate::clock::now());
            }
            match self.ask(&Ask::Open).await? {
                HolderReply::Opened(at) => Ok(at),
                other => anyhow::bail!("opening the gate: the helper said {other:?}"),
            }
        })
    }
}
