//! What happened to tables between two looks, by what an engine can't make look the same. Pure.

mod case;
mod codes;
mod mysql;
mod postgres;
mod sqlite;
#[cfg(test)]
mod tests;

use super::{Evidence, Facts, facts};
use crate::model::Engine;
use crate::report::{Finding, Severity};
use case::Case;
use codes::Event;
use std::collections::BTreeMap;

pub use codes::ALL as CODES;

/// What became of the rows of a table, by another kind of evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowsFate {
    /// Every row that was there is there, and is what it was.
    Intact,
    /// Some rows are gone or are other ones.
    Lost,
    /// Nobody compared them.
    Unknown,
}

/// The rows of a table at both looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rows {
    /// How many there were.
    pub before: u64,
    /// How many there are.
    pub after: u64,
    /// What became of those that were there before.
    pub kept: RowsFate,
}

/// What the evidence comes to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Judged {
    /// What somebody should know.
    pub findings: Vec<Finding>,
    /// What changed for a harmless reason, and the reason, in whole sentences.
    pub notes: Vec<String>,
}

/// Weighs the evidence of two looks at a database. A table without an entry in `rows` is taken for
/// one whose rows nobody looked at.
pub fn judge(before: &Evidence, after: &Evidence, rows: &BTreeMap<String, Rows>) -> Judged {
    let mut judged = Judged::default();
    if before.engine != after.engine {
        let [was, is] = [before, after].map(|look| look.engine.map_or("", Engine::name));
        judged.notes.push(format!(
            "The store moved from {was} to {is}, so tables are compared only by their rows."
        ));
        return judged;
    }
    let Some(engine) = before.engine else {
        return judged;
    };
    let cases = before.tables.iter().filter_map(|(table, was)| {
        Some(Case {
            table,
            before: was,
            after: after.tables.get(table)?,
            database: (&before.database, &after.database),
            rows: rows.get(table).copied(),
        })
    });
    let cases: Vec<_> = cases.collect();
    let rules = rules(engine);
    let whole = (rules.database)(&before.database, &after.database, &cases);
    let is_replaced = whole
        .iter()
        .any(|event| event.code == Some(codes::REPLACED));
    judged.take(None, whole, &cases, &rules);
    for table in before.tables.keys() {
        if !after.tables.contains_key(table) {
            let event = missing(table, before, after, rows.get(table).copied());
            judged.add(table, event, &[]);
        }
    }
    for case in &cases {
        let mut events = if is_replaced {
            Vec::new()
        } else {
            (rules.table)(case, &cases)
        };
        let is_lost = events.iter().any(|event| event.severity == Severity::Error);
        events.extend(rewound(case).filter(|_| !is_lost && !is_replaced));
        events.extend(altered(case));
        judged.take(Some(case), events, &cases, &rules);
    }
    judged
}

/// How one backend's evidence is weighed.
struct Rules {
    /// What happened to the database as a whole.
    database: fn(&super::Marks, &super::Marks, &[Case<'_>]) -> Vec<Event>,
    /// What happened to a table, which is one of all.
    table: fn(&Case<'_>, &[Case<'_>]) -> Vec<Event>,
    /// The facts that the engine keeps.
    facts: &'static Facts,
}

fn rules(engine: Engine) -> Rules {
    let facts = facts(engine);
    match engine {
        Engine::Sqlite => Rules {
            database: sqlite::database,
            table: sqlite::table,
            facts,
        },
        Engine::Postgres => Rules {
            database: postgres::database,
            table: postgres::table,
            facts,
        },
        Engine::Mysql => Rules {
            database: mysql::database,
            table: mysql::table,
            facts,
        },
    }
}

impl Judged {
    fn take(
        &mut self,
        case: Option<&Case<'_>>,
        events: Vec<Event>,
        cases: &[Case<'_>],
        rules: &Rules,
    ) {
        for event in events {
            let facts = match (case, cases.first()) {
                (Some(case), _) => case.facts(rules),
                (None, Some(any)) => any.shared(rules),
                (None, None) => Vec::new(),
            };
            let subject = case.map_or(codes::DATABASE, |case| case.table);
            self.add(subject, event, &facts);
        }
    }

    fn add(&mut self, subject: &str, event: Event, facts: &[String]) {
        match event.finding(subject, facts) {
            Some(finding) => self.findings.push(finding),
            None => self.notes.push(event.note(subject)),
        }
    }
}

/// A table that is not there any more; it, or every row of it, may be there under another name.
fn missing(table: &str, before: &Evidence, after: &Evidence, rows: Option<Rows>) -> Event {
    let identity = before.engine.and_then(|engine| facts(engine).identity);
    let new = || {
        let tables = after.tables.iter();
        tables.filter(move |(name, _)| !before.tables.contains_key(*name))
    };
    let same = |id: &str| {
        let was = before.tables.get(table)?.get(id)?;
        let mut same = new().filter(|(_, marks)| marks.get(id) == Some(was));
        same.next().map(|(name, _)| name)
    };
    // All that was compared was found, and it was read from a table that was not there before.
    let is_read_elsewhere = || {
        let kept = |rows: &Rows| rows.before > 0 && rows.kept == RowsFate::Intact;
        rows.as_ref().is_some_and(kept) && new().next().is_some()
    };
    match identity.and_then(same) {
        Some(name) => Event::of(
            codes::SCHEMA,
            Severity::Note,
            format!("it is `{name}` now: the same table under another name"),
        ),
        None if is_read_elsewhere() => {
            let names: Vec<_> = new().map(|(name, _)| format!("`{name}`")).collect();
            Event::of(
                codes::SCHEMA,
                Severity::Note,
                format!(
                    "all its rows exist, in a table of another name: {}",
                    names.join(" or ")
                ),
            )
        }
        None => {
            let severity = match rows {
                Some(Rows { before: 0, .. }) => Severity::Warning,
                _ => Severity::Error,
            };
            Event::of(
                codes::MISSING,
                severity,
                "the catalogue no longer has a table of that name, or none of its rows belongs to a conversation",
            )
        }
    }
}

/// Ids that are given again.
fn rewound(case: &Case<'_>) -> Option<Event> {
    let (was, is) = case.numbers("counted")?;
    // Where a restart forgets numbers that were handed out and not used, and where another server
    // hands out its own, those in use count.
    let in_use = case.before.number("highest").map(|highest| highest + 1);
    let is_own = case.is_restarted() || case.is_elsewhere();
    if is >= was || in_use.is_some_and(|in_use| is >= in_use && is_own) {
        return None;
    }
    let severity = if case.is_lost() {
        Severity::Error
    } else {
        Severity::Warning
    };
    let why = format!("its id counter was at {was}, and is now at {is}");
    Some(Event::of(codes::REWOUND, severity, why))
}

fn altered(case: &Case<'_>) -> Option<Event> {
    let why = "its columns, keys, indexes or triggers have changed";
    (case.changed("schema") == Some(true)).then(|| Event::of(codes::SCHEMA, Severity::Note, why))
}
