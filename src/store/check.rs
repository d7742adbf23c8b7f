//! Checks a declared store against the existing tables: names, and missing keys.

use super::declared::{Conversations, Messages, Shape, Store};
use super::names;
use super::predicate::Predicate;
use super::source::{Counts, Source};
use crate::cli_error::CliError;
use crate::model::{Column, Table};

/// The tables of a store, after its names were put as the catalogue spells them.
pub(super) fn checked(store: &mut Store, schema: &[Table]) -> Result<Vec<Table>, CliError> {
    complete(store)?;
    let mut tables = Vec::new();
    if let Some(conversation) = &mut store.conversation {
        let table = names::table(schema, &conversation.table)?;
        of_conversations(conversation, table)?;
        if let Some(item) = &mut store.item {
            let lists = item.earlier.iter_mut().chain(&mut item.also);
            for list in lists.chain([&mut item.items]) {
                in_source(table, Some(list))?;
            }
        }
        tables.push(table.clone());
    }
    if let Some(parts) = &mut store.parts {
        let table = names::table(schema, &parts.table)?;
        parts.table.clone_from(&table.name);
        each(table, [&mut parts.key, &mut parts.order])?;
        in_text(table, Some(&mut parts.content))?;
        in_source(table, parts.tools.as_mut())?;
        in_predicate(table, parts.only.as_mut())?;
        tables.push(table.clone());
    }
    if store.item.is_some() {
        return Ok(tables);
    }
    let table = names::table(schema, &store.message.table)?;
    of_messages(&mut store.message, table)?;
    let places = store.conversation.as_ref().map(|it| it.key.len());
    let named = store.message.conversation.len();
    if named > 0 && places.is_some_and(|places| places != named) {
        return Err(lacks(
            "conversation",
            "store.message",
            "it must name as many columns as the key of [store.conversation]",
        ));
    }
    tables.push(table.clone());
    Ok(tables)
}

fn of_conversations(conversation: &mut Conversations, table: &Table) -> Result<(), CliError> {
    conversation.table.clone_from(&table.name);
    if conversation.key.is_empty() {
        conversation.key = keys(table);
    }
    each(table, &mut conversation.key)?;
    for source in [
        &mut conversation.title,
        &mut conversation.user,
        &mut conversation.tip,
    ] {
        in_source(table, source.as_mut())?;
    }
    each(table, conversation.created.as_mut())?;
    each(table, conversation.updated.as_mut())?;
    for predicate in [&mut conversation.only, &mut conversation.deleted] {
        in_predicate(table, predicate.as_mut())?;
    }
    if conversation.key.is_empty() {
        return Err(lacks(
            "key",
            "store.conversation",
            "the table has no primary key",
        ));
    }
    Ok(())
}

fn of_messages(message: &mut Messages, table: &Table) -> Result<(), CliError> {
    message.table.clone_from(&table.name);
    if message.key.is_empty() {
        message.key = keys(table);
    }
    for columns in [
        &mut message.key,
        &mut message.payload,
        &mut message.order,
        &mut message.extra,
        &mut message.volatile,
    ] {
        each(table, columns)?;
    }
    each(table, message.parent.as_mut())?;
    each(table, message.status.as_mut())?;
    for source in &mut message.conversation {
        in_source(table, Some(source))?;
    }
    for source in [
        &mut message.content,
        &mut message.prompt,
        &mut message.response,
    ] {
        in_text(table, source.as_mut())?;
    }
    for source in [
        &mut message.role,
        &mut message.time,
        &mut message.response_time,
        &mut message.tools,
        &mut message.user,
        &mut message.failed,
    ] {
        in_source(table, source.as_mut())?;
    }
    for predicate in [
        &mut message.only,
        &mut message.open,
        &mut message.waits,
        &mut message.error,
        &mut message.deleted,
    ] {
        in_predicate(table, predicate.as_mut())?;
    }
    message.append = match message.append.take().as_deref() {
        Some("none") => None,
        Some(name) => Some(names::column(table, name)?),
        None => grows(table, &message.key, message.time.as_ref()),
    };
    if message.order.is_empty() {
        message.order = order(table, &message.key, message.time.as_ref());
    }
    Ok(())
}

