//! Which cases a run plays.

use crate::cli_error::CliError;

/// How much is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Suite {
    /// The order, failing saves, and a client that leaves at the final marker.
    Quick,
    /// Also the main points at which a turn can be broken off.
    Full,
    /// Every point, in every way.
    Sweep {
        /// Each N-th event of an answer is a point.
        every: usize,
    },
}

/// The names, as `--suite` takes them.
pub static SUITES: [&str; 3] = ["quick", "full", "sweep"];

impl Suite {
    /// In how many conversations turns are under way at the same time.
    pub const CHATS: usize = 4;

    /// The suite of that name.
    ///
    /// # Errors
    /// When the events are chosen for a suite that does not have them all.
    pub fn named(name: &str, every: Option<usize>) -> Result<Option<Self>, CliError> {
        let suite = match name {
            "quick" => Self::Quick,
            "full" => Self::Full,
            "sweep" => Self::Sweep {
                every: every.unwrap_or(1),
            },
            _ => return Ok(None),
        };
        match (suite, every) {
            (Self::Quick | Self::Full, Some(_)) => Err(CliError::usage(format!(
                "--sweep-every needs --suite sweep: --suite {name} does not interrupt answers at every event"
            ))
            .hint("add --suite sweep")),
            _ => Ok(Some(suite)),
        }
    }
}
