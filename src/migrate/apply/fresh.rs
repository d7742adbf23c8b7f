//! Files of MySQL that only create tables and fill them. Pure.
//!
//! A table that is made on the copy costs as much as in the database itself, and a temporary one next to
//! nothing. The text only proposes: the trial runs as a user whom the server lets make temporary tables
//! and nothing else, so that a statement fails there which needs anything that was there before.

use super::reach::{self, Known};
use crate::migrate::intent::{Intent, Piece};
use crate::model::{Case, Names};
use crate::sql::{Conflict, Dialect, Kind, Token, TokenKind, tokenize};
use std::borrow::Cow;
use std::collections::BTreeSet;

/// A file of which nothing reaches what was there before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fresh<'a> {
    /// Its statements, as they are for temporary tables.
    pub(super) statements: Vec<Cow<'a, str>>,
    /// The tables that there are after it, of those that the run makes.
    pub(super) made: BTreeSet<String>,
}

/// The files as they are tried on temporary tables; none where a statement is something else.
pub(super) fn of<'a>(
    intents: impl Iterator<Item = &'a Intent<'a>>,
    known: &Known,
    names: Names,
) -> Option<Vec<Fresh<'a>>> {
    // Where the server writes names in another way, what was made has another one in its catalogue.
    if names.tables != Case::Matters {
        return None;
    }
    let mut made = BTreeSet::new();
    let mut files = Vec::new();
    for intent in intents {
        let pieces = intent.pieces.iter();
        let statements = pieces.map(|piece| {
            let is_allowed = intent.forbidden(piece).is_none();
            statement(piece, known, &mut made).filter(|_| is_allowed)
        });
        files.push(Fresh {
            statements: statements.collect::<Option<_>>()?,
            made: made.clone(),
        });
    }
    Some(files)
}

fn statement<'a>(
    piece: &Piece<'a>,
    known: &Known,
    made: &mut BTreeSet<String>,
) -> Option<Cow<'a, str>> {
    let facts = &piece.facts;
    let table = facts.table.as_ref().filter(|it| it.schema.is_none())?;
    let tokens = tokenize(piece.text, Dialect::Mysql);
    if !facts.reads.is_empty() || !reach::is_plain(piece) || !is_simple(piece.text, &tokens) {
        return None;
    }
    match &facts.kind {
        Kind::CreateTable {
            or_replace: false,
            temporary: false,
            as_select: false,
            if_not_exists: _,
        } if !known.has(&table.name) => {
            made.insert(table.name.clone());
            temporary(piece.text, &tokens).map(Cow::Owned)
        }
        Kind::CreateIndex { .. }
        | Kind::Insert {
            select: false,
            conflict: Conflict::Fail,
        } if made.contains(&table.name) && facts.also.is_empty() => Some(Cow::Borrowed(piece.text)),
        _ => None,
    }
}

/// Whether a text has no code in a comment, no name of another database, no variable, and no engine but
/// InnoDB: another one may keep its rows elsewhere.
fn is_simple(text: &str, tokens: &[Token]) -> bool {
    let mut words = tokens.iter().map(|token| token.text(text));
    let begins = words.next().is_some_and(|word| {
        ["create", "insert"]
            .iter()
            .any(|it| word.eq_ignore_ascii_case(it))
    });
    let is_code = |token: &Token| match token.kind {
        TokenKind::CodeOpen | TokenKind::CodeClose | TokenKind::Unclosed | TokenKind::Delimiter => {
            true
        }
        TokenKind::Punct => matches!(token.text(text), "." | "@"),
        TokenKind::Word
        | TokenKind::QuotedName
        | TokenKind::String
        | TokenKind::DollarString
        | TokenKind::Number
        | TokenKind::Semicolon
        | TokenKind::Comment => false,
    };
    let of_engine = |at: usize| {
        let mut behind = tokens[at + 1..].iter().map(|token| token.text(text));
        let engine = behind.find(|word| *word != "=");
        engine.is_some_and(|word| word.eq_ignore_ascii_case("innodb"))
    };
    let engines = tokens.iter().enumerate();
    let mut engines = engines.filter(|(_, it)| it.text(text).eq_ignore_ascii_case("engine"));
    begins && !tokens.iter().any(is_code) && engines.all(|(at, _)| of_engine(at))
}

/// The same for a temporary table.
fn temporary(text: &str, tokens: &[Token]) -> Option<String> {
    let [create, table, ..] = tokens else {
        return None;
    };
    let is_table = table.text(text).eq_ignore_ascii_case("table");
    is_table.then(|| {
        let (before, behind) = text.split_at(create.end);
        format!("{before} TEMPORARY{behind}")
    })
}

