//! MySQL and MariaDB: DDL commits implicitly, so chatctl measures on a copy.

mod actions;
mod before_images;
mod catalog;
mod compare;
mod copied;
mod held;
mod runner;
mod sameness;
mod schema;
mod seeds;

use super::catalog::quote as quoted;
use super::connection::plain_options;
use super::error::{UNSUPPORTED, failed, number};
use crate::db::driver::{Driver, as_written};
use crate::db::session::measured::{counted, counting};
use crate::db::session::{
    Copied, Copying, Failed, ForeignKey, Interrupter, Measure, Missing, Object, Placed, PlacedRows,
    Seeds, Session, Waits, by_counts, numbers,
};
use crate::db::{Target, server};
use crate::model::{Actions, Case, Cell, Compared, Content, Names, Numbering, Shape, Successor};
use crate::text::hex;
use before_images::BeforeImages;
use compare::By;
use runner::{Waiting, counted as told, goes_with_others, own, sets_session};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::{Executor as _, MySqlConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::runtime::Handle;

pub(super) fn open(
    target: &Target,
    missing: Missing,
    waits: Waits,
) -> anyhow::Result<Box<dyn Session>> {
    Ok(Box::new(MySql::open(target, target, missing, waits)?))
}

/// Opens a copy: statements run as a user who reaches nothing else; who made it looks.
pub(in crate::db) fn open_copy(
    copy: &Copied<'_>,
    waits: Waits,
) -> anyhow::Result<Box<dyn Session>> {
    let mut session = MySql::open(copy.confined, copy.keeper, Missing::Fail, waits)?;
    let images = quoted(copy.images);
    let mut looking = LOOSE.to_owned();
    if copy.quiet {
        session
            .settings
            .push_str(&format!("CALL {images}.quiet();"));
        looking.push_str("SET SESSION sql_log_bin = 0;");
    }
    session.look_by(&looking)?;
    session.images = Some(BeforeImages::new(copy.images));
    // Whether the user may come in and run statements is to be known now.
    session.runner()?;
    Ok(Box::new(session))
}

/// For so many seconds a connection may have nothing to do, while another one copies or compares
/// rows; servers give as little as half a minute.
const IDLE: u32 = 86_400;

/// Whatever a value is, it can be saved.
const LOOSE: &str = "SET SESSION sql_mode = 'NO_AUTO_VALUE_ON_ZERO,ALLOW_INVALID_DATES';";

/// In no other zone is each time of day there once.
const IN_UTC: &str = "SET SESSION time_zone = '+00:00';";

struct MySql {
    /// Where it waits for the server.
    runtime: Arc<server::Waiter>,
    target: Target,
    options: MySqlConnectOptions,
    /// What every connection is told first on which statements run.
    settings: String,
    /// The connection that the statements of migrations run on, and its number: none before the first.
    connection: Option<MySqlConnection>,
    id: Arc<AtomicU64>,
    /// chatctl's own statements that go with the next one on it.
    waiting: Waiting,
    /// Whether chatctl itself has begun a transaction on it.
    begun: bool,
    /// Whether a statement may have set something for the session on it, or left something in it.
    is_set: bool,
    /// The connection that looks: no setting, temporary table or snapshot of the other one reaches it.
    eye: MySqlConnection,
    /// Holds the place in the row of replicas, whatever happens to the others.
    migration_lock: Option<MySqlConnection>,
    database: String,
    /// How the names of tables are told apart.
    tables: Case,
    /// Which tables the run fills from which others.
    copies: Vec<Copying>,
    /// How many rows the statements changed that were run.
    changed: Vec<u64>,
    /// What is kept of the tables, on a copy.
    images: Option<BeforeImages>,
}

impl MySql {
    /// The statements run as the user of one target, and the connection that looks is that of another.
    fn open(
        target: &Target,
        looking: &Target,
        missing: Missing,
        waits: Waits,
    ) -> anyhow::Result<Self> {
        let runtime = server::Waiter::new()?;
        // Whole seconds, and at least one: MySQL knows no less.
        let lock = waits.lock.as_secs_f64().ceil().max(1.0);
        // The driver sets IGNORE_SPACE, which other clients do not.
        let mut settings = format!(
            "SET SESSION sql_mode = DEFAULT, wait_timeout = {IDLE}, lock_wait_timeout = {lock}, innodb_lock_wait_timeout = {lock}"
        );
        if waits.statement > Duration::ZERO {
            // Other servers than MariaDB have no such limit, and take this for a comment.
            let seconds = waits.statement.as_secs_f64();
            settings.push_str(&format!(" /*M!, max_statement_time = {seconds} */"));
        }
        // The zone in which clients read times.
        settings.push_str(", @chatctl_zone = @@SESSION.time_zone;");
        if missing == Missing::Look {
            settings.push_str("SET SESSION TRANSACTION READ ONLY;");
        }
        let asked = format!("{settings} {IN_UTC} SELECT database(), @@lower_case_table_names");
        let row = runtime.block_on(async {
            let mut eye: MySqlConnection =
                server::connect(looking, &plain_options(looking)?).await?;
            let row = as_written(&mut eye, &asked).await?.remove(0);
            anyhow::Ok((eye, row))
        });
        let (eye, row) = row?;
        Ok(Self {
            database: row[0].to_string(),
            target: target.clone(),
            runtime,
            options: plain_options(target)?,
            settings,
            connection: None,
            waiting: Waiting::default(),
            begun: false,
            is_set: false,
            id: Arc::default(),
            eye,
            migration_lock: None,
            tables: match row[1].text() {
                Some("0") => Case::Matters,
                _ => Case::Ignored,
            },
            copies: Vec::new(),
            changed: Vec::new(),
            images: None,
        })
    }

    /// Runs a statement on the connection that looks.
    fn look_by(&mut self, sql: &str) -> Result<(), Failed> {
        let done = self.eye.execute(sqlx::AssertSqlSafe(sql));
        let done = self.runtime.block_on(done);
        done.map(|_| ()).map_err(|error| failed(&error))
    }

    fn content(&mut self, table: &str, columns: &[String]) -> anyhow::Result<Content> {
        let columns = columns.iter().map(|column| quoted(column));
        let sql = counting(columns, &quoted(table));
        Ok(counted(&self.rows(&sql)?.remove(0)))
    }

    fn count(&mut self, keep: &[Shape]) -> anyhow::Result<()> {
        for shape in keep {
            let columns = shape.columns.iter().map(|column| column.name.clone());
            let counts = self.content(&shape.name, &columns.collect::<Vec<_>>())?;
            if let Some(images) = &mut self.images {
                images.counts.insert(shape.name.clone(), counts);
            }
        }
        Ok(())
    }
}

impl Session for MySql {
    fn command(&mut self, sql: &str) -> Result<(), Failed> {
        if sql.starts_with("COMMIT") {
            self.check_lock()?;
        }
        self.begun &= !["COMMIT", "ROLLBACK"].iter().any(|it| sql.starts_with(it));
        let mut sent = Ok(());
        if sql.starts_with("ROLLBACK") {
            self.waiting.roll_back();
            // Where what is committed fails, what the command gives back is given back all the same.
            sent = self.send_waiting();
        }
        self.waiting.add(sql);
        self.send_waiting().and(sent).map_err(Failed::of)
    }

    fn write(&mut self, sql: &str, args: &[Cell]) -> anyhow::Result<()> {
        let sql = server::inlined(sql, args, <sqlx::MySql as Driver>::literal)?;
        self.waiting.add(&own(&sql));
        // What is in a transaction is committed by something that follows.
        if self.begun {
            return Ok(());
        }
        self.send_waiting()
    }

    fn rows(&mut self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        self.send_waiting()?;
        self.runtime.block_on(as_written(&mut self.eye, sql))
    }

    fn run(&mut self, statement: &str) -> Result<(), Failed> {
        // What is in a transaction waits for its end.
        if !self.begun {
            self.check_lock()?;
        }
        if goes_with_others(statement) {
            return self.run_plainly(&[statement]).map_err(|(_, failed)| failed);
        }
        // The protocol for prepared statements takes one statement only, which is what is wanted;
        // some statements it does not take at all.
        let query = sqlx::query(sqlx::AssertSqlSafe(statement));
        let runtime = Arc::clone(&self.runtime);
        let sets = sets_session(statement);
        let runner = self.runner().map_err(Failed::of)?;
        let mut done = runtime.block_on(told(runner.fetch_many(query)));
        if done
            .as_ref()
            .is_err_and(|it| number(it) == Some(UNSUPPORTED))
        {
            let text = sqlx::AssertSqlSafe(statement);
            done = runtime.block_on(told(runner.fetch_many(sqlx::raw_sql(text))));
        }
        self.is_set |= sets || done.is_err();
        let done = done.map_err(|error| failed(&error))?;
        self.changed.push(done);
        Ok(())
    }

    fn goes_with_others(&self, statement: &str) -> bool {
        goes_with_others(statement)
    }

    fn run_all(&mut self, statements: &[&str]) -> Result<(), (usize, Failed)> {
        self.run_plainly(statements)
    }

    fn quote(&self, name: &str) -> String {
        quoted(name)
    }

    fn lock_migrations(&mut self) -> anyhow::Result<bool> {
        self.take_lock()
    }

    fn begin(&mut self) -> Result<(), Failed> {
        self.waiting.add("START TRANSACTION");
        self.begun = true;
        Ok(())
    }

    fn commit_with_next(&mut self) -> Result<(), Failed> {
        self.check_lock()?;
        self.begun = false;
        self.waiting.commit();
        Ok(())
    }

    fn catalog(&mut self) -> anyhow::Result<Vec<Shape>> {
        catalog::of(self, None)
    }

    fn shapes(&mut self, tables: &[&str]) -> anyhow::Result<Vec<Shape>> {
        let case = self.tables;
        let mut shapes = catalog::of(self, Some(tables))?;
        shapes.retain(|shape| tables.iter().any(|it| case.same(it, &shape.name)));
        Ok(shapes)
    }

    fn columns(&mut self, table: &str) -> anyhow::Result<Option<Vec<String>>> {
        // Both views get the name itself: one that is joined by a column opens every table of the server.
        let name = text_literal(table);
        let rows = self.rows(&format!(
            "SELECT c.column_name FROM information_schema.tables AS t JOIN information_schema.columns AS c \
             WHERE t.table_schema = database() AND t.table_name = {name} AND t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') \
             AND c.table_schema = database() AND c.table_name = {name} AND coalesce(c.generation_expression, '') = '' \
             ORDER BY c.ordinal_position"
        ))?;
        let names: Vec<_> = rows.iter().map(|row| row[0].to_string()).collect();
        Ok(Some(names).filter(|names| !names.is_empty()))
    }

    fn shows(&mut self, view: &str) -> anyhow::Result<Vec<String>> {
        catalog::shown(self, view)
    }

    fn view_of(&mut self, gone: &Shape) -> anyhow::Result<Option<Shape>> {
        // What a later file of the run takes from below the view would not be seen.
        if self.images.as_ref().is_some_and(|it| it.more_follows) {
            return Ok(None);
        }
        catalog::view_in_place(self, gone)
    }

    fn exact(&self, column: &str) -> String {
        format!("CAST({} AS BINARY)", quoted(column))
    }

    fn objects(&mut self) -> anyhow::Result<BTreeSet<Object>> {
        catalog::objects(self)
    }

    fn actions(&mut self) -> anyhow::Result<Actions> {
        actions::all(self)
    }

    fn numberings(&mut self) -> anyhow::Result<Vec<Numbering>> {
        actions::numberings(self)
    }

    fn keys_to(&mut self, parents: &BTreeSet<&str>) -> anyhow::Result<Vec<ForeignKey>> {
        schema::keys_to(self, parents)
    }

    /// The server writes a FLOAT with six digits (dev.mysql.com, "Problems with Floating-Point
    /// Values").
    fn rounded(&mut self) -> anyhow::Result<Vec<String>> {
        let rows = self.rows(
            "SELECT concat(c.table_name, '.', c.column_name) FROM information_schema.columns AS c \
             JOIN information_schema.tables AS t ON t.table_schema = c.table_schema AND t.table_name = c.table_name \
             WHERE c.table_schema = database() AND c.data_type = 'float' AND t.table_type <> 'VIEW' ORDER BY 1",
        )?;
        Ok(rows.iter().map(|row| row[0].to_string()).collect())
    }

    fn schema(&mut self) -> anyhow::Result<Vec<String>> {
        schema::lines(self)
    }

    fn schema_of(&mut self, tables: &[&str]) -> anyhow::Result<Option<Vec<String>>> {
        schema::of_tables(self, tables).map(Some)
    }

    fn reset(&mut self) -> Result<(), Failed> {
        // No statement takes back user variables, temporary tables and prepared statements at once.
        // The connection that looks runs none of a migration. On a copy the rights of the user are others since.
        self.send_waiting().map_err(Failed::of)?;
        let keeps = !self.is_set && self.images.is_none();
        if !keeps && self.connection.take().is_some() {
            self.runner().map_err(Failed::of)?;
        }
        self.is_set = false;
        Ok(())
    }

    fn names(&self) -> Names {
        Names {
            tables: self.tables,
            columns: Case::Ignored,
            quote: '`',
        }
    }

    fn begins(&mut self, tables: Vec<Shape>, seeds: BTreeMap<String, Seeds>) {
        if let Some(images) = &mut self.images {
            images.begin(tables, seeds);
        }
    }

    fn seen(&mut self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        let runtime = Arc::clone(&self.runtime);
        runtime.block_on(as_written(self.runner()?, &own(sql)))
    }

    fn placed(&mut self) -> anyhow::Result<Placed> {
        seeds::placed(self)
    }

    fn found(&mut self, rows: &PlacedRows) -> anyhow::Result<Option<Seeds>> {
        seeds::found(self, rows)
    }

    fn before(&mut self) -> anyhow::Result<Vec<Shape>> {
        let mut tables = self.catalog()?;
        if let Some(images) = &self.images {
            tables.retain(|shape| images.is_older(&shape.name));
        }
        Ok(tables)
    }

    fn older(&mut self) -> Vec<Shape> {
        self.images
            .as_ref()
            .map(BeforeImages::older)
            .unwrap_or_default()
    }

    fn is_in_transaction(&mut self) -> anyhow::Result<bool> {
        let open = self.seen("SELECT @@in_transaction")?;
        Ok(open[0][0].text() == Some("1"))
    }

    fn changed(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.changed)
    }

    fn compare_with(
        &mut self,
        shape: &Shape,
        other: &Successor,
    ) -> anyhow::Result<Option<Compared>> {
        let table = quoted(&shape.name);
        compare::compare(self, &table, shape, Some(other)).map(Some)
    }

    fn compare_locked(
        &mut self,
        shape: &Shape,
        other: &Successor,
    ) -> anyhow::Result<Option<Compared>> {
        let table = quoted(&shape.name);
        compare::compare_by(self, By::Statements, &table, (shape, other)).map(Some)
    }

    fn reaches(&mut self, tables: BTreeSet<String>) {
        self.changed.clear();
        if let Some(images) = &mut self.images {
            images.reaches(tables);
        }
    }

    fn watch(&mut self, keep: &[Shape], measure: Measure) -> Result<(), Failed> {
        let now = self.rows(
            "SELECT utc_timestamp(), least(utc_timestamp(), coalesce(convert_tz(utc_timestamp(), '+00:00', @chatctl_zone), utc_timestamp()))",
        );
        let now = now.map_err(|error| Failed::because(format!("{error:#}")))?;
        if let Some(images) = &mut self.images {
            images.began = now[0][0].to_string();
            images.since = now[0][1].to_string();
        }
        match measure {
            Measure::Values => before_images::keep(self, keep),
            Measure::Counts => self
                .count(keep)
                .map_err(|error| Failed::because(format!("{error:#}"))),
        }
    }

    fn fire_deferred(&mut self) -> Result<(), Failed> {
        Ok(())
    }

    fn touched(&mut self) -> anyhow::Result<BTreeSet<String>> {
        // The server keeps no evidence of what one connection wrote, so every table counts that the
        // server lets the user of the copy reach.
        Ok(self
            .images
            .as_ref()
            .map(BeforeImages::touched)
            .unwrap_or_default())
    }

    fn size(&mut self, table: &str) -> anyhow::Result<u64> {
        let rows = self.rows(&format!(
            "SELECT coalesce(data_length, 0) FROM information_schema.tables WHERE table_schema = database() AND table_name = {}",
            text_literal(table)
        ))?;
        Ok(rows.first().map_or(0, |row| numbers(row)[0]))
    }

    fn compare(
        &mut self,
        shape: &Shape,
        successor: Option<&Successor>,
    ) -> anyhow::Result<Option<Compared>> {
        // What is not committed yet, or locked, the other connection does not see.
        self.command("COMMIT; UNLOCK TABLES")?;
        let counts = self.images.as_ref();
        let counts = counts.and_then(|images| images.counts.get(&shape.name));
        match counts.cloned() {
            None => before_images::compare(self, shape, successor),
            Some(was) => {
                let counted = by_counts(&was, shape, successor, |table, columns| {
                    self.content(table, columns)
                })?;
                if let Some(images) = &mut self.images {
                    images.counted(shape, successor);
                }
                Ok(Some(counted))
            }
        }
    }

    fn copies(&mut self, all: Vec<Copying>) {
        self.copies = all;
    }

    fn keep_aside(&mut self, table: &str) {
        if let Some(images) = &mut self.images {
            images.aside.insert(table.to_owned());
        }
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        before_images::accept(self)
    }

    /// Nobody waits in the database for the lock.
    fn yield_migration_lock(&mut self) -> anyhow::Result<()> {
        Ok(())
    }

    /// No transaction sees a moment from before its locks.
    fn is_locked_in_time(&self, _table: &str) -> bool {
        true
    }

    /// The engine always acts on them.
    fn enforce_keys(&mut self, _enforced: bool) -> Result<(), Failed> {
        Ok(())
    }

    /// The engine says it of each statement.
    fn history(&mut self) -> anyhow::Result<String> {
        Ok(String::new())
    }

    fn more_follows(&mut self, more_follows: bool) {
        if let Some(images) = &mut self.images {
            images.more_follows = more_follows;
        }
    }

    fn interrupter(&self) -> Interrupter {
        // The session's own thread waits for the statement.
        let (runtime, target) = (Handle::current(), self.target.clone());
        let (options, id) = (self.options.clone(), Arc::clone(&self.id));
        Box::new(move || {
            let (options, target) = (options.clone(), target.clone());
            let id = id.load(Ordering::SeqCst);
            runtime.spawn(async move {
                // Without another connection the statement ends by itself, later.
                let other = server::connect::<MySqlConnection>(&target, &options).await;
                if let Ok(mut other) = other {
                    let sql = format!("KILL QUERY {id}");
                    let _ = other.execute(sqlx::AssertSqlSafe(sql)).await;
                }
            });
        })
    }
}

/// A connection with its settings, and its number.
fn connect(
    runtime: &server::Waiter,
    target: &Target,
    options: &MySqlConnectOptions,
    settings: &str,
) -> anyhow::Result<(MySqlConnection, u64)> {
    runtime.block_on(async {
        let mut connection: MySqlConnection = server::connect(target, options).await?;
        let sql = format!("{settings} SELECT connection_id()");
        let row = as_written(&mut connection, &sql).await?;
        Ok((connection, numbers(&row[0])[0]))
    })
}

/// In hexadecimal, so that no setting of the server changes its meaning.
fn text_literal(text: &str) -> String {
    let digits = hex(text);
    if digits.is_empty() {
        "''".to_owned()
    } else {
        format!("_utf8mb4 0x{digits}")
    }
}
