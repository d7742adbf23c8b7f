//! A row, and the values that a mapping selects in it.

use super::parts::Content;
use super::plan::Slot;
use super::source::{Counts, Path};
use super::{keys, parts, time};
use crate::model::{CellRef, Mark, State, StoredMessage, epoch};
use crate::text;
use serde_json::Value;
use std::borrow::Cow;
use std::cell::OnceCell;

/// A value as text: a string's characters, else JSON in one spelling.
pub(super) fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => parts::canonical(other),
    }
}

pub(super) fn time_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => time::of_text(text),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => epoch::micros(whole),
            None => time::of_number(number.as_f64()?),
        },
        _ => None,
    }
}

/// Adds what a JSON content says to a message.
pub(super) fn fill(value: &Value, message: &mut StoredMessage) {
    match parts::read(value) {
        Some(content) => add(content, message),
        None => {
            message.content.push_str(&parts::canonical(value));
            let kind = value.get("type").and_then(Value::as_str);
            message.decoded &= kind.is_some_and(parts::is_hosted);
        }
    }
}

fn add(content: Content, message: &mut StoredMessage) {
    let Content {
        text,
        tools,
        mark,
        attachments,
        reasoning,
        others,
    } = content;
    message.attachments += attachments;
    message.reasoning |= reasoning;
    message.others += others;
    message.content.push_str(&text);
    message.tools.extend(tools);
    match (mark, message.state) {
        (Mark::Writing, State::Whole) => {
            (message.state, message.mark) = (State::Open, mark);
        }
        (Mark::Waiting, State::Whole) => message.mark = mark,
        (Mark::Finished, State::Whole) if message.mark != Mark::Waiting => {
            message.mark = mark;
        }
        _ => {}
    }
}

/// What a path goes into: some writers encode twice, and keep JSON in a string in JSON.
pub(super) fn unwrapped(value: &Value) -> Option<Value> {
    let inner = value.as_str()?;
    let inner = inner.starts_with(['{', '[']).then_some(inner)?;
    serde_json::from_str(inner).ok()
}

/// A row, whose JSON is parsed once.
pub(super) struct Row<'r> {
    pub cells: &'r [CellRef<'r>],
    json: OnceCell<Vec<Parsed>>,
}

/// The JSON of a cell, and the JSON that it holds when it is a string.
#[derive(Clone, Default)]
struct Parsed {
    outer: OnceCell<Option<Value>>,
    inner: OnceCell<Option<Value>>,
}

