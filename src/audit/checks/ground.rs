//! What a check stands on: the store, its mapping, and what was asked for.

use super::Cause;
use super::Check;
use crate::db::Db;
use crate::model::Column;
use crate::model::Table;
use crate::report::Severity;
use crate::store::Allowed;
use crate::store::Mapping;
use crate::store::Shape;

/// What was asked for.
#[derive(Debug, Clone)]
pub struct Asked {
    /// Now, in microseconds since 1970 UTC.
    pub now: i64,
    /// Only what is not older than this, in microseconds since 1970 UTC.
    pub since: Option<i64>,
    /// What is younger than this many microseconds may still be under way.
    pub grace: i64,
    /// How many of each are named.
    pub examples: usize,
    /// Tables that the migrations make, when a folder of them was named.
    pub expected: Option<Vec<String>>,
}

/// What a check stands on.
pub struct Ground<'a> {
    /// The store.
    pub db: &'a dyn Db,
    /// Its tables.
    pub schema: &'a [Table],
    /// Where the chats are.
    pub mapping: &'a Mapping,
    /// What was asked for.
    pub asked: &'a Asked,
}

impl Ground<'_> {
    /// Whether something is old enough to be finished; what has no time is.
    pub fn is_over(&self, time: Option<i64>) -> bool {
        time.is_none_or(|time| time <= self.asked.now.saturating_sub(self.asked.grace))
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
        match spared && self.mapping.allows(Allowed::Delete) {
            true => cause.severity.min(Severity::Warning),
            false => cause.severity,
        }
    }
}

/// Why texts can't be looked into, if so.
pub(super) fn opaque(ground: &Ground<'_>) -> Option<&'static str> {
    (ground.mapping.store().shape == Shape::Opaque)
        .then_some("what the store holds can only be read by its writer")
}
