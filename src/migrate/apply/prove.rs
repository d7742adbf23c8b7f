//! Running a file and showing that nothing is lost by it.
//!
//! The engine itself says which tables a file touched; those are compared row by row with a copy
//! of what they were. What the text seems to destroy is put aside at once; when the evidence names
//! other tables too, the file is taken back and run once more with these put aside.

use super::BUDGET;
use super::Culprit;
use super::End;
use super::Failure;
use super::Guard;
use super::Kept;
use super::Orders;
use crate::clock;
use crate::db::Failed;
use crate::db::OWN_TABLES;
use crate::db::Session;
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::Lost;
use crate::model::Compared;
use crate::model::Content;
use crate::model::Shape;
use crate::model::Touch;
use crate::stop::Stop;
use anyhow::Context as _;
use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

/// How often a file is tried until it touches no table that was not put aside.
const ATTEMPTS: usize = 4;
/// More statements than this are not measured one by one to find the one that did it.
const MANY: usize = 500;

/// A file that was run, not yet committed.
pub(super) struct Proven {
    /// What is lost, and acknowledged.
    pub(super) lost: Vec<Lost>,
    /// Touched tables that were compared row by row, with their rows.
    pub(super) exact: BTreeMap<String, u64>,
    /// Touched tables that were counted, with their rows.
    pub(super) counted: BTreeMap<String, u64>,
    /// How long the statements took, once.
    pub(super) took: Duration,
}

impl Proven {
    /// For the journal.
    pub(super) fn words(&self, backup: Option<&Path>) -> String {
        let mut parts = Vec::new();
        for (how, tables) in [("compared", &self.exact), ("counted", &self.counted)] {
            for (table, rows) in tables {
                parts.push(format!("{how} {table} ({rows} rows)"));
            }
        }
        parts.extend(self.lost.iter().map(|lost| format!("acknowledged: {lost}")));
        parts.extend(backup.map(|path| format!("backup {}", path.display())));
        match parts.is_empty() {
            true => "no table was touched".to_owned(),
            false => parts.join("; "),
        }
    }

    pub(super) fn add_to(&self, kept: &mut Kept) {
        kept.exact.extend(self.exact.clone());
        kept.counted.extend(self.counted.clone());
        kept.acknowledged.extend(self.lost.iter().cloned());
    }
}

/// Whether a table is one of the user's that holds rows.
pub(super) fn measured(table: &Shape) -> bool {
    !table.parted && !OWN_TABLES.contains(&table.name.as_str())
}

/// What a table was, put aside.
enum Aside {
    Copy(usize),
    Counts(Content),
}

struct Watched<'a> {
    intent: &'a Intent<'a>,
    before: Vec<Shape>,
    /// By the table's name, with the part of the table that was put aside.
    asides: BTreeMap<String, (Shape, Aside)>,
}

/// A way back to where the file began.
pub(super) type Again<'a> = &'a mut dyn FnMut(&mut dyn Session) -> Result<(), Failed>;

