//! Rows that came after the rehearsal: what a statement would do to them is looked at before it is
//! committed.

use crate::db::Session;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::apply::{Culprit, End, Failure, origin};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Renames, Tables, What};
use crate::model::{Compared, Names, Shape, ShapeColumn};
use crate::sql::{AlterAction, Conflict, Kind, Name};

/// What a statement does to the rows that it changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Does {
    Delete,
    Change,
    Nothing,
}

fn does(kind: &Kind) -> Does {
    match kind {
        Kind::Delete { .. } => Does::Delete,
        Kind::Update { .. } => Does::Change,
        Kind::Insert { conflict, .. } => match conflict {
            Conflict::Replace | Conflict::Update => Does::Change,
            Conflict::Fail | Conflict::Ignore => Does::Nothing,
        },
        Kind::With { writes } => match writes.last() {
            Some(main) => does(main),
            None => Does::Nothing,
        },
        _ => Does::Nothing,
    }
}

/// What a statement did to more rows than it did on the copy; it is not committed yet.
pub(super) fn changed(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    rehearsed: &Rehearsed,
) -> anyhow::Result<Option<End>> {
    let piece = &intent.pieces[number];
    let now = session.changed().last().copied();
    let then = rehearsed.rows.get(number).copied().flatten();
    let does = does(&piece.facts.kind);
    let (Some(then), Some(now), Some(table)) = (then, now, &piece.facts.table) else {
        return Ok(None);
    };
    if now <= then || does == Does::Nothing {
        return Ok(None);
    }
    let Some((shape, _)) = older(session, (intent, number), rehearsed, table)? else {
        return Ok(None);
    };
    let before: Vec<_> = rehearsed
        .before
        .iter()
        .map(|(was, _)| was.clone())
        .collect();
    let before = Tables {
        shapes: &before,
        names: session.names(),
    };
    let lost = more((does, shape), now - then, &rehearsed.evidence.lost, before);
    let refused = preserve::unacknowledged(&lost, &intent.allowed, before);
    if !refused.is_empty() {
        let refused = refused.into_iter().cloned().collect();
        return Ok(Some(culprits(intent, number, refused)));
    }
    let is_new = does == Does::Change && lost.is_empty() && then == 0;
    Ok(is_new.then(|| {
        End::Failed(Failure {
            file: intent.migration.file_name(),
            line: Some(piece.line),
            message: format!(
                "it would change {now} rows of `{}` that came after the rehearsal, which had none for it",
                shape.name
            ),
            help: "run `chatctl migrate` again: it rehearses with these rows".into(),
            busy: false,
        })
    }))
}

/// The table of before the run that a statement names, as it was when the file began and as it is
/// now.
fn older<'a>(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    rehearsed: &'a Rehearsed,
    table: &Name,
) -> anyhow::Result<Option<(&'a Shape, Shape)>> {
    let (tables, names) = (session.catalog()?, session.names());
    let tables = Tables {
        shapes: &tables,
        names,
    };
    let done = intent.renames_of(rehearsed.first..number);
    // What the run itself made is its own.
    let mut older = rehearsed.before.iter();
    Ok(older.find_map(|(was, _)| {
        let shape = origin::present(was, &done, tables)?;
        let is_it = names.tables.same(&shape.table, &table.name);
        is_it.then_some((was, shape))
    }))
}

