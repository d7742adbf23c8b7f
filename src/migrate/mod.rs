//! Migrations: folders of several tools, what is applied, and what is to be done.

pub mod history;
mod intent;
pub mod ledger;
pub mod plan;
pub mod preserve;
pub mod source;
pub mod sqlite;

/// The codes of what `migrate` finds in a run and in a plan.
pub static CODES: &[&str] = &[
    "column-lost",
    "destructive-statement",
    "migration-failed",
    "objects-lost",
    "rows-lost",
    "table-lost",
    "values-changed",
    "values-lost",
];
