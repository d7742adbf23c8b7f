//! Trials with the stepped gate. A mutant must not be proven; the verdict that it gets is its owner.

use super::Mutant;
use crate::stream::judge::order::{self, End, RowState, StepSeen, Trial, TrialOutcome};
use fastrand::Rng;
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Some writes pass that do not carry the answer, and then the one that does.
fn good(rng: &mut Rng) -> Trial {
    let mut at = rng.u64(100..900);
    let mut steps = Vec::new();
    let before = rng.usize(..4);
    for number in 0..=before {
        let opened = at;
        at += rng.u64(1..40);
        steps.push(StepSeen {
            opened: ms(opened),
            closed: ms(at),
            writes: Some(1),
            writer_after: Some(ms(rng.u64(..100))),
            row: if number == before {
                RowState::Complete
            } else {
                RowState::Incomplete
            },
        });
        at += rng.u64(100..900);
    }
    Trial {
        closed: Some(Duration::ZERO),
        final_at: Some(ms(at)),
        row_at_final: Some(RowState::Complete),
        steps,
        end: End::Final,
    }
}

fn caught(trial: &Trial) -> Vec<&'static str> {
    match order::judge(trial) {
        TrialOutcome::Proven => Vec::new(),
        TrialOutcome::Inconclusive(_) => vec!["inconclusive"],
        TrialOutcome::SavedEarlier | TrialOutcome::Ambiguous(_) | TrialOutcome::Overtaken => {
            vec!["order-ambiguous"]
        }
        TrialOutcome::Violated(_) => vec!["saved-after-done"],
    }
}

fn last(trial: &mut Trial) -> &mut StepSeen {
    trial.steps.last_mut().unwrap()
}

pub(super) fn table() -> String {
    super::table("trial", good, caught, MUTANTS)
}

const MUTANTS: &[Mutant<Trial>] = &[
    Mutant {
        what: "the commit comes after the marker",
        owner: "saved-after-done",
        mutate: |trial, _| {
            trial.row_at_final = Some(RowState::Incomplete);
            last(trial).row = RowState::Incomplete;
        },
    },
    Mutant {
        what: "the commit still waits at the gate when the marker comes",
        owner: "saved-after-done",
        mutate: |trial, _| {
            trial.row_at_final = Some(RowState::CommitWaits);
            trial.steps.pop();
        },
    },
    Mutant {
        what: "the marker comes before the gate is closed again",
        owner: "order-ambiguous",
        mutate: |trial, rng| {
            let closed = last(trial).closed;
            trial.final_at = Some(closed.saturating_sub(ms(rng.u64(1..20))));
        },
    },
    Mutant {
        what: "the row is complete one write earlier",
        owner: "order-ambiguous",
        mutate: |trial, _| {
            let again = last(trial).clone();
            trial.steps.push(again);
        },
    },
    Mutant {
        what: "several writes pass in the step that completes the row",
        owner: "order-ambiguous",
        mutate: |trial, rng| last(trial).writes = Some(rng.u32(2..9)),
    },
    Mutant {
        what: "the gate can't count what passed",
        owner: "order-ambiguous",
        mutate: |trial, _| last(trial).writes = None,
    },
    Mutant {
        what: "the write was not waiting at the gate",
        owner: "order-ambiguous",
        mutate: |trial, rng| last(trial).writer_after = Some(ms(rng.u64(151..900))),
    },
    Mutant {
        what: "no step completes the row",
        owner: "inconclusive",
        mutate: |trial, _| trial.steps.clear(),
    },
    Mutant {
        what: "the row can't be read at the marker",
        owner: "inconclusive",
        mutate: |trial, _| trial.row_at_final = Some(RowState::Unreadable),
    },
    Mutant {
        what: "the row can't be read after the write",
        owner: "inconclusive",
        mutate: |trial, _| last(trial).row = RowState::Unreadable,
    },
    Mutant {
        what: "the gate was never closed",
        owner: "inconclusive",
        mutate: |trial, _| {
            trial.closed = None;
            trial.end = End::WriterInTheWay;
        },
    },
    Mutant {
        what: "the marker does not come",
        owner: "inconclusive",
        mutate: |trial, _| {
            trial.final_at = None;
            trial.end = End::Budget;
        },
    },
];