/// What a statement would take with a column or with a partition that had less in it on the copy.
pub(super) fn altered(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    rehearsed: &Rehearsed,
) -> anyhow::Result<Option<End>> {
    let piece = &intent.pieces[number];
    let (Kind::AlterTable { actions }, Some(table)) = (&piece.facts.kind, &piece.facts.table)
    else {
        return Ok(None);
    };
    let takes = |action: &AlterAction| {
        matches!(
            action,
            AlterAction::DropColumn { .. }
                | AlterAction::DropPartition { .. }
                | AlterAction::TruncatePartition { .. }
        )
    };
    if !actions.iter().any(takes) {
        return Ok(None);
    }
    let Some((was, now)) = older(session, (intent, number), rehearsed, table)? else {
        return Ok(None);
    };
    let names = session.names();
    let before: Vec<_> = rehearsed
        .before
        .iter()
        .map(|(was, _)| was.clone())
        .collect();
    let before = Tables {
        shapes: &before,
        names,
    };
    let done = intent.renames_of(rehearsed.first..number);
    let rows = session.quote(&now.name);
    let mut lost = Vec::new();
    for action in actions {
        let (sql, column) = match action {
            AlterAction::DropColumn { column, .. } => {
                let is_it = |it: &&ShapeColumn| {
                    let called = done.of_column(was, &it.name, names);
                    names.columns.same(&called, column)
                };
                let old = was.columns.iter().find(is_it);
                let Some(old) = old.filter(|_| !is_taken(intent, column, names)) else {
                    continue;
                };
                let column = session.quote(column);
                (
                    format!("SELECT count({column}) FROM {rows}"),
                    Some(&old.name),
                )
            }
            AlterAction::DropPartition { partitions }
            | AlterAction::TruncatePartition { partitions } => {
                let sql = match partitions.as_slice() {
                    [all] if all.eq_ignore_ascii_case("ALL") => {
                        format!("SELECT count(*) FROM {rows}")
                    }
                    _ => {
                        // `IF EXISTS` may name one that is not there.
                        let there = partitions_of(session, &now)?;
                        let is_there =
                            |it: &&String| there.iter().any(|name| name.eq_ignore_ascii_case(it));
                        let parts = partitions.iter().filter(is_there);
                        let parts: Vec<_> = parts.map(|it| session.quote(it)).collect();
                        if parts.is_empty() {
                            continue;
                        }
                        format!(
                            "SELECT count(*) FROM {rows} PARTITION ({})",
                            parts.join(", ")
                        )
                    }
                };
                (sql, None)
            }
            _ => continue,
        };
        let what = match column {
            Some(_) => What::ColumnGone,
            None => What::RowsGone,
        };
        let then = rehearsed
            .evidence
            .lost
            .iter()
            .find(|it| (it.what, &it.table, it.column.as_ref()) == (what, &was.name, column));
        let there: u64 = session.rows(&sql)?[0][0].to_string().parse()?;
        if there > then.map_or(0, |it| it.rows) {
            lost.push(Lost {
                table: was.name.clone(),
                column: column.cloned(),
                subject: before.subject(was, column.map(String::as_str)),
                what,
                rows: there,
                before: there,
                in_parts: false,
                by: None,
                derived: None,
            });
        }
    }
    let refused = preserve::unacknowledged(&lost, &intent.allowed, before);
    let refused: Vec<_> = refused.into_iter().cloned().collect();
    Ok((!refused.is_empty()).then(|| culprits(intent, number, refused)))
}

/// The partitions of a table, and their parts.
fn partitions_of(session: &mut dyn Session, table: &Shape) -> anyhow::Result<Vec<String>> {
    let name = table.table.replace('\\', "\\\\").replace('\'', "''");
    let of = |column: &str| {
        format!(
            "SELECT {column} FROM information_schema.partitions WHERE table_schema = database() \
             AND table_name = '{name}' AND {column} IS NOT NULL"
        )
    };
    let rows = session.rows(&format!(
        "{} UNION {}",
        of("partition_name"),
        of("subpartition_name")
    ))?;
    Ok(rows.iter().map(|row| row[0].to_string()).collect())
}

/// Whether another column takes this name in the file, which has its values then.
fn is_taken(intent: &Intent<'_>, column: &str, names: Names) -> bool {
    let takes = |action: &AlterAction| match action {
        AlterAction::AddColumn { column: to, .. }
        | AlterAction::RenameColumn { to, .. }
        | AlterAction::Change { to, .. } => names.columns.same(to, column),
        _ => false,
    };
    intent.pieces.iter().any(|piece| match &piece.facts.kind {
        Kind::AlterTable { actions } => actions.iter().any(takes),
        _ => false,
    })
}

