//! Values of before of which an UPDATE changes none on the copy: in the database it may change none
//! either, whatever users wrote since.

use super::numbers;
use super::sets::sets;
use crate::db::Session;
use crate::migrate::apply::origin;
use crate::migrate::intent::Intent;
use crate::migrate::preserve;
use crate::migrate::preserve::{Tables, What, loss};
use crate::model::Shape;
use crate::sql::{Facts, Kind};

/// What an UPDATE may overwrite in a table, as it is before it.
pub(in crate::migrate::apply) struct Kept {
    /// The columns, as they were called when the file began.
    pub(in crate::migrate::apply) columns: Vec<String>,
    /// The query that sums them up, and what it gave.
    pub(in crate::migrate::apply) sql: String,
    sum: Vec<u64>,
}

impl Kept {
    /// Looks at the columns that an UPDATE sets, besides those of which any value may change: in
    /// the tables of before the statements from `first` on.
    pub(in crate::migrate::apply) fn look(
        session: &mut dyn Session,
        (intent, number): (&Intent<'_>, usize),
        facts: &Facts,
        (before, first): (Tables<'_>, usize),
    ) -> anyhow::Result<Vec<Self>> {
        if !updates(&facts.kind) {
            return Ok(Vec::new());
        }
        let named: Vec<_> = facts.tables().map(|it| it.name.as_str()).collect();
        let (there, names) = (session.shapes(&named)?, session.names());
        let there = Tables {
            shapes: &there,
            names,
        };
        let done = intent.renames_of(first..number);
        let mut found = Vec::new();
        for was in before.shapes {
            let Some(now) = origin::present(was, &done, there) else {
                continue;
            };
            let set = sets((facts, intent.pieces[number].text), (&now, names));
            let old = |column: &&str| {
                let is_it =
                    |it: &&String| names.columns.same(&done.of_column(was, it, names), column);
                let mut columns = was.columns.iter().map(|it| &it.name);
                columns.find(is_it)
            };
            let may_change = |column: &str| {
                let any = loss(
                    was,
                    Some(column),
                    (What::ValuesChanged, u64::MAX, u64::MAX),
                    before,
                );
                preserve::unacknowledged(&[any], &intent.allowed, before).is_empty()
            };
            let set = set
                .into_iter()
                .filter_map(|it| Some((it, old(&it)?.clone())));
            let (set, columns): (Vec<_>, Vec<_>) = set.filter(|(_, old)| !may_change(old)).unzip();
            if columns.is_empty() {
                continue;
            }
            let sql = sum(session, &now, &set);
            found.push(Self {
                columns: columns
                    .iter()
                    .map(|it| format!("`{}.{it}`", was.name))
                    .collect(),
                sum: summed(session, &sql)?,
                sql,
            });
        }
        Ok(found)
    }

    /// How it differs now from what it was.
    pub(in crate::migrate::apply) fn since(
        &self,
        session: &mut dyn Session,
    ) -> anyhow::Result<Since> {
        let now = summed(session, &self.sql)?;
        Ok(if now == self.sum {
            Since::Same
        } else if now.first() == self.sum.first() {
            Since::Changed
        } else {
            Since::Rows
        })
    }
}

/// What became of such values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::migrate::apply) enum Since {
    Same,
    /// Values are others.
    Changed,
    /// Somebody else added or removed rows: an UPDATE does not.
    Rows,
}

/// Nobody else changes the rows from here on, so that both sums are of the same ones.
fn summed(session: &mut dyn Session, sql: &str) -> anyhow::Result<Vec<u64>> {
    numbers(&session.seen(&format!("{sql} FOR UPDATE"))?)
}

fn updates(kind: &Kind) -> bool {
    match kind {
        Kind::Update { .. } => true,
        Kind::With { writes } => writes.last().is_some_and(updates),
        _ => false,
    }
}

/// A query for the number of rows, and for sums of their keys with the values of these columns: two
/// kinds of sums, since equal rows cancel each other in one.
pub(in crate::migrate::apply) fn sum(
    session: &dyn Session,
    shape: &Shape,
    columns: &[&str],
) -> String {
    let key = shape.key.iter().map(String::as_str);
    let values = key.chain(columns.iter().copied());
    // One value for each, however long they are together.
    let values = values.map(|it| format!("coalesce(md5({}), '-')", session.quote(it)));
    let row = format!("concat({})", values.collect::<Vec<_>>().join(", "));
    format!(
        "SELECT count(*), bit_xor(cast(conv(left(md5({row}), 16), 16, 10) AS UNSIGNED)), \
         coalesce(sum(crc32({row})), 0) FROM {}",
        session.quote(&shape.name)
    )
}
