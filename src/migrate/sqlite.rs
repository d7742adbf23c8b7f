//! Migrations on SQLite: one transaction over the whole run, measured before and after.
//!
//! SQLite's table rebuild with foreign keys on deletes the children of the old table, silently.
//! So they are off outside of the transaction, where the pragma works, and checked inside of it.

use super::intent;
use super::ledger;
use super::plan;
use super::plan::Plan;
use super::plan::Policy;
use super::preserve;
use super::preserve::Doubt;
use super::preserve::Lost;
use super::preserve::Renames;
use super::preserve::What;
use super::source::Folder;
use super::source::Migration;
use super::source::Version;
use crate::clock;
use crate::db::Session;
use crate::model::Measured;
use crate::stop::Stop;
use std::collections::BTreeSet;
use std::time::Duration;

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
    /// How long it took.
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
    /// Where the statement begins, from 1; absent when only the whole run shows it.
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

/// Applies what is pending, or changes nothing.
pub fn up(session: &Session, folder: &Folder, policy: &Policy) -> anyhow::Result<Ended> {
    command(session, "PRAGMA foreign_keys = OFF")?;
    begin(session)?;
    let ended = within(session, folder, policy);
    // Whatever was not committed goes; a transaction that is over already can't be rolled back.
    let _ = command(session, "ROLLBACK");
    ended
}

fn within(session: &Session, folder: &Folder, policy: &Policy) -> anyhow::Result<Ended> {
    let (applied, tool) = ledger::applied(session, &folder.migrations)?;
    if let Some(tool) = tool.filter(|tool| *tool != "sqlx") {
        return Err(Stop::refused(format!("the history in this database was written by {tool}"))
            .hint(format!("go on with {tool}; chatctl reads its history (`chatctl migrate status`) and does not continue it"))
            .into());
    }
    let Plan { pending, .. } =
        plan::plan(&folder.migrations, &applied, policy).map_err(Stop::from)?;
    if pending.is_empty() {
        return Ok(Ended::NothingToDo);
    }
    let allowed = intent::acknowledged(&pending)?;
    let renames = intent::renames(&pending);
    let objects_before = objects(session)?;
    let mut attempt = match attempt(session, &pending, &[])? {
        Ok(attempt) => attempt,
        Err(failure) => return Ok(Ended::Failed(failure)),
    };
    let doubts = preserve::doubts(&attempt.before, &attempt.after, &renames);
    if !doubts.is_empty() {
        // Rows or values were added, so sums don't tell whether the old ones are still there. Once
        // more, with just those columns put aside to be compared value by value.
        command(session, "ROLLBACK")?;
        begin(session)?;
        attempt = match self::attempt(session, &pending, &doubts)? {
            Ok(attempt) => attempt,
            Err(failure) => return Ok(Ended::Failed(failure)),
        };
    }
    let mut lost = preserve::compare(&attempt.before, &attempt.after, &renames);
    lost.append(&mut attempt.altered);
    let unacknowledged: Vec<_> = preserve::unacknowledged(&lost, &allowed)
        .into_iter()
        .cloned()
        .collect();
    if !unacknowledged.is_empty() {
        command(session, "ROLLBACK")?;
        return Ok(Ended::Lost(culprits(
            session,
            &pending,
            &renames,
            unacknowledged,
        )?));
    }
    if let Some(key) = attempt.broken_key {
        return Ok(Ended::Failed(Failure {
            file: last_file(&pending),
            line: None,
            message: format!("a foreign key would be broken: {key}"),
        }));
    }
    let before = &attempt.before;
    let kept = Kept {
        tables: before.tables.len(),
        rows: before.tables.values().map(|table| table.rows).sum(),
        objects: gone(&objects_before, &objects(session)?, &pending),
        acknowledged: lost,
    };
    command(session, "COMMIT")?;
    Ok(Ended::Applied(attempt.ran, kept))
}

/// All pending migrations run once, not committed.
struct Attempt {
    before: Measured,
    after: Measured,
    /// Values in doubt that are not there any more.
    altered: Vec<Lost>,
    /// A foreign key that points to nothing, and did not before.
    broken_key: Option<String>,
    ran: Vec<Ran>,
}

