//! A file that can't be one transaction: part by part, each noted in the journal, so that after a
//! failure in the middle it is known what is done, and the next run resumes there. A part is one
//! statement, or what the file itself commits together.

mod exchanged;
mod frame;
mod handed_on;
mod in_flight;
mod late;
mod resumed;

use super::closing::{Opening, Pending, Refused};
use super::elsewhere::{Inventory, runs_code};
use super::prove::Remaining;
use super::rehearse::Rehearsed;
use super::unfinished::Unfinished;
use super::{
    ApplyOptions, End, Evidence, Failure, Outcome, Ran, lost_with_session, names, origin,
    patiently, prove, staged,
};
use crate::cli_error::CliError;
use crate::clock;
use crate::db::{Failed, Session};
use crate::migrate::intent::{Intent, Piece, of_whole_server};
use crate::migrate::journal::{Journal, Mark, Standing, State};
use crate::migrate::{journal, ledger};
use crate::sql::{AlterAction, Destroys, Dialect, Kind};
use std::ops::Range;
use std::time::Duration;

pub(super) use frame::allowed as keeps_together;
pub(super) use resumed::rest;

struct Steps<'a> {
    options: &'a ApplyOptions<'a>,
    intent: &'a Intent<'a>,
    journal: &'a mut Journal,
    /// Whether the history says that the file was begun: not before something of it is committed.
    begun: bool,
    /// Whether more files follow.
    remaining: Remaining,
    /// What the file began with, for the journal; noted on MySQL only.
    origin: String,
}

/// Runs one file, from the statement on that it came to before.
pub(super) fn run(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (intent, journal, remaining): (&Intent<'_>, &mut Journal, Remaining),
    mut rehearsed: Option<(&Rehearsed, &mut Unfinished)>,
    outcome: &mut Outcome,
) -> anyhow::Result<Option<End>> {
    if !journal.is_there {
        journal.create(session)?;
        ledger::create(session, options.dialect)?;
        journal.is_there = options.dialect == Dialect::Mysql;
    }
    session.reset()?;
    let is_new = rehearsed.as_ref().is_some_and(|(it, _)| it.is_new);
    let standing = if is_new {
        None
    } else {
        journal::standing(&journal::read(session)?, &intent.migration.version)
    };
    let mut steps = Steps {
        options,
        intent,
        journal,
        begun: standing.is_some(),
        remaining,
        origin: String::new(),
    };
    let standing = match (standing, options.dialect) {
        (Some(standing), _) => standing,
        (None, Dialect::Mysql) => Standing {
            began: origin::written(&session.catalog()?),
            ..Standing::default()
        },
        (None, Dialect::Postgres | Dialect::Sqlite) => Standing::default(),
    };
    steps.origin.clone_from(&standing.began);
    let opening = if intent.leaves_objects() {
        None
    } else {
        Some(Opening::look(session)?)
    };
    if let Some(end) = steps.edited(&standing) {
        return Ok(Some(end));
    }
    let mut evidence = Evidence::default();
    let inventory = match rehearsed {
        Some(_) if runs_code(intent) => Some(Inventory::of(&session.catalog()?)),
        Some(_) | None => None,
    };
    let began = clock::now();
    let first = steps.resolve_in_flight(session, &standing)?;
    if let Some(failure) = lost_with_session(session, intent, first)? {
        return Ok(Some(End::Failed(failure)));
    }
    let ended = match options.dialect {
        Dialect::Mysql => frame::walk(&mut steps, session, first, &mut rehearsed)?,
        Dialect::Postgres | Dialect::Sqlite => steps.walk(session, first, &mut evidence)?,
    };
    if let Some((part, end)) = ended {
        outcome.stays = steps.begun.then(|| steps.stays(part));
        return Ok(Some(end));
    }
    let took = clock::now() - began;
    if let (Some(inventory), Some((rehearsed, _))) = (inventory, &rehearsed)
        && let Some(why) = inventory.unlike(&Inventory::of(&session.catalog()?), &rehearsed.gone)
    {
        outcome.stays = Some("all statements of the file are applied and stay".to_owned());
        steps.mark_unlike(session, &why)?;
        return Ok(Some(steps.unlike(&why, Some(&*outcome))));
    }
    let stranded = rehearsed.as_ref().map(|(it, _)| it.stranded.clone());
    steps.commit(session, rehearsed, took)?;
    if let Some(opening) = opening {
        let objects = session.objects()?;
        let mut gone = opening.gone(session, &objects, &[intent])?;
        outcome.objects.append(&mut gone);
    }
    outcome.objects.extend(stranded.unwrap_or_default());
    let bare = intent.pieces.iter().filter(|piece| intent.is_bare(piece));
    evidence.bare = bare.count();
    outcome.ran.push(Ran::new(intent.migration, took, evidence));
    if remaining == Remaining::More {
        // The next file begins with a session of its own.
        session.reset()?;
    }
    Ok(None)
}

/// Refuses a file that destroys data outside a transaction, where nothing can be proven or rolled back, or
/// that hands a name on from one transaction to the next.
pub(super) fn allowed(intent: &Intent<'_>) -> Result<(), CliError> {
    let reasons = intent.pieces.iter();
    let mut reasons = reasons.filter_map(|piece| Some((piece, of_whole_server(piece)?)));
    if let Some((piece, why)) = reasons.next() {
        let place = format!("{}:{}", intent.migration.path.display(), piece.line);
        return Err(CliError::refused(format!("{place}: {why}"))
            .hint("remove it from the file, and run it as a superuser of the server"));
    }
    let detaches = |kind: &Kind| match kind {
        Kind::AlterTable { actions } => actions
            .iter()
            .any(|action| matches!(action, AlterAction::DetachPartition { .. })),
        _ => false,
    };
    let destroys = |piece: &&Piece<'_>| {
        let certainly = piece.facts.destroys() == Destroys::Certainly;
        intent.is_bare(piece) && (certainly || detaches(&piece.facts.kind))
    };
    match intent.pieces.iter().find(destroys) {
        None => handed_on::refuse(intent),
        Some(piece) => Err(CliError::refused(format!(
            "{}:{} destroys data outside a transaction, where nothing can be proven or rolled back",
            intent.migration.path.display(),
            piece.line
        ))
        .hint("run it by hand, then `chatctl migrate baseline` up to this version")),
    }
}

