//! Runs a file and proves that it loses nothing.
//!
//! The engine says which tables a file touched; they are compared row by row with what they were.
//! The tables that the text writes are read first; if the evidence names more, the file runs again.

mod culprits;
mod statements;

use super::closing::{Own, References};
use super::counting::{Kept, Since, there_before};
use super::fallen::{Fallen, Rehearsal};
use super::outlook::Outlook;
use super::prepared::Prepared;
use super::unseen::first_word;
use super::{ApplyOptions, End, Evidence, Failure, Guard, fallen, kinds, views, zones};
use crate::clock;
use crate::db::{Failed, Measure, OWN_TABLES, Session};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Meaning, Tables, What, successor_as};
use crate::model::{Names, Shape, ShapeColumn};
use crate::sql::Dialect;
use anyhow::Context as _;
use statements::{together, try_all};
use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

pub(super) use statements::{TOGETHER, failure, run, try_out};

/// How often a file is tried until it touches no table that was not read before.
const ATTEMPTS: usize = 6;
/// Of a table from this size on it is said how long it takes to be read, in bytes.
const LARGE: u64 = 256 << 20;
/// About as much is read and digested in a second, in bytes.
const A_SECOND: u64 = 100 << 20;
/// Statements that were run, not yet committed.
pub(super) struct Proven {
    /// What is known of the rows.
    pub(super) evidence: Evidence,
    /// How long the statements took, once.
    pub(super) took: Duration,
    /// Whether they left chatctl's own tables alone, by the engine's own evidence.
    pub(super) spares_own: bool,
    /// What was counted around them, on a copy.
    pub(super) fallen: Fallen,
}

impl Proven {
    /// Takes over what is known after the next statements of the same file.
    pub(super) fn add(&mut self, next: Self) {
        self.evidence.add(next.evidence);
        self.took += next.took;
        self.spares_own &= next.spares_own;
        self.fallen.extend(next.fallen);
    }
}

/// Whether a table is one of the user's that holds rows.
pub(super) fn measured(table: &Shape) -> bool {
    !table.parted && !OWN_TABLES.contains(&table.name.as_str())
}

struct Watched<'a> {
    intent: &'a Intent<'a>,
    before: Vec<Shape>,
    measure: Measure,
    /// Whether a touched table was written: MySQL can't tell.
    evident: bool,
    outlook: Outlook,
    /// Tables with columns that the engine computed before and does not compute any more.
    stored: BTreeSet<String>,
}

/// Whether more of the run follows that may change what it made until then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Remaining {
    /// More files or statements follow.
    More,
    /// It is the last.
    Nothing,
}

/// A way back to where the file began.
pub(super) type Again<'a> = &'a mut dyn FnMut(&mut dyn Session) -> Result<(), Failed>;

/// Runs statements of a file and compares. What is lost and not acknowledged, or fails, is the
/// error; the caller takes it back.
pub(super) fn attempt(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (intent, pieces): (&Intent<'_>, Range<usize>),
    remaining: Remaining,
    again: Again<'_>,
) -> anyhow::Result<Result<Proven, End>> {
    session.more_follows(remaining == Remaining::More && options.guard != Guard::Counts);
    let before = session.before()?;
    let watched = Watched {
        intent,
        outlook: Outlook::look(session, intent, (&before, options.dialect))?,
        before,
        measure: match options.guard {
            Guard::Exact | Guard::Auto => Measure::Values,
            Guard::Counts => Measure::Counts,
        },
        evident: options.dialect != Dialect::Mysql,
        stored: BTreeSet::new(),
    };
    if let Some(failure) = watched.ambiguous(session.names()) {
        return Ok(Err(End::Failed(failure)));
    }
    let names = session.names();
    let references = References::look(session, intent, watched.tables(names))?;
    // PostgreSQL's evidence does not tell an INSERT from an UPDATE.
    let added = remaining == Remaining::More || options.dialect == Dialect::Postgres;
    // Where the engine tells of chatctl's own tables, their rows are read only when it names them.
    let cleans = intent.pieces.iter().any(|it| intent.cleans_history(it));
    let mut attempt = Attempt {
        names: intent.hinted(&watched.before, added),
        own: if session.tells_of_own() && !cleans {
            None
        } else {
            Some(Own::look(session)?)
        },
        references,
        watched,
    };
    for _ in 0..ATTEMPTS {
        if let Some(ended) = attempt.once(session, options, pieces.clone(), again)? {
            return Ok(ended);
        }
    }
    Ok(Err(End::Failed(Failure {
        file: intent.migration.file_name(),
        line: None,
        message: "it touches different tables each time it runs, so its effect can't be proven"
            .into(),
        help: "write it so that it touches the same tables each time".into(),
        busy: false,
    })))
}

/// Statements of a file, and what is looked at before they run.
struct Attempt<'a> {
    watched: Watched<'a>,
    references: References,
    /// The tables that are read before.
    names: BTreeSet<String>,
    /// The rows of chatctl's own tables, where they are read.
    own: Option<Own>,
}

