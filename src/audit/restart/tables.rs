//! The store as a whole, before and after a restart: signs of recreated tables.

use super::ways::Way;
use crate::audit::evidence;
use crate::audit::evidence::judge::{Rows, RowsFate, judge};
use crate::audit::evidence::{Depth, Evidence};
use crate::db::Db;
use crate::model::StoredMessage;
use crate::report::{Finding, Severity, Source};
use crate::store::Mapping;
use crate::stream::marks;
use crate::text::plural;
use crate::{clock, store};
use std::collections::{BTreeMap, BTreeSet};

/// How many messages of others are searched for again.
const NEWEST: usize = 200;
/// A day, in microseconds.
const DAY: i64 = 86_400_000_000;

/// What the store looked like at one moment.
pub(super) struct Look {
    table: String,
    /// Rows of the table of messages, whosever they are.
    rows: i64,
    /// Keys of messages of other conversations that were less than a day old.
    young: Vec<String>,
    /// What distinguishes its tables from others that look the same.
    evidence: Evidence,
}

/// Looks at the store.
pub(super) async fn look(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Look> {
    let table = mapping.table().to_owned();
    let count = format!("SELECT count(*) FROM {}", db.quote(&table));
    let rows = db.rows(&count, &[]).await?;
    let evidence = evidence::take(db, &mapping.table_names(), Depth::Catalog).await?;
    Ok(Look {
        evidence,
        young: young(db, mapping).await?,
        table,
        rows: rows[0][0].int().unwrap_or(0),
    })
}

impl Look {
    pub(super) fn rows(&self) -> i64 {
        self.rows
    }
}

/// Messages that no clean-up deletes yet, of conversations that chatctl does not hold.
async fn young(db: &dyn Db, mapping: &Mapping) -> anyhow::Result<Vec<String>> {
    let newest = store::newest(db, mapping, NEWEST).await?;
    let ours: BTreeSet<_> = newest
        .iter()
        .filter(|row| !marks::of(&row.content).is_empty())
        .map(|row| row.conversation.clone())
        .collect();
    let since = clock::calendar().saturating_sub(DAY);
    let is_young = |row: &StoredMessage| {
        row.time.is_some_and(|time| time > since) && !ours.contains(&row.conversation)
    };
    let young = newest.into_iter().filter(|row| is_young(row));
    Ok(young
        .map(|row| row.key)
        .filter(|key| !key.is_empty())
        .collect())
}

/// Why nobody knows whether rows that are gone should be: they were young.
pub(super) async fn young_gone(
    db: &dyn Db,
    mapping: &Mapping,
    before: &Look,
) -> anyhow::Result<Option<String>> {
    let mut gone = 0;
    for key in &before.young {
        gone += u64::from(store::by_key(db, mapping, key).await?.is_none());
    }
    Ok((gone > 0).then(|| {
        format!(
            "{} of other conversations that were less than a day old are gone from `{}`: it is not known \
                whether a clean-up should delete them",
            plural(gone, "message"),
            before.table
        )
    }))
}

/// What two looks tell. `ours`: rows that are told of elsewhere.
pub(super) fn compare(
    session: &str,
    way: &Way,
    before: &Look,
    after: &Look,
    ours: i64,
) -> Vec<Finding> {
    let gone = before.rows - after.rows - ours;
    let mut findings = judge(&before.evidence, &after.evidence, &rows(before, after)).findings;
    if gone <= 0 {
        return findings;
    }
    let harm = format!(
        "`{}` has {gone} fewer rows of other conversations after {}",
        before.table, way.words
    );
    let help = "look for a clean-up in the server's start-up code; if the clean-up is intended, nothing is wrong";
    let subject = format!("{session}: table {}", before.table);
    let fact = format!("{} rows before, {} after", before.rows, after.rows);
    findings.push(
        Finding::new(
            "message-lost-on-restart",
            Severity::Warning,
            subject,
            harm,
            help,
        )
        .with(Source::Store, fact),
    );
    findings
}

/// What became of the rows, as far as their number tells.
fn rows(before: &Look, after: &Look) -> BTreeMap<String, Rows> {
    let count = |rows: i64| u64::try_from(rows).unwrap_or(0);
    let row = |name: &String| {
        let counted = *name == before.table;
        let rows = Rows {
            before: if counted { count(before.rows) } else { 0 },
            after: if counted { count(after.rows) } else { 0 },
            kept: match (counted, after.rows < before.rows) {
                (true, true) => RowsFate::Lost,
                (true, false) => RowsFate::Intact,
                (false, _) => RowsFate::Unknown,
            },
        };
        (name.clone(), rows)
    };
    before.evidence.tables.keys().map(row).collect()
}
