//! `schema_migrations` of dbmate 2: one text column.

use super::{History, Recognition};

/// The row of dbmate.
pub const HISTORY: History = History {
    recognition: Recognition {
        exact: true,
        // Rails has a table with this name and column too, and this one next to it.
        unless: &["ar_internal_metadata"],
        ..Recognition::ANY
    },
    ..History::of("dbmate", "schema_migrations", &["version"])
};
