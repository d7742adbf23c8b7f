//! A mapping in use: every name in it exists in the store, and every default is filled in.

use super::candidate::ColumnMatch;
use super::declared::{Allowed, Items, Shape, Store};
use super::score::Why;
use super::source::Source;
use super::{check, plan, presets, words};
use crate::cli_error::CliError;
use crate::db;
use crate::db::Db;
use crate::model::{Column, Table};
use anyhow::Context as _;
use std::fmt;

/// Where the chats of a store are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The first is read; the others hold copies of the same chats.
    pub stores: Vec<Store>,
    /// How it was found.
    pub origin: Origin,
    /// The tables that it names.
    tables: Vec<Table>,
}

/// How a mapping was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Declared in `chatctl.toml`.
    Declared,
    /// A preset that was named in `chatctl.toml`, or whose tables exist.
    Preset {
        /// The preset's name.
        name: String,
        /// The reason for its choice.
        why: String,
        /// The parts of the store that it can't read.
        unreadable: Option<String>,
    },
    /// chatctl found it, for this reason.
    Detected(Why),
}

impl Mapping {
    /// Checks stores against the existing tables: every name must exist.
    pub fn check(stores: Vec<Store>, origin: Origin, schema: &[Table]) -> Result<Self, CliError> {
        let mut mapping = Self {
            stores,
            origin,
            tables: Vec::new(),
        };
        for store in &mut mapping.stores {
            mapping.tables.extend(check::checked(store, schema)?);
        }
        if mapping.stores.is_empty() {
            Err(CliError::usage("no store is declared").hint("add [[store]] to chatctl.toml"))
        } else {
            Ok(mapping)
        }
    }

    /// The mapping that [`Self::toml`] wrote; none where its tables or columns are not there.
    pub(super) fn remembered(text: &str, schema: &[Table]) -> Option<Self> {
        let store = toml::from_str::<toml::Table>(text).ok()?.remove("store")?;
        let declared: super::Declared = store.try_into().ok()?;
        declared.resolve(schema).ok().flatten()
    }

    /// The stores of a mapping that [`Self::toml`] wrote.
    pub fn stores_in(text: &str) -> Option<Vec<Store>> {
        let store = toml::from_str::<toml::Table>(text).ok()?.remove("store")?;
        store.try_into().ok()
    }

    /// What the look at the store found, besides the mapping.
    pub fn detected(&self) -> Option<&Why> {
        match &self.origin {
            Origin::Detected(why) => Some(why),
            Origin::Declared | Origin::Preset { .. } => None,
        }
    }

    /// Refuses predicates that could do more than read; none of them is run.
    pub async fn judge(&self, db: &dyn Db) -> anyhow::Result<()> {
        let mut statements = Vec::new();
        for store in &self.stores {
            for (table, predicate) in store.predicates() {
                // In a place where only an expression can be.
                statements.push(format!(
                    "SELECT CASE WHEN {} THEN 1 ELSE 0 END FROM {} m",
                    plan::condition(db, predicate),
                    db.quote(table)
                ));
            }
        }
        if statements.is_empty() {
            Ok(())
        } else {
            db::judge(db.target(), statements)
                .await
                .context("a predicate of the mapping ([[store]] in chatctl.toml, or a preset)")
        }
    }

    /// The store that is read.
    pub fn store(&self) -> &Store {
        &self.stores[0]
    }

    /// The mapping of one of the stores alone.
    #[must_use]
    pub fn only(&self, index: usize) -> Self {
        Self {
            stores: vec![self.stores[index].clone()],
            ..self.clone()
        }
    }

    /// The same without the column that says whether a message is finished.
    #[must_use]
    pub fn without_status(mut self) -> Self {
        for store in &mut self.stores {
            store.message.status = None;
        }
        self
    }