fn attempt(
    session: &Session,
    pending: &[&Migration],
    doubts: &[Doubt],
) -> anyhow::Result<Result<Attempt, Failure>> {
    let before = measure(session)?;
    let broken_before = broken_keys(session)?;
    for (number, doubt) in doubts.iter().enumerate() {
        session.remember(number, &doubt.table.0, &doubt.key, &doubt.column.0)?;
    }
    ledger::create(session)?;
    let mut ran = Vec::new();
    for migration in pending {
        match run(session, migration)? {
            Ok(done) => ran.push(done),
            Err(failure) => return Ok(Err(failure)),
        }
    }
    let broken_key = broken_keys(session)?
        .difference(&broken_before)
        .next()
        .cloned();
    let mut altered = Vec::new();
    for (number, doubt) in doubts.iter().enumerate() {
        let rows = session.altered(number, &doubt.table.1, &doubt.key, &doubt.column.1)?;
        if rows > 0 {
            let filled = before.tables[&doubt.table.0].columns[&doubt.column.0].filled;
            altered.push(Lost {
                table: doubt.table.0.clone(),
                column: Some(doubt.column.0.clone()),
                what: What::ValuesChanged,
                rows,
                before: filled,
                after: filled - rows.min(filled),
            });
        }
    }
    Ok(Ok(Attempt {
        before,
        after: measure(session)?,
        altered,
        broken_key,
        ran,
    }))
}

/// Begins the run's transaction: from here on nobody else writes.
fn begin(session: &Session) -> anyhow::Result<()> {
    command(session, "BEGIN IMMEDIATE").map_err(|error| {
        Stop::unreachable(format!(
            "the database is locked by another connection: {error:#}"
        ))
        .hint("end the writer that holds it, or wait longer with --lock-wait")
        .into()
    })
}

fn command(session: &Session, sql: &str) -> anyhow::Result<()> {
    session
        .run(sql, |_| Ok(()))
        .map_err(|failed| anyhow::anyhow!(failed.message))
}

/// Runs one migration and writes it into the history.
fn run(session: &Session, migration: &Migration) -> anyhow::Result<Result<Ran, Failure>> {
    let began = clock::now();
    if let Err(failed) = session.run(&migration.up, |_| Ok(())) {
        return Ok(Err(Failure {
            file: migration.file_name(),
            line: intent::line_of(migration, failed.statement),
            message: failed.message,
        }));
    }
    let took = clock::now() - began;
    ledger::record(session, migration, took)?;
    Ok(Ok(Ran {
        version: migration.version.clone(),
        description: migration.description.clone(),
        took,
    }))
}

/// Which statement did it: the run once more, measured after each statement, and rolled back.
fn culprits(
    session: &Session,
    pending: &[&Migration],
    renames: &Renames,
    lost: Vec<Lost>,
) -> anyhow::Result<Vec<Culprit>> {
    begin(session)?;
    let before = measure(session)?;
    ledger::create(session)?;
    let mut open = lost;
    let mut found = Vec::new();
    for migration in pending {
        let mut last = Vec::new();
        session
            .run(&migration.up, |number| {
                let now = preserve::compare(&before, &measure(session)?, renames);
                last.push((number, now));
                Ok(())
            })
            .map_err(|failed| anyhow::anyhow!(failed.message))?;
        open.retain(|lost| {
            let same = |now: &Lost| (&now.table, &now.column) == (&lost.table, &lost.column);
            // What a rebuild takes away and gives back is no loss: the last statement counts
            // after which it was never whole again.
            let whole = last.iter().rposition(|(_, now)| !now.iter().any(same));
            let Some((number, _)) = last.get(whole.map_or(0, |index| index + 1)) else {
                return true;
            };
            found.push(Culprit {
                lost: lost.clone(),
                file: migration.file_name(),
                line: intent::line_of(migration, *number),
                statement: intent::statement(migration, *number).unwrap_or_default(),
            });
            false
        });
    }
    command(session, "ROLLBACK")?;
    found.extend(open.into_iter().map(|lost| Culprit {
        lost,
        file: last_file(pending),
        line: None,
        statement: String::new(),
    }));
    Ok(found)
}

fn measure(session: &Session) -> anyhow::Result<Measured> {
    session.measure(|table| table == ledger::TABLE || table.starts_with("_chatctl_"))
}

/// The file that a loss or a break is told of when only the whole run shows it.
fn last_file(pending: &[&Migration]) -> String {
    pending
        .last()
        .map(|migration| migration.file_name())
        .unwrap_or_default()
}

fn broken_keys(session: &Session) -> anyhow::Result<BTreeSet<String>> {
    let rows = session.rows("PRAGMA foreign_key_check")?;
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
        "SELECT type, name, tbl_name FROM sqlite_master WHERE type IN ('index', 'trigger', 'view') AND sql IS NOT NULL",
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
    let dropped = |name: &str| intent::drops(pending, name);
    before
        .difference(after)
        .filter(|(_, name, _)| !dropped(name))
        .map(|(kind, name, table)| format!("{kind} `{name}` on `{table}`"))
        .collect()
}
