//! Which table and columns hold messages: a row per message.

use crate::model::Role;
use crate::model::Table;
use crate::stop::Stop;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;

/// A mapping in use: every name in it exists in the store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    /// The table of messages.
    pub table: String,
    /// Its key columns.
    pub key: Vec<String>,
    /// The columns that name the conversation; none when there is one conversation only.
    pub conversation: Vec<String>,
    /// The column that tells whose message it is.
    pub role: String,
    /// The column with the text.
    pub content: String,
    /// The column that tells whether the message is finished.
    pub status: Option<String>,
    /// The columns that order the messages of a conversation.
    pub order: Vec<String>,
    /// What stands in the role column, and what it means.
    pub roles: BTreeMap<String, String>,
    /// How it was found.
    pub origin: Origin,
}

/// How a mapping was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// `chatctl.toml` says so.
    Declared,
    /// chatctl found it, for this reason.
    Detected(String),
}

/// `[store.message]` of `chatctl.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Declared {
    /// The table of messages.
    pub table: String,
    /// Its key columns.
    #[serde(default)]
    pub key: Vec<String>,
    /// The columns that name the conversation.
    #[serde(default)]
    pub conversation: Vec<String>,
    /// The column that tells whose message it is.
    pub role: String,
    /// The column with the text.
    pub content: String,
    /// The column that tells whether the message is finished.
    pub status: Option<String>,
    /// The columns that order the messages of a conversation; default: the key.
    #[serde(default)]
    pub order: Vec<String>,
    /// What stands in the role column: `human = "user"`.
    #[serde(default, rename = "role_map")]
    pub role_map: BTreeMap<String, String>,
}

/// Spellings of the two roles that are known without being told.
const KNOWN_ROLES: &[(&str, &str)] = &[
    ("user", "user"),
    ("human", "user"),
    ("user_message", "user"),
    ("usermessage", "user"),
    ("assistant", "assistant"),
    ("ai", "assistant"),
    ("bot", "assistant"),
    ("model", "assistant"),
    ("agent", "assistant"),
    ("assistant_message", "assistant"),
    ("apimessage", "assistant"),
];

impl Mapping {
    /// Checks a declaration against the store: every name must exist.
    pub fn declared(declared: &Declared, schema: &[Table]) -> Result<Self, Stop> {
        let table = find(schema.iter().map(|table| &table.name), &declared.table)
            .map_err(|near| unknown("table", &declared.table, "the store", near))?;
        let table = schema
            .iter()
            .find(|known| known.name == table)
            .expect("the name was found in the schema");
        let column = |name: &String| {
            find(table.columns.iter().map(|column| &column.name), name)
                .map_err(|near| unknown("column", name, &format!("table `{}`", table.name), near))
        };
        let columns = |names: &[String]| names.iter().map(column).collect::<Result<Vec<_>, _>>();
        let key = match declared.key.is_empty() {
            true => keys(table),
            false => columns(&declared.key)?,
        };
        let order = match declared.order.is_empty() {
            true => key.clone(),
            false => columns(&declared.order)?,
        };
        Ok(Self {
            table: table.name.clone(),
            conversation: columns(&declared.conversation)?,
            role: column(&declared.role)?,
            content: column(&declared.content)?,
            status: declared.status.as_ref().map(column).transpose()?,
            roles: declared.role_map.clone(),
            origin: Origin::Declared,
            key,
            order,
        })
    }

    /// The table and how it was found, for the head of a report.
    pub fn short(&self) -> String {
        let how = match self.origin {
            Origin::Declared => "declared",
            Origin::Detected(_) => "detected",
        };
        format!("{} ({how})", self.table)
    }

    /// What a value of the role column means.
    pub fn role_of(&self, value: &str) -> Role {
        let known = || {
            let lower = value.to_lowercase();
            KNOWN_ROLES
                .iter()
                .find(|(spelling, _)| *spelling == lower)
                .map(|(_, role)| *role)
        };
        match self.roles.get(value).map(String::as_str).or_else(known) {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some(other) => Role::Other(other.to_owned()),
            None => Role::Other(value.to_owned()),
        }
    }
}

/// The key columns of a table.
pub(super) fn keys(table: &Table) -> Vec<String> {
    table
        .columns
        .iter()
        .filter(|column| column.key)
        .map(|column| column.name.clone())
        .collect()
}

/// The mapping in one line, for a note and a report.
impl fmt::Display for Mapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}(role {}, content {}",
            self.table, self.role, self.content
        )?;
        if !self.conversation.is_empty() {
            write!(f, ", conversation {}", self.conversation.join("+"))?;
        }
        if let Some(status) = &self.status {
            write!(f, ", status {status}")?;
        }
        match &self.origin {
            Origin::Declared => f.write_str("), declared in chatctl.toml"),
            Origin::Detected(why) => write!(f, "), detected: {why}"),
        }
    }
}

fn find<'a>(
    names: impl Iterator<Item = &'a String> + Clone,
    wanted: &str,
) -> Result<String, Option<String>> {
    let exact = names.clone().find(|name| *name == wanted);
    let alike = || names.clone().find(|name| name.eq_ignore_ascii_case(wanted));
    if let Some(name) = exact.or_else(alike) {
        return Ok(name.clone());
    }
    let near = names
        .map(|name| (strsim::jaro_winkler(name, wanted), name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    Err(near.map(|(_, name)| name.clone()))
}

fn unknown(what: &str, name: &str, place: &str, near: Option<String>) -> Stop {
    let stop = Stop::usage(format!("no {what} `{name}` in {place}"));
    match near {
        Some(near) => stop.hint(format!(
            "did you mean `{near}`? mend [store.message] in chatctl.toml"
        )),
        None => stop.hint(
            "mend [store.message] in chatctl.toml, or remove it to let chatctl find the table",
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::Declared;
    use super::Mapping;
    use crate::model::Column;
    use crate::model::Role;
    use crate::model::Table;

    fn schema() -> Vec<Table> {
        let column = |name: &str, key| Column {
            name: name.into(),
            declared: "TEXT".into(),
            key,
            references: None,
        };
        vec![Table {
            name: "message".into(),
            columns: vec![
                column("id", true),
                column("role", false),
                column("content", false),
            ],
        }]
    }

    fn declared(table: &str, role: &str) -> Declared {
        toml::from_str(&format!(
            "table='{table}'\nrole='{role}'\ncontent='content'\nrole_map={{cust='user'}}"
        ))
        .unwrap()
    }

    #[test]
    fn a_declaration_is_completed_from_the_schema() {
        let mapping = Mapping::declared(&declared("Message", "role"), &schema()).unwrap();
        assert_eq!(mapping.table, "message");
        assert_eq!(mapping.order, ["id"]);
        assert_eq!(mapping.role_of("cust"), Role::User);
        assert_eq!(mapping.role_of("AI"), Role::Assistant);
        assert_eq!(mapping.role_of("tool"), Role::Other("tool".into()));
    }

    #[test]
    fn an_unknown_name_suggests_the_nearest() {
        let stop = Mapping::declared(&declared("mesage", "role"), &schema()).unwrap_err();
        assert_eq!(stop.message, "no table `mesage` in the store");
        assert!(stop.hint.unwrap().contains("`message`"));
        let stop = Mapping::declared(&declared("message", "rolle"), &schema()).unwrap_err();
        assert!(stop.hint.unwrap().contains("`role`"));
    }
}
