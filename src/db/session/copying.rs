//! Which tables a run fills from which others, as the texts of its statements tell: with the origin of
//! a row gone, what may be a copy of it is the users'. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// A table may hold what came from another one. Names are in lower case and without a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Copying {
    /// The table that is filled.
    pub into: String,
    /// The table that it is filled from.
    pub from: String,
    /// Words among which are the columns that are filled; none when whole rows are.
    pub columns: Option<BTreeSet<String>>,
}

/// The columns that may be copies, by the table; none where whole rows may be.
pub type Reached = BTreeMap<String, Option<BTreeSet<String>>>;

/// What may hold copies of these tables, also by way of another table.
pub fn reached(all: &[Copying], mut from: BTreeSet<String>) -> Reached {
    let mut found = Reached::new();
    loop {
        let known = (from.len(), found.clone());
        for copying in all.iter().filter(|it| from.contains(&it.from)) {
            let old = found.remove(&copying.into);
            let columns = match (old, &copying.columns) {
                (Some(None), _) | (_, None) => None,
                (None, Some(new)) => Some(new.clone()),
                (Some(Some(old)), Some(new)) => Some(&old | new),
            };
            found.insert(copying.into.clone(), columns);
        }
        from.extend(found.keys().cloned());
        if known == (from.len(), found.clone()) {
            return found;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Copying, reached};

    #[test]
    fn copies_of_copies_are_reached() {
        let link = |into: &str, from: &str, columns: &[&str]| Copying {
            into: into.to_owned(),
            from: from.to_owned(),
            columns: (!columns.is_empty())
                .then(|| columns.iter().map(|it| (*it).to_owned()).collect()),
        };
        let all = [
            link("c", "b", &["x"]),
            link("b", "a", &[]),
            link("c", "b", &["y"]),
            link("d", "other", &[]),
        ];
        let found = reached(&all, ["a".to_owned()].into());
        let columns = ["x", "y"].map(str::to_owned).into();
        assert_eq!(
            found,
            [("b".to_owned(), None), ("c".to_owned(), Some(columns))].into()
        );
    }
}
