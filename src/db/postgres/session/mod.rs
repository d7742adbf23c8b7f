//! PostgreSQL: the locks of the transaction and its catalogue say which tables were touched.

mod catalog;
mod derived;
mod forms;
mod isolated;
mod read;
mod schema;
mod settings;

use super::connection;
use super::error::failed;
use crate::cli_error::CliError;
use crate::db::catalog::quoted;
use crate::db::driver::as_written;
use crate::db::session::measured::Measured as _;
use crate::db::session::witness::Witness;
use crate::db::session::{
    Failed, Interrupter, Isolation, Measure, Missing, Object, Session, Waits, numbers,
};
use crate::db::{Target, server};
use crate::model::{Cell, Compared, Content, Names, Shape, Successor};
use catalog::{Looked, Seen};
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use tokio::runtime::Handle;

pub(super) fn open(
    target: &Target,
    missing: Missing,
    waits: Waits,
) -> anyhow::Result<Box<dyn Session>> {
    Ok(Box::new(Postgres::open(target, missing, waits)?))
}

struct Postgres {
    runtime: Handle,
    target: Target,
    options: PgConnectOptions,
    connection: PgConnection,
    /// Holds the place in the row of replicas: a session of its own that is always idle, so that
    /// `CREATE INDEX CONCURRENTLY` never waits for it.
    migration_lock: Option<PgConnection>,
    /// Whether the server can notice in the middle of a statement that chatctl is gone.
    notices: bool,
    process: i32,
    database: String,
    /// The schema that a bare name means.
    default: String,
    /// Schema and name of every table that was ever listed, and whether it is partitioned.
    known: BTreeMap<String, (String, String, bool)>,
    /// The tables when the watch began, by their number.
    before: BTreeMap<u64, Seen>,
    /// The tables as they were looked at last.
    looked: Looked,
    /// What the tables held.
    witness: Witness,
    /// The counts of those that are only counted, by their names.
    counts: BTreeMap<String, Content>,
    /// What the migration has set, while chatctl's own settings are in force.
    of_migration: Option<Vec<String>>,
    /// The triggers that may keep a time, when the watch began.
    keepers: BTreeMap<u64, Vec<derived::Trigger>>,
    /// The tables that were locked before the moment that the transaction sees, where it sees one only.
    locked: Option<BTreeSet<String>>,
    /// The transaction that was begun.
    transaction: Option<String>,
}

impl Postgres {
    fn open(target: &Target, missing: Missing, waits: Waits) -> anyhow::Result<Self> {
        let runtime = Handle::current();
        let mut options = connection::from_url(target)?
            .application_name("chatctl")
            .options([
                ("lock_timeout", waits.lock.as_millis().to_string()),
                ("statement_timeout", waits.statement.as_millis().to_string()),
            ]);
        if missing == Missing::Look {
            options = options.options([("default_transaction_read_only", "on")]);
        }
        let mut connection: PgConnection = runtime.block_on(server::connect(target, &options))?;
        let sql = "SELECT pg_backend_pid()::text, current_database()::text, coalesce(current_schema(), 'public')::text";
        let row = runtime
            .block_on(as_written(&mut connection, sql))?
            .remove(0);
        // Version 14 and newer, where its system tells; elsewhere a statement runs to its end.
        let notices = connection.execute(NOTICE);
        let notices = runtime.block_on(notices).is_ok();
        Ok(Self {
            notices,
            process: row[0].to_string().parse()?,
            database: row[1].to_string(),
            default: row[2].to_string(),
            target: target.clone(),
            runtime,
            options,
            connection,
            migration_lock: None,
            known: BTreeMap::new(),
            before: BTreeMap::new(),
            looked: Looked::default(),
            witness: Witness::new(forms::form),
            counts: BTreeMap::new(),
            of_migration: None,
            keepers: BTreeMap::new(),
            locked: None,
            transaction: None,
        })
    }

    /// Runs one statement, and only one: the protocol for prepared statements takes no more.
    fn one(&mut self, sql: &str) -> Result<(), Failed> {
        let query = sqlx::query(sqlx::AssertSqlSafe(sql)).persistent(false);
        let done = self.runtime.block_on(query.execute(&mut self.connection));
        done.map(|_| ()).map_err(|error| failed(&error))
    }

    /// A table to read from: its own rows, without those of tables that inherit from it, unless its
    /// rows are in its partitions.
    fn from(&self, table: &str) -> String {
        let parted = self.known.get(table).is_some_and(|(_, _, parted)| *parted);
        let only = if parted { "" } else { "ONLY " };
        format!("{only}{}", self.quote(table))
    }

    /// The advisory key that sqlx's migrator takes, so that both wait for each other.
    fn key(&self) -> i64 {
        0x3d32_ad9e * i64::from(crc32fast::hash(self.database.as_bytes()))
    }

    /// Runs chatctl's own statement that changes no table.
    fn send(&mut self, sql: &str) -> Result<(), Failed> {
        let done = self.connection.execute(sqlx::AssertSqlSafe(sql));
        let done = self.runtime.block_on(done);
        done.map(|_| ()).map_err(|error| failed(&error))
    }

