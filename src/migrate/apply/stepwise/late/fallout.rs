//! Rows of other tables that the engine deletes or changes with those of a statement: it counts
//! none of them.

use super::{Does, culprits, does, loss, refused, were};
use crate::db::Session;
use crate::migrate::apply::End;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::intent::Intent;
use crate::migrate::preserve::{Tables, What};
use crate::sql::{Conflict, Kind};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// The tables whose rows go, or lose values, with the rows that a statement deletes.
pub(in super::super) struct Fallout(Vec<Child>);

struct Child {
    table: String,
    /// The columns that the engine empties.
    columns: Vec<String>,
    /// How many rows it has, and then how many values each of these columns.
    counts: Vec<u64>,
}

/// A foreign key by which the engine acts when a row is deleted.
struct Key {
    parent: String,
    child: String,
    column: String,
    /// Whether it deletes rows.
    cascades: bool,
}

impl Fallout {
    /// Counts them, and keeps others from writing them until the statement is committed.
    pub(in super::super) fn look(
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
    ) -> anyhow::Result<Self> {
        let facts = &intent.pieces[number].facts;
        let replaces = matches!(
            facts.kind,
            Kind::Insert {
                conflict: Conflict::Replace,
                ..
            }
        );
        if !replaces && does(&facts.kind) != Does::Delete {
            return Ok(Self(Vec::new()));
        }
        let own: Vec<_> = facts.tables().map(|it| it.name.clone()).collect();
        let found = children(session, own)?;
        let counted = found.into_iter().map(|(table, columns)| {
            let columns: Vec<_> = columns.into_iter().collect();
            let counts = count(session, &table, &columns)?;
            Ok(Child {
                table,
                columns,
                counts,
            })
        });
        Ok(Self(counted.collect::<anyhow::Result<_>>()?))
    }

    /// What is gone now beyond what is acknowledged.
    pub(in super::super) fn check(
        &self,
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
        rehearsed: &Rehearsed,
    ) -> anyhow::Result<Option<End>> {
        let before = were(rehearsed);
        let names = session.names();
        let before = Tables {
            shapes: &before,
            names,
        };
        let done = intent.renames_of(rehearsed.first..number);
        let mut lost = Vec::new();
        for child in &self.0 {
            // What the run itself made is its own.
            let is_it = |table: &str| names.tables.same(table, &child.table);
            let mut shapes = before.shapes.iter();
            let Some(shape) = shapes.find(|it| is_it(&done.present(it, names).table)) else {
                continue;
            };
            // What went is put there again, as the rehearsal showed.
            if inserts(intent, number..intent.pieces.len(), is_it)
                .next()
                .is_some()
            {
                continue;
            }
            let placed = inserts(intent, 0..number, is_it);
            let own: u64 = placed.filter_map(|at| *rehearsed.rows.get(at)?).sum();
            let now = count(session, &child.table, &child.columns)?;
            let gone = child
                .counts
                .iter()
                .zip(now)
                .map(|(were, now)| were.saturating_sub(now));
            let gone: Vec<_> = gone.collect();
            let mut more = |column: Option<&str>, what, (rows, all): (u64, u64)| {
                let rows = rows.saturating_sub(own);
                if rows > 0 {
                    lost.push(loss(shape, column, (what, rows, all), before));
                }
            };
            more(None, What::RowsGone, (gone[0], child.counts[0]));
            for (at, column) in child.columns.iter().enumerate() {
                // Where rows go, their values go with them.
                let values = gone[at + 1].saturating_sub(gone[0]);
                let all = child.counts[at + 1];
                more(Some(column), What::ValuesGone, (values, all));
            }
        }
        let refused = refused((intent, rehearsed), &lost, before);
        Ok((!refused.is_empty()).then(|| culprits(intent, number, refused)))
    }
}

/// The statements, by their numbers, that put rows into a table.
fn inserts(
    intent: &Intent<'_>,
    pieces: Range<usize>,
    is_it: impl Fn(&str) -> bool,
) -> impl Iterator<Item = usize> {
    pieces.filter(move |number| {
        let facts = &intent.pieces[*number].facts;
        let table = facts.table.as_ref();
        matches!(facts.kind, Kind::Insert { .. }) && table.is_some_and(|it| is_it(&it.name))
    })
}

/// The tables that deletions reach from these, each with the columns that are emptied by them.
fn children(
    session: &mut dyn Session,
    own: Vec<String>,
) -> anyhow::Result<BTreeMap<String, BTreeSet<String>>> {
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

/// How many rows a table has, and how many values each of these columns.
fn count(session: &mut dyn Session, table: &str, columns: &[String]) -> anyhow::Result<Vec<u64>> {
    let mut what = vec!["count(*)".to_owned()];
    let columns = columns.iter().map(|it| session.quote(it));
    what.extend(columns.map(|it| format!("count({it})")));
    let rows = session.seen(&format!(
        "SELECT {} FROM {} LOCK IN SHARE MODE",
        what.join(", "),
        session.quote(table)
    ))?;
    let counts = rows[0].iter().map(|it| Ok(it.to_string().parse()?));
    counts.collect()
}