impl Attempt<'_> {
    /// Runs the statements once and compares; nothing if they touched what was not read before, so that they
    /// are taken back and run again.
    fn once(
        &mut self,
        session: &mut dyn Session,
        options: &ApplyOptions<'_>,
        pieces: Range<usize>,
        again: Again<'_>,
    ) -> anyhow::Result<Option<Result<Proven, End>>> {
        let intent = self.watched.intent;
        self.watched.announce(session, options, &self.names)?;
        if let Err(failed) = self.watched.watch(session, &self.names) {
            options.check()?;
            // It is chatctl's own reading that failed, before any statement ran.
            let failure = failure(intent, pieces.start, failed)?;
            return Ok(Some(Err(End::Failed(Failure {
                line: None,
                ..failure
            }))));
        }
        let began = clock::now();
        let fallen = match self.watched.run_all(session, options, pieces.clone())? {
            Ok(fallen) => fallen,
            Err(failure) => return Ok(Some(Err(End::Failed(failure)))),
        };
        options.check()?;
        let took = clock::now() - began;
        let touched = session.touched()?;
        let spares_own = session.spares_own();
        if self.own.is_none() && !spares_own {
            again(session)?;
            self.own = Some(Own::look(session)?);
            return Ok(None);
        }
        let evidence = match self.watched.compare(session, &touched, Scope::All)? {
            Found::All(evidence) => evidence,
            Found::Unknown(more, _) if !more.iter().all(|it| session.is_locked_in_time(it)) => {
                return Ok(Some(Err(End::Failed(not_locked(intent, &more)))));
            }
            Found::Unknown(more, stored) => {
                again(session)?;
                self.names.extend(more);
                self.watched.compare_stored(&stored);
                return Ok(None);
            }
        };
        let before = self.watched.tables(session.names());
        let refused: Vec<_> = preserve::unacknowledged(&evidence.lost, &intent.allowed, before)
            .into_iter()
            .cloned()
            .collect();
        if !refused.is_empty() {
            again(session)?;
            let culprits = culprits::of(session, options, (&self.watched, pieces), refused)?;
            return Ok(Some(Err(End::Lost(culprits))));
        }
        if let Some(own) = self.own.take().filter(|_| !spares_own)
            && let Some(end) = own.check(session, intent)?
        {
            return Ok(Some(Err(end)));
        }
        let references = &self.references;
        if let Some(end) = references.check(session, intent, (&evidence.lost, before))? {
            return Ok(Some(Err(end)));
        }
        session.accept()?;
        Ok(Some(Ok(Proven {
            evidence,
            took,
            spares_own,
            fallen,
        })))
    }
}

