//! `migrations` of rambler 5: the names of the files.

use super::{Column, History, Recognition, file_names, no_checksums, read_names};

/// The row of rambler.
pub const HISTORY: History = History {
    tool: "rambler",
    table: "migrations",
    columns: &[Column::Text("migration")],
    order: "migration",
    recognition: Recognition {
        by_columns: false,
        exact: true,
        ..Recognition::ANY
    },
    read: read_names,
    checksums: no_checksums,
    names: file_names,
};