    /// Every table that it names.
    pub fn table_names(&self) -> Vec<String> {
        let mut names: Vec<_> = self.tables.iter().map(|table| table.name.clone()).collect();
        names.sort();
        names.dedup();
        names
    }

    /// The table of messages: that of conversations, if it holds the messages.
    pub fn table(&self) -> &str {
        self.store().table()
    }

    /// Whether a column of messages has whole numbers.
    pub fn is_whole(&self, column: &str) -> bool {
        let mut tables = self.tables.iter();
        let table = tables.find(|table| table.name == self.table());
        let column = table.and_then(|table| table.column(column));
        column.is_some_and(Column::is_whole)
    }

    /// A column that seems to name the message before, and that a mapping which was found does not read.
    pub fn unread_parent(&self) -> Option<&str> {
        self.unread_parents().into_iter().next()
    }

    /// The same mapping with each such column as that of the message before: which one it is, the rows tell.
    pub fn with_parents(&self) -> Vec<Self> {
        let with = |name: &str| {
            let mut mapping = self.clone();
            mapping.stores[0].message.parent = Some(name.to_owned());
            mapping
        };
        self.unread_parents().into_iter().map(with).collect()
    }

    /// By their names, or because they refer to the table itself.
    fn unread_parents(&self) -> Vec<&str> {
        match self.store().shape {
            Shape::Row if self.detected().is_some() && self.store().message.parent.is_none() => {}
            Shape::Row
            | Shape::Turn
            | Shape::Blob
            | Shape::Event
            | Shape::Opaque
            | Shape::Chain => return Vec::new(),
        }
        let mut tables = self.tables.iter();
        let Some(table) = tables.find(|table| table.name == self.table()) else {
            return Vec::new();
        };
        let mut found: Vec<&str> = words::PARENTS
            .iter()
            .filter_map(|name| table.column(name))
            .map(|column| column.name.as_str())
            .collect();
        let refers = |column: &&Column| column.references.as_ref() == Some(&table.name);
        for column in table.columns.iter().filter(refers) {
            if !found.contains(&column.name.as_str()) {
                found.push(&column.name);
            }
        }
        found
    }

    /// Tables that refer to the messages or conversations, seem to hold texts, and are not read.
    pub fn neighbours(&self, schema: &[Table]) -> Vec<String> {
        let own = |name: &str| self.tables.iter().any(|table| table.name == name);
        let conversations = &self.store().message.conversation;
        let refers = |column: &Column| {
            // A text may be named like a table of messages.
            let is_of =
                |table: &Table| words::is_key_of(column, table) && !words::is_text(&column.name);
            column.references.as_deref().is_some_and(own)
                || self.tables.iter().any(is_of)
                || conversations
                    .iter()
                    .flat_map(Source::columns)
                    .any(|name| name == column.name)
        };
        let others = schema.iter().filter(|table| !own(&table.name));
        let with_texts = others.filter(|table| words::has_texts(table));
        let found = with_texts.filter(|table| table.columns.iter().any(refers));
        found.map(|table| table.name.clone()).collect()
    }

    /// Whether the messages of a conversation are read in an order.
    pub fn is_ordered(&self) -> bool {
        let store = self.store();
        !store.message.order.is_empty() || matches!(store.shape, Shape::Blob | Shape::Chain)
    }

    /// The table and the column of the assistant's text.
    pub fn answers(&self) -> Option<(&str, &str)> {
        self.text_columns().first().copied()
    }

    /// The columns that hold texts, with their tables.
    pub(super) fn text_columns(&self) -> Vec<(&str, &str)> {
        let store = self.store();
        let message = &store.message;
        let items = store.item.iter().flat_map(Items::lists);
        let own = [&message.response, &message.content, &message.prompt];
        let own = items
            .chain(own.into_iter().flatten())
            .map(|source| (store.table(), source));
        let parts = store
            .parts
            .iter()
            .map(|parts| (parts.table.as_str(), &parts.content));
        own.chain(parts)
            .flat_map(|(table, source)| source.columns().map(move |column| (table, column)))
            .collect()
    }

