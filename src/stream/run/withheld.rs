//! One turn whose commits are withheld, and then the replies to them: every step, with its
//! evidence.

use super::at_final::{AtFinal, Missing};
use super::case::Moments;
use super::chat::Chat;
use super::holds::Holds;
use super::live::Live;
use super::pieces::Pieces;
use super::reload_at_final::Reloaded;
use super::stage::Stage;
use super::trial::Judged;
use crate::clock::Tick;
use crate::gate::{Carries, CommitGate, CommitOutcome, Elsewhere, Order, Passed, Withheld};
use crate::report::{CommitEvent, CommitMoment, Lane};
use crate::stream::judge::commit_order::{End, Step, Trial};
use crate::stream::judge::order::RowState;
use crate::stream::judge::{commit_order, order};
use crate::{clock, gate};
use std::time::Duration;

/// How many commits are let through before giving up.
const MAX_STEPS: usize = 12;
/// So long after the last thing that it waited for, a server that neither commits nor sends its
/// final marker is given up.
const NOBODY_COMMITS: Duration = Duration::from_secs(5);
/// How many commits that carry no answer go before one that carries it and waits. A server that also
/// writes a heartbeat has always another one.
const OTHERS_FIRST: usize = 3;
/// How long everything stays withheld after a violation is seen.
const AFTERGLOW: Duration = Duration::from_millis(20);

/// Why a phase ended.
enum Phase {
    /// The final marker came.
    Final,
    /// The response ended without it.
    Died(String),
    /// It lasted as long as the hold.
    Over,
    /// Nothing came to the gate.
    Nobody,
}

/// How a trial ends with a phase; none if it continues.
fn end_of(phase: Phase) -> Option<End> {
    match phase {
        Phase::Final => Some(End::Final),
        Phase::Died(how) => Some(End::Died(how)),
        Phase::Nobody => Some(End::NobodyCommits),
        Phase::Over => None,
    }
}

/// How a trial treats what else the server and its store do.
#[derive(Clone, Copy)]
pub(super) struct Way {
    /// Which of several writers goes first.
    pub(super) order: Order,
    /// What the store says to others while the answer to a commit is withheld.
    pub(super) elsewhere: Elsewhere,
}

/// A commit that may be let through, and who waits next to it.
struct Chosen {
    commit: Withheld,
    others: Vec<String>,
}

/// What shows when the final marker has come, while the gate is closed.
struct ShownAtFinal {
    at_final: AtFinal,
    /// What a reload shows of a stored conversation.
    reloaded: Reloaded,
    /// An answer that a reload shows, although its row is not complete.
    elsewhere: Option<order::Elsewhere>,
}

