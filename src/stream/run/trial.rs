//! One turn with the stepped gate: every step of the proof, with its evidence.

use super::at_final::{AtFinal, Missing};
use super::case::Moments;
use super::chat::{Chat, Vary};
use super::holds::Holds;
use super::live::{AtMarker, Live};
use super::looks::Watched;
use super::pieces::Pieces;
use super::reload_at_final::Reloaded;
use super::stage::Stage;
use crate::clock;
use crate::clock::Tick;
use crate::gate::{Closed, Gate, Waiting};
use crate::report::Lane;
use crate::stream::faults::{NONE, READ_TO_END};
use crate::stream::judge::order;
use crate::stream::judge::order::{End, RowState, StepSeen, Trial, TrialOutcome};
use crate::stream::judge::reload::Reload;
use crate::text::plural;
use std::time::Duration;

/// Why a lock of the table of answers shows no order where another table says whether the page has the answer.
const LINK_FREE: &str = "the gate holds the table of answers only, and the answer is in its conversation once another \
    table says so: let the server connect through chatctl (--database-listen)";
/// How many single writes are let through before giving up.
const MAX_STEPS: usize = 12;
/// With a gate that shows who waits: so long after the provider's end a server that has not
/// begun to commit is stepped past.
const NOBODY_WAITS: Duration = Duration::from_secs(3);
/// How often the gate is asked who waits.
const LOOK: Duration = Duration::from_millis(10);
/// How long the gate stays closed after a violation is seen.
const AFTERGLOW: Duration = Duration::from_millis(20);
/// How long a late row is waited for.
const LATE_ROW: Duration = Duration::from_secs(3);
/// How long the rest of the response may take once the gate is open.
const REST: Duration = Duration::from_secs(8);

/// A judged trial with its evidence.
pub(super) struct Judged {
    /// Which turn of the session, from 0.
    pub(super) turn: usize,
    pub(super) shown: TrialOutcome,
    pub(super) moments: Moments,
    /// When the gate was closed; absent when it could not be.
    pub(super) closed: Option<Tick>,
    pub(super) final_at: Option<Tick>,
    /// When the row was complete after all; of a violation.
    pub(super) late_row: Option<Tick>,
    /// How long the gate was closed.
    pub(super) held: Duration,
    pub(super) sent: Tick,
    /// Whether the marker came while the row was complete and the reply to its commit was withheld.
    pub(super) early: bool,
    /// What a reload showed at the marker.
    pub(super) reload: Reload,
    /// What came only after the marker, although the answer's row existed.
    pub(super) missing: Option<Missing>,
}

impl Judged {
    /// Whether it is violated for an answer that no look has found since.
    pub(super) const fn is_never_found(&self) -> bool {
        matches!(self.shown, TrialOutcome::Violated(_)) && self.late_row.is_none()
    }
}

/// Closes the gate, if nobody writes.
async fn close(
    gate: &mut dyn Gate,
    trial: &mut Trial,
    moments: &mut Moments,
) -> anyhow::Result<()> {
    match gate.close().await? {
        Closed::Held { at, verified } => {
            trial.closed = Some(at);
            moments.at(
                at,
                Lane::Store,
                format!("gate closed ({}); {verified}", gate.name()),
            );
        }
        Closed::WriterInTheWay => {
            trial.end = End::WriterInTheWay;
            moments.now(
                Lane::Store,
                "the gate can't be closed: a write transaction is open",
            );
        }
    }
    Ok(())
}

