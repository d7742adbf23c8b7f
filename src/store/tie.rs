//! Two equally likely tables: one may be the other's log, which their rows show.

use super::candidate::Candidate;
use super::keys::Condition;
use super::select::Order;
use super::{select, words};
use crate::db::Db;
use crate::model::{Column, StoredMessage, Table};
use std::collections::BTreeMap;

/// So many messages of each are compared, the newest where that costs nothing.
const MESSAGES: usize = 200;
/// Columns that a log has and a message has not.
const OF_LOGS: &[&str] = &[
    "op",
    "operation",
    "action",
    "change",
    "change_type",
    "revision",
    "rev",
    "valid_from",
    "valid_to",
    "changed_at",
    "logged_at",
    "archived_at",
    "changed_by",
    "old_content",
    "new_content",
];

/// What is known of two candidates.
pub(super) enum Verdict {
    /// The second one keeps what the first one holds once more, and why.
    Log(String),
    /// It is the other way round.
    LogIsFirst(String),
    /// They hold other messages, or nothing distinguishes them.
    Open,
}

/// Whether one of two candidates is the other's log.
pub(super) async fn compare(
    db: &dyn Db,
    schema: &[Table],
    first: &Candidate,
    second: &Candidate,
) -> anyhow::Result<Verdict> {
    let one = Side::read(db, schema, first).await?;
    let other = Side::read(db, schema, second).await?;
    let (Some(one), Some(other)) = (one, other) else {
        return Ok(Verdict::Open);
    };
    if !one.shares(&other) {
        return Ok(Verdict::Open);
    }
    Ok(
        match (one.sign_of_a_log(&other), other.sign_of_a_log(&one)) {
            (None, Some(why)) => Verdict::Log(why),
            (Some(why), None) => Verdict::LogIsFirst(why),
            _ => Verdict::Open,
        },
    )
}

struct Side<'s> {
    table: &'s Table,
    /// How often each message is there.
    texts: BTreeMap<(Option<String>, String), usize>,
}

impl<'s> Side<'s> {
    async fn read(
        db: &dyn Db,
        schema: &'s [Table],
        candidate: &Candidate,
    ) -> anyhow::Result<Option<Self>> {
        let name = candidate.mapping.table();
        let Some(table) = schema.iter().find(|table| table.name == name) else {
            return Ok(None);
        };
        let order = Order::Sample(MESSAGES);
        let rows = select::select(db, &candidate.mapping, Condition::default(), order).await?;
        let mut texts = BTreeMap::new();
        let told = |message: &StoredMessage| !message.content.trim().is_empty();
        for message in rows.into_iter().filter(told) {
            *texts
                .entry((message.conversation, message.content))
                .or_default() += 1;
        }
        Ok(Some(Self { table, texts }))
    }

    /// Whether most of what the smaller side holds is in both.
    fn shares(&self, other: &Self) -> bool {
        let common = self
            .texts
            .keys()
            .filter(|text| other.texts.contains_key(*text))
            .count();
        let smaller = self.texts.len().min(other.texts.len());
        smaller > 0 && common * 2 > smaller
    }

    /// What shows that it is the other one's log.
    fn sign_of_a_log(&self, other: &Self) -> Option<String> {
        let (name, of) = (&self.table.name, &other.table.name);
        let refers = |column: &&Column| {
            let target = column.references.as_ref();
            let declared = target.is_some_and(|target| target.eq_ignore_ascii_case(of));
            !column.key && (declared || words::is_key_of(column, other.table))
        };
        if let Some(column) = self.table.columns.iter().find(refers) {
            return Some(format!(
                "`{name}.{}` refers to the message in `{of}`",
                column.name
            ));
        }
        let is_of_log = |column: &&Column| OF_LOGS.contains(&column.name.to_lowercase().as_str());
        if let Some(column) = self.table.columns.iter().find(is_of_log) {
            return Some(format!(
                "`{name}.{}` says what was done to the message in `{of}`",
                column.name
            ));
        }
        let repeats = |side: &Self| side.texts.values().filter(|count| **count > 1).count();
        let often = self
            .texts
            .iter()
            .filter(|(text, count)| other.texts.get(*text).is_some_and(|once| once < *count));
        let often = often.count();
        (often > 0 && repeats(other) == 0)
            .then(|| format!("`{name}` holds {often} messages more often than `{of}`"))
    }
}
