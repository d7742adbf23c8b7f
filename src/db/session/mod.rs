//! Connections that run migrations: one per backend, behind [`Session`].
//!
//! They block, in a separate thread: a migration is one statement after another.

pub(super) mod copying;
pub(super) mod derived;
mod failed;
mod foreign_key;
pub(super) mod measured;
mod object;
pub(super) mod witness;

use super::Target;
use crate::model::{Actions, Cell, Compared, Content, Names, Numbering, Shape, Successor};
pub use copying::{Copying, Reached, reached};
pub use failed::{Failed, Why};
pub use foreign_key::ForeignKey;
pub(in crate::db) use object::{
    COMPUTED, COUNTER, DEFAULT, FOREIGN_KEY, KEEPS_APART, KEY, NOT_NULL, NUMBER, ON_DELETE,
    POLICIES, POLICY, UNIQUE, columns_of, computes,
};
pub use object::{Needs, Object, SWITCHED_OFF};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Whether a missing database is created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// It is created, if a database is a file.
    Create,
    /// It is an error.
    Fail,
    /// It is an error, and nothing is ever written: not even a write-ahead log is folded in.
    Look,
}

/// The number of a table, a role, and what it may do.
pub type Reader = (u64, String, Access);

/// What a role may do with rows of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Access {
    /// Read some.
    Read,
    /// Update some.
    Update,
    /// Update, but it finds none to update: nothing is done, and it is no error.
    UpdateOfNone,
}

/// How long a session waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waits {
    /// For a lock that a statement needs.
    pub lock: Duration,
    /// For a statement; zero disables the limit.
    pub statement: Duration,
}

impl Waits {
    /// For chatctl's own queries and small writes.
    pub const SHORT: Self = Self {
        lock: Duration::from_secs(5),
        statement: Duration::ZERO,
    };
}

/// A row that refers to no row by one of its foreign keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Orphan {
    /// The table that has it.
    pub child: String,
    /// The table that the key leads to.
    pub parent: String,
    /// The columns of the key in its own table.
    pub columns: Vec<String>,
    /// Its number, if it has one.
    pub row: Option<i64>,
    /// The values of these columns, as far as they can be read.
    pub values: Vec<String>,
}

impl Orphan {
    /// The tables, by which case never tells two apart.
    pub fn tables(&self) -> [String; 2] {
        [&self.child, &self.parent].map(|it| it.to_ascii_lowercase())
    }

    /// The columns, in the same way.
    pub fn columns(&self) -> Vec<String> {
        let columns = self.columns.iter();
        columns.map(|it| it.to_ascii_lowercase()).collect()
    }

    pub fn words(&self) -> String {
        let row = self
            .row
            .map_or_else(|| "a row".to_owned(), |row| format!("row {row}"));
        let (child, parent, columns) = (&self.child, &self.parent, self.columns.join("`, `"));
        format!("{row} of `{child}` refers to no row of `{parent}` by `{columns}`")
    }
}

/// What a bare name means in a session that begins later.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Whose session: a role, or nobody that has settings of its own.
    pub role: String,
    pub name: String,
    /// The table or view, by its number,
    pub id: u64,
    /// by its name in reports,
    pub shown: String,
    /// and with its schema, for a statement.
    pub quoted: String,
    /// Whether it is a view.
    pub is_view: bool,
}

/// How precisely tables are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Every value of every row.
    Values,
    /// How many rows there are, and how many values in each column.
    Counts,
}

/// The isolation of a transaction from concurrent commits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// What each statement finds.
    ReadCommitted,
    /// What there was when it began.
    RepeatableRead,
    /// The same, and it fails where the order of transactions would count.
    Serializable,
}

/// What is said where a server finds another number of statements than went to it together.
pub(super) const DIVIDED: &str =
    "the server does not divide the file into the statements that chatctl found in it";

/// A longer statement goes alone: it costs more than its way, and servers limit a message.
pub(super) const SHORT: usize = 8 << 10;

