//! Decodes rows as messages, for every shape: pure.

use super::declared::{Items, Shape, Store};
use super::plan::{Plan, Slot};
use super::row::{Row, fill, time_of, written};
use super::source::{Counts, Path, Source};
use super::{branch, keys, parts, roles, status, time};
use crate::model::{CellRef, Mark, OrderKey, Role, State, StoredMessage};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt::Write as _;

/// Makes messages of rows. Rows that hold parts of one message must come together.
pub(super) struct Decoder<'p> {
    plan: &'p Plan,
    store: &'p Store,
    roles: Vec<(String, Option<Role>)>,
    /// The message of a row: rows by the million are read into the same one.
    message: StoredMessage,
    /// The message whose parts are still coming.
    pending: Option<StoredMessage>,
}

/// A store has a few roles; of a column that holds something else, not all is remembered.
const MOST_ROLES: usize = 16;

/// What looks at the messages. It may keep one, and give another one, which is written over, for it.
pub(super) type Take<'t> = &'t mut dyn FnMut(&mut StoredMessage);

impl<'p> Decoder<'p> {
    pub(super) fn new(plan: &'p Plan, store: &'p Store) -> Self {
        Self {
            plan,
            store,
            roles: Vec::new(),
            message: StoredMessage::new("", Role::User, ""),
            pending: None,
        }
    }

