//! The columns that are selected for a store, and the place of each value in a row.

use super::declared::{Shape, Store};
use super::predicate::Predicate;
use super::source::{Path, Source};
use crate::db::Db;
use crate::model::Nulls;

/// The columns of a row, and what they are.
pub(super) struct Plan {
    /// The expressions, in the order of the row.
    pub select: Vec<String>,
    /// How many of them, the first ones, say what a message is.
    pub told: usize,
    pub key: Vec<usize>,
    pub conversation: Vec<Slot>,
    pub role: Option<Slot>,
    pub content: Option<Slot>,
    pub prompt: Option<Slot>,
    pub response: Option<Slot>,
    pub payload: Vec<usize>,
    pub time: Option<Slot>,
    pub response_time: Option<Slot>,
    pub append: Option<usize>,
    /// The columns that order messages, where they are more than what a message has anyway.
    pub order: Vec<usize>,
    pub nulls: Nulls,
    pub parent: Option<usize>,
    pub tools: Option<Slot>,
    pub status: Option<usize>,
    pub extra: Vec<usize>,
    pub open: Option<usize>,
    pub waits: Option<usize>,
    pub error: Option<usize>,
    pub failed: Option<Slot>,
    pub deleted: Option<usize>,
    pub items: Option<Slot>,
    pub earlier: Vec<Slot>,
    /// With the name of the column.
    pub also: Vec<(String, Slot)>,
    pub tip: Option<Slot>,
    pub parts: Option<(Slot, Option<Slot>)>,
}

/// The places of a source: the column's place in the row, and the path in it.
pub(super) type Slot = Vec<(usize, Option<Path>)>;

struct Columns<'d> {
    db: &'d dyn Db,
    select: Vec<String>,
}

impl Columns<'_> {
    fn expression(&mut self, sql: String) -> usize {
        let known = self.select.iter().position(|known| *known == sql);
        known.unwrap_or_else(|| {
            self.select.push(sql);
            self.select.len() - 1
        })
    }

    fn column(&mut self, table: &str, name: &str) -> usize {
        let sql = format!("{table}.{}", self.db.quote(name));
        self.expression(sql)
    }

    fn columns(&mut self, names: &[String]) -> Vec<usize> {
        names.iter().map(|name| self.column("m", name)).collect()
    }

    fn some(&mut self, name: Option<&String>) -> Option<usize> {
        name.map(|name| self.column("m", name))
    }

    fn slot(&mut self, table: &str, source: &Source) -> Slot {
        let places = source.places.iter();
        places
            .map(|place| (self.column(table, &place.column), place.path.clone()))
            .collect()
    }

    fn source(&mut self, source: Option<&Source>) -> Option<Slot> {
        source.map(|source| self.slot("m", source))
    }

    fn flag(&mut self, predicate: Option<&Predicate>) -> Option<usize> {
        let condition = condition(self.db, predicate?);
        Some(self.expression(format!("CASE WHEN {condition} THEN 1 ELSE 0 END")))
    }

    /// A flag with a third value: where the condition is NULL, so is it.
    fn answer(&mut self, predicate: Option<&Predicate>) -> Option<usize> {
        let condition = condition(self.db, predicate?);
        let sql = format!("CASE WHEN {condition} THEN 1 WHEN NOT {condition} THEN 0 END");
        Some(self.expression(sql))
    }
}

/// A condition over the table that is selected from.
pub(super) fn condition(db: &dyn Db, predicate: &Predicate) -> String {
    over("m", db, predicate)
}

fn over(table: &str, db: &dyn Db, predicate: &Predicate) -> String {
    let column = |name: &str| format!("{table}.{}", db.quote(name));
    // A comment at its end ends there too.
    format!("({}\n)", predicate.sql(column))
}

/// The join that adds a message's parts, as `p`, to its row; nothing where there are none.
pub(super) fn joined_parts(db: &dyn Db, store: &Store) -> String {
    let Some(parts) = &store.parts else {
        return String::new();
    };
    let key = store.message.key.first();
    let key = key.map_or("NULL".to_owned(), |key| format!("m.{}", db.quote(key)));
    let only = parts.only.as_ref();
    let only = only.map(|only| format!(" AND {}", over("p", db, only)));
    format!(
        " LEFT JOIN {} p ON p.{} = {key}{}",
        db.quote(&parts.table),
        db.quote(&parts.key),
        only.unwrap_or_default()
    )
}

