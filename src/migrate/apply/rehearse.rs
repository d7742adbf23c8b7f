//! MySQL and MariaDB commit every DDL statement by itself, so nothing can be taken back there.
//! The pending files run on a copy of the database first; only when nothing is lost on the copy,
//! they run on the database itself.

use super::BUDGET;
use super::End;
use super::Guard;
use super::Kept;
use super::Orders;
use super::prove;
use crate::db::Failed;
use crate::db::Session;
use crate::migrate::intent::Intent;
use crate::migrate::scratch::Scratch;
use crate::stop::Stop;

/// Runs the files on a copy and says what would be lost, or fail.
pub(super) fn run(
    session: &mut dyn Session,
    orders: &Orders<'_>,
    files: &[Intent<'_>],
    kept: &mut Kept,
) -> anyhow::Result<Option<End>> {
    let files: Vec<_> = files
        .iter()
        .map(|intent| Ok(Intent::of(intent.migration, orders.dialect)?.on_copy()))
        .collect::<Result<_, Stop>>()?;
    let scratch = Scratch::empty(session, orders.target)?;
    let ended = on_copy(session, orders, (&scratch, &files), kept);
    scratch.remove(session)?;
    ended
}

fn on_copy(
    session: &mut dyn Session,
    orders: &Orders<'_>,
    (scratch, files): (&Scratch, &[Intent<'_>]),
    kept: &mut Kept,
) -> anyhow::Result<Option<End>> {
    let mut copy = (orders.open)(&scratch.target)?;
    let rows = |size: u64| match orders.guard {
        Guard::Exact => None,
        Guard::Auto => (size > BUDGET).then_some(SAMPLE),
        Guard::Counts => Some(SAMPLE),
    };
    scratch.fill(session, copy.as_mut(), &rows)?;
    kept.rehearsed = true;
    kept.tables = copy
        .catalog()?
        .iter()
        .filter(|table| prove::measured(table))
        .count();
    for (index, intent) in files.iter().enumerate() {
        orders.check()?;
        let mut again = |copy: &mut dyn Session| -> Result<(), Failed> {
            refill(session, copy, (scratch, &rows), &files[..index])
        };
        let pieces = 0..intent.pieces.len();
        match prove::attempt(copy.as_mut(), orders, (intent, pieces), &mut again)? {
            Ok(proven) => proven.add_to(kept),
            Err(end) => return Ok(Some(end)),
        }
    }
    Ok(None)
}

/// Rows of a table that is too large to be copied as a whole.
const SAMPLE: u64 = 10_000;

/// Back to where a file began: the copy is made anew, and the files before it run again.
fn refill(
    session: &mut dyn Session,
    copy: &mut dyn Session,
    (scratch, rows): (&Scratch, &dyn Fn(u64) -> Option<u64>),
    before: &[Intent<'_>],
) -> Result<(), Failed> {
    let failed = |error: anyhow::Error| Failed {
        message: format!("{error:#}"),
        at: None,
        busy: false,
    };
    scratch.clear(copy).map_err(failed)?;
    scratch.fill(session, copy, rows).map_err(failed)?;
    for intent in before {
        for number in 0..intent.pieces.len() {
            prove::run(copy, intent, number)?;
        }
    }
    Ok(())
}
