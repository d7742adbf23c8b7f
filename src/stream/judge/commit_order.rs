//! What a trial shows in which the server's own commits were withheld, one by one, and then the
//! answer to each. Pure.
//!
//! The answer's last chunk holds a nonce that was never sent before, so no commit that was made
//! before the gate closed can have stored it. Three phases, each as long as the hold:
//!
//! 1. The commit is withheld: no final marker may come, and the row is not complete.
//! 2. The commit is done and its answer is withheld: the row is complete, and the server can't
//!    know it. A marker that comes now did not wait for the commit to be confirmed.
//! 3. The answer is given: now the marker comes.
//!
//! A server may also learn of its commit from a notification, or by looking for the row. Where a marker
//! came in phase 2, the next trial withholds everything that the store says in that phase: then a marker in
//! phase 3 waited for something that the store said behind the commit.
//!
//! A marker in phase 1 proves a violation. A marker that came in phase 3 of the commit that
//! completed the row, with no other commit let through since the phases began, proves the order.

use super::order::{RowState, Tick, TrialOutcome};
use crate::text::plural;

#[cfg(test)]
mod tests;

/// One commit that was let through.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// When it was let through.
    pub let_through: Tick,
    /// When the store had answered.
    pub answered: Tick,
    /// When the server was given the answer; absent when the trial ended before.
    pub given: Option<Tick>,
    /// How many others waited when it was let through: at the gate, or for a lock in the store.
    pub others: usize,
    /// The row, read before it was let through.
    pub before: RowState,
    /// The row, read while the answer was withheld.
    pub row: RowState,
}

/// Why a trial ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The final marker came.
    Final,
    /// The response ended, or broke off, without the final marker.
    Died(String),
    /// No commit came to the gate, and no final marker.
    NobodyCommits,
    /// A commit, or its answer, was withheld longer than it may be.
    Expired,
    /// The server cancelled its commit while it was withheld.
    Cancelled,
    /// The connection of a commit ended before the store had answered, so long after the commit came.
    Left(Tick),
    /// As many steps as are allowed, and no final marker.
    Steps,
    /// The store failed a commit that was let through.
    CommitFailed(String),
    /// The gate itself failed.
    GateLost(String),
}

/// What was seen in a trial.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trial {
    /// When the final marker came.
    pub final_at: Option<Tick>,
    /// The row, read after the final marker was received and before anything else was let through.
    pub row_at_final: Option<RowState>,
    /// The commits that were let through, in order.
    pub steps: Vec<Step>,
    /// How many other commits wait when the marker is there.
    pub waiting_at_final: usize,
    /// Whether the store said nothing to others while the answer to a commit was withheld.
    pub quiet: bool,
    /// How many commits, or answers, the gate let through by itself: they were withheld for too long.
    pub expired: u32,
    /// Why it ended.
    pub end: End,
}

/// Judges a trial.
pub fn judge(trial: &Trial) -> TrialOutcome {
    let Some(final_at) = trial.final_at else {
        return TrialOutcome::Inconclusive(without_final(&trial.end));
    };
    match trial.row_at_final {
        // A marker without the row is a violation, whatever was let through before it.
        Some(RowState::Incomplete | RowState::CommitWaits) => {
            return TrialOutcome::Violated(violated(trial));
        }
        // What the gate let through by itself was in no step, so no step shows what completed the row.
        _ if trial.expired > 0 => return TrialOutcome::Inconclusive(without_final(&End::Expired)),
        Some(RowState::Complete | RowState::Unreadable) | None => {}
    }
    let completed = completed(&trial.steps);
    let before = &trial.steps[..completed.unwrap_or(trial.steps.len())];
    if before.iter().any(|step| step.row == RowState::Unreadable) {
        return TrialOutcome::Inconclusive(
            "the row could not be read after a commit had passed".into(),
        );
    }
    let is_last = completed.is_none_or(|index| index + 1 == trial.steps.len());
    match completed.map(|index| &trial.steps[index]) {
        // The store was asked again when the marker was there, so a commit that came by another
        // way in between is seen.
        None => match trial.row_at_final {
            Some(RowState::Complete) => TrialOutcome::Inconclusive(past_the_gate()),
            _ => TrialOutcome::Inconclusive("the row could not be read at the final marker".into()),
        },
        // Whatever the marker waited for, it was not what completed the row.
        Some(step) if step.before == RowState::Complete => {
            TrialOutcome::Inconclusive(past_the_gate())
        }
        Some(step) if final_at < step.let_through => TrialOutcome::Violated(violated(trial)),
        Some(step) => match step.given {
            None => TrialOutcome::Ambiguous(early()),
            Some(given) if final_at < given => TrialOutcome::Ambiguous(early()),
            // A lock that the commit gave back may have freed one of them, whose answer was withheld too.
            Some(_) if step.others > 0 && trial.quiet => TrialOutcome::Ambiguous(format!(
                "{} waited while the commit that completed the row was let through, and no reply of the store \
                    reached the server before the reply to that commit: the final marker may have waited for any of them",
                plural(step.others as u64, "more writer")
            )),
            // What is still withheld when the marker comes did not bring it.
            Some(_) if step.others > 0 && !is_last => TrialOutcome::Ambiguous(format!(
                "{} waited while the commit that completed the row was let through, and the final \
                 marker came after a later commit: it may have waited for one of them",
                plural(step.others as u64, "more writer")
            )),
            Some(_) => TrialOutcome::Proven,
        },
    }
}

