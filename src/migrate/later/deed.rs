//! What an action does to a table, and how it is known again.

use crate::model::On;

/// Something that an action does to a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deed {
    /// The table, by its name in reports.
    pub table: String,
    /// The column, where it overwrites one.
    pub column: Option<String>,
    /// What does it, and when, in words.
    pub words: String,
    /// How surely it is this table.
    pub target: Target,
    /// What the values of the column have to be for it to be harm.
    pub only: Only,
    /// How far it reaches each time.
    pub extent: Extent,
    /// Whether it deletes rows one by one, so that those go too which refer to them.
    pub deletes: bool,
    /// The statement, by which it is known again.
    pub(super) text: String,
    /// When it happens, by which it is known again, too.
    pub(super) occasion: Occasion,
}

/// What sets a deed off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Occasion {
    /// The table that its action hangs on.
    pub(super) table: Option<String>,
    pub(super) on: Vec<On>,
    /// Whether the action, or its body, asks for more than that.
    pub(super) asked: bool,
}

impl Occasion {
    /// Whether it comes on no more occasions than another one.
    fn is_within(&self, other: &Self) -> bool {
        self.table == other.table
            && self.on.iter().all(|on| other.on.contains(on))
            && (self.asked || !other.asked)
    }
}

/// Which values a deed takes something from: those that are there tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Only {
    All,
    /// Those of the rows that meet a condition, in SQL, which calls each of them by a name: `new`
    /// or `old`.
    Met {
        row: &'static str,
        condition: String,
    },
    /// Those of some rows, and nobody can tell which.
    Some,
    /// Those of a column in which most rows have a value of their own, as texts of users are; not a state or
    /// a kind, of which there are few.
    Different,
    /// Those of a column in which there are more values than one.
    Several,
    /// Those with more characters than these.
    Longer(u64),
    /// Those of a column that was there before.
    Former,
    /// Those of a foreign key in which there are more values than one.
    Reference,
    /// The same, if none of them is NULL: a row may get its value later.
    Filled,
}

/// How many rows of a table a deed takes each time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Nobody can tell.
    Any,
    /// One at most, which the new row of another table names by its key.
    One,
    /// None that is there: what is written to them from then on is not stored.
    New,
}

/// How surely a deed is done to a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Its text names the table.
    Named,
    /// Its text does not show which table it is: perhaps the one that it hangs on.
    Own,
    /// The same, and it may be any other.
    Any,
}

impl Deed {
    /// Whether another deed is the same one, done to the table that it hangs on.
    pub fn is_owned_as(&self, other: &Self) -> bool {
        let same = other.target == Target::Own && other.text == self.text;
        self.target == Target::Any && same
    }

    /// Whether the same was done before, and not on fewer occasions: what was made for rare ones
    /// may not come with every row. `renamed` gives the names that a table and its column have now.
    pub fn is_among(
        &self,
        before: &[Self],
        renamed: impl Fn(&str, Option<&str>) -> (String, Option<String>),
    ) -> bool {
        let own = (self.table.clone(), self.column.clone());
        before.iter().any(|deed| {
            let table = deed.occasion.table.as_deref();
            let was = Occasion {
                table: table.map(|table| renamed(table, None).0),
                ..deed.occasion.clone()
            };
            let is_there = (deed.table.clone(), deed.column.clone()) == own
                || renamed(&deed.table, deed.column.as_deref()) == own;
            is_there && deed.text == self.text && self.occasion.is_within(&was)
        })
    }

    /// The same deletion, for the rows of a table that go with those.
    pub fn of_dependant(&self, child: &str) -> Self {
        Self {
            table: child.to_owned(),
            words: format!("{}, and with them rows of `{child}`", self.words),
            extent: Extent::Any,
            ..self.clone()
        }
    }

    /// Whether it takes something from a table with these columns, of which each was there before.
    pub fn takes_from<'a>(&self, former: impl IntoIterator<Item = &'a str>) -> bool {
        let mut former = former.into_iter();
        self.only != Only::Former
            || former.any(|it| self.column.as_deref() == Some(it) && is_of_birth(it))
    }
}

/// Whether a column is named as the time at which its row was made, and not as that of its last change.
pub(super) fn is_of_birth(column: &str) -> bool {
    const OTHERS: [&str; 6] = ["creator", "upd", "modif", "chang", "seen", "last"];
    let lower = column.to_lowercase();
    let is_named = ["creat", "insert"].iter().any(|it| lower.starts_with(it));
    is_named && !OTHERS.iter().any(|it| lower.contains(it))
}
