//! The conversations of a store, most recently written first.

use super::conversation_rows::Filter;
use super::declared::Shape;
use super::key_tables::Place;
use super::keys::Condition;
use super::select::Order;
use super::{Mapping, conversation_rows, key_tables, keys, plan, read, select};
use crate::db::Db;
use crate::model::{Cell, CellRef, Conversation, Listed, Role, State, StoredMessage};
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use std::collections::{HashMap, HashSet};
use std::ops::ControlFlow;

/// The conversations, and whether there may be more than were asked for.
pub async fn conversations(
    db: &dyn Db,
    mapping: &Mapping,
    filter: &Filter,
) -> anyhow::Result<(Vec<Conversation>, bool)> {
    // One more than asked for shows that the list is cut.
    let mut wanted = filter.limit.saturating_add(1);
    let mut described: HashMap<String, Conversation> = HashMap::new();
    loop {
        let newest = newest(db, mapping, filter, wanted).await?;
        let new = newest
            .found
            .iter()
            .filter(|one| !described.contains_key(&one.key));
        // A server answers several small questions in the time of one.
        let new = stream::iter(new.cloned().collect::<Vec<_>>()).map(|mut one| async move {
            describe(db, mapping, &mut one).await?;
            anyhow::Ok((one.key.clone(), one))
        });
        let new: Vec<_> = new.buffered(AT_ONCE).try_collect().await?;
        described.extend(new);
        let known = |key: &String| described.get(key);
        let found = newest.found.iter().filter_map(|one| known(&one.key));
        let mut found: Vec<_> = found.filter(|one| filter.holds(one)).cloned().collect();
        // The newest may all be answered: then those before them are examined.
        let is_older = |key: &String| known(key).is_some_and(|one| one.last < filter.since);
        let is_over = newest
            .next
            .iter()
            .all(|key| filter.since.is_some() && is_older(key));
        if !filter.unanswered || is_over || found.len() > filter.limit {
            found.sort_by(|a, b| b.last.cmp(&a.last).then_with(|| b.key.cmp(&a.key)));
            let cut = found.len() > filter.limit;
            found.truncate(filter.limit);
            return Ok((found, cut));
        }
        wanted = wanted.saturating_mul(4);
    }
}

/// Conversations before they are examined.
struct Newest {
    found: Vec<Conversation>,
    /// The last one of each list that continues.
    next: Vec<String>,
}

/// The newest conversations by their own rows and by the messages, so many of each.
async fn newest(
    db: &dyn Db,
    mapping: &Mapping,
    filter: &Filter,
    wanted: usize,
) -> anyhow::Result<Newest> {
    let goes_on = |count: usize| count >= wanted;
    let (mut found, mut next) = (Vec::new(), Vec::new());
    let mut known = HashSet::new();
    for list in conversation_rows::rows(db, mapping, filter, wanted).await? {
        let last = list.last().filter(|_| goes_on(list.len()));
        next.extend(last.map(|one| one.key.clone()));
        let new = list.into_iter();
        found.extend(new.filter(|one| known.insert(keys::same(&one.key))));
    }
    let told = mapping.store().conversation.as_ref();
    if filter.user.is_none() || told.is_none_or(|place| place.user.is_none()) {
        let keys = latest(db, mapping, filter.user.as_deref(), wanted).await?;
        next.extend(keys.last().filter(|_| goes_on(keys.len())).cloned());
        let new: Vec<_> = keys
            .into_iter()
            .filter(|key| !known.contains(&keys::same(key)))
            .collect();
        let rows = stream::iter(&new).map(|key| conversation_rows::row(db, mapping, key));
        let rows: Vec<_> = rows.buffered(AT_ONCE).try_collect().await?;
        // To the database a key in other letters may be that of a row that is known.
        found.extend(
            rows.into_iter()
                .filter(|one| known.insert(keys::same(&one.key))),
        );
    }
    Ok(Newest { found, next })
}

/// How many conversations are examined at a time: a backend keeps so many connections.
const AT_ONCE: usize = 4;

