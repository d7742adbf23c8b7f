//! Queries that count what DDL would remove: on the copy before it runs, and in the database.

mod kept;
mod rounding;
mod sets;

pub(super) use kept::{Kept, Since, sum};
pub(super) use sets::sets;

use super::fallen::There;
use crate::db::Session;
use crate::model::{Cell, Shape};
use crate::sql::{AlterAction, Facts, Kind, Name};

/// What is there before DDL, on the copy: in the database it is compared with that; nothing where it
/// can't be counted, so that all is taken for what came since.
pub(super) fn there_before(session: &mut dyn Session, facts: &Facts) -> There {
    let texts = texts_before(session, facts).unwrap_or_default();
    let counted = texts.into_iter().filter_map(|sql| {
        let counts = numbers(&session.seen(&sql).ok()?).ok()?;
        Some((sql, counts))
    });
    counted.collect()
}

fn texts_before(session: &mut dyn Session, facts: &Facts) -> anyhow::Result<Vec<String>> {
    if let Kind::AlterTable { actions } = &facts.kind
        && let Some(table) = &facts.table
    {
        let is_counted = |it: &AlterAction| takes(it) || rewrites(it) || ignores(it);
        if !actions.iter().any(is_counted) {
            return Ok(Vec::new());
        }
        let (there, names) = (session.catalog()?, session.names());
        let is_it = |it: &&Shape| names.tables.same(&it.table, &table.name);
        let Some(now) = there.iter().find(is_it) else {
            return Ok(Vec::new());
        };
        let mut found = texts(session, now, actions)?;
        if actions.iter().any(|it| rewrites(it) || ignores(it)) {
            found.push(which(session, now, &now.name));
        }
        return Ok(found);
    }
    let Some((tables, false)) = taken(facts) else {
        return Ok(Vec::new());
    };
    let (there, names) = (session.catalog()?, session.names());
    let found = tables.into_iter().filter_map(|table| {
        let is_it = |it: &&Shape| names.tables.same(&it.table, &table.name);
        let shape = there.iter().find(is_it)?;
        Some(which(session, shape, &shape.name))
    });
    Ok(found.collect())
}

/// The tables that a statement takes, and whether they stay under another name.
pub(super) fn taken(facts: &Facts) -> Option<(Vec<&Name>, bool)> {
    match &facts.kind {
        Kind::DropTable {
            temporary: false, ..
        }
        | Kind::Truncate { .. }
        | Kind::CreateTable {
            or_replace: true,
            temporary: false,
            ..
        } => Some((facts.tables().collect(), false)),
        Kind::RenameTable { renames } => {
            Some((renames.iter().map(|(from, _)| from).collect(), true))
        }
        Kind::AlterTable { actions }
            if actions
                .iter()
                .any(|it| matches!(it, AlterAction::RenameTable { .. })) =>
        {
            Some((facts.tables().collect(), true))
        }
        _ => None,
    }
}

/// A query that counts what goes.
pub(super) struct Query<'a> {
    pub(super) sql: String,
    /// For each number the column whose values it counts; none where it counts rows.
    pub(super) columns: Vec<Option<&'a str>>,
}

/// What a rehearsal counts before these actions.
fn texts(
    session: &mut dyn Session,
    now: &Shape,
    actions: &[AlterAction],
) -> anyhow::Result<Vec<String>> {
    let dropped = actions.iter().filter_map(|action| match action {
        AlterAction::DropColumn { column, .. } => Some((column.clone(), column.as_str())),
        _ => None,
    });
    let queries = queries(session, now, dropped.collect(), actions)?;
    let rounded = actions.iter().filter_map(|it| rounded(session, now, it));
    let rounded: Vec<_> = rounded.map(|(_, sql)| sql).collect();
    Ok(queries
        .into_iter()
        .map(|it| it.sql)
        .chain(rounded)
        .collect())
}

/// The column whose values an action rounds, of which the server says nothing in any mode, and a
/// query for the number of those that become others by it.
pub(super) fn rounded<'a>(
    session: &dyn Session,
    now: &Shape,
    action: &'a AlterAction,
) -> Option<(&'a str, String)> {
    let (column, to) = match action {
        AlterAction::Modify { column, to } => (column, to),
        AlterAction::Change {
            from, definition, ..
        } => (from, definition),
        _ => return None,
    };
    let names = session.names();
    let mut columns = now.columns.iter();
    let was = columns.find(|it| names.columns.same(&it.name, column))?;
    let becomes = rounding::to(&was.declared, to)?;
    let value = session.quote(&was.name);
    let rows = session.quote(&now.name);
    let sql = format!(
        "SELECT count(*) FROM {rows} WHERE {value} <> {}",
        becomes(&value)
    );
    Some((column.as_str(), sql))
}

