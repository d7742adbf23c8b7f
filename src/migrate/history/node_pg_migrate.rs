//! `pgmigrations` of node-pg-migrate 8: the names of the files without their ending.

use super::{History, read_names};
use crate::migrate::source::Migration;

/// The row of node-pg-migrate.
pub const HISTORY: History = History {
    order: "id",
    read: read_names,
    names,
    ..History::of("node-pg-migrate", "pgmigrations", &["name", "run_on"])
};

fn names(file: &Migration) -> Vec<String> {
    vec![file.recorded_as.clone().unwrap_or_else(|| file.stem())]
}