/// The keys of the conversations that a text may mean: the one that it is, else those that it begins.
///
/// What an index answers is asked first, of every table; and the messages are only read through
/// for it when the conversations' own table knows nothing of it.
pub async fn find(db: &dyn Db, mapping: &Mapping, text: &str) -> anyhow::Result<Vec<String>> {
    const ONE: usize = 2;
    const ENOUGH: usize = 11;
    let places = key_tables::places(mapping);
    let exact = places.iter().filter_map(|place| {
        let condition = keys::holds(db, mapping, place.table, &place.key, text)?;
        Some((place, condition, ONE))
    });
    let read = places.iter().flat_map(|place| {
        [
            (place, keys::alike(db, &place.key, text), ONE),
            (place, keys::begins(db, &place.key, text), ENOUGH),
        ]
    });
    for (place, condition, limit) in exact.chain(read) {
        let found = key_tables::distinct(db, place, &condition, limit).await?;
        let own = found.iter().find(|key| *key == text).cloned();
        if !found.is_empty() {
            return Ok(own.map_or(found, |own| vec![own]));
        }
    }
    Ok(Vec::new())
}

/// What the store holds of a conversation, without its messages.
pub async fn one(db: &dyn Db, mapping: &Mapping, key: &str) -> anyhow::Result<Conversation> {
    let mut one = conversation_rows::row(db, mapping, key).await?;
    describe(db, mapping, &mut one).await?;
    Ok(one)
}

/// Hands out the key of every conversation that has a row of its own.
pub async fn scan_conversations(
    db: &dyn Db,
    mapping: &Mapping,
    take: TakeKey<'_>,
) -> anyhow::Result<()> {
    let Some(place) = &mapping.store().conversation else {
        return Ok(());
    };
    let only = place
        .only
        .as_ref()
        .map(|only| format!(" WHERE {}", plan::condition(db, only)));
    // Where the messages are in the same row, they are deleted with it.
    let deleted = place.deleted.as_ref();
    let deleted = deleted.filter(|_| mapping.store().shape != Shape::Blob);
    let deleted = deleted.map(|deleted| {
        let deleted = plan::condition(db, deleted);
        format!("CASE WHEN {deleted} THEN 1 ELSE 0 END")
    });
    let sql = format!(
        "SELECT {}, {} FROM {} m{}",
        keys::joined(db, &select::sources(&place.key)),
        deleted.unwrap_or_else(|| "0".to_owned()),
        db.quote(&place.table),
        only.unwrap_or_default()
    );
    let mut row = |cells: &[CellRef<'_>]| match cells {
        [CellRef::Text(key), CellRef::Int(1)] => take(key, Listed::Deleted),
        [CellRef::Text(key), _] => take(key, Listed::Shown),
        _ => Ok(ControlFlow::Continue(())),
    };
    db.scan(&sql, &[], &mut row).await
}

/// What takes each key, and may break off.
pub type TakeKey<'a> = &'a mut (dyn FnMut(&str, Listed) -> anyhow::Result<ControlFlow<()>> + Send);

/// The conversations of the newest messages. More and more messages are examined until there
/// are conversations enough: most stores have many, and an index tells the newest at once.
async fn latest(
    db: &dyn Db,
    mapping: &Mapping,
    user: Option<&str>,
    wanted: usize,
) -> anyhow::Result<Vec<String>> {
    let store = mapping.store();
    let place = Place {
        table: &store.message.table,
        key: store.message.conversation.clone(),
    };
    if store.shape == Shape::Blob || place.key.is_empty() {
        return Ok(Vec::new());
    }
    let order = store
        .message
        .append
        .iter()
        .chain(&store.message.order)
        .next();
    let order = order.map(|name| format!(" ORDER BY m.{} DESC", db.quote(name)));
    let mut conditions = vec!["1 = 1".to_owned()];
    let mut args = Vec::new();
    let only = store.message.only.as_ref();
    conditions.extend(only.map(|only| plan::condition(db, only)));
    // The newest conversations of all may be none of this user's.
    if let (Some(user), Some(source)) = (user, &store.message.user)
        && !source.is_json()
    {
        let source = std::slice::from_ref(source);
        conditions.push(format!("{} = ?", keys::joined(db, source)));
        args.push(Cell::Text(user.to_owned()));
    }
    let conditions = conditions.join(" AND ");
    let mut look = wanted.saturating_mul(20).max(200);
    loop {
        let sql = format!(
            "SELECT {} FROM {} m WHERE {conditions}{} LIMIT {look}",
            keys::joined(db, &place.key),
            db.quote(place.table),
            order.as_deref().unwrap_or_default()
        );
        let rows = db.rows(&sql, &args).await?;
        let mut seen = HashSet::new();
        let keys: Vec<_> = rows.iter().map(|row| row[0].to_string()).collect();
        let keys: Vec<_> = keys
            .into_iter()
            .filter(|key| seen.insert(key.clone()))
            .take(wanted)
            .collect();
        if keys.len() >= wanted || rows.len() < look {
            return Ok(keys);
        }
        look = look.saturating_mul(10);
    }
}

