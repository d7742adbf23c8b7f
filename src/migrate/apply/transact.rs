//! Files in a transaction: each in its own, or several together. All that is in one is applied, or
//! nothing of it.

use super::closing::{Opening, Own, Pending, Refused};
use super::prove::Remaining;
use super::{ApplyOptions, End, Outcome, Ran, patiently, prove};
use crate::db::Session;
use crate::migrate::intent::Intent;
use crate::migrate::journal::{Journal, Mark, State};
use crate::migrate::{journal, ledger};
use crate::sql::Dialect;
use std::collections::BTreeSet;

/// Files, and what they are run with.
type Part<'a, 'b> = (&'a [Intent<'b>], &'a mut Journal, Remaining);

/// Runs the files. Where a reference is broken by it, each runs once more in a transaction of its own in
/// which the engine acts on foreign keys, so that what hangs on a row that goes is lost with it: as much of
/// it as the file acknowledges.
pub(super) fn run(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (part, journal, remaining): Part<'_, '_>,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<End>> {
    match together(session, options, (part, journal, remaining), outcome)? {
        Some(Refused::Key(_)) => {}
        refused => return Ok(refused.map(Refused::end)),
    }
    if part.len() == 1 {
        session.enforce_keys(true)?;
        let ended = together(session, options, (part, journal, remaining), outcome);
        session.enforce_keys(false)?;
        return Ok(ended?.map(Refused::end));
    }
    for (number, intent) in part.iter().enumerate() {
        let alone = std::slice::from_ref(intent);
        let remaining = if number + 1 == part.len() {
            remaining
        } else {
            Remaining::More
        };
        if let Some(end) = run(session, options, (alone, journal, remaining), outcome)? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// Runs the files in one transaction; tries again when a statement did not get its lock.
fn together(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (part, journal, remaining): Part<'_, '_>,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<Refused>> {
    for tried in 0.. {
        let mut trial = Outcome {
            backup: outcome.backup.clone(),
            ..Outcome::default()
        };
        let ended = once(session, options, (part, journal, remaining), &mut trial);
        if !matches!(ended, Ok(None)) {
            // Whatever was not committed goes; a transaction that is over can't be rolled back.
            let _ = session.command("ROLLBACK");
        }
        outcome.backup = trial.backup;
        match ended? {
            Some(Refused::Other(End::Failed(failure)))
                if failure.busy && tried < options.retries =>
            {
                (options.tell)(&format!(
                    "a lock was not free in time, trying again ({})",
                    tried + 1
                ));
                options.pause(tried)?;
            }
            None => {
                outcome.objects.append(&mut trial.objects);
                outcome.ran.append(&mut trial.ran);
                return Ok(None);
            }
            // What ran before it was rolled back with it.
            refused => return Ok(refused),
        }
    }
    unreachable!("the loop over all numbers ends by its return")
}

fn once(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (part, journal, remaining): Part<'_, '_>,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<Refused>> {
    match part
        .first()
        .and_then(|intent| Some((intent, intent.isolation?)))
    {
        None => patiently(session, options, |session| session.begin())?,
        Some((intent, level)) => {
            let tables = session.catalog()?;
            let hold: Vec<_> = intent.hinted(&tables, true).into_iter().collect();
            patiently(session, options, |session| {
                session.begin_isolated(level, &hold)
            })?;
        }
    }
    // Another replica may have been faster.
    let mut pending = Pending::look(session, options)?;
    let part: Vec<_> = part.iter().filter(|it| pending.has(it)).collect();
    if part.is_empty() {
        session.command("ROLLBACK")?;
        return Ok(None);
    }
    if outcome.backup.is_none() {
        outcome.backup = options.back_up(part.iter().copied(), &journal.run)?;
    }
    ledger::create(session, options.dialect)?;
    journal.create(session)?;
    let opening = Opening::look(session)?;
    if let Some(path) = &outcome.backup
        && !journal::backups(session)?.contains(path)
    {
        let path = path.display().to_string();
        journal.write(session, &Mark::of_run(State::Backup, &path))?;
    }
    let mut objects_now = BTreeSet::new();
    for (number, intent) in part.iter().enumerate() {
        let remaining = if number + 1 == part.len() {
            remaining
        } else {
            Remaining::More
        };
        options.check()?;
        (options.tell)(&format!("applying {}", intent.migration.file_name()));
        session.command("SAVEPOINT chatctl_file")?;
        let mut again = |session: &mut dyn Session| {
            session.command("ROLLBACK TO chatctl_file")?;
            session.reset()
        };
        let own = Own::look(session)?;
        let proven = match prove::attempt(
            session,
            options,
            (intent, 0..intent.pieces.len()),
            remaining,
            &mut again,
        )? {
            Ok(proven) => proven,
            Err(end) => return Ok(Some(Refused::Other(end))),
        };
        session.command("RELEASE chatctl_file")?;
        session.reset()?;
        let file = intent.migration.file_name();
        objects_now = match opening.history_is_unwatched(session, &file)? {
            Ok(objects) => objects,
            Err(end) => return Ok(Some(Refused::Other(end))),
        };
        if let Some(end) = own.check(session, intent)? {
            return Ok(Some(Refused::Other(end)));
        }
        if let Some(end) = pending.check(session, options, intent)? {
            return Ok(Some(Refused::Other(end)));
        }
        ledger::record(session, intent.migration, Some(proven.took))?;
        pending.applied(intent);
        let detail = proven.evidence.words(outcome.backup.as_deref());
        let version = intent.migration.version.text();
        journal.write(session, &Mark::of_file(version, State::Applied, &detail))?;
        let made = session
            .remembered()
            .filter(|_| remaining == Remaining::More);
        journal.write_made(session, made)?;
        outcome
            .ran
            .push(Ran::new(intent.migration, proven.took, proven.evidence));
    }
    let last = part.last().map(|intent| intent.migration.file_name());
    // Nothing acts when the history is written, so that the objects are still those of the last file.
    if let Some(refused) = opening.broken(session, &last.unwrap_or_default())? {
        return Ok(Some(refused));
    }
    outcome.objects = opening.gone(session, &objects_now, &part)?;
    options.check()?;
    match options.dialect {
        // Where readers keep a writer from committing, they end sooner or later.
        Dialect::Sqlite => patiently(session, options, |session| session.command("COMMIT"))?,
        _ => session.command("COMMIT")?,
    }
    Ok(None)
}
