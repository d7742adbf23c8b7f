//! SQLite: the engine's authorizer reports which tables each statement can write.

mod actions;
mod catalog;
mod clauses;
mod derived;
mod guard;
mod lines;
mod modules;
mod read;
mod search;
#[cfg(test)]
mod tests;
mod words;

use super::file;
use super::file::Opened;
use super::values::{cell, value};
use crate::db::Target;
use crate::db::catalog::quoted;
use crate::db::session::measured::Measured as _;
use crate::db::session::witness::Witness;
use crate::db::session::{
    Copying, Failed, ForeignKey, Interrupter, Measure, Missing, OWN, Object, Orphan,
    SESSION_PRAGMAS, Session, Waits,
};
use crate::model::{Actions, Cell, Compared, Content, Names, Numbering, Shape, Successor};
use anyhow::Context as _;
use catalog::Looked;
use guard::Notes;
use rusqlite::fallible_iterator::FallibleIterator as _;
use rusqlite::hooks::{AuthContext, Authorization};
use rusqlite::{Batch, Connection, OpenFlags};
use search::Searched;
use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

pub(super) fn open(
    target: &Target,
    missing: Missing,
    waits: Waits,
) -> anyhow::Result<Box<dyn Session>> {
    Ok(Box::new(Sqlite::open(target, missing, waits)?))
}

struct Sqlite {
    connection: Opened,
    path: PathBuf,
    /// The schema as it was read last, where nothing was run since that may have changed it.
    looked: Option<Arc<Looked>>,
    /// The schema when the watch began.
    before: Arc<Looked>,
    /// What the authorizer saw since.
    notes: Arc<Mutex<Notes>>,
    /// When the transaction began, in seconds since 1970.
    began: i64,
    /// Whether foreign keys are acted on: then every table counts as touched.
    keys: bool,
    /// What the tables held.
    witness: Witness,
    /// The counts of those that are only counted, by their names.
    counts: BTreeMap<String, Content>,
    /// The search indexes among them.
    indexes: BTreeMap<String, Searched>,
    /// Views that have the names of tables which are gone.
    views: BTreeMap<String, Shape>,
}

impl Sqlite {
    fn open(target: &Target, missing: Missing, waits: Waits) -> anyhow::Result<Self> {
        let connection = match missing {
            Missing::Look => Opened::open(target, waits.lock)?,
            Missing::Create | Missing::Fail => {
                if missing == Missing::Fail || target.path().exists() {
                    file::is_there(target)?;
                }
                file::folder_is_there(target.path())?;
                let mut flags = OpenFlags::SQLITE_OPEN_NO_MUTEX;
                flags |= match (missing, target.read_only()) {
                    (_, true) => OpenFlags::SQLITE_OPEN_READ_ONLY,
                    (Missing::Create, false) => {
                        OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_CREATE
                    }
                    (_, false) => OpenFlags::SQLITE_OPEN_READ_WRITE,
                };
                let connection = Connection::open_with_flags(target.path(), flags);
                Opened::to_write(connection.with_context(|| format!("opening `{target}`"))?)
            }
        };
        connection.busy_timeout(waits.lock)?;
        // The table rebuild that generators write deletes the children of the old table when
        // foreign keys are on; inside of a transaction the pragma would do nothing.
        connection.execute_batch("PRAGMA foreign_keys = OFF")?;
        Ok(Self {
            connection,
            path: target.path().to_owned(),
            looked: None,
            before: Arc::default(),
            notes: Arc::default(),
            began: 0,
            keys: false,
            witness: Witness::new(read::form),
            counts: BTreeMap::new(),
            indexes: BTreeMap::new(),
            views: BTreeMap::new(),
        })
    }

