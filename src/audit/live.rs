//! The live store at one moment, read to its end: conversations, messages, and what the catalogue
//! says of its tables.

use super::compare::Allow;
use super::evidence::{Depth, Evidence};
use super::file::Snapshot;
use super::snapshot_builder::Late;
use super::{evidence, file, fingerprint};
use crate::cli_error::CliError;
use crate::db::{Db, Log, SnapshotRead, Target};
use crate::model::epoch::Unit;
use crate::model::{Cell, Dependent, DependentRow, Engine, Listed, StoredMessage, Table, epoch};
use crate::store::{Allowed, Choice, Mapping, Range, Split, Unread};
use crate::{clock, db, store};
use futures_util::future;
use std::collections::HashSet;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// A store, as it is at one moment.
pub struct Live {
    /// The view.
    pub db: Box<dyn SnapshotRead>,
    /// Further views of the same moment, which share the messages with it.
    further: Vec<Box<dyn SnapshotRead>>,
    /// What of the messages each view reads, the first one's first; empty where that is all of them.
    ranges: Vec<Range>,
    /// Why the messages are in one range although more were asked for.
    pub whole: Option<String>,
    /// Where the chats are.
    pub mapping: Mapping,
    /// Tables of the same name in other schemas of the search path (PostgreSQL), which are not
    /// read.
    pub shadowed: Vec<String>,
    /// What looks like the chats, and is not read.
    pub unread: Unread,
    /// Tables whose rows belong to messages, with their places in the list of the snapshot.
    pub dependents: Vec<(u8, Dependent)>,
    /// Tables that refer to what is read, and seem to hold texts; they are not read.
    pub neighbours: Vec<String>,
    /// The unit in which the places of messages are given, if they are times and a snapshot has another one.
    unit: Option<Unit>,
    /// What distinguishes its tables from others.
    pub evidence: Evidence,
    /// When, in microseconds since 1970 UTC.
    pub taken: i64,
}

/// Visits conversations and messages, and may end the read.
pub trait Visitor: Send {
    /// A conversation that has a row of its own.
    fn conversation(&mut self, key: &str, listed: Listed) -> anyhow::Result<ControlFlow<()>>;
    /// A message, in the order in which it is stored. It may be kept for another one.
    fn message(
        &mut self,
        message: &mut StoredMessage,
        late: Late,
    ) -> anyhow::Result<ControlFlow<()>>;
    /// What belongs to a message or conversation.
    fn dependent(&mut self, _: DependentRow) -> anyhow::Result<ControlFlow<()>> {
        Ok(ControlFlow::Continue(()))
    }
}

/// Which messages may have been committed after an earlier look although they are before it.
#[derive(Debug, Default)]
pub struct LateCommits {
    /// The keys of those of which the engine tells.
    keys: HashSet<String>,
    /// And those made in this time, in microseconds since 1970 UTC.
    around: Option<RangeInclusive<i64>>,
}

impl Live {
    /// Opens the store for `limit` at most, and finds its chats. Its messages will be read in so
    /// many ranges at a time, if its moment can be shared and they can be cut.
    pub async fn open(
        target: Target,
        choice: impl Into<Choice<'_>>,
        limit: Duration,
        ranges: usize,
    ) -> anyhow::Result<Self> {
        let mut further = db::open_several_snapshot_reads(target, &[], limit, ranges).await?;
        let db = further.remove(0);
        let taken = clock::calendar();
        let schema = db.schema().await?;
        let mapping = chosen(db.as_ref(), choice, &schema, limit).await?;
        let tables = mapping.table_names();
        let evidence = evidence::take(db.as_ref(), &tables, Depth::Catalog).await?;
        let (ranges, whole) = if further.is_empty() {
            (Vec::new(), None)
        } else {
            match store::split(db.as_ref(), &mapping, further.len() + 1).await? {
                Split::Ranges(ranges) => (ranges, None),
                Split::Whole(why) => (Vec::new(), Some(why)),
            }
        };
        further.truncate(ranges.len().saturating_sub(1));
        let shadowed = shadowed(db.as_ref(), mapping.table()).await?;
        let unread = looked_around(db.as_ref(), &mapping, &schema).await;
        let dependents =
            readable(db.as_ref(), &mapping, store::dependents(&mapping, &schema)).await;
        Ok(Self {
            db,
            further,
            ranges,
            whole,
            shadowed,
            unread,
            neighbours: mapping.neighbours(&schema),
            dependents: (0..).zip(dependents).collect(),
            mapping,
            unit: None,
            evidence,
            taken,
        })
    }

