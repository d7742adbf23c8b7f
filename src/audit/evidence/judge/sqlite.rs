//! SQLite: tables that are dropped and created again often get every number again that they had. What
//! is left is the version of the schema, the ids, and the file's time of birth.

use super::case::{Case, Sentinel};
use super::codes;
use super::codes::Event;
use crate::audit::evidence::Marks;
use crate::report::Severity;

/// A drop and a making are two.
const REMADE: i64 = 2;

pub(super) fn database(before: &Marks, after: &Marks, cases: &[Case<'_>]) -> Vec<Event> {
    let changed = |mark: &str| match (before.get(mark), after.get(mark)) {
        (Some(was), Some(is)) => was != is,
        _ => false,
    };
    let statements = statements(before, after);
    let why = match (changed("born"), changed("inode"), statements) {
        (true, _, _) => "the file was created after the first read",
        (false, true, _) => "another file has this name",
        (false, false, Some(..0)) => {
            "the version of its schema decreased, which never happens in the same file"
        }
        _ => return quiet(statements, cases),
    };
    let has = |sentinel| cases.iter().any(|case| case.sentinel() == sentinel);
    let is_lost = cases.iter().any(Case::is_lost);
    let (severity, more) = match (has(Sentinel::Gone), has(Sentinel::Kept)) {
        (true, _) => (
            Severity::Error,
            "the sentinel is gone, so it is not a copy of the earlier file",
        ),
        (false, true) => (
            Severity::Warning,
            "it has the sentinel, so it is a copy or was loaded from a dump",
        ),
        (false, false) => (
            Severity::Warning,
            "it is not known whether it is a copy; `chatctl audit arm` would make it visible",
        ),
    };
    let severity = if is_lost { Severity::Error } else { severity };
    vec![Event::of(
        codes::REPLACED,
        severity,
        format!("{why}; {more}"),
    )]
}

fn statements(before: &Marks, after: &Marks) -> Option<i64> {
    Some(after.number("schema_version")? - before.number("schema_version")?)
}

/// Statements that changed the schema and left it as it was, where nothing is missing.
fn quiet(statements: Option<i64>, cases: &[Case<'_>]) -> Vec<Event> {
    let is_plain = cases
        .iter()
        .all(|case| !case.is_altered() && table(case, cases).is_empty());
    match statements {
        Some(count @ 1..) if is_plain => vec![Event::harmless(format!(
            "the schema version rose by {count}, and no compared table changed: VACUUM, ANALYZE and `chatctl audit arm` raise it too"
        ))],
        _ => Vec::new(),
    }
}

/// What happened to the schema besides the making and the removal of sentinels, each of which is a
/// statement; a table that is dropped takes its own along.
fn others(case: &Case<'_>, cases: &[Case<'_>]) -> Option<i64> {
    let of_sentinels = cases.iter().map(|case| {
        let [was, is] = [case.before, case.after].map(|marks| marks.get("sentinel"));
        match (was, is) {
            (was, is) if was == is => 0,
            (Some(_), Some(_)) => 2,
            (Some(_), None) | (None, _) => 1,
        }
    });
    Some(statements(case.database.0, case.database.1)? - of_sentinels.sum::<i64>())
}

pub(super) fn table(case: &Case<'_>, cases: &[Case<'_>]) -> Vec<Event> {
    let others = others(case, cases);
    let is_remade = others.is_some_and(|count| count >= REMADE);
    let is_forgotten = case.numbers("counted").is_some_and(|(was, is)| is < was);
    let is_moved = case.changed("rowid") == Some(true);
    let is_gone = case.sentinel() == Sentinel::Gone;
    let is_proven = is_gone || is_remade && (is_moved || is_forgotten);
    if case.sentinel() == Sentinel::Kept {
        return Vec::new();
    }
    if is_gone && others == Some(0) {
        return vec![Event::harmless(codes::UNMARKED)];
    }
    let why = match (is_gone, is_moved) {
        (true, _) => "the sentinel index is gone",
        (false, true) => "it is at another place in the catalogue",
        (false, false) => "its id counter was reset, which DELETE and VACUUM never do",
    };
    vec![match (is_proven, case.is_intact(), case.is_altered()) {
        (true, true, true) => Event::harmless(format!(
            "{why}: a migration rebuilt it and copied its rows; if it was armed, arm it again"
        )),
        (true, true, false) if is_gone && is_remade && is_moved => {
            let why = format!(
                "{why}, and the table is at another place in the catalogue: it was dropped, created again with the same schema and refilled"
            );
            Event::of(codes::RECREATED, Severity::Error, why)
        }
        (true, true, false) => {
            let or = if is_gone {
                "its sentinel was removed by hand"
            } else {
                "rebuilt by a migration"
            };
            let why = format!(
                "{why}: it was dropped, created again with the same schema and refilled, or {or}"
            );
            Event::of(codes::RECREATED, Severity::Warning, why)
        }
        (true, false, _) => {
            let why = format!("{why}: it was dropped and created again");
            Event::of(codes::RECREATED, Severity::Error, why)
        }
        (false, _, false) if is_remade && case.is_lost() => {
            let why = format!(
                "{} statements changed the schema and left its text unchanged: it was dropped and created \
                    again, or rows were deleted and \
                VACUUM or ANALYZE ran more than once; the file does not show which; `chatctl audit arm` would",
                others.unwrap_or(REMADE)
            );
            Event::of(codes::RECREATED, Severity::Warning, why)
        }
        _ => return Vec::new(),
    }]
}
