//! Messages of missing conversations, and parts of missing messages.
//!
//! By a join that finds nothing, whether or not a foreign key was declared.

use super::absent::Names;
use super::{Cause, CauseCounts, Check, CheckContext, Look, Thing, cause};
use crate::db::Tried;
use crate::model::{Cell, CellRef};
use crate::report::Severity::{Error, Warning};
use crate::store::{Shape, Source, Store, time_of_text};
use std::ops::ControlFlow;

pub(super) const CHECK: Check = Check {
    code: "orphan-message",
    causes: CAUSES,
    help: "restore the conversations from a backup, and declare the foreign key; if users may delete \
        conversations, declare it in [[store]]: allow = [\"delete\"]",
    unfit,
    look: Look::Store(look),
};

static CAUSES: &[Cause] = &[
    cause(
        "no-conversation",
        Error,
        "a message belongs to a conversation that does not exist: no user can reach it",
    ),
    cause(
        "no-message",
        Error,
        "a part of a message exists, but the message does not",
    ),
    cause(
        "no-key",
        Warning,
        "a message names no conversation, and most others name one: no user can reach it",
    ),
];

fn unfit(context: &CheckContext<'_>) -> Option<&'static str> {
    match (
        conversations(context).is_some(),
        &context.mapping.store().parts,
    ) {
        (false, None) => Some("messages and conversations are not in two tables"),
        _ => None,
    }
}

fn look<'a>(context: &'a CheckContext<'a>, tally: &'a mut CauseCounts) -> Tried<'a, ()> {
    Box::pin(async move {
        if let Some(sql) = conversations(context) {
            each(context, &sql, &CAUSES[0], tally).await?;
        }
        if let Some(sql) = unnamed(context) {
            each(context, &sql, &CAUSES[2], tally).await?;
        }
        if let Some(sql) = parts(context) {
            each(context, &sql, &CAUSES[1], tally).await?;
        }
        Ok(())
    })
}

/// Counts the rows of a statement: what to name them by, and last their time.
pub(super) async fn each(
    context: &CheckContext<'_>,
    sql: &str,
    cause: &'static Cause,
    tally: &mut CauseCounts,
) -> anyhow::Result<()> {
    let mut row = |cells: &[CellRef<'_>]| -> anyhow::Result<ControlFlow<()>> {
        let text = |at: usize| Cell::from(cells[at]).to_string();
        // The word before it says what is named; the rest is what is stored.
        let named = |text: String| match text.split_once(' ') {
            Some((what, key)) => format!("{what} `{key}`"),
            None => text,
        };
        tally.row(cause, time_of_text(&text(2)), || {
            Thing::fact(format!("{} names {}", named(text(0)), named(text(1))))
        });
        Ok(ControlFlow::Continue(()))
    };
    context.db.scan(sql, &[], &mut row).await
}

/// The messages without their conversation; nothing where both are not tables of their own.
fn conversations(context: &CheckContext<'_>) -> Option<String> {
    let store = context.mapping.store();
    let (db, message) = (context.db, &store.message);
    let place = store.conversation.as_ref()?;
    let own = own_columns(store)?;
    let (join, absent) = Names {
        table: &message.table,
        columns: own.clone(),
        other: &place.table,
        keys: place.key.iter().map(String::as_str).collect(),
    }
    .absent(context);
    let mut wanted: Vec<_> = own
        .iter()
        .map(|mine| format!("m.{} IS NOT NULL", db.quote(mine)))
        .collect();
    wanted.extend(counted(context));
    wanted.push(absent);
    Some(format!(
        "SELECT {}, {}, {} FROM {} m {join} WHERE {}",
        named(context, "'message '", "m", &message.key),
        named(context, "'conversation '", "m", &own),
        time(context),
        db.quote(&message.table),
        wanted.join(" AND "),
    ))
}

/// The messages whose conversation is NULL, as a foreign key with ON DELETE SET NULL leaves them;
/// nothing where that is usual.
fn unnamed(context: &CheckContext<'_>) -> Option<String> {
    let store = context.mapping.store();
    let (db, message) = (context.db, &store.message);
    store.conversation.as_ref()?;
    let own = own_columns(store)?;
    let table = db.quote(&message.table);
    let mut wanted: Vec<_> = own
        .iter()
        .map(|mine| format!("m.{} IS NULL", db.quote(mine)))
        .collect();
    wanted.extend(counted(context));
    Some(format!(
        "SELECT {}, 'none', {} FROM {table} m WHERE {} AND (SELECT 2 * count({}) >= count(*) FROM {table})",
        named(context, "'message '", "m", &message.key),
        time(context),
        wanted.join(" AND "),
        db.quote(own.first()?),
    ))
}

/// The columns by which a message names its conversation, where it does so.
fn own_columns(store: &Store) -> Option<Vec<&str>> {
    let of_message = &store.message.conversation;
    if matches!(store.shape, Shape::Blob | Shape::Chain) || of_message.is_empty() {
        return None;
    }
    let is_plain = |source: &Source| !source.is_json() && source.places.len() == 1;
    of_message
        .iter()
        .map(|source| is_plain(source).then(|| source.columns().next())?)
        .collect()
}

/// Which rows, as `m`, are messages that users see.
pub(super) fn counted(context: &CheckContext<'_>) -> Vec<String> {
    let message = &context.mapping.store().message;
    let column = |name: &str| format!("m.{}", context.db.quote(name));
    let only = message.only.as_ref();
    let only = only.map(|only| format!("({})", only.sql(column)));
    // What is unknown is not deleted.
    let deleted = message.deleted.as_ref();
    let deleted = deleted.map(|it| format!("CASE WHEN {} THEN 1 ELSE 0 END = 0", it.sql(column)));
    only.into_iter().chain(deleted).collect()
}

/// The parts without their message.
fn parts(context: &CheckContext<'_>) -> Option<String> {
    let store = context.mapping.store();
    let (db, parts) = (context.db, store.parts.as_ref()?);
    let key = store.message.key.first()?;
    let (join, absent) = Names {
        table: &parts.table,
        columns: vec![&parts.key],
        other: &store.message.table,
        keys: vec![key],
    }
    .absent(context);
    Some(format!(
        "SELECT {}, {}, NULL FROM {} m {join} WHERE m.{} IS NOT NULL AND {absent}",
        named(context, "'part '", "m", &[&parts.order]),
        named(context, "'message '", "m", &[&parts.key]),
        db.quote(&parts.table),
        db.quote(&parts.key),
    ))
}

/// A text that names a row by some of its columns.
fn named<S: AsRef<str>>(
    context: &CheckContext<'_>,
    what: &str,
    table: &str,
    columns: &[S],
) -> String {
    let texts: Vec<_> = columns
        .iter()
        .map(|name| {
            let column = format!("{table}.{}", context.db.quote(name.as_ref()));
            format!("coalesce({}, '-')", context.db.text_of(&column))
        })
        .collect();
    if texts.is_empty() {
        what.to_owned()
    } else {
        format!("{what} || {}", texts.join(" || '/' || "))
    }
}

pub(super) fn time(context: &CheckContext<'_>) -> String {
    let time = context.mapping.store().message.time.as_ref();
    time.filter(|time| !time.is_json())
        .and_then(|time| time.columns().next())
        .map_or("NULL".to_owned(), |name| {
            format!("m.{}", context.db.quote(name))
        })
}
