//! What each engine's catalogue shows an ordinary user about its tables, as queries whose rows have
//! one shape.

use super::evidence::Facts;
use super::safety::{Durability, MayDrop};
use super::sentinel::Arm;
use super::{Db, Tried, WordIndex};
use crate::model::{Cell, Nulls};

/// The questions of a backend.
#[derive(Debug)]
pub struct Catalog {
    /// A row a table: name, estimated rows, bytes with its indexes, last write, evidence of its
    /// identity; NULL is unknown.
    pub tables: &'static str,
    /// A row a part of a table: table, what the part is, name, type, whether it may be NULL,
    /// default, definition.
    pub parts: &'static str,
    /// Whose word the last write is.
    pub last_write: &'static str,
    /// A row a column of the tables that a bare name does not mean, as far as the login may read
    /// them. None where there are no such tables.
    pub elsewhere: Option<Elsewhere>,
    /// A row a kind of connection to this database that is not chatctl's: who, how many. None where
    /// a database has no connections.
    pub sessions: Option<&'static str>,
    /// The first column of every index of the table `?` that holds all its rows.
    pub first_columns: &'static str,
    /// A row a foreign key that nothing keeps: 0 for one that a row breaks, 1 for one that is not
    /// checked, 2 for a table whose engine keeps none; the table; what else is known.
    pub loose_keys: &'static str,
    /// The text types without a length that are limited, and their most bytes.
    pub limited_texts: &'static [(&'static str, usize)],
    /// Whether values are compared with those of the same type only.
    pub is_strict: bool,
    /// Where rows without a value come in an order.
    pub nulls: Nulls,
    /// Whether several transactions write at once, so that one may commit long after it took its keys.
    pub commits_late: bool,
    /// Whether a snapshot says which transactions were running when it was taken.
    pub lists_running: bool,
    /// A row a database or schema of the same server that this login may see. None where a database
    /// has no server.
    pub neighbours: Option<&'static str>,
    /// When the database was started.
    pub started: Started,
    /// What distinguishes its tables from others.
    pub evidence: Facts,
    /// How a table is armed with a sentinel.
    pub arm: Arm,
    /// What allows this login to drop a table. None where a database has no logins.
    pub may_drop: Option<MayDrop>,
    /// What decides whether a commit outlives the machine.
    pub durability: Durability,
    /// How its SQL is written.
    pub spelling: Spelling,
    /// What this user may do beyond reading. None where a database has no users.
    pub power: Option<Power>,
    /// The index of words on a column of a table `m`. None where the engine has none.
    pub word_index: Option<FindWordIndex>,
    /// Fails if the pages of a table are damaged although its rows can be read. None where the
    /// engine itself fails then.
    pub intact: Option<Intact>,
    /// Whether a statement reads a whole table. None where the engine can't be asked.
    pub scans: Option<Scans>,
    /// Where rows of a table are stored, as conditions on it. None where that can't be asked for.
    pub stretches: Option<Stretches>,
    /// A value as a client reads it, where a table may keep it in another character set.
    pub as_read: fn(&str) -> String,
    /// A number of 64 bits made of expressions of a row. None where reading the row is cheaper.
    pub number_of: Option<fn(&[String]) -> String>,
}

/// Tables that a bare name does not mean.
#[derive(Debug)]
pub struct Elsewhere {
    /// A row a column: schema or database, table, column, type.
    pub columns: &'static str,
    /// What to do to have bare names mean those of a schema or database, as an instruction.
    pub reach: fn(&str) -> String,
}

/// When a database was started, as a query whose last value tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Started {
    /// Nobody knows.
    Unknown,
    /// At this time.
    At(&'static str),
    /// So many seconds ago.
    SecondsAgo(&'static str),
}

/// How an engine's SQL is written, where engines differ.
#[derive(Debug)]
pub struct Spelling {
    /// An identifier, quoted.
    pub quote: fn(&str) -> String,
    /// A column's value as text that compares by its characters.
    pub text_of: fn(&str) -> String,
    /// See [`super::Db::like`].
    pub like: fn(&str) -> String,
    /// Whether the text in a column holds the text of the placeholder `?`, letter by letter.
    pub holds: fn(&str) -> String,
    /// How many characters the text in a column has.
    pub characters: fn(&str) -> String,
}

/// An identifier in the quotes of standard SQL.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A column's value as a text of standard SQL.
pub(super) fn as_text(column: &str) -> String {
    format!("CAST({column} AS TEXT)")
}

/// Answers [`super::Db::power`].
pub(super) type Power = for<'a> fn(&'a dyn Db) -> Tried<'a, Option<String>>;

/// Answers [`super::Db::intact`], for a table.
pub(super) type Intact = for<'a> fn(&'a dyn Db, &'a str) -> Tried<'a, ()>;

/// Answers [`super::Db::word_index`], for a table and a column.
pub(super) type FindWordIndex =
    for<'a> fn(&'a dyn Db, &'a str, &'a str) -> Tried<'a, Option<WordIndex>>;

/// Answers [`super::Db::scans`], for a statement and its values.
pub(super) type Scans = for<'a> fn(&'a dyn Db, &'a str, &'a [Cell]) -> Tried<'a, bool>;

/// Answers [`super::Db::stretches`], for a table and how many are wanted.
pub(super) type Stretches = for<'a> fn(&'a dyn Db, &'a str, usize) -> Tried<'a, Vec<String>>;