/// The losses of the rehearsal, with so many more rows.
fn more((does, shape): (Does, &Shape), more: u64, lost: &[Lost], before: Tables<'_>) -> Vec<Lost> {
    // Of what is lost later only, no row is gone or changed now.
    let of_table = lost
        .iter()
        .filter(|it| it.table == shape.name && it.by.is_none());
    let with_more = |lost: &Lost| Lost {
        rows: lost.rows + more,
        before: lost.before + more,
        ..lost.clone()
    };
    match does {
        Does::Change => of_table
            .filter(|it| it.column.is_some())
            .map(with_more)
            .collect(),
        Does::Delete => {
            let none = Lost {
                table: shape.name.clone(),
                column: None,
                subject: before.subject(shape, None),
                what: What::RowsGone,
                rows: 0,
                before: 0,
                in_parts: false,
                by: None,
                derived: None,
            };
            let rows = of_table.rev().find(|it| it.column.is_none());
            vec![with_more(rows.unwrap_or(&none))]
        }
        Does::Nothing => Vec::new(),
    }
}

/// What a statement would drop that the rehearsal did not have: rows that came since, of which the
/// table that takes the place of the dropped one has no copy.
pub(super) fn dropped(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    rehearsed: &Rehearsed,
) -> anyhow::Result<Option<End>> {
    let piece = &intent.pieces[number];
    let gone = match &piece.facts.kind {
        Kind::DropTable {
            temporary: false, ..
        }
        | Kind::Truncate { .. } => piece.facts.tables(),
        _ => return Ok(None),
    };
    let (now, names) = (session.catalog()?, session.names());
    let end = intent.pieces.len();
    let (done, ahead) = (
        intent.renames_of(rehearsed.first..number),
        intent.renames_of(number + 1..end),
    );
    let tables = Tables {
        shapes: &now,
        names,
    };
    let left: Vec<_> = rehearsed
        .before
        .iter()
        .filter_map(|(was, home)| Some((origin::present(was, &done, tables)?, was, home)))
        .collect();
    let before: Vec<_> = left
        .iter()
        .map(|(shape, was, home)| Shape {
            name: was.name.clone(),
            table: (*home).clone(),
            ..shape.clone()
        })
        .collect();
    let before = Tables {
        shapes: &before,
        names,
    };
    for table in gone {
        let is_it = |shape: &Shape| names.tables.same(&shape.table, &table.name);
        let Some((shape, start, _)) = left.iter().find(|(shape, ..)| is_it(shape)) else {
            continue;
        };
        let Some(was) = before.called(&start.name) else {
            continue;
        };
        // What there will be, under the names that it will have.
        let after: Vec<_> = now
            .iter()
            .filter(|other| other.name != shape.name)
            .map(|other| Shape {
                table: ahead.present(other, names).table,
                ..other.clone()
            })
            .collect();
        let after = Tables {
            shapes: &after,
            names,
        };
        let successor = preserve::successor(was, before, after, &Renames::default());
        let compared = match &successor {
            Some(successor) => session.compare_with(shape, successor)?,
            None => None,
        };
        let compared = match compared {
            Some(compared) => compared,
            None => whole(session, shape)?,
        };
        let lost = preserve::lost(was, successor.as_ref(), &compared, before);
        let refused = preserve::unacknowledged(&lost, &intent.allowed, before);
        if !refused.is_empty() {
            let refused = refused.into_iter().cloned().collect();
            return Ok(Some(culprits(intent, number, refused)));
        }
    }
    Ok(None)
}

fn whole(session: &mut dyn Session, shape: &Shape) -> anyhow::Result<Compared> {
    let table = session.quote(&shape.name);
    let rows = session.rows(&format!("SELECT count(*) FROM {table}"))?;
    Ok(Compared {
        before: rows[0][0].to_string().parse().unwrap_or(0),
        ..Compared::default()
    })
}

fn culprits(intent: &Intent<'_>, number: usize, lost: Vec<Lost>) -> End {
    let piece = &intent.pieces[number];
    let culprit = |lost| Culprit {
        lost,
        file: intent.migration.file_name(),
        line: Some(piece.line),
        statement: piece.text.to_owned(),
    };
    End::Lost(lost.into_iter().map(culprit).collect())
}