    /// Whether a view has this name.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn is_view(&self, name: &str) -> anyhow::Result<bool> {
        let sql = match self.db.target().engine() {
            Engine::Sqlite => "SELECT 1 FROM sqlite_master WHERE type = 'view' AND name = ?",
            Engine::Postgres => {
                "SELECT 1 FROM pg_class WHERE relname = ? AND relkind IN ('v', 'm') AND pg_table_is_visible(oid)"
            }
            Engine::Mysql => {
                "SELECT 1 FROM information_schema.views WHERE table_schema = DATABASE() AND table_name = ?"
            }
        };
        let found = self.db.rows(sql, &[Cell::Text(name.to_owned())]).await?;
        Ok(!found.is_empty())
    }

    /// In how many ranges its messages are read.
    pub fn ranges(&self) -> usize {
        self.ranges.len().max(1)
    }

    /// Reads everything; false when the visitor broke off.
    pub async fn read(
        &self,
        late: &LateCommits,
        visitor: &mut dyn Visitor,
    ) -> anyhow::Result<bool> {
        let (db, mapping) = (self.db.as_ref(), &self.mapping);
        store::intact(db, mapping).await?;
        let mut whole = true;
        store::scan_conversations(db, mapping, &mut |key: &str, listed| {
            let flow = visitor.conversation(key, listed)?;
            whole &= flow.is_continue();
            Ok(flow)
        })
        .await?;
        if whole {
            whole = self.read_messages(late, visitor).await?;
        }
        if whole {
            whole = self.read_dependents(visitor).await?;
        }
        for view in self.views() {
            view.unchanged().await?;
        }
        Ok(whole)
    }

    async fn read_dependents(&self, visitor: &mut dyn Visitor) -> anyhow::Result<bool> {
        let (db, mapping) = (self.db.as_ref(), &self.mapping);
        let mut whole = true;
        let mut take = |row: DependentRow| {
            let flow = visitor.dependent(row)?;
            whole &= flow.is_continue();
            Ok(flow)
        };
        store::scan_heads(db, mapping, &mut take).await?;
        for (index, table) in &self.dependents {
            store::scan_dependent(db, mapping, (*index, table), &mut take).await?;
        }
        Ok(whole)
    }

    /// Reads the rows of other tables that the snapshot has. Returns the places of those that cannot be read
    /// as they were; one that is gone has lost its rows.
    ///
    /// # Errors
    /// When the catalogue can't be read.
    pub async fn depends_as(&mut self, before: &file::Header) -> anyhow::Result<Vec<u8>> {
        let schema = self.db.schema().await?;
        let is_there = |it: &Dependent| schema.iter().any(|table| table.name == it.table);
        let mut skipped = Vec::new();
        self.dependents.clear();
        for (index, table) in (0..).zip(&before.dependents) {
            if table.lacks_columns(&schema) {
                skipped.push(index);
            } else if is_there(table) {
                self.dependents.push((index, table.clone()));
            }
        }
        Ok(skipped)
    }

    fn views(&self) -> impl Iterator<Item = &dyn SnapshotRead> {
        std::iter::once(&self.db)
            .chain(&self.further)
            .map(AsRef::as_ref)
    }

    /// Reads the messages, of all ranges at a time; no more of them are kept than is on the way.
    async fn read_messages(
        &self,
        late: &LateCommits,
        visitor: &mut dyn Visitor,
    ) -> anyhow::Result<bool> {
        let mapping = &self.mapping;
        let whole = AtomicBool::new(true);
        // It is held only while a message is taken, and never while anything is waited for.
        let visitor = Mutex::new(visitor);
        let take = |message: &mut StoredMessage| {
            let is_late = late.of(message);
            if let Some(unit) = self.unit {
                message.append = message.append.map(|place| epoch::to(unit, place));
            }
            let mut visitor = visitor.lock().unwrap_or_else(PoisonError::into_inner);
            let flow = if whole.load(Ordering::Relaxed) {
                visitor.message(message, is_late)?
            } else {
                ControlFlow::Break(())
            };
            whole.fetch_and(flow.is_continue(), Ordering::Relaxed);
            Ok(flow)
        };
        if self.ranges.is_empty() {
            store::scan(self.db.as_ref(), mapping, &mut |message| take(message)).await?;
        } else {
            let reads = self.views().zip(&self.ranges).map(async |(db, range)| {
                store::scan_range(db, mapping, range, &mut |message| take(message)).await
            });
            future::try_join_all(reads).await?;
        }
        Ok(whole.into_inner())
    }

    fn catalog(&self) -> &'static db::Catalog {
        db::catalog(self.db.target().engine())
    }

    /// Which messages may be late, after that snapshot; `grace` is how long a transaction may last.
    pub async fn latecomers(
        &self,
        before: &Snapshot,
        grace: Duration,
    ) -> anyhow::Result<LateCommits> {
        let running = self.running_then(&before.header);
        let written = store::written_by(self.db.as_ref(), &self.mapping, &running).await?;
        let keys = written.into_iter().collect();
        // That does not tell of all: behind a savepoint rows have another number, and a transaction
        // takes the row's key before its own number.
        let grace = i64::try_from(grace.as_micros()).unwrap_or(i64::MAX);
        // Where no two transactions write at a time no row number is late. A time is: the server makes
        // it before it writes, and that of an answer is often the one at which it began.
        let by_time = appends_by_time(self.mapping.store());
        let late = self.catalog().commits_late || by_time;
        let grace = if by_time {
            grace.max(before.summary.settle)
        } else {
            grace
        };
        let taken = before.summary.taken;
        // The snapshot's clock may have been behind that of whoever set the times.
        let last = before.summary.last_time.unwrap_or(taken).max(taken);
        Ok(LateCommits {
            keys,
            around: late.then(|| taken.saturating_sub(grace)..=last.saturating_add(grace)),
        })
    }

    /// Gives the places of messages in the unit that they had at that snapshot, where they are times: a
    /// migration of the column changes no place.
    pub async fn count_as(&mut self, before: &Snapshot) -> anyhow::Result<()> {
        let then = before.summary.high.and_then(epoch::unit);
        if then.is_none() || !appends_by_time(self.mapping.store()) {
            return Ok(());
        }
        // Where rows of several units are in the column, it is the same one as long as none is converted.
        let last = store::last_place(self.db.as_ref(), &self.mapping).await?;
        self.unit = then.filter(|_| last.and_then(epoch::unit) != then);
        Ok(())
    }

    /// Transactions that may have been running when a snapshot was taken, from one number to another;
    /// none where the engine does not tell.
    pub fn running_then(&self, before: &file::Header) -> Vec<(u64, u64)> {
        let running = before.store.running.as_ref();
        let running = running.filter(|_| self.catalog().lists_running);
        running.cloned().unwrap_or_default()
    }

    /// What a snapshot says of the store.
    pub fn header(&self, previous: Option<String>) -> file::Header {
        let target = self.db.target();
        file::Header {
            tool: env!("CARGO_PKG_VERSION").to_owned(),
            store: file::Store {
                backend: target.engine().to_string(),
                url: target.to_string(),
                messages: self.mapping.table().to_owned(),
                read: self.read_tables(),
                running: self.running(),
                log: self.db.moment().log.map(|log| log.to),
            },
            evidence: self.evidence.clone(),
            mapping: self.fingerprinted(),
            dependents: self.dependents.iter().map(|(_, it)| it.clone()).collect(),
            previous,
        }
    }

    /// Tables of which every row that belongs to a message or lists a conversation is read. Of
    /// several places with the same chats only the first one is.
    fn read_tables(&self) -> Vec<String> {
        let store = self.mapping.store();
        let conversation = store.conversation.as_ref().map(|it| it.table.clone());
        let parts = store.parts.as_ref().map(|it| it.table.clone());
        conversation.into_iter().chain(parts).collect()
    }

    /// Transactions that may have been running at the moment, from one number to another, where the
    /// engine tells: `xmin:xmax:xip,xip,…` of PostgreSQL. A standby lists none: any of those from
    /// the oldest that runs up to the next may.
    fn running(&self) -> Option<Vec<(u64, u64)>> {
        let moment = self.db.moment();
        let (bounds, running) = moment.snapshot.as_deref()?.rsplit_once(':')?;
        if moment.log.is_some_and(|log| log.standby) {
            let (oldest, next) = bounds.split_once(':')?;
            let (oldest, next) = (oldest.parse().ok()?, next.parse::<u64>().ok()?);
            return Some(
                (oldest < next)
                    .then(|| (oldest, next - 1))
                    .into_iter()
                    .collect(),
            );
        }
        let running = running.split(',').filter_map(|number| number.parse().ok());
        Some(running.map(|number| (number, number)).collect())
    }

    /// Fails on a standby that has not replayed everything that a snapshot of the same data holds:
    /// what is missing is not lost, it has not come.
    pub fn has_come_to(&self, before: &file::Header) -> Result<(), CliError> {
        let (log, then) = (self.db.moment().log, before.store.log);
        let (Some(log), Some(then)) = (log, then) else {
            return Ok(());
        };
        let system = self.evidence.database.get("system");
        let is_same = before.evidence.database.get("system") == system;
        if !log.standby || log.from >= then || !is_same {
            return Ok(());
        }
        let target = self.db.target();
        Err(CliError::unreachable(format!(
            "the standby `{target}` has replayed the log up to {}, and the snapshot was taken at {}: missing \
                messages may just be late",
            Log::printed(log.from),
            Log::printed(then),
        ))
        .hint(format!(
            "wait until `SELECT pg_last_wal_replay_lsn() >= '{}'` is true there, and compare again",
            Log::printed(then)
        )))
    }

    /// What of the mapping goes into the digests.
    pub fn fingerprinted(&self) -> file::Mapping {
        let store = self.mapping.store();
        file::Mapping {
            name: format!("{}, {}", self.mapping.short(), fingerprint::text(store)),
            declared: Some(self.mapping.toml()),
            unlike_older: self
                .mapping
                .detected()
                .map(|why| why.unlike_older.clone())
                .unwrap_or_default(),
            digest: fingerprint::digest(store),
            first_version: fingerprint::digest_of_first_version(store),
            order: order(store),
            by_time: Some(appends_by_time(store)),
            paired: store.shape == store::Shape::Turn,
            sums: None,
            summed: Vec::new(),
        }
    }

    /// Reads nothing that the snapshot's mapping did not name: such a column may have been added since.
    /// Returns what is left out then.
    pub fn read_as(&mut self, before: &file::Mapping) -> Option<String> {
        let (store, left_out) = as_before(before, self.mapping.store())?;
        self.mapping.stores[0] = store;
        Some(left_out)
    }

    /// What users may do to what is stored.
    pub fn allowed(&self) -> Vec<Allow> {
        allowed(self.mapping.store())
    }
}

