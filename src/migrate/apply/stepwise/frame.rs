//! A file of MySQL, statement by statement. What the file holds together stays together: nothing of
//! its transaction or under its locks is committed before the file says so, or a DDL statement does.

use super::late::{Fallout, Late, Others, Shut};
use super::{Steps, helped, in_flight, late};
use crate::cli_error::CliError;
use crate::db::{Failed, Session, Why};
use crate::migrate::apply::prepared::Prepared;
use crate::migrate::apply::prove::Remaining;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::unfinished::Unfinished;
use crate::migrate::apply::{End, patiently, prove};
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::journal;
use crate::migrate::journal::State;
use crate::sql::{AlterAction, Dialect, Facts, Kind};
use std::collections::BTreeSet;
use std::ops::Range;

/// What holds the statements together at one place of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Frame {
    /// Nothing: each commits by itself.
    Nothing,
    Transaction,
    /// Locks on tables, taken by the statement of this number.
    Locks(usize),
}

impl Frame {
    /// What holds the statements behind this one together.
    fn behind(self, intent: &Intent<'_>, number: usize) -> Self {
        let piece = &intent.pieces[number];
        match (&piece.facts.kind, self) {
            (Kind::Begin, _) => Self::Transaction,
            (Kind::Commit, Self::Transaction) => Self::Nothing,
            (Kind::Commit, frame) => frame,
            (Kind::Lock, _) if unlocks(piece.text) => Self::Nothing,
            (Kind::Lock, _) => Self::Locks(number),
            (_, Self::Transaction) if commits(intent, piece) => Self::Nothing,
            (_, frame) => frame,
        }
    }

    fn before(intent: &Intent<'_>, number: usize) -> Self {
        (0..number).fold(Self::Nothing, |frame, number| frame.behind(intent, number))
    }
}

/// Whether the server commits what is before a statement, whatever is in it.
fn commits(intent: &Intent<'_>, piece: &Piece<'_>) -> bool {
    intent.is_bare(piece) && !may_commit(&piece.facts.kind)
}

/// Whether that depends on what is in it.
const fn may_commit(kind: &Kind) -> bool {
    matches!(kind, Kind::Do | Kind::Call | Kind::Other)
}

fn unlocks(text: &str) -> bool {
    first_word(text).eq_ignore_ascii_case("unlock")
}

fn first_word(text: &str) -> &str {
    text.split_whitespace().next().unwrap_or_default()
}

/// Refuses a file whose transactions can't be kept as they are.
pub(in crate::migrate::apply) fn allowed(intent: &Intent<'_>) -> Result<(), CliError> {
    let refused = |number: usize, what: &str, hint: &str| {
        let (path, line) = (intent.migration.path.display(), intent.pieces[number].line);
        Err(CliError::refused(format!("{path}:{line} {what}")).hint(hint))
    };
    for (number, piece) in intent.pieces.iter().enumerate() {
        let kind = &piece.facts.kind;
        let commits = kind.set_value("autocommit");
        let words = piece.text.to_ascii_lowercase();
        let mut words = words.split(|c: char| !c.is_alphanumeric());
        if commits.is_some_and(|value| !matches!(value, "1" | "ON" | "on" | "TRUE" | "true"))
            || kind.set_value("completion_type").is_some()
        {
            return refused(
                number,
                "changes when statements are committed",
                "write START TRANSACTION before the statements that belong together, and COMMIT after them",
            );
        }
        if *kind == Kind::Commit && words.any(|word| matches!(word, "chain" | "release")) {
            return refused(
                number,
                "does more than commit",
                "write COMMIT, and START TRANSACTION if another transaction should follow",
            );
        }
        let mut words = piece.text.split_whitespace().map(str::to_ascii_lowercase);
        if words.next().as_deref() == Some("load") && words.any(|word| word == "local") {
            return refused(
                number,
                "reads a file of the client",
                "write the rows as INSERT, or leave LOCAL out and put the file where the server reads it",
            );
        }
        if matches!(kind, Kind::AlterTable { actions } if actions.iter().any(discards)) {
            return refused(
                number,
                "removes every row of a table together with its file",
                "leave DISCARD TABLESPACE out, or do it by hand",
            );
        }
        if first_word(piece.text).eq_ignore_ascii_case("xa") {
            return refused(
                number,
                "is a part of a transaction over several servers",
                "write START TRANSACTION and COMMIT",
            );
        }
    }
    let end = intent.pieces.len();
    match Frame::before(intent, end) {
        Frame::Transaction => refused(
            end - 1,
            "ends a file that does not commit its transaction, so the server would roll it back",
            "write COMMIT at the end of the file",
        ),
        Frame::Nothing | Frame::Locks(_) => Ok(()),
    }
}