#[cfg(test)]
mod tests {
    use super::{Fresh, of};
    use crate::migrate::apply::reach::Known;
    use crate::migrate::intent::Intent;
    use crate::migrate::source::{File, Migration, Version};
    use crate::model::{Case, Names};
    use crate::sql::Dialect;
    use std::borrow::Cow;
    use std::collections::BTreeSet;

    const MAKE: &str =
        "CREATE TABLE new (id INT PRIMARY KEY, name VARCHAR(20) DEFAULT 'a.b') ENGINE=InnoDB";

    fn set(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    /// Whether these texts, of a file each, are tried on temporary tables.
    fn is_fresh(texts: &[&str]) -> bool {
        let migrations = texts.iter().zip(1..).map(|(text, number)| {
            let file = File {
                name: format!("{number}_a.sql"),
                bytes: text.as_bytes().to_vec(),
            };
            Migration::whole(Version::number(number), String::new(), &file)
                .expect("the file is a migration")
        });
        let migrations: Vec<_> = migrations.collect();
        let intents = migrations
            .iter()
            .map(|it| Intent::of(it, Dialect::Mysql).expect("the file can be read"));
        let intents: Vec<_> = intents.collect();
        let known = Known {
            tables: set(&["messages"]),
            deep: set(&["recent"]),
            ..Known::default()
        };
        let names = Names {
            tables: Case::Matters,
            columns: Case::Ignored,
            quote: '`',
        };
        let found = of(intents.iter(), &known, names);
        found.is_some_and(|files| files.iter().all(has_temporary_tables_only))
    }

    fn has_temporary_tables_only(file: &Fresh<'_>) -> bool {
        let mut texts = file.statements.iter();
        texts.all(|it| matches!(it, Cow::Borrowed(_)) || it.starts_with("CREATE TEMPORARY TABLE"))
    }

    #[test]
    fn files_that_make_tables_and_fill_them_are_tried_on_temporary_ones() {
        let fill = "INSERT INTO new (id, name) VALUES (1, 'SELECT * FROM messages'), (2, now())";
        let index = "CREATE UNIQUE INDEX by_name ON new (name)";
        assert!(is_fresh(&[&format!("{MAKE}; {fill}; {index};")]));
        assert!(is_fresh(&[MAKE, fill, index]));
        assert!(is_fresh(&[
            "CREATE TABLE IF NOT EXISTS `new` (id INT)",
            "INSERT INTO `new` VALUES (1)"
        ]));
    }

    #[test]
    fn everything_else_is_rehearsed() {
        for text in [
            "INSERT INTO messages VALUES (1)",
            "INSERT INTO NEW VALUES (1)",
            "INSERT INTO chat.new VALUES (1)",
            "INSERT INTO new SELECT * FROM messages",
            "INSERT INTO new VALUES ((SELECT max(id) FROM messages))",
            "INSERT INTO new VALUES (1) ON DUPLICATE KEY UPDATE id = 2",
            "INSERT INTO new VALUES (tidy())",
            "INSERT INTO new VALUES (@a := 1)",
            "INSERT INTO new VALUES (nextval(chat.numbers))",
            "REPLACE INTO new VALUES (1)",
            "LOAD DATA INFILE '/tmp/a' INTO TABLE new",
            "CREATE TABLE messages (id INT)",
            "CREATE TABLE recent (id INT)",
            "CREATE TABLE chat.other (id INT)",
            "CREATE OR REPLACE TABLE other (id INT)",
            "CREATE TABLE other LIKE messages",
            "CREATE TABLE other AS SELECT * FROM messages",
            "CREATE TABLE other (id INT REFERENCES messages (id))",
            "CREATE TABLE other (id INT) ENGINE=MERGE UNION=(messages)",
            "CREATE TABLE other (id INT) /*!50000 ENGINE=MERGE UNION=(messages) */",
            "CREATE TEMPORARY TABLE messages (id INT)",
            "CREATE INDEX i ON messages (id)",
            "CREATE TRIGGER t AFTER INSERT ON new FOR EACH ROW DELETE FROM messages",
            "DELETE FROM new",
            "DROP TABLE new",
            "ALTER TABLE new ADD COLUMN b INT",
            "SET foreign_key_checks = 0",
            "/*!40101 CREATE TABLE other (id INT) */",
            "CALL tidy()",
        ] {
            assert!(!is_fresh(&[MAKE, text]), "{text}");
        }
    }
}
