//! PostgreSQL: an oid is given once, a file changes with every rewrite, and a row shows which
//! transaction wrote it.

use super::case::{Case, Sentinel};
use super::codes;
use super::codes::Event;
use crate::audit::evidence::Marks;
use crate::report::Severity;

pub(super) fn database(before: &Marks, after: &Marks, _: &[Case<'_>]) -> Vec<Event> {
    let changed = |mark: &str| match (before.get(mark), after.get(mark)) {
        (Some(was), Some(is)) => was != is,
        _ => false,
    };
    let told = [
        ("system", "it is on another server's data folder now"),
        ("database", "it was created again: its number changed"),
        ("standby", "one of the reads was from a standby"),
        ("started", "the server was restarted"),
        ("counting_since", "the server's statistics were reset"),
    ];
    let events = told.into_iter().filter(|(mark, _)| changed(mark));
    events.map(|(_, why)| Event::harmless(why)).collect()
}

pub(super) fn table(case: &Case<'_>, _: &[Case<'_>]) -> Vec<Event> {
    let is_other = ["oid", "reltype"]
        .iter()
        .any(|mark| case.changed(mark) == Some(true));
    match (is_other, case.changed("relfilenode")) {
        (true, _) => vec![other(case)],
        (false, Some(true)) => vec![rewritten(case)],
        _ => Vec::new(),
    }
}

/// Another table has the name.
fn other(case: &Case<'_>) -> Event {
    let moved = ["system", "database"]
        .iter()
        .any(|mark| case.database_changed(mark) == Some(true));
    match case.sentinel() {
        Sentinel::Kept => {
            let why = "its oid changed, and it has the sentinel: it was loaded from a dump";
            Event::of(codes::RESTORED, Severity::Warning, why)
        }
        Sentinel::Gone => {
            let why = "its oid changed and the sentinel is gone: it was dropped and created again";
            Event::of(codes::RECREATED, Severity::Error, why)
        }
        Sentinel::Unarmed if moved && !case.is_lost() => {
            let why = "its oid changed, in another database: it was loaded from a dump";
            Event::of(codes::RESTORED, Severity::Warning, why)
        }
        Sentinel::Unarmed if case.is_intact() => {
            let why = "its oid changed and its rows exist: it was dropped, created again and refilled, or restored from a dump; `chatctl audit arm` would distinguish these";
            Event::of(codes::RECREATED, Severity::Warning, why)
        }
        Sentinel::Unarmed => {
            let why = "its oid changed: it was dropped and created again";
            Event::of(codes::RECREATED, Severity::Error, why)
        }
    }
}

/// The table is the same and its rows are in another file.
fn rewritten(case: &Case<'_>) -> Event {
    if case.was_empty() {
        return Event::harmless("it has another file, and was empty before");
    }
    let deleted = case.numbers("deleted").is_some_and(|(was, is)| {
        is > was
            && i64::try_from(case.rows.map_or(0, |rows| rows.before))
                .is_ok_and(|rows| is - was >= rows)
    });
    let inserted = case.numbers("inserted").is_some_and(|(was, is)| {
        is > was
            && i64::try_from(case.rows.map_or(0, |rows| rows.before))
                .is_ok_and(|rows| is - was >= rows)
    });
    let renewed = all_new(case);
    match (case.is_lost(), renewed) {
        (true, _) if deleted => Event::harmless(
            "its rows were deleted one by one, which the statistics counted, and its file was rewritten then",
        ),
        (true, _) if case.is_empty() => {
            let why = "it has another file and no row, and no row was deleted one by one: it was truncated";
            Event::of(codes::TRUNCATED, Severity::Error, why)
        }
        (true, Some(true)) => {
            let why = "it has another file in which every row is new: it was truncated, and written since";
            Event::of(codes::TRUNCATED, Severity::Error, why)
        }
        (true, None) => {
            let why = "it has another file and rows are missing: it was truncated, or rows were deleted and VACUUM FULL ran; \
                it is not known which transactions wrote its rows";
            Event::of(codes::TRUNCATED, Severity::Warning, why)
        }
        (false, Some(true)) if inserted => {
            let why = "it has another file, and as many rows were inserted as it had: it was truncated and \
                filled again with the same rows";
            Event::of(codes::TRUNCATED, Severity::Warning, why)
        }
        (false, Some(true)) => {
            Event::harmless("its file was rewritten with every row, as an ALTER of a column does")
        }
        (_, Some(false)) => Event::harmless(
            "its file was rewritten and the rows in it are the old ones, as VACUUM FULL and CLUSTER do",
        ),
        (false, None) => Event::harmless(
            "its file was rewritten, as VACUUM FULL, CLUSTER or an ALTER of a column do",
        ),
    }
}

/// Whether every row was written after the newest row of before.
fn all_new(case: &Case<'_>) -> Option<bool> {
    let (newest, oldest) = (case.before.number("newest")?, case.after.number("oldest")?);
    // Transaction ids begin again after 2^32: one is later than another by less than half of them.
    let ahead = u32::try_from(oldest)
        .ok()?
        .wrapping_sub(u32::try_from(newest).ok()?);
    Some(ahead != 0 && ahead < 1 << 31)
}