/// The step that completed the row, and after which it stayed complete: a server may take the row
/// back and store it again.
fn completed(steps: &[Step]) -> Option<usize> {
    let is_missing = |step: &Step| matches!(step.row, RowState::Incomplete | RowState::CommitWaits);
    let missing = steps.iter().rposition(is_missing);
    let since = missing.map_or(0, |index| index + 1);
    let completes = |step: &Step| step.row == RowState::Complete;
    steps[since..]
        .iter()
        .position(completes)
        .map(|index| since + index)
}

/// Whether the marker came while the row was complete and the answer to its commit was withheld. The server
/// may have learned of its commit in another way.
pub fn is_early(trial: &Trial) -> bool {
    let Some((final_at, index)) = trial.final_at.zip(completed(&trial.steps)) else {
        return false;
    };
    let step = &trial.steps[index];
    let knew = step.given.is_some_and(|given| given <= final_at);
    step.let_through <= final_at && !knew
}

fn violated(trial: &Trial) -> String {
    let is_earlier = |step: &Step| trial.final_at.is_some_and(|at| step.let_through < at);
    let was_complete = trial
        .steps
        .iter()
        .any(|step| step.row == RowState::Complete && is_earlier(step));
    match trial.waiting_at_final {
        _ if was_complete => {
            "the answer's row was complete, but was gone again when the final marker was received"
                .into()
        }
        0 => "the final marker was received while the answer's row was not complete".into(),
        _ => "the final marker was received while the answer's commit was withheld".into(),
    }
}

fn past_the_gate() -> String {
    "the row became complete while every commit was withheld: the server also writes past this gate"
        .into()
}

fn early() -> String {
    "the final marker came when the row was committed but the server did not know it yet: it did not wait for \
        the reply to its commit, and something else may have delayed it"
        .into()
}

fn without_final(end: &End) -> String {
    match end {
        End::Final => "the trial ended with the final marker, but the marker's time is unknown".into(),
        End::Died(how) => format!(
            "the response ended without the final marker while a commit was withheld ({how}): does the server \
                wait for its database for at least as long as the hold?"
        ),
        End::NobodyCommits => "neither a commit nor the final marker came".into(),
        End::Expired => {
            "a commit or the reply to it was withheld for as long as --max-hold allows, and then let through: \
                use a longer --max-hold"
                .into()
        }
        End::Cancelled => {
            "the server cancelled its commit while it was withheld, and sent no final marker: use a shorter --hold"
                .into()
        }
        End::Left(after) => format!(
            "the server's connection ended before the store had answered, {} ms after its commit came: if the \
                server gives up so soon, use a shorter --hold",
            after.as_millis()
        ),
        End::Steps => {
            "the final marker did not come after as many commits as a trial lets through".into()
        }
        End::CommitFailed(why) => format!("a commit that was let through failed: {why}"),
        End::GateLost(how) => format!("the gate was lost: {how}"),
    }
}
