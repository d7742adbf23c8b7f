//! `migrations` of rambler 5: the names of the files.

use super::{History, Recognition, file_names, read_names};

/// The row of rambler.
pub const HISTORY: History = History {
    recognition: Recognition {
        exact: true,
        ..Recognition::ANY
    },
    read: read_names,
    names: file_names,
    ..History::of("rambler", "migrations", &["migration"])
};
