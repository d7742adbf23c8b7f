//! `pgmigrations` of node-pg-migrate 8: the names of the files without their ending.

use super::{Column, History, Recognition, no_checksums, read_names};
use crate::migrate::source::Migration;

/// The row of node-pg-migrate.
pub const HISTORY: History = History {
    tool: "node-pg-migrate",
    table: "pgmigrations",
    columns: &[Column::Text("name"), Column::Text("run_on")],
    order: "id",
    recognition: Recognition {
        by_columns: false,
        exact: false,
        ..Recognition::ANY
    },
    read: read_names,
    checksums: no_checksums,
    names,
};

fn names(file: &Migration) -> Vec<String> {
    vec![file.recorded_as.clone().unwrap_or_else(|| file.stem())]
}