/// Runs statements of a file and compares. What is lost and not acknowledged, or fails, is the
/// error; the caller takes it back.
pub(super) fn attempt(
    session: &mut dyn Session,
    orders: &Orders<'_>,
    (intent, pieces): (&Intent<'_>, Range<usize>),
    again: Again<'_>,
) -> anyhow::Result<Result<Proven, End>> {
    let before = session.catalog()?;
    let mut names = intent.hinted(&before);
    for _ in 0..ATTEMPTS {
        let mut watched = Watched {
            intent,
            before: before.clone(),
            asides: BTreeMap::new(),
        };
        session.watch()?;
        if let Err(failed) = watched.put_aside(session, orders, &names)? {
            return Ok(Err(End::Failed(failure(intent, pieces.start, failed)?)));
        }
        let began = clock::now();
        for number in pieces.clone() {
            // A statement that a signal ended early need not have failed.
            orders.check()?;
            if let Err(failed) = try_out(session, intent, number) {
                orders.check()?;
                return Ok(Err(End::Failed(failure(intent, number, failed)?)));
            }
        }
        if let Err(failed) = session.settle() {
            let last = pieces.end.saturating_sub(1);
            return Ok(Err(End::Failed(failure(intent, last, failed)?)));
        }
        orders.check()?;
        let took = clock::now() - began;
        let mut touched = session.touched()?;
        touched.retain(|name, _| {
            before
                .iter()
                .any(|shape| shape.name == *name && measured(shape))
        });
        let covered = |(name, touch): (&String, &Touch)| {
            names.get(name).is_some_and(|aside| aside.covers(touch))
        };
        if !touched.iter().all(covered) {
            again(session)?;
            for (name, touch) in touched {
                names
                    .entry(name)
                    .or_insert_with(|| touch.clone())
                    .and(touch);
            }
            continue;
        }
        let mut proven = watched.compare(session, &touched)?;
        if !proven.lost.is_empty() && names.values().any(|touch| touch.rows().is_some()) {
            // Something is lost in some rows: now it is told of how many.
            again(session)?;
            names.values_mut().for_each(Touch::in_all_rows);
            continue;
        }
        proven.took = took;
        let refused: Vec<_> = preserve::unacknowledged(&proven.lost, &intent.allowed)
            .into_iter()
            .cloned()
            .collect();
        if refused.is_empty() {
            watched.forget(session)?;
            return Ok(Ok(proven));
        }
        again(session)?;
        let culprits = culprits(session, orders, (intent, pieces), refused)?;
        return Ok(Err(End::Lost(culprits)));
    }
    Ok(Err(End::Failed(Failure {
        file: intent.migration.file_name(),
        line: None,
        message: "it touches other tables each time it is run, so its effect can't be proven"
            .into(),
        help: "write it so that it does the same each time".into(),
        busy: false,
        stands: None,
    })))
}

pub(super) fn run(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    number: usize,
) -> Result<(), Failed> {
    let piece = &intent.pieces[number];
    match intent.forbidden(piece) {
        Some(why) => Err(Failed::because(why)),
        None => session.run(piece.text),
    }
}

/// The same where it is tried out, or can be taken back: what belongs to the server is left out on
/// a copy of the database.
pub(super) fn try_out(
    session: &mut dyn Session,
    intent: &Intent<'_>,
    number: usize,
) -> Result<(), Failed> {
    match intent.is_of_server(&intent.pieces[number]) {
        true => Ok(()),
        false => run(session, intent, number),
    }
}

/// What to say of a statement that failed; one that nobody answered is an error.
pub(super) fn failure(
    intent: &Intent<'_>,
    number: usize,
    failed: Failed,
) -> anyhow::Result<Failure> {
    if failed.lost {
        return Err(failed.into());
    }
    let help = match failed
        .message
        .contains("cannot run inside a transaction block")
    {
        true => {
            "write `-- no-transaction` at the beginning of the file: then it is journalled statement by statement"
        }
        false => "mend the statement and run it again",
    };
    Ok(Failure {
        file: intent.migration.file_name(),
        line: intent.line(number, failed.at),
        message: failed.message,
        help: help.into(),
        busy: failed.busy,
        stands: None,
    })
}

impl Watched<'_> {
    fn put_aside(
        &mut self,
        session: &mut dyn Session,
        orders: &Orders<'_>,
        names: &BTreeMap<String, Touch>,
    ) -> anyhow::Result<Result<(), Failed>> {
        for (number, (name, touch)) in names.iter().enumerate() {
            orders.check()?;
            let Some(shape) = self.before.iter().find(|shape| shape.name == *name) else {
                continue;
            };
            let shape = touch.of(shape);
            let exact = match orders.guard {
                Guard::Exact => true,
                Guard::Auto => session.size(name)? <= BUDGET,
                Guard::Counts => false,
            };
            let aside = if exact {
                if let Err(failed) = session.put_aside(number, &shape, touch.rows()) {
                    return Ok(Err(failed));
                }
                Aside::Copy(number)
            } else {
                let columns: Vec<_> = shape.columns.iter().map(|it| it.name.clone()).collect();
                Aside::Counts(session.content(name, &columns)?)
            };
            self.asides.insert(name.clone(), (shape, aside));
        }
        Ok(Ok(()))
    }

    fn compare(
        &self,
        session: &mut dyn Session,
        touched: &BTreeMap<String, Touch>,
    ) -> anyhow::Result<Proven> {
        let after = session.catalog()?;
        let mut proven = Proven {
            lost: Vec::new(),
            exact: BTreeMap::new(),
            counted: BTreeMap::new(),
            took: Duration::ZERO,
        };
        for (name, (shape, aside)) in &self.asides {
            if !touched.contains_key(name) {
                continue;
            }
            let renames = &self.intent.renames;
            let successor = preserve::successor(shape, &self.before, &after, renames);
            let compared = match aside {
                Aside::Copy(number) => session
                    .compare(*number, shape, successor.as_ref())
                    .with_context(|| {
                        format!(
                            "comparing `{name}` after {}",
                            self.intent.migration.file_name()
                        )
                    })?,
                Aside::Counts(was) => match &successor {
                    None => {
                        preserve::by_counts(was, &Content::default(), &vec![None; was.filled.len()])
                    }
                    Some(now) => {
                        let names: Vec<_> = now
                            .columns
                            .iter()
                            .map(|(_, new)| new.name.clone())
                            .collect();
                        let places: Vec<_> = shape
                            .columns
                            .iter()
                            .map(|column| now.columns.iter().position(|(old, _)| old == column))
                            .collect();
                        preserve::by_counts(was, &session.content(&now.table, &names)?, &places)
                    }
                },
            };
            proven.take(shape, aside, &compared);
            proven
                .lost
                .extend(preserve::lost(shape, successor.as_ref(), &compared));
        }
        proven.lost = preserve::of_wholes(proven.lost, &self.before, &after);
        Ok(proven)
    }

    fn forget(&self, session: &mut dyn Session) -> anyhow::Result<()> {
        for (_, aside) in self.asides.values() {
            if let Aside::Copy(number) = aside {
                session.forget(*number)?;
            }
        }
        Ok(())
    }
}

