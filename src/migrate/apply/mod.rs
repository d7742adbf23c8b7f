//! Applies pending migrations: every row survives, or nothing is changed.
//!
//! A file runs in one transaction if it can; one that can't is journalled statement by statement. MySQL, where DDL commits by itself, is rehearsed on a copy first.

mod ahead;
mod blind;
mod closing;
mod copies;
mod counting;
mod definer;
mod elsewhere;
mod evidence;
mod fallen;
mod fresh;
mod kinds;
mod limits;
mod missed;
mod names;
mod options;
mod origin;
mod orphans;
mod outlook;
mod prepared;
mod probe;
mod prove;
mod reach;
mod rehearse;
mod staged;
mod stepwise;
mod stranded;
mod transact;
mod unfinished;
mod unseen;
mod views;
mod zones;

use super::intent::Intent;
use super::journal::{Journal, Mark, State};
use super::plan::Plan;
use super::preserve::Lost;
use super::source::{Migration, Version};
use super::{ledger, plan};
use crate::cli_error::CliError;
use crate::clock;
use crate::db::{Copying, Failed, Session};
use crate::sql::Dialect;
use ahead::Ahead;
use options::TRY;
use prove::Remaining;
use rehearse::Rest;
use std::path::PathBuf;
use std::time::Duration;
use transact::Since;

pub use evidence::{Evidence, Tried};
pub use options::{ApplyOptions, Guard, Together};

/// How a run ended.
#[derive(Debug, Default)]
pub struct Outcome {
    /// The run's name in the journal.
    pub run: String,
    /// The applied and committed migrations, in order.
    pub ran: Vec<Ran>,
    /// Indexes, triggers and views of tables that are still there, which no statement dropped by name.
    pub objects: Vec<String>,
    /// The backup that was made.
    pub backup: Option<PathBuf>,
    /// Why it stopped; `None` if everything is applied.
    pub end: Option<End>,
    /// How far the last file got, if it is not rolled back.
    pub stays: Option<String>,
    /// The version that got so far, and stopped because the rest would lose something.
    pub halfway: Option<Version>,
    /// The files of the transaction with which it ended, and those after them.
    pub rest: Option<NotRun>,
}

impl Outcome {
    /// Ends with one of the files, of which an earlier run may have applied a part.
    fn ends_halfway(&mut self, end: End, files: &[Rest<'_>]) {
        let file = match &end {
            End::Lost(culprits) => culprits.first().map(|it| it.file.as_str()),
            End::Failed(failure) => Some(failure.file.as_str()),
        };
        let is_it =
            |it: &&Rest<'_>| it.first > 0 && file == Some(it.intent.migration.file_name().as_str());
        if let Some(Rest { intent, first, .. }) = files.iter().find(is_it) {
            let all = intent.pieces.len();
            self.stays = Some(format!(
                "{first} of {all} statements of the file are applied and stay"
            ));
            let is_lost = matches!(end, End::Lost(_));
            self.halfway = is_lost.then(|| intent.migration.version.clone());
        }
        self.end = Some(end);
    }

    /// Names what is not applied: of the files that ended together, and of those after them.
    fn stops(&mut self, part: &[Intent<'_>], others: &[Intent<'_>]) {
        let stays = self.stays.is_some() && matches!(self.end, Some(End::Lost(_)));
        let first = part.first().filter(|_| stays);
        self.halfway = first.map(|intent| intent.migration.version.clone());
        // Of several files together, some may be applied one by one since.
        let is_applied = |it: &Migration| self.ran.iter().any(|ran| ran.version == it.version);
        let ended = part
            .iter()
            .map(|intent| intent.migration)
            .filter(|it| !is_applied(it))
            .map(|it| (it.version.clone(), it.description.clone(), it.file_name()))
            .collect();
        let later = others.iter().map(|it| it.migration.version.clone());
        self.rest = Some(NotRun {
            ended,
            later: later.collect(),
        });
    }
}

/// The migrations that a stopped run did not apply.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotRun {
    /// The files of the transaction that was rolled back, or the file that ended in the middle:
    /// version, description and file name.
    pub ended: Vec<(Version, String, String)>,
    /// The files that were not run.
    pub later: Vec<Version>,
}

/// Why a run stopped.
#[derive(Debug)]
pub enum End {
    /// Something would have been lost.
    Lost(Vec<Culprit>),
    /// A statement failed.
    Failed(Failure),
}

/// A migration that is applied.
#[derive(Debug, Clone)]
pub struct Ran {
    pub version: Version,
    pub description: String,
    pub file: String,
    /// How long its statements took, once.
    pub took: Duration,
    /// What is known about the rows that existed before it.
    pub evidence: Evidence,
}

