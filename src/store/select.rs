//! The statements that read rows, and their results: shared by all readers.

use super::declared::Shape;
use super::decode::Decoder;
use super::keys::Condition;
use super::plan::Plan;
use super::row::unwrapped;
use super::source::Source;
use super::{Mapping, branch, chain, keys};
use crate::db::Db;
use crate::model::{Cell, CellRef, StoredMessage};
use std::ops::ControlFlow;

/// What looks at each message, and may break off. It may keep one, and give another one, which is
/// written over, for it: then no text is copied.
pub type Take<'a> =
    &'a mut (dyn FnMut(&mut StoredMessage) -> anyhow::Result<ControlFlow<()>> + Send);

/// The order in which rows of messages are read by what is in them: a chain is only
/// followed from its conversation.
pub(super) fn order_by_content(mapping: &Mapping) -> Order {
    match mapping.store().shape {
        Shape::Chain => Order::Stored,
        _ => Order::Told,
    }
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
    value(db, &place.table, tip, &condition).await
}

/// A value of the row that a condition holds for.
pub(super) async fn value(
    db: &dyn Db,
    table: &str,
    source: &Source,
    condition: &Condition,
) -> anyhow::Result<Option<String>> {
    let columns: Vec<_> = source
        .columns()
        .map(|name| format!("m.{}", db.quote(name)))
        .collect();
    let sql = format!(
        "SELECT {} FROM {} m WHERE {}",
        columns.join(", "),
        db.quote(table),
        condition.sql
    );
    let rows = db.rows(&sql, &condition.args).await?;
    Ok(rows.first().and_then(|row| value_of(source, row)))
}

/// A source's value in cells that are in the order of its columns.
pub(super) fn value_of(source: &Source, cells: &[Cell]) -> Option<String> {
    source
        .places
        .iter()
        .zip(cells)
        .find_map(|(place, cell)| match (&place.path, cell) {
            (_, Cell::Null) => None,
            (None, cell) => Some(cell.to_string()),
            (Some(path), cell) => {
                let json: serde_json::Value = serde_json::from_str(&cell.to_string()).ok()?;
                let inner = Some(path).filter(|path| path.goes_in());
                let json = inner.and_then(|_| unwrapped(&json)).unwrap_or(json);
                match path.first(&json)? {
                    serde_json::Value::Null => None,
                    serde_json::Value::String(text) => Some(text.clone()),
                    other => Some(other.to_string()),
                }
            }
        })
}
