//! What a database does by itself, without a statement that requests it.

use std::collections::BTreeMap;

/// A trigger, a rule, an event, or a setting of new sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    /// What it is, in words: ``trigger `trim` on `messages` ``.
    pub title: String,
    /// Its table, by its name in reports; an event has none.
    pub table: Option<String>,
    /// What fires it.
    pub on: Vec<On>,
    /// Whether it runs before or instead of the write, and so decides what is stored.
    pub decides: bool,
    /// The condition that it has besides its statements, in SQL.
    pub condition: Option<String>,
    /// The names for the rows that fired it, if it runs once per statement.
    pub transitions: Transitions,
    /// Its statements.
    pub body: Body,
}

/// The tables in which a trigger that is run once for a statement finds the rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Transitions {
    /// As they were.
    pub old: Option<String>,
    /// As they are.
    pub new: Option<String>,
}

/// The statements of something that the database runs by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// In SQL, or in the engine's own language around it.
    Statements(String),
    /// They can't be read.
    Unread {
        /// The obstacle, in words that follow the name of the action.
        why: String,
        /// What distinguishes them from others, if anything does.
        text: String,
    },
    /// What it does to all rows, in words that come before the name of a table.
    Harms(String),
}

/// What fires an [`Action`].
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
    /// A table or something else is made, altered or dropped.
    Definition,
    /// A session begins.
    Session,
}

/// All actions of a database.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Actions {
    /// Those that are not switched off.
    pub all: Vec<Action>,
    /// The routines that they may call, by names in lower case. Several may have one name.
    pub routines: BTreeMap<String, Vec<Body>>,
}

impl Actions {
    /// These actions, and the routines by their names.
    pub fn new(all: Vec<Action>, routines: impl IntoIterator<Item = (String, Body)>) -> Self {
        let mut actions = Self {
            all,
            routines: BTreeMap::new(),
        };
        for (name, body) in routines {
            actions.routines.entry(name).or_default().push(body);
        }
        actions
    }
}
