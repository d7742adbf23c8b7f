//! Which statement of a file lost something.

use super::{Found, Scope, Watched, try_out};
use crate::cli_error::CliError;
use crate::db::Session;
use crate::migrate::apply::{ApplyOptions, Culprit, Evidence};
use crate::migrate::preserve::{Lost, What};
use crate::model::Shape;
use std::collections::BTreeSet;
use std::ops::Range;

/// More statements than this are not measured one by one to find the one that did it.
const MANY: usize = 500;

/// The file once more, compared after each statement. What a rebuild takes
/// away and gives back is not a loss: the statement counts after which it was never whole again.
pub(super) fn of(
    session: &mut dyn Session,
    options: &ApplyOptions<'_>,
    (watched, pieces): (&Watched<'_>, Range<usize>),
    lost: Vec<Lost>,
) -> anyhow::Result<Vec<Culprit>> {
    let intent = watched.intent;
    let mut whole: Vec<Option<usize>> = vec![None; lost.len()];
    let one_by_one = pieces.len() > 1 && pieces.len() <= MANY;
    if one_by_one {
        let concerned = |shape: &&Shape| {
            lost.iter()
                .any(|lost| shape.name == lost.table || shape.whole.as_ref() == Some(&lost.table))
        };
        let names: BTreeSet<_> = watched
            .before
            .iter()
            .filter(|shape| !shape.parted)
            .filter(concerned)
            .map(|shape| shape.name.clone())
            .collect();
        watched.watch(session, &names)?;
        for number in pieces.clone() {
            options.check()?;
            try_out(session, intent, number)
                .map_err(|failed| CliError::unreachable(failed.message))?;
            let Found::All(Evidence { lost: now, .. }) =
                watched.compare(session, &names, Scope::Touched)?
            else {
                continue;
            };
            for (lost, whole) in lost.iter().zip(&mut whole) {
                let same = |it: &Lost| {
                    (&it.table, &it.column, &it.by) == (&lost.table, &lost.column, &lost.by)
                };
                let table_gone = |it: &Lost| it.table == lost.table && it.what == What::TableGone;
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
