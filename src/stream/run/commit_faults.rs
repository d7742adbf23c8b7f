//! Faults at the very commit that carries the answer: what the client received, against what the
//! store holds.

use super::case::Moments;
use super::chat::{AS_RECORDED, Chat};
use super::learnt::copies_of;
use super::live::{AtMarker, Live};
use super::reading::Reading;
use super::save_fails::{Server, UNREAD, swallowed, without_marker};
use super::stage::Stage;
use crate::cli_error::CliError;
use crate::clock::Tick;
use crate::gate::{AnyGate, CommitFault, Lasts};
use crate::model::Role;
use crate::report::{Finding, Lane, Report, Severity, Source, Verdict};
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::commit_fault;
use crate::stream::judge::commit_fault::{FaultObservation, FaultOutcome};
use crate::{clock, store};
use std::time::Duration;

/// How long a database is gone. A server may try again for longer than that.
const OUTAGE: Duration = Duration::from_secs(3);
/// A second attempt may store the answer this long after the response.
const SECOND_ATTEMPT: Duration = Duration::from_millis(500);
/// So many chats may fail afterwards: a pool hands out connections that are broken.
const NEXT_CHATS: usize = 3;

/// What the store holds of an answer, in words.
fn stored(rows: &Result<usize, String>) -> String {
    match rows {
        Ok(0) => "the answer is not stored".to_owned(),
        Ok(1) => "the answer is stored once".to_owned(),
        Ok(rows) => format!("the answer is stored {rows} times"),
        Err(why) => format!("the store can't be read: {why}"),
    }
}

/// One turn whose commit met a fault.
struct Tried {
    seen: FaultObservation,
    final_at: Option<Tick>,
    moments: Moments,
    sent: Tick,
    /// What is in its answer and nowhere else.
    nonce: String,
}

