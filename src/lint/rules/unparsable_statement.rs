//! An unrecognized statement counts as destructive until somebody has reviewed it.

use super::super::{Rule, RuleContext, UNPARSABLE, Violation, Violations};
use super::EVERY;
use crate::report::Severity;
use crate::sql::{Dialect, Facts, Kind, Token, TokenKind, tokenize};

pub(super) const RULE: Rule = Rule {
    code: UNPARSABLE,
    severity: Severity::Error,
    dialects: EVERY,
    why: "a statement is not recognized, so it may destroy anything",
    check,
};

/// What MySQL and MariaDB create, alter or drop, beyond what the reading of statements knows. Some
/// are the first word of what comes before an object.
const OBJECTS_OF_MYSQL: &[&str] = &[
    "ALGORITHM",
    "CATALOG",
    "DATABASE",
    "DEFINER",
    "EVENT",
    "EXTERNAL",
    "FUNCTION",
    "INSTANCE",
    "JSON",
    "LIBRARY",
    "LOGFILE",
    "MASKING",
    "PACKAGE",
    "PREPARE",
    "PROCEDURE",
    "REFERENCE",
    "RESOURCE",
    "ROLE",
    "SCHEMA",
    "SEQUENCE",
    "SERVER",
    "SPATIAL",
    "SQL",
    "TABLESPACE",
    "TRIGGER",
    "UNDO",
    "USER",
    "VIEW",
];

/// What can follow the table of an `INSERT`.
const BEHIND_TABLE: &[&str] = &[
    "AS",
    "DEFAULT",
    "ON",
    "PARTITION",
    "RETURNING",
    "SELECT",
    "SET",
    "TABLE",
    "VALUE",
    "VALUES",
    "WITH",
];

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let text = context.step().statement.text;
    let facts = context.facts();
    let dialect = context.script.dialect;
    let is_known = facts.kind != Kind::Other
        // What a second parser reads is left to it.
        && (dialect == Dialect::Postgres
            || has_known_object(facts, dialect) && is_well_formed(text, facts, dialect));
    if is_known {
        return;
    }
    let words = text.split_whitespace().take(4);
    let words = words.collect::<Vec<_>>().join(" ");
    violations.add(
        context,
        Violation::new(
            format!("`{words}` is not recognized, so it may destroy anything"),
            "review its effect, then write `-- chatctl: ignore unparsable-statement reason=\"…\"` above it",
        ),
    );
}

/// Whether what is created, altered or dropped is a kind of object that the database has.
fn has_known_object(facts: &Facts, dialect: Dialect) -> bool {
    let (Kind::CreateOther { object, .. }
    | Kind::AlterOther { object }
    | Kind::DropOther { object, .. }) = &facts.kind
    else {
        return true;
    };
    match dialect {
        // Everything that SQLite has is known by name.
        Dialect::Sqlite => false,
        Dialect::Mysql => OBJECTS_OF_MYSQL.contains(&object.as_str()),
        Dialect::Postgres => true,
    }
}

/// Whether a statement has none of the mistakes that its words alone show.
fn is_well_formed(text: &str, facts: &Facts, dialect: Dialect) -> bool {
    let tokens: Vec<Token> = tokenize(text, dialect)
        .into_iter()
        .filter(|token| token.kind != TokenKind::Comment)
        .collect();
    // What is in a version comment is read by some servers and not by others.
    if tokens.iter().any(|token| {
        matches!(
            token.kind,
            TokenKind::CodeOpen | TokenKind::CodeClose | TokenKind::Delimiter
        )
    }) {
        return true;
    }
    let is_word = |at: usize, words: &[&str]| {
        tokens.get(at).is_some_and(|token| {
            let word = token.text(text);
            token.kind == TokenKind::Word
                && words.iter().any(|known| known.eq_ignore_ascii_case(word))
        })
    };
    match &facts.kind {
        Kind::Insert { .. } => {
            let mut at = 1;
            while is_word(
                at,
                &["OR", "LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"],
            ) {
                at += if is_word(at, &["OR"]) { 2 } else { 1 };
            }
            // Without INTO this is the table.
            let behind = tokens.get(at + 1);
            let is_name = behind
                .is_some_and(|token| matches!(token.kind, TokenKind::Word | TokenKind::QuotedName));
            let is_typo = is_word(0, &["INSERT", "REPLACE"])
                && !is_word(at, &["INTO"])
                && is_name
                && !is_word(at + 1, BEHIND_TABLE);
            !is_typo && has_whole_lists(text, &tokens)
        }
        // A module of a virtual table reads what is in its parentheses as it likes.
        Kind::CreateTable { .. } if is_word(1, &["VIRTUAL"]) => true,
        Kind::CreateTable { .. } | Kind::CreateIndex { .. } | Kind::AlterTable { .. } => {
            has_whole_lists(text, &tokens)
        }
        _ => true,
    }
}

/// Whether each parenthesis is closed, and no list has an item without anything in it.
fn has_whole_lists(text: &str, tokens: &[Token]) -> bool {
    let mark = |token: &Token| match token.kind {
        TokenKind::Punct => token.text(text),
        _ => "",
    };
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate() {
        let next = tokens.get(at + 1).map_or("", mark);
        match (mark(token), next) {
            ("(" | ",", ",") | (",", ")") => return false,
            (",", _) if at + 1 == tokens.len() => return false,
            ("(", _) => depth += 1,
            (")", _) if depth == 0 => return false,
            (")", _) => depth -= 1,
            _ => {}
        }
    }
    depth == 0
}