    /// The messages that are finished with this row.
    pub(super) fn row(&mut self, cells: &[CellRef<'_>], take: Take<'_>) {
        let row = Row::new(cells);
        match (self.store.shape, &self.plan.parts) {
            (Shape::Blob, _) => self.items(&row, take),
            (Shape::Turn, _) => self.turn(&row, take),
            (Shape::Opaque, _) => self.opaque(&row, take),
            (_, None) => {
                if self.message(&row) {
                    take(&mut self.message);
                }
            }
            (_, Some(part)) => self.part(&row, part, take),
        }
    }

    /// The last message, when its parts were still coming.
    pub(super) fn end(&mut self, take: Take<'_>) {
        if let Some(mut message) = self.pending.take() {
            take(&mut message);
        }
    }

    /// The current leaf that a conversation's row names.
    pub(super) fn tip(&self, cells: &[CellRef<'_>]) -> Option<String> {
        let row = Row::new(cells);
        let tip = row.text(self.plan.tip.as_ref()?)?;
        Some(format!(
            "{}#{tip}",
            conversation(&self.plan.conversation, &row)?
        ))
    }

    /// The conversation that a row names.
    pub(super) fn conversation_of(&self, cells: &[CellRef<'_>]) -> Option<String> {
        conversation(&self.plan.conversation, &Row::new(cells)).map(Cow::into_owned)
    }

    fn role(&mut self, value: &str) -> Option<Role> {
        if let Some((_, role)) = self.roles.iter().find(|(known, _)| known == value) {
            return role.clone();
        }
        let role = roles::role_of(&self.store.message.role_map, value);
        if self.roles.len() < MOST_ROLES {
            self.roles.push((value.to_owned(), role.clone()));
        }
        role
    }

    /// Reads a row into `self.message`; false when it holds none.
    fn message(&mut self, row: &Row<'_>) -> bool {
        let role = match &self.plan.role {
            Some(slot) => self.role(&row.text(slot).unwrap_or_default()),
            None => Some(Role::Other(String::new())),
        };
        let Some(role) = role else {
            return false;
        };
        let message = &mut self.message;
        message.role = role;
        message.content.clear();
        message.tools.clear();
        message.attachments = 0;
        message.reasoning = false;
        message.others = 0;
        message.decoded = true;
        message.on_branch = true;
        bare(self.plan, row, message);
        if let Some(slot) = &self.plan.content {
            // An event that has no content, and is not an answer that failed, is not a message: a change of
            // state, a step that was begun.
            let is_event = self.store.shape == Shape::Event && message.state == State::Whole;
            if is_event && !row.holds_value(slot) {
                return false;
            }
            row.fill(slot, counts(self.store.message.content.as_ref()), message);
        }
        if let Some(slot) = &self.plan.tools {
            row.fill_calls(slot, message);
        }
        true
    }

    fn part(&mut self, row: &Row<'_>, (content, tools): &(Slot, Option<Slot>), take: Take<'_>) {
        if !self.message(row) {
            return;
        }
        let first = &self.message;
        let same = |pending: &StoredMessage| {
            pending.key == first.key && pending.conversation == first.conversation
        };
        let mut message = match self.pending.take() {
            Some(pending) if same(&pending) => pending,
            Some(mut other) => {
                take(&mut other);
                first.clone()
            }
            None => first.clone(),
        };
        let of_parts = self.store.parts.as_ref().map(|parts| &parts.content);
        row.fill(content, counts(of_parts), &mut message);
        if let Some(tools) = tools {
            row.fill_calls(tools, &mut message);
        }
        self.pending = Some(message);
    }

    fn turn(&mut self, row: &Row<'_>, take: Take<'_>) {
        let whole = whole(self.plan, row, Role::User);
        let told = &self.store.message;
        for (part, slot, role, source) in [
            ("prompt", &self.plan.prompt, Role::User, &told.prompt),
            (
                "response",
                &self.plan.response,
                Role::Assistant,
                &told.response,
            ),
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
                message.tools.clear();
                if let Some(slot) = &self.plan.tools {
                    row.fill_calls(slot, &mut message);
                }
            } else {
                // The question before it is the row before it; a failed answer leaves it whole.
                message.parent = whole
                    .parent
                    .as_ref()
                    .map(|parent| format!("{parent}#response"));
                if whole.state != State::Deleted {
                    message.state = State::Whole;
                }
                message.mark = Mark::Finished;
            }
            row.fill(slot, counts(source.as_ref()), &mut message);
            take(&mut message);
        }
    }

    fn opaque(&self, row: &Row<'_>, take: Take<'_>) {
        let mut message = whole(self.plan, row, Role::Other("opaque".to_owned()));
        message.decoded = false;
        for at in &self.plan.payload {
            let bytes: &[u8] = match row.cells[*at] {
                CellRef::Blob(bytes) | CellRef::Garbled(bytes) => bytes,
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
        take(&mut message);
    }

    fn items(&mut self, row: &Row<'_>, take: Take<'_>) {
        let Some(item) = &self.store.item else {
            return;
        };
        let bare = whole(self.plan, row, Role::User);
        let conversation = bare.conversation.clone().unwrap_or_default();
        let (items, garbled) = self.lists(row, item);
        for (list, content) in garbled {
            take(&mut StoredMessage {
                key: format!("{conversation}#{list}"),
                role: Role::Other("undecodable".to_owned()),
                content,
                decoded: false,
                ..bare.clone()
            });
        }
        let mut found = Vec::new();
        for (place, (key, value)) in items.into_iter().enumerate() {
            // In a map from key to item none comes before another.
            let is_in_array = key.parse() == Ok(place);
            let role = item.role.first(value).map(written).unwrap_or_default();
            let Some(role) = self.role(&role) else {
                continue;
            };
            let key = node(item.key.as_ref(), value).map_or(key, written);
            let parent = node(item.parent.as_ref(), value);
            let mut message = StoredMessage {
                key: format!("{conversation}#{key}"),
                role,
                time: item.time.as_ref().and_then(|path| item_time(path, value)),
                parent: parent.map(|key| format!("{conversation}#{}", written(key))),
                ..bare.clone()
            };
            if is_in_array && self.store.orders_items() {
                message.order = Some(OrderKey::in_array(place));
            }
            message.state = item_state(item, value, bare.state);
            message.mark = item_mark(item, value);
            fill_item(item, value, &mut message);
            found.push(message);
        }
        if item.parent.is_some() {
            let tip = self.plan.tip.as_ref().and_then(|slot| row.text(slot));
            let tip = tip.map(|tip| format!("{conversation}#{tip}"));
            branch::mark(&mut found, tip.as_deref());
        }
        found.iter_mut().for_each(take);
    }

    /// The items of all lists with their keys, and what of a list is no JSON, with the list's name.
    fn lists<'r>(&self, row: &'r Row<'_>, item: &Items) -> (Vec<(String, &'r Value)>, Garbled) {
        let mut all = Vec::new();
        let mut garbled = Vec::new();
        let mut read = |slot: &Slot, name: &str| {
            let (items, decoded) = row.nodes(slot, &item.role);
            if !decoded {
                garbled.push((name.to_owned(), row.raw(slot)));
            }
            items
        };
        for (index, slot) in self.plan.earlier.iter().enumerate() {
            all.extend(read(slot, &format!("earlier{index}")));
        }
        // A message that is archived keeps its place among all of them.
        let before = all.len();
        let renumbered = |(place, (key, value)): (usize, (String, _))| {
            if before > 0 && key.parse() == Ok(place) {
                ((before + place).to_string(), value)
            } else {
                (key, value)
            }
        };
        if let Some(slot) = &self.plan.items {
            all.extend(read(slot, "").into_iter().enumerate().map(renumbered));
        }
        for (name, slot) in &self.plan.also {
            let items = read(slot, name).into_iter();
            all.extend(items.map(|(key, value)| (format!("{name}.{key}"), value)));
        }
        (all, garbled)
    }
}

/// Lists that hold no JSON: the name of each, and what it holds.
type Garbled = Vec<(String, String)>;

/// What a path finds in an item, unless it is null.
fn node<'v>(path: Option<&Path>, value: &'v Value) -> Option<&'v Value> {
    let node = path.and_then(|path| path.first(value));
    node.filter(|node| !node.is_null())
}