fn discards(action: &AlterAction) -> bool {
    matches!(action, AlterAction::Other { text } if first_word(text).eq_ignore_ascii_case("discard"))
}

/// One walk through a file.
struct Walk<'a, 'b> {
    steps: &'a mut Steps<'b>,
    /// What the rehearsal showed, and what the run made so far.
    rehearsed: Option<(&'a Rehearsed, &'a mut Unfinished)>,
    frame: Frame,
    /// Statements that are run and neither committed nor in the journal.
    unmarked: Vec<usize>,
    /// The statement that the walk goes back to when a lock was not free: all before it is committed.
    committed: usize,
    /// Whether all statements were such that they leave no transaction and no lock.
    is_plain: bool,
    /// What prepared statements run.
    prepared: Prepared,
    /// What the statement at hand runs, where that is put together and known.
    hidden: Option<Facts>,
    /// What statements took besides what they did in the rehearsal.
    late: Late,
}

/// Runs the statements from `first` on. Gives those that ended it and did nothing, and why.
pub(super) fn walk(
    steps: &mut Steps<'_>,
    session: &mut dyn Session,
    first: usize,
    rehearsed: &mut Option<(&Rehearsed, &mut Unfinished)>,
) -> anyhow::Result<Option<(Range<usize>, End)>> {
    let (intent, options) = (steps.intent, steps.options);
    let mut walk = Walk {
        steps,
        rehearsed: rehearsed
            .as_mut()
            .map(|(rehearsed, record)| (*rehearsed, &mut **record)),
        frame: Frame::Nothing,
        unmarked: Vec::new(),
        committed: first,
        is_plain: true,
        prepared: Prepared::default(),
        hidden: None,
        late: Late::default(),
    };
    let mut tried = 0;
    let mut number = 0;
    walk.lock_again(session)?;
    while number < intent.pieces.len() {
        if let Err(stopped) = options.check() {
            walk.leave(session);
            return Err(stopped.into());
        }
        if !intent.is_run(number, walk.committed) {
            number += 1;
            continue;
        }
        let ended = walk.step(session, number);
        if !matches!(ended, Ok(None)) {
            walk.leave(session);
        }
        let ended = ended?;
        if ended.is_some() {
            walk.look_at_marks(session)?;
        }
        match ended {
            None => number += 1,
            Some(End::Failed(failure)) if failure.busy && tried < options.retries => {
                options.pause(tried)?;
                tried += 1;
                // What was set stays set; what was not committed is gone with its locks.
                number = walk.committed;
                walk.lock_again(session)?;
            }
            Some(End::Failed(failure)) => {
                // What came while it ran may end a file behind a statement that is done: the next
                // run looks whether it is where it belongs.
                if walk.steps.begun {
                    walk.steps
                        .mark(session, number, (State::Failed, ""), &failure.message)?;
                }
                return Ok(Some((walk.committed..number + 1, End::Failed(failure))));
            }
            Some(lost @ End::Lost(_)) => return Ok(Some((walk.committed..number + 1, lost))),
        }
    }
    if !walk.is_plain || walk.frame != Frame::Nothing || !walk.unmarked.is_empty() {
        // Locks that the file does not give up end with its connection, and its statements stay.
        walk.commit(session)?;
        walk.leave(session);
    }
    Ok(None)
}

