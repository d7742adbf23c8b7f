//! PostgreSQL: the locks of the transaction and its catalogue say which tables were touched.

mod account;
mod actions;
mod catalog;
mod derived;
mod forms;
mod isolated;
mod labels;
mod large_objects;
mod literals;
mod newcomers;
mod numbers;
mod objects;
mod read;
mod schema;
mod settings;
mod since;
mod single;
mod versions;
mod zone;

use super::connection;
use super::error::failed;
use crate::db::catalog::quoted;
use crate::db::driver::as_written;
use crate::db::server::Waiter;
use crate::db::session::measured::Measured as _;
use crate::db::session::witness::Witness;
use crate::db::session::{
    Copying, Failed, ForeignKey, Found, Interrupter, Isolation, Measure, Missing, Object, Reader,
    Session, Waits, numbers,
};
use crate::db::{Target, server};
use crate::model::{Actions, Cell, Compared, Content, Names, Numbering, Shape, Successor};
use account::Account;
use catalog::{Looked, Seen};
use literals::{literal, text_literal};
use numbers::Counted;
use settings::NOTICE;
use since::Evidence;
use single::is_surely_one;
use sqlx::postgres::PgConnectOptions;
use sqlx::{Connection as _, Executor as _, PgConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use tokio::runtime::Handle;

pub(super) fn open(
    target: &Target,
    missing: Missing,
    waits: Waits,
) -> anyhow::Result<Box<dyn Session>> {
    Ok(Box::new(Postgres::open(target, missing, waits)?))
}

struct Postgres {
    /// Where it waits for the server.
    runtime: Arc<Waiter>,
    target: Target,
    options: PgConnectOptions,
    connection: PgConnection,
    /// The place in the queue of replicas. Idle, so CREATE INDEX CONCURRENTLY never waits for it.
    migration_lock: Option<PgConnection>,
    /// Whether the server notices in mid-statement that chatctl is gone; unknown before one is run.
    notices: Option<bool>,
    process: i32,
    /// The role that a setting gives to each new session; `none` for the user that connected.
    role: String,
    database: String,
    /// The schema that a bare name means.
    default: String,
    /// The schemas in which a bare name is looked for, a line each.
    path: String,
    /// Schema and name of every table that was ever listed, and whether it is partitioned.
    known: BTreeMap<String, (String, String, bool)>,
    /// The tables when the watch began, by their number.
    before: BTreeMap<u64, Seen>,
    /// The tables as they were examined last.
    looked: Looked,
    /// Views that are compared with tables which are gone, by their names.
    views: BTreeMap<String, Shape>,
    /// The labels of enums and the names of fields as the run found them, by their numbers.
    labels: BTreeMap<u64, String>,
    /// The time zone of new sessions, if it is not UTC, once it was asked for.
    zone: Option<Option<String>>,
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
    /// Who had committed when the tables were examined, before the statements that were run since.
    opened: Option<Account>,
    /// What the locks tell of the statements since the watch began.
    evidence: Evidence,
    /// The path by which new sessions find tables where no setting says another one.
    usual_path: Option<String>,
    /// The sequences that number rows, as they were before the statements that may be taken back.
    counted: Vec<Counted>,
    /// Whether nobody else committed anything between the last two looks.
    undisturbed: bool,
    /// Whether chatctl itself has written in this transaction.
    wrote: bool,
    /// Whether the transaction has the mark already to which a file is taken back.
    is_marked: bool,
    /// What the server said of the transaction after the last statement, where nothing was done since.
    told: Option<Vec<Vec<Cell>>>,
    /// chatctl's own commands that go with the next one: each way to the server and back costs more.
    queued: String,
}

impl Postgres {
    fn open(target: &Target, missing: Missing, waits: Waits) -> anyhow::Result<Self> {
        let runtime = Waiter::new()?;
        let mut options = connection::from_url(target)?
            .application_name("chatctl")
            .options([
                ("lock_timeout", waits.lock.as_millis().to_string()),
                ("statement_timeout", waits.statement.as_millis().to_string()),
                // A transaction waits for its backup, and while rows are compared.
                ("idle_in_transaction_session_timeout", "0".to_owned()),
            ]);
        if missing == Missing::Look {
            options = options.options([("default_transaction_read_only", "on")]);
        }
        let mut connection: PgConnection = runtime.block_on(server::connect(target, &options))?;
        let sql = "SELECT pg_backend_pid()::text, current_database()::text, coalesce(current_schema(), 'public')::text, \
            array_to_string(current_schemas(false), E'\\n'), current_setting('role')";
        let row = runtime
            .block_on(as_written(&mut connection, sql))?
            .remove(0);
        Ok(Self {
            notices: None,
            process: row[0].to_string().parse()?,
            database: row[1].to_string(),
            default: row[2].to_string(),
            path: row[3].to_string(),
            role: row[4].to_string(),
            target: target.clone(),
            runtime,
            options,
            connection,
            migration_lock: None,
            known: BTreeMap::new(),
            before: BTreeMap::new(),
            looked: Looked::default(),
            views: BTreeMap::new(),
            labels: BTreeMap::new(),
            zone: None,
            witness: Witness::new(forms::form),
            counts: BTreeMap::new(),
            of_migration: None,
            keepers: BTreeMap::new(),
            locked: None,
            transaction: None,
            opened: None,
            evidence: Evidence::default(),
            usual_path: None,
            counted: Vec::new(),
            undisturbed: false,
            wrote: false,
            is_marked: false,
            told: None,
            queued: String::new(),
        })
    }

    /// A table to read from: its own rows, without those of tables that inherit from it, unless its
    /// rows are in its partitions.
    fn from(&self, table: &str) -> String {
        if table == large_objects::NAME {
            return large_objects::ROWS.to_owned();
        }
        let parted = self.known.get(table).is_some_and(|(_, _, parted)| *parted);
        let only = if parted { "" } else { "ONLY " };
        format!("{only}{}", self.quote(table))
    }

    /// The advisory key that sqlx's migrator takes, so that both wait for each other.
    fn key(&self) -> i64 {
        0x3d32_ad9e * i64::from(crc32fast::hash(self.database.as_bytes()))
    }

    /// Lets a command of chatctl's own go with the next one.
    fn queue(&mut self, sql: &str) {
        self.queued.push_str(sql);
        self.queued.push_str("; ");
    }

    /// Runs chatctl's own statement that changes no table, after those that wait.
    fn send(&mut self, sql: &str) -> Result<(), Failed> {
        let sql = std::mem::take(&mut self.queued) + sql;
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
        let found = found.or_else(|| self.views.get(name).cloned());
        found.ok_or_else(|| anyhow::anyhow!("`{name}` no longer exists"))
    }
}

impl Session for Postgres {
    fn command(&mut self, sql: &str) -> Result<(), Failed> {
        match sql {
            // With the transaction what is set in it ends.
            "COMMIT" => {
                self.looked.fresh = false;
                (self.transaction, self.of_migration) = (None, None);
                (self.is_marked, self.told) = (false, None);
                self.counted.clear();
                self.send(sql)
            }
            "ROLLBACK" => {
                self.queued.clear();
                self.looked.forget();
                (self.transaction, self.of_migration) = (None, None);
                (self.is_marked, self.told) = (false, None);
                self.send(sql)?;
                self.set_forward()?;
                self.counted.clear();
                Ok(())
            }
            // What was set since goes too, and before it nothing of chatctl's own was.
            _ if sql.starts_with("ROLLBACK TO ") => {
                self.looked.forget();
                (self.of_migration, self.told) = (None, None);
                self.send(sql)?;
                self.set_forward()
            }
            // Neither changes the catalogue.
            MARK if std::mem::take(&mut self.is_marked) => Ok(()),
            _ if sql.starts_with("SAVEPOINT ") => {
                let back = self.settings_back();
                self.send(&format!("{back}{sql}"))
            }
            _ if sql.starts_with("RELEASE ") => {
                self.queue(sql);
                Ok(())
            }
            _ => {
                self.looked.forget();
                (self.wrote, self.is_marked, self.told) = (true, false, None);
                let back = self.settings_back();
                self.send(&format!("{back}{sql}"))
            }
        }
    }

    fn write(&mut self, sql: &str, args: &[Cell]) -> anyhow::Result<()> {
        (self.wrote, self.is_marked, self.told) = (true, false, None);
        let sql = server::inlined(sql, args, literal)?;
        if self.transaction.is_some() {
            self.queue(&sql);
            return Ok(());
        }
        Ok(self.send(&sql)?)
    }

    fn rows(&mut self, sql: &str) -> anyhow::Result<Vec<Vec<Cell>>> {
        let sql = std::mem::take(&mut self.queued) + sql;
        self.runtime
            .block_on(as_written(&mut self.connection, &sql))
    }

    fn run(&mut self, statement: &str) -> Result<(), Failed> {
        self.ready_to_run()?;
        if is_surely_one(statement) {
            self.send(statement)
        } else {
            self.one(statement)
        }
    }

    fn goes_with_others(&self, statement: &str) -> bool {
        single::goes_with_others(statement)
    }

    fn run_all(&mut self, statements: &[&str]) -> Result<(), (usize, Failed)> {
        self.ready_to_run().map_err(|failed| (0, failed))?;
        self.run_together(statements)
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
            let mut lock: PgConnection = self.runtime.block_on(connecting)?;
            // Servers before version 14 end no idle session, and don't know the setting.
            let _ = self.runtime.block_on(lock.execute(NEVER_TOO_IDLE));
            self.migration_lock = Some(lock);
            self.let_notice();
        }
        let Some(migration_lock) = &mut self.migration_lock else {
            return Ok(false);
        };
        let own = key ^ OWN_KEY;
        let sql = format!(
            "SELECT (CASE WHEN pg_try_advisory_lock({own}) THEN pg_try_advisory_lock({key}) ELSE false END)::text"
        );
        let answer = self.runtime.block_on(as_written(migration_lock, &sql))?;
        Ok(answer[0][0].text() == Some("true"))
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
        self.of_migration = None;
        self.wrote = false;
        // Rows that others commit meanwhile must be seen when a table is copied.
        let begin = format!(
            "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; \
             SELECT pg_catalog.pg_current_xact_id()::text, pg_catalog.pg_current_snapshot()::text; {MARK}"
        );
        let rows = self.rows(&begin).map_err(Failed::of)?;
        self.is_marked = true;
        self.transaction = rows.first().map(|row| row[0].to_string());
        let account = rows.first().and_then(|row| Account::parse(row[1].text()?));
        let left = self.looked.account.as_ref().zip(account.as_ref());
        self.undisturbed = left.is_some_and(|(left, now)| left.goes_on_as(now));
        self.looked.fresh = self.undisturbed;
        self.looked.account = None;
        self.opened = account.filter(|_| self.undisturbed);
        Ok(())
    }

    fn is_undisturbed(&self) -> bool {
        self.undisturbed
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

    fn columns(&mut self, table: &str) -> anyhow::Result<Option<Vec<String>>> {
        if self.looked.fresh && self.transaction.is_some() {
            let (schema, mut all) = (&self.default, self.looked.tables.values());
            let found = all.find(|it| it.shape.schema == *schema && it.shape.table == table);
            let names = |shape: &Shape| shape.columns.iter().map(|it| it.name.clone()).collect();
            return Ok(found.map(|seen| names(&seen.shape)));
        }
        self.own(|session| session.columns_of(table))
    }

    fn reset(&mut self) -> Result<(), Failed> {
        self.of_migration = None;
        let notice = match self.notices {
            Some(true) => NOTICE,
            Some(false) | None => "",
        };
        let reset =
            format!("RESET ALL; RESET ROLE; RESET SESSION AUTHORIZATION; DEALLOCATE ALL; {notice}");
        if self.transaction.is_none() {
            return self.send(&reset);
        }
        self.queue(reset.trim_end_matches("; "));
        Ok(())
    }

    fn shows(&mut self, view: &str) -> anyhow::Result<Vec<String>> {
        let view = self.quote(view).replace('\'', "''");
        let rows = self.rows(&format!(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = '{view}'::regclass AND attnum > 0 AND NOT attisdropped"
        ))?;
        Ok(rows.iter().map(|row| row[0].to_string()).collect())
    }

    fn view_of(&mut self, gone: &Shape) -> anyhow::Result<Option<Shape>> {
        self.own(|session| session.view_in_place(gone))
    }

    fn exact(&self, column: &str) -> String {
        // A cast to text may be the user's own; this is what the type itself writes.
        let column = quoted(column);
        format!(
            "(CASE WHEN {column} IS NOT NULL THEN pg_catalog.format('%s', {column}) END) COLLATE \"C\""
        )
    }

    fn objects(&mut self) -> anyhow::Result<BTreeSet<Object>> {
        self.all_objects()
    }

    fn actions(&mut self) -> anyhow::Result<Actions> {
        self.own(Self::all_actions)
    }

    fn found_by_new_sessions(&mut self) -> anyhow::Result<Vec<Found>> {
        self.own(Self::found_by_name)
    }

    fn readers(&mut self) -> anyhow::Result<BTreeSet<Reader>> {
        self.own(Self::all_readers)
    }

    fn numberings(&mut self) -> anyhow::Result<Vec<Numbering>> {
        self.own(Self::all_numberings)
    }

    fn keys_to(&mut self, parents: &BTreeSet<&str>) -> anyhow::Result<Vec<ForeignKey>> {
        self.own(|session| schema::keys_to(session, parents))
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
        self.note_labels();
        self.note_zone();
        self.views.clear();
        self.witness.begin();
        self.counts.clear();
        if !keep.is_empty() {
            self.note_keepers()?;
        }
        self.keep(keep, measure)
    }

    fn fire_deferred(&mut self) -> Result<(), Failed> {
        self.looked.forget();
        // The server runs what is left of the query of a holdable cursor at COMMIT.
        let fire = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED; CLOSE ALL";
        let back = self.settings_back();
        if self.transaction.is_none() {
            return self.send(&format!("{back}{fire}"));
        }
        // What follows is chatctl's own looking.
        let asked = format!("; {}", since::asked());
        let rows = self.take_over(&format!("{back}{fire}; "), &asked)?;
        self.told = Some(rows);
        Ok(())
    }

    fn touched(&mut self) -> anyhow::Result<BTreeSet<String>> {
        self.touched_since()
    }

    fn tells_of_own(&self) -> bool {
        !self.wrote
    }

    fn spares_own(&self) -> bool {
        self.evidence.spares_own
    }

    fn keeps_objects(&self) -> bool {
        self.evidence.keeps_objects
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
        let mut compared = self.compare_kept(shape, successor)?;
        if let Some(compared) = &mut compared {
            self.see_fields(shape, compared);
            self.see_zone(compared);
        }
        Ok(compared)
    }

    fn keep_aside(&mut self, table: &str) {
        self.witness.keep_aside(table);
    }

    fn copies(&mut self, all: Vec<Copying>) {
        self.witness.copies(all);
    }

    fn accept(&mut self) -> anyhow::Result<()> {
        self.accept_compared()
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

    fn labels(&mut self) -> anyhow::Result<BTreeMap<u64, String>> {
        self.own(Self::former_labels)
    }

    fn labels_were(&mut self, first: BTreeMap<u64, String>) {
        self.labels.extend(first);
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
        let (options, process) = (self.options.clone(), self.process);
        // The session's own thread waits for the statement.
        let runtime = Handle::current();
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

/// Where a file begins in its transaction: it goes with BEGIN.
const MARK: &str = "SAVEPOINT chatctl_file";

/// Makes sqlx's key another one that only chatctl takes.
const OWN_KEY: i64 = 0x0063_6861_7463_746c;

/// Without it the server may end the session that keeps the place in the row of replicas.
const NEVER_TOO_IDLE: &str = "SET idle_session_timeout = 0";