impl Stage<'_> {
    /// Runs one turn with the gate and judges it.
    pub(super) async fn gated_turn(
        &mut self,
        chat: &Chat,
        index: usize,
        pieces: Pieces,
        gate: &mut dyn Gate,
        holds: Holds,
    ) -> anyhow::Result<Judged> {
        let mut moments = Moments::default();
        let live = self.begin_trial(chat, index, pieces, &mut moments).await?;
        let mut trial = Trial {
            closed: None,
            final_at: None,
            row_at_final: None,
            steps: Vec::new(),
            end: End::Final,
        };
        close(gate, &mut trial, &mut moments).await?;
        live.play.release();
        let outcome = match trial.closed {
            Some(closed) => {
                self.behind_gate(&live, gate, holds, closed, &mut trial, &mut moments)
                    .await
            }
            None => {
                self.without_gate(&live, &mut trial).await;
                Ok(())
            }
        };
        if let Err(error) = outcome {
            trial.end = End::GateLost(format!("{error:#}"));
        }
        if matches!(
            trial.row_at_final,
            Some(RowState::Incomplete | RowState::CommitWaits)
        ) {
            tokio::time::sleep(AFTERGLOW).await;
        }
        let is_stored = trial.row_at_final == Some(RowState::Complete);
        let mut at_final = AtFinal::default();
        if is_stored {
            at_final = self.store_at_final(chat, &live).await;
        }
        let is_missing = trial.row_at_final == Some(RowState::Incomplete);
        let mut elsewhere = None;
        // A server that has committed nothing can show the answer from its memory only.
        if is_missing && !trial.steps.is_empty() {
            // Nothing but a step writes into a file that is locked: what is anywhere in it came
            // with one, and perhaps before a marker that overtook it.
            let carried = self.world.target.is_file();
            elsewhere = self
                .shown_without_row(chat, &live, holds.hold, carried)
                .await;
        }
        let mut reloaded = Reloaded::UNTOLD;
        if is_stored && trial.closed.is_some() {
            reloaded = self.reload_behind_lock(chat, &live, holds).await;
        }
        let opened = gate.open().await?;
        if trial.closed.is_some() {
            moments.at(opened, Lane::Store, "gate open");
        }
        self.confirm(chat, &live, holds.hold, (&mut reloaded, &mut moments))
            .await;
        let error = live.watching.seen().turn.failed;
        let shown = order::unless_shown(order::judge(&trial), elsewhere.as_ref());
        let shown = order::unless_reported(shown, error.as_deref());
        let judged = Judged {
            turn: live.number - 1,
            shown: match (shown, gate.proves()) {
                (TrialOutcome::Proven, Err(why)) => TrialOutcome::Ambiguous(why.to_owned()),
                (TrialOutcome::Proven, Ok(()))
                    if !self.links.is_empty() && !self.world.target.is_file() =>
                {
                    TrialOutcome::Ambiguous(LINK_FREE.to_owned())
                }
                (shown, _) => shown,
            },
            moments,
            closed: trial.closed,
            final_at: trial.final_at,
            late_row: None,
            held: trial
                .closed
                .map_or(Duration::ZERO, |closed| opened.saturating_sub(closed)),
            sent: live.sent,
            early: false,
            reload: reloaded.seen,
            missing: Missing::first(at_final.missing, reloaded.hidden),
        };
        self.finish_trial(live, judged, at_final.rows).await
    }

    /// A turn whose last chunk, with the nonce, is withheld by the gateway.
    pub(super) async fn begin_trial(
        &mut self,
        chat: &Chat,
        index: usize,
        pieces: Pieces,
        moments: &mut Moments,
    ) -> anyhow::Result<Live> {
        let vary = Vary {
            pieces: Some(pieces),
            fault: &NONE,
            client: &READ_TO_END,
        };
        let mut live = self.begin(chat, index, vary).await?;
        moments.at(
            live.sent,
            Lane::Client,
            format!("turn {} sent", live.number),
        );
        let withheld = self.until_withheld(&live).await?;
        live.silent = live.chunks_before >= 3 && live.watching.seen().last_byte.is_none();
        moments.at(
            withheld,
            Lane::Gateway,
            format!(
                "{} sent; the last one, with a new nonce, is withheld",
                plural(live.chunks_before as u64, "chunk")
            ),
        );
        Ok(live)
    }

    /// The rest of the response, and the row that comes late.
    pub(super) async fn finish_trial(
        &mut self,
        live: Live,
        mut judged: Judged,
        mut at_final: AtMarker,
    ) -> anyhow::Result<Judged> {
        let mut watched = Watched::at_marker(&at_final, &live.nonce);
        let over = self.until_over(&live, REST);
        let seen = self.look_during(&mut watched, over).await;
        self.world.gateway.rest();
        let moments = &mut judged.moments;
        if let Some(at) = *live.play.ended().borrow() {
            moments.at(
                at,
                Lane::Gateway,
                "the last chunk and the provider's end are sent",
            );
        }
        if let Some(at) = judged.final_at {
            moments.at(
                at,
                Lane::Client,
                format!("final marker `{}` received", self.marker),
            );
        }
        if let Ok(seen) = &seen {
            let in_pieces = seen.turn.pieces.len() >= 3;
            self.buffered.push(live.silent && in_pieces);
        }
        if let Ok(seen) = &seen
            && let Some(at) = seen.turn.ended
        {
            moments.at(at, Lane::Client, "end of the response");
        }
        let is_violated = matches!(judged.shown, TrialOutcome::Violated(_));
        let patience = if is_violated {
            LATE_ROW
        } else {
            Duration::ZERO
        };
        match self.await_row(&live, patience).await {
            Some((at, row)) => {
                if is_violated {
                    judged.late_row = Some(at);
                    moments.at(at, Lane::Store, "the answer's row is complete");
                }
                at_final.away = self.gap_of(watched).await;
                self.keep(&live, row, at_final).await;
            }
            None if is_violated => {
                moments.now(Lane::Store, "the answer's row has not come");
            }
            None => {}
        }
        Ok(judged)
    }

    /// No gate could be closed. A missing row at the final marker is still a violation; an
    /// existing one shows nothing.
    async fn without_gate(&self, live: &Live, trial: &mut Trial) {
        let wait = live
            .watching
            .until(|seen| seen.turn.final_at.is_some() || seen.over.is_some());
        if let Ok(seen) = tokio::time::timeout(REST, wait).await
            && let Some(at) = seen.turn.final_at
        {
            trial.final_at = Some(at);
            trial.row_at_final = Some(self.row(live).await);
        }
    }

    /// Hold, step, hold, step, until the final marker comes or nothing more may be waited for.
    async fn behind_gate(
        &self,
        live: &Live,
        gate: &mut dyn Gate,
        holds: Holds,
        closed: Tick,
        trial: &mut Trial,
        moments: &mut Moments,
    ) -> anyhow::Result<()> {
        let deadline = closed + holds.budget;
        let mut since = closed;
        loop {
            match self
                .hold(live, gate, since, holds, deadline, moments)
                .await?
            {
                Held::Final => {
                    trial.final_at = live.watching.seen().turn.final_at;
                    trial.row_at_final = Some(self.row_at_gate(live, gate).await?);
                    let row = match trial.row_at_final {
                        Some(RowState::Complete) => "the answer's row is complete",
                        Some(RowState::CommitWaits) => {
                            "a commit still waits at the gate: the answer's row can't be complete"
                        }
                        Some(RowState::Incomplete) => "the answer's row is not complete",
                        _ => "the answer's row can't be read",
                    };
                    moments.now(Lane::Store, row);
                    return Ok(());
                }
                Held::Died(how) => {
                    trial.end = End::Died(how);
                    return Ok(());
                }
                Held::Budget => {
                    trial.end = End::Budget;
                    return Ok(());
                }
                Held::Over => {}
            }
            if trial.steps.len() == MAX_STEPS {
                trial.end = End::Steps;
                return Ok(());
            }
            let (step, row_at_final) = self
                .step(live, gate, trial.steps.len() + 1, moments)
                .await?;
            since = step.closed;
            trial.steps.push(step);
            if let Some((at, row)) = row_at_final {
                trial.final_at = Some(at);
                trial.row_at_final = Some(row);
                return Ok(());
            }
        }
    }

    /// Lets one write through. When the final marker comes meanwhile, the row is read at once:
    /// a write that was begun before the marker and committed after it must not pass for saved.
    async fn step(
        &self,
        live: &Live,
        gate: &mut dyn Gate,
        number: usize,
        moments: &mut Moments,
    ) -> anyhow::Result<(StepSeen, Option<(Tick, RowState)>)> {
        let mut is_final = live.watching.is_final();
        let at_final = async {
            // An error means that the client is gone without the marker.
            if is_final.wait_for(|is_final| *is_final).await.is_err() {
                std::future::pending::<()>().await;
            }
            (live.watching.seen().turn.final_at, self.row(live).await)
        };
        let stepping = gate.step(live.watching.is_final());
        tokio::pin!(stepping);
        let (step, row_at_final) = tokio::select! {
            biased;
            step = &mut stepping => (step?, None),
            (at, row) = at_final => (stepping.await?, at.map(|at| (at, row))),
        };
        let row = self.row(live).await;
        let passed = match step.writes {
            Some(1) => "one write passed".to_owned(),
            Some(writes) => format!("{writes} writes passed"),
            None => "writes passed, uncounted".to_owned(),
        };
        let state = if row == RowState::Complete {
            "is complete"
        } else {
            "is not complete"
        };
        moments.at(
            step.opened,
            Lane::Store,
            format!("step {number}: gate opened for the waiting write"),
        );
        moments.at(
            step.closed,
            Lane::Store,
            format!("gate closed again behind it; {passed}; the answer's row {state}"),
        );
        let seen = StepSeen {
            opened: step.opened,
            closed: step.closed,
            writes: step.writes,
            writer_after: step.writer_after,
            row,
        };
        Ok((seen, row_at_final))
    }

    /// Keeps the gate closed until the final marker comes, or until the hold is over.
    async fn hold(
        &self,
        live: &Live,
        gate: &mut dyn Gate,
        since: Tick,
        holds: Holds,
        deadline: Tick,
        moments: &mut Moments,
    ) -> anyhow::Result<Held> {
        let mut waiter = None;
        loop {
            let seen = live.watching.seen();
            if seen.turn.final_at.is_some() {
                return Ok(Held::Final);
            }
            if let Some(over) = seen.over {
                return Ok(Held::Died(
                    over.err().unwrap_or_else(|| "it just ended".to_owned()),
                ));
            }
            let now = clock::now();
            if now >= deadline {
                return Ok(Held::Budget);
            }
            // Before the provider's end there is nothing that the marker could have waited for.
            let provider_end = *live.play.ended().borrow();
            let waiting = gate.waiting().await?;
            let over_at = provider_end.map_or(deadline, |ended| match waiting {
                Waiting::Unobservable => ended.max(since) + holds.hold,
                Waiting::Nobody => ended.max(since) + NOBODY_WAITS,
                Waiting::Commit | Waiting::Writer => {
                    let first = *waiter.get_or_insert_with(|| {
                        moments.at(now, Lane::Store, "a writer waits at the gate");
                        now
                    });
                    first.max(ended) + holds.hold
                }
            });
            let over_at = over_at.min(since + holds.longest);
            if now >= over_at {
                return Ok(Held::Over);
            }
            let pause = LOOK.min(over_at - now).min(deadline - now);
            let changed = live
                .watching
                .until(|seen| seen.turn.final_at.is_some() || seen.over.is_some());
            // Either way the loop looks again.
            let _ = tokio::time::timeout(pause, changed).await;
        }
    }
}

enum Held {
    /// The final marker came.
    Final,
    /// The response ended without it.
    Died(String),
    /// The hold is over and it did not come.
    Over,
    /// The gate had been closed for as long as allowed.
    Budget,
}
