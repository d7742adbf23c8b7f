use super::{End, RowState, Step, Trial, TrialOutcome, is_early, judge};
use std::time::Duration;

fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

fn step(at: u64, row: RowState) -> Step {
    Step {
        let_through: ms(at),
        answered: ms(at + 1),
        given: Some(ms(at + 300)),
        others: 0,
        was_complete: false,
        row,
    }
}

/// A right server: one commit, withheld for 300 ms, then its answer.
fn right() -> Trial {
    Trial {
        final_at: Some(ms(601)),
        row_at_final: Some(RowState::Complete),
        steps: vec![step(300, RowState::Complete)],
        waiting_at_final: 0,
        quiet: false,
        expired: 0,
        end: End::Final,
    }
}

fn with(change: impl FnOnce(&mut Trial)) -> TrialOutcome {
    let mut trial = right();
    change(&mut trial);
    judge(&trial)
}

#[test]
fn three_undisturbed_phases_prove_the_order() {
    assert_eq!(judge(&right()), TrialOutcome::Proven);
    // A commit before it, and one behind it, let through one at a time.
    assert_eq!(
        with(|t| t.steps.insert(0, step(0, RowState::Incomplete))),
        TrialOutcome::Proven
    );
    assert_eq!(
        with(|t| {
            t.steps.push(step(900, RowState::Complete));
            t.final_at = Some(ms(1300));
        }),
        TrialOutcome::Proven
    );
}

#[test]
fn a_row_that_is_gone_again_at_the_marker_is_a_violation() {
    for row in [RowState::Incomplete, RowState::CommitWaits] {
        let gone = with(|t| {
            t.steps.push(step(650, RowState::Incomplete));
            t.final_at = Some(ms(1000));
            t.row_at_final = Some(row);
        });
        assert!(
            matches!(&gone, TrialOutcome::Violated(why) if why.contains("was gone again")),
            "{gone:?}"
        );
    }
    // Nobody looked between the commit that took it back and the marker.
    let gone = with(|t| t.row_at_final = Some(RowState::Incomplete));
    assert!(matches!(gone, TrialOutcome::Violated(_)), "{gone:?}");
}

#[test]
fn a_row_that_is_taken_back_and_stored_again_is_judged_by_the_last_commit_that_completed_it() {
    let rewritten = |final_at: u64, given: Option<u64>| {
        with(|t| {
            t.steps.push(step(650, RowState::Incomplete));
            let again = Step {
                given: given.map(ms),
                ..step(1000, RowState::Complete)
            };
            t.steps.push(again);
            t.final_at = Some(ms(final_at));
        })
    };
    assert_eq!(rewritten(1301, Some(1300)), TrialOutcome::Proven);
    // The marker came while the commit that stored it again was withheld, or its answer was.
    assert!(matches!(
        rewritten(960, Some(1300)),
        TrialOutcome::Violated(_)
    ));
    assert!(matches!(rewritten(1100, None), TrialOutcome::Ambiguous(_)));
}

#[test]
fn a_row_that_became_complete_after_the_last_step_was_not_let_through() {
    let around = with(|t| t.steps.push(step(650, RowState::Incomplete)));
    assert!(
        matches!(around, TrialOutcome::Inconclusive(_)),
        "{around:?}"
    );
}

/// A save that the gate let through by itself completes the row in the step of another commit: the
/// marker waited for that one, and the save for nobody.
#[test]
fn what_the_gate_let_through_by_itself_decides_nothing_but_a_missing_row() {
    let expired = |change: fn(&mut Trial)| {
        with(|t| {
            t.expired = 1;
            change(t);
        })
    };
    let is_open = |shown: TrialOutcome| match shown {
        TrialOutcome::Inconclusive(why) => assert!(why.contains("--max-hold"), "{why}"),
        shown => panic!("{shown:?}"),
    };
    is_open(expired(|_| ()));
    // The row was complete, and the marker sent, before another commit was let through.
    is_open(expired(|t| t.final_at = Some(ms(200))));
    assert!(matches!(
        expired(|t| {
            t.steps.clear();
            t.row_at_final = Some(RowState::Incomplete);
        }),
        TrialOutcome::Violated(_)
    ));
}