impl Stage<'_> {
    /// Runs one turn behind a gate that withholds commits, and judges it.
    pub(super) async fn withheld_turn(
        &mut self,
        chat: &Chat,
        index: usize,
        pieces: Pieces,
        gate: &mut dyn CommitGate,
        holds: Holds,
        Way { order, elsewhere }: Way,
    ) -> anyhow::Result<Judged> {
        let mut moments = Moments::default();
        let live = self.begin_trial(chat, index, pieces, &mut moments).await?;
        let hold = gate::Hold {
            nonce: live.mark(),
            order,
            patience: holds.hold,
            elsewhere,
        };
        let closed = gate.close(hold).await?;
        moments.at(
            closed,
            Lane::Store,
            format!("gate closed ({}): commits are withheld", gate.name()),
        );
        live.play.release();
        let mut trial = Trial {
            final_at: None,
            row_at_final: None,
            steps: Vec::new(),
            waiting_at_final: 0,
            quiet: elsewhere == Elsewhere::Waits,
            expired: 0,
            end: End::Final,
        };
        trial.end = self
            .until_end(&live, gate, holds, closed, &mut trial, &mut moments)
            .await
            .unwrap_or_else(|error| End::GateLost(format!("{error:#}")));
        note_cancelled(gate, &mut trial, &mut moments).await;
        if matches!(trial.row_at_final, Some(RowState::Incomplete)) {
            tokio::time::sleep(AFTERGLOW).await;
        }
        let shown = self
            .shown_at_final(chat, &live, gate, holds, (&trial, &mut moments))
            .await?;
        let ShownAtFinal {
            at_final,
            mut reloaded,
            elsewhere,
        } = shown;
        reloaded.tell(&mut moments);
        let opened = gate.open().await?;
        moments.at(opened, Lane::Store, "gate open");
        self.confirm(chat, &live, holds.hold, (&mut reloaded, &mut moments))
            .await;
        trial.expired = gate.expired();
        // Behind an earlier step the server had waited for the gate.
        if let [only] = trial.steps.as_slice() {
            let turn = live.watching.seen().turn;
            self.times.commit(&turn, moments.asked, only.given);
        }
        let error = live.watching.seen().turn.failed;
        let shown = order::unless_shown(commit_order::judge(&trial), elsewhere.as_ref());
        let shown = order::unless_reported(shown, error.as_deref());
        let judged = Judged {
            turn: live.number - 1,
            shown,
            moments,
            closed: Some(closed),
            final_at: trial.final_at,
            late_row: None,
            held: opened.saturating_sub(closed),
            sent: live.sent,
            early: commit_order::is_early(&trial),
            reload: reloaded.unless_expired(trial.expired),
            missing: Missing::first(at_final.missing, reloaded.hidden),
        };
        self.finish_trial(live, judged, at_final.rows).await
    }

    /// Looks at the store and at the server's own history when the final marker has come, before the gate
    /// opens.
    async fn shown_at_final(
        &mut self,
        chat: &Chat,
        live: &Live,
        gate: &mut dyn CommitGate,
        holds: Holds,
        (trial, moments): (&Trial, &mut Moments),
    ) -> anyhow::Result<ShownAtFinal> {
        let is_stored = trial.end == End::Final && trial.row_at_final == Some(RowState::Complete);
        let mut at_final = AtFinal::default();
        if is_stored {
            at_final = self.store_at_final(chat, live).await;
        }
        if let Some(missing) = &at_final.missing {
            moments.now(Lane::Store, missing.what());
        }
        let mut reloaded = Reloaded::UNTOLD;
        if is_stored {
            reloaded = self.reload_at_final(chat, live, gate, holds).await?;
        }
        let is_missing = matches!(
            trial.row_at_final,
            Some(RowState::Incomplete | RowState::CommitWaits)
        );
        let mut elsewhere = None;
        // A server that has committed nothing can show the answer from its memory only.
        if is_missing && !trial.steps.is_empty() {
            let carried = moments.carried;
            let limit = holds.hold;
            elsewhere = self.shown_without_row(chat, live, limit, carried).await;
        }
        Ok(ShownAtFinal {
            at_final,
            reloaded,
            elsewhere,
        })
    }

    /// Lets commits through, and reads the row when the final marker has come.
    async fn until_end(
        &self,
        live: &Live,
        gate: &mut dyn CommitGate,
        holds: Holds,
        closed: Tick,
        trial: &mut Trial,
        moments: &mut Moments,
    ) -> anyhow::Result<End> {
        let end = self
            .commit_by_commit(live, gate, holds, closed, trial, moments)
            .await?;
        if let End::Final = end {
            self.read_at_final(live, gate, trial, moments).await?;
        }
        Ok(end)
    }

    /// Lets one commit through, gives its answer, and continues with the next, until the final marker
    /// comes or nothing more may be waited for.
    async fn commit_by_commit(
        &self,
        live: &Live,
        gate: &mut dyn CommitGate,
        holds: Holds,
        closed: Tick,
        trial: &mut Trial,
        moments: &mut Moments,
    ) -> anyhow::Result<End> {
        // What the server waited for last: the gate, or an answer.
        let mut since = closed;
        let (mut went_first, mut has_locked) = (0, false);
        loop {
            let phase = self.until_held(live, gate, since, holds).await?;
            if let Some(end) = end_of(phase) {
                return Ok(end);
            }
            if trial.steps.len() == MAX_STEPS {
                return Ok(End::Steps);
            }
            let Some(chosen) = choose(gate, holds, &mut went_first).await? else {
                // It was let through by the deadline, or its connection broke.
                return Ok(End::Expired);
            };
            let commit = &chosen.commit;
            let number = trial.steps.len() + 1;
            withheld_for(commit, moments);
            moments.asked.get_or_insert(commit.since);
            let is_lock = commit.stage == gate::Stage::Lock;
            let before = if has_locked && !is_lock {
                // Nobody can read the row now, or store it in another way.
                RowState::Unreadable
            } else {
                self.row_before(live, commit).await
            };
            has_locked |= is_lock;
            let passed = gate.pass(commit.id).await?;
            // A lock keeps readers out, and writes nothing.
            let row = if is_lock {
                before
            } else {
                self.row(live).await
            };
            let_through(&chosen, number, &passed, (before, row), moments);
            let mut step = Step {
                let_through: passed.let_through,
                answered: passed.answered,
                given: None,
                others: chosen.others.len(),
                before,
                row,
            };
            match passed.outcome {
                CommitOutcome::Done => {}
                CommitOutcome::Failed(why) => {
                    trial.steps.push(step);
                    return Ok(End::CommitFailed(why));
                }
                CommitOutcome::Lost => {
                    trial.steps.push(step);
                    return Ok(End::Left(passed.answered.saturating_sub(commit.since)));
                }
            }
            // Only the answer to the commit that completes the row has to be withheld for long.
            let phase = match row {
                RowState::Complete => {
                    let hold = while_others_wait(gate, holds).await?;
                    self.until_marker(live, clock::now() + hold).await
                }
                RowState::Incomplete | RowState::CommitWaits | RowState::Unreadable => Phase::Over,
            };
            if let Phase::Over = phase {
                since = gate.answer(commit.id).await?;
                step.given = Some(since);
                moments.carried |= commit.carries == Carries::Answer && !is_lock;
                answered(commit, &step, number, moments);
            }
            trial.steps.push(step);
            if let Some(end) = end_of(phase) {
                return Ok(end);
            }
        }
    }

    /// The row while a commit is withheld. Where the commit keeps readers out, as in a file of SQLite without a
    /// write-ahead log, waiting for it would cost a second: a copy of the file comes first.
    async fn row_before(&self, live: &Live, commit: &Withheld) -> RowState {
        if commit.stage == gate::Stage::Commit && self.world.target.is_file() {
            let row = self.row_without_commit(live).await;
            if row != RowState::Unreadable {
                return row;
            }
        }
        self.row(live).await
    }

    /// Waits until a commit has been withheld for a whole hold, or the response ends.
    async fn until_held(
        &self,
        live: &Live,
        gate: &mut dyn CommitGate,
        since: Tick,
        holds: Holds,
    ) -> anyhow::Result<Phase> {
        let mut changes = gate.changes();
        let mut ends = live.play.ended();
        loop {
            changes.borrow_and_update();
            // Before the provider's end there is nothing that the marker could have waited for.
            let provider_end = *ends.borrow_and_update();
            let withheld = gate.withheld().await?;
            let first = withheld.iter().map(|commit| commit.since).min();
            let held = |came: Tick, from: Tick| {
                let hold = holds.that_fits(came, from, withheld.len());
                (from + hold, Phase::Over)
            };
            let (until, then) = match (first, provider_end) {
                (Some(came), Some(ended)) => held(came, came.max(ended).max(since)),
                // The provider's answer is read only once this commit is done.
                (Some(came), None) => held(came, came.max(since)),
                (None, ended) => (
                    ended.unwrap_or(since).max(since) + NOBODY_COMMITS,
                    Phase::Nobody,
                ),
            };
            // The gate or the provider that is gone says so when it is asked next.
            let changed = async {
                tokio::select! {
                    changed = changes.changed() => changed.is_ok(),
                    changed = ends.changed(), if provider_end.is_none() => changed.is_ok(),
                }
            };
            let phase = tokio::select! {
                biased;
                phase = self.until_marker(live, until) => phase,
                true = changed => continue,
            };
            return Ok(match phase {
                Phase::Over => then,
                other => other,
            });
        }
    }

    /// Waits for the final marker, or for the end of the response, up to a moment.
    async fn until_marker(&self, live: &Live, until: Tick) -> Phase {
        let came = live
            .watching
            .until(|seen| seen.turn.final_at.is_some() || seen.over.is_some());
        let Ok(seen) = tokio::time::timeout(until.saturating_sub(clock::now()), came).await else {
            return Phase::Over;
        };
        match (seen.turn.final_at, seen.over) {
            (Some(_), _) => Phase::Final,
            (None, Some(Err(how))) => Phase::Died(how),
            (None, _) => Phase::Died("it just ended".to_owned()),
        }
    }

    /// The row while these commits are withheld. A file of SQLite without a write-ahead log can't be read
    /// by then: the one that writes it has it to itself.
    async fn row_at_final(
        &self,
        live: &Live,
        gate: &mut dyn CommitGate,
        withheld: &[Withheld],
    ) -> anyhow::Result<RowState> {
        let row = self.row(live).await;
        if row != RowState::Unreadable || !self.world.target.is_file() {
            return Ok(row);
        }
        // The commit may have come while the row was read.
        let before = match withheld {
            [] => gate.withheld().await?,
            withheld => withheld.to_vec(),
        };
        let [commit] = before.as_slice() else {
            return Ok(row);
        };
        let undone = self.row_without_commit(live).await;
        // Let through meanwhile, it says nothing.
        let after = gate.withheld().await?;
        let is_still = after.iter().any(|it| it.id == commit.id);
        Ok(if is_still { undone } else { row })
    }

    /// Reads the row while everything that was withheld still is.
    async fn read_at_final(
        &self,
        live: &Live,
        gate: &mut dyn CommitGate,
        trial: &mut Trial,
        moments: &mut Moments,
    ) -> anyhow::Result<()> {
        let withheld = gate.withheld().await?;
        trial.final_at = live.watching.seen().turn.final_at;
        trial.waiting_at_final = withheld.len();
        let row = self.row_at_final(live, gate, &withheld).await?;
        trial.row_at_final = Some(row);
        for commit in &withheld {
            withheld_for(commit, moments);
        }
        let state = match row {
            RowState::Complete => "is complete",
            RowState::Incomplete | RowState::CommitWaits => "is not complete",
            RowState::Unreadable => "can't be read",
        };
        moments.now(Lane::Store, format!("the answer's row {state}"));
        Ok(())
    }
}

