//! Migrations on SQLite: one transaction over the whole run, each file measured before and after.
//!
//! SQLite's table rebuild with foreign keys on deletes the children of the old table, silently.
//! So they are off outside of the transaction, where the pragma works, and checked inside of it.

use super::intent;
use super::ledger;
use super::plan;
use super::plan::Plan;
use super::plan::Policy;
use super::preserve;
use super::preserve::Counted;
use super::preserve::Lost;
use super::preserve::Suspect;
use super::source::Folder;
use super::source::Migration;
use super::source::Version;
use crate::clock;
use crate::db::Failed;
use crate::db::Session;
use crate::model::Measured;
use crate::stop::Stop;
use std::collections::BTreeSet;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How often a lock is tried for, so that a signal is not waited out.
const TRY: Duration = Duration::from_millis(20);
/// How often a file is tried until the same tables are suspects twice.
const ATTEMPTS: usize = 4;

/// How a run ended.
#[derive(Debug)]
pub enum Ended {
    /// Every migration is applied already.
    NothingToDo,
    /// Applied and committed.
    Applied(Vec<Ran>, Kept),
    /// Rolled back: something would have been lost.
    Lost(Vec<Culprit>),
    /// Rolled back: a statement failed.
    Failed(Failure),
}

/// A migration that ran.
#[derive(Debug, Clone)]
pub struct Ran {
    /// Its version.
    pub version: Version,
    /// Its description.
    pub description: String,
    /// How long its statements took, once.
    pub took: Duration,
}

/// What was measured, and is still there.
#[derive(Debug, Clone, Default)]
pub struct Kept {
    /// Tables that were there before.
    pub tables: usize,
    /// Their rows.
    pub rows: u64,
    /// Losses that the migrations acknowledge.
    pub acknowledged: Vec<Lost>,
    /// Indexes, triggers and views of tables that are still there, which no statement dropped by name.
    pub objects: Vec<String>,
}

/// A loss, and the statement that did it.
#[derive(Debug, Clone)]
pub struct Culprit {
    /// What would have been lost.
    pub lost: Lost,
    /// The migration's file.
    pub file: String,
    /// Where the statement begins, from 1; absent when only the whole file shows it.
    pub line: Option<u32>,
    /// The statement.
    pub statement: String,
}

/// A statement that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The migration's file.
    pub file: String,
    /// Where the statement begins, from 1.
    pub line: Option<u32>,
    /// What the database said.
    pub message: String,
}

/// Applies what is pending, or changes nothing. Waits for another writer at most `lock_wait`;
/// ends at the next file once `stop` is set.
pub fn up(
    session: &Session,
    folder: &Folder,
    policy: &Policy,
    lock_wait: Duration,
    stop: &AtomicBool,
) -> anyhow::Result<Ended> {
    command(session, "PRAGMA foreign_keys = OFF")?;
    begin(session, lock_wait, stop)?;
    let ended = within(session, folder, policy, stop);
    // Whatever was not committed goes; a transaction that is over already can't be rolled back.
    let _ = session.command("ROLLBACK");
    ended
}

fn within(
    session: &Session,
    folder: &Folder,
    policy: &Policy,
    stop: &AtomicBool,
) -> anyhow::Result<Ended> {
    let applied = ledger::of_sqlx(session, &folder.migrations)?;
    let Plan { pending, .. } =
        plan::plan(&folder.migrations, &applied, policy).map_err(Stop::from)?;
    if pending.is_empty() {
        return Ok(Ended::NothingToDo);
    }
    for migration in &pending {
        intent::check(migration)?;
    }
    ledger::create(session)?;
    let first = session.measure(ledger::TABLE)?;
    let objects_before = objects(session)?;
    let broken_before = broken_keys(session)?;
    let mut kept = Kept {
        tables: first.tables.len(),
        rows: first.tables.values().map(|table| table.rows).sum(),
        ..Kept::default()
    };
    let (mut before, mut ran) = (first, Vec::new());
    for migration in &pending {
        if stop.load(Ordering::SeqCst) {
            return Err(Stop::interrupted().into());
        }
        let tried = match attempt(session, migration, &before)? {
            Ok(tried) => tried,
            Err(failure) => return Ok(Ended::Failed(failure)),
        };
        let allowed = intent::acknowledged(migration)?;
        let refused: Vec<_> = preserve::unacknowledged(&tried.lost, &allowed)
            .into_iter()
            .cloned()
            .collect();
        if !refused.is_empty() {
            return Ok(Ended::Lost(culprits(session, migration, &before, refused)?));
        }
        command(session, "RELEASE chatctl_file")?;
        ledger::record(session, migration, tried.took)?;
        kept.acknowledged.extend(tried.lost);
        ran.push(Ran {
            version: migration.version.clone(),
            description: migration.description.clone(),
            took: tried.took,
        });
        before = tried.after;
    }
    if let Some(key) = broken_keys(session)?.difference(&broken_before).next() {
        return Ok(Ended::Failed(Failure {
            file: pending
                .last()
                .map(|migration| migration.file_name())
                .unwrap_or_default(),
            line: None,
            message: format!("a foreign key would be broken: {key}"),
        }));
    }
    kept.objects = gone(&objects_before, &objects(session)?, &pending);
    if stop.load(Ordering::SeqCst) {
        return Err(Stop::interrupted().into());
    }
    command(session, "COMMIT")?;
    Ok(Ended::Applied(ran, kept))
}

