//! `changelog` of MyBatis Migrations: the numbers before the names.

use super::{History, Recognition};

/// The row of MyBatis.
pub const HISTORY: History = History {
    recognition: Recognition {
        exact: true,
        ..Recognition::ANY
    },
    ..History::of("mybatis", "changelog", &["id", "description", "applied_at"])
};
