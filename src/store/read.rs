//! Reading messages through a mapping.

use super::declared::Shape;
use super::decode::Decoder;
use super::keys::Condition;
use super::plan::Plan;
use super::ranges::Range;
use super::source::Source;
use super::{Mapping, branch, chain, keys};
use crate::db::Db;
use crate::model::{Cell, CellRef, StoredMessage};
use std::ops::ControlFlow;

/// What looks at each message, and may break off. It may keep one, and give another one, which is
/// written over, for it: then no text is copied.
pub type Take<'a> =
    &'a mut (dyn FnMut(&mut StoredMessage) -> anyhow::Result<ControlFlow<()>> + Send);

/// The messages of a conversation: those on the way to the current leaf, in order, then the others.
pub async fn conversation(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<Vec<StoredMessage>> {
    let (table, columns) = place(mapping);
    if columns.is_empty() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    if let Some(condition) = keys::holds(db, mapping, table, &columns, key) {
        // What the database takes for the same key is the same conversation to the application.
        found = select(db, mapping, condition, Order::Told).await?;
        for message in &mut found {
            message.conversation.get_or_insert_with(|| key.to_owned());
        }
    }
    if found.is_empty() {
        let condition = keys::alike(db, &columns, key);
        found = of_one(select(db, mapping, condition, Order::Told).await?, key);
    }
    Ok(found)
}

/// The messages whose text holds a text, letter by letter, in any conversation.
pub async fn holding(
    db: &dyn Db,
    mapping: &Mapping,
    text: &str,
) -> anyhow::Result<Vec<StoredMessage>> {
    let condition = super::search::letter_by_letter(db, mapping, text);
    let mut found = select(db, mapping, condition, rows(mapping)).await?;
    found.retain(|message| message.content.contains(text));
    Ok(found)
}

/// The message with that key, as [`StoredMessage::key`] spells it.
pub async fn by_key(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<Option<StoredMessage>> {
    let store = mapping.store();
    let row = key.rsplit_once('#').map_or(key, |(row, _)| row);
    let (columns, row) = match store.shape {
        Shape::Blob => (place(mapping).1, row),
        Shape::Turn => (sources(&store.message.key), row),
        _ => (sources(&store.message.key), key),
    };
    let condition = match keys::holds(db, mapping, store.table(), &columns, row) {
        Some(condition) => condition,
        None => keys::alike(db, &columns, row),
    };
    let found = select(db, mapping, condition, rows(mapping)).await?;
    Ok(found.into_iter().find(|message| message.key == key))
}

/// The rows of a conversation's messages as they are stored, and the names of their columns.
pub async fn raw(
    db: &dyn Db,
    mapping: &Mapping,
    key: &str,
) -> anyhow::Result<(Vec<String>, Vec<Vec<Cell>>)> {
    let store = mapping.store();
    let columns = mapping.columns(store.table());
    let select: Vec<_> = columns
        .iter()
        .map(|name| format!("m.{}", db.quote(name)))
        .collect();
    let select = format!(
        "SELECT {} FROM {} m",
        select.join(", "),
        db.quote(store.table())
    );
    let mut rows = Vec::new();
    let conditions = match store.shape {
        Shape::Chain => conversation(db, mapping, key)
            .await?
            .iter()
            .filter_map(|message| {
                keys::holds(
                    db,
                    mapping,
                    store.table(),
                    &sources(&store.message.key),
                    &message.key,
                )
            })
            .collect(),
        _ => {
            let (table, columns) = place(mapping);
            let exact = keys::holds(db, mapping, table, &columns, key);
            vec![exact.unwrap_or_else(|| keys::alike(db, &columns, key))]
        }
    };
    for condition in conditions {
        let order: Vec<_> = store
            .message
            .order
            .iter()
            .map(|name| format!("m.{}", db.quote(name)))
            .collect();
        let order = if order.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", order.join(", "))
        };
        let sql = format!("{select} WHERE {}{order}", condition.sql);
        rows.extend(db.rows(&sql, &condition.args).await?);
    }
    Ok((columns, rows))
}

/// Every message of the store, in the order in which it is stored.
pub async fn scan(db: &dyn Db, mapping: &Mapping, take: Take<'_>) -> anyhow::Result<()> {
    if mapping.store().shape != Shape::Chain {
        return each(db, mapping, &Condition::default(), Order::Stored, take).await;
    }
    for key in super::list::keys(db, mapping).await? {
        for mut message in conversation(db, mapping, &key).await? {
            if take(&mut message)?.is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Every message of a range, in the order in which it is stored.
pub async fn scan_range(
    db: &dyn Db,
    mapping: &Mapping,
    range: &Range,
    take: Take<'_>,
) -> anyhow::Result<()> {
    each(db, mapping, &range.0, Order::Stored, take).await
}

/// The order in which rows of messages are read by what stands in them: a chain is only
/// followed from its conversation.
fn rows(mapping: &Mapping) -> Order {
    match mapping.store().shape {
        Shape::Chain => Order::Stored,
        _ => Order::Told,
    }
}

/// The keys of messages whose rows were written by these transactions of PostgreSQL, from one
/// number to another.
pub async fn written_by(
    db: &dyn Db,
    mapping: &Mapping,
    transactions: &[(u64, u64)],
) -> anyhow::Result<Vec<String>> {
    let Some(condition) = keys::written_by(transactions) else {
        return Ok(Vec::new());
    };
    let found = select(db, mapping, condition, rows(mapping)).await?;
    Ok(found.into_iter().map(|message| message.key).collect())
}

/// Where the keys of conversations are: the table, and the columns.
pub(super) fn place(mapping: &Mapping) -> (&str, Vec<Source>) {
    let store = mapping.store();
    match (store.shape, &store.conversation) {
        (Shape::Blob | Shape::Chain, Some(place)) => (&place.table, sources(&place.key)),
        _ => (&store.message.table, store.message.conversation.clone()),
    }
}

pub(super) fn sources(columns: &[String]) -> Vec<Source> {
    columns.iter().map(Source::column).collect()
}

/// In which order rows are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// As the mapping says.
    Told,
    /// As they are stored.
    Stored,
    /// The last ones first, at most so many.
    Latest(usize),
    /// By the key downwards where an index answers that at once; else as they are stored.
    Newest,
    /// So many at most, the newest if that costs nothing: no row is read for its place alone.
    Sample(usize),
}

/// The messages of the rows that a condition holds for; branches are marked.
pub(super) async fn select(
    db: &dyn Db,
    mapping: &Mapping,
    condition: Condition,
    order: Order,
) -> anyhow::Result<Vec<StoredMessage>> {
    let store = mapping.store();
    let plan = Plan::of(db, store);
    let sql = statement(db, mapping, &plan, &condition.sql, order);
    let mut decoder = Decoder::new(&plan, store);
    let mut found = Vec::new();
    for row in db.rows(&sql, &condition.args).await? {
        let row: Vec<_> = row.iter().map(CellRef::from).collect();
        decoder.row(&row, &mut |message| found.push(message.clone()));
    }
    decoder.end(&mut |message| found.push(message.clone()));
    if store.shape == Shape::Chain {
        found = chain::once(found, store)?;
    } else if order == Order::Told && store.shape != Shape::Blob && store.message.parent.is_some() {
        let tip = tip(db, mapping, &found).await?;
        branch::mark(&mut found, tip.as_deref());
    }
    Ok(found)
}

/// Hands out the messages of the rows that a condition holds for, one after another, however
/// many they are.
pub(super) async fn each(
    db: &dyn Db,
    mapping: &Mapping,
    condition: &Condition,
    order: Order,
    take: Take<'_>,
) -> anyhow::Result<()> {
    let store = mapping.store();
    let plan = Plan::of(db, store);
    let sql = statement(db, mapping, &plan, &condition.sql, order);
    let mut decoder = Decoder::new(&plan, store);
    let mut whole = true;
    let mut row = |cells: &[CellRef<'_>]| -> anyhow::Result<ControlFlow<()>> {
        let mut flow = Ok(ControlFlow::Continue(()));
        decoder.row(cells, &mut |message| {
            if matches!(flow, Ok(ControlFlow::Continue(()))) {
                flow = take(message);
            }
        });
        whole = matches!(flow, Ok(ControlFlow::Continue(())));
        flow
    };
    db.scan(&sql, &condition.args, &mut row).await?;
    let mut last = Ok(ControlFlow::Continue(()));
    if whole {
        decoder.end(&mut |message| last = take(message));
    }
    last.map(|_| ())
}

/// The statement by which the rows that a condition holds for are read.
pub(super) fn statement_of(
    db: &dyn Db,
    mapping: &Mapping,
    condition: &Condition,
    order: Order,
) -> String {
    let plan = Plan::of(db, mapping.store());
    statement(db, mapping, &plan, &condition.sql, order)
}

fn statement(db: &dyn Db, mapping: &Mapping, plan: &Plan, condition: &str, order: Order) -> String {
    let store = mapping.store();
    if store.shape == Shape::Chain && order == Order::Told {
        return chain::statement(db, mapping, plan, condition);
    }
    let from = plan.select_from(db, store);
    let wanted = plan.wanted(db, store, condition);
    let down = |columns: &[String]| {
        let down = |name: &String| format!("m.{} DESC", db.quote(name));
        let columns: Vec<_> = columns.iter().map(down).collect();
        format!(" ORDER BY {}", columns.join(", "))
    };
    let newest = || match &store.message.append {
        Some(append) if store.message.key == [append.clone()] && store.parts.is_none() => {
            down(&store.message.key)
        }
        _ => String::new(),
    };
    let order = match order {
        Order::Told => plan.order(db, store),
        // The parts of a message must come together.
        Order::Stored if store.parts.is_some() => plan.order(db, store),
        Order::Stored => String::new(),
        Order::Latest(count) if !store.message.order.is_empty() => {
            format!("{} LIMIT {count}", down(&store.message.order))
        }
        Order::Latest(count) => format!(" LIMIT {count}"),
        Order::Newest => newest(),
        Order::Sample(count) => format!("{} LIMIT {count}", newest()),
    };
    format!("{from}{wanted}{order}")
}

/// The current leaf, as the row of the messages' conversation tells it.
async fn tip(
    db: &dyn Db,
    mapping: &Mapping,
    messages: &[StoredMessage],
) -> anyhow::Result<Option<String>> {
    let place = mapping.store().conversation.as_ref();
    let Some((place, tip)) = place.and_then(|place| Some((place, place.tip.as_ref()?))) else {
        return Ok(None);
    };
    let key = messages
        .first()
        .and_then(|message| message.conversation.as_deref());
    let columns = sources(&place.key);
    let condition = key.and_then(|key| keys::holds(db, mapping, &place.table, &columns, key));
    let Some(condition) = condition else {
        return Ok(None);
    };
    super::heads::value(db, &place.table, tip, &condition).await
}

/// Those of the conversation that was asked for, where a condition held for others too.
fn of_one(mut messages: Vec<StoredMessage>, key: &str) -> Vec<StoredMessage> {
    let is = |message: &StoredMessage, key: &str| {
        message.conversation.as_deref().is_none_or(|own| own == key)
    };
    let exact = messages.iter().any(|message| is(message, key));
    let own = if exact {
        Some(key.to_owned())
    } else {
        messages
            .first()
            .and_then(|message| message.conversation.clone())
    };
    if let Some(own) = own {
        messages.retain(|message| is(message, &own));
        for message in &mut messages {
            // The rows of a chain belong to every conversation that leads to them.
            message.conversation.get_or_insert_with(|| own.clone());
        }
    } else {
        for message in &mut messages {
            message.conversation = Some(key.to_owned());
        }
    }
    messages
}
