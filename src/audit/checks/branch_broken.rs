//! Messages that no link reaches.

use super::absent::Names;
use super::orphan_message::{counted, time};
use super::{Cause, CauseCounts, Check, CheckContext, Look, Thing, cause};
use crate::db::Tried;
use crate::model::{Cell, CellRef, StoredMessage};
use crate::report::Severity::Error;
use crate::store::{Shape, Thread, time_of_text};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

pub(super) const CHECK: Check = Check {
    code: "branch-broken",
    causes: CAUSES,
    help: "write a message and the link to it in one transaction, and never delete a message that others follow; \
           `chatctl inspect show ID` shows the branches",
    unfit,
    look: Look::Both(look, parents),
};

static CAUSES: &[Cause] = &[
    cause(
        "parent-missing",
        Error,
        "the message before this one is gone: earlier messages can't be reached",
    ),
    cause(
        "circle",
        Error,
        "messages follow each other in a circle: no beginning can be reached",
    ),
    cause(
        "tip-missing",
        Error,
        "the conversation's current message does not exist: a reload shows an empty or an old conversation",
    ),
];

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    let store = context.mapping.store();
    let item = store
        .item
        .as_ref()
        .is_some_and(|item| item.parent.is_some());
    (store.message.parent.is_none() && !item).then_some("the mapping names no parent of a message")
}

fn look(thread: &Thread, context: &CheckContext<'_>, tally: &mut CauseCounts) {
    let keys: HashMap<&str, &StoredMessage> = thread
        .messages
        .iter()
        .map(|message| (row(&message.key, context), message))
        .collect();
    if statement(context).is_none() && all_are_read(context) {
        for message in &thread.messages {
            if let Some(parent) = parent(message, context).filter(|key| !keys.contains_key(key)) {
                let fact = format!("its parent is message `{parent}`, which does not exist");
                tally.message(&CAUSES[0], message, &fact);
            }
        }
    }
    for message in circles(thread, &keys, context) {
        tally.message(&CAUSES[1], message, "");
    }
    if let (Some(tip), Some(last)) = (&thread.tip, thread.messages.last())
        && !tip.ends_with('#')
        && !keys.contains_key(row(tip, context))
    {
        let fact = format!("the conversation names `{tip}` as its current message");
        tally.message(&CAUSES[2], last, &fact);
    }
}

/// Rows name rows, and the one before may be in another conversation: threads begin at a message
/// of the main one, and copies name the messages that they were made of.
fn parents<'a>(context: &'a CheckContext<'a>, tally: &'a mut CauseCounts) -> Tried<'a, ()> {
    Box::pin(async move {
        let Some(sql) = statement(context) else {
            return Ok(());
        };
        let mut row = |cells: &[CellRef<'_>]| -> anyhow::Result<ControlFlow<()>> {
            let text = |at: usize| Cell::from(cells[at]).to_string();
            let (key, parent) = (text(0), text(1));
            if !is_none(&parent) {
                tally.row(&CAUSES[0], time_of_text(&text(2)), || Thing {
                    conversation: None,
                    message: Some(key),
                    fact: format!("its parent is message `{parent}`, which does not exist"),
                });
            }
            Ok(ControlFlow::Continue(()))
        };
        context.db.scan(&sql, &[], &mut row).await
    })
}

/// The messages whose parent is not in the table; nothing where one column does not name a row.
fn statement(context: &CheckContext<'_>) -> Option<String> {
    let (db, store) = (context.db, context.mapping.store());
    let message = &store.message;
    let parent = message.parent.as_ref()?;
    let [key] = message.key.as_slice() else {
        return None;
    };
    if store.item.is_some() {
        return None;
    }
    let [own, before] = [key, parent].map(|name| format!("m.{}", db.quote(name)));
    let table = &message.table;
    let (join, absent) = Names {
        table,
        columns: vec![parent],
        other: table,
        keys: vec![key],
    }
    .absent(context);
    let mut wanted = vec![format!("{before} IS NOT NULL"), absent];
    wanted.extend(counted(context));
    Some(format!(
        "SELECT {}, {}, {} FROM {} m {join} WHERE {}",
        db.text_of(&own),
        db.text_of(&before),
        time(context),
        db.quote(table),
        wanted.join(" AND "),
    ))
}

/// Rows that are no messages may be between messages: then a parent that is not read is not gone.
fn all_are_read(context: &CheckContext<'_>) -> bool {
    let message = &context.mapping.store().message;
    message.only.is_none() && !message.role_map.values().any(String::is_empty)
}

/// A turn's question and answer are one row, and rows follow each other.
fn row<'k>(key: &'k str, context: &CheckContext<'_>) -> &'k str {
    match context.mapping.store().shape {
        Shape::Turn => key.split('#').next().unwrap_or(key),
        _ => key,
    }
}

/// The message before; nothing, zero and the zero UUID are how stores write that there is none.
fn parent<'m>(message: &'m StoredMessage, context: &CheckContext<'_>) -> Option<&'m str> {
    let parent = row(message.parent.as_deref()?, context);
    let none = is_none(parent.rsplit('#').next().unwrap_or(parent));
    let own = context.mapping.store().shape == Shape::Turn && parent == row(&message.key, context);
    (!none && !own).then_some(parent)
}

fn is_none(parent: &str) -> bool {
    parent.chars().all(|c| c == '0' || c == '-')
}

/// One message of each circle.
fn circles<'m>(
    thread: &'m Thread,
    keys: &HashMap<&str, &'m StoredMessage>,
    context: &CheckContext<'_>,
) -> Vec<&'m StoredMessage> {
    let mut found = Vec::new();
    let mut known: HashSet<&str> = HashSet::new();
    for message in &thread.messages {
        let mut way: HashSet<&str> = HashSet::new();
        let mut at = message;
        while known.insert(row(&at.key, context)) {
            way.insert(row(&at.key, context));
            let Some(before) = parent(at, context) else {
                break;
            };
            if way.contains(before) {
                found.push(at);
                break;
            }
            match keys.get(before) {
                Some(next) => at = next,
                None => break,
            }
        }
    }
    found
}
