use super::{FaultObservation, FaultOutcome, RowState, judge};

fn seen(row_at_final: Option<RowState>, rows: usize) -> FaultObservation {
    FaultObservation {
        happened: 1,
        row_at_final,
        error: None,
        ended: true,
        rows: Ok(rows),
    }
}

#[test]
fn what_the_client_sees_agrees_with_the_store_or_does_not() {
    for (row_at_final, rows, shown) in [
        (Some(RowState::Complete), 1, FaultOutcome::Saved),
        (Some(RowState::Complete), 2, FaultOutcome::Repeated(2)),
        (Some(RowState::Complete), 0, FaultOutcome::Dropped),
        (Some(RowState::Incomplete), 0, FaultOutcome::Dropped),
        (Some(RowState::Incomplete), 1, FaultOutcome::Late),
        (Some(RowState::CommitWaits), 1, FaultOutcome::Late),
        (Some(RowState::Incomplete), 3, FaultOutcome::Repeated(3)),
        (None, 0, FaultOutcome::Reported),
        (None, 1, FaultOutcome::Kept),
        (None, 2, FaultOutcome::Repeated(2)),
    ] {
        assert_eq!(judge(&seen(row_at_final, rows)), shown);
    }
}

/// Some protocols end every stream with the marker: behind an error it promises nothing.
#[test]
fn a_marker_behind_an_error_is_no_promise() {
    for (row_at_final, rows, shown) in [
        (Some(RowState::Incomplete), 0, FaultOutcome::Reported),
        (Some(RowState::Incomplete), 1, FaultOutcome::Kept),
        (Some(RowState::Complete), 1, FaultOutcome::Saved),
        (Some(RowState::Incomplete), 2, FaultOutcome::Repeated(2)),
        (None, 0, FaultOutcome::Reported),
    ] {
        let seen = FaultObservation {
            error: Some("not saved".to_owned()),
            ..seen(row_at_final, rows)
        };
        assert_eq!(judge(&seen), shown, "{seen:?}");
    }
}

#[test]
fn a_fault_that_did_not_happen_shows_nothing() {
    for row_at_final in [None, Some(RowState::Complete), Some(RowState::Incomplete)] {
        for rows in 0..3 {
            let seen = FaultObservation {
                happened: 0,
                ..seen(row_at_final, rows)
            };
            assert!(matches!(judge(&seen), FaultOutcome::Open(_)), "{seen:?}");
        }
    }
}

#[test]
fn what_was_not_read_shows_nothing() {
    assert!(matches!(
        judge(&seen(Some(RowState::Unreadable), 1)),
        FaultOutcome::Open(_)
    ));
    let unread = FaultObservation {
        rows: Err("locked".to_owned()),
        ..seen(Some(RowState::Complete), 1)
    };
    assert!(matches!(judge(&unread), FaultOutcome::Open(_)));
}

#[test]
fn a_response_that_goes_on_is_no_report_of_an_error() {
    for rows in 0..2 {
        let seen = FaultObservation {
            ended: false,
            ..seen(None, rows)
        };
        assert_eq!(judge(&seen), FaultOutcome::Hangs);
    }
}
