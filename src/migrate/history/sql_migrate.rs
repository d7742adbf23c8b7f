//! `gorp_migrations` of sql-migrate: the names of the files.

use super::{Column, History, Recognition, file_names, no_checksums, read_names};

/// The row of sql-migrate.
pub const HISTORY: History = History {
    tool: "sql-migrate",
    table: "gorp_migrations",
    columns: &[Column::Text("id"), Column::Text("applied_at")],
    order: "id",
    recognition: Recognition {
        by_columns: false,
        exact: false,
        ..Recognition::ANY
    },
    read: read_names,
    checksums: no_checksums,
    names: file_names,
};
