//! Names of tables and other objects.

use std::fmt;

use super::Dialect;
use super::token::TokenKind;

/// The name of an object, without its quotes.
///
/// An unquoted name of PostgreSQL is in lower case here, as the database folds it. Of a name with
/// three parts the first, the database, is dropped.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Name {
    /// What is before the last dot: a schema, or in MySQL a database.
    pub schema: Option<String>,
    /// What is behind the last dot.
    pub name: String,
}

impl Name {
    /// A name without a schema.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            schema: None,
            name: name.into(),
        }
    }

    /// Whether this may be `table`, which is `table` or `schema.table`, without quotes.
    ///
    /// A schema counts only when both sides name one, and case does not count: to hold too many
    /// statements against a table that must be kept costs a look, to miss one costs the table.
    pub fn matches(&self, table: &str) -> bool {
        if self.name.eq_ignore_ascii_case(table) {
            return true;
        }
        table.rsplit_once('.').is_some_and(|(schema, name)| {
            self.name.eq_ignore_ascii_case(name)
                && self
                    .schema
                    .as_ref()
                    .is_none_or(|own| own.eq_ignore_ascii_case(schema))
        })
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(schema) = &self.schema {
            write!(f, "{schema}.")?;
        }
        f.write_str(&self.name)
    }
}

/// One part of a name as the database understands it. `None`: a token of this kind is not a name.
pub(super) fn unquote(text: &str, kind: TokenKind, dialect: Dialect) -> Option<String> {
    match kind {
        TokenKind::Word if dialect == Dialect::Postgres => Some(text.to_ascii_lowercase()),
        TokenKind::Word => Some(text.to_owned()),
        // SQLite takes a string for a name where only a name can be, and so does MySQL with
        // ANSI_QUOTES.
        TokenKind::QuotedName | TokenKind::String => Some(inner(text)),
        _ => None,
    }
}

/// What is between the quotes, with doubled quotes made single. Backslashes stay.
pub(super) fn inner(text: &str) -> String {
    let Some(open) = text.find(['\'', '"', '`', '[']) else {
        return text.to_owned();
    };
    let body = text.get(open + 1..text.len() - 1).unwrap_or_default();
    match text.as_bytes()[open] {
        b'\'' => body.replace("''", "'"),
        b'"' => body.replace("\"\"", "\""),
        b'`' => body.replace("``", "`"),
        _ => body.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_schema_counts_only_when_both_sides_name_one() {
        let plain = Name::new("messages");
        let public = Name {
            schema: Some("public".to_owned()),
            name: "messages".to_owned(),
        };
        for (name, table, expected) in [
            (&plain, "messages", true),
            (&plain, "Messages", true),
            (&plain, "public.messages", true),
            (&plain, "message", false),
            (&plain, "messages.body", false),
            (&public, "messages", true),
            (&public, "public.messages", true),
            (&public, "archive.messages", false),
        ] {
            assert_eq!(name.matches(table), expected, "{name} {table}");
        }
        assert!(Name::new("a.b").matches("a.b"));
        assert_eq!(public.to_string(), "public.messages");
    }

    #[test]
    fn quotes_are_removed_and_doubled_quotes_made_single() {
        for (text, kind, expected) in [
            ("Chat", TokenKind::Word, "chat"),
            ("\"Chat\"", TokenKind::QuotedName, "Chat"),
            ("\"a\"\"b\"", TokenKind::QuotedName, "a\"b"),
            ("U&\"x\"", TokenKind::QuotedName, "x"),
            ("[a b]", TokenKind::QuotedName, "a b"),
            ("`a``b`", TokenKind::QuotedName, "a`b"),
            ("''", TokenKind::String, ""),
        ] {
            let name = unquote(text, kind, Dialect::Postgres);
            assert_eq!(name.as_deref(), Some(expected));
        }
        assert_eq!(unquote("1", TokenKind::Number, Dialect::Mysql), None);
    }
}
