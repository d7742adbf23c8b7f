//! Objects that belong to a table, or are derived from it.

use crate::sql::{Dialect, TokenKind, tokenize};

/// The kind of [`Object`] that a table has one of: its primary key,
pub(in crate::db) const KEY: &str = "primary key";
/// and the counter that never gives a number again.
pub(in crate::db) const COUNTER: &str = "AUTOINCREMENT";
/// On SQLite, that its key is no number which may be left out and is NULL then, as that of `INT PRIMARY KEY`.
pub(in crate::db) const NUMBER: &str = "automatic number";
/// What a table has of some columns: a foreign key,
pub(in crate::db) const FOREIGN_KEY: &str = "foreign key";
/// what that does when the row goes that it leads to,
pub(in crate::db) const ON_DELETE: &str = "ON DELETE of the foreign key";
/// a constraint that keeps equal values out,
pub(in crate::db) const UNIQUE: &str = "UNIQUE";
/// one that keeps NULL out,
pub(in crate::db) const NOT_NULL: &str = "NOT NULL";
/// a rule that says which rows a role sees, or writes,
pub(in crate::db) const POLICY: &str = "policy";
/// whether such rules count,
pub(in crate::db) const POLICIES: &str = "row-level";
/// and a value that new rows get, be it from a sequence.
pub(in crate::db) const DEFAULT: &str = "default";
/// That such a value is computed for each row, as the time is, and is not one value for all.
pub(in crate::db) const COMPUTED: &str = "computed default";
/// An index that does what a UNIQUE constraint does: it is an object of its own besides, and not
/// missed as this.
pub(in crate::db) const KEEPS_APART: &str = "unique columns";

/// An index, a trigger, a view or what a table has one of, and the table that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object {
    /// What it is: `index`.
    pub kind: String,
    /// Its name, or its columns in words.
    pub name: String,
    /// The table that it belongs to; a view belongs to itself.
    pub table: String,
    /// By which the engine knows it again under another name, where it does.
    pub id: Option<u64>,
    /// The columns that it is made of; none where these are not all, or nobody knows.
    pub columns: Vec<String>,
}

/// What kind of [`Object`] a trigger is that is switched off.
pub const SWITCHED_OFF: &str = "switched-off trigger";

/// When it is reported that an object is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// Always.
    Nothing,
    /// Where more of the same table went: alone it is what a rebuild is made for.
    Others,
    /// Never: another object says so.
    Another,
}

impl Object {
    /// Whether it is the same one: by its name, or as what the table has one of.
    pub fn is(&self, other: &Self) -> bool {
        let of_table = self.table.eq_ignore_ascii_case(&other.table);
        let same_id = self.id.is_some() && self.id == other.id;
        match (self.kind.as_str(), other.kind.as_str()) {
            (KEY | COUNTER | NUMBER, kind) => self.kind == kind && self.table == other.table,
            (POLICY | POLICIES, kind) => {
                self.kind == kind && (same_id || of_table && self.has_columns_of(other))
            }
            (ON_DELETE | NOT_NULL | DEFAULT | COMPUTED, kind) => {
                self.kind == kind && (same_id || of_table && self.has_columns_of(other))
            }
            // It may have got another name, and another one its name.
            (FOREIGN_KEY, kind) => {
                let are_known = !self.columns.is_empty() && !other.columns.is_empty();
                let same = if are_known {
                    let lower = |it: &Self| it.columns.join("\n").to_lowercase();
                    lower(self) == lower(other)
                } else {
                    self.has_columns_of(other)
                };
                self.kind == kind && (same_id || of_table && same)
            }
            (UNIQUE | KEEPS_APART, UNIQUE) => of_table && self.has_columns_of(other),
            (one, kind) => one == kind && (self.name == other.name || same_id),
        }
    }

