//! `schema_migrations` of Supabase, in a schema of its own.

use super::{History, Recognition};

/// The row of Supabase.
pub const HISTORY: History = History {
    recognition: Recognition {
        schema: Some("supabase_migrations"),
        ..Recognition::ANY
    },
    ..History::of("supabase", "schema_migrations", &["version"])
};
