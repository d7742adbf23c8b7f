//! Rows that the engine deletes or changes with those of a statement, in other tables or in the same
//! one: it counts none of them.

use super::Failure;
use crate::db::{Failed, Session, Why};
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Lost, Tables, What, loss};
use crate::model::Shape;
use crate::sql::{Conflict, Facts, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// What went from each table with what a statement of a rehearsal deleted: the rows, and then the
/// values of its columns that the engine empties. Less than nothing where it put rows there.
pub(super) type Gone = BTreeMap<String, Vec<i64>>;

/// What a rehearsal showed around its statements, by their numbers.
#[derive(Debug, Default)]
pub(super) struct Fallen {
    /// What went with what they deleted.
    pub(super) gone: BTreeMap<usize, Gone>,
    /// What was there before DDL, as queries count it in the database, too.
    pub(super) there: BTreeMap<usize, There>,
    /// The queries whose sums of values an UPDATE left as they were.
    pub(super) kept: BTreeMap<usize, Vec<String>>,
}

/// What queries counted, by their texts.
pub(super) type There = BTreeMap<String, Vec<u64>>;

impl Fallen {
    /// Takes over what the next statements did.
    pub(super) fn extend(&mut self, next: Self) {
        self.gone.extend(next.gone);
        self.there.extend(next.there);
        self.kept.extend(next.kept);
    }

    /// What a query counted before a statement.
    pub(super) fn there(&self, number: usize, sql: &str) -> Option<&[u64]> {
        let there = self.there.get(&number)?;
        there.get(sql).map(Vec::as_slice)
    }
}

/// A table whose rows go, or lose values, with those of another one.
pub(super) struct Child {
    pub(super) table: String,
    /// The columns that the engine empties.
    pub(super) columns: Vec<String>,
    /// How many rows it has, and then how many values each of these columns.
    pub(super) counts: Vec<u64>,
}

impl Child {
    pub(super) fn of(
        session: &mut dyn Session,
        (table, columns): (String, BTreeSet<String>),
    ) -> anyhow::Result<Self> {
        let columns: Vec<_> = columns.into_iter().collect();
        Ok(Self {
            counts: count(session, &table, &columns)?,
            table,
            columns,
        })
    }

    /// What is gone of each.
    pub(super) fn gone(&self, session: &mut dyn Session) -> anyhow::Result<Vec<i64>> {
        let now = count(session, &self.table, &self.columns)?;
        let gone = self.counts.iter().zip(now);
        Ok(gone
            .map(|(were, now)| were.cast_signed() - now.cast_signed())
            .collect())
    }
}

/// The statements of a rehearsal, on a copy.
pub(super) struct Rehearsal<'a> {
    intent: &'a Intent<'a>,
    /// The one that it begins with, and the tables of then.
    first: usize,
    before: Tables<'a>,
    /// The foreign keys, until a statement may change them.
    keys: Option<Vec<Key>>,
}

impl<'a> Rehearsal<'a> {
    pub(super) const fn new(intent: &'a Intent<'a>, first: usize, before: Tables<'a>) -> Self {
        Self {
            intent,
            first,
            before,
            keys: None,
        }
    }

    /// What a statement may reach, as it is before it; nothing where that can't be counted, so that
    /// what goes in the database counts as more. It ends there what would end the file in the
    /// database, too.
    pub(super) fn before(
        &mut self,
        session: &mut dyn Session,
        (number, facts): (usize, &Facts),
    ) -> anyhow::Result<Result<Vec<Child>, Failure>> {
        if !deletes(&facts.kind) {
            let keeps_keys = matches!(facts.kind, Kind::Insert { .. } | Kind::Update { .. });
            self.keys = self.keys.take().filter(|_| keeps_keys);
            return Ok(Ok(Vec::new()));
        }
        let keys = match self.keys.take() {
            Some(keys) => keys,
            None => keys(session)?,
        };
        let found = reached(&keys, session, facts);
        self.keys = Some(keys);
        let mut counted = Vec::new();
        for (table, columns) in found {
            let was = self.was(session, number, &table);
            if was.is_some_and(|was| self.may_go(was, &columns)) {
                continue;
            }
            match Child::of(session, (table.clone(), columns)) {
                Ok(child) => counted.push(child),
                Err(error) if was.is_some() && is_of_locks(&error) => {
                    return Ok(Err(unlocked((self.intent, number), &table)));
                }
                Err(_) => {}
            }
        }
        Ok(Ok(counted))
    }

    /// The table of before that is called so now.
    fn was(&self, session: &dyn Session, number: usize, table: &str) -> Option<&'a Shape> {
        let names = session.names();
        let done = self.intent.renames_of(self.first..number);
        let mut before = self.before.shapes.iter();
        before.find(|it| names.tables.same(&done.present(it, names).table, table))
    }

    /// Whether any number of its rows and values may go.
    fn may_go(&self, was: &Shape, columns: &BTreeSet<String>) -> bool {
        let any = any_of(was, columns.iter(), self.before);
        preserve::unacknowledged(&any, &self.intent.allowed, self.before).is_empty()
    }
}

