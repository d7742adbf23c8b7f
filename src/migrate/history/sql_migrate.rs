//! `gorp_migrations` of sql-migrate: the names of the files.

use super::{History, file_names, read_names};

/// The row of sql-migrate.
pub const HISTORY: History = History {
    read: read_names,
    names: file_names,
    ..History::of("sql-migrate", "gorp_migrations", &["id", "applied_at"])
};