impl Stage<'_> {
    /// A case for each fault that is asked for.
    pub(super) async fn commit_faults(
        &mut self,
        mut server: Server,
        report: &mut Report,
    ) -> anyhow::Result<Server> {
        let faults = self.options.faults.iter();
        let played: Vec<_> = faults
            .filter(|fault| self.is_chosen(fault.name()))
            .collect();
        for fault in played {
            let mut case = self.begin_case(fault.name(), &NONE, &READ_TO_END);
            case.fault = fault.name().to_owned();
            if server == Server::Hangs {
                let reason = "since an earlier save failed, the server no longer answers any chat";
                self.end_case(case, Verdict::Inconclusive, reason, report);
                continue;
            }
            self.use_gate_for(*fault).await?;
            self.provoke();
            report.checked += 1;
            let tried = self.faulty_turn(*fault).await;
            let mut tried = match tried {
                Ok(tried) => tried,
                Err(error) => {
                    self.open_gate().await?;
                    return Err(error);
                }
            };
            let broken = self.next_chats().await;
            if tried.seen.rows.is_err() {
                // A commit that failed can leave a rollback journal that only a writer may roll back.
                // The server did that when it served the next chats.
                tried.seen.rows = self.count_rows(&tried.nonce).await;
                tried.moments.now(Lane::Store, stored(&tried.seen.rows));
            }
            if let Some(why) = &broken {
                server = Server::Hangs;
                let what = format!("the next chats: {why}");
                tried.moments.now(Lane::Server, what);
            }
            self.calm().await;
            case.timeline = tried.moments.timeline.clone();
            case.metrics
                .insert("faults", f64::from(tried.seen.happened));
            let shown = match commit_fault::judge(&tried.seen) {
                FaultOutcome::Dropped if self.reading != Reading::Text => FaultOutcome::Open(
                    format!("the final marker came, no row holds the answer, and {UNREAD}"),
                ),
                shown => shown,
            };
            let hangs = shown == FaultOutcome::Hangs;
            if tried.seen.happened > 0 && (hangs || broken.is_some()) {
                report.add(self.hanging(hangs, true, broken, &case.name));
            }
            let wrong = self.wrong(*fault, &shown, &tried, report, &case.name);
            let silent = match shown {
                FaultOutcome::Dropped => self.silent_failure(tried.sent, &case.name).await,
                _ => None,
            };
            let (verdict, reason) = verdict(*fault, shown, &tried, server);
            self.end_case(case, verdict, reason, report);
            wrong.into_iter().for_each(|finding| report.add(finding));
            silent.into_iter().for_each(|finding| report.add(finding));
        }
        Ok(server)
    }

    /// Makes a gate ready that can do this to a commit.
    async fn use_gate_for(&mut self, fault: CommitFault) -> anyhow::Result<()> {
        let gate = self.take_gate().await?;
        let can = match &gate {
            AnyGate::Commits(commits) => commits.can(fault),
            AnyGate::Lock(_) => false,
        };
        let name = gate.kind().name;
        self.world.gate = Some(gate);
        if can {
            return Ok(());
        }
        Err(CliError::refused(format!(
            "--fault {} can't be made by gate {name}",
            fault.name()
        ))
        .hint("faults need a gate that withholds commits: proxy, or syscalls with --start on Linux")
        .into())
    }

    async fn open_gate(&mut self) -> anyhow::Result<u32> {
        match &mut self.world.gate {
            Some(AnyGate::Commits(gate)) => {
                gate.open().await?;
                Ok(gate.faults_done())
            }
            Some(AnyGate::Lock(_)) | None => Ok(0),
        }
    }

    /// The last turn of a chat, whose commit meets the fault.
    async fn faulty_turn(&mut self, fault: CommitFault) -> anyhow::Result<Tried> {
        let mut moments = Moments::default();
        let (_, live) = self.last_turn(&mut moments).await?;
        let sent = live.sent;
        if let Some(AnyGate::Commits(gate)) = &mut self.world.gate {
            let at = gate.arm(&live.nonce, fault, fault.lasts()).await?;
            moments.at(at, Lane::Store, waits(fault));
        }
        live.play.release();
        let released = clock::now();
        let slow = match fault {
            CommitFault::Slow => CommitFault::SLOW,
            CommitFault::CommitError
            | CommitFault::LostBefore
            | CommitFault::LostAfter
            | CommitFault::DatabaseGone
            | CommitFault::TooManyConnections
            | CommitFault::DiskFull
            | CommitFault::IoError => Duration::ZERO,
        };
        let patience = self.patience() + slow;
        let outage = match fault.lasts() {
            Lasts::OneCommit => patience,
            Lasts::UntilOpened => OUTAGE,
        };
        let before = self.until_marker_or_end(&live, released + outage).await;
        // An outage ends; a fault of one commit is over by itself.
        let happened = match (fault.lasts(), before) {
            (Lasts::UntilOpened, false) => {
                let happened = self.open_gate().await?;
                moments.now(Lane::Store, "the store can be written to again");
                self.until_marker_or_end(&live, released + patience).await;
                Some(happened)
            }
            (Lasts::UntilOpened | Lasts::OneCommit, _) => None,
        };
        let turn = live.watching.seen().turn;
        let (final_at, error) = (turn.final_at, turn.failed);
        let row_at_final = match final_at {
            Some(_) => Some(self.row(&live).await),
            None => None,
        };
        let over = live.watching.until(|seen| seen.over.is_some());
        let rest = (released + patience).saturating_sub(clock::now());
        let ended = tokio::time::timeout(rest, over).await.is_ok();
        if let Some(at) = final_at {
            let what = format!("final marker `{}` received", self.marker);
            moments.at(at, Lane::Client, what);
        }
        let how = without_marker(final_at, ended).unwrap_or("end of the response");
        moments.now(Lane::Client, how);
        let happened = match happened {
            Some(happened) => happened,
            None => {
                // A save that the response does not wait for comes now.
                self.await_row(&live, self.options.settle + slow).await;
                self.open_gate().await?
            }
        };
        let kept = self.await_row(&live, self.options.settle).await;
        tokio::time::sleep(SECOND_ATTEMPT).await;
        let rows = self.count_rows(&live.nonce).await;
        moments.now(Lane::Store, stored(&rows));
        if let (Some((_, row)), Ok(1)) = (kept, &rows) {
            self.keep(&live, row, AtMarker::default()).await;
        }
        self.world.gateway.rest();
        Ok(Tried {
            seen: FaultObservation {
                happened,
                row_at_final,
                error,
                ended,
                rows,
            },
            final_at,
            moments,
            sent,
            nonce: live.nonce.clone(),
        })
    }

    /// A chat up to its last turn, of which all but the end of its answer is sent.
    pub(super) async fn last_turn(
        &mut self,
        moments: &mut Moments,
    ) -> anyhow::Result<(Chat, Live)> {
        let chat = self.set_up().await?;
        let last = self.session.turns.len() - 1;
        for index in 0..last {
            let live = self.begin(&chat, index, AS_RECORDED).await?;
            live.play.release();
            self.until_over(&live, self.options.response_timeout)
                .await?;
        }
        let live = self.begin(&chat, last, AS_RECORDED).await?;
        let what = format!("turn {} sent", live.number);
        moments.at(live.sent, Lane::Client, what);
        self.until_withheld(&live).await?;
        Ok((chat, live))
    }

    /// Waits up to a moment for the final marker or the end of the response; whether one came.
    async fn until_marker_or_end(&self, live: &Live, until: Tick) -> bool {
        let told = live
            .watching
            .until(|seen| seen.turn.final_at.is_some() || seen.over.is_some());
        let patience = until.saturating_sub(clock::now());
        tokio::time::timeout(patience, told).await.is_ok()
    }

    /// How many messages of the assistant hold the answer; former versions, which have a status of their own, are none.
    async fn count_rows(&self, nonce: &str) -> Result<usize, String> {
        let Some(mapping) = &self.mapping else {
            return Err("no table of messages was found".to_owned());
        };
        let rows = store::holding(self.world.db(), mapping, nonce).await;
        let rows = rows.map_err(|error| format!("{error:#}"))?;
        Ok(
            match copies_of(&rows, &Role::Assistant, self.learnt.has_versions) {
                // The roles of this store are not known.
                0 => rows.len(),
                answers => answers,
            },
        )
    }

    /// Holds chats until one is answered and stored; the last reason where none is.
    async fn next_chats(&mut self) -> Option<String> {
        let mut broken = None;
        for _ in 0..NEXT_CHATS {
            broken = self.next_chat().await;
            if broken.is_none() {
                break;
            }
        }
        broken
    }

    /// The finding of a turn in which the client received something else than the store shows.
    fn wrong(
        &self,
        fault: CommitFault,
        shown: &FaultOutcome,
        tried: &Tried,
        report: &Report,
        case: &str,
    ) -> Option<Finding> {
        let marker = &self.marker;
        let name = &self.session.name;
        let finding = match shown {
            FaultOutcome::Saved
            | FaultOutcome::Reported
            | FaultOutcome::Kept
            | FaultOutcome::Hangs
            | FaultOutcome::Open(_) => {
                return None;
            }
            FaultOutcome::Dropped if is_proven(report, name) => swallowed(name, marker, case),
            FaultOutcome::Dropped => Finding::new(
                "done-despite-failed-save",
                Severity::Error,
                name,
                "the final marker does not depend on the save of the answer: it came, but the answer is stored nowhere",
                "commit the message before the final marker, and let a failed save end the stream with an error",
            ),
            FaultOutcome::Late => Finding::new(
                "saved-after-done",
                Severity::Error,
                name,
                format!(
                    "the answer is saved after `{marker}`: a crash, or a reload that is faster than the save, loses it"
                ),
                format!("save and commit the assistant's message before `{marker}` is sent"),
            ),
            FaultOutcome::Repeated(rows) => Finding::new(
                "answer-duplicated",
                Severity::Error,
                name,
                format!(
                    "the answer is stored {rows} times: the save was retried after a commit whose reply was lost"
                ),
                "give the answer's row a key of the turn, and let a second save change nothing (ON CONFLICT DO NOTHING)",
            ),
        };
        let finding = finding.with(Source::Store, happened(fault));
        let finding = match tried.final_at {
            Some(at) => finding.with(
                Source::Stream,
                format!("`{marker}` arrived at {}", tried.moments.ms(at)),
            ),
            None => finding.with(Source::Stream, format!("`{marker}` did not arrive")),
        };
        Some(finding.in_case(case))
    }
}

