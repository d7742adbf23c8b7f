//! Migrations: folders of several tools, applied and pending versions, and how to apply them.

pub mod acknowledged;
pub mod apply;
pub mod backup;
pub mod drift;
pub mod history;
pub mod intent;
pub mod journal;
pub mod later;
pub mod ledger;
pub mod plan;
pub mod preserve;
pub mod restore;
pub mod source;

/// The codes of what `migrate` finds in a run, a plan and a status.
pub static CODES: &[&str] = &[
    "column-lost",
    "destroys-later",
    "destructive-statement",
    "foreign-history",
    "implicit-commit",
    "migration-changed",
    "migration-failed",
    "migration-missing",
    "migration-out-of-order",
    "migration-unfinished",
    "numbers-given-again",
    "objects-lost",
    "rows-lost",
    "rows-unreadable",
    "schema-drift",
    "table-lost",
    "table-volatile",
    "times-read-as-utc",
    "unused-acknowledgement",
    "values-changed",
    "values-lost",
    "view-takes-no-rows",
];

pub use crate::db::dialect;