/// The mapping of a later snapshot without such a column, and what is left out then. The digests of
/// messages still hold what it says.
pub fn without_newer(
    before: &file::Mapping,
    after: &file::Mapping,
) -> Option<(file::Mapping, String)> {
    let stores = stores_of(after);
    let is_read = before.sums.is_none() && after.sums.is_none();
    let store = stores.first().filter(|_| is_read)?;
    let (store, left_out) = as_before(before, store)?;
    let mapping = file::Mapping {
        digest: fingerprint::digest(&store),
        first_version: fingerprint::digest_of_first_version(&store),
        ..after.clone()
    };
    Some((mapping, left_out))
}

/// A store without columns of its own for tool calls or for marks of deletion, where that makes it the
/// one of a mapping that has none, and what is left out then.
fn as_before(before: &file::Mapping, store: &store::Store) -> Option<(store::Store, String)> {
    let is_its = |store: &store::Store| {
        before.digest == fingerprint::digest(store)
            || before.digest == fingerprint::digest_of_first_version(store)
    };
    if is_its(store) {
        return None;
    }
    let message = store.message.tools.as_ref().map(ToString::to_string);
    let item = store.item.as_ref().and_then(|item| item.tools.clone());
    let place = message
        .or_else(|| item.map(String::from))
        .unwrap_or_default();
    let tools = format!("the tool calls in `{place}` were not compared");
    let marks = "what is marked as deleted was not compared as such".to_owned();
    let (without_tools, without_marks) = (
        store.clone().without_tools(),
        store.clone().without_deletion(),
    );
    let neither = without_tools.clone().without_deletion();
    let tried = [
        (without_tools, tools.clone()),
        (without_marks, marks.clone()),
        (neither, format!("{tools}, and {marks}")),
    ];
    let (store, left_out) = tried.into_iter().find(|(store, _)| is_its(store))?;
    let left_out = format!("{left_out}: the snapshot's mapping does not have it");
    Some((store, left_out))
}

