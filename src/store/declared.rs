//! The grammar of mappings: `[[store]]` of `chatctl.toml` and of the presets.

use super::predicate::Predicate;
use super::source::{Path, Source};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One place in which chats are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Store {
    /// A shipped mapping, in place of all that follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<String>,
    /// How messages are laid out.
    pub shape: Shape,
    /// What the product lets its users do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Allowed>,
    /// The rows of conversations.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub conversation: Option<Conversations>,
    /// The rows of messages.
    pub message: Messages,
    /// The items in a conversation's row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub item: Option<Items>,
    /// The rows of a message's parts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parts: Option<Parts>,
}

/// How messages are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Shape {
    /// A row for each message.
    #[default]
    Row,
    /// A row for each question with its answer.
    Turn,
    /// An array or a tree in the conversation's row.
    Blob,
    /// A log of events, some of which are messages.
    Event,
    /// Rows that only their writer can read.
    Opaque,
    /// Messages that name the one before, from the conversation's last one on.
    Chain,
}

/// What users may do to what is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Allowed {
    /// Change a message.
    Edit,
    /// Delete messages or conversations.
    Delete,
    /// Delete whole conversations, and no single message.
    Clear,
    /// Put messages into another conversation.
    Move,
}

/// The rows of conversations.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Conversations {
    pub table: String,
    /// Its key columns; default: the primary key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<Source>,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Source>,
    /// When it was begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// When it was last written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub updated: Option<String>,
    /// The key of the current leaf.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tip: Option<Source>,
    /// Which rows are conversations.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub only: Option<Predicate>,
    /// Which of them are deleted for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Predicate>,
}

impl Store {
    /// The columns that order messages, where one of them is neither the key nor the time nor the
    /// append column, which say it too; none where a message names the one before it.
    pub(crate) fn order_apart(&self) -> &[String] {
        match self.message.parent {
            None => self.order_told(),
            Some(_) => &[],
        }
    }

    /// The same where a message names the one before it, whose order is not compared.
    pub(crate) fn order_besides_parents(&self) -> &[String] {
        match self.message.parent {
            None => &[],
            Some(_) => self.order_told(),
        }
    }

    fn order_told(&self) -> &[String] {
        let message = &self.message;
        let rows = match self.shape {
            Shape::Row | Shape::Turn | Shape::Event | Shape::Opaque => true,
            Shape::Blob | Shape::Chain => false,
        };
        let is_known = |name: &String| {
            let mut times = message.time.iter().flat_map(Source::columns);
            message.key.contains(name)
                || message.append.as_ref() == Some(name)
                || times.any(|time| time == name)
        };
        if rows && !message.order.iter().all(is_known) {
            &message.order
        } else {
            &[]
        }
    }

    /// Whether the place of an item in its array orders it, and its key does not say it.
    pub(crate) fn orders_items(&self) -> bool {
        let item = self.item.as_ref();
        item.is_some_and(|item| item.key.is_some() && item.parent.is_none())
    }

    /// The conditions in it, each with the table that it is over.
    pub(super) fn predicates(&self) -> Vec<(&str, &Predicate)> {
        let mut found = Vec::new();
        if let Some(place) = &self.conversation {
            let predicates = [&place.only, &place.deleted].into_iter().flatten();
            found.extend(predicates.map(|predicate| (place.table.as_str(), predicate)));
        }
        let message = &self.message;
        let predicates = [
            &message.only,
            &message.open,
            &message.waits,
            &message.error,
            &message.deleted,
        ];
        let predicates = predicates.into_iter().flatten();
        found.extend(predicates.map(|predicate| (self.table(), predicate)));
        if let Some(parts) = &self.parts {
            let predicates = parts.only.iter();
            found.extend(predicates.map(|predicate| (parts.table.as_str(), predicate)));
        }
        found
    }
}

impl Messages {
    /// The columns that it names, in whatever part.
    pub(super) fn columns(&self) -> Vec<&str> {
        let sources = [
            &self.role,
            &self.content,
            &self.prompt,
            &self.response,
            &self.time,
            &self.response_time,
            &self.tools,
            &self.user,
            &self.failed,
        ];
        let sources = sources.into_iter().flatten().chain(&self.conversation);
        let predicates = [
            &self.only,
            &self.open,
            &self.waits,
            &self.error,
            &self.deleted,
        ];
        let lists = [
            &self.key,
            &self.payload,
            &self.order,
            &self.extra,
            &self.volatile,
        ];
        let names = lists.into_iter().flatten();
        let names = names.chain(&self.append).chain(&self.parent);
        sources
            .flat_map(Source::columns)
            .chain(
                predicates
                    .into_iter()
                    .flatten()
                    .flat_map(Predicate::columns),
            )
            .chain(names.chain(&self.status).map(String::as_str))
            .collect()
    }
}

