//! MySQL and MariaDB commit every DDL statement by itself, so nothing can be taken back there.
//! The pending files run on a copy of the database first; only when nothing is lost on the copy,
//! they run on the database itself.

use super::BUDGET;
use super::End;
use super::Evidence;
use super::Guard;
use super::Orders;
use super::prove;
use super::stepwise;
use crate::db::Failed;
use crate::db::Session;
use crate::migrate::intent::Intent;
use crate::migrate::intent::Piece;
use crate::migrate::journal::Journal;
use crate::migrate::ledger;
use crate::migrate::scratch::CONFINE;
use crate::migrate::scratch::Scratch;
use crate::sql::Kind;
use crate::stop::Stop;
use std::collections::BTreeSet;

/// A file, and the number of the statement that it goes on with: what an earlier run did is in the
/// database, and so in the copy.
pub(super) type Rest<'a> = (&'a Intent<'a>, usize);

/// Runs the files on a copy and says of each what is known after it, or what would be lost, or fail.
pub(super) fn run(
    session: &mut dyn Session,
    orders: &Orders<'_>,
    files: &[Rest<'_>],
) -> anyhow::Result<Result<Vec<Evidence>, End>> {
    let mut scratch = Scratch::empty(session, orders.target)?;
    let ended = on_copy(session, orders, (&mut scratch, files));
    scratch.remove(session)?;
    ended
}

fn on_copy(
    session: &mut dyn Session,
    orders: &Orders<'_>,
    (scratch, files): (&mut Scratch, &[Rest<'_>]),
) -> anyhow::Result<Result<Vec<Evidence>, End>> {
    let confined = scratch
        .confined
        .as_ref()
        .map(|target| (orders.open)(target));
    let mut copy = match confined {
        Some(Ok(copy)) => copy,
        // Who can't be made, or can't come in, is done without.
        Some(Err(_)) | None => {
            opaque(files)?;
            scratch.lets_in = false;
            (orders.open)(&scratch.target)?
        }
    };
    let scratch = &*scratch;
    let rows = |size: u64| match orders.guard {
        Guard::Exact => None,
        Guard::Auto => (size > BUDGET).then_some(SAMPLE),
        Guard::Counts => Some(SAMPLE),
    };
    scratch.fill(session, copy.as_mut(), &rows)?;
    let mut sampled = BTreeSet::new();
    for table in session
        .catalog()?
        .iter()
        .filter(|table| prove::measured(table))
    {
        if rows(session.size(&table.name)?).is_some() {
            sampled.insert(table.name.clone());
        }
    }
    // What the run itself will have made is there for the statements to see.
    ledger::create(copy.as_mut(), orders.dialect)?;
    Journal::new(orders.dialect).create(copy.as_mut())?;
    let mut all = Vec::new();
    for (index, (intent, first)) in files.iter().enumerate() {
        orders.check()?;
        copy.tidy()?;
        let mut again = |copy: &mut dyn Session| -> Result<(), Failed> {
            refill(session, copy, (scratch, &rows), &files[..index])?;
            run_set(copy, intent, *first)
        };
        run_set(copy.as_mut(), intent, *first)?;
        let pieces = *first..intent.pieces.len();
        match prove::attempt(copy.as_mut(), orders, (intent, pieces), &mut again)? {
            Ok(proven) => all.push(Evidence {
                sampled: sampled.clone(),
                rehearsed: true,
                ..proven.evidence
            }),
            Err(end) => return Ok(Err(end)),
        }
    }
    Ok(Ok(all))
}

/// What the statements before it set for the session.
fn run_set(copy: &mut dyn Session, intent: &Intent<'_>, first: usize) -> Result<(), Failed> {
    let mut set = (0..first).filter(|number| stepwise::is_run(intent, *number, first));
    set.try_for_each(|number| prove::try_out(copy, intent, number))
}

/// Without a user who reaches the copy only, what can't be looked into could write anywhere.
fn opaque(files: &[Rest<'_>]) -> Result<(), Stop> {
    for (intent, _) in files {
        let hides = |piece: &&Piece<'_>| {
            let word = piece.text.split_whitespace().next().unwrap_or_default();
            let dynamic = ["prepare", "execute"]
                .iter()
                .any(|it| word.eq_ignore_ascii_case(it));
            dynamic || matches!(piece.facts.kind, Kind::Call | Kind::Do)
        };
        if let Some(piece) = intent.pieces.iter().find(hides) {
            return Err(Stop::refused(format!(
                "{}:{} can't be looked into, and on a copy it could write the real database",
                intent.migration.path.display(),
                piece.line
            ))
            .hint(CONFINE));
        }
    }
    Ok(())
}

/// Rows of a table that is too large to be copied as a whole.
const SAMPLE: u64 = 10_000;

/// Back to where a file began: the copy is made anew, and the files before it run again.
fn refill(
    session: &mut dyn Session,
    copy: &mut dyn Session,
    (scratch, rows): (&Scratch, &dyn Fn(u64) -> Option<u64>),
    before: &[Rest<'_>],
) -> Result<(), Failed> {
    let failed = |error: anyhow::Error| match error.downcast::<Failed>() {
        Ok(failed) => failed,
        Err(error) => Failed::because(format!("{error:#}")),
    };
    scratch.clear(copy).map_err(failed)?;
    copy.tidy()?;
    scratch.fill(session, copy, rows).map_err(failed)?;
    for (intent, first) in before {
        let mut run =
            (0..intent.pieces.len()).filter(|number| stepwise::is_run(intent, *number, *first));
        run.try_for_each(|number| prove::try_out(copy, intent, number))?;
    }
    Ok(())
}
