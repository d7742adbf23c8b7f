//! The four verdicts and their order.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a case showed. The greater wins when verdicts are joined:
/// a loss that was proven must not be hidden by a case that could not look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The order was shown by the gate.
    Proven,
    /// Nothing wrong was seen, by a weaker method.
    Held,
    /// It could not be decided; the reason is given. A probe that fails is never a pass.
    Inconclusive,
    /// Looking would have been unsafe; nothing was done.
    Refused,
    /// A promise was broken, and the evidence is given.
    Violated,
}

impl Verdict {
    /// The word used in every format.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proven => "proven",
            Self::Held => "held",
            Self::Inconclusive => "inconclusive",
            Self::Violated => "violated",
            Self::Refused => "refused",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn a_violation_outweighs_what_could_not_be_decided() {
        assert!(Verdict::Violated > Verdict::Refused);
        assert!(Verdict::Refused > Verdict::Inconclusive);
        assert!(Verdict::Inconclusive > Verdict::Held);
        assert!(Verdict::Held > Verdict::Proven);
    }
}
