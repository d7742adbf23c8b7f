//! What a database does by itself, without a statement that asks for it.

use std::collections::BTreeMap;

/// A trigger, a rule or an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What it is, in words: ``trigger `trim` on `messages` ``.
    pub title: String,
    /// The table that it hangs on, by its name in reports; an event hangs on none.
    pub table: Option<String>,
    /// What sets it off.
    pub on: Vec<On>,
    /// Whether it runs before the row is written, or instead of it, and so decides what becomes of it.
    pub decides: bool,
    /// Whether it has a condition besides its statements.
    pub conditional: bool,
    /// Its statements.
    pub body: String,
}

/// What sets an [`Action`] off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum On {
    /// A row is inserted.
    Insert,
    /// A row is updated.
    Update,
    /// A row is deleted.
    Delete,
    /// Its time comes.
    Time,
}

/// All actions of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    /// Those that are not switched off.
    pub all: Vec<Action>,
    /// The statements of the routines that they may call, by names in lower case.
    pub routines: BTreeMap<String, String>,
}