    /// Runs a text, statement by statement as the engine divides it.
    fn run_each(&self, sql: &str) -> Result<(), Failed> {
        let mut batch = Batch::new(&self.connection, sql);
        while let Some(mut statement) = batch.next().map_err(|error| failed(&error))? {
            let mut rows = statement.raw_query();
            while rows.next().map_err(|error| failed(&error))?.is_some() {}
            drop(rows);
            let altered = std::mem::take(&mut self.notes().altered);
            for name in altered {
                if !self.only_grew(&name)? {
                    self.notes().written.insert(name);
                }
            }
        }
        Ok(())
    }

    /// Whether a table that was altered has its columns as before, and perhaps more: then its rows
    /// are as they were. What else ALTER TABLE does shows at once in names that are not there any more.
    fn only_grew(&self, name: &str) -> Result<bool, Failed> {
        let was = self
            .before
            .tables
            .iter()
            .find(|shape| shape.name.to_ascii_lowercase() == name);
        let Some(was) = was else { return Ok(true) };
        let sql = format!(
            "SELECT name FROM temp.pragma_table_xinfo({}, 'main') WHERE hidden = 0 ORDER BY cid",
            text_literal(name)
        );
        let mut statement = self
            .connection
            .prepare(&sql)
            .map_err(|error| failed(&error))?;
        let mut rows = statement.raw_query();
        for column in &was.columns {
            let row = rows.next().map_err(|error| failed(&error))?;
            let now = row.and_then(|row| row.get::<_, String>(0).ok());
            if now.as_ref() != Some(&column.name) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn begin_to_note(&mut self) -> anyhow::Result<()> {
        self.before = self.look()?;
        let replaces = self.before.replaces;
        let mut notes = self.notes();
        *notes = Notes::default();
        notes.replaces = replaces;
        Ok(())
    }

    fn notes(&self) -> std::sync::MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Session for Sqlite {
    fn command(&mut self, sql: &str) -> Result<(), Failed> {
        let is_mark = sql.starts_with("SAVEPOINT ") || sql.starts_with("RELEASE ");
        if !is_mark {
            self.looked = None;
        }
        self.connection
            .execute_batch(sql)
            .map_err(|error| failed(&error))
    }

    fn write(&mut self, sql: &str, args: &[Cell]) -> anyhow::Result<()> {
        self.connection
            .execute(sql, rusqlite::params_from_iter(args.iter().map(value)))?;
        Ok(())
    }

    fn rows(&mut self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        let mut statement = self.connection.prepare(sql)?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        let mut found = Vec::new();
        while let Some(row) = rows.next()? {
            let cells = (0..columns).map(|index| Ok(cell(row.get_ref(index)?)));
            found.push(cells.collect::<anyhow::Result<_>>()?);
        }
        Ok(found)
    }

    fn run(&mut self, statement: &str) -> Result<(), Failed> {
        self.looked = None;
        if vacuums(statement) {
            let why = if has_word(statement, "into") {
                Ok(None)
            } else {
                self.keeps_numbers()
            };
            if let Some(why) = why.map_err(|error| Failed::because(format!("{error:#}")))? {
                return Err(Failed::because(why));
            }
            return self.run_each(statement);
        }
        self.notes().denied = None;
        let notes = Arc::clone(&self.notes);
        let judge = move |context: AuthContext<'_>| {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.see(&context.action)
        };
        self.connection
            .authorizer(Some(judge))
            .map_err(|error| failed(&error))?;
        let done = self.run_each(statement);
        let freed = self
            .connection
            .authorizer(None::<fn(AuthContext<'_>) -> Authorization>);
        let why = self.notes().denied.take();
        match (done, why) {
            (Err(_), Some(why)) => Err(Failed::because(why)),
            (Err(failed), None) => Err(failed),
            (Ok(()), _) => freed.map_err(|error| failed(&error)),
        }?;
        let replaces = statement.to_ascii_lowercase().contains("replace");
        self.notes().replaces |= replaces;
        Ok(())
    }

    fn quote(&self, name: &str) -> String {
        format!("main.{}", quoted(name))
    }

    fn lock_migrations(&mut self) -> anyhow::Result<bool> {
        // Whoever has begun to write is the one.
        Ok(true)
    }

    fn begin(&mut self) -> Result<(), Failed> {
        self.command("BEGIN IMMEDIATE")?;
        let now = self.rows("SELECT CAST(strftime('%s', 'now') AS INTEGER)");
        let now = now.map_err(|error| Failed::because(format!("{error:#}")))?;
        self.began = now[0][0].int().unwrap_or(0);
        Ok(())
    }

    fn enforce_keys(&mut self, enforced: bool) -> Result<(), Failed> {
        let word = if enforced { "ON" } else { "OFF" };
        self.command(&format!("PRAGMA foreign_keys = {word}"))?;
        self.keys = enforced;
        Ok(())
    }

    fn catalog(&mut self) -> anyhow::Result<Vec<Shape>> {
        Ok(self.look()?.tables.clone())
    }

    fn columns(&mut self, table: &str) -> anyhow::Result<Option<Vec<String>>> {
        let rows = self.rows(&format!(
            "SELECT x.name FROM main.sqlite_master AS m, temp.pragma_table_xinfo(m.name, 'main') AS x \
             WHERE m.type = 'table' AND m.name = {} AND x.hidden = 0 ORDER BY x.cid",
            text_literal(table)
        ))?;
        let names: Vec<_> = rows.iter().map(|row| row[0].to_string()).collect();
        Ok(Some(names).filter(|names| !names.is_empty()))
    }

    fn shows(&mut self, view: &str) -> anyhow::Result<Vec<String>> {
        let view = text_literal(view);
        let rows = self.rows(&format!(
            "SELECT name FROM temp.pragma_table_info({view}, 'main')"
        ))?;
        Ok(rows.iter().map(|row| row[0].to_string()).collect())
    }

    fn exact(&self, column: &str) -> String {
        format!("quote({})", quoted(column))
    }

    fn view_of(&mut self, gone: &Shape) -> anyhow::Result<Option<Shape>> {
        self.view_in_place(gone)
    }

    fn objects(&mut self) -> anyhow::Result<BTreeSet<Object>> {
        self.all_objects()
    }

    fn actions(&mut self) -> anyhow::Result<Actions> {
        self.all_actions()
    }

    fn numberings(&mut self) -> anyhow::Result<Vec<Numbering>> {
        self.all_numberings()
    }

    fn orphans(&mut self) -> anyhow::Result<Vec<Orphan>> {
        self.all_orphans()
    }

    fn keys_to(&mut self, parents: &BTreeSet<&str>) -> anyhow::Result<Vec<ForeignKey>> {
        self.all_keys_to(parents)
    }

    fn unlooked(&mut self) -> anyhow::Result<Vec<String>> {
        self.all_unlooked()
    }

    fn schema(&mut self) -> anyhow::Result<Vec<String>> {
        self.lines()
    }

    fn reset(&mut self) -> Result<(), Failed> {
        // What is temporary is of the file's own connection.
        let temporary = self.rows(
            "SELECT type, name FROM temp.sqlite_master WHERE type IN ('trigger', 'view', 'table') \
             AND substr(name, 1, 7) <> 'sqlite_' ORDER BY type = 'table', instr(lower(sql), 'create virtual') <> 1",
        );
        for row in temporary.map_err(|error| Failed::because(format!("{error:#}")))? {
            let name = quoted(&row[1].to_string());
            self.command(&format!("DROP {} IF EXISTS temp.{name}", row[0]))?;
        }
        let off = SESSION_PRAGMAS.map(|name| format!("PRAGMA {name} = OFF"));
        self.command(&off.join("; "))
    }

    fn names(&self) -> Names {
        Names::SQLITE
    }

    fn watch(&mut self, keep: &[Shape], measure: Measure) -> Result<(), Failed> {
        self.begin_to_note()
            .map_err(|error| Failed::because(format!("{error:#}")))?;
        self.witness.begin();
        self.counts.clear();
        self.indexes.clear();
        self.views.clear();
        self.keep(keep, measure)
    }

    fn fire_deferred(&mut self) -> Result<(), Failed> {
        Ok(())
    }

    fn touched(&mut self) -> anyhow::Result<BTreeSet<String>> {
        let notes = self.notes();
        let of_virtual = |name: &str| {
            let owner = name.strip_suffix("_content").unwrap_or(name);
            let mut virtuals = self.before.virtuals.iter();
            virtuals.any(|it| *it == name || *it == owner) && notes.wrote_virtual(owner)
        };
        let touched = self.before.tables.iter().filter(|shape| {
            let added = self.witness.remembers() && notes.adds_to(shape);
            self.keys || added || of_virtual(&shape.name) || notes.touches(shape)
        });
        Ok(touched.map(|shape| shape.name.clone()).collect())
    }

    /// Nothing of a migration may write them, but it may delete from the history.
    fn tells_of_own(&self) -> bool {
        true
    }

    fn spares_own(&self) -> bool {
        let notes = self.notes();
        OWN.iter().all(|own| !notes.has_written(own))
    }

    fn size(&mut self, _table: &str) -> anyhow::Result<u64> {
        // SQLite keeps no size of a table; that of the file is an upper bound.
        Ok(std::fs::metadata(&self.path).map_or(0, |metadata| metadata.len()))
    }

    fn compare(
        &mut self,
        shape: &Shape,
        successor: Option<&Successor>,
    ) -> anyhow::Result<Option<Compared>> {
        self.compare_kept(shape, successor)
    }

    fn keep_aside(&mut self, table: &str) {
        self.witness.keep_aside(table);
    }

    fn copies(&mut self, all: Vec<Copying>) {
        self.witness.copies(all);
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        self.counts.clear();
        let mut after = Arc::default();
        if self.witness.remembers() {
            after = self.look()?;
            self.note_made(&after.tables)?;
        }
        self.witness.accept(&self.before.tables, &after.tables);
        Ok(())
    }

    fn more_follows(&mut self, more_follows: bool) {
        self.witness.more_follows(more_follows);
    }

    fn remembered(&self) -> Option<String> {
        self.witness.remembered()
    }

    fn recall(&mut self, text: &str) {
        self.witness.recall(text);
    }

    /// Nobody waits in the database for the lock.
    fn yield_migration_lock(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// No transaction sees a moment from before its locks.
    fn is_locked_in_time(&self, _table: &str) -> bool {
        true
    }

    /// No statement of a migration begins or ends one.
    fn is_in_transaction(&mut self) -> anyhow::Result<bool> {
        Ok(true)
    }

    /// The engine says it of each statement.
    fn history(&mut self) -> anyhow::Result<String> {
        Ok(String::new())
    }

    fn interrupter(&self) -> Interrupter {
        let handle = self.connection.get_interrupt_handle();
        Box::new(move || handle.interrupt())
    }
}

/// Whether it is one VACUUM and nothing else. It copies every table by way of an attached database
/// and a transaction of its own, all of which the authorizer would turn down.
fn vacuums(statement: &str) -> bool {
    let statement = statement.trim().trim_end_matches(';');
    let word = statement.split_whitespace().next().unwrap_or_default();
    word.eq_ignore_ascii_case("vacuum") && !statement.contains(';')
}

fn has_word(statement: &str, word: &str) -> bool {
    let mut words = statement.split_whitespace();
    words.any(|it| it.eq_ignore_ascii_case(word))
}

fn failed(error: &rusqlite::Error) -> Failed {
    Failed {
        busy: matches!(
            error.sqlite_error_code(),
            Some(rusqlite::ErrorCode::DatabaseBusy | rusqlite::ErrorCode::DatabaseLocked)
        ),
        ..Failed::because(error.to_string())
    }
}

fn text_literal(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}