impl Ran {
    fn new(migration: &Migration, took: Duration, evidence: Evidence) -> Self {
        Self {
            version: migration.version.clone(),
            description: migration.description.clone(),
            file: migration.file_name(),
            took,
            evidence,
        }
    }
}

/// A loss, and the statement that caused it.
#[derive(Debug, Clone)]
pub struct Culprit {
    /// What would have been lost.
    pub lost: Lost,
    /// The migration's file.
    pub file: String,
    /// Where the statement begins, from 1; absent when only the whole file shows it.
    pub line: Option<u32>,
    pub statement: String,
}

/// A statement that failed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// The migration's file.
    pub file: String,
    /// Where the statement begins, from 1.
    pub line: Option<u32>,
    /// The error of the database.
    pub message: String,
    /// What to do about it.
    pub help: String,
    /// Whether a retry may succeed.
    pub busy: bool,
}

/// Why a file may not be resumed: its statements would work without a temporary object of those
/// that are done, or with another table of that name.
fn lost_with_session(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    first: usize,
) -> anyhow::Result<Option<Failure>> {
    let there = if first > 0 {
        session.catalog()?
    } else {
        Vec::new()
    };
    let is_there = |name: &str| there.iter().any(|it| it.table.eq_ignore_ascii_case(name));
    let Some((number, name)) = intent.lost_with_session(first, is_there) else {
        return Ok(None);
    };
    Ok(Some(Failure {
        file: intent.migration.file_name(),
        line: Some(intent.pieces[number].line),
        message: format!(
            "`{name}` was temporary, and is gone with the session of the run that was stopped"
        ),
        help: format!(
            "make `{name}` again in a new statement before this line, and run `chatctl migrate` again"
        ),
        busy: false,
    }))
}

/// Applies pending migrations, or changes nothing.
pub fn up(session: &mut dyn Session, options: &ApplyOptions<'_>) -> anyhow::Result<Outcome> {
    all(session, options).map_err(|error| {
        let is_lost = |failed: &Failed| failed.lost;
        if !error.downcast_ref::<Failed>().is_some_and(is_lost) {
            return error;
        }
        CliError::unreachable(format!("the connection to the database was lost: {error:#}"))
            .hint("check that the server runs, then run `chatctl migrate` again: it resumes where it stopped; `chatctl migrate status` shows where")
            .into()
    })
}

fn all(session: &mut dyn Session, options: &ApplyOptions<'_>) -> anyhow::Result<Outcome> {
    let mut outcome = Outcome::default();
    // Most starts have nothing to do; they take no lock and write nothing.
    match pending(session, options) {
        Ok(files) if files.is_empty() => return Ok(outcome),
        // Another replica may hold a lock of its file, and the journal with it: its turn is waited for.
        Err(error) if !error.downcast_ref::<Failed>().is_some_and(|it| it.busy) => {
            return Err(error);
        }
        Ok(_) | Err(_) => {}
    }
    lock_migrations(session, options)?;
    let files = pending(session, options)?;
    let mut intents: Vec<_> = files
        .iter()
        .map(|file| Intent::of(file, options.dialect))
        .collect::<Result<_, _>>()?;
    let mut journal = Journal::of_files(options.dialect, &files);
    outcome.run.clone_from(&journal.run);
    names::at_first(session, &mut intents, &mut journal)?;
    options.backup.allowed(&intents)?;
    allowed(session, options, &intents)?;
    let copies = copies(session, options, (&intents, &mut journal))?;
    let mut ahead = Ahead::default();
    if options.dialect == Dialect::Mysql {
        let part = (intents.as_mut_slice(), &mut journal);
        match Ahead::of(session, options, part, &copies, &mut outcome)? {
            Some(found) => ahead = found,
            None => return Ok(outcome),
        }
        outcome.backup = options.back_up(&intents, &journal.run)?;
        if let Some(path) = &outcome.backup {
            journal.create(session)?;
            let path = path.display().to_string();
            journal.write(session, &Mark::of_run(State::Backup, &path))?;
        }
    }
    session.copies(copies);
    if let Some(made) = journal.kept(session, State::Made)? {
        session.recall(&made);
    }
    let part = (intents.as_slice(), &mut journal);
    in_parts(session, options, part, &mut ahead, &mut outcome)?;
    for ran in &mut outcome.ran {
        if let Some(evidence) = ahead.rehearsed.remove(&ran.version) {
            ran.evidence.add(evidence.evidence);
        }
    }
    Ok(outcome)
}