impl<'r> Row<'r> {
    pub(super) fn new(cells: &'r [CellRef<'r>]) -> Self {
        Self {
            cells,
            json: OnceCell::new(),
        }
    }

    fn parsed(&self, at: usize) -> &Parsed {
        let all = || vec![Parsed::default(); self.cells.len()];
        &self.json.get_or_init(all)[at]
    }

    /// The JSON that a path is meant for.
    fn json_for(&self, at: usize, path: Option<&Path>) -> Option<&Value> {
        let json = self.json(at)?;
        if !json.is_string() || !path.is_some_and(Path::goes_in) {
            return Some(json);
        }
        let inner = self.parsed(at).inner.get_or_init(|| unwrapped(json));
        inner.as_ref().or(Some(json))
    }

    fn json(&self, at: usize) -> Option<&Value> {
        let parsed = self.parsed(at).outer.get_or_init(|| match self.cells[at] {
            CellRef::Text(text) => serde_json::from_str(text).ok(),
            CellRef::Blob(bytes) | CellRef::Garbled(bytes) => serde_json::from_slice(bytes).ok(),
            CellRef::Int(number) => Some(number.into()),
            CellRef::Real(number) => Some(number.into()),
            CellRef::Null => None,
        });
        parsed.as_ref()
    }

    /// A cell as text; nothing for NULL. Bytes that are no text are reported in hexadecimal.
    pub(super) fn cell(&self, at: usize) -> Option<Cow<'r, str>> {
        Some(match self.cells[at] {
            CellRef::Null => return None,
            CellRef::Text(text) => Cow::Borrowed(text),
            CellRef::Int(number) => Cow::Owned(number.to_string()),
            CellRef::Real(number) => Cow::Owned(number.to_string()),
            CellRef::Blob(bytes) | CellRef::Garbled(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => Cow::Owned(text::hex(bytes)),
            },
        })
    }

    /// Adds a key's columns to a text.
    pub(super) fn key(&self, columns: &[usize], text: &mut String) {
        for (place, at) in columns.iter().enumerate() {
            let cell = self.cell(*at).unwrap_or_default();
            match columns {
                [_] => text.push_str(&cell),
                _ => {
                    text.push_str(if place > 0 { "/" } else { "" });
                    text.push_str(&keys::part(cell));
                }
            }
        }
    }

    /// Adds several columns to a text, so that it is alike on every backend.
    pub(super) fn joined(&self, columns: &[usize], text: &mut String) {
        for at in columns {
            if let Some(cell) = self.cell(*at) {
                let is_json = cell.starts_with(['{', '[']);
                let json = is_json
                    .then(|| self.json(*at))
                    .flatten()
                    .map(parts::canonical);
                text.push_str(&json.unwrap_or_else(|| cell.into_owned()));
            }
            text.push('\u{1f}');
        }
    }

    /// Whether a source has a value.
    pub(super) fn holds(&self, slot: &Slot) -> bool {
        slot.iter().any(|(at, _)| self.cells[*at] != CellRef::Null)
    }

    /// Whether a source has a value also where it looks into JSON.
    pub(super) fn holds_value(&self, slot: &Slot) -> bool {
        slot.iter().any(|(at, path)| match path {
            None => self.cells[*at] != CellRef::Null,
            Some(path) => match self.json_for(*at, Some(path)) {
                Some(json) => path.first(json).is_some_and(|value| !value.is_null()),
                // What is not JSON is a text that can't be read.
                None => self.cells[*at] != CellRef::Null,
            },
        })
    }

    /// Whether a source has a value that is not false either.
    pub(super) fn says_so(&self, slot: &Slot) -> bool {
        slot.iter().any(|(at, path)| match path {
            None => !matches!(self.cells[*at], CellRef::Null | CellRef::Int(0)),
            Some(path) => {
                let value = self
                    .json_for(*at, Some(path))
                    .and_then(|json| path.first(json));
                value.is_some_and(|value| !matches!(value, Value::Null | Value::Bool(false)))
            }
        })
    }

    pub(super) fn text(&self, slot: &Slot) -> Option<Cow<'_, str>> {
        slot.iter().find_map(|(at, path)| match path {
            None => self.cell(*at),
            Some(path) => match path.first(self.json_for(*at, Some(path))?)? {
                Value::Null => None,
                value => Some(Cow::Owned(written(value))),
            },
        })
    }

    pub(super) fn raw(&self, slot: &Slot) -> String {
        let first = slot.iter().find_map(|(at, _)| self.cell(*at));
        first.map(Cow::into_owned).unwrap_or_default()
    }

    /// Adds a source's text and tools to a message.
    pub(super) fn fill(&self, slot: &Slot, counts: Counts, message: &mut StoredMessage) {
        let mut places = slot.iter();
        match counts {
            Counts::Value => {
                if let Some(place) = places.find(|(at, _)| self.cells[*at] != CellRef::Null) {
                    self.fill_from(place, message);
                }
            }
            Counts::Text => {
                let before = message.content.len();
                for place in places.filter(|(at, _)| !self.is_blank(*at)) {
                    if message.content.len() == before {
                        self.fill_from(place, message);
                    } else if let (at, Some(path)) = place
                        && let Some(json) = self.json_for(*at, Some(path))
                        && let Some(content) = path.first(json).and_then(parts::read)
                    {
                        // The same text in another form may have the calls next to it.
                        let text = String::new();
                        add(Content { text, ..content }, message);
                    }
                }
            }
        }
    }

    /// Whether a column holds something, which an empty text, list or object is not.
    pub(super) fn says_something(&self, at: usize) -> bool {
        match self.cells[at] {
            CellRef::Null => false,
            CellRef::Text(text) => !["", "[]", "{}", "null", "\"\""].contains(&text.trim()),
            CellRef::Blob(bytes) | CellRef::Garbled(bytes) => !bytes.is_empty(),
            CellRef::Int(_) | CellRef::Real(_) => true,
        }
    }

    fn is_blank(&self, at: usize) -> bool {
        matches!(self.cells[at], CellRef::Null | CellRef::Text(""))
    }

    fn fill_from(&self, (at, path): &(usize, Option<Path>), message: &mut StoredMessage) {
        match path {
            None => message
                .content
                .push_str(&self.cell(*at).unwrap_or_default()),
            Some(path) => match self.json_for(*at, Some(path)) {
                // What the path looks for may be missing: an answer without a text.
                Some(json) => {
                    if let Some(value) = path.first(json) {
                        fill(value, message);
                    }
                }
                None => {
                    message
                        .content
                        .push_str(&self.cell(*at).unwrap_or_default());
                    message.decoded = false;
                }
            },
        }
    }

    /// Adds the calls of a source to a message.
    pub(super) fn fill_calls(&self, slot: &Slot, message: &mut StoredMessage) {
        let value = slot.iter().find_map(|(at, path)| {
            let json = self.json_for(*at, path.as_ref())?;
            match path {
                Some(path) => path.first(json),
                None => Some(json),
            }
        });
        match value {
            Some(value) => {
                message.tools.extend(parts::calls(value));
                message.others += parts::unread_calls(value);
            }
            None => {
                let is_text = |(at, _): &&(usize, Option<Path>)| {
                    self.json(*at).is_none() && self.cell(*at).is_some_and(|text| !text.is_empty())
                };
                message.others += u32::from(slot.iter().any(|it| is_text(&it)));
            }
        }
    }

    /// The items with their keys; false when the column holds no JSON. `role` is the path of an
    /// item's role.
    pub(super) fn nodes(&self, slot: &Slot, role: &Path) -> (Vec<(String, &Value)>, bool) {
        let mut found = Vec::new();
        let mut decoded = true;
        for (at, path) in slot {
            let Some(json) = self.json_for(*at, path.as_ref()) else {
                decoded &= self.cells[*at] == CellRef::Null;
                continue;
            };
            let nodes = chat(path.as_ref(), json, role);
            // A path finds nothing in what is not a chat at all; a new chat has no messages yet.
            decoded &= !nodes.is_empty() || is_blank(json);
            for node in nodes {
                match node {
                    Value::Array(items) => {
                        for item in items {
                            found.push((found.len().to_string(), item));
                        }
                    }
                    Value::Object(items) if is_map(items) => {
                        let messages = items.iter().filter(|(_, item)| item.is_object());
                        found.extend(messages.map(|(key, item)| (key.clone(), item)));
                    }
                    Value::Null => {}
                    item => found.push((found.len().to_string(), item)),
                }
            }
            if !found.is_empty() {
                break;
            }
        }
        (found, decoded)
    }

    pub(super) fn time(&self, slot: &Slot) -> Option<i64> {
        slot.iter()
            .find_map(|(at, path)| match (path, self.cells[*at]) {
                (Some(path), _) => time_of(path.first(self.json_for(*at, Some(path))?)?),
                (None, CellRef::Text(text)) => time::of_text(text),
                (None, CellRef::Int(number)) => epoch::micros(number),
                (None, CellRef::Real(number)) => time::of_number(number),
                (None, _) => None,
            })
    }

    pub(super) fn append(&self, at: usize) -> Option<i64> {
        append(self.cells[at])
    }
}

