//! Numbers that a database gives to new rows.

/// How far a column has come whose numbers the database itself gives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbering {
    /// The table, by its name in reports.
    pub table: String,
    /// The column.
    pub column: String,
    /// The number that comes next.
    pub next: i64,
    /// The number that is written down as the last one, where that says more than `next`.
    pub last: Option<i64>,
}

impl Numbering {
    /// Whether it goes on behind the highest number that is there, as someone set it, or as a table does
    /// that was rebuilt: then no row that is there is met, and what was above is given again on purpose.
    pub fn follows(&self, most: i64, rebuilt: bool) -> bool {
        self.next == most.saturating_add(1) && (rebuilt || self.last == Some(most))
    }
}

#[cfg(test)]
mod tests {
    use super::Numbering;

    #[test]
    fn numbers_follow_the_highest_one_where_somebody_says_so() {
        let numbering = |next, last| Numbering {
            table: "messages".to_owned(),
            column: "id".to_owned(),
            next,
            last,
        };
        assert!(numbering(8, Some(7)).follows(7, false));
        assert!(numbering(8, None).follows(7, true));
        // Forgotten, met, and with a gap that was not there.
        assert!(!numbering(8, None).follows(7, false));
        assert!(!numbering(1, Some(0)).follows(7, true));
        assert!(!numbering(9, Some(8)).follows(7, false));
    }
}