/// Tables that a transaction of an isolation of its own touches, and that could not be locked
/// before its snapshot.
fn not_locked(intent: &Intent<'_>, tables: &BTreeSet<String>) -> Failure {
    let tables: Vec<_> = tables.iter().map(|name| format!("`{name}`")).collect();
    Failure {
        file: intent.migration.file_name(),
        line: None,
        message: format!(
            "its text does not show that it touches {}, so chatctl did not lock it before the transaction's snapshot",
            tables.join(", ")
        ),
        help: "leave SET TRANSACTION out, or write the statements that touch it explicitly".into(),
        busy: false,
    }
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Scope {
    /// The tables that were touched, and those whose names lead elsewhere now.
    All,
    /// The tables that were touched.
    Touched,
}

/// What the comparison of all touched tables found.
enum Found {
    /// Everything is known.
    All(Evidence),
    /// What these tables held has to be kept before the statements run, and so have the values of these
    /// columns, each of a table.
    Unknown(BTreeSet<String>, Vec<(String, ShapeColumn)>),
}

impl Watched<'_> {
    /// Tries the statements of a file out.
    fn run_all(
        &self,
        session: &mut dyn Session,
        options: &ApplyOptions<'_>,
        pieces: Range<usize>,
    ) -> anyhow::Result<Result<Fallen, Failure>> {
        let intent = self.intent;
        let mut fallen = Fallen::default();
        let mut copy = Rehearsal::new(intent, pieces.start, self.tables(session.names()));
        let mut prepared = Prepared::default();
        if !self.evident {
            let earlier = intent.pieces[..pieces.start].iter();
            for piece in earlier.filter(|it| first_word(it).eq_ignore_ascii_case("prepare")) {
                prepared.look(session, piece.text)?;
            }
        }
        let mut number = pieces.start;
        while number < pieces.end {
            // A statement that a signal ended early need not have failed.
            options.check()?;
            let together = together(session, intent, number..pieces.end);
            let (mut before, mut kept) = (Vec::new(), Vec::new());
            if !self.evident {
                let piece = &intent.pieces[number];
                let hidden = prepared.look(session, piece.text)?;
                let facts = hidden.as_ref().unwrap_or(&piece.facts);
                before = match copy.before(session, (number, facts))? {
                    Ok(before) => before,
                    Err(failure) => return Ok(Err(failure)),
                };
                let there = there_before(session, facts);
                fallen.there.insert(number, there);
                let began = (self.tables(session.names()), pieces.start);
                // Where nothing can be summed up, nothing is compared in the database.
                let sums = Kept::look(session, (intent, number), facts, began);
                kept = sums.unwrap_or_default();
            }
            if let Err((failed_at, failed)) = try_all(session, intent, together.clone()) {
                options.check()?;
                return Ok(Err(failure(intent, failed_at, failed)?));
            }
            if !before.is_empty() {
                let gone = fallen::behind(session, &before);
                fallen.gone.insert(number, gone);
            }
            kept.retain(|it| matches!(it.since(session), Ok(Since::Same)));
            if !kept.is_empty() {
                let queries = kept.into_iter().map(|it| it.sql);
                fallen.kept.insert(number, queries.collect());
            }
            number = together.end;
        }
        if let Err(failed) = session.fire_deferred() {
            let last = pieces.end.saturating_sub(1);
            return Ok(Err(failure(intent, last, failed)?));
        }
        Ok(Ok(fallen))
    }

    /// From here on the values of these columns, which were computed, are compared.
    fn compare_stored(&mut self, stored: &[(String, ShapeColumn)]) {
        for shape in &mut self.before {
            let is_it = |column: &ShapeColumn| {
                let mut stored = stored.iter();
                stored.any(|(table, it)| *table == shape.name && it == column)
            };
            if shape.generated.iter().any(is_it) {
                self.stored.insert(shape.name.clone());
                *shape = shape.clone().with_generated(is_it);
            }
        }
    }

    fn tables(&self, names: Names) -> Tables<'_> {
        Tables {
            shapes: &self.before,
            names,
        }
    }

    /// An acknowledgement that could mean two things acknowledges nothing.
    fn ambiguous(&self, names: Names) -> Option<Failure> {
        let tables = self.tables(names);
        let both =
            self.intent
                .allowed
                .iter()
                .find_map(|allowed| match allowed.subject.resolve(tables) {
                    Meaning::Both(of_column, table) => Some((of_column, table)),
                    _ => None,
                });
        let (of_column, table) = both?;
        Some(Failure {
            file: self.intent.migration.file_name(),
            line: None,
            message: format!(
                "an acknowledgement names both a column of `{}` and the table `{}`",
                of_column.name, table.name
            ),
            help: format!(
                "write which one it is: `{}` or `{}`",
                tables.subject(table, None),
                tables.subject(of_column, Some(&table.table))
            ),
            busy: false,
        })
    }

    /// Says how long it takes to read what is large, twice: before the statements and after them.
    fn announce(
        &self,
        session: &mut dyn Session,
        options: &ApplyOptions<'_>,
        names: &BTreeSet<String>,
    ) -> anyhow::Result<()> {
        if self.measure == Measure::Counts || !self.evident {
            return Ok(());
        }
        for shape in self.before.iter().filter(|it| names.contains(&it.name)) {
            let size = session.size(&shape.name)?;
            if size > LARGE {
                (options.tell)(&format!(
                    "reading `{}`, at most {} MiB: about {} s now, and at most as long afterwards",
                    shape.name,
                    size >> 20,
                    size / A_SECOND + 1
                ));
            }
        }
        Ok(())
    }

    fn watch(&self, session: &mut dyn Session, names: &BTreeSet<String>) -> Result<(), Failed> {
        let keep: Vec<_> = self
            .before
            .iter()
            .filter(|shape| names.contains(&shape.name) && measured(shape))
            .cloned()
            .collect();
        session.watch(&keep, self.measure)
    }

    fn compare(
        &self,
        session: &mut dyn Session,
        touched: &BTreeSet<String>,
        scope: Scope,
    ) -> anyhow::Result<Found> {
        let names = session.names();
        let after = session.catalog()?;
        let (before, after) = (
            self.tables(names),
            Tables {
                shapes: &after,
                names,
            },
        );
        let mut evidence = Evidence {
            tables: self.before.iter().filter(|it| measured(it)).count(),
            ..Evidence::default()
        };
        let mut unknown = BTreeSet::new();
        let renames = &self.intent.renames;
        let mut stored = Vec::new();
        for shape in self.before.iter().filter(|it| measured(it)) {
            let columns = preserve::stored_since(shape, before, after, renames).into_iter();
            stored.extend(columns.map(|it| (shape.name.clone(), it.clone())));
        }
        if !stored.is_empty() {
            let tables = stored.iter().map(|(table, _)| table.clone()).collect();
            return Ok(Found::Unknown(tables, stored));
        }
        let called = self.intent.first().taken(before, after, renames);
        let as_called = Tables {
            shapes: &called,
            names,
        };
        for (shape, called) in self.before.iter().zip(&called) {
            let is_touched = touched.contains(&shape.name) || self.stored.contains(&shape.name);
            let job = ((shape, called), is_touched, scope);
            let tables = ((before, as_called), after);
            if measured(shape) && !self.compare_one(session, job, tables, &mut evidence)? {
                unknown.insert(shape.name.clone());
            }
        }
        if !unknown.is_empty() {
            return Ok(Found::Unknown(unknown, Vec::new()));
        }
        for shape in before.shapes.iter().filter(|it| it.parted) {
            let lost = views::of_parted(session, self.intent, shape, (before, after))?;
            evidence.lost.extend(lost);
        }
        let since = views::unwritable_since(session, self.intent, before)?;
        evidence.lost.extend(since);
        let mut later = self.outlook.lost(session, self.intent, (before, after))?;
        later.retain(|it| it.what != What::Hidden || !evidence.tells_of_rows(&it.table));
        let is_known = |it: &Lost| {
            let mut known = evidence.lost.iter();
            known.any(|known| known.what == What::Later && known.table == it.table)
        };
        later.retain(|it| it.what != What::Later || !is_known(it));
        evidence.lost.extend(later);
        evidence.lost = preserve::of_wholes(evidence.lost, before, after);
        Ok(Found::All(evidence))
    }

    /// The same for one table, where it was touched or its name leads elsewhere now: with the names by which
    /// it is looked for. Whether everything is known of it.
    fn compare_one(
        &self,
        session: &mut dyn Session,
        ((shape, called), is_touched, scope): ((&Shape, &Shape), bool, Scope),
        ((before, as_called), after): ((Tables<'_>, Tables<'_>), Tables<'_>),
        evidence: &mut Evidence,
    ) -> anyhow::Result<bool> {
        let (renames, pair) = (&self.intent.renames, (shape, called));
        let aside = preserve::put_aside(pair, (before, as_called), after, renames);
        let view = views::in_place_of(session, self.intent, shape, (before, after))?;
        let hides_column = preserve::hides_column(called, as_called, after, renames);
        let hides = aside.is_some() || view.is_some() || hides_column || shape != called;
        let hides = scope == Scope::All && hides;
        if !is_touched && !hides {
            return Ok(true);
        }
        if let Some(aside) = aside {
            session.keep_aside(&aside.name);
        }
        let mut successor = successor_as(pair, as_called, after, renames);
        if successor.is_none() && (&shape.schema, &shape.table) != (&called.schema, &called.table) {
            // It was copied into the table that has its former name, and that an earlier file made.
            let alone = Tables {
                shapes: std::slice::from_ref(called),
                names: as_called.names,
            };
            successor = successor_as(pair, alone, after, renames);
        }
        if successor.is_none()
            && let Some(view) = session.view_of(called)?
        {
            let shapes = [after.shapes, &[view]].concat();
            let (shapes, names) = (&shapes[..], after.names);
            successor = successor_as(pair, as_called, Tables { shapes, names }, renames);
        }
        let compared = session
            .compare(shape, successor.as_ref())
            .with_context(|| {
                format!(
                    "comparing `{}` after {}",
                    shape.name,
                    self.intent.migration.file_name()
                )
            })?;
        let Some(compared) = compared else {
            return Ok(false);
        };
        match self.measure {
            Measure::Values => &mut evidence.exact,
            Measure::Counts => &mut evidence.counted,
        }
        .insert(shape.name.clone(), compared.before);
        evidence
            .lost
            .extend(preserve::lost(shape, successor.as_ref(), &compared, before));
        if let Some((successor, view)) = successor.as_ref().zip(view) {
            let shown = views::compare(session, shape, &view, successor, compared.before)?;
            let mut lost = preserve::lost(shape, Some(successor), &shown, before);
            let of = |it: &Lost| (it.what, it.table.clone(), it.column.clone());
            lost.retain(|new| !evidence.lost.iter().any(|known| of(known) == of(new)));
            evidence.lost.extend(lost);
        }
        let now = successor.as_ref().and_then(|it| after.called(&it.table));
        let rows = compared.before.saturating_sub(compared.missing);
        let volatile = now.and_then(|now| preserve::volatile(shape, now, rows, before));
        evidence.lost.extend(volatile);
        if let Some((successor, now)) = successor.as_ref().zip(now) {
            let mut weaker = preserve::weaker((shape, successor), now, &compared, before);
            weaker.retain(|it| it.what != What::InUtc || !zones::is_named(self.intent));
            evidence.lost.extend(weaker);
            let kinds = kinds::of(session, (shape, successor), before, self.intent.dialect)?;
            evidence.lost.extend(kinds);
        }
        let unwritable = views::unwritable(session, shape, (before, after), self.intent)?;
        evidence.lost.extend(unwritable);
        let is_known = evidence
            .lost
            .iter()
            .any(|lost| lost.table == shape.name && !lost.is_explained());
        if self.measure == Measure::Counts && self.evident && !is_known {
            evidence
                .lost
                .extend(preserve::unseen(shape, compared.before, before));
        }
        Ok(true)
    }
}
