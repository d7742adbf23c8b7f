//! Columns and partitions that a statement removes: their current content.

use super::{
    Found, Late, Others, Seen, Then, asked, culprits, known, loss, older, refused, were,
    with_others,
};
use crate::db::Session;
use crate::migrate::apply::End;
use crate::migrate::apply::counting::{Query, numbers, queries, rewrites, rounded, takes};
use crate::migrate::apply::limits::has_limits;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::intent::{Intent, Piece};
use crate::migrate::preserve::{Renames, Tables, What};
use crate::model::{Names, Shape, ShapeColumn};
use crate::sql::{AlterAction, Facts, Kind, Name};

/// What a statement would take with a column or with a partition, which has to be acknowledged
/// however little of it the rehearsal had.
pub(super) fn altered(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    (rehearsed, facts): (&Rehearsed, &Facts),
    (others, late): (Others, &mut Late),
) -> anyhow::Result<Result<Found, End>> {
    let (Kind::AlterTable { actions }, Some(table)) = (&facts.kind, &facts.table) else {
        return Ok(Ok(Found::default()));
    };
    if !actions.iter().any(|it| takes(it) || rewrites(it)) {
        return Ok(Ok(Found::default()));
    }
    let Some((was, now)) = older(session, (intent, number), rehearsed, table)? else {
        return Ok(Ok(Found::default()));
    };
    let shapes = were(rehearsed);
    let before = Tables {
        shapes: &shapes,
        names: session.names(),
    };
    let done = intent.renames_of(rehearsed.first..number);
    let dropped = columns(
        (intent, number),
        actions,
        (was, &now),
        (&done, before.names),
    );
    let queries = queries(session, &now, dropped, actions)?.into_iter();
    let queries = queries.map(|query| (query, What::ColumnGone));
    let old = |column: &str| {
        let is_it = |it: &&ShapeColumn| {
            let called = done.of_column(was, &it.name, before.names);
            before.names.columns.same(&called, column)
        };
        was.columns.iter().find(is_it)
    };
    let rounded = actions.iter().filter_map(|action| {
        let (column, sql) = rounded(session, &now, action)?;
        let columns = vec![Some(old(column)?.name.as_str())];
        Some((Query { sql, columns }, What::ValuesChanged))
    });
    let queries: Vec<_> = queries.chain(rounded).collect();
    let (mut seen, mut mores) = (Vec::new(), Vec::new());
    for (Query { sql, columns }, of_column) in queries {
        let counts = numbers(&asked(session, &sql, others)?)?;
        let then = rehearsed.fallen.there(number, &sql);
        let lost = columns.iter().zip(&counts).enumerate();
        let lost = lost.map(|(at, (column, there))| {
            let what = match column {
                Some(_) => of_column,
                None => What::RowsGone,
            };
            let taken = loss(was, *column, (what, *there, *there), before);
            let (known, earlier) = (
                known(&rehearsed.evidence.lost, &taken),
                late.before(number, &taken),
            );
            let (all, more) = with_others(
                &taken,
                then.map(|then| Then {
                    rows: then[at],
                    is_same: true,
                }),
                (known, earlier),
            );
            if has_limits(intent) {
                late.taken.note(number, &taken, *there);
            }
            mores.push((taken, more));
            all
        });
        seen.push(Seen {
            table: now.name.clone(),
            lost: lost.collect(),
            sql,
            counts,
            copied: false,
            aside: None,
        });
    }
    late.note(number, mores.iter().map(|(taken, more)| (taken, *more)));
    let lost = seen.iter().flat_map(|it| &it.lost);
    let lost: Vec<_> = lost.filter(|it| it.rows > 0).cloned().collect();
    let refused = refused((intent, rehearsed), &lost, before);
    Ok(if refused.is_empty() {
        Ok(Found {
            before: shapes,
            seen,
        })
    } else {
        Err(culprits(intent, number, refused))
    })
}

/// The columns of before the run that a statement drops and that nothing takes the place of: as
/// they are called now, and as they were when the file began.
fn columns<'a>(
    (intent, number): (&Intent<'_>, usize),
    actions: &[AlterAction],
    (was, now): (&'a Shape, &Shape),
    (done, names): (&Renames, Names),
) -> Vec<(String, &'a str)> {
    let mut found = Vec::new();
    for (at, action) in actions.iter().enumerate() {
        let AlterAction::DropColumn { column, .. } = action else {
            continue;
        };
        let is_it = |it: &&ShapeColumn| {
            let called = done.of_column(was, &it.name, names);
            names.columns.same(&called, column)
        };
        let behind = Behind {
            actions: &actions[at + 1..],
            pieces: &intent.pieces[number + 1..],
        };
        if let Some(old) = was.columns.iter().find(is_it)
            && !behind.gives_back(now, column, names)
        {
            found.push((column.clone(), old.name.as_str()));
        }
    }
    found
}

/// What follows the removal of a column.
struct Behind<'a> {
    /// In the same statement.
    actions: &'a [AlterAction],
    /// In the file.
    pieces: &'a [Piece<'a>],
}

impl Behind<'_> {
    /// Whether another column takes its name, which has its values then: by its own, or because
    /// they are put there later.
    fn gives_back(&self, table: &Shape, column: &str, names: Names) -> bool {
        let is_it = |it: &Name| names.tables.same(&it.name, &table.table);
        let of_table = self.pieces.iter().map(|it| &it.facts);
        let of_table = of_table.filter(|it| it.tables().any(is_it));
        let mut is_added = self.actions.iter().any(|it| adds(it, column, names));
        if self.actions.iter().any(|it| renames(it, column, names)) {
            return true;
        }
        for facts in of_table {
            match &facts.kind {
                Kind::AlterTable { actions } => {
                    if actions.iter().any(|it| renames(it, column, names)) {
                        return true;
                    }
                    is_added |= actions.iter().any(|it| adds(it, column, names));
                }
                Kind::Update { .. } if is_added => return true,
                _ => {}
            }
        }
        false
    }
}

fn renames(action: &AlterAction, column: &str, names: Names) -> bool {
    match action {
        AlterAction::RenameColumn { to, .. } | AlterAction::Change { to, .. } => {
            names.columns.same(to, column)
        }
        _ => false,
    }
}

fn adds(action: &AlterAction, column: &str, names: Names) -> bool {
    matches!(action, AlterAction::AddColumn { column: to, .. } if names.columns.same(to, column))
}
