//! What a statement does, as far as its text shows.

mod alter;
mod create;
mod dml;
mod drop;
mod functions;
mod kind;
mod parser;
mod query;
mod risk;
mod session;
#[cfg(test)]
mod tests;

use super::name::Name;
use super::split::split;
use super::token::{Token, TokenKind, tokenize};
use super::{Dialect, Statement};
pub use kind::{AlterAction, Conflict, Constraint, Kind, TypeChange};
use parser::Parser;
pub use risk::Destroys;

/// The functions that a text calls which are not known to leave the data alone; a table whose columns are in
/// brackets behind its name looks like one.
pub fn calls(text: &str, dialect: Dialect) -> Vec<String> {
    functions::calls(Parser::new(text, &tokenize(text, dialect), dialect))
}

/// What the text of one statement says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Facts {
    /// What it does.
    pub kind: Kind,
    /// The table that it changes; of an index or a trigger the table that it belongs to.
    pub table: Option<Name>,
    /// Further tables that it changes.
    pub also: Vec<Name>,
    /// What it creates, changes or drops, when that is not a table: an index, a view, a function, …
    pub object: Option<Name>,
    /// The tables that it reads or refers to, also in subqueries. A name here may be an alias or
    /// a common table expression in rare cases; it is for hints, not for proofs.
    pub reads: Vec<Name>,
    /// The functions it calls that are not known to leave the data alone. Always empty for
    /// SQLite, which has no functions that write.
    pub calls: Vec<String>,
}

impl Facts {
    fn new(kind: Kind) -> Self {
        Self {
            kind,
            table: None,
            also: Vec::new(),
            object: None,
            reads: Vec::new(),
            calls: Vec::new(),
        }
    }

    fn on(kind: Kind, table: Option<Name>) -> Self {
        Self {
            table,
            ..Self::new(kind)
        }
    }

    fn about(kind: Kind, object: Option<Name>) -> Self {
        Self {
            object,
            ..Self::new(kind)
        }
    }

    /// The first name is [`Facts::table`], the others are [`Facts::also`].
    fn on_all(kind: Kind, tables: Vec<Name>) -> Self {
        let mut tables = tables.into_iter();
        Self {
            table: tables.next(),
            also: tables.collect(),
            ..Self::new(kind)
        }
    }

    /// All tables that the statement changes.
    pub fn tables(&self) -> impl Iterator<Item = &Name> {
        self.table.iter().chain(&self.also)
    }

    /// Whether the statement writes rows; see [`Kind::writes_rows`].
    pub fn writes_rows(&self) -> bool {
        self.kind.writes_rows()
    }

    /// Whether it has to run outside of a transaction; see [`Kind::needs_no_transaction`].
    pub fn needs_no_transaction(&self, dialect: Dialect) -> bool {
        self.kind.needs_no_transaction(dialect)
    }

    /// Whether it commits by itself; see [`Kind::implicit_commit`].
    pub fn implicit_commit(&self, dialect: Dialect) -> bool {
        self.kind.implicit_commit(dialect)
    }

    /// Whether the statement destroys data, by its kind and by the functions it calls.
    pub fn destroys(&self) -> Destroys {
        let calls = if self.calls.is_empty() {
            Destroys::No
        } else {
            Destroys::Possibly
        };
        self.kind.destroys().max(calls)
    }
}

/// Reads one statement. It never fails: what is not recognized is [`Kind::Other`].
pub fn facts(statement: &Statement<'_>, dialect: Dialect) -> Facts {
    let mut unclosed = false;
    let tokens: Vec<Token> = tokenize(statement.text, dialect)
        .into_iter()
        .inspect(|token| unclosed |= token.kind == TokenKind::Unclosed)
        .filter(|token| {
            !matches!(
                token.kind,
                TokenKind::Comment | TokenKind::CodeOpen | TokenKind::CodeClose
            )
        })
        .collect();
    if unclosed {
        return Facts::new(Kind::Other);
    }
    let facts = query::statement(Parser::new(statement.text, &tokens, dialect));
    let several = tokens
        .iter()
        .any(|token| token.kind == TokenKind::Semicolon);
    if several && !(facts.kind.has_body() && is_one(statement.text, &tokens, dialect)) {
        // The text holds more than one statement, of which only the first was read.
        return Facts::new(Kind::Other);
    }
    facts
}

/// Whether a body holds every `;`. Behind a `DELIMITER` line anything can follow the body, and
/// a server may also cut what is in a version comment, so those are opened here.
fn is_one(text: &str, tokens: &[Token], dialect: Dialect) -> bool {
    let mut opened = String::with_capacity(text.len());
    let mut end = 0;
    for token in tokens {
        if token.start > end {
            opened.push(' ');
        }
        opened.push_str(token.text(text));
        end = token.end;
    }
    split(&opened, dialect).is_ok_and(|statements| statements.len() == 1)
}