/// Everything that could go from a table with the rows of another one.
pub(super) fn any_of<'a>(
    was: &Shape,
    columns: impl Iterator<Item = &'a String>,
    before: Tables<'_>,
) -> Vec<Lost> {
    let rows = loss(was, None, (What::RowsGone, u64::MAX, u64::MAX), before);
    let values = columns.map(|column| {
        let all = (What::ValuesGone, u64::MAX, u64::MAX);
        loss(was, Some(column), all, before)
    });
    std::iter::once(rows).chain(values).collect()
}

/// Whether the locks of the file kept chatctl from counting.
pub(super) fn is_of_locks(error: &anyhow::Error) -> bool {
    let failed = error.downcast_ref::<Failed>();
    failed.is_some_and(|failed| failed.why == Why::Locks)
}

/// What to say where they do.
pub(super) fn unlocked((intent, number): (&Intent<'_>, usize), table: &str) -> Failure {
    Failure {
        file: intent.migration.file_name(),
        line: Some(intent.pieces[number].line),
        message: format!(
            "its deletes may remove rows of `{table}` as well, and the file does not lock that table, so \
                chatctl cannot count them"
        ),
        help: format!("add `{table}` WRITE to LOCK TABLES in the file"),
        busy: false,
    }
}

/// What it took.
pub(super) fn behind(session: &mut dyn Session, before: &[Child]) -> Gone {
    let gone = before.iter().filter_map(|child| {
        let gone = child.gone(session).ok()?;
        Some((child.table.clone(), gone))
    });
    gone.collect()
}

fn deletes(kind: &Kind) -> bool {
    match kind {
        Kind::Delete { .. }
        | Kind::Insert {
            conflict: Conflict::Replace,
            ..
        } => true,
        Kind::With { writes } => writes.last().is_some_and(deletes),
        _ => false,
    }
}

/// A foreign key by which the engine acts when a row is deleted.
struct Key {
    parent: String,
    child: String,
    column: String,
    /// Whether it deletes rows.
    cascades: bool,
}

/// The tables that what a statement deletes reaches, each with the columns that are emptied by it;
/// its own ones among them, if a key leads into them.
pub(super) fn children(
    session: &mut dyn Session,
    facts: &Facts,
) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    if !deletes(&facts.kind) {
        return Ok(BTreeMap::new());
    }
    let keys = keys(session)?;
    Ok(reached(&keys, session, facts))
}

fn keys(session: &mut dyn Session) -> anyhow::Result<Vec<Key>> {
    let rows = session.rows(
        "SELECT k.referenced_table_name, k.table_name, k.column_name, r.delete_rule = 'CASCADE' \
         FROM information_schema.referential_constraints AS r JOIN information_schema.key_column_usage AS k \
         ON k.constraint_name = r.constraint_name AND k.table_name = r.table_name \
         WHERE r.constraint_schema = database() AND k.table_schema = database() AND k.referenced_table_schema = database() \
         AND r.delete_rule IN ('CASCADE', 'SET NULL', 'SET DEFAULT')",
    )?;
    let keys = rows.iter().map(|row| Key {
        parent: row[0].to_string(),
        child: row[1].to_string(),
        column: row[2].to_string(),
        cascades: row[3].text() == Some("1"),
    });
    Ok(keys.collect())
}

fn reached(
    keys: &[Key],
    session: &dyn Session,
    facts: &Facts,
) -> BTreeMap<String, BTreeSet<String>> {
    let case = session.names().tables;
    let has = |all: &[String], table: &str| all.iter().any(|it| case.same(it, table));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut parents: Vec<_> = facts.tables().map(|it| it.name.clone()).collect();
    let mut next = 0;
    while let Some(parent) = parents.get(next).cloned() {
        next += 1;
        for key in keys.iter().filter(|key| case.same(&key.parent, &parent)) {
            let columns = found.entry(key.child.clone()).or_default();
            columns.extend((!key.cascades).then(|| key.column.clone()));
            if key.cascades && !has(&parents, &key.child) {
                parents.push(key.child.clone());
            }
        }
    }
    found
}

/// How many rows a table has, and how many values each of these columns. Nobody else changes them
/// from here on: a lock that was raised with the first change would end the transaction of one who
/// waits for a row.
fn count(session: &mut dyn Session, table: &str, columns: &[String]) -> anyhow::Result<Vec<u64>> {
    let mut what = vec!["count(*)".to_owned()];
    let columns = columns.iter().map(|it| session.quote(it));
    what.extend(columns.map(|it| format!("count({it})")));
    let sql = format!("SELECT {} FROM {}", what.join(", "), session.quote(table));
    let rows = match session.seen(&format!("{sql} FOR UPDATE")) {
        // MySQL asks for a right that a cascade does not need.
        Err(error) if is_refused(&error) => session.seen(&format!("{sql} LOCK IN SHARE MODE"))?,
        rows => rows?,
    };
    let counts = rows[0].iter().map(|it| Ok(it.to_string().parse()?));
    counts.collect()
}

fn is_refused(error: &anyhow::Error) -> bool {
    let failed = error.downcast_ref::<Failed>();
    failed.is_some_and(|it| it.why == Why::Other && !it.busy && !it.lost)
}
