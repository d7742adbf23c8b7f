//! One table in both snapshots.

use super::{Rows, RowsFate, Rules};
use crate::audit::evidence::{Mark, Marks};
use std::time::{Duration, UNIX_EPOCH};

/// What became of the sentinel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sentinel {
    /// There was none: nothing is proven by it.
    Unarmed,
    /// It is the same.
    Kept,
    /// It is not there, or another one is.
    Gone,
}

/// One table in both snapshots.
pub(super) struct Case<'a> {
    pub(super) table: &'a str,
    pub(super) before: &'a Marks,
    pub(super) after: &'a Marks,
    pub(super) database: (&'a Marks, &'a Marks),
    pub(super) rows: Option<Rows>,
}

impl Case<'_> {
    /// Whether a fact is another one; none when it is not known of both looks.
    pub(super) fn changed(&self, mark: &str) -> Option<bool> {
        Some(self.before.get(mark)? != self.after.get(mark)?)
    }

    /// The same of a fact of the database.
    pub(super) fn database_changed(&self, mark: &str) -> Option<bool> {
        Some(self.database.0.get(mark)? != self.database.1.get(mark)?)
    }

    /// A number at both looks.
    pub(super) fn numbers(&self, mark: &str) -> Option<(i64, i64)> {
        Some((self.before.number(mark)?, self.after.number(mark)?))
    }

    /// By how much a counter of the server advanced; none when it began again.
    pub(super) fn counted(&self, mark: &str) -> Option<i64> {
        let (was, is) = (self.database.0.number(mark)?, self.database.1.number(mark)?);
        (!self.is_restarted() && is >= was).then_some(is - was)
    }

    pub(super) fn sentinel(&self) -> Sentinel {
        match (self.before.get("sentinel"), self.after.get("sentinel")) {
            (None, _) => Sentinel::Unarmed,
            (Some(was), Some(is)) if was == is => Sentinel::Kept,
            (Some(_), _) => Sentinel::Gone,
        }
    }

    /// Whether the server was restarted: by its own word, or by a number that only goes up.
    pub(super) fn is_restarted(&self) -> bool {
        // Where the start is reckoned from the uptime, two readings may differ by a second or two.
        const APART: i64 = 2;
        const UP: [&str; 3] = ["connection", "drops", "truncates"];
        let (before, after) = self.database;
        let numbers = |mark: &str| before.number(mark).zip(after.number(mark));
        let by_start = match numbers("started") {
            Some((was, is)) => (is - was).abs() > APART,
            None => self.database_changed("started") == Some(true),
        };
        by_start
            || UP
                .iter()
                .filter_map(|mark| numbers(mark))
                .any(|(was, is)| is < was)
    }

    /// Whether the looks were through two servers, each of which numbers and counts for itself.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.database_changed("server") == Some(true)
    }

    /// Whether rows are known to be gone or altered.
    pub(super) fn is_lost(&self) -> bool {
        self.rows.is_some_and(|rows| match rows.kept {
            RowsFate::Intact => false,
            RowsFate::Lost => true,
            RowsFate::Unknown => rows.after < rows.before,
        })
    }

    /// Whether every row is known to be what it was.
    pub(super) fn is_intact(&self) -> bool {
        self.rows
            .is_some_and(|rows| rows.kept == RowsFate::Intact || rows.before == 0)
    }

    /// Whether there were rows and none is left.
    pub(super) fn is_empty(&self) -> bool {
        self.rows
            .is_some_and(|rows| rows.before > 0 && rows.after == 0)
    }

    /// Whether there was nothing to lose.
    pub(super) fn was_empty(&self) -> bool {
        self.rows.is_some_and(|rows| rows.before == 0)
    }

    pub(super) fn is_altered(&self) -> bool {
        self.changed("schema") == Some(true)
    }

    /// What changed, what each alone says, and what is not known.
    pub(super) fn facts(&self, rules: &Rules) -> Vec<String> {
        let mut facts = changed_facts(self.before, self.after, rules.facts.of_table);
        facts.extend(self.shared(rules));
        facts
    }

    /// The same of the database.
    pub(super) fn shared(&self, rules: &Rules) -> Vec<String> {
        changed_facts(self.database.0, self.database.1, rules.facts.shared)
    }
}

fn changed_facts(before: &Marks, after: &Marks, marks: &[&[Mark]]) -> Vec<String> {
    let mut facts = Vec::new();
    let mut unknown = Vec::new();
    for mark in marks.iter().copied().flatten() {
        match (before.get(mark.name), after.get(mark.name)) {
            (None, None) => unknown.push(mark.name),
            (was, is) if was == is => {}
            (was, is) => facts.push(format!(
                "{} was {} and is {}; this alone says: {}",
                mark.name,
                shown(mark, was),
                shown(mark, is),
                mark.alone
            )),
        }
    }
    if !unknown.is_empty() {
        facts.push(format!("not known, or not there: {}", unknown.join(", ")));
    }
    facts
}

/// A mark's value: the file system gives the birth of a file in nanoseconds since 1970.
fn shown(mark: &Mark, value: Option<&str>) -> String {
    let value = value.unwrap_or("absent");
    let nanos = value.parse().ok().filter(|_| mark.name == "born");
    nanos.map_or_else(
        || value.to_owned(),
        |nanos| {
            let time = UNIX_EPOCH + Duration::from_nanos(nanos);
            humantime::format_rfc3339_millis(time).to_string()
        },
    )
}