/// The rows of messages, of turns or of events.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Messages {
    /// The table; left out where the conversation's row holds the messages.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub table: String,
    /// Its key columns; default: the primary key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub key: Vec<String>,
    /// The columns that name the conversation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conversation: Vec<Source>,
    /// Whose message it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<Source>,
    /// The text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub content: Option<Source>,
    /// The question of a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prompt: Option<Source>,
    /// The answer of a turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response: Option<Source>,
    /// Columns of which only a digest can be told.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub payload: Vec<String>,
    /// When it was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time: Option<Source>,
    /// When a turn was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub response_time: Option<Source>,
    /// The columns that order the messages of a conversation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub order: Vec<String>,
    /// The column that only grows with each new message, or `none`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub append: Option<String>,
    /// The key of the message before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub parent: Option<String>,
    /// Tool calls that are kept apart from the text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tools: Option<Source>,
    /// A column that shows how far the message is, told as it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<String>,
    /// The user's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<Source>,
    /// Which rows are messages.
    #[serde(rename = "where", skip_serializing_if = "Option::is_none")]
    pub only: Option<Predicate>,
    /// Which of them are still being written.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub open: Option<Predicate>,
    /// Which of those wait for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<Predicate>,
    /// Which of them failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Predicate>,
    /// Where a value says that one failed: neither absent nor null nor false.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failed: Option<Source>,
    /// Which of them are deleted for the user.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deleted: Option<Predicate>,
    /// What is in the role column, and what it means: `human = "user"`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub role_map: BTreeMap<String, String>,
    /// Columns that belong to the message's fingerprint.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub extra: Vec<String>,
    /// Columns that change for good reasons.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub volatile: Vec<String>,
}

/// The items in a conversation's row; each path is into one item, but that of `items`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Items {
    /// An array, a map from key to item, or several nodes.
    pub items: Source,
    /// The key; default: that of the map, else the index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Path>,
    /// Whose message it is.
    pub role: Path,
    /// The text.
    pub content: Path,
    /// When it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<Path>,
    /// The key of the message before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent: Option<Path>,
    /// Tool calls that are kept apart from the text.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Path>,
    /// False while it is being written.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<Path>,
    /// Neither absent nor null nor false when it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<Path>,
    /// Its parts, which are read before the text: that counts where they have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parts: Option<Path>,
    /// Tool calls as version 4 of the AI SDK keeps them, read where the parts have none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invocations: Option<Path>,
    /// What is attached to it: only counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attachments: Option<Path>,
    /// What the model thought: only whether it is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reasoning: Option<Path>,
    /// Further lists, of messages that were archived: they go on in `items`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub earlier: Vec<Source>,
    /// Further lists, each of which counts its messages on its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Source>,
}

impl Items {
    /// Items of which only the text and the role are read.
    pub(super) fn of(items: Source, role: Path, content: Path) -> Self {
        Self {
            items,
            role,
            content,
            key: None,
            time: None,
            parent: None,
            tools: None,
            done: None,
            error: None,
            parts: None,
            invocations: None,
            attachments: None,
            reasoning: None,
            earlier: Vec::new(),
            also: Vec::new(),
        }
    }

    /// With what the AI SDK and others keep next to a text.
    pub(super) fn with_usual_fields(self) -> Self {
        let path = |text: &str| Path::try_from(text.to_owned()).ok();
        let has_parts = String::from(self.content.clone()) == "$.parts";
        Self {
            tools: path("$.tool_calls"),
            parts: path("$.parts").filter(|_| !has_parts),
            invocations: path("$.toolInvocations"),
            attachments: path("$['experimental_attachments', 'attachments']"),
            reasoning: path("$['reasoning', 'reasoning_content']"),
            ..self
        }
    }

    /// Where its text and its tool calls are.
    pub fn contents(&self) -> Vec<String> {
        let paths = [
            Some(&self.content),
            self.parts.as_ref(),
            self.tools.as_ref(),
            self.invocations.as_ref(),
        ];
        let paths = paths.into_iter().flatten();
        paths.map(|path| String::from(path.clone())).collect()
    }

    /// In how many places it looks for what an item holds.
    pub(super) fn reads(&self) -> usize {
        let counted = [&self.attachments, &self.reasoning].into_iter().flatten();
        self.lists().count() + self.contents().len() + counted.count()
    }

    /// The lists of items, first the one that is written to.
    pub(super) fn lists(&self) -> impl Iterator<Item = &Source> {
        let one = std::iter::once(&self.items);
        one.chain(&self.earlier).chain(&self.also)
    }
}

/// The rows of a message's parts.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Parts {
    pub table: String,
    /// The column that refers to the message's key.
    pub key: String,
    /// The column that orders the parts of a message.
    pub order: String,
    /// The text.
    pub content: Source,
    /// Tool calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tools: Option<Source>,
    /// Which of them belong to the message: a model's thoughts may be among its words.
    #[serde(rename = "where", default, skip_serializing_if = "Option::is_none")]
    pub only: Option<Predicate>,
}
