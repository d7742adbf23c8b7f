//! Reading a database: the operations of a backend's connection, behind [`Db`].

use super::{Catalog, Query, Target};
use crate::model::{Cell, CellRef, Table};
use std::fmt;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::time::Duration;

/// A boxed future, so that the traits can be used behind `dyn`.
pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A boxed future that may fail.
pub type Tried<'a, T> = BoxFuture<'a, anyhow::Result<T>>;

/// A callback for each row, which may stop the read.
pub type Each<'a> = &'a mut (dyn FnMut(&[CellRef<'_>]) -> anyhow::Result<ControlFlow<()>> + Send);

/// A database, read-only: nothing done through it can change the store.
pub trait Db: Send + Sync {
    /// The target database.
    fn target(&self) -> &Target;

    /// The user's tables.
    fn schema(&self) -> Tried<'_, Vec<Table>>;

    /// The rows that a statement returns.
    fn rows<'a>(&'a self, sql: &'a str, args: &'a [Cell]) -> Tried<'a, Vec<Vec<Cell>>>;

    /// Passes the rows of a statement to `each`, one after another, until it stops.
    fn scan<'a>(&'a self, sql: &'a str, args: &'a [Cell], each: Each<'a>) -> Tried<'a, ()>;

    /// Runs a person's query on a separate connection that cannot change anything.
    ///
    /// # Errors
    ///
    /// Besides those of any read: the query is wrong, takes too long, or is refused.
    fn query(&self, query: Query) -> Tried<'_, ()>;

    /// Why a commit to this database may not be visible here at once; `None` if it is.
    fn lags(&self) -> Tried<'_, Option<String>> {
        Box::pin(async { Ok(None) })
    }

    /// A separate connection that may write; `wait` limits how long a statement waits for a lock.
    fn writer(&self, wait: Duration) -> Tried<'_, Box<dyn Writer>>;
}

/// What the row of its engine answers for a database.
impl dyn Db + '_ {
    /// The queries of its catalogue.
    pub fn catalog(&self) -> &'static Catalog {
        super::catalog(self.target().engine())
    }

    /// What this user may do beyond reading, in words that end a sentence; `None` if that is
    /// little, or if the database has no users.
    pub async fn power(&self) -> anyhow::Result<Option<String>> {
        match self.catalog().power {
            Some(ask) => ask(self).await,
            None => Ok(None),
        }
    }

    /// An identifier, quoted.
    pub fn quote(&self, name: &str) -> String {
        (self.catalog().spelling.quote)(name)
    }

    /// A column's value as text that compares by its characters.
    pub fn text_of(&self, column: &str) -> String {
        (self.catalog().spelling.text_of)(column)
    }

    /// Whether the text in a column is like the pattern of the placeholder `?`, in any case as far
    /// as ASCII goes; `!` makes the next character plain.
    pub fn like(&self, column: &str) -> String {
        (self.catalog().spelling.like)(column)
    }

    /// Whether the text in a column holds the text of the placeholder `?`, letter by letter.
    pub fn holds(&self, column: &str) -> String {
        (self.catalog().spelling.holds)(column)
    }

    /// The index by which words in a column of table `m` are found; none is the rule.
    pub async fn word_index(&self, table: &str, column: &str) -> anyhow::Result<Option<WordIndex>> {
        match self.catalog().word_index {
            Some(find) => find(self, table, column).await,
            None => Ok(None),
        }
    }

    /// Fails if the pages of a table are damaged, whether or not its rows can be read.
    pub async fn intact(&self, table: &str) -> anyhow::Result<()> {
        match self.catalog().intact {
            Some(ask) => ask(self, table).await,
            None => Ok(()),
        }
    }

    /// Whether a statement reads a whole table; nothing where the engine can't be asked.
    pub async fn scans(&self, sql: &str, args: &[Cell]) -> anyhow::Result<Option<bool>> {
        match self.catalog().scans {
            Some(ask) => ask(self, sql, args).await.map(Some),
            None => Ok(None),
        }
    }

    /// Conditions on table `m` that cut it into `count` stretches of what it is stored in, or fewer:
    /// each row is in exactly one. None where rows have no place that can be asked for.
    pub async fn stretches(
        &self,
        table: &str,
        count: usize,
    ) -> anyhow::Result<Option<Vec<String>>> {
        match self.catalog().stretches {
            Some(cut) => cut(self, table, count).await.map(Some),
            None => Ok(None),
        }
    }

    /// A value of this expression as a client reads it, whatever the character set that keeps it.
    pub fn as_read(&self, expression: &str) -> String {
        (self.catalog().as_read)(expression)
    }

    /// A number of 64 bits that the engine makes of these expressions of a row, to be added up; none
    /// where reading the row is cheaper.
    pub fn number_of(&self, expressions: &[String]) -> Option<String> {
        self.catalog().number_of.map(|number| number(expressions))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WordIndex {
    pub name: String,
    /// That the words of the placeholder `?`, in double quotes, are in a row of table `m`.
    pub condition: String,
}

/// A connection that may write.
pub trait Writer: Send {
    /// Runs one or more statements.
    fn execute<'a>(&'a mut self, sql: &'a str) -> BoxFuture<'a, Result<(), WriteError>>;

    /// Runs one statement with values.
    fn write<'a>(
        &'a mut self,
        sql: &'a str,
        args: &'a [Cell],
    ) -> BoxFuture<'a, Result<(), WriteError>>;

    /// The first value of the first row that a statement returns.
    fn value<'a>(&'a mut self, sql: &'a str) -> Tried<'a, Cell>;
}

/// Why a statement of a [`Writer`] failed.
#[derive(Debug)]
pub enum WriteError {
    /// Another connection holds a lock that it needs.
    Busy,
    /// The database can't be written.
    ReadOnly,
    /// Anything else.
    Other(anyhow::Error),
}

impl fmt::Display for WriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Busy => f.write_str("the database is locked by another connection"),
            Self::ReadOnly => f.write_str("the database is read-only"),
            Self::Other(error) => write!(f, "{error:#}"),
        }
    }
}

impl std::error::Error for WriteError {}

/// What a read sees, and whom it blocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// What is committed by then.
    Live,
    /// That, or what was committed a little before: where a read keeps others from writing for as
    /// long as it lasts, a copy is read.
    Unobtrusive,
}