/// A commit that the server cancels while it is withheld explains most other ends.
async fn note_cancelled(gate: &mut dyn CommitGate, trial: &mut Trial, moments: &mut Moments) {
    if trial.row_at_final == Some(RowState::Complete) || !is_cancelled(gate).await {
        return;
    }
    let what = "the server cancelled a commit that was withheld";
    moments.now(Lane::Store, what);
    if matches!(
        trial.end,
        End::Expired | End::GateLost(_) | End::Left(_) | End::NobodyCommits
    ) {
        trial.end = End::Cancelled;
    }
}

/// The reply to a commit is released.
fn answered(commit: &Withheld, step: &Step, number: usize, moments: &mut Moments) {
    let Some(given) = step.given else { return };
    let moment = CommitMoment {
        step: Some(number),
        withheld_ms: Some(millis(given.saturating_sub(step.answered))),
        ..of(commit, CommitEvent::AnswerGiven)
    };
    let what = format!("{}: the reply is released", commit.by);
    moments.commit(given, what, moment);
}

/// Whether the server cancelled what the gate withheld, as far as the gate knows.
async fn is_cancelled(gate: &mut dyn CommitGate) -> bool {
    let traffic = gate.traffic().await.ok().flatten();
    traffic.is_some_and(|traffic| traffic.cancelled > 0)
}

