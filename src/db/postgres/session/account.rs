//! Which transactions had ended at a given moment.

use std::collections::BTreeSet;

/// Which transactions were over at one moment, as the server's own account has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Account {
    /// From this number on no transaction was over.
    end: u64,
    /// Those before it that were not over, but for this connection's own.
    open: BTreeSet<u64>,
    /// The numbers that this connection has used.
    pub(super) ours: BTreeSet<u64>,
}

impl Account {
    /// From `pg_current_snapshot()`: `first:end:open,open`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split(':').skip(1);
        let end = parts.next()?.parse().ok()?;
        let open = parts.next()?.split(',').filter(|it| !it.is_empty());
        Some(Self {
            end,
            open: open.map(|it| it.parse().ok()).collect::<Option<_>>()?,
            ours: BTreeSet::new(),
        })
    }

    /// Whether no transaction came to its end until then but this connection's own.
    pub(super) fn goes_on_as(&self, now: &Self) -> bool {
        let over = self.end..now.end;
        self.open == now.open && over.clone().count() <= self.ours.len() && self.own_all(over)
    }

    fn own_all(&self, mut numbers: std::ops::Range<u64>) -> bool {
        numbers.all(|number| self.ours.contains(&number))
    }

    pub(super) fn is_as(&self, other: &Self) -> bool {
        (self.end, &self.open) == (other.end, &other.open)
    }
}

#[cfg(test)]
mod tests {
    use super::Account;

    fn account(text: &str, ours: &[u64]) -> Account {
        Account {
            ours: ours.iter().copied().collect(),
            ..Account::parse(text).unwrap()
        }
    }

    #[test]
    fn nobody_else_committed_where_only_own_numbers_came_to_their_end() {
        let left = account("100:100:", &[100, 101]);
        for (now, goes_on) in [
            // The own transaction, with and without its savepoint.
            ("101:101:", true),
            ("102:102:", true),
            // One more is over, or one that was open then.
            ("103:103:", false),
            ("100:102:101", false),
        ] {
            assert_eq!(left.goes_on_as(&account(now, &[])), goes_on, "{now}");
        }
        let with_another = account("90:100:90", &[100]);
        assert!(with_another.goes_on_as(&account("90:101:90", &[])));
        assert!(!with_another.goes_on_as(&account("101:101:", &[])));
        // A number that is not over yet is nobody's commit, and one that was never given is not ours.
        assert!(!account("100:100:", &[]).goes_on_as(&account("101:101:", &[])));
    }

    #[test]
    fn a_text_that_is_no_account_is_none() {
        for text in ["", "1", "1:x:", "1:2:y", "1:2"] {
            assert_eq!(Account::parse(text), None, "{text}");
        }
    }
}