/// Counts a conversation's messages and looks at its last ones.
async fn describe(db: &dyn Db, mapping: &Mapping, one: &mut Conversation) -> anyhow::Result<()> {
    /// Tools and system messages may be after the last word of either side; and most
    /// conversations have no more messages than this, which then need not be counted.
    const LAST: usize = 30;
    let store = mapping.store();
    let whole = matches!(store.shape, Shape::Blob | Shape::Chain);
    let whole = whole || store.message.parent.is_some() || store.parts.is_some();
    let messages = if whole {
        read::conversation(db, mapping, &one.key).await?
    } else {
        let (table, columns) = select::place(mapping);
        let condition = keys::holds(db, mapping, table, &columns, &one.key)
            .unwrap_or_else(|| keys::alike(db, &columns, &one.key));
        let args = condition.args.clone();
        let counted = Condition {
            sql: condition.sql.clone(),
            args,
        };
        let last = select::select(db, mapping, condition, Order::Latest(LAST)).await?;
        one.messages = if last.len() < LAST {
            last.len() as u64
        } else {
            count(db, mapping, &counted).await?
        };
        // The newest row comes first, in it the question before its answer.
        let rows = last.chunk_by(|question, answer| answer.parent.as_ref() == Some(&question.key));
        rows.rev().flatten().cloned().collect()
    };
    if whole {
        one.messages = messages.len() as u64;
    }
    let told = messages.iter().filter_map(|message| message.time).max();
    one.last = one.last.max(told).or(one.created);
    one.unanswered = unanswered(&messages);
    if one.user.is_none() {
        one.user = conversation_rows::user(db, mapping, &one.key).await?;
    }
    Ok(())
}

async fn count(db: &dyn Db, mapping: &Mapping, condition: &Condition) -> anyhow::Result<u64> {
    let store = mapping.store();
    let answer = store
        .message
        .response
        .as_ref()
        .and_then(|source| source.columns().next());
    let counted = match (store.shape, answer) {
        // The answer is a message of its own, once there is one.
        (Shape::Turn, Some(answer)) => format!("count(*) + count(m.{})", db.quote(answer)),
        _ => "count(*)".to_owned(),
    };
    let wanted = plan::Plan::of(db, store).wanted(db, store, &condition.sql);
    let sql = format!(
        "SELECT {counted} FROM {} m{wanted}",
        db.quote(&store.message.table)
    );
    let rows = db.rows(&sql, &condition.args).await?;
    let number = rows.first().and_then(|row| row[0].to_string().parse().ok());
    Ok(number.unwrap_or(0))
}

/// Whether the last word is the user's, or an answer that says nothing.
fn unanswered(messages: &[StoredMessage]) -> bool {
    let speaks = |message: &&StoredMessage| {
        let counts = message.on_branch && message.state != State::Deleted;
        counts && !matches!(message.role, Role::Other(_))
    };
    let last = messages.iter().rev().find(speaks);
    last.is_some_and(|last| match last.role {
        Role::User => true,
        _ => last.state == State::Failed || last.content.trim().is_empty() && last.tools.is_empty(),
    })
}