/// Whether a shape has what it needs.
fn complete(store: &Store) -> Result<(), CliError> {
    let message = &store.message;
    let tip = store
        .conversation
        .as_ref()
        .and_then(|conversation| conversation.tip.as_ref());
    let content = message.content.is_some() || store.parts.is_some();
    let needs: &[(&str, &str, bool)] = match store.shape {
        Shape::Row | Shape::Event => &[
            ("table", "store.message", !message.table.is_empty()),
            ("role", "store.message", message.role.is_some()),
            ("content", "store.message", content),
        ],
        Shape::Turn => &[
            ("table", "store.message", !message.table.is_empty()),
            ("prompt", "store.message", message.prompt.is_some()),
            ("response", "store.message", message.response.is_some()),
        ],
        Shape::Blob => &[
            ("table", "store.conversation", store.conversation.is_some()),
            ("items", "store.item", store.item.is_some()),
        ],
        Shape::Opaque => &[
            ("table", "store.message", !message.table.is_empty()),
            ("payload", "store.message", !message.payload.is_empty()),
        ],
        Shape::Chain => &[
            ("table", "store.message", !message.table.is_empty()),
            ("role", "store.message", message.role.is_some()),
            ("content", "store.message", content),
            ("parent", "store.message", message.parent.is_some()),
            ("tip", "store.conversation", tip.is_some()),
        ],
    };
    match needs.iter().find(|(.., there)| !there) {
        Some((name, part, _)) => Err(lacks(
            name,
            part,
            &format!("shape `{:?}` needs it", store.shape).to_lowercase(),
        )),
        None => Ok(()),
    }
}

fn lacks(name: &str, part: &str, why: &str) -> CliError {
    CliError::usage(format!("the mapping lacks `{name}` in [{part}]: {why}"))
        .hint("fix [[store]] in chatctl.toml; `chatctl inspect schema` lists tables and columns")
}

fn each<'n>(
    table: &Table,
    named: impl IntoIterator<Item = &'n mut String>,
) -> Result<(), CliError> {
    for name in named {
        *name = names::column(table, name)?;
    }
    Ok(())
}

fn in_source(table: &Table, source: Option<&mut Source>) -> Result<(), CliError> {
    if let Some(source) = source.as_deref()
        && source.counts == Counts::Text
    {
        return Err(CliError::usage(format!(
            "`{source}` in [[store]] is not a text: `||` reads on until there is one"
        ))
        .hint("write `|` for the first that is not NULL"));
    }
    in_text(table, source)
}

fn in_text(table: &Table, source: Option<&mut Source>) -> Result<(), CliError> {
    let places = source
        .map(|source| source.places.iter_mut())
        .into_iter()
        .flatten();
    each(table, places.map(|place| &mut place.column))
}

fn in_predicate(table: &Table, predicate: Option<&mut Predicate>) -> Result<(), CliError> {
    let Some(predicate) = predicate else {
        return Ok(());
    };
    for name in predicate.columns() {
        names::column(table, name)?;
    }
    if predicate.takes_values() {
        return Err(CliError::usage(format!(
            "the predicate `{}` has a `?`, or a quote that is not closed",
            String::from(predicate.clone())
        ))
        .hint("close each quote by itself, and write a function for the operator `?`: jsonb_exists({column}, 'key')"));
    }
    *predicate = predicate
        .renamed(|name| names::column(table, name).expect("each name was found a moment ago"));
    Ok(())
}

fn keys(table: &Table) -> Vec<String> {
    let keys = table.columns.iter().filter(|column| column.key);
    keys.map(|column| column.name.clone()).collect()
}

/// A position or a serial key orders better than a time, which may be equal for two rows.
fn order(table: &Table, key: &[String], time: Option<&Source>) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    let counted = counted(table);
    let serial = key
        .first()
        .filter(|_| key.len() == 1)
        .filter(|name| is_whole(table, name));
    let time = time
        .filter(|time| !time.is_json())
        .and_then(|time| time.columns().next());
    let found = counted
        .into_iter()
        .chain(serial.map(String::as_str))
        .chain(time);
    for name in found.chain(key.iter().map(String::as_str)) {
        if !order.iter().any(|known| known == name) {
            order.push(name.to_owned());
        }
    }
    order
}

/// A column that counts the messages of a conversation or of all.
pub(super) fn counted(table: &Table) -> Option<&str> {
    [
        "position",
        "sequence",
        "seq",
        "sequence_id",
        "sequence_number",
        "idx",
        "index",
    ]
    .iter()
    .find_map(|name| table.column(name))
    .map(|column| column.name.as_str())
}

fn grows(table: &Table, key: &[String], time: Option<&Source>) -> Option<String> {
    let serial = key
        .first()
        .filter(|_| key.len() == 1)
        .filter(|name| is_whole(table, name));
    let time = time
        .filter(|time| !time.is_json())
        .and_then(|time| time.columns().next());
    // A column such as `seq` counts the messages of one conversation.
    serial.map(String::as_str).or(time).map(str::to_owned)
}

fn is_whole(table: &Table, name: &str) -> bool {
    table.column(name).is_some_and(Column::is_whole)
}