/// Tables of that name in other schemas of the search path: a tenant may have one each.
async fn shadowed(db: &dyn Db, table: &str) -> anyhow::Result<Vec<String>> {
    match db.target().engine() {
        Engine::Sqlite | Engine::Mysql => return Ok(Vec::new()),
        Engine::Postgres => {}
    }
    let sql = "SELECT n.nspname::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        WHERE c.relname = ? AND c.relkind IN ('r', 'p') AND n.nspname = ANY (current_schemas(false))
            AND n.nspname <> current_schema() ORDER BY 1";
    let rows = db.rows(sql, &[Cell::Text(table.to_owned())]).await?;
    let named = rows.iter().map(|row| format!("{}.{table}", row[0]));
    Ok(named.collect())
}

/// The mapping to use. On a server a read that fails, as of a view or of a table that may not be read,
/// would end the view of the moment: another connection looks.
async fn chosen(
    view: &dyn Db,
    choice: impl Into<Choice<'_>>,
    schema: &[Table],
    limit: Duration,
) -> anyhow::Result<Mapping> {
    let target = view.target();
    let db = match target.engine() {
        Engine::Sqlite => return store::choose(view, choice, schema).await,
        Engine::Postgres | Engine::Mysql => db::open(target.clone()).await?,
    };
    let looked = tokio::time::timeout(limit, store::choose(db.as_ref(), choice, schema)).await;
    looked.unwrap_or_else(|_| {
        let stop = format!("looking for the chats in `{target}` took longer than {limit:?}");
        Err(CliError::unreachable(stop)
            .hint(
                "wait until nothing locks its tables, or declare them as [[store]] in chatctl.toml",
            )
            .into())
    })
}