/// A number as it is, or a time in microseconds.
pub(super) fn append(cell: CellRef<'_>) -> Option<i64> {
    match cell {
        CellRef::Int(number) => Some(number),
        CellRef::Text(text) => text.parse().ok().or_else(|| time::of_text(text)),
        CellRef::Real(number) => time::of_number(number),
        _ => None,
    }
}

/// What a path finds of a chat. A later version of a format may put the list into an object, or
/// take it out of one: it is the same list.
fn chat<'v>(path: Option<&Path>, json: &'v Value, role: &Path) -> Vec<&'v Value> {
    let nodes = path.map_or_else(|| vec![json], |path| path.all(json));
    let is_list = |value: &&Value| {
        let items = value.as_array().filter(|items| !items.is_empty());
        items.is_some_and(|items| items.iter().all(|item| role.first(item).is_some()))
    };
    match nodes[..] {
        [] if is_list(&json) => vec![json],
        [Value::Object(fields)]
            if !path.is_some_and(Path::goes_in) && role.first(json).is_none() =>
        {
            let mut lists = fields.values().filter(is_list);
            match (lists.next(), lists.next()) {
                (Some(only), None) => vec![only],
                // A new chat has no messages yet.
                (None, None) if fields.get("messages").is_some_and(is_blank_list) => Vec::new(),
                (..) => nodes,
            }
        }
        _ => nodes,
    }
}

fn is_blank_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Whether a chat may be so before its first message: an object, or nothing.
fn is_blank(json: &Value) -> bool {
    match json {
        Value::Null | Value::Object(_) => true,
        Value::Array(items) => items.is_empty(),
        Value::String(text) => text.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

/// A map from key to item holds objects, and perhaps the place of one that is gone; an item holds its role
/// as a text.
fn is_map(fields: &serde_json::Map<String, Value>) -> bool {
    fields.values().all(|it| it.is_object() || it.is_null())
        && (fields.is_empty() || fields.values().any(Value::is_object))
}