impl Walk<'_, '_> {
    fn step(&mut self, session: &mut dyn Session, number: usize) -> anyhow::Result<Option<End>> {
        let intent = self.steps.intent;
        let piece = &intent.pieces[number];
        let frame = self.frame.behind(intent, number);
        self.is_plain &= session.goes_with_others(piece.text);
        self.hidden = match &self.rehearsed {
            Some(_) => self.prepared.look(session, piece.text)?,
            None => None,
        };
        // The file is begun together with a statement that commits by itself.
        if !self.is_bare(number) {
            self.steps.begin_now(session)?;
        }
        let ended = match &piece.facts.kind {
            Kind::Begin => {
                self.end(session)?;
                self.run(session, number)?
            }
            Kind::Commit => {
                self.unmarked.push(number);
                self.commit(session)?;
                self.committed = number + 1;
                None
            }
            Kind::Lock if unlocks(piece.text) => {
                self.unmarked.push(number);
                self.commit(session)?;
                self.unlock(session)?;
                self.committed = number + 1;
                None
            }
            Kind::Lock => {
                self.end(session)?;
                self.lock(session, number)?
            }
            // The mark of one would be the transaction that it is about.
            Kind::SetVariable { .. } => self.run(session, number)?,
            _ if intent.is_of_session(number) => self.run(session, number)?,
            _ if self.is_bare(number) => self.bare(session, number)?,
            _ if self.frame == Frame::Nothing => {
                patiently(session, self.steps.options, |session| session.begin())?;
                let ended = self.run(session, number)?;
                if ended.is_none() {
                    // It looks at the database before the marks are sent.
                    self.remember(session)?;
                    self.write_marks(session)?;
                    if self.is_plain && number + 1 == intent.pieces.len() {
                        // It goes with the end of the file.
                        session.commit_with_next()?;
                    } else {
                        session.command("COMMIT")?;
                    }
                    self.unmarked.clear();
                    self.committed = number + 1;
                }
                ended
            }
            _ => self.run(session, number)?,
        };
        if ended.is_some() {
            return Ok(ended);
        }
        self.frame = frame;
        let ends = self.frame == Frame::Transaction && may_commit(&piece.facts.kind);
        if ends && !session.is_in_transaction()? {
            self.frame = Frame::Nothing;
            self.commit(session)?;
        }
        Ok(None)
    }

    /// What a statement does, also where it is put together.
    fn facts(&self, number: usize) -> &Facts {
        let piece = &self.steps.intent.pieces[number];
        self.hidden.as_ref().unwrap_or(&piece.facts)
    }

    /// Whether a statement is marked before it runs, since it may commit by itself.
    fn is_bare(&self, number: usize) -> bool {
        let kind = &self.facts(number).kind;
        let frames = matches!(
            kind,
            Kind::Begin | Kind::Commit | Kind::Lock | Kind::SetVariable { .. }
        );
        let commits = kind.implicit_commit(Dialect::Mysql);
        let is_free = self.frame == Frame::Nothing;
        let is_of_session = self.steps.intent.is_of_session(number);
        !frames && !is_of_session && commits && (is_free || !may_commit(kind))
    }

    /// Runs a statement that is marked with those around it.
    fn run(&mut self, session: &mut dyn Session, number: usize) -> anyhow::Result<Option<End>> {
        let piece = (self.steps.intent, number);
        self.late.forget(number);
        let fallout = match &self.rehearsed {
            Some((rehearsed, _)) => {
                let job = (*rehearsed, self.facts(number));
                match Fallout::look(session, piece, job, self.others()) {
                    Ok(Ok(fallout)) => Some(fallout),
                    Ok(Err(end)) => return Ok(Some(end)),
                    // Somebody may hold a lock.
                    Err(error) => return self.failed(number, error.downcast()?).map(Some),
                }
            }
            None => None,
        };
        if let Err(failed) = prove::run(session, self.steps.intent, number) {
            return self.failed(number, failed).map(Some);
        }
        if let Some(end) = self.more(session, number, fallout)? {
            return Ok(Some(end));
        }
        self.unmarked.push(number);
        Ok(None)
    }

    /// What a statement took besides what the rehearsal showed.
    fn more(
        &mut self,
        session: &mut dyn Session,
        number: usize,
        fallout: Option<Fallout>,
    ) -> anyhow::Result<Option<End>> {
        let piece = (self.steps.intent, number);
        let Some((rehearsed, _)) = &self.rehearsed else {
            return Ok(None);
        };
        let facts = self.hidden.as_ref();
        let facts = facts.unwrap_or(&self.steps.intent.pieces[number].facts);
        let end = late::changed(session, piece, (*rehearsed, facts), &mut self.late)?;
        match (end, fallout) {
            (None, Some(fallout)) => fallout.check(session, piece, rehearsed, &mut self.late),
            (end, _) => Ok(end),
        }
    }

