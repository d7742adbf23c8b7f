//! Messages that name the one before: followed from the conversation's last one on.

use super::declared::Store;
use super::plan::Plan;
use super::{Mapping, plan};
use crate::cli_error::CliError;
use crate::db::Db;
use crate::model::StoredMessage;
use std::collections::HashSet;

/// A chain is followed so far and no further: a circle has no end.
const LONGEST: usize = 100_000;

/// The messages from the tip of the conversations that a condition holds for, the first one first.
pub(super) fn statement(db: &dyn Db, mapping: &Mapping, plan: &Plan, condition: &str) -> String {
    let store = mapping.store();
    let place = store
        .conversation
        .as_ref()
        .expect("a chain was checked to have conversations");
    let tip = place
        .tip
        .as_ref()
        .and_then(|tip| tip.columns().next())
        .unwrap_or_default();
    let key = store
        .message
        .key
        .first()
        .map_or("NULL".to_owned(), |key| db.quote(key));
    let parent = db.quote(store.message.parent.as_deref().unwrap_or_default());
    let table = db.quote(&store.message.table);
    let (mut select, mut order) = (plan.select.join(", "), "way.depth DESC".to_owned());
    let parts = plan::joined_parts(db, store);
    if let Some(part) = &store.parts {
        order = format!("{order}, p.{}", db.quote(&part.order));
    }
    if select.is_empty() {
        select = "1".to_owned();
    }
    format!(
        "WITH RECURSIVE way(k, depth) AS (SELECT m.{}, 0 FROM {} m WHERE {} \
         UNION ALL SELECT x.{parent}, way.depth + 1 FROM way JOIN {table} x ON x.{key} = way.k \
         WHERE x.{parent} IS NOT NULL AND way.depth < {LONGEST}) \
         SELECT {select} FROM way JOIN {table} m ON m.{key} = way.k{parts}{} ORDER BY {order}",
        db.quote(tip),
        db.quote(&place.table),
        if condition.is_empty() {
            "1 = 1"
        } else {
            condition
        },
        plan.wanted(db, store, ""),
    )
}

/// Each message once: a circle comes around and around, and what is nearest to the tip counts.
/// A chain that has not ended is not a conversation to be shown as a whole one.
pub(super) fn once(
    mut found: Vec<StoredMessage>,
    store: &Store,
) -> anyhow::Result<Vec<StoredMessage>> {
    let mut seen = HashSet::new();
    let followed = found.len();
    found.reverse();
    found.retain(|message| seen.insert(message.key.clone()));
    found.reverse();
    if followed == found.len() && followed > LONGEST {
        return Err(CliError::unreachable(format!(
            "a conversation of `{}` has more than {LONGEST} messages",
            store.table()
        ))
        .hint("chatctl follows a chain no further; `chatctl inspect sql` reads its rows")
        .into());
    }
    Ok(found)
}