/// Begins the run's transaction: from here on nobody else writes.
fn begin(session: &Session, lock_wait: Duration, stop: &AtomicBool) -> anyhow::Result<()> {
    let deadline = clock::now() + lock_wait;
    loop {
        match session.command("BEGIN IMMEDIATE") {
            Ok(()) => return Ok(()),
            Err(_) if stop.load(Ordering::SeqCst) => return Err(Stop::interrupted().into()),
            Err(failed) if failed.busy && clock::now() < deadline => std::thread::sleep(TRY),
            Err(failed) if failed.busy => {
                return Err(
                    Stop::unreachable("the database is locked by another connection")
                        .hint("end the writer that holds it, or wait longer with --lock-wait")
                        .into(),
                );
            }
            Err(failed) => {
                return Err(Stop::unreachable(format!(
                    "the database can't be written: {}",
                    failed.message
                ))
                .into());
            }
        }
    }
}

fn command(session: &Session, sql: &str) -> anyhow::Result<()> {
    session
        .command(sql)
        .map_err(|failed| anyhow::anyhow!(failed.message))
}

/// A file that was run, not yet released.
struct Tried {
    after: Measured,
    lost: Vec<Lost>,
    took: Duration,
}

/// Runs a file inside a savepoint and compares. Which tables it touches is only known afterwards;
/// then they are put aside, the file is run once more, and they are compared row by row.
fn attempt(
    session: &Session,
    migration: &Migration,
    before: &Measured,
) -> anyhow::Result<Result<Tried, Failure>> {
    command(session, "SAVEPOINT chatctl_file")?;
    let renames = intent::renames(migration);
    let mut watched: Vec<Suspect> = Vec::new();
    for _ in 0..ATTEMPTS {
        for (number, suspect) in watched.iter().enumerate() {
            session.put_aside(number, &suspect.table.0)?;
        }
        let began = clock::now();
        if let Err(failed) = session.run(&migration.up, ledger::TABLE, |_| Ok(())) {
            return Ok(Err(failure(migration, failed)));
        }
        let took = clock::now() - began;
        let after = session.measure(ledger::TABLE)?;
        let suspects = preserve::suspects(before, &after, &renames);
        if suspects == watched {
            let mut lost = preserve::gone(before, &after, &renames);
            for (number, suspect) in suspects.iter().enumerate() {
                let (rows, columns) =
                    session.compare(number, &suspect.table.1, &suspect.key, &suspect.columns)?;
                lost.extend(preserve::lost(before, suspect, &Counted { rows, columns }));
            }
            return Ok(Ok(Tried { after, lost, took }));
        }
        command(session, "ROLLBACK TO chatctl_file")?;
        watched = suspects;
    }
    Ok(Err(Failure {
        file: migration.file_name(),
        line: None,
        message: "it touches other tables each time it is run, so its effect can't be proven"
            .into(),
    }))
}

fn failure(migration: &Migration, failed: Failed) -> Failure {
    Failure {
        file: migration.file_name(),
        line: intent::line_of(migration, failed.statement),
        message: failed.message,
    }
}

/// Which statement did it: the file once more, measured after each statement. What a rebuild takes
/// away and gives back is no loss: the statement counts after which it was never whole again.
fn culprits(
    session: &Session,
    migration: &Migration,
    before: &Measured,
    lost: Vec<Lost>,
) -> anyhow::Result<Vec<Culprit>> {
    command(session, "ROLLBACK TO chatctl_file")?;
    let mut states = Vec::new();
    session
        .run(&migration.up, ledger::TABLE, |_| {
            states.push(session.measure(ledger::TABLE)?);
            Ok(())
        })
        .map_err(|failed| anyhow::anyhow!(failed.message))?;
    Ok(lost
        .into_iter()
        .map(|lost| {
            let whole = states
                .iter()
                .rposition(|now| preserve::is_whole(&lost, before, now));
            let number = whole.map_or(0, |number| number + 1);
            Culprit {
                file: migration.file_name(),
                line: intent::line_of(migration, number),
                statement: intent::statement(migration, number).unwrap_or_default(),
                lost,
            }
        })
        .collect())
}

fn broken_keys(session: &Session) -> anyhow::Result<BTreeSet<String>> {
    let rows = session.rows("PRAGMA main.foreign_key_check")?;
    Ok(rows
        .iter()
        .map(|row| {
            format!(
                "row {} of `{}` refers to no row of `{}`",
                row[1], row[0], row[2]
            )
        })
        .collect())
}

/// Indexes, triggers and views: kind, name, and the table that they belong to.
fn objects(session: &Session) -> anyhow::Result<BTreeSet<(String, String, String)>> {
    let rows = session.rows(
        "SELECT type, name, tbl_name FROM main.sqlite_master WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL",
    )?;
    Ok(rows
        .iter()
        .map(|row| (row[0].to_string(), row[1].to_string(), row[2].to_string()))
        .collect())
}

/// Objects that are gone though no statement dropped them by name: a rebuild takes them along.
fn gone(
    before: &BTreeSet<(String, String, String)>,
    after: &BTreeSet<(String, String, String)>,
    pending: &[&Migration],
) -> Vec<String> {
    let names: BTreeSet<_> = after.iter().map(|(kind, name, _)| (kind, name)).collect();
    before
        .iter()
        .filter(|(kind, name, _)| !names.contains(&(kind, name)) && !intent::drops(pending, name))
        .map(|(kind, name, table)| format!("{kind} `{name}` on `{table}`"))
        .collect()
}
