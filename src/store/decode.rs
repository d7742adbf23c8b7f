//! Rows as messages: pure, whatever the shape.

use super::branch;
use super::declared::Items;
use super::declared::Shape;
use super::declared::Store;
use super::keys;
use super::parts;
use super::plan::Plan;
use super::plan::Slot;
use super::roles;
use super::row::Row;
use super::row::fill;
use super::row::time_of;
use super::row::written;
use crate::model::CellRef;
use crate::model::Role;
use crate::model::State;
use crate::model::StoredMessage;
use serde_json::Value;
use std::borrow::Cow;
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

    /// The conversation that a row names.
    pub(super) fn conversation_of(&self, cells: &[CellRef<'_>]) -> Option<String> {
        self.conversation(&Row::new(cells))
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
        let slots = &self.plan.conversation;
        if let [only] = slots.as_slice() {
            return row.text(only).map(Cow::into_owned);
        }
        let first = row.text(slots.first()?)?;
        let others = slots[1..].iter().map(|slot| row.text(slot));
        let parts = std::iter::once(Some(first)).chain(others);
        let parts: Vec<_> = parts
            .map(|part| keys::part(part.unwrap_or_default()))
            .collect();
        Some(parts.join("/"))
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
        let mut found = Vec::new();
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
            found.push(message);
        }
        if item.parent.is_some() {
            let tip = self.plan.tip.as_ref().and_then(|slot| row.text(slot));
            let tip = tip.map(|tip| format!("{conversation}#{tip}"));
            branch::mark(&mut found, tip.as_deref());
        }
        found.into_iter().for_each(take);
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
