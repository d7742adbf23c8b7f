//! A mapping in use: every name in it exists in the store, and every default is filled in.

use super::declared::Allowed;
use super::declared::Shape;
use super::declared::Store;
use super::names;
use super::predicate::Predicate;
use super::source::Source;
use crate::model::Column;
use crate::model::Table;
use crate::stop::Stop;
use std::fmt;

/// Where the chats of a store are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The first is read; the others keep the same chats once more.
    pub stores: Vec<Store>,
    /// How it was found.
    pub origin: Origin,
    /// The tables that it names.
    tables: Vec<Table>,
}

/// How a mapping was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `chatctl.toml` says so.
    Declared,
    /// A preset that was named in `chatctl.toml`, or whose tables are there.
    Preset {
        /// The preset's name.
        name: String,
        /// Why it was taken.
        why: String,
        /// What of the store it can't read.
        unreadable: Option<String>,
    },
    /// chatctl found it, for this reason.
    Detected(String),
}

impl Mapping {
    /// Checks stores against the tables that are there: every name must exist.
    pub fn check(stores: Vec<Store>, origin: Origin, schema: &[Table]) -> Result<Self, Stop> {
        let mut mapping = Self {
            stores,
            origin,
            tables: Vec::new(),
        };
        for store in &mut mapping.stores {
            mapping.tables.extend(checked(store, schema)?);
        }
        match mapping.stores.is_empty() {
            true => Err(Stop::usage("no store is declared").hint("add [[store]] to chatctl.toml")),
            false => Ok(mapping),
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

    /// The table in which messages are: that of conversations, where they hold the messages.
    pub fn table(&self) -> &str {
        self.store().table()
    }

    /// The table and the column in which the assistant's text is.
    pub fn answers(&self) -> Option<(&str, &str)> {
        self.text_columns().first().copied()
    }

    /// The columns that hold texts, with their tables.
    pub(super) fn text_columns(&self) -> Vec<(&str, &str)> {
        let store = self.store();
        let message = &store.message;
        let item = store.item.as_ref().map(|item| &item.items);
        let own = [
            item,
            message.response.as_ref(),
            message.content.as_ref(),
            message.prompt.as_ref(),
        ];
        let own = own
            .into_iter()
            .flatten()
            .map(|source| (store.table(), source));
        let parts = store
            .parts
            .iter()
            .map(|parts| (parts.table.as_str(), &parts.content));
        own.chain(parts)
            .flat_map(|(table, source)| source.columns().map(move |column| (table, column)))
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
    /// The table in which messages are.
    pub fn table(&self) -> &str {
        match (&self.item, &self.conversation) {
            (Some(_), Some(conversation)) => &conversation.table,
            _ => &self.message.table,
        }
    }
}

/// The tables of a store, after its names were put as the catalogue spells them.
fn checked(store: &mut Store, schema: &[Table]) -> Result<Vec<Table>, Stop> {
    complete(store)?;
    let mut tables = Vec::new();
    if let Some(conversation) = &mut store.conversation {
        let table = names::table(schema, &conversation.table)?;
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
        if let Some(item) = &mut store.item {
            in_source(table, Some(&mut item.items))?;
        }
        if conversation.key.is_empty() {
            return Err(lacks(
                "key",
                "store.conversation",
                "the table has no primary key",
            ));
        }
        tables.push(table.clone());
    }
    if let Some(parts) = &mut store.parts {
        let table = names::table(schema, &parts.table)?;
        parts.table.clone_from(&table.name);
        each(table, [&mut parts.key, &mut parts.order])?;
        in_source(table, Some(&mut parts.content))?;
        in_source(table, parts.tools.as_mut())?;
        tables.push(table.clone());
    }
    if store.item.is_some() {
        return Ok(tables);
    }
    let message = &mut store.message;
    let table = names::table(schema, &message.table)?;
    message.table.clone_from(&table.name);
    if message.key.is_empty() {
        message.key = keys(table);
    }
    each(table, &mut message.key)?;
    each(table, &mut message.payload)?;
    each(table, &mut message.order)?;
    each(table, &mut message.extra)?;
    each(table, &mut message.volatile)?;
    each(table, message.parent.as_mut())?;
    each(table, message.status.as_mut())?;
    for source in &mut message.conversation {
        in_source(table, Some(source))?;
    }
    for source in [
        &mut message.role,
        &mut message.content,
        &mut message.prompt,
        &mut message.response,
        &mut message.time,
        &mut message.response_time,
        &mut message.tools,
        &mut message.user,
    ] {
        in_source(table, source.as_mut())?;
    }
    for predicate in [
        &mut message.only,
        &mut message.open,
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
    let places = store
        .conversation
        .as_ref()
        .map(|conversation| conversation.key.len());
    if !message.conversation.is_empty()
        && places.is_some_and(|places| places != message.conversation.len())
    {
        return Err(lacks(
            "conversation",
            "store.message",
            "it must name as many columns as the key of [store.conversation]",
        ));
    }
    tables.push(table.clone());
    Ok(tables)
}

/// Whether a shape has what it needs.
fn complete(store: &Store) -> Result<(), Stop> {
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

fn lacks(name: &str, part: &str, why: &str) -> Stop {
    Stop::usage(format!("the mapping lacks `{name}` in [{part}]: {why}"))
        .hint("mend [[store]] in chatctl.toml; `chatctl inspect schema` lists tables and columns")
}

fn each<'n>(table: &Table, named: impl IntoIterator<Item = &'n mut String>) -> Result<(), Stop> {
    for name in named {
        *name = names::column(table, name)?;
    }
    Ok(())
}

fn in_source(table: &Table, source: Option<&mut Source>) -> Result<(), Stop> {
    let places = source
        .map(|source| source.places.iter_mut())
        .into_iter()
        .flatten();
    each(table, places.map(|place| &mut place.column))
}

fn in_predicate(table: &Table, predicate: Option<&mut Predicate>) -> Result<(), Stop> {
    let Some(predicate) = predicate else {
        return Ok(());
    };
    for name in predicate.columns() {
        names::column(table, name)?;
    }
    *predicate = predicate
        .renamed(|name| names::column(table, name).expect("each name was found a moment ago"));
    Ok(())
}

/// The key columns of a table.
pub(super) fn keys(table: &Table) -> Vec<String> {
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
fn counted(table: &Table) -> Option<&str> {
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
    let all = ["sequence_id", "seq"]
        .iter()
        .find_map(|name| table.column(name));
    let time = time
        .filter(|time| !time.is_json())
        .and_then(|time| time.columns().next());
    let found = serial
        .map(String::as_str)
        .or(all.map(|column| column.name.as_str()));
    found.or(time).map(str::to_owned)
}

fn is_whole(table: &Table, name: &str) -> bool {
    table.column(name).is_some_and(Column::is_whole)
}

/// The mapping in one line, for a note.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.store();
        let message = &store.message;
        let one =
            |what: &str, source: Option<&Source>| source.map(|source| format!("{what} {source}"));
        let joined = |columns: Vec<String>| match columns.is_empty() {
            true => None,
            false => Some(columns.join("+")),
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
            Origin::Detected(why) => write!(f, ", detected: {why}"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Mapping;
    use super::Origin;
    use super::Store;
    use crate::model::Column;
    use crate::model::Table;

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

    fn check(text: &str) -> Result<Mapping, crate::stop::Stop> {
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
    fn a_shape_is_told_what_it_lacks() {
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
