//! Numbers that a database gives to new rows.

/// A column whose numbers the database itself gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedColumn {
    /// The table, by its name in reports.
    pub table: String,
    pub column: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sequence {
    /// Its name in reports.
    pub name: String,
    /// What an acknowledgement has to name.
    pub subject: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Numbered {
    /// A column, by itself.
    Column(NumberedColumn),
    /// A column, by a sequence.
    BySequence(NumberedColumn, Sequence),
    /// What an application, a trigger or a function asks a sequence for.
    Sequence(Sequence),
}

impl Numbered {
    /// The column, if it is one.
    pub const fn column(&self) -> Option<&NumberedColumn> {
        match self {
            Self::Column(column) | Self::BySequence(column, _) => Some(column),
            Self::Sequence(_) => None,
        }
    }

    /// The sequence, if there is one.
    pub const fn sequence(&self) -> Option<&Sequence> {
        match self {
            Self::Column(_) => None,
            Self::BySequence(_, sequence) | Self::Sequence(sequence) => Some(sequence),
        }
    }
}

/// How far numbers have come that the database gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    pub of: Numbered,
    /// Whether no number was given yet, as far as the database knows.
    pub unused: bool,
    /// The number that comes next.
    pub next: i64,
    /// The number that is written down as the last one, where that says more than `next`.
    pub last: Option<i64>,
    /// How far apart two numbers are; below zero where they fall.
    pub step: i64,
    /// Whether a crash of the server sets it back to its beginning.
    pub volatile: bool,
}

impl Numbering {
    /// Whether it may give numbers that were given when it was another one.
    pub const fn is_set_back(&self, was: &Self) -> bool {
        match (was.falls(), self.falls()) {
            (false, false) => self.next < was.next,
            (true, true) => self.next > was.next,
            (false, true) | (true, false) => true,
        }
    }

    /// Whether it gives numbers again, where this is the number of a row that it comes to last.
    pub fn gives_again(&self, was: &Self, farthest: i64, rebuilt: bool) -> bool {
        // It goes the other way, and away from all rows.
        let leaves = was.falls() != self.falls()
            && if self.falls() {
                self.next < farthest
            } else {
                self.next > farthest
            };
        self.is_set_back(was) && !leaves && !self.follows(farthest, rebuilt)
    }

    /// Whether the numbers fall.
    pub const fn falls(&self) -> bool {
        self.step < 0
    }

    /// Whether it continues behind the number that is the farthest of those that are there, as
    /// someone set it, or as a table does that was rebuilt: then no row that is there is met, and
    /// what was behind it is given again on purpose.
    fn follows(&self, farthest: i64, rebuilt: bool) -> bool {
        let is_next = self.next == farthest.saturating_add(self.step);
        is_next && (rebuilt || self.last == Some(farthest))
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbered, NumberedColumn, Numbering};

    fn numbering(next: i64, last: Option<i64>, step: i64) -> Numbering {
        let column = NumberedColumn {
            table: "messages".to_owned(),
            column: "id".to_owned(),
        };
        Numbering {
            of: Numbered::Column(column),
            unused: false,
            next,
            last,
            step,
            volatile: false,
        }
    }

    #[test]
    fn numbers_follow_the_farthest_one_where_somebody_says_so() {
        assert!(numbering(8, Some(7), 1).follows(7, false));
        assert!(numbering(8, None, 1).follows(7, true));
        assert!(numbering(17, Some(7), 10).follows(7, false));
        assert!(numbering(-8, Some(-7), -1).follows(-7, false));
        // Forgotten, met, and with a gap that was not there.
        assert!(!numbering(8, None, 1).follows(7, false));
        assert!(!numbering(1, Some(0), 1).follows(7, true));
        assert!(!numbering(9, Some(8), 1).follows(7, false));
        assert!(!numbering(-6, Some(-5), -1).follows(-7, true));
    }

    #[test]
    fn numbers_are_set_back_against_the_way_that_they_go() {
        let (rises, falls) = (
            |next| numbering(next, None, 1),
            |next| numbering(next, None, -1),
        );
        assert!(rises(1).is_set_back(&rises(8)));
        assert!(!rises(9).is_set_back(&rises(8)));
        assert!(falls(-1).is_set_back(&falls(-8)));
        assert!(!falls(-9).is_set_back(&falls(-8)));
        assert!(falls(7).gives_again(&rises(8), 1, false));
        assert!(!falls(-1).gives_again(&rises(8), 1, false));
    }
}