    /// The tables as they are.
    fn seen(&mut self) -> anyhow::Result<&BTreeMap<u64, Seen>> {
        // Between two transactions others may have made tables.
        if !self.looked.fresh || self.transaction.is_none() {
            self.own(Self::look)?;
        }
        Ok(&self.looked.tables)
    }

    /// A table as it is, by its name in reports.
    fn shape(&mut self, name: &str) -> anyhow::Result<Shape> {
        let mut all = self.seen()?.values().map(|seen| &seen.shape);
        let found = all.find(|shape| shape.name == name).cloned();
        found.ok_or_else(|| anyhow::anyhow!("`{name}` is not there any more"))
    }

    /// The transaction, and the tables that it may have written rows of, by their numbers: nothing but
    /// its end gives back the lock of a statement that does, and no setting keeps it from being taken.
    fn written(&mut self) -> anyhow::Result<(String, BTreeSet<u64>)> {
        let mut rows = self.rows(
            "SELECT pg_current_xact_id()::text; \
             SELECT relation::text FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'relation' AND mode = 'RowExclusiveLock' \
             AND granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
        )?;
        let transaction = rows.remove(0)[0].to_string();
        let tables = rows.iter().map(|row| numbers(row)[0]);
        Ok((transaction, tables.collect()))
    }
}

impl Session for Postgres {
    fn command(&mut self, sql: &str) -> Result<(), Failed> {
        match sql {
            // With the transaction what is set in it ends.
            "COMMIT" | "ROLLBACK" => {
                self.looked.fresh = false;
                (self.transaction, self.of_migration) = (None, None);
            }
            // What was set since goes too, and before it nothing of chatctl's own was.
            _ if sql.starts_with("ROLLBACK TO ") => {
                self.looked.fresh = false;
                self.of_migration = None;
            }
            // Neither changes the catalogue.
            _ if sql.starts_with("SAVEPOINT ") || sql.starts_with("RELEASE ") => {
                self.give_back()?;
            }
            _ => {
                self.looked.fresh = false;
                self.give_back()?;
            }
        }
        self.send(sql)
    }

    fn write(&mut self, sql: &str, args: &[Cell]) -> anyhow::Result<()> {
        let mut pieces = sql.split('?');
        let mut numbered = pieces.next().unwrap_or_default().to_owned();
        for (number, piece) in pieces.enumerate() {
            numbered.push_str(&format!("${}{piece}", number + 1));
        }
        // What is prepared is gone when a file is tidied up.
        let mut query = sqlx::query(sqlx::AssertSqlSafe(numbered)).persistent(false);
        for arg in args {
            query = match arg {
                Cell::Null => query.bind(None::<String>),
                Cell::Int(number) => query.bind(*number),
                Cell::Real(number) => query.bind(*number),
                Cell::Text(text) => query.bind(text.clone()),
                Cell::Blob(bytes) => query.bind(bytes.clone()),
            };
        }
        let done = self.runtime.block_on(query.execute(&mut self.connection));
        done.map_err(|error| failed(&error))?;
        Ok(())
    }

    fn rows(&mut self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        self.runtime.block_on(as_written(&mut self.connection, sql))
    }

    fn run(&mut self, statement: &str) -> Result<(), Failed> {
        self.looked.fresh = false;
        self.give_back()?;
        self.one(statement)
    }

    fn quote(&self, name: &str) -> String {
        let (schema, name) = match self.known.get(name) {
            Some((schema, name, _)) => (schema.as_str(), name.as_str()),
            None => (self.default.as_str(), name),
        };
        format!("{}.{}", quoted(schema), quoted(name))
    }

