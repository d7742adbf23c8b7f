//! What belongs to messages and conversations besides the messages themselves: rows of other tables, who owns a
//! conversation, and its title.

use super::Table;
use serde::{Deserialize, Serialize};

/// A table whose rows belong to messages or conversations.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dependent {
    pub table: String,
    /// The columns that distinguish its rows; none where it has no primary key.
    pub key: Vec<String>,
    /// The column that names what a row belongs to.
    pub owner: String,
    pub of: Belongs,
    /// The columns that are compared.
    pub columns: Vec<String>,
    /// A column that is negative in rows that may be written again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub counted: Option<String>,
}

/// What the rows of such a table belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Belongs {
    ToMessages,
    ToConversations,
}

/// A row of such a table, or what a conversation's row says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependentRow {
    pub what: Fact,
    /// The table and the row's key, as text.
    pub key: String,
    pub conversation: Option<String>,
    /// The key of the message that it belongs to.
    pub message: Option<String>,
    /// What is compared, as text that is the same on every backend.
    pub content: String,
    /// How many of the compared columns hold something.
    pub filled: u8,
}

/// What a [`DependentRow`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fact {
    /// Who owns a conversation.
    Owner,
    Title,
    /// A row of that table: its place in the list of tables.
    Row(u8),
}

impl Dependent {
    /// Whether the table is there without a column of these.
    pub fn lacks_columns(&self, schema: &[Table]) -> bool {
        let table = schema.iter().find(|table| table.name == self.table);
        let names = self.key.iter().chain(&self.columns).chain(&self.counted);
        let mut names = names.chain([&self.owner]);
        table.is_some_and(|table| names.any(|name| table.column(name).is_none()))
    }
}
