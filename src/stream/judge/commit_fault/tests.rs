use super::{Row, Seen, Shown, judge};

fn seen(row_at_final: Option<Row>, rows: usize) -> Seen {
    Seen {
        happened: 1,
        row_at_final,
        ended: true,
        rows: Ok(rows),
    }
}

#[test]
fn what_the_client_is_told_agrees_with_the_store_or_does_not() {
    for (row_at_final, rows, shown) in [
        (Some(Row::Complete), 1, Shown::Saved),
        (Some(Row::Complete), 2, Shown::Repeated(2)),
        (Some(Row::Complete), 0, Shown::Dropped),
        (Some(Row::Incomplete), 0, Shown::Dropped),
        (Some(Row::Incomplete), 1, Shown::Late),
        (Some(Row::CommitWaits), 1, Shown::Late),
        (Some(Row::Incomplete), 3, Shown::Repeated(3)),
        (None, 0, Shown::Reported),
        (None, 1, Shown::Kept),
        (None, 2, Shown::Repeated(2)),
    ] {
        assert_eq!(judge(&seen(row_at_final, rows)), shown);
    }
}

#[test]
fn a_fault_that_did_not_happen_shows_nothing() {
    for row_at_final in [None, Some(Row::Complete), Some(Row::Incomplete)] {
        for rows in 0..3 {
            let seen = Seen {
                happened: 0,
                ..seen(row_at_final, rows)
            };
            assert!(matches!(judge(&seen), Shown::Open(_)), "{seen:?}");
        }
    }
}

#[test]
fn what_was_not_read_shows_nothing() {
    assert!(matches!(
        judge(&seen(Some(Row::Unreadable), 1)),
        Shown::Open(_)
    ));
    let unread = Seen {
        rows: Err("locked".to_owned()),
        ..seen(Some(Row::Complete), 1)
    };
    assert!(matches!(judge(&unread), Shown::Open(_)));
}

#[test]
fn a_response_that_goes_on_is_no_report_of_an_error() {
    for rows in 0..2 {
        let seen = Seen {
            ended: false,
            ..seen(None, rows)
        };
        assert_eq!(judge(&seen), Shown::Hangs);
    }
}
