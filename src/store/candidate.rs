//! Candidates for the place of the chats.

use super::Mapping;
use super::score::Why;

/// A guess must be so much better than the next one.
const MARGIN: i32 = 3;

/// A mapping that may be the right one.
#[derive(Debug, Clone)]
pub struct Candidate {
    pub mapping: Mapping,
    /// How much speaks for it; presets that fit stand above all guesses.
    pub score: i32,
    /// What does.
    pub why: Why,
}

impl Candidate {
    /// Whether so much more speaks for it that the other one is out of the question.
    pub fn beats(&self, other: &Self) -> bool {
        self.score >= other.score + MARGIN
    }
}

/// A text that was found in a column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ColumnMatch {
    pub table: String,
    pub column: String,
    /// In how many rows.
    pub rows: i64,
}