/// Refuses files that this engine could not undo, before any of them runs.
fn allowed(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    intents: &[Intent<'_>],
) -> anyhow::Result<()> {
    match options.dialect {
        Dialect::Mysql => {
            intents.iter().try_for_each(stepwise::keeps_together)?;
            let database = options.target.database();
            let allowed = |intent: &Intent<'_>| elsewhere::allowed(intent, &database);
            intents.iter().try_for_each(allowed)?;
            definer::all_there(session, intents)
        }
        Dialect::Postgres | Dialect::Sqlite => {
            let mut stepwise = intents.iter().filter(|intent| intent.stepwise());
            Ok(stepwise.try_for_each(stepwise::allowed)?)
        }
    }
}

/// Runs the files, those together that share a transaction.
fn in_parts(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (intents, journal): (&[Intent<'_>], &mut Journal),
    ahead: &mut Ahead,
    outcome: &mut Outcome,
) -> anyhow::Result<()> {
    let mut since = Since::default();
    let mut rest = intents;
    while let Some(first) = rest.first() {
        let (part, others) = rest.split_at(together(rest, options));
        let remaining = if others.is_empty() {
            Remaining::Nothing
        } else {
            Remaining::More
        };
        outcome.end = if first.stepwise() {
            since = Since::default();
            let rehearsed = ahead.rehearsed.get(&first.migration.version);
            let rehearsed = rehearsed.map(|rehearsed| (rehearsed, &mut ahead.record));
            let part = (first, &mut *journal, remaining);
            stepwise::run(session, options, part, rehearsed, outcome)?
        } else {
            let part = (part, &mut *journal, remaining, &mut since);
            transact::run(session, options, part, outcome)?
        };
        if outcome.end.is_some() {
            outcome.stops(part, others);
            break;
        }
        rest = others;
    }
    Ok(())
}

/// How many of the files, from the first on, run in one transaction.
fn together(rest: &[Intent<'_>], options: &ApplyOptions<'_>) -> usize {
    if options.dialect == Dialect::Postgres && options.together == Together::EachFile {
        return 1;
    }
    let shares = |intent: &&Intent<'_>| !intent.stepwise() && intent.isolation.is_none();
    rest.iter().take_while(shares).count().max(1)
}

/// Which tables are filled from which others, where something may be lost that is acknowledged. What earlier
/// runs made that came to a stop was made by files that are applied.
fn copies(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (intents, journal): (&[Intent<'_>], &mut Journal),
) -> anyhow::Result<Vec<Copying>> {
    if intents.iter().all(|intent| intent.allowed.is_empty()) {
        return Ok(Vec::new());
    }
    let applied: Vec<_> = match journal.kept(session, State::Made)? {
        None => Vec::new(),
        Some(_) => {
            let files = options.folder.migrations.iter();
            let read = files.map(|file| Intent::of(file, options.dialect));
            read.filter_map(Result::ok).collect()
        }
    };
    Ok(copies::of(
        intents.iter().chain(&applied),
        &session.catalog()?,
    ))
}

/// What is not applied, of the folder's migrations.
fn pending<'a>(
    session: &mut dyn Session,
    options: &ApplyOptions<'a>,
) -> anyhow::Result<Vec<&'a Migration>> {
    let applied = ledger::to_go_on(session, options.dialect, &options.folder.migrations)?;
    let plan = plan::plan(&options.folder.migrations, &applied, &options.policy);
    let Plan { pending, .. } = plan.map_err(CliError::from)?;
    Ok(pending)
}

/// Waits until no other replica migrates this database.
fn lock_migrations(session: &mut dyn Session, options: &ApplyOptions<'_>) -> anyhow::Result<()> {
    let deadline = clock::now() + options.lock_wait;
    let mut tried = 0;
    while !session.lock_migrations()? {
        if clock::now() >= deadline {
            return Err(
                CliError::unreachable("another process migrates this database")
                    .hint("wait for it to end, or wait longer with --lock-wait")
                    .into(),
            );
        }
        options.pause(tried.min(3))?;
        tried += 1;
    }
    Ok(())
}

/// A command that may find the database locked, until it is done or the time is over.
fn patiently(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    mut work: impl FnMut(&mut dyn Session) -> Result<(), Failed>,
) -> anyhow::Result<()> {
    let deadline = clock::now() + options.lock_wait;
    loop {
        match work(session) {
            Ok(()) => return Ok(()),
            Err(failed) if failed.busy && clock::now() < deadline => {
                options.check()?;
                std::thread::sleep(TRY);
            }
            Err(failed) if failed.busy => {
                return Err(
                    CliError::unreachable("the database is locked by another connection")
                        .hint("end the writer or reader that holds it, or wait longer with --lock-wait")
                        .into(),
                );
            }
            Err(failed) if failed.lost => return Err(failed.into()),
            Err(failed) => {
                options.check()?;
                return Err(CliError::unreachable(format!(
                    "the database can't be written: {}",
                    failed.message
                ))
                .hint("let this user write the database, and for SQLite also its folder")
                .into());
            }
        }
    }
}
