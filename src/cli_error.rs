//! The error of a command: its kind decides the exit code, and its hint names the next step.

use crate::outcome::Outcome;
use std::fmt;

/// Why a command stopped before it had a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The user's input is wrong.
    Usage,
    /// The thing to look at could not be looked at.
    Unreachable,
    /// Going on would be unsafe.
    Refused,
    /// A signal asked to stop.
    Interrupted,
}

/// An error with its kind and the next step. Its text is a lower-case fragment
/// with operands in backticks; the hint is something that can be done or pasted.
#[derive(Debug)]
pub struct CliError {
    /// Decides the exit code.
    pub kind: Kind,
    /// What went wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// Whether it may work a little later though nobody does anything: a server that is starting.
    pub passing: bool,
}

impl CliError {
    /// The user's input is wrong (exit code 2).
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The thing could not be looked at (exit code 3).
    pub fn unreachable(message: impl Into<String>) -> Self {
        Self::new(Kind::Unreachable, message)
    }

    /// Going on would be unsafe (exit code 4).
    pub fn refused(message: impl Into<String>) -> Self {
        Self::new(Kind::Refused, message)
    }

    /// A signal asked to stop (exit code 130).
    pub fn interrupted() -> Self {
        Self::new(Kind::Interrupted, "interrupted")
    }

    fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            hint: None,
            passing: false,
        }
    }

    /// It may work a little later.
    #[must_use]
    pub fn passing(mut self) -> Self {
        self.passing = true;
        self
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl fmt::Display for CliError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for CliError {}

/// What was done when something failed, and what to do about it: the context of an error.
#[derive(Debug)]
pub struct Doing {
    /// What was done: `reading X`.
    pub what: String,
    /// What to do about it.
    pub hint: String,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// Whether an error may be over a little later.
pub fn is_passing(error: &anyhow::Error) -> bool {
    let mut stops = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<CliError>());
    stops.any(|stop| stop.passing)
}

/// The outcome and the hint of any error: one without a [`CliError`] in its chain
/// means that something could not be looked at.
pub fn classify(error: &anyhow::Error) -> (Outcome, Option<&str>) {
    let Some(stop) = error
        .chain()
        .find_map(|cause| cause.downcast_ref::<CliError>())
    else {
        let doing = error.downcast_ref::<Doing>();
        return (Outcome::Undecided, doing.map(|doing| doing.hint.as_str()));
    };
    let outcome = match stop.kind {
        Kind::Usage => Outcome::Usage,
        Kind::Unreachable => Outcome::Undecided,
        Kind::Refused => Outcome::Refused,
        Kind::Interrupted => Outcome::Interrupted,
    };
    (outcome, stop.hint.as_deref())
}

/// An error and what to do about it, for a report: there is no other place for its hint.
pub fn with_hint(error: &anyhow::Error) -> String {
    match classify(error).1 {
        Some(hint) => format!("{error:#}; {hint}"),
        None => format!("{error:#}"),
    }
}
