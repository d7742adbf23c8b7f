//! The context of a check: the store, its mapping, and the requested options.

use super::{Cause, Check};
use crate::db::Db;
use crate::model::{Column, Table};
use crate::report::Severity;
use crate::store::{Allowed, Mapping, Shape};
use std::collections::BTreeMap;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Now, in microseconds since 1970 UTC.
    pub now: i64,
    /// Only what is not older than this, in microseconds since 1970 UTC.
    pub since: Option<i64>,
    /// Only what is not younger than this, in microseconds since 1970 UTC.
    pub until: Option<i64>,
    /// What is younger than this many microseconds may still be under way.
    pub grace: i64,
    /// How many of each a finding names.
    pub examples: usize,
    /// How many of each are kept as rows; not less.
    pub keep: usize,
    /// What is at least as bad fails the run.
    pub fail_on: Severity,
    /// How many of a code are accepted.
    pub accepted: BTreeMap<&'static str, u64>,
    /// Tables that the migrations make, when a folder of them was named.
    pub expected: Option<Vec<String>>,
}

/// Whether a time is between these, if there is one.
pub(super) fn is_between(since: Option<i64>, until: Option<i64>, time: Option<i64>) -> bool {
    let is_old = since.zip(time).is_some_and(|(since, time)| time < since);
    let is_new = until.zip(time).is_some_and(|(until, time)| time > until);
    !is_old && !is_new
}

/// What a check reads.
pub struct CheckContext<'a> {
    /// The store.
    pub db: &'a dyn Db,
    /// Its tables.
    pub schema: &'a [Table],
    /// Where the chats are.
    pub mapping: &'a Mapping,
    /// What was asked for.
    pub asked: &'a Asked,
}

/// Whether something can be finished by now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Age {
    /// It is older than the grace.
    Over,
    /// It is younger, and may be under way.
    Young,
    /// It has no time, or one after now: nothing shows how old it is.
    Unknown,
}

/// Clocks of two machines may differ by so much, in microseconds.
pub(super) const CLOCKS: i64 = 5_000_000;

impl CheckContext<'_> {
    /// How old something is.
    pub fn age(&self, time: Option<i64>) -> Age {
        match time.map(|time| self.asked.now.saturating_sub(time)) {
            Some(age) if age >= self.asked.grace => Age::Over,
            Some(age) if age >= -CLOCKS => Age::Young,
            Some(_) | None => Age::Unknown,
        }
    }

    /// Whether something may not be under way any more.
    pub fn is_over(&self, time: Option<i64>) -> bool {
        self.age(time) != Age::Young
    }

    /// A column of a table that the mapping names.
    pub fn column(&self, table: &str, name: &str) -> Option<&Column> {
        let table = self.schema.iter().find(|known| known.name == table)?;
        table.column(name)
    }

    /// The tables that the mapping reads.
    pub fn tables(&self) -> Vec<&str> {
        let store = self.mapping.store();
        let others = [
            store.conversation.as_ref().map(|place| &place.table),
            store.parts.as_ref().map(|parts| &parts.table),
        ];
        let mut tables = vec![store.table()];
        tables.extend(others.into_iter().flatten().map(String::as_str));
        tables.dedup();
        tables
    }

    /// Where users may delete, what is left over of it, or follows it, is untidy and no loss.
    pub(super) fn severity(&self, check: &Check, cause: &Cause) -> Severity {
        let orphan = check.code == super::orphan_message::CHECK.code;
        let follower = check.code == super::branch_broken::CHECK.code;
        let spared = orphan || follower && cause.name == "parent-missing";
        if spared && self.mapping.allows(Allowed::Delete) {
            cause.severity.min(Severity::Warning)
        } else {
            cause.severity
        }
    }
}

/// Why texts can't be looked into, if so.
pub(super) fn opaque(context: &CheckContext<'_>) -> Option<&'static str> {
    (context.mapping.store().shape == Shape::Opaque)
        .then_some("only the application can read the contents of this store")
}
