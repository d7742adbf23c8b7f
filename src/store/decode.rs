//! Rows as messages: pure, whatever the shape.

use super::declared::Items;
use super::declared::Shape;
use super::declared::Store;
use super::parts;
use super::parts::Content;
use super::plan::Plan;
use super::plan::Slot;
use super::roles;
use super::time;
use crate::model::CellRef;
use crate::model::Role;
use crate::model::State;
use crate::model::StoredMessage;
use crate::model::ToolCall;
use serde_json::Value;
use std::borrow::Cow;
use std::cell::OnceCell;
use std::collections::HashMap;
use std::fmt::Write as _;

/// Makes messages of rows. Rows that hold parts of one message must come together.
pub(super) struct Decoder<'p> {
    plan: &'p Plan,
    store: &'p Store,
    roles: HashMap<String, Option<Role>>,
    /// The message whose parts are still coming.
    pending: Option<StoredMessage>,
}

/// What takes the messages.
pub(super) type Take<'t> = &'t mut dyn FnMut(StoredMessage);

impl<'p> Decoder<'p> {
    pub(super) fn new(plan: &'p Plan, store: &'p Store) -> Self {
        Self {
            plan,
            store,
            roles: HashMap::new(),
            pending: None,
        }
    }

    /// The messages that are finished with this row.
    pub(super) fn row(&mut self, cells: &[CellRef<'_>], take: Take<'_>) {
        let row = Row::new(cells);
        match (self.store.shape, &self.plan.parts) {
            (Shape::Blob, _) => self.items(&row, take),
            (Shape::Turn, _) => self.turn(&row, take),
            (Shape::Opaque, _) => take(self.opaque(&row)),
            (_, None) => {
                if let Some(message) = self.message(&row) {
                    take(message);
                }
            }
            (_, Some(part)) => self.part(&row, part, take),
        }
    }

    /// The last message, when its parts were still coming.
    pub(super) fn end(&mut self, take: Take<'_>) {
        if let Some(message) = self.pending.take() {
            take(message);
        }
    }

    /// The current leaf that a conversation's row names.
    pub(super) fn tip(&self, cells: &[CellRef<'_>]) -> Option<String> {
        let row = Row::new(cells);
        let tip = row.text(self.plan.tip.as_ref()?)?;
        Some(format!("{}#{tip}", self.conversation(&row)?))
    }

    fn role(&mut self, value: &str) -> Option<Role> {
        if let Some(known) = self.roles.get(value) {
            return known.clone();
        }
        let role = roles::role_of(&self.store.message.role_map, value);
        self.roles.insert(value.to_owned(), role.clone());
        role
    }

    fn conversation(&self, row: &Row<'_>) -> Option<String> {
        let mut key = None;
        for slot in &self.plan.conversation {
            let part = row.text(slot);
            match &mut key {
                None => key = Some(part?.into_owned()),
                Some(key) => {
                    key.push('/');
                    key.push_str(&part.unwrap_or_default());
                }
            }
        }
        key
    }

    /// What every row tells, whatever its messages are.
    fn bare(&self, row: &Row<'_>, role: Role) -> StoredMessage {
        let plan = self.plan;
        let told = |at: Option<usize>| at.and_then(|at| row.cell(at)).map(Cow::into_owned);
        let is = |at: Option<usize>| at.is_some_and(|at| row.cells[at] == CellRef::Int(1));
        let state = match (is(plan.deleted), is(plan.error), is(plan.open)) {
            (true, ..) => State::Deleted,
            (_, true, _) => State::Failed,
            (.., true) => State::Open,
            _ => State::Whole,
        };
        StoredMessage {
            conversation: self.conversation(row),
            status: told(plan.status),
            time: plan.time.as_ref().and_then(|slot| row.time(slot)),
            append: plan.append.and_then(|at| row.append(at)),
            parent: told(plan.parent),
            extra: row.joined(&plan.extra),
            state,
            ..StoredMessage::new(row.key(&plan.key), role, String::new())
        }
    }

    fn message(&mut self, row: &Row<'_>) -> Option<StoredMessage> {
        let role = match &self.plan.role {
            Some(slot) => self.role(&row.text(slot).unwrap_or_default())?,
            None => Role::Other(String::new()),
        };
        let mut message = self.bare(row, role);
        if let Some(slot) = &self.plan.content {
            row.fill(slot, &mut message);
        }
        if let Some(slot) = &self.plan.tools {
            message.tools.extend(row.calls(slot));
        }
        Some(message)
    }

    fn part(&mut self, row: &Row<'_>, (content, tools): &(Slot, Option<Slot>), take: Take<'_>) {
        let Some(first) = self.message(row) else {
            return;
        };
        let same = |pending: &StoredMessage| {
            pending.key == first.key && pending.conversation == first.conversation
        };
        let mut message = match self.pending.take() {
            Some(pending) if same(&pending) => pending,
            Some(other) => {
                take(other);
                first
            }
            None => first,
        };
        row.fill(content, &mut message);
        if let Some(tools) = tools {
            message.tools.extend(row.calls(tools));
        }
        self.pending = Some(message);
    }

    fn turn(&mut self, row: &Row<'_>, take: Take<'_>) {
        let whole = self.bare(row, Role::User);
        for (part, slot, role) in [
            ("prompt", &self.plan.prompt, Role::User),
            ("response", &self.plan.response, Role::Assistant),
        ] {
            let Some(slot) = slot.as_ref().filter(|slot| row.holds(slot)) else {
                continue;
            };
            let mut message = StoredMessage {
                key: format!("{}#{part}", whole.key),
                role,
                ..whole.clone()
            };
            if part == "response" {
                let answered = self
                    .plan
                    .response_time
                    .as_ref()
                    .and_then(|slot| row.time(slot));
                message.time = answered.or(message.time);
                message.parent = Some(format!("{}#prompt", whole.key));
                message.tools = self
                    .plan
                    .tools
                    .as_ref()
                    .map(|slot| row.calls(slot))
                    .unwrap_or_default();
            } else {
                // The question before it is the row before it; a failed answer leaves it whole.
                message.parent = whole
                    .parent
                    .as_ref()
                    .map(|parent| format!("{parent}#response"));
                if whole.state != State::Deleted {
                    message.state = State::Whole;
                }
            }
            row.fill(slot, &mut message);
            take(message);
        }
    }

    fn opaque(&self, row: &Row<'_>) -> StoredMessage {
        let mut message = self.bare(row, Role::Other("opaque".to_owned()));
        message.decoded = false;
        for at in &self.plan.payload {
            let bytes: &[u8] = match row.cells[*at] {
                CellRef::Blob(bytes) => bytes,
                CellRef::Text(text) => text.as_bytes(),
                _ => &[],
            };
            let between = if message.content.is_empty() { "" } else { " " };
            let digest = blake3::hash(bytes).to_hex();
            write!(
                message.content,
                "{between}[{} bytes, blake3:{}]",
                bytes.len(),
                &digest[..16]
            )
            .expect("a text can be written to");
        }
        message
    }

    fn items(&mut self, row: &Row<'_>, take: Take<'_>) {
        let (Some(slot), Some(item)) = (&self.plan.items, &self.store.item) else {
            return;
        };
        let bare = self.bare(row, Role::User);
        let conversation = bare.conversation.clone().unwrap_or_default();
        let (items, decoded) = row.nodes(slot);
        if !decoded {
            take(StoredMessage {
                key: format!("{conversation}#"),
                role: Role::Other("undecodable".to_owned()),
                content: row.raw(slot),
                decoded: false,
                ..bare.clone()
            });
        }
        for (key, value) in items {
            let node = |path: &Option<super::source::Path>| {
                let node = path.as_ref().and_then(|path| path.first(value));
                node.filter(|node| !node.is_null())
            };
            let role = item.role.first(value).map(written).unwrap_or_default();
            let Some(role) = self.role(&role) else {
                continue;
            };
            let key = node(&item.key).map_or(key, written);
            let mut message = StoredMessage {
                key: format!("{conversation}#{key}"),
                role,
                time: node(&item.time).and_then(time_of),
                parent: node(&item.parent).map(|key| format!("{conversation}#{}", written(key))),
                tools: node(&item.tools).map(parts::calls).unwrap_or_default(),
                ..bare.clone()
            };
            message.state = item_state(item, value, bare.state);
            match item.content.first(value) {
                Some(content) => fill(content, &mut message),
                None => message.decoded = message.decoded && !message.tools.is_empty(),
            }
            take(message);
        }
    }
}

fn item_state(item: &Items, value: &Value, of_row: State) -> State {
    let node =
        |path: &Option<super::source::Path>| path.as_ref().and_then(|path| path.first(value));
    let failed =
        node(&item.error).is_some_and(|error| !matches!(error, Value::Null | Value::Bool(false)));
    let open = node(&item.done) == Some(&Value::Bool(false));
    match (of_row, failed, open) {
        (State::Deleted, ..) => State::Deleted,
        (_, true, _) => State::Failed,
        (.., true) => State::Open,
        _ => State::Whole,
    }
}

/// A value as text: a string's characters, else JSON in one spelling.
fn written(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => parts::canonical(other),
    }
}

fn time_of(value: &Value) -> Option<i64> {
    match value {
        Value::String(text) => time::of_text(text),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => time::of_int(whole),
            None => time::of_number(number.as_f64()?),
        },
        _ => None,
    }
}