/// How long an answer is withheld: what waits at the gate meanwhile must not have to be let through.
async fn while_others_wait(gate: &mut dyn CommitGate, holds: Holds) -> anyhow::Result<Duration> {
    let withheld = gate.withheld().await?;
    let first = withheld.iter().map(|commit| commit.since).min();
    Ok(first.map_or(holds.hold, |first| holds.that_fits(first, clock::now(), 1)))
}

/// Those that carry no answer go first: a save that runs next to another write that the server
/// waits for is only found while it is withheld and the other one is not.
///
/// Not without end: a few have gone first by then, or there is no time left for one more hold.
async fn choose(
    gate: &mut dyn CommitGate,
    holds: Holds,
    went_first: &mut usize,
) -> anyhow::Result<Option<Chosen>> {
    let mut withheld = gate.withheld().await?;
    let waiting = gate.waiting_in_store().await?;
    let now = clock::now();
    let of_answer = withheld
        .iter()
        .find(|commit| commit.carries == Carries::Answer && commit.stage == gate::Stage::Commit);
    let is_late = of_answer
        .is_some_and(|commit| commit.since + holds.longest < now + holds.hold + holds.hold);
    let answer_goes = *went_first >= OTHERS_FIRST || (*went_first > 0 && is_late);
    *went_first += usize::from(of_answer.is_some());
    withheld.sort_by_key(|commit| {
        let is_answer = commit.carries == Carries::Answer;
        (
            commit.stage == gate::Stage::Write,
            is_answer != answer_goes,
            commit.id,
        )
    });
    if withheld.is_empty() {
        return Ok(None);
    }
    let commit = withheld.remove(0);
    let others = withheld.iter().map(|other| other.by.clone());
    Ok(Some(Chosen {
        others: others.chain(waiting).collect(),
        commit,
    }))
}