impl Proven {
    fn take(&mut self, shape: &Shape, aside: &Aside, compared: &Compared) {
        let tables = match aside {
            Aside::Copy(_) => &mut self.exact,
            Aside::Counts(_) => &mut self.counted,
        };
        tables.insert(shape.name.clone(), compared.before);
    }
}

/// Which statement did it: the file once more, compared after each statement. What a rebuild takes
/// away and gives back is no loss: the statement counts after which it was never whole again.
fn culprits(
    session: &mut dyn Session,
    orders: &Orders<'_>,
    (intent, pieces): (&Intent<'_>, Range<usize>),
    lost: Vec<Lost>,
) -> anyhow::Result<Vec<Culprit>> {
    let mut whole: Vec<Option<usize>> = vec![None; lost.len()];
    let one_by_one = pieces.len() > 1 && pieces.len() <= MANY;
    if one_by_one {
        let mut watched = Watched {
            intent,
            before: session.catalog()?,
            asides: BTreeMap::new(),
        };
        let concerned = |shape: &&Shape| {
            lost.iter()
                .any(|lost| shape.name == lost.table || shape.whole.as_ref() == Some(&lost.table))
        };
        let names = watched
            .before
            .iter()
            .filter(|shape| !shape.parted)
            .filter(concerned);
        let names = names.map(|shape| (shape.name.clone(), Touch::Rows));
        let names: BTreeMap<_, _> = names.collect();
        session.watch()?;
        watched.put_aside(session, orders, &names)??;
        for number in pieces.clone() {
            orders.check()?;
            try_out(session, intent, number).map_err(|failed| Stop::unreachable(failed.message))?;
            let now = watched.compare(session, &names)?.lost;
            for (lost, whole) in lost.iter().zip(&mut whole) {
                let same = |it: &Lost| it.table == lost.table && it.column == lost.column;
                let table_gone =
                    |it: &Lost| it.table == lost.table && it.what == preserve::What::TableGone;
                if !now.iter().any(|it| same(it) || table_gone(it)) {
                    *whole = Some(number);
                }
            }
        }
    }
    Ok(lost
        .into_iter()
        .zip(whole)
        .map(|(lost, whole)| {
            let number = whole.map_or(pieces.start, |number| number + 1);
            let known = one_by_one || pieces.len() == 1;
            let piece = intent.pieces.get(number).filter(|_| known);
            Culprit {
                file: intent.migration.file_name(),
                line: piece.map(|piece| piece.line),
                statement: piece.map(|piece| piece.text.to_owned()).unwrap_or_default(),
                lost,
            }
        })
        .collect())
}