/// Stops the running statement, from another thread.
pub type Interrupter = Box<dyn Fn() + Send + Sync>;

/// A separate connection that may change the schema. Dropping it rolls back the open transaction
/// and releases the migration lock.
pub trait Session: Send {
    fn command(&mut self, sql: &str) -> Result<(), Failed>;

    /// Runs one statement of chatctl's own with values, each for a `?`.
    fn write(&mut self, sql: &str, args: &[Cell]) -> anyhow::Result<()>;

    /// The rows that a statement returns.
    fn rows(&mut self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>>;

    /// Runs one statement of a migration, unless it would bypass the measurement.
    fn run(&mut self, statement: &str) -> Result<(), Failed>;

    /// Whether a statement of a migration may go to the database together with others.
    fn goes_with_others(&self, _statement: &str) -> bool {
        false
    }

    /// Runs such statements one after another. Where one fails, the error has its number.
    fn run_all(&mut self, statements: &[&str]) -> Result<(), (usize, Failed)> {
        let mut numbered = statements.iter().enumerate();
        numbered.try_for_each(|(number, it)| self.run(it).map_err(|failed| (number, failed)))
    }

    /// A table's name, quoted; a schema before it is quoted by itself.
    fn quote(&self, name: &str) -> String;

    /// Tries to acquire the migration lock; false while another replica holds it.
    fn lock_migrations(&mut self) -> anyhow::Result<bool>;

    /// Lets other migrators look, but no other chatctl migrate, until the lock is taken again: who
    /// waits for it in the database would be waited for by a statement that waits for everybody.
    fn yield_migration_lock(&mut self) -> anyhow::Result<()>;

    /// Begins a transaction; where only one connection writes, from here on it is this one.
    fn begin(&mut self) -> Result<(), Failed>;

    /// Commits, with the next statement where that can be: each way to the database and back costs more.
    fn commit_with_next(&mut self) -> Result<(), Failed> {
        self.command("COMMIT")
    }

    /// Whether the transaction that was begun last finds the database as this connection left it: nobody
    /// else has committed anything since it looked last, by the engine's own account of transactions.
    fn is_undisturbed(&self) -> bool {
        false
    }

    /// Begins a transaction that sees the database as of one moment. These tables are locked before
    /// that moment, so that no row comes into them that it does not see.
    fn begin_isolated(&mut self, _level: Isolation, _hold: &[String]) -> Result<(), Failed> {
        Err(Failed::because("this database has no such transaction"))
    }

    /// Whether nobody can have written a table between the moment that the transaction sees and its lock.
    fn is_locked_in_time(&self, table: &str) -> bool;

    /// Whether the engine acts on foreign keys while statements run: it deletes what hangs on a row
    /// that goes. Off where the engine would take a rebuild for a deletion, until it is asked for;
    /// outside of a transaction only. Most engines always do.
    fn enforce_keys(&mut self, enforced: bool) -> Result<(), Failed>;

    /// Every table that holds rows itself, by name.
    fn catalog(&mut self) -> anyhow::Result<Vec<Shape>>;

    /// The same of the tables that have one of these names.
    fn shapes(&mut self, tables: &[&str]) -> anyhow::Result<Vec<Shape>> {
        let (mut shapes, names) = (self.catalog()?, self.names());
        shapes.retain(|shape| tables.iter().any(|it| names.tables.same(it, &shape.name)));
        Ok(shapes)
    }

    /// The names of a table's columns, in the schema that a bare name means; none where there is no
    /// such table. It costs less than the whole catalogue.
    fn columns(&mut self, table: &str) -> anyhow::Result<Option<Vec<String>>>;

    /// The names of a view's columns.
    fn shows(&mut self, view: &str) -> anyhow::Result<Vec<String>>;

    /// The view that has the name of a table which is gone, to be compared with it.
    fn view_of(&mut self, _gone: &Shape) -> anyhow::Result<Option<Shape>> {
        Ok(None)
    }

    /// An expression that is equal only for equal values of a column, whatever its collation.
    fn exact(&self, column: &str) -> String;

    /// Every index, trigger and view.
    fn objects(&mut self) -> anyhow::Result<BTreeSet<Object>>;

    /// The actions of the database itself: triggers, rules and events.
    fn actions(&mut self) -> anyhow::Result<Actions>;

    /// What bare names mean in sessions that begin later; none where they can mean one thing only.
    fn found_by_new_sessions(&mut self) -> anyhow::Result<Vec<Found>> {
        Ok(Vec::new())
    }

    /// What each role may do with rows of each table; none where it does not matter.
    fn readers(&mut self) -> anyhow::Result<BTreeSet<Reader>> {
        Ok(BTreeSet::new())
    }

    /// How far the columns and sequences have come whose numbers the database gives.
    fn numberings(&mut self) -> anyhow::Result<Vec<Numbering>>;

    /// Rows that refer to none; none where the engine lets no such row be.
    fn orphans(&mut self) -> anyhow::Result<Vec<Orphan>> {
        Ok(Vec::new())
    }

    /// The foreign keys that lead to any of these tables.
    fn keys_to(&mut self, parents: &BTreeSet<&str>) -> anyhow::Result<Vec<ForeignKey>>;

    /// What chatctl can't inspect, in words.
    fn unlooked(&mut self) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// The columns of which a backup has the values with fewer digits than the database.
    fn rounded(&mut self) -> anyhow::Result<Vec<String>> {
        Ok(Vec::new())
    }

    /// The schema, one normalised line or block an object: what two databases of the same
    /// migrations have in common.
    fn schema(&mut self) -> anyhow::Result<Vec<String>>;

    /// The same for tables of these names, those that are not there left out; none where the engine
    /// gives the schema as a whole.
    fn schema_of(&mut self, _tables: &[&str]) -> anyhow::Result<Option<Vec<String>>> {
        Ok(None)
    }

    /// Resets the session settings that a file made, so that the next file does not see them.
    fn reset(&mut self) -> Result<(), Failed>;

    /// How names are distinguished.
    fn names(&self) -> Names;

    /// The rows that a statement gives as the statements of a migration see them, before they commit.
    fn seen(&mut self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        self.rows(sql)
    }

    /// On a copy: a run begins, with these tables as they are, and with those of their columns that
    /// were there before it. Rows that an earlier run put there, and that are as it left them, are the
    /// run's.
    fn begins(&mut self, _tables: Vec<Shape>, _seeds: BTreeMap<String, Seeds>) {}

    /// On a copy: the rows that the run inserted into older tables.
    fn placed(&mut self) -> anyhow::Result<Placed> {
        Ok(Placed::default())
    }

    /// The same rows in the database itself; `None` if it has any other.
    fn found(&mut self, _rows: &PlacedRows) -> anyhow::Result<Option<Seeds>> {
        Ok(None)
    }

    /// On a copy: a file begins that can reach these tables only, for the server refuses all others.
    fn reaches(&mut self, _tables: BTreeSet<String>) {}

    /// The tables that a file begins with; on a copy without those that the run itself made.
    fn before(&mut self) -> anyhow::Result<Vec<Shape>> {
        self.catalog()
    }

    /// On a copy: the tables that were there before the run, with the columns of then, as they are
    /// called now.
    fn older(&mut self) -> Vec<Shape> {
        Vec::new()
    }

    /// Whether a transaction of the migration's own statements is open.
    fn is_in_transaction(&mut self) -> anyhow::Result<bool>;

    /// How many rows the statements of a migration changed, one after another, since the file began
    /// or it was asked last; nothing where that is not noted.
    fn changed(&mut self) -> Vec<u64> {
        Vec::new()
    }

    /// Compares a table with another one that should hold its rows, both as they are now; none where
    /// that can't be.
    fn compare_with(
        &mut self,
        _shape: &Shape,
        _other: &Successor,
    ) -> anyhow::Result<Option<Compared>> {
        Ok(None)
    }

    /// The same under the locks of a file, which keep all other connections from the tables.
    fn compare_locked(
        &mut self,
        _shape: &Shape,
        _other: &Successor,
    ) -> anyhow::Result<Option<Compared>> {
        Ok(None)
    }

    /// A file, or a part of one, begins: from here on it is noted what the statements touch. What
    /// these tables hold is kept now; others keep from writing them until the transaction ends.
    fn watch(&mut self, keep: &[Shape], measure: Measure) -> Result<(), Failed>;

    /// Lets happen now what the engine would do at COMMIT only: a deferred trigger may delete too.
    fn fire_deferred(&mut self) -> Result<(), Failed>;

    /// The tables of the beginning of [`Session::watch`] whose rows or values may be other ones or
    /// gone by what this connection did since, by the engine's own evidence.
    fn touched(&mut self) -> anyhow::Result<BTreeSet<String>>;

    /// Whether the engine's evidence tells what statements do to chatctl's own tables: not where chatctl
    /// itself has written them in the same transaction.
    fn tells_of_own(&self) -> bool {
        false
    }

    /// Whether, by that evidence, no row of chatctl's own tables can be another one since the watch
    /// began, and nothing can hang on them that did not.
    fn spares_own(&self) -> bool {
        false
    }

    /// Whether, by the same evidence, every index, trigger and view that was there is there still.
    fn keeps_objects(&self) -> bool {
        false
    }

    /// Compares what a table held before with what it has become, row by row and byte by byte; as
    /// often as it is asked. None when what it held can't be had any more: then the statements have
    /// to be taken back, and run once more with it kept.
    fn compare(
        &mut self,
        shape: &Shape,
        successor: Option<&Successor>,
    ) -> anyhow::Result<Option<Compared>>;

    /// Which tables the run copies from and to.
    fn copies(&mut self, _all: Vec<Copying>) {}

    /// A table was renamed, and a new one has its name, which was compared in its place: the rows of the
    /// renamed one stay the users' as well.
    fn keep_aside(&mut self, _table: &str) {}

    /// Keeps the compared state, and drops the saved one.
    fn accept(&mut self) -> anyhow::Result<()>;

    /// Whether more statements of the run follow: they may change what it made until then.
    fn more_follows(&mut self, _more_follows: bool) {}

    /// The rows and values that the run made so far, for a later run; none when they are too many,
    /// or when the engine's session does not know them.
    fn remembered(&self) -> Option<String> {
        None
    }

    /// What an earlier, unfinished run made.
    fn recall(&mut self, _text: &str) {}

    /// Labels of enums and names of fields when the run began, by their numbers, where they are others now.
    fn labels(&mut self) -> anyhow::Result<BTreeMap<u64, String>> {
        Ok(BTreeMap::new())
    }

    /// Labels when an earlier, unfinished run began.
    fn labels_were(&mut self, _first: BTreeMap<u64, String>) {}

    /// What would run when chatctl writes its own tables, in words; empty where the engine says so
    /// of each statement.
    fn history(&mut self) -> anyhow::Result<String>;

    /// About how large a table is, in bytes.
    fn size(&mut self, table: &str) -> anyhow::Result<u64>;

    /// Stops a statement that runs, from another thread.
    fn interrupter(&self) -> Interrupter;
}

/// Rows of a table that a run put there, by a digest of all their values.
#[derive(Debug, Clone, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Seeds {
    /// The columns that are in the digests.
    pub columns: Vec<String>,
    /// One digest a row.
    pub rows: BTreeSet<String>,
}

