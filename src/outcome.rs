//! How a run ends: the exit codes, in one documented place.

use crate::report::{Report, Verdict};
use std::process::ExitCode;

/// The end of a run. Scripts rely on the numbers; they never change meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Everything asked for was checked and holds.
    Pass,
    /// Checked, and at least one finding of level error was shown.
    Fail,
    /// The command line, a session or the configuration is wrong.
    Usage,
    /// Could not look: unreachable, timeout, unreadable, ambiguous.
    Undecided,
    /// It would have been unsafe; nothing was done.
    Refused,
    /// Something is left to be done (`migrate plan` and `migrate status` only).
    Pending,
    /// Stopped by a signal, locks given back.
    Interrupted,
}

/// The table of `--help` and of the README.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  pass         everything asked for was checked and holds
    1  fail         a promise is broken, and the report shows it
    2  usage        the command line, a session or the configuration is wrong
    3  undecided    not decided: unreachable, timeout, unreadable, ambiguous
    4  refused      the action would have been unsafe; nothing was done
   10  pending      migrations are pending (migrate plan, migrate status)
  130  interrupted  stopped by a signal; locks were released
Treat every other code as a failure.";

impl Outcome {
    /// The number that the shell sees.
    pub const fn code(self) -> u8 {
        match self {
            Self::Pass => 0,
            Self::Fail => 1,
            Self::Usage => 2,
            Self::Undecided => 3,
            Self::Refused => 4,
            Self::Pending => 10,
            Self::Interrupted => 130,
        }
    }
}

impl Outcome {
    /// Its name in the table.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Usage => "usage",
            Self::Undecided => "undecided",
            Self::Refused => "refused",
            Self::Pending => "pending",
            Self::Interrupted => "interrupted",
        }
    }
}

impl From<Verdict> for Outcome {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Proven | Verdict::Held => Self::Pass,
            Verdict::Inconclusive => Self::Undecided,
            Verdict::Violated => Self::Fail,
            Verdict::Refused => Self::Refused,
        }
    }
}

impl From<&Report> for Outcome {
    fn from(report: &Report) -> Self {
        match report.verdict().into() {
            Self::Pass if report.pending => Self::Pending,
            outcome => outcome,
        }
    }
}

impl From<Outcome> for ExitCode {
    fn from(outcome: Outcome) -> Self {
        Self::from(outcome.code())
    }
}

#[cfg(test)]
mod tests {
    use super::{EXIT_CODES, Outcome};

    #[test]
    fn every_code_is_in_the_table() {
        let all = [
            Outcome::Pass,
            Outcome::Fail,
            Outcome::Usage,
            Outcome::Undecided,
            Outcome::Refused,
            Outcome::Pending,
            Outcome::Interrupted,
        ];
        for outcome in all {
            let number = format!("{:>3}  {} ", outcome.code(), outcome.word());
            assert!(
                EXIT_CODES
                    .lines()
                    .any(|line| line.starts_with(&format!("  {number}"))),
                "{outcome:?}"
            );
        }
    }
}
