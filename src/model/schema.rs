//! Tables and columns as the store's catalogue describes them.

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// Its name, as the catalogue spells it.
    pub name: String,
    /// Its columns, in order.
    pub columns: Vec<Column>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Column {
    /// Its name, as the catalogue spells it.
    pub name: String,
    /// The declared type, upper case; empty when none was declared.
    pub declared: String,
    /// Whether it is part of the primary key.
    pub key: bool,
    /// The table that it refers to by a foreign key.
    pub references: Option<String>,
}

impl Table {
    /// The columns of its primary key, in the order of the table.
    pub fn keys(&self) -> impl Iterator<Item = &Column> {
        self.columns.iter().filter(|column| column.key)
    }

    /// The column of that name, whatever its case.
    pub fn column(&self, name: &str) -> Option<&Column> {
        self.columns
            .iter()
            .find(|column| column.name.eq_ignore_ascii_case(name))
    }
}

impl Column {
    /// Whether whole numbers are stored in it.
    pub fn is_whole(&self) -> bool {
        let whole = ["INT", "SERIAL"]
            .iter()
            .any(|name| self.declared.contains(name));
        whole
            && !["INTERVAL", "POINT"]
                .iter()
                .any(|name| self.declared.contains(name))
    }

    /// Whether texts, JSON or bytes may be stored in it.
    pub fn holds_content(&self) -> bool {
        let binary = ["BLOB", "BYTEA", "BINARY", "UUID"];
        self.holds_text() || binary.iter().any(|name| self.declared.contains(name))
    }

    /// Whether text may be stored in it: SQLite's affinity rules, which the other
    /// engines' names for text types fit too.
    pub fn holds_text(&self) -> bool {
        let textual = ["CHAR", "CLOB", "TEXT", "JSON", "STRING"];
        self.declared.is_empty() || textual.iter().any(|name| self.declared.contains(name))
    }
}
