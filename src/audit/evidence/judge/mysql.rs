//! MySQL and MariaDB: TRUNCATE keeps the time at which a table was made, and every rebuild gives it
//! another number; a drop is distinguished from a rebuild by the server's counters, or by the sentinel.

use super::case::{Case, Sentinel};
use super::codes;
use super::codes::Event;
use crate::audit::evidence::Marks;
use crate::report::Severity;

pub(super) fn database(_: &Marks, _: &Marks, cases: &[Case<'_>]) -> Vec<Event> {
    match cases.first() {
        Some(any) if any.is_elsewhere() => vec![Event::harmless(
            "it was read through another server, and each server has its own numbers, times and counters: it is \
                not known whether a table that was not armed was created again, truncated or rebuilt",
        )],
        Some(any) if any.is_restarted() => vec![Event::harmless("the server was restarted")],
        _ => Vec::new(),
    }
}

pub(super) fn table(case: &Case<'_>, _: &[Case<'_>]) -> Vec<Event> {
    if case.sentinel() == Sentinel::Gone {
        return vec![unmarked(case)];
    }
    if case.is_elsewhere() {
        return Vec::new();
    }
    let number = case.changed("table_id");
    let made = case.changed("created") == Some(true);
    let dropped = case.counted("drops").map(|count| count > 0);
    let truncated = case.counted("truncates").map(|count| count > 0);
    let is_rewound = case.numbers("counted").is_some_and(|(was, is)| is < was);
    // Without the number, a TRUNCATE shows only by what it does.
    let emptied = match number {
        Some(true) => !made && truncated != Some(false),
        Some(false) => false,
        None => {
            !made && case.is_lost() && (truncated == Some(true) || is_rewound) && !case.was_empty()
        }
    };
    let renewed = match number {
        Some(other) => other,
        None => made && !case.is_altered(),
    };
    match (emptied, renewed) {
        (true, _) => vec![empty(case, number.is_some() || truncated == Some(true))],
        (false, true) => vec![rebuilt(case, dropped, is_rewound)],
        (false, false) if made && !case.is_altered() => vec![Event::harmless(
            "it was altered or renamed, and then changed back: only its creation time changed",
        )],
        (false, false) => Vec::new(),
    }
}

/// The comment is another one: with the table, or because somebody changed it.
fn unmarked(case: &Case<'_>) -> Event {
    // Another server, and one that began with an empty folder, may give the same number again.
    let keeps_number = !case.is_elsewhere() && (case.is_intact() || !case.is_restarted());
    match case.changed("table_id") {
        Some(false) if keeps_number => Event::harmless(codes::UNMARKED),
        None if case.is_intact() => {
            let why = "the sentinel in its comment is gone and its rows exist: it was dropped, created again and refilled, \
                or its comment was changed";
            Event::of(codes::RECREATED, Severity::Warning, why)
        }
        Some(_) | None => {
            let why = "the sentinel in its comment is gone: it was dropped and created again";
            Event::of(codes::RECREATED, Severity::Error, why)
        }
    }
}

fn empty(case: &Case<'_>, is_certain: bool) -> Event {
    if case.was_empty() {
        return Event::harmless("it was truncated, and was empty before");
    }
    if !case.is_lost() {
        let why = "it has another number and the same creation time: it was truncated and filled again with the same rows";
        return Event::of(codes::TRUNCATED, Severity::Warning, why);
    }
    if is_certain {
        let why = "it lost its rows and has the same creation time: it was truncated";
        Event::of(codes::TRUNCATED, Severity::Error, why)
    } else {
        let why = "its rows are gone and its ids begin again: it was truncated, or rows were deleted and the ids set back; \
            the number that would show it requires the PROCESS privilege";
        Event::of(codes::TRUNCATED, Severity::Warning, why)
    }
}

fn rebuilt(case: &Case<'_>, dropped: Option<bool>, is_rewound: bool) -> Event {
    let harmless = "it was rebuilt in place, as OPTIMIZE and some forms of ALTER do";
    match (case.sentinel(), dropped) {
        (_, Some(false)) => Event::harmless(harmless),
        (Sentinel::Kept, Some(true)) => {
            let why = "it is another table, tables were dropped, and it has the sentinel: it was loaded from a dump";
            Event::of(codes::RESTORED, Severity::Warning, why)
        }
        (Sentinel::Kept, None) if case.is_lost() && is_rewound => {
            let why = "it is another table with fewer rows, and it has the sentinel: it was loaded from an older dump";
            Event::of(codes::RESTORED, Severity::Warning, why)
        }
        (Sentinel::Kept, None) => Event::harmless(format!("{harmless}, or loaded from a dump")),
        (_, Some(true)) if case.is_intact() => {
            let why = "it is another table, tables were dropped, and its rows exist: it was dropped, created \
                again and refilled, \
                or rebuilt by OPTIMIZE while others were dropped; `chatctl audit arm` would make it visible";
            Event::of(codes::RECREATED, Severity::Warning, why)
        }
        (_, Some(true)) => {
            let why =
                "it is another table, and tables were dropped: it was dropped and created again";
            Event::of(codes::RECREATED, Severity::Error, why)
        }
        (_, None) if case.is_lost() && is_rewound => {
            let why = "it is another table without the rows, and its ids begin again: it was dropped and created again";
            Event::of(codes::RECREATED, Severity::Error, why)
        }
        (_, None) => {
            let why = "it is another table: it was dropped and created again, or rebuilt by OPTIMIZE; the server was restarted, so that its \
                counters do not show it; `chatctl audit arm` would";
            Event::of(codes::RECREATED, Severity::Warning, why)
        }
    }
}