/// Adds what a JSON content says to a message.
fn fill(value: &Value, message: &mut StoredMessage) {
    match parts::read(value) {
        Some(Content { text, tools }) => {
            message.content.push_str(&text);
            message.tools.extend(tools);
        }
        None => {
            message.content.push_str(&parts::canonical(value));
            message.decoded = false;
        }
    }
}

/// A row, whose JSON is parsed once.
struct Row<'r> {
    cells: &'r [CellRef<'r>],
    json: OnceCell<Vec<OnceCell<Option<Value>>>>,
}

impl<'r> Row<'r> {
    fn new(cells: &'r [CellRef<'r>]) -> Self {
        Self {
            cells,
            json: OnceCell::new(),
        }
    }

    fn json(&self, at: usize) -> Option<&Value> {
        let all = self
            .json
            .get_or_init(|| vec![OnceCell::new(); self.cells.len()]);
        let parsed = all[at].get_or_init(|| match self.cells[at] {
            CellRef::Text(text) => serde_json::from_str(text).ok(),
            CellRef::Blob(bytes) => serde_json::from_slice(bytes).ok(),
            CellRef::Int(number) => Some(number.into()),
            CellRef::Real(number) => Some(number.into()),
            CellRef::Null => None,
        });
        parsed.as_ref()
    }

    /// A cell as text; nothing for NULL. Bytes that are no text are told in hexadecimal.
    fn cell(&self, at: usize) -> Option<Cow<'r, str>> {
        Some(match self.cells[at] {
            CellRef::Null => return None,
            CellRef::Text(text) => Cow::Borrowed(text),
            CellRef::Int(number) => Cow::Owned(number.to_string()),
            CellRef::Real(number) => Cow::Owned(number.to_string()),
            CellRef::Blob(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Cow::Borrowed(text),
                Err(_) => Cow::Owned(bytes.iter().map(|byte| format!("{byte:02x}")).collect()),
            },
        })
    }

    fn key(&self, columns: &[usize]) -> String {
        let mut key = String::new();
        for (index, at) in columns.iter().enumerate() {
            if index > 0 {
                key.push('/');
            }
            key.push_str(&self.cell(*at).unwrap_or_default());
        }
        key
    }

    /// Several columns as one text that is alike on every backend.
    fn joined(&self, columns: &[usize]) -> String {
        let mut text = String::new();
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
        text
    }

    /// Whether a source has a value.
    fn holds(&self, slot: &Slot) -> bool {
        slot.iter().any(|(at, _)| self.cells[*at] != CellRef::Null)
    }

    fn text(&self, slot: &Slot) -> Option<Cow<'_, str>> {
        slot.iter().find_map(|(at, path)| match path {
            None => self.cell(*at),
            Some(path) => match path.first(self.json(*at)?)? {
                Value::Null => None,
                value => Some(Cow::Owned(written(value))),
            },
        })
    }

    fn raw(&self, slot: &Slot) -> String {
        let first = slot.iter().find_map(|(at, _)| self.cell(*at));
        first.map(Cow::into_owned).unwrap_or_default()
    }

    /// Adds a source's text and tools to a message.
    fn fill(&self, slot: &Slot, message: &mut StoredMessage) {
        let Some((at, path)) = slot.iter().find(|(at, _)| self.cells[*at] != CellRef::Null) else {
            return;
        };
        match path {
            None => message
                .content
                .push_str(&self.cell(*at).unwrap_or_default()),
            Some(path) => match self.json(*at) {
                Some(json) => match path.first(json) {
                    Some(value) => fill(value, message),
                    // What the path looks for isn't there: an answer without a text.
                    None => {}
                },
                None => {
                    message
                        .content
                        .push_str(&self.cell(*at).unwrap_or_default());
                    message.decoded = false;
                }
            },
        }
    }

    fn calls(&self, slot: &Slot) -> Vec<ToolCall> {
        let calls = slot.iter().find_map(|(at, path)| {
            let json = self.json(*at)?;
            match path {
                Some(path) => path.first(json).map(parts::calls),
                None => Some(parts::calls(json)),
            }
        });
        calls.unwrap_or_default()
    }

    /// The items with their keys; false when the column holds no JSON.
    fn nodes(&self, slot: &Slot) -> (Vec<(String, &Value)>, bool) {
        let mut found = Vec::new();
        let mut decoded = true;
        for (at, path) in slot {
            let Some(json) = self.json(*at) else {
                decoded &= self.cells[*at] == CellRef::Null;
                continue;
            };
            let nodes = path
                .as_ref()
                .map_or_else(|| vec![json], |path| path.all(json));
            for node in nodes {
                match node {
                    Value::Array(items) => {
                        for item in items {
                            found.push((found.len().to_string(), item));
                        }
                    }
                    Value::Object(items) if is_map(items) => {
                        found.extend(items.iter().map(|(key, item)| (key.clone(), item)));
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

    fn time(&self, slot: &Slot) -> Option<i64> {
        slot.iter()
            .find_map(|(at, path)| match (path, self.cells[*at]) {
                (Some(path), _) => time_of(path.first(self.json(*at)?)?),
                (None, CellRef::Text(text)) => time::of_text(text),
                (None, CellRef::Int(number)) => time::of_int(number),
                (None, CellRef::Real(number)) => time::of_number(number),
                (None, _) => None,
            })
    }

    /// A number as it is, or a time in microseconds.
    fn append(&self, at: usize) -> Option<i64> {
        match self.cells[at] {
            CellRef::Int(number) => Some(number),
            CellRef::Text(text) => text.parse().ok().or_else(|| time::of_text(text)),
            CellRef::Real(number) => time::of_number(number),
            _ => None,
        }
    }
}

/// A map from key to item holds objects only; an item holds its role as a text.
fn is_map(fields: &serde_json::Map<String, Value>) -> bool {
    fields.values().all(Value::is_object)
}
