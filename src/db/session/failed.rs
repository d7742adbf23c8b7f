//! Why a statement of a migration failed.

use std::fmt;

/// A statement that failed.
#[derive(Debug)]
pub struct Failed {
    /// What the database said, or why the statement was not let through.
    pub message: String,
    /// Where in the statement, in characters from 0, when the database says so.
    pub at: Option<usize>,
    /// Whether another connection held a lock that it needs: it may work a little later.
    pub busy: bool,
    /// Whether the connection is gone, so that nobody said anything of the statement.
    pub lost: bool,
    /// What kind of error it is.
    pub why: Why,
}

/// What an error of a database is about, where that makes a difference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// A value that does not fit where it is to go.
    Value,
    /// The locks of the session, under which the statement can't run.
    Locks,
    /// Anything else.
    Other,
}

impl Failed {
    pub(crate) fn because(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            at: None,
            busy: false,
            lost: false,
            why: Why::Other,
        }
    }

    /// Whether PostgreSQL or SQLite say that they run the statement outside of transactions only.
    pub fn needs_no_transaction(&self) -> bool {
        const WORDS: [&str; 3] = [
            "cannot run inside a transaction block",
            "from within a transaction",
            "may not be changed inside a transaction",
        ];
        WORDS.iter().any(|words| self.message.contains(words))
    }

    /// An error of chatctl's own as that of a statement; what the database said stays what it is.
    pub(crate) fn of(error: anyhow::Error) -> Self {
        match error.downcast() {
            Ok(failed) => failed,
            Err(error) => Self::because(format!("{error:#}")),
        }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failed {}

#[cfg(test)]
mod tests {
    use super::Failed;

    #[test]
    fn what_runs_outside_of_transactions_only_is_known_by_what_the_engine_says() {
        for (message, needs) in [
            ("cannot VACUUM from within a transaction", true),
            (
                "cannot change into wal mode from within a transaction",
                true,
            ),
            ("Safety level may not be changed inside a transaction", true),
            (
                "CREATE INDEX CONCURRENTLY cannot run inside a transaction block",
                true,
            ),
            ("no such table: transaction", false),
        ] {
            let failed = Failed::because(message);
            assert_eq!(failed.needs_no_transaction(), needs, "{message}");
        }
    }
}