/// What a run put on a copy into tables of before.
#[derive(Debug, Default)]
pub struct Placed {
    /// The rows, of each table that has such.
    pub rows: Vec<PlacedRows>,
    /// Tables in which such rows count as the users' from now on.
    pub taken: BTreeSet<String>,
}

/// The rows that a run put into one table of a copy, by what they have in the database itself too.
#[derive(Debug, Default)]
pub struct PlacedRows {
    pub table: String,
    /// Its key, and the values that each row has in it.
    pub key: Vec<String>,
    /// One list a row.
    pub keys: Vec<Vec<String>>,
    /// Columns that tell when a row was written, which is another time in the database itself.
    pub clocks: Vec<String>,
    /// The other columns.
    pub columns: Vec<String>,
    /// A digest of the others, one a row.
    pub digests: Vec<String>,
    /// When the file began, which put them there.
    pub since: String,
}

/// A copy of a database of MySQL that migrations are tried on.
#[derive(Debug, Clone, Copy)]
pub struct Copied<'a> {
    /// The copy, for the user who may reach nothing else.
    pub confined: &'a Target,
    /// The copy, for the user who made it.
    pub keeper: &'a Target,
    /// The database with what the tables held before.
    pub images: &'a str,
    /// Whether nothing that is written there goes through the binary log.
    pub quiet: bool,
}