impl Plan {
    pub(super) fn of(db: &dyn Db, store: &Store) -> Self {
        let mut columns = Columns {
            db,
            select: Vec::new(),
        };
        let message = &store.message;
        let conversations = store.conversation.as_ref();
        let blob = conversations.filter(|_| store.shape == Shape::Blob);
        let conversation = match blob {
            Some(place) => columns
                .columns(&place.key)
                .into_iter()
                .map(|at| vec![(at, None)])
                .collect(),
            None => message
                .conversation
                .iter()
                .map(|source| columns.slot("m", source))
                .collect(),
        };
        let deleted = blob.map_or(message.deleted.as_ref(), |place| place.deleted.as_ref());
        let append = match store.shape {
            // Only a question has a number of its own; and items are counted by their place.
            Shape::Blob => None,
            _ => columns.some(message.append.as_ref()),
        };
        let mut plan = Self {
            key: columns.columns(&message.key),
            role: columns.source(message.role.as_ref()),
            content: columns.source(message.content.as_ref()),
            prompt: columns.source(message.prompt.as_ref()),
            response: columns.source(message.response.as_ref()),
            payload: columns.columns(&message.payload),
            time: columns.source(message.time.as_ref()),
            response_time: columns.source(message.response_time.as_ref()),
            parent: columns.some(message.parent.as_ref()),
            tools: columns.source(message.tools.as_ref()),
            status: columns.some(message.status.as_ref()),
            extra: columns.columns(&message.extra),
            open: columns.answer(message.open.as_ref()),
            waits: None,
            error: columns.flag(message.error.as_ref()),
            failed: columns.source(message.failed.as_ref()),
            deleted: columns.flag(deleted),
            items: store
                .item
                .as_ref()
                .map(|item| columns.slot("m", &item.items)),
            earlier: store
                .item
                .iter()
                .flat_map(|item| &item.earlier)
                .map(|source| columns.slot("m", source))
                .collect(),
            also: store
                .item
                .iter()
                .flat_map(|item| &item.also)
                .map(|source| (source.to_string(), columns.slot("m", source)))
                .collect(),
            tip: blob
                .and_then(|place| place.tip.as_ref())
                .map(|tip| columns.slot("m", tip)),
            parts: store.parts.as_ref().map(|parts| {
                let content = columns.slot("p", &parts.content);
                let tools = parts.tools.as_ref().map(|tools| columns.slot("p", tools));
                (content, tools)
            }),
            conversation,
            append,
            order: Vec::new(),
            nulls: db.catalog().nulls,
            told: 0,
            select: Vec::new(),
        };
        plan.told = columns.select.len();
        plan.order = columns.columns(store.order_apart());
        plan.waits = columns.flag(message.waits.as_ref());
        plan.select = columns.select;
        plan
    }

    /// The statement's beginning: `SELECT … FROM …`, the table being `m`.
    pub(super) fn select_from(&self, db: &dyn Db, store: &Store) -> String {
        let columns = self.select.join(", ");
        let table = db.quote(store.table());
        format!("SELECT {columns} FROM {table} m{}", joined_parts(db, store))
    }

    /// The order of a conversation's messages.
    pub(super) fn order(&self, db: &dyn Db, store: &Store) -> String {
        let message = &store.message;
        let mut order: Vec<_> = message
            .order
            .iter()
            .map(|name| format!("m.{}", db.quote(name)))
            .collect();
        if let Some(parts) = &store.parts {
            // The parts of a message must be together, also where two have the same time.
            let keys = message
                .key
                .iter()
                .filter(|key| !message.order.contains(key));
            order.extend(keys.map(|key| format!("m.{}", db.quote(key))));
            order.push(format!("p.{}", db.quote(&parts.order)));
        }
        if order.is_empty() {
            String::new()
        } else {
            format!(" ORDER BY {}", order.join(", "))
        }
    }

    /// The condition that a row is one of the mapping's; with those that `more` asks for.
    pub(super) fn wanted(&self, db: &dyn Db, store: &Store, more: &str) -> String {
        let only = match store.shape {
            Shape::Blob => store
                .conversation
                .as_ref()
                .and_then(|place| place.only.as_ref()),
            _ => store.message.only.as_ref(),
        };
        let conditions: Vec<_> = only
            .map(|only| condition(db, only))
            .into_iter()
            .chain((!more.is_empty()).then(|| more.to_owned()))
            .collect();
        if conditions.is_empty() {
            String::new()
        } else {
            format!(" WHERE {}", conditions.join(" AND "))
        }
    }
}