/// What counts the values of columns that go, each of which is named, and the rows of partitions.
pub(super) fn queries<'a>(
    session: &mut dyn Session,
    now: &Shape,
    dropped: Vec<(String, &'a str)>,
    actions: &[AlterAction],
) -> anyhow::Result<Vec<Query<'a>>> {
    let rows = session.quote(&now.name);
    let mut queries = Vec::new();
    if !dropped.is_empty() {
        // One look for all of them: nobody can write the table meanwhile.
        let counts = dropped.iter().map(|(called, _)| session.quote(called));
        let counts: Vec<_> = counts.map(|it| format!("count({it})")).collect();
        queries.push(Query {
            sql: format!("SELECT {} FROM {rows}", counts.join(", ")),
            columns: dropped.into_iter().map(|(_, old)| Some(old)).collect(),
        });
    }
    for action in actions {
        let partitions = match action {
            AlterAction::DropPartition { partitions }
            | AlterAction::TruncatePartition { partitions } => partitions.clone(),
            other => match given_away(other) {
                Some(partition) => vec![partition],
                None => continue,
            },
        };
        if let Some(of) = of_partitions(session, now, &partitions)? {
            queries.push(Query {
                sql: format!("SELECT count(*) FROM {rows}{of}"),
                columns: vec![None],
            });
        }
    }
    Ok(queries)
}

/// How a query names these partitions of a table, as far as they are there: `IF EXISTS` may name
/// others.
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

/// A query for the number of rows and for their keys, of a table that is called so: one that went
/// and one that came make the same number. A checksum would not do: those of keys in a row add up to
/// the same for others.
pub(super) fn which(session: &dyn Session, shape: &Shape, called: &str) -> String {
    let key = if shape.key.is_empty() {
        shape.columns.iter().map(|it| &it.name).collect()
    } else {
        shape.key.iter().collect::<Vec<_>>()
    };
    let key = key.into_iter();
    let key: Vec<_> = key
        .map(|it| format!("quote({})", session.quote(it)))
        .collect();
    format!(
        "SELECT count(*), bit_xor(cast(conv(left(md5(concat_ws(',', {})), 16), 16, 10) AS UNSIGNED)) FROM {}",
        key.join(", "),
        session.quote(called)
    )
}

/// What a query for numbers gave.
pub(super) fn numbers(rows: &[Vec<Cell>]) -> anyhow::Result<Vec<u64>> {
    let numbers = rows[0].iter().map(|it| Ok(it.to_string().parse()?));
    numbers.collect()
}

/// Whether values or rows go with a column or a partition.
pub(super) fn takes(action: &AlterAction) -> bool {
    matches!(
        action,
        AlterAction::DropColumn { .. }
            | AlterAction::DropPartition { .. }
            | AlterAction::TruncatePartition { .. }
    ) || given_away(action).is_some()
}

/// The partition whose rows another table gets: by EXCHANGE PARTITION or CONVERT PARTITION.
fn given_away(action: &AlterAction) -> Option<String> {
    let AlterAction::Other { text } = action else {
        return None;
    };
    let mut words = text.split_whitespace();
    let gives = words.next().is_some_and(|it| {
        it.eq_ignore_ascii_case("EXCHANGE") || it.eq_ignore_ascii_case("CONVERT")
    });
    let is_one = words.next()?.eq_ignore_ascii_case("PARTITION");
    let name = words.next()?.trim_matches('`').to_owned();
    (gives && is_one).then_some(name)
}

pub(super) fn rewrites(action: &AlterAction) -> bool {
    matches!(
        action,
        AlterAction::Modify { .. }
            | AlterAction::Change { .. }
            | AlterAction::ConvertCharset { .. }
    )
}

/// MariaDB's ALTER IGNORE deletes the rows that a key forbids, and cuts in every mode.
pub(super) fn ignores(action: &AlterAction) -> bool {
    matches!(action, AlterAction::Other { text } if text == "IGNORE")
}