    /// Where it reads texts, in a sentence.
    pub fn reads(&self) -> String {
        let names: Vec<_> = self
            .text_columns()
            .iter()
            .map(|(table, column)| format!("`{table}.{column}`"))
            .collect();
        names.join(", ")
    }

    /// Whether it reads texts from one of the columns in which a text was found.
    pub fn reads_any(&self, hits: &[ColumnMatch]) -> bool {
        let columns = self.text_columns();
        hits.iter()
            .any(|hit| columns.contains(&(hit.table.as_str(), hit.column.as_str())))
    }

    /// The columns of a table that it names.
    pub(super) fn columns(&self, table: &str) -> Vec<String> {
        let table = self.tables.iter().find(|known| known.name == table);
        let columns = table.map(|table| table.columns.iter());
        columns
            .into_iter()
            .flatten()
            .map(|column| column.name.clone())
            .collect()
    }

    /// A column that it names.
    pub(super) fn column(&self, table: &str, name: &str) -> Option<&Column> {
        let table = self.tables.iter().find(|known| known.name == table)?;
        table.column(name)
    }

    /// Whether the product lets its users do that.
    pub fn allows(&self, what: Allowed) -> bool {
        self.store().allow.contains(&what)
    }

    /// The parts of the store that can't be read through it.
    pub fn unreadable(&self) -> Option<&str> {
        match &self.origin {
            Origin::Preset { unreadable, .. } => unreadable.as_deref(),
            _ => None,
        }
    }

    /// The mapping as `chatctl.toml` declares one, with every default written out.
    pub fn toml(&self) -> String {
        let mut store = self.stores.clone();
        for store in store.iter_mut().filter(|store| store.item.is_none()) {
            store
                .message
                .append
                .get_or_insert_with(|| "none".to_owned());
        }
        presets::toml(store)
    }

    /// The table or the preset, and how it was found, for the head of a report.
    pub fn short(&self) -> String {
        match &self.origin {
            Origin::Declared => format!("{} (declared)", self.table()),
            Origin::Preset { name, .. } => format!("{name} (preset)"),
            Origin::Detected(_) => format!("{} (detected)", self.table()),
        }
    }
}

impl Store {
    /// The same without tool calls that are kept apart from the text.
    #[must_use]
    pub fn without_tools(mut self) -> Self {
        self.message.tools = None;
        if let Some(item) = &mut self.item {
            item.tools = None;
        }
        self
    }

    /// The same without marks of what is deleted for the user.
    #[must_use]
    pub fn without_deletion(mut self) -> Self {
        self.message.deleted = None;
        if let Some(conversation) = &mut self.conversation {
            conversation.deleted = None;
        }
        self
    }

    /// In how many places of a row it looks for what a message holds.
    pub fn reads(&self) -> usize {
        let places = |source: &Option<Source>| source.as_ref().map_or(0, |it| it.places.len());
        let message = &self.message;
        let texts = [&message.content, &message.prompt, &message.response];
        let items = self.item.iter().map(Items::reads).sum::<usize>();
        texts.into_iter().map(places).sum::<usize>() + items
    }

    /// The table of messages.
    pub fn table(&self) -> &str {
        match (&self.item, &self.conversation) {
            (Some(_), Some(conversation)) => &conversation.table,
            _ => &self.message.table,
        }
    }
}