/// Puts what an item says into its message.
fn fill_item(item: &Items, value: &Value, message: &mut StoredMessage) {
    let tools = node(item.tools.as_ref(), value);
    message.tools = tools.map(parts::calls).unwrap_or_default();
    message.others = tools.map_or(0, parts::unread_calls);
    if let Some(parts) = node(item.parts.as_ref(), value) {
        fill(parts, message);
    }
    let before = message.tools.len();
    if let Some(invocations) = node(item.invocations.as_ref(), value).filter(|_| before == 0) {
        message.tools.extend(parts::invocations(invocations));
    }
    let attached = node(item.attachments.as_ref(), value);
    message.attachments += attached.map_or(0, parts::attached);
    let thought = node(item.reasoning.as_ref(), value);
    message.reasoning |= thought.is_some_and(parts::has_something);
    match item.content.first(value) {
        // The parts have the same text.
        Some(_) if !message.content.is_empty() => {}
        Some(content) => fill(content, message),
        None => {
            let is_bare = message.tools.is_empty() && message.content.is_empty();
            message.decoded = message.decoded && !is_bare;
        }
    }
}

/// Which of a source's places counts.
fn counts(source: Option<&Source>) -> Counts {
    source.map(|source| source.counts).unwrap_or_default()
}

/// The conversation that a row names.
pub(super) fn conversation<'c>(slots: &[Slot], row: &'c Row<'_>) -> Option<Cow<'c, str>> {
    if let [only] = slots {
        return row.text(only);
    }
    let first = row.text(slots.first()?)?;
    let others = slots[1..].iter().map(|slot| row.text(slot));
    let parts = std::iter::once(Some(first)).chain(others);
    let parts: Vec<_> = parts
        .map(|part| keys::part(part.unwrap_or_default()))
        .collect();
    Some(Cow::Owned(parts.join("/")))
}

/// A message of what every row tells, whatever its messages are.
fn whole(plan: &Plan, row: &Row<'_>, role: Role) -> StoredMessage {
    let mut message = StoredMessage::new("", role, "");
    bare(plan, row, &mut message);
    message
}

/// Puts what every row tells, whatever its messages are, into a message without content.
fn bare(plan: &Plan, row: &Row<'_>, message: &mut StoredMessage) {
    let told = |at: Option<usize>| at.and_then(|at| row.cell(at));
    let is = |at: Option<usize>| at.is_some_and(|at| row.cells[at] == CellRef::Int(1));
    let failed = is(plan.error) || plan.failed.as_ref().is_some_and(|slot| row.says_so(slot));
    message.state = match (is(plan.deleted), failed, is(plan.open)) {
        (true, ..) => State::Deleted,
        (_, true, _) => State::Failed,
        (.., true) => State::Open,
        _ => State::Whole,
    };
    put(
        &mut message.conversation,
        conversation(&plan.conversation, row),
    );
    put(&mut message.status, told(plan.status));
    message.mark = match (plan.open.map(|at| row.cells[at]), &message.status) {
        _ if message.state == State::Open && is(plan.waits) => Mark::Waiting,
        (Some(CellRef::Int(1)), _) => Mark::Writing,
        (Some(CellRef::Int(0)), _) => Mark::Finished,
        (_, Some(status)) => status::mark(status),
        (_, None) => Mark::None,
    };
    put(&mut message.parent, told(plan.parent));
    message.time = plan.time.as_ref().and_then(|slot| row.time(slot));
    message.append = plan.append.and_then(|at| row.append(at));
    message.order = (!plan.order.is_empty()).then(|| {
        let cells = plan.order.iter().map(|at| row.cells[*at]);
        OrderKey::of(cells, plan.nulls, time::of_text)
    });
    message.key.clear();
    row.key(&plan.key, &mut message.key);
    message.extra.clear();
    row.joined(&plan.extra, &mut message.extra);
}

/// Keeps the room that the text before had.
fn put(place: &mut Option<String>, text: Option<Cow<'_, str>>) {
    match (place, text) {
        (Some(place), Some(text)) => {
            place.clear();
            place.push_str(&text);
        }
        (place, text) => *place = text.map(Cow::into_owned),
    }
}

/// The first of the values that is a time: `time` may be how long an answer took.
fn item_time(path: &Path, value: &Value) -> Option<i64> {
    path.all(value).into_iter().find_map(time_of)
}

fn item_mark(item: &Items, value: &Value) -> Mark {
    let done = item.done.as_ref().and_then(|path| path.first(value));
    match done.and_then(Value::as_bool) {
        Some(true) => Mark::Finished,
        Some(false) => Mark::Writing,
        None => Mark::None,
    }
}

fn item_state(item: &Items, value: &Value, of_row: State) -> State {
    let node = |path: &Option<Path>| path.as_ref().and_then(|path| path.first(value));
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