    fn failed(&self, number: usize, failed: Failed) -> anyhow::Result<End> {
        self.steps.options.check()?;
        let failure = prove::failure(self.steps.intent, number, failed)?;
        let part = self.committed..number + 1;
        Ok(End::Failed(helped(&part, number, failure)))
    }

    /// A statement that commits what is before it, its own mark among it, and then itself.
    fn bare(&mut self, session: &mut dyn Session, number: usize) -> anyhow::Result<Option<End>> {
        let piece = &self.steps.intent.pieces[number];
        // The statement would commit it anyway, and it is examined by another connection.
        if self.frame == Frame::Transaction {
            self.commit(session)?;
        }
        let shut = match &self.rehearsed {
            Some((rehearsed, _)) => {
                let facts = self.hidden.as_ref().unwrap_or(&piece.facts);
                let job = (*rehearsed, facts);
                let intent = self.steps.intent;
                let late = (self.others(), &mut self.late);
                match Shut::look(session, (intent, number), job, late) {
                    Ok(Ok(shut)) => shut,
                    Ok(Err(end)) => return Ok(Some(end)),
                    Err(error) if waits_for_locks(&error) => {
                        return self.failed(number, error.downcast()?).map(Some);
                    }
                    Err(error) => return Err(error),
                }
            }
            None => Shut::default(),
        };
        let schema = match in_flight::note(session, (piece, Dialect::Mysql), self.others()) {
            Ok(schema) => schema,
            Err(error) if waits_for_locks(&error) => {
                return self.failed(number, error.downcast()?).map(Some);
            }
            Err(error) => return Err(error),
        };
        let is_locked = self.is_locked();
        if !is_locked {
            patiently(session, self.steps.options, |session| session.begin())?;
        }
        if !self.steps.begun {
            self.steps.begin(session)?;
            self.steps.begun = true;
        }
        self.write_marks(session)?;
        self.steps
            .mark(session, number, (State::Begun, &schema), piece.text)?;
        if !is_locked {
            session.commit_with_next()?;
        }
        let rehearsed = self.rehearsed.as_ref().map(|(rehearsed, _)| *rehearsed);
        match shut.run(session, (self.steps.intent, number), rehearsed)? {
            Ok(None) => {}
            Ok(Some(end)) => return Ok(Some(end)),
            // Whether the server committed first depends on what is wrong.
            Err(failed) => return self.failed(number, failed).map(Some),
        }
        // One would end the locks, under which nothing is committed by itself anyway.
        if !is_locked {
            patiently(session, self.steps.options, |session| session.begin())?;
        }
        self.mark_done(session, number, piece.text)?;
        self.unmarked.push(number);
        self.remember(session)?;
        if is_locked {
            session.command("COMMIT")?;
        } else {
            session.commit_with_next()?;
        }
        self.unmarked.clear();
        self.committed = number + 1;
        match rehearsed {
            Some(rehearsed) => {
                let piece = (self.steps.intent, number);
                shut.left_aside(session, piece, rehearsed, &mut self.late)
            }
            None => Ok(None),
        }
    }

    /// Looks up how far the file came, after a statement that failed: a DDL statement may have committed what was
    /// before it, and marks that were to go with it may be lost.
    fn look_at_marks(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        let done = self.steps.done(session)?;
        self.steps.begun = done.is_some();
        let done = done.unwrap_or_default();
        for number in done..self.committed {
            self.mark_done(session, number, "")?;
        }
        self.committed = self.committed.max(done);
        Ok(())
    }

    /// Whether nobody else writes the tables of the file.
    const fn is_locked(&self) -> bool {
        matches!(self.frame, Frame::Locks(_))
    }

    const fn others(&self) -> Others {
        if self.is_locked() {
            Others::Wait
        } else {
            Others::Write
        }
    }

    fn write_marks(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        let unmarked = self.unmarked.iter();
        unmarked
            .copied()
            .try_for_each(|number| self.mark_done(session, number, ""))
    }

    /// Writes that a statement is done, and what it took of what has a limit.
    fn mark_done(
        &self,
        session: &mut dyn Session,
        number: usize,
        detail: &str,
    ) -> anyhow::Result<()> {
        let hash = journal::hash(self.steps.intent.pieces[number].text);
        let took = self.late.taken.written(number);
        let detail = took.as_deref().unwrap_or(detail);
        self.steps
            .mark(session, number, (State::Done, &hash), detail)
    }

