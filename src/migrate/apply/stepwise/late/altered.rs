//! Columns and partitions that a statement takes from a table: what is in them now.

use super::{Seen, culprits, older, refused, were};
use crate::db::Session;
use crate::migrate::apply::End;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::intent::Intent;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::model::{Names, Shape, ShapeColumn};
use crate::sql::{AlterAction, Facts, Kind, Name};

/// What a statement would take with a column or with a partition, which has to be acknowledged however little
/// of it the rehearsal had.
pub(super) fn altered(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
    (rehearsed, facts): (&Rehearsed, &Facts),
) -> anyhow::Result<Result<Vec<Seen>, End>> {
    let (Kind::AlterTable { actions }, Some(table)) = (&facts.kind, &facts.table) else {
        return Ok(Ok(Vec::new()));
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
        return Ok(Ok(Vec::new()));
    }
    let Some((was, now)) = older(session, (intent, number), rehearsed, table)? else {
        return Ok(Ok(Vec::new()));
    };
    let names = session.names();
    let before = were(rehearsed);
    let before = Tables {
        shapes: &before,
        names,
    };
    let done = intent.renames_of(rehearsed.first..number);
    let rows = session.quote(&now.name);
    let (mut lost, mut seen) = (Vec::new(), Vec::new());
    for action in actions {
        let (sql, column) = match action {
            AlterAction::DropColumn { column, .. } => {
                let is_it = |it: &&ShapeColumn| {
                    let called = done.of_column(was, &it.name, names);
                    names.columns.same(&called, column)
                };
                let Some(old) = was.columns.iter().find(is_it) else {
                    continue;
                };
                if is_taken(intent, (&now, column), names) {
                    continue;
                }
                let column = session.quote(column);
                (
                    format!("SELECT count({column}) FROM {rows}"),
                    Some(&old.name),
                )
            }
            AlterAction::DropPartition { partitions }
            | AlterAction::TruncatePartition { partitions } => {
                match of_partitions(session, &now, partitions)? {
                    Some(of) => (format!("SELECT count(*) FROM {rows}{of}"), None),
                    None => continue,
                }
            }
            _ => continue,
        };
        let there: u64 = session.rows(&sql)?[0][0].to_string().parse()?;
        seen.push(Seen {
            table: now.name.clone(),
            rows: sql,
            count: there,
            aside: None,
        });
        if there > 0 {
            lost.push(Lost {
                table: was.name.clone(),
                column: column.cloned(),
                subject: before.subject(was, column.map(String::as_str)),
                what: match column {
                    Some(_) => What::ColumnGone,
                    None => What::RowsGone,
                },
                rows: there,
                before: there,
                in_parts: false,
                by: None,
                derived: None,
            });
        }
    }
    let refused = refused((intent, rehearsed), &lost, before);
    Ok(if refused.is_empty() {
        Ok(seen)
    } else {
        Err(culprits(intent, number, refused))
    })
}

/// How a query names these partitions of a table, as far as they are there: `IF EXISTS` may name others.
fn of_partitions(
    session: &mut dyn Session,
    table: &Shape,
    named: &[String],
) -> anyhow::Result<Option<String>> {
    if matches!(named, [all] if all.eq_ignore_ascii_case("ALL")) {
        return Ok(Some(String::new()));
    }
    let there = partitions_of(session, table)?;
    let is_there = |it: &&String| there.iter().any(|name| name.eq_ignore_ascii_case(it));
    let parts: Vec<_> = named
        .iter()
        .filter(is_there)
        .map(|it| session.quote(it))
        .collect();
    Ok((!parts.is_empty()).then(|| format!(" PARTITION ({})", parts.join(", "))))
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

/// Whether another column of the table takes this name in the file, which has its values then.
fn is_taken(intent: &Intent<'_>, (table, column): (&Shape, &str), names: Names) -> bool {
    let takes = |action: &AlterAction| match action {
        AlterAction::AddColumn { column: to, .. }
        | AlterAction::RenameColumn { to, .. }
        | AlterAction::Change { to, .. } => names.columns.same(to, column),
        _ => false,
    };
    intent.pieces.iter().any(|piece| match &piece.facts.kind {
        Kind::AlterTable { actions } => {
            let of_table = |it: &Name| names.tables.same(&it.name, &table.table);
            piece.facts.table.as_ref().is_some_and(of_table) && actions.iter().any(takes)
        }
        _ => false,
    })
}
