//! The four verdicts and their order.

use serde::{Deserialize, Serialize};
use std::fmt;

/// The verdict on a case. The greater one wins when verdicts are joined: an undecided case must
/// not hide a proven loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// The gate showed the order.
    Proven,
    /// A weaker method found nothing wrong.
    Held,
    /// Undecided, with a reason. A probe that fails is never a pass.
    Inconclusive,
    /// The check would have been unsafe; nothing was done.
    Refused,
    /// A promise was broken, with evidence.
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