    /// Writes what the run made so far, for the case that it comes to a stop. Behind the last statement of
    /// all nothing can change it.
    fn remember(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        let intent = self.steps.intent;
        let Some((rehearsed, record)) = &mut self.rehearsed else {
            return Ok(());
        };
        let is_last = self.unmarked.last().map(|last| last + 1) == Some(intent.pieces.len());
        if is_last && self.steps.remaining == Remaining::Nothing {
            return Ok(());
        }
        let began = (&rehearsed.before[..], rehearsed.first);
        if record.after(session, (intent, &self.unmarked), began)? {
            self.steps
                .journal
                .keep(session, State::Made, record.text())?;
        }
        Ok(())
    }

    /// Commits what was run, with its marks.
    fn commit(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        self.write_marks(session)?;
        self.remember(session)?;
        session.command("COMMIT")?;
        if let Some(last) = self.unmarked.last() {
            self.committed = last + 1;
        }
        self.unmarked.clear();
        Ok(())
    }

    /// Takes the locks of the file, and one for the journal, which is written under them. No
    /// statement commits by itself then, though the file's tool would let each do so: nobody else
    /// sees the tables.
    fn lock(&mut self, session: &mut dyn Session, number: usize) -> anyhow::Result<Option<End>> {
        let text = with_journal(session, self.steps.intent.pieces[number].text);
        session.command("SET SESSION autocommit = 0")?;
        if let Err(failed) = session.run(&text) {
            return self.failed(number, failed).map(Some);
        }
        self.unmarked.push(number);
        Ok(None)
    }

    /// Ends what held the statements before together. What was only set stays unmarked: it may be
    /// about the transaction that begins.
    fn end(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.frame != Frame::Nothing {
            self.commit(session)?;
        }
        self.unlock(session)
    }

    fn unlock(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        if self.is_locked() {
            session.command("UNLOCK TABLES; SET SESSION autocommit = 1")?;
            self.frame = Frame::Nothing;
        }
        Ok(())
    }

    /// Where a walk begins under locks, those tables are locked that are there still.
    fn lock_again(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        let intent = self.steps.intent;
        // A transaction of which something is committed is over, whatever the text says.
        let Frame::Locks(number) = Frame::before(intent, self.committed) else {
            self.frame = Frame::Nothing;
            return Ok(());
        };
        self.frame = Frame::Locks(number);
        let there: BTreeSet<_> = session.catalog()?.into_iter().map(|it| it.name).collect();
        let tables = intent.pieces[number].facts.tables();
        let tables: Vec<_> = tables
            .filter(|table| there.contains(&table.name))
            .map(|table| format!("{} WRITE", session.quote(&table.name)))
            .collect();
        if tables.is_empty() {
            self.frame = Frame::Nothing;
            return Ok(());
        }
        let text = with_journal(session, &format!("LOCK TABLES {}", tables.join(", ")));
        session.command("SET SESSION autocommit = 0")?;
        Ok(session.command(&text)?)
    }

    /// Gives up what is not committed, and every lock. A connection that is gone has done so.
    fn leave(&mut self, session: &mut dyn Session) {
        let _ = session.command("ROLLBACK; UNLOCK TABLES; SET SESSION autocommit = 1");
        self.unmarked.clear();
        self.frame = Frame::Nothing;
    }
}

/// Whether locks kept chatctl from looking, those of the file or of somebody else.
fn waits_for_locks(error: &anyhow::Error) -> bool {
    let failed = error.downcast_ref::<Failed>();
    failed.is_some_and(|it| it.busy || it.why == Why::Locks)
}

/// `LOCK TABLES …` with the journal among the tables.
fn with_journal(session: &dyn Session, text: &str) -> String {
    let upper = text.to_ascii_uppercase();
    let behind = |word: &str| upper.find(word).map(|at| at + word.len());
    let at = behind("TABLES").or_else(|| behind("TABLE")).unwrap_or(0);
    let journal = session.quote(journal::TABLE);
    format!("{} {journal} WRITE, {}", &text[..at], &text[at..])
}
