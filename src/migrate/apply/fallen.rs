//! Rows of other tables that the engine deletes or changes with those of a statement: it counts
//! none of them.

use crate::db::{Failed, Session, Why};
use crate::migrate::intent::Intent;
use crate::sql::{Conflict, Dialect, Facts, Kind};
use std::collections::{BTreeMap, BTreeSet};

/// What went from other tables with what the statements of a rehearsal deleted, by their numbers:
/// of each table the rows, and then the values of its columns that the engine empties.
pub(super) type Fallen = BTreeMap<usize, BTreeMap<String, Vec<u64>>>;

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
    pub(super) fn gone(&self, session: &mut dyn Session) -> anyhow::Result<Vec<u64>> {
        let now = count(session, &self.table, &self.columns)?;
        let gone = self.counts.iter().zip(now);
        Ok(gone.map(|(were, now)| were.saturating_sub(now)).collect())
    }
}

/// What a statement of a rehearsal may reach, as it is before it; nothing where that can't be
/// counted, so that what goes in the database counts as more.
pub(super) fn before(session: &mut dyn Session, intent: &Intent<'_>, number: usize) -> Vec<Child> {
    if intent.dialect != Dialect::Mysql {
        return Vec::new();
    }
    let facts = &intent.pieces[number].facts;
    let found = children(session, facts).unwrap_or_default();
    let counted = found.into_iter().map(|it| Child::of(session, it));
    counted.filter_map(Result::ok).collect()
}

/// What it took.
pub(super) fn behind(session: &mut dyn Session, before: &[Child]) -> BTreeMap<String, Vec<u64>> {
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

/// The tables that what a statement deletes reaches, each with the columns that are emptied by it.
pub(super) fn children(
    session: &mut dyn Session,
    facts: &Facts,
) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
    if !deletes(&facts.kind) {
        return Ok(BTreeMap::new());
    }
    let own: Vec<_> = facts.tables().map(|it| it.name.clone()).collect();
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
    let keys: Vec<_> = keys.collect();
    let case = session.names().tables;
    let has = |all: &[String], table: &str| all.iter().any(|it| case.same(it, table));
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    let mut parents = own.clone();
    let mut next = 0;
    while let Some(parent) = parents.get(next).cloned() {
        next += 1;
        for key in keys.iter().filter(|key| case.same(&key.parent, &parent)) {
            // Of its own tables the statement's own count tells.
            if !has(&own, &key.child) {
                let columns = found.entry(key.child.clone()).or_default();
                columns.extend((!key.cascades).then(|| key.column.clone()));
            }
            if key.cascades && !has(&parents, &key.child) {
                parents.push(key.child.clone());
            }
        }
    }
    Ok(found)
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