/// What a connection is opened to.
#[derive(Debug, Clone, Copy)]
pub enum Door<'a> {
    Database(&'a Target),
    Copy(Copied<'a>),
}

/// The tables that chatctl alone writes: they are no part of a schema, and no migration's to change.
pub const OWN: [&str; 2] = [HISTORY, "_chatctl_journal"];

/// The history of versions: of these, a migration may delete rows of versions without a file.
pub const HISTORY: &str = "_sqlx_migrations";

/// What a line of a schema says behind `: ` where this user may not read what it is of.
pub const UNREAD: &str = "this user may not read it";

/// What a file may set by PRAGMA for its own statements: the next file begins with all of them off, and a
/// resumed one sets them again.
pub const SESSION_PRAGMAS: [&str; 5] = [
    "case_sensitive_like",
    "ignore_check_constraints",
    "legacy_alter_table",
    "recursive_triggers",
    "reverse_unordered_selects",
];

/// The counts of a table next to those that were kept of it.
pub(super) fn by_counts(
    was: &Content,
    shape: &Shape,
    successor: Option<&Successor>,
    count: impl FnOnce(&str, &[String]) -> anyhow::Result<Content>,
) -> anyhow::Result<Compared> {
    let Some(now) = successor else {
        return Ok(was.compared(&Content::default(), &vec![None; was.filled.len()]));
    };
    let names: Vec<_> = now
        .columns
        .iter()
        .map(|(_, new)| new.name.clone())
        .collect();
    let places: Vec<_> = shape
        .columns
        .iter()
        .map(|column| now.columns.iter().position(|(old, _)| old == column))
        .collect();
    Ok(was.compared(&count(&now.table, &names)?, &places))
}

/// How the names of copies begin that were saved.
const IMAGES: &str = "chatctl_before_";

pub(super) fn image_name(number: usize) -> String {
    format!("{IMAGES}{number}")
}

/// The numbers of a row of counts.
pub(super) fn numbers(row: &[Cell]) -> Vec<u64> {
    let number = |cell: &Cell| match cell {
        Cell::Int(number) => u64::try_from(*number).unwrap_or(0),
        Cell::Text(text) => text.parse().unwrap_or(0),
        _ => 0,
    };
    row.iter().map(number).collect()
}

/// The counts of a comparison: rows before, rows that are missing, and for each column of before
/// its values, those that became NULL and those that changed.
pub(super) fn compared(row: &[Cell]) -> Compared {
    let numbers = numbers(row);
    let (first, rest) = numbers.split_at(numbers.len().min(2));
    Compared {
        before: first.first().copied().unwrap_or(0),
        missing: first.get(1).copied().unwrap_or(0),
        columns: rest
            .chunks(3)
            .map(|counts| crate::model::ComparedColumn {
                filled: counts[0],
                nulled: counts.get(1).copied().unwrap_or(0),
                changed: counts.get(2).copied().unwrap_or(0),
                ..Default::default()
            })
            .collect(),
        ..Compared::default()
    }
}