/// What looks like the chats and is not read. On a server a read that fails would end the view, so
/// another connection looks; where it can't, or is kept waiting, nothing is named.
async fn looked_around(view: &dyn Db, mapping: &Mapping, schema: &[Table]) -> Unread {
    const AT_MOST: Duration = Duration::from_secs(5);
    match view.target().engine() {
        // Another connection would keep writers waiting.
        Engine::Sqlite => store::unread(view, mapping, schema).await,
        Engine::Postgres | Engine::Mysql => {
            let look = async {
                let db = db::open(view.target().clone()).await.ok()?;
                Some(store::unread(db.as_ref(), mapping, schema).await)
            };
            let seen = tokio::time::timeout(AT_MOST, look).await;
            seen.ok().flatten().unwrap_or_default()
        }
    }
}

/// Those of the tables that may be read. On a server a read that fails would end the view.
async fn readable(view: &dyn Db, mapping: &Mapping, tables: Vec<Dependent>) -> Vec<Dependent> {
    match view.target().engine() {
        Engine::Sqlite => return tables,
        Engine::Postgres | Engine::Mysql if tables.is_empty() => return tables,
        Engine::Postgres | Engine::Mysql => {}
    }
    let mut found = Vec::new();
    if let Ok(db) = db::open(view.target().clone()).await {
        for table in tables {
            if db
                .rows(&store::probe_dependent(db.as_ref(), mapping, &table), &[])
                .await
                .is_ok()
            {
                found.push(table);
            }
        }
    }
    found
}

/// What users may do to what is stored there.
pub fn allowed(store: &store::Store) -> Vec<Allow> {
    let of = |what: &Allowed| match what {
        Allowed::Edit => Allow::Edit,
        Allowed::Delete => Allow::Delete,
        Allowed::Clear => Allow::Clear,
        Allowed::Move => Allow::Move,
    };
    store.allow.iter().map(of).collect()
}

/// The preset with which a snapshot was taken, if it was one.
pub fn preset_of(mapping: &file::Mapping) -> Option<&'static store::Preset> {
    let (name, _) = mapping.name.split_once(" (preset)")?;
    store::presets().iter().find(|preset| preset.name == name)
}

/// The stores that a snapshot was taken of; in an older file only those of a preset are known.
pub fn stores_of(mapping: &file::Mapping) -> Vec<store::Store> {
    let kept = mapping.declared.as_deref();
    let kept = kept.and_then(store::Mapping::stores_in);
    let of_preset = || preset_of(mapping).map(|preset| preset.store.clone());
    kept.or_else(of_preset).unwrap_or_default()
}

/// Whether messages are in the order of their times, and of no number.
fn appends_by_time(store: &store::Store) -> bool {
    let message = &store.message;
    let mut times = message.time.iter().flat_map(store::Source::columns);
    times.any(|time| message.append.as_deref() == Some(time))
}

/// What orders messages, where their order is kept.
fn order(store: &store::Store) -> Vec<String> {
    if store.orders_items() {
        vec!["the place in the array".to_owned()]
    } else {
        store.order_apart().to_vec()
    }
}

impl LateCommits {
    /// Whether a message may be one of them.
    pub fn of(&self, message: &StoredMessage) -> Late {
        let told = self.keys.contains(&message.key);
        let around = |range: &RangeInclusive<_>| message.time.is_some_and(|at| range.contains(&at));
        if told || self.around.as_ref().is_some_and(around) {
            Late::Maybe
        } else {
            Late::No
        }
    }
}