    fn has_columns_of(&self, other: &Self) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }

    /// Whether it is a default in the place of one that was computed.
    pub fn replaces(&self, gone: &Self) -> bool {
        let kinds = (self.kind.as_str(), gone.kind.as_str()) == (DEFAULT, COMPUTED);
        let same_id = self.id.is_some() && self.id == gone.id;
        let of_table = self.table.eq_ignore_ascii_case(&gone.table);
        kinds && (same_id || of_table && self.has_columns_of(gone))
    }

    /// Whether it goes with any of its columns, or with the last one.
    pub fn needs_each_column(&self) -> bool {
        matches!(
            self.kind.as_str(),
            FOREIGN_KEY | ON_DELETE | UNIQUE | NOT_NULL
        )
    }

    /// Whether it goes with the other one, which says so.
    pub fn goes_with(&self, other: &Self) -> bool {
        let kinds = (self.kind.as_str(), other.kind.as_str());
        matches!(
            kinds,
            (ON_DELETE, FOREIGN_KEY) | (NUMBER, KEY) | (COMPUTED, DEFAULT)
        ) && self.table.eq_ignore_ascii_case(&other.table)
            && self.has_columns_of(other)
    }

    /// When it is reported that it is gone.
    pub fn needs(&self) -> Needs {
        match self.kind.as_str() {
            NOT_NULL => Needs::Others,
            KEEPS_APART | SWITCHED_OFF => Needs::Another,
            _ => Needs::Nothing,
        }
    }
}

/// The columns that an object is made of, from a text with one in each line; none where one has no
/// name.
pub(in crate::db) fn columns_of(text: &str) -> Vec<String> {
    let columns: Vec<_> = text.split('\n').map(str::to_owned).collect();
    if columns.iter().any(String::is_empty) {
        return Vec::new();
    }
    columns
}

/// Whether a default is computed for each row. Numbers of a sequence are told of by themselves.
pub(in crate::db) fn computes(default: &str, dialect: Dialect) -> bool {
    const WORDS: [&str; 5] = [
        "CURRENT_DATE",
        "CURRENT_TIME",
        "CURRENT_TIMESTAMP",
        "LOCALTIME",
        "LOCALTIMESTAMP",
    ];
    let tokens = tokenize(default, dialect);
    let word = |at: usize| {
        let token = tokens.get(at).filter(|it| it.kind == TokenKind::Word)?;
        Some(token.text(default).to_ascii_uppercase())
    };
    let text = |at: usize| tokens.get(at).map_or("", |it| it.text(default));
    let before = |at: usize| at.checked_sub(1);
    // Behind a cast or another word are the brackets of a type: `character varying(20)`.
    let is_type = |at: usize| {
        before(at).is_some_and(|it| text(it) == ":" || text(it) == "::" || word(it).is_some())
    };
    (0..tokens.len()).any(|at| {
        word(at).is_some_and(|it| {
            let calls = text(at + 1) == "(" && it != "NEXTVAL" && !is_type(at);
            calls || WORDS.contains(&it.as_str())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::{FOREIGN_KEY, Object, computes};
    use crate::sql::Dialect::{Postgres, Sqlite};

    #[test]
    fn a_computed_default_is_known_by_its_words() {
        for (default, dialect) in [
            ("now()", Postgres),
            ("timezone('utc'::text, now())", Postgres),
            ("CURRENT_TIMESTAMP", Postgres),
            ("CURRENT_TIMESTAMP", Sqlite),
            ("datetime('now', 'localtime')", Sqlite),
            ("lower(hex(randomblob(16)))", Sqlite),
        ] {
            assert!(computes(default, dialect), "{default}");
        }
        for (default, dialect) in [
            (
                "'2026-01-01 00:00:00+00'::timestamp with time zone",
                Postgres,
            ),
            ("'now()'::character varying(20)", Postgres),
            ("'x'::bpchar(3)", Postgres),
            ("nextval('messages_id_seq'::regclass)", Postgres),
            ("'CURRENT_TIMESTAMP'", Sqlite),
            ("\"CURRENT_TIMESTAMP\"", Sqlite),
            ("-1", Sqlite),
        ] {
            assert!(!computes(default, dialect), "{default}");
        }
    }

    #[test]
    fn a_foreign_key_is_known_by_its_columns_and_not_by_a_name_that_another_one_got() {
        let key = |name: &str, columns: &[&str]| Object {
            kind: FOREIGN_KEY.to_owned(),
            name: name.to_owned(),
            table: "messages".to_owned(),
            id: None,
            columns: columns.iter().map(|&it| it.to_owned()).collect(),
        };
        let was = key("messages_ibfk_1", &["chat_id"]);
        assert!(!key("messages_ibfk_1", &["user_id"]).is(&was));
        assert!(key("of_chat", &["Chat_id"]).is(&was));
        assert!(key("messages_ibfk_1", &[]).is(&was));
    }
}
