//! Rows of other tables that the engine deletes or changes with those of a statement: it counts none of them.

use super::{culprits, refused, were};
use crate::db::Session;
use crate::migrate::apply::End;
use crate::migrate::apply::rehearse::Rehearsed;
use crate::migrate::intent::Intent;
use crate::migrate::preserve::{Lost, Tables, What};
use crate::sql::{Conflict, Kind};
use std::collections::BTreeSet;

/// How many rows and values the tables have that refer to the one which a statement deletes from.
pub(in super::super) struct Fallout(Vec<(Of, u64)>);

/// What is counted: the rows of a table, or the values in a column of it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Of {
    table: String,
    column: Option<String>,
}

impl Fallout {
    /// Counts them, and keeps others from writing them until the statement is committed.
    pub(in super::super) fn look(
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
    ) -> anyhow::Result<Self> {
        let facts = &intent.pieces[number].facts;
        let deletes = match &facts.kind {
            Kind::Delete { .. } => true,
            Kind::Insert { conflict, .. } => *conflict == Conflict::Replace,
            _ => false,
        };
        if !deletes {
            return Ok(Self(Vec::new()));
        }
        let mut parents: BTreeSet<String> = facts.tables().map(|it| it.name.clone()).collect();
        let own = parents.clone();
        let mut found = BTreeSet::new();
        loop {
            let keys = session.keys_to(&parents.iter().map(String::as_str).collect())?;
            let more: BTreeSet<_> = keys.iter().map(|key| key.child.clone()).collect();
            for key in keys.into_iter().filter(|key| !own.contains(&key.child)) {
                let columns = key.columns.into_iter().map(|(column, _)| Some(column));
                found.extend(columns.chain([None]).map(|column| Of {
                    table: key.child.clone(),
                    column,
                }));
            }
            if more.is_subset(&parents) {
                break;
            }
            parents.extend(more);
        }
        let counted = found.into_iter().map(|of| {
            let table = session.quote(&of.table);
            session.command(&format!(
                "DO (SELECT count(*) FROM {table} LOCK IN SHARE MODE)"
            ))?;
            let count = count(session, &of)?;
            Ok((of, count))
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
        let mut lost: Vec<Lost> = Vec::new();
        for (of, were) in &self.0 {
            let gone = were.saturating_sub(count(session, of)?);
            // What the run itself made is its own.
            let done = intent.renames_of(rehearsed.first..number);
            let mut shapes = before.shapes.iter();
            let is_it = |table: &str| names.tables.same(table, &of.table);
            let Some(shape) = shapes.find(|it| is_it(&done.present(it, names).table)) else {
                continue;
            };
            // Where rows go, their values go with them.
            let rows = lost.iter().find(|it| it.table == shape.name);
            let gone = match &of.column {
                Some(_) => gone.saturating_sub(rows.map_or(0, |it| it.rows)),
                None => gone,
            };
            if gone > 0 {
                lost.push(Lost {
                    table: shape.name.clone(),
                    column: of.column.clone(),
                    subject: before.subject(shape, of.column.as_deref()),
                    what: match of.column {
                        Some(_) => What::ValuesGone,
                        None => What::RowsGone,
                    },
                    rows: gone,
                    before: *were,
                    in_parts: false,
                    by: None,
                    derived: None,
                });
            }
        }
        let refused = refused((intent, rehearsed), &lost, before);
        Ok((!refused.is_empty()).then(|| culprits(intent, number, refused)))
    }
}

fn count(session: &mut dyn Session, of: &Of) -> anyhow::Result<u64> {
    let what = match &of.column {
        Some(column) => format!("count({})", session.quote(column)),
        None => "count(*)".to_owned(),
    };
    let table = session.quote(&of.table);
    let rows = session.seen(&format!("SELECT {what} FROM {table} LOCK IN SHARE MODE"))?;
    Ok(rows[0][0].to_string().parse()?)
}
