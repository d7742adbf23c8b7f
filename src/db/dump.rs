//! Dumps: how an engine writes, verifies and restores a whole database.

use super::{Session, Target};
use crate::cli_error;
use crate::cli_error::CliError;
use std::collections::BTreeSet;
use std::path::Path;

/// What an engine does with a dump.
pub struct Dump {
    /// How the names of its files end.
    pub ending: &'static str,
    /// Writes the database into a file that is there and empty.
    pub write: fn(&Target, &Path) -> anyhow::Result<()>,
    /// Reads a dump to its end, and refuses one that is not complete.
    pub check: fn(&Target, &Path) -> anyhow::Result<()>,
    /// The tables that are in a dump, by their bare names.
    pub tables: fn(&Target, &Path) -> anyhow::Result<BTreeSet<String>>,
    /// Makes the database what it was at the dump.
    pub restore: Restore,
}

/// How a database becomes what it was at a dump: what came since goes too.
pub enum Restore {
    /// All at once, or not at all.
    AtOnce(fn(&Target, &Path) -> anyhow::Result<()>),
    /// Nothing can be taken back, so the dump must work on an empty database first.
    AfterTrial {
        /// Writes the database without its rows.
        outline: fn(&Target, &Path) -> anyhow::Result<()>,
        /// Loads a dump of the second database into the first one.
        try_out: fn(&Target, &Target, &Path) -> anyhow::Result<()>,
        /// Whether a message says that this user may not do something: another one may.
        is_denied: fn(&str) -> bool,
        /// Whether a message says that the user of a trial may not write into another database.
        leaves: fn(&str) -> bool,
        /// Loads a dump into its database.
        load: fn(&Target, &Path) -> anyhow::Result<()>,
        /// Statements that drop what the database has and another one, by its name, has not.
        newer: fn(&mut dyn Session, &str) -> anyhow::Result<Vec<String>>,
    },
}

/// Whatever the reason is: without a good dump going on would be unsafe.
pub fn refused(what: &str, error: &anyhow::Error) -> CliError {
    let (_, hint) = cli_error::classify(error);
    CliError::refused(format!("{what}: {error:#}")).hint(hint.unwrap_or(
        "`chatctl migrate history` lists the backups; the database's own log may have the reason",
    ))
}

/// A dump that is not used, and why.
pub(super) fn wrong(path: &Path, why: &str) -> anyhow::Error {
    CliError::refused(format!("the backup `{}` {why}", path.display()))
        .hint("restore another one: `chatctl migrate history` lists the backups")
        .into()
}

/// The refusal where a dump can't be restored from.
pub fn unusable(error: &anyhow::Error) -> CliError {
    refused("the backup cannot be used, so nothing was changed", error)
}