/// Whether the order of saves that succeed was proven.
fn is_proven(report: &Report, session: &str) -> bool {
    let order = format!("{session}/order");
    let mut cases = report.cases.iter();
    cases.any(|case| case.name == order && case.verdict == Verdict::Proven)
}

/// The verdict of a case, and why.
fn verdict(
    fault: CommitFault,
    shown: FaultOutcome,
    tried: &Tried,
    server: Server,
) -> (Verdict, String) {
    let happened = happened(fault);
    let saw = match tried.final_at {
        Some(_) => "the client was sent an error before the final marker",
        None => "the final marker did not come",
    };
    match shown {
        FaultOutcome::Saved | FaultOutcome::Reported | FaultOutcome::Kept
            if server == Server::Hangs =>
        {
            (
                Verdict::Inconclusive,
                format!("{happened}, and the server no longer answers any chat"),
            )
        }
        FaultOutcome::Saved => (
            Verdict::Held,
            format!("{happened}; the final marker came, and the answer is stored once"),
        ),
        FaultOutcome::Reported => (
            Verdict::Held,
            format!("{happened}; {saw}, and nothing is stored"),
        ),
        FaultOutcome::Kept => (
            Verdict::Held,
            format!("{happened}; {saw}, and the answer is stored once: a reload shows it"),
        ),
        FaultOutcome::Dropped => (
            Verdict::Violated,
            format!("{happened}; the final marker came, but the answer is stored nowhere"),
        ),
        FaultOutcome::Late => (
            Verdict::Violated,
            format!("{happened}; the final marker came before the answer was stored"),
        ),
        FaultOutcome::Repeated(rows) => (
            Verdict::Violated,
            format!("{happened}; the answer is stored {rows} times"),
        ),
        FaultOutcome::Hangs => (
            Verdict::Inconclusive,
            format!("{happened}; neither the final marker nor the end of the response came"),
        ),
        FaultOutcome::Open(why) => (Verdict::Inconclusive, why),
    }
}

/// What is said when a fault is armed.
fn waits(fault: CommitFault) -> String {
    format!("fault {} waits for this answer's commit", fault.name())
}

const fn happened(fault: CommitFault) -> &'static str {
    match fault {
        CommitFault::CommitError => {
            "this answer's commit was rolled back and answered with an error"
        }
        CommitFault::LostBefore => "the connection broke before this answer's commit was done",
        CommitFault::LostAfter => {
            "the connection broke after this answer's commit and before the reply to it"
        }
        CommitFault::Slow => "this answer's commit took 3 s",
        CommitFault::DatabaseGone => {
            "every connection to the database broke at this answer's commit, and new ones for 3 s"
        }
        CommitFault::TooManyConnections => {
            "the connection broke at this answer's commit, and new ones were refused for 3 s"
        }
        CommitFault::DiskFull => "the disk was full once, at this answer's commit",
        CommitFault::IoError => "the disk failed once, at this answer's commit",
    }
}