#[test]
fn a_marker_while_the_commit_is_withheld_is_a_violation() {
    let early = |t: &mut Trial| {
        t.steps.clear();
        t.final_at = Some(ms(5));
        t.row_at_final = Some(RowState::Incomplete);
        t.waiting_at_final = 1;
    };
    assert!(matches!(with(early), TrialOutcome::Violated(_)));
    // Behind another commit.
    assert!(matches!(
        with(|t| {
            early(t);
            t.steps.push(step(300, RowState::Incomplete));
        }),
        TrialOutcome::Violated(_)
    ));
    // Received before the commit was let through, and seen only afterwards.
    assert!(matches!(
        with(|t| t.final_at = Some(ms(299))),
        TrialOutcome::Violated(_)
    ));
}

#[test]
fn a_marker_while_the_answer_is_withheld_is_left_open() {
    assert!(matches!(
        with(|t| t.final_at = Some(ms(400))),
        TrialOutcome::Ambiguous(_)
    ));
    assert!(matches!(
        with(|t| {
            t.final_at = Some(ms(400));
            t.steps[0].given = None;
        }),
        TrialOutcome::Ambiguous(_)
    ));
}

/// The marker came while the other commit was still withheld, so it did not wait for that one.
#[test]
fn commits_that_never_passed_leave_nothing_open() {
    assert_eq!(with(|t| t.steps[0].others = 1), TrialOutcome::Proven);
    assert!(matches!(
        with(|t| {
            t.steps[0].others = 1;
            t.final_at = Some(ms(400));
        }),
        TrialOutcome::Ambiguous(_)
    ));
}

#[test]
fn commits_side_by_side_are_left_open_if_both_pass() {
    assert!(matches!(
        with(|t| {
            t.steps[0].others = 1;
            t.steps.push(step(900, RowState::Complete));
            t.final_at = Some(ms(1300));
        }),
        TrialOutcome::Ambiguous(_)
    ));
}

#[test]
fn a_row_that_no_commit_at_the_gate_completed_means_another_way() {
    assert!(matches!(
        with(|t| t.steps.clear()),
        TrialOutcome::Inconclusive(_)
    ));
}

/// A worker saves the answer past the gate while another commit of the turn is withheld.
#[test]
fn a_row_that_was_complete_before_its_step_means_another_way() {
    let past = with(|t| t.steps[0].was_complete = true);
    assert!(
        matches!(&past, TrialOutcome::Inconclusive(why) if why.contains("past this gate")),
        "{past:?}"
    );
    // A commit behind the one that completed it finds it complete.
    let behind = with(|t| {
        let behind = Step {
            was_complete: true,
            ..step(900, RowState::Complete)
        };
        t.steps.push(behind);
        t.final_at = Some(ms(1300));
    });
    assert_eq!(behind, TrialOutcome::Proven);
}

#[test]
fn nothing_is_decided_without_the_marker_or_the_row() {
    assert!(matches!(
        with(|t| t.final_at = None),
        TrialOutcome::Inconclusive(_)
    ));
    assert!(matches!(
        with(|t| {
            t.steps.clear();
            t.row_at_final = Some(RowState::Unreadable);
        }),
        TrialOutcome::Inconclusive(_)
    ));
    assert!(matches!(
        with(|t| t.steps.insert(0, step(0, RowState::Unreadable))),
        TrialOutcome::Inconclusive(_)
    ));
}

#[test]
fn a_marker_is_early_between_the_commit_and_its_answer() {
    assert!(!is_early(&right()));
    for (final_at, given, early) in [
        (Some(299), Some(600), false),
        (Some(300), Some(600), true),
        (Some(599), None, true),
        (Some(600), Some(600), false),
        (None, None, false),
    ] {
        let mut trial = right();
        trial.final_at = final_at.map(ms);
        trial.steps[0].given = given.map(ms);
        assert_eq!(is_early(&trial), early, "{final_at:?} {given:?}");
    }
    let mut trial = right();
    trial.steps[0].row = RowState::Incomplete;
    trial.final_at = Some(ms(300));
    assert!(!is_early(&trial));
}

/// What waited for a lock of the transaction was freed by its commit, and told only with its answer.
#[test]
fn others_that_waited_leave_a_quiet_trial_open() {
    assert_eq!(with(|t| t.quiet = true), TrialOutcome::Proven);
    let others = |quiet| {
        with(|t| {
            t.steps[0].others = 1;
            t.quiet = quiet;
        })
    };
    assert_eq!(others(false), TrialOutcome::Proven);
    assert!(matches!(others(true), TrialOutcome::Ambiguous(_)));
}