impl Steps<'_> {
    fn version(&self) -> &str {
        self.intent.migration.version.text()
    }

    /// Writes into the history that the file is applied, and into the journal what the next files need of it.
    fn commit(
        &mut self,
        session: &mut dyn Session,
        rehearsed: Option<(&Rehearsed, &mut Unfinished)>,
        took: Duration,
    ) -> anyhow::Result<()> {
        let (intent, more) = (self.intent, self.remaining == Remaining::More);
        patiently(session, self.options, |session| session.begin())?;
        if !self.begun {
            self.begin(session)?;
        }
        ledger::finish(session, intent.migration, took)?;
        let mark = Mark::of_file(self.version(), State::Applied, "statement by statement");
        self.journal.write(session, &mark)?;
        let made = match rehearsed {
            Some((rehearsed, record)) if more => {
                record.end(session, &rehearsed.made)?;
                record.text()
            }
            Some(_) => None,
            None => session.remembered().filter(|_| more),
        };
        self.journal.keep(session, State::Made, made)?;
        let names = names::to_keep(session, intent)?.filter(|_| more);
        self.journal.keep(session, State::Names, names)?;
        Ok(session.command("COMMIT")?)
    }

    /// Writes that the file was begun.
    fn begin(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        ledger::record(session, self.intent.migration, None)?;
        let mark = Mark::of_file(self.version(), State::Begun, &self.origin);
        self.journal.write(session, &mark)
    }

    /// The same, committed, if it is not written yet.
    fn begin_now(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if !self.begun {
            patiently(session, self.options, |session| session.begin())?;
            self.begin(session)?;
            session.commit_with_next()?;
            self.begun = true;
        }
        Ok(())
    }

    /// Writes what happened to a statement, by its number from 0.
    fn mark(
        &self,
        session: &mut dyn Session,
        number: usize,
        (state, hash): (State, &str),
        detail: &str,
    ) -> anyhow::Result<()> {
        let mark = Mark {
            version: self.version(),
            statement: number as u64 + 1,
            state,
            hash,
            detail,
        };
        self.journal.write(session, &mark)
    }

    /// Writes that a file did here what it did not do in the rehearsal: the next run must not take
    /// it for applied because nothing is left to do.
    fn mark_unlike(&self, session: &mut dyn Session, why: &str) -> anyhow::Result<()> {
        let mark = Mark::of_file(self.version(), State::Failed, why);
        self.journal.write(session, &mark)
    }

    /// What to say of it.
    fn unlike(&self, why: &str, outcome: Option<&Outcome>) -> End {
        let version = self.version();
        let restore = match outcome {
            Some(Outcome {
                backup: Some(_),
                run,
                ..
            }) => format!("`chatctl migrate restore {run}`"),
            Some(_) => "restore a backup".to_owned(),
            None => "`chatctl migrate history` names the backups".to_owned(),
        };
        End::Failed(Failure {
            file: self.intent.migration.file_name(),
            line: None,
            message: why.to_owned(),
            help: format!(
                "restore it: {restore}; then write the file so that it has the same effect in every database \
                    and at any time. If the state is correct, record the file as applied: \
                    `chatctl migrate resolve {version} --as applied`"
            ),
            busy: false,
        })
    }

    /// What is done can't be edited any more; what failed can.
    fn edited(&self, standing: &Standing) -> Option<End> {
        if let Some(why) = &standing.unlike {
            return Some(self.unlike(why, None));
        }
        let pieces = &self.intent.pieces;
        let same = |(number, hash): (&u64, &String)| {
            let piece = pieces.iter().zip(1..).find(|(_, it)| it == number);
            piece.is_some_and(|(piece, _)| journal::hash(piece.text) == *hash)
        };
        let (number, _) = standing.done.iter().find(|done| !same(*done))?;
        let number = usize::try_from(number - 1).unwrap_or(usize::MAX);
        Some(End::Failed(Failure {
            file: self.intent.migration.file_name(),
            line: self.intent.line(number, None),
            message: format!(
                "statement {} was already applied, and has changed since",
                number + 1
            ),
            help: format!(
                "restore it and add new statements after statement {}; or apply the rest by hand and record the \
                    file as applied: `chatctl migrate resolve {version} --as applied`; or undo the applied \
                    part: `chatctl migrate resolve {version} --as retry --force`",
                standing.done.len(),
                version = self.version()
            ),
            busy: false,
        }))
    }

    /// The first statement that is not done; one that was in flight when the process ended is
    /// looked for in the schema.
    fn resolve_in_flight(
        &mut self,
        session: &mut dyn Session,
        standing: &Standing,
    ) -> anyhow::Result<usize> {
        let first = standing.done.len();
        let Some((number, before)) = &standing.in_flight else {
            return Ok(first);
        };
        let Some(piece) = self
            .intent
            .pieces
            .get(first)
            .filter(|_| *number == first as u64 + 1)
        else {
            return Ok(first);
        };
        let by_object = match self.options.dialect {
            Dialect::Postgres => in_flight::lacks_object(session, piece)?,
            Dialect::Mysql => exchanged::is_undone(session, piece, before)?,
            Dialect::Sqlite => None,
        };
        let is_undone = match by_object {
            Some(lacks) => lacks,
            None => {
                in_flight::is_as_noted(session, (piece, self.options.dialect), before)?
                    || in_flight::is_undone(session, piece)?
            }
        };
        if is_undone {
            return Ok(first);
        }
        let hash = journal::hash(piece.text);
        let detail = "found in the schema after the process had ended";
        self.mark(session, first, (State::Done, &hash), detail)?;
        Ok(first + 1)
    }

    /// How many statements are done, from the first on; none where the file was not begun.
    fn done(&self, session: &mut dyn Session) -> anyhow::Result<Option<usize>> {
        let entries = journal::read(session)?;
        let standing = journal::standing(&entries, &self.intent.migration.version);
        Ok(standing.map(|standing| standing.done.len()))
    }

    /// Runs the parts from the statement `first` on. Gives the one that ended it and did nothing, and
    /// why.
    fn walk(
        &mut self,
        session: &mut dyn Session,
        first: usize,
        evidence: &mut Evidence,
    ) -> anyhow::Result<Option<(Range<usize>, End)>> {
        let intent = self.intent;
        for part in intent.parts() {
            let done = part.start..part.end.min(first).max(part.start);
            let sets = done.filter(|number| intent.is_run(*number, first));
            let rest = part.start.max(first)..part.end;
            let rest = Some(rest).filter(|rest| !rest.is_empty());
            for part in sets.map(|number| number..number + 1).chain(rest) {
                self.options.check()?;
                if let Some(end) = self.step(session, part.clone(), evidence)? {
                    return Ok(Some((part, end)));
                }
            }
        }
        Ok(None)
    }

    /// One part; a busy one is tried again.
    fn step(
        &mut self,
        session: &mut dyn Session,
        part: Range<usize>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<Option<End>> {
        let bare = part.len() == 1 && self.intent.is_bare(&self.intent.pieces[part.start]);
        for tried in 0.. {
            let ended = if bare {
                self.bare(session, part.start)?
            } else {
                self.in_transaction(session, part.clone(), evidence)?
            };
            let Some(end) = ended else { return Ok(None) };
            match end {
                End::Failed(failure) if failure.busy && tried < self.options.retries => {
                    self.options.pause(tried)?;
                }
                End::Failed(failure) => {
                    let number = self.intent.at_line(&part, failure.line);
                    if self.begun {
                        self.mark(session, number, (State::Failed, ""), &failure.message)?;
                    }
                    return Ok(Some(End::Failed(helped(&part, number, failure))));
                }
                lost @ End::Lost(_) => return Ok(Some(lost)),
            }
        }
        unreachable!("the loop over all numbers ends by its return")
    }

    /// How far the file came that ends in a part.
    fn stays(&self, part: Range<usize>) -> String {
        let all = self.intent.pieces.len();
        let stay = format!(
            "{} of {all} statements of the file are applied and stay",
            part.start
        );
        match part.len() {
            0 => stay,
            1 => format!("{stay}; statement {} changed nothing", part.end),
            _ => format!(
                "{stay}; statements {} to {} changed nothing",
                part.start + 1,
                part.end
            ),
        }
    }

    /// A statement that fails in a transaction or ends it: what it touches is not measured here.
    fn bare(&mut self, session: &mut dyn Session, number: usize) -> anyhow::Result<Option<End>> {
        let piece = &self.intent.pieces[number];
        // What is left of an earlier try is in the schema that the file finds names in.
        self.clean(session, piece)?;
        self.begin_now(session)?;
        let schema = in_flight::note(session, (piece, self.options.dialect), late::Others::Write)?;
        self.mark(session, number, (State::Begun, &schema), piece.text)?;
        if self.options.dialect == Dialect::Postgres {
            session.command("SET statement_timeout = 0")?;
            if waits_alone(piece) {
                session.command("SET lock_timeout = 0")?;
            }
            // sqlx's migrator waits for its turn with a snapshot, which it would wait for, and
            // neither would end. In between it finds a version that is begun, and stops.
            session.yield_migration_lock()?;
        }
        let done = prove::run(session, self.intent, number);
        if self.options.dialect == Dialect::Postgres && !done.as_ref().is_err_and(|it| it.lost) {
            super::lock_migrations(session, self.options)?;
            session.command("RESET lock_timeout; RESET statement_timeout")?;
        }
        if let Err(failed) = done {
            self.options.check()?;
            if !failed.lost {
                self.clean(session, piece)?;
            }
            let failure = prove::failure(self.intent, number, failed)?;
            return Ok(Some(End::Failed(failure)));
        }
        let hash = journal::hash(piece.text);
        self.mark(session, number, (State::Done, &hash), piece.text)?;
        Ok(None)
    }

    /// Statements with their rows in the journal: all or nothing, and measured.
    fn in_transaction(
        &mut self,
        session: &mut dyn Session,
        part: Range<usize>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<Option<End>> {
        match self.once(session, part.clone(), evidence)? {
            Some(Refused::Key(_)) => {}
            refused => return Ok(refused.map(Refused::end)),
        }
        // As in a file that is one transaction: what hangs on a row that goes is lost with it.
        session.enforce_keys(true)?;
        let ended = self.once(session, part, evidence);
        session.enforce_keys(false)?;
        Ok(ended?.map(Refused::end))
    }

    fn once(
        &mut self,
        session: &mut dyn Session,
        part: Range<usize>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<Option<Refused>> {
        patiently(session, self.options, |session| session.begin())?;
        let ended = self.measured(session, part, evidence);
        if !matches!(ended, Ok(None)) {
            // Whatever was not committed goes; a transaction that is over can't be rolled back.
            let _ = session.command("ROLLBACK");
        }
        ended
    }

    fn measured(
        &mut self,
        session: &mut dyn Session,
        part: Range<usize>,
        evidence: &mut Evidence,
    ) -> anyhow::Result<Option<Refused>> {
        let remaining = if part.end == self.intent.pieces.len() {
            self.remaining
        } else {
            Remaining::More
        };
        let mut opening = Opening::look(session)?;
        let pending = Pending::look(session, self.options)?;
        session.command("SAVEPOINT chatctl_file")?;
        let mut again = |session: &mut dyn Session| -> Result<(), Failed> {
            session.command("ROLLBACK TO chatctl_file")
        };
        let (options, pieces) = (self.options, part.clone());
        let proven = match staged::attempt(
            session,
            options,
            (self.intent, pieces),
            remaining,
            &mut again,
        )? {
            Ok(proven) => proven,
            Err(end) => return Ok(Some(Refused::Other(end))),
        };
        if let Some(refused) = opening.check(session, self.intent, &part)? {
            return Ok(Some(refused));
        }
        if !proven.spares_own
            && let Some(end) = pending.check(session, options, self.intent)?
        {
            return Ok(Some(Refused::Other(end)));
        }
        let mut detail = proven.evidence.words(None);
        evidence.add(proven.evidence);
        let made = session
            .remembered()
            .filter(|_| remaining == Remaining::More);
        self.journal.keep(session, State::Made, made)?;
        let names = names::to_keep(session, self.intent)?;
        let names = names.filter(|_| remaining == Remaining::More);
        self.journal.keep(session, State::Names, names)?;
        if !self.begun {
            self.begin(session)?;
        }
        for number in part {
            let hash = journal::hash(self.intent.pieces[number].text);
            self.mark(session, number, (State::Done, &hash), &detail)?;
            // It counts for all of them.
            detail.clear();
        }
        session.command("COMMIT")?;
        self.begun = true;
        Ok(None)
    }

    /// Drops the invalid index that a failed `CREATE INDEX CONCURRENTLY` leaves behind.
    fn clean(&self, session: &mut dyn Session, piece: &Piece<'_>) -> anyhow::Result<()> {
        if self.options.dialect != Dialect::Postgres {
            return Ok(());
        }
        for index in in_flight::broken(session, piece)? {
            session.command(&format!("DROP INDEX CONCURRENTLY IF EXISTS {index}"))?;
        }
        Ok(())
    }
}

/// Whether a statement waits for old transactions without keeping anybody from reading or writing meanwhile.
/// One that locks a whole table has everybody else wait behind it.
fn waits_alone(piece: &Piece<'_>) -> bool {
    match &piece.facts.kind {
        Kind::CreateIndex { concurrently, .. }
        | Kind::DropIndex { concurrently, .. }
        | Kind::Reindex { concurrently, .. } => *concurrently,
        Kind::Vacuum => {
            let mut words = piece.text.split(|it: char| !it.is_ascii_alphanumeric());
            !words.any(|it| it.eq_ignore_ascii_case("full"))
        }
        _ => true,
    }
}

/// What to do about a statement, by its number from 0, that failed in a part.
fn helped(part: &Range<usize>, number: usize, failure: Failure) -> Failure {
    let from = match part.start {
        start if start == number => "it".to_owned(),
        start => format!("statement {}", start + 1),
    };
    Failure {
        help: format!(
            "fix statement {} in the file (not those before {from}) and run `chatctl migrate` again: it resumes there",
            number + 1
        ),
        ..failure
    }
}