/// The mapping in one line, for a note.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.store();
        let message = &store.message;
        let one =
            |what: &str, source: Option<&Source>| source.map(|source| format!("{what} {source}"));
        let joined = |columns: Vec<String>| {
            if columns.is_empty() {
                None
            } else {
                Some(columns.join("+"))
            }
        };
        let conversation = joined(message.conversation.iter().map(Source::to_string).collect());
        let parts = [
            one("role", message.role.as_ref()),
            one("content", message.content.as_ref()),
            one("prompt", message.prompt.as_ref()),
            one("response", message.response.as_ref()),
            one("items", store.item.as_ref().map(|item| &item.items)),
            joined(message.payload.clone()).map(|columns| format!("opaque {columns}")),
            conversation.map(|columns| format!("conversation {columns}")),
            message
                .status
                .as_ref()
                .map(|status| format!("status {status}")),
        ];
        let parts: Vec<_> = parts.into_iter().flatten().collect();
        write!(f, "{}({})", self.table(), parts.join(", "))?;
        match &self.origin {
            Origin::Declared => f.write_str(", declared in chatctl.toml"),
            Origin::Preset { name, why, .. } => write!(f, ", preset {name}: {why}"),
            Origin::Detected(why) if f.alternate() => write!(f, ", detected: {why:#}"),
            Origin::Detected(why) => write!(f, ", detected: {why}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Mapping, Origin, Store};
    use crate::model::{Column, Table};

    fn schema() -> Vec<Table> {
        let column = |name: &str| Column {
            name: name.into(),
            declared: if name == "id" { "INTEGER" } else { "TEXT" }.into(),
            key: name == "id",
            references: None,
        };
        vec![Table {
            name: "message".into(),
            columns: ["id", "role", "content", "created_at", "done"]
                .map(column)
                .into(),
        }]
    }

    fn check(text: &str) -> Result<Mapping, crate::cli_error::CliError> {
        let store: Store = toml::from_str(text).unwrap();
        Mapping::check(vec![store], Origin::Declared, &schema())
    }

    const GOOD: &str = "[message]\ntable = 'Message'\nrole = 'Role'\ncontent = 'content'\ntime = 'created_at'\nopen = '{DONE} = 0'";

    #[test]
    fn a_declaration_is_completed_from_the_schema() {
        let mapping = check(GOOD).unwrap();
        let message = &mapping.store().message;
        assert_eq!(mapping.table(), "message");
        assert_eq!(message.key, ["id"]);
        assert_eq!(message.order, ["id", "created_at"]);
        assert_eq!(message.append.as_deref(), Some("id"));
        assert_eq!(message.open.as_ref().unwrap().columns(), ["done"]);
        let written = mapping.toml();
        let again = toml::from_str::<toml::Table>(&written).unwrap()["store"].clone();
        let again: super::super::Declared = again.try_into().unwrap();
        assert_eq!(
            again.resolve(&schema()).unwrap().unwrap().stores,
            mapping.stores
        );
        let none = check(&format!("{GOOD}\nappend = 'none'")).unwrap();
        assert_eq!(none.store().message.append, None);
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        for (from, to, message, near) in [
            (
                "'Message'",
                "'mesages'",
                "no table `mesages` in the store",
                "`message`",
            ),
            (
                "'Role'",
                "'rolle'",
                "no column `rolle` in table `message`",
                "`role`",
            ),
            (
                "{DONE}",
                "{dne}",
                "no column `dne` in table `message`",
                "`done`",
            ),
            (
                "'content'",
                "'contnt::$.x'",
                "no column `contnt` in table `message`",
                "`content`",
            ),
        ] {
            let stop = check(&GOOD.replace(from, to)).unwrap_err();
            assert_eq!(stop.message, message);
            assert!(stop.hint.unwrap().contains(near), "{to}");
        }
    }

    #[test]
    fn a_shape_learns_what_it_lacks() {
        for (shape, lacks) in [
            ("turn", "`prompt` in [store.message]"),
            ("blob", "`table` in [store.conversation]"),
            ("opaque", "`payload` in [store.message]"),
            ("chain", "`parent` in [store.message]"),
        ] {
            let stop = check(&format!("shape = '{shape}'\n{GOOD}")).unwrap_err();
            assert!(stop.message.contains(lacks), "{}", stop.message);
        }
    }
}