    fn lock_migrations(&mut self) -> anyhow::Result<bool> {
        let key = self.key();
        if self.migration_lock.is_none() {
            let connecting = server::connect(&self.target, &self.options);
            self.migration_lock = Some(self.runtime.block_on(connecting)?);
        }
        let Some(migration_lock) = &mut self.migration_lock else {
            return Ok(false);
        };
        for key in [key ^ OWN_KEY, key] {
            let sql = format!("SELECT pg_try_advisory_lock({key})::text");
            let answer = self.runtime.block_on(as_written(migration_lock, &sql))?;
            if answer[0][0].text() != Some("true") {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn yield_migration_lock(&mut self) -> anyhow::Result<()> {
        let sql = format!("SELECT pg_advisory_unlock({})::text", self.key());
        if let Some(migration_lock) = &mut self.migration_lock {
            self.runtime.block_on(as_written(migration_lock, &sql))?;
        }
        Ok(())
    }

    fn begin(&mut self) -> Result<(), Failed> {
        self.locked = None;
        // Rows that others commit meanwhile must be seen when a table is copied.
        self.looked.fresh = false;
        self.of_migration = None;
        let begin =
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SELECT pg_current_xact_id()::text";
        let rows = self
            .runtime
            .block_on(as_written(&mut self.connection, begin));
        let rows = rows.map_err(|error| match error.downcast() {
            Ok(failed) => failed,
            Err(error) => Failed::because(format!("{error:#}")),
        })?;
        self.transaction = rows.first().map(|row| row[0].to_string());
        Ok(())
    }

    fn begin_isolated(&mut self, level: Isolation, hold: &[String]) -> Result<(), Failed> {
        self.isolate(level, hold)
    }

    fn is_locked_in_time(&self, table: &str) -> bool {
        let table = self.quote(table);
        self.locked
            .as_ref()
            .is_none_or(|locked| locked.contains(&table))
    }

    fn catalog(&mut self) -> anyhow::Result<Vec<Shape>> {
        let mut all: Vec<_> = self
            .seen()?
            .values()
            .map(|seen| seen.shape.clone())
            .collect();
        all.sort_by(|a, b| (&a.schema, &a.table).cmp(&(&b.schema, &b.table)));
        Ok(all)
    }

    fn reset(&mut self) -> Result<(), Failed> {
        self.of_migration = None;
        let notice = if self.notices { NOTICE } else { "" };
        self.send(&format!(
            "RESET ALL; RESET ROLE; RESET SESSION AUTHORIZATION; DEALLOCATE ALL; {notice}"
        ))
    }

    fn objects(&mut self) -> anyhow::Result<BTreeSet<Object>> {
        self.all_objects()
    }

    fn broken_keys(&mut self) -> anyhow::Result<BTreeSet<String>> {
        Ok(BTreeSet::new())
    }

    fn schema(&mut self) -> anyhow::Result<Vec<String>> {
        schema::lines(self)
    }

    fn names(&self) -> Names {
        Names::POSTGRES
    }

    fn watch(&mut self, keep: &[Shape], measure: Measure) -> Result<(), Failed> {
        let seen = self.seen().cloned();
        self.before = seen.map_err(|error| Failed::because(format!("{error:#}")))?;
        self.witness.begin();
        self.counts.clear();
        self.note_keepers()?;
        self.keep(keep, measure)
    }

    fn fire_deferred(&mut self) -> Result<(), Failed> {
        self.command("SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED")
    }

    fn touched(&mut self) -> anyhow::Result<BTreeSet<String>> {
        let (transaction, written) = self.own(Self::written)?;
        if self.transaction.as_ref() != Some(&transaction) {
            anyhow::bail!(CliError::refused("a statement ended chatctl's transaction"));
        }
        let now = self.seen()?.clone();
        let touched = self
            .before
            .iter()
            .filter(|(_, was)| !was.shape.parted)
            .filter(|(id, was)| {
                written.contains(id) || now.get(id).is_none_or(|now| was.is_touched(now))
            });
        Ok(touched.map(|(_, was)| was.shape.name.clone()).collect())
    }

    fn size(&mut self, table: &str) -> anyhow::Result<u64> {
        let literal = text_literal(&self.quote(table));
        let rows = self.rows(&format!("SELECT pg_table_size({literal}::regclass)::text"))?;
        Ok(numbers(&rows[0])[0])
    }

    fn compare(
        &mut self,
        shape: &Shape,
        successor: Option<&Successor>,
    ) -> anyhow::Result<Option<Compared>> {
        self.compare_kept(shape, successor)
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        self.counts.clear();
        let shapes = |seen: &BTreeMap<u64, Seen>| -> Vec<_> {
            seen.values().map(|seen| seen.shape.clone()).collect()
        };
        let before = shapes(&self.before);
        let after = if self.witness.remembers() {
            let after = shapes(self.seen()?);
            self.own(|session| session.note_made(&before, &after))?;
            after
        } else {
            Vec::new()
        };
        self.witness.accept(&before, &after);
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

    fn history(&mut self) -> anyhow::Result<String> {
        self.own(catalog::history)
    }

    /// The engine always acts on them.
    fn enforce_keys(&mut self, _enforced: bool) -> Result<(), Failed> {
        Ok(())
    }

    /// No statement of a migration begins or ends one.
    fn is_in_transaction(&mut self) -> anyhow::Result<bool> {
        Ok(true)
    }

    fn interrupter(&self) -> Interrupter {
        let (runtime, options, process) =
            (self.runtime.clone(), self.options.clone(), self.process);
        Box::new(move || {
            let options = options.clone();
            runtime.spawn(async move {
                // Without another connection the statement ends by itself, later.
                if let Ok(mut other) = PgConnection::connect_with(&options).await {
                    let sql = format!("SELECT pg_cancel_backend({process})");
                    let _ = other.execute(sqlx::AssertSqlSafe(sql)).await;
                }
            });
        })
    }
}

/// Makes sqlx's key another one that only chatctl takes.
const OWN_KEY: i64 = 0x0063_6861_7463_746c;

/// Without it a statement of a killed chatctl waits on for its lock, or works on, and keeps others
/// from the table.
const NOTICE: &str = "SET client_connection_check_interval = '1s'";

/// With backslashes as they are: `standard_conforming_strings` may be off in a migration.
fn text_literal(text: &str) -> String {
    let quoted = text.replace('\'', "''");
    if quoted.contains('\\') {
        format!("E'{}'", quoted.replace('\\', "\\\\"))
    } else {
        format!("'{quoted}'")
    }
}