pub(super) fn withheld_for(commit: &Withheld, moments: &mut Moments) {
    let carries = match commit.carries {
        Carries::Answer => " (carries the answer)",
        Carries::Other => "",
    };
    // A statement that commits by itself is the commit as well.
    let before = match commit.statements.split_last() {
        Some((last, before)) if *last == commit.what => before,
        _ => &commit.statements,
    };
    let statements: String = before.iter().map(|it| format!("{it}; ")).collect();
    moments.commit(
        commit.since,
        format!(
            "{}: {statements}{}: withheld{carries}",
            commit.by, commit.what
        ),
        of(commit, CommitEvent::Withheld),
    );
}

/// Says that a commit was let through, as the step of this number.
fn let_through(
    Chosen { commit, others }: &Chosen,
    number: usize,
    passed: &Passed,
    (before, row): (RowState, RowState),
    moments: &mut Moments,
) {
    let withheld = passed.let_through.saturating_sub(commit.since);
    let is_complete = match (before, row) {
        (RowState::Complete, RowState::Complete) => "complete, as it was before",
        (_, RowState::Complete) => "complete",
        (_, RowState::Incomplete | RowState::CommitWaits | RowState::Unreadable) => "not complete",
    };
    let waiting = match others.as_slice() {
        [] => String::new(),
        others => format!("; {} wait", others.join(", ")),
    };
    moments.commit(
        passed.answered,
        format!(
            "{}: {}: let through after {} ms, its reply withheld; the answer's row is {is_complete}{waiting}",
            commit.by,
            commit.what,
            withheld.as_millis(),
        ),
        CommitMoment {
            step: Some(number),
            withheld_ms: Some(millis(withheld)),
            others: others.clone(),
            row_complete: match row {
                RowState::Complete => Some(true),
                RowState::Incomplete | RowState::CommitWaits => Some(false),
                RowState::Unreadable => None,
            },
            ..of(commit, CommitEvent::LetThrough)
        },
    );
}

/// What is known of a commit whatever is done to it.
fn of(commit: &Withheld, event: CommitEvent) -> CommitMoment {
    CommitMoment {
        event,
        by: commit.by.clone(),
        commit: commit.what.clone(),
        statements: commit.statements.clone(),
        carries_answer: commit.carries == Carries::Answer,
        step: None,
        withheld_ms: None,
        others: Vec::new(),
        row_complete: None,
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
