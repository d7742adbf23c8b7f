//! Files in a transaction: each in its own, or several together. All that is in one is applied, or
//! nothing of it.

use super::closing::{Opening, Pending, Refused};
use super::prove::Remaining;
use super::{ApplyOptions, End, Outcome, Ran, names, patiently, staged};
use crate::db::{Object, Session};
use crate::migrate::intent::Intent;
use crate::migrate::journal::{Journal, Mark, State};
use crate::migrate::{journal, ledger};
use crate::sql::Dialect;
use std::collections::BTreeSet;

/// Files, and what they are run with.
type Part<'a, 'b> = (&'a [Intent<'b>], &'a mut Journal, Remaining, &'a mut Since);

/// What was found before the last transaction and still holds after it; nothing where somebody else may
/// have changed it.
#[derive(Default)]
pub(super) struct Since(Option<(Pending, Opening)>);

/// Runs the files. Where a reference is broken by it, each runs once more in a transaction of its own in
/// which the engine acts on foreign keys, so that what hangs on a row that goes is lost with it: as much of
/// it as the file acknowledges. A file that rebuilds a table to which others
/// refer does not.
pub(super) fn run(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (part, journal, remaining, since): Part<'_, '_>,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<End>> {
    match together(session, options, (part, journal, remaining, since), outcome)? {
        Some(Refused::Key(_)) => {}
        refused => return Ok(refused.map(Refused::end)),
    }
    if part.len() == 1 {
        session.enforce_keys(true)?;
        let ended = together(session, options, (part, journal, remaining, since), outcome);
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
        if let Some(end) = run(
            session,
            options,
            (alone, journal, remaining, since),
            outcome,
        )? {
            return Ok(Some(end));
        }
    }
    Ok(None)
}

/// Runs the files in one transaction; tries again when a statement did not get its lock.
fn together(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (part, journal, remaining, since): Part<'_, '_>,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<Refused>> {
    for tried in 0.. {
        let mut trial = Outcome {
            backup: outcome.backup.clone(),
            ..Outcome::default()
        };
        let ended = once(
            session,
            options,
            (part, journal, remaining, since),
            &mut trial,
        );
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

/// Runs the files once, up to COMMIT.
fn once(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (part, journal, remaining, since): Part<'_, '_>,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<Refused>> {
    let since = &mut since.0;
    begin(session, options, part)?;
    // Another replica may have been faster.
    let known = since.take().filter(|_| session.is_undisturbed());
    let (pending, known) = match known {
        Some((pending, opening)) => (pending, Some(opening)),
        None => (Pending::look(session, options)?, None),
    };
    let is_new = known.is_none();
    let part: Vec<_> = part.iter().filter(|it| pending.has(it)).collect();
    if part.is_empty() {
        session.command("ROLLBACK")?;
        return Ok(None);
    }
    if outcome.backup.is_none() {
        outcome.backup = options.back_up(part.iter().copied(), &journal.run)?;
    }
    let opening = match known {
        Some(mut opening) => {
            if !part.iter().all(|intent| intent.leaves_objects()) {
                opening.look_for_objects(session)?;
            }
            opening
        }
        None => {
            ledger::create(session, options.dialect)?;
            journal.create(session)?;
            Opening::look(session)?
        }
    };
    if let Some(path) = &outcome.backup
        && !journal::backups(session)?.contains(path)
    {
        let path = path.display().to_string();
        journal.write(session, &Mark::of_run(State::Backup, &path))?;
    }
    let mut transaction = Transaction {
        options,
        pending,
        opening,
        objects: None,
        keeps_objects: true,
        is_calm: true,
        is_watched: is_new,
    };
    for (number, intent) in part.iter().enumerate() {
        let next = match (number + 1 == part.len(), remaining) {
            (false, _) => Next::Together,
            (true, Remaining::More) => Next::Apart,
            (true, Remaining::Nothing) => Next::Nothing,
        };
        if let Some(refused) = transaction.apply(session, (intent, journal), next, outcome)? {
            return Ok(Some(refused));
        }
    }
    if let Some(refused) = transaction.close(session, &part, outcome)? {
        return Ok(Some(refused));
    }
    let Transaction {
        pending,
        opening,
        objects,
        is_calm,
        ..
    } = transaction;
    // Nothing acted when the history was written, so that the objects are still those of the last file.
    *since = is_calm.then(|| (pending, opening.with(objects)));
    Ok(None)
}

fn begin(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    part: &[Intent<'_>],
) -> anyhow::Result<()> {
    let first = part.first();
    let Some((intent, level)) = first.and_then(|intent| Some((intent, intent.isolation?))) else {
        return patiently(session, options, |session| session.begin());
    };
    let tables = session.catalog()?;
    let hold: Vec<_> = intent.hinted(&tables, true).into_iter().collect();
    patiently(session, options, |session| {
        session.begin_isolated(level, &hold)
    })
}

/// What follows a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    /// Another file in the same transaction.
    Together,
    /// Another transaction of the same run.
    Apart,
    /// It is the last.
    Nothing,
}

/// A transaction that files run in.
struct Transaction<'a> {
    options: &'a ApplyOptions<'a>,
    pending: Pending,
    opening: Opening,
    /// Indexes, triggers and views that there are now, where they are known.
    objects: Option<BTreeSet<Object>>,
    /// Whether no file can have taken an object along.
    keeps_objects: bool,
    /// Whether nothing but the files acted, and they left chatctl's own tables alone.
    is_calm: bool,
    /// Whether it is to be found out what hangs on the history.
    is_watched: bool,
}

impl Transaction<'_> {
    /// Runs a file, proves it, and writes it into the history.
    fn apply(
        &mut self,
        session: &mut dyn Session,
        (intent, journal): (&Intent<'_>, &mut Journal),
        next: Next,
        outcome: &mut Outcome,
    ) -> anyhow::Result<Option<Refused>> {
        let options = self.options;
        let remaining = match next {
            Next::Together | Next::Apart => Remaining::More,
            Next::Nothing => Remaining::Nothing,
        };
        options.check()?;
        (options.tell)(&format!("applying {}", intent.migration.file_name()));
        session.command("SAVEPOINT chatctl_file")?;
        let mut again = |session: &mut dyn Session| {
            session.command("ROLLBACK TO chatctl_file")?;
            session.reset()
        };
        let pieces = (intent, 0..intent.pieces.len());
        let proven = match staged::attempt(session, options, pieces, remaining, &mut again)? {
            Ok(proven) => proven,
            Err(end) => return Ok(Some(Refused::Other(end))),
        };
        self.keeps_objects &= session.keeps_objects() && !intent.may_switch_off();
        let is_left_alone = proven.spares_own && session.is_undisturbed();
        self.is_calm &= is_left_alone;
        let names = match next {
            Next::Apart => names::to_keep(session, intent)?,
            Next::Together | Next::Nothing => None,
        };
        session.command("RELEASE chatctl_file")?;
        session.reset()?;
        // What hung on the history before is found once.
        if std::mem::take(&mut self.is_watched) || !is_left_alone {
            let file = intent.migration.file_name();
            let found = session.objects()?;
            if let Some(end) = self.opening.history_is_watched(session, &file, &found)? {
                return Ok(Some(Refused::Other(end)));
            }
            self.objects = Some(found);
        }
        if !proven.spares_own
            && let Some(end) = self.pending.check(session, options, intent)?
        {
            return Ok(Some(Refused::Other(end)));
        }
        ledger::record(session, intent.migration, Some(proven.took))?;
        self.pending.applied(intent);
        let detail = proven.evidence.words(outcome.backup.as_deref());
        let version = intent.migration.version.text();
        journal.write(session, &Mark::of_file(version, State::Applied, &detail))?;
        // What is committed together is written once.
        if next != Next::Together {
            let made = session.remembered().filter(|_| next == Next::Apart);
            journal.keep(session, State::Made, made)?;
            journal.keep(session, State::Names, names)?;
        }
        let ran = Ran::new(intent.migration, proven.took, proven.evidence);
        outcome.ran.push(ran);
        Ok(None)
    }

    /// Looks at what only the whole transaction shows, and commits.
    fn close(
        &mut self,
        session: &mut dyn Session,
        part: &[&Intent<'_>],
        outcome: &mut Outcome,
    ) -> anyhow::Result<Option<Refused>> {
        let replaced = match part {
            [intent] => intent.replaced(&(0..intent.pieces.len())),
            _ => BTreeSet::new(),
        };
        if let Some(refused) = self.opening.broken(session, part, &replaced)? {
            return Ok(Some(refused));
        }
        if !self.keeps_objects {
            let now = match self.objects.take() {
                Some(now) if part.len() == 1 => now,
                _ => session.objects()?,
            };
            outcome.objects = self.opening.gone(session, &now, part)?;
            self.objects = Some(now);
        }
        self.options.check()?;
        match self.options.dialect {
            // Where readers keep a writer from committing, they end sooner or later.
            Dialect::Sqlite => {
                patiently(session, self.options, |session| session.command("COMMIT"))?;
            }
            Dialect::Postgres | Dialect::Mysql => session.command("COMMIT")?,
        }
        Ok(None)
    }
}
