//! Parses SQL text into statements with byte spans and effects.
//!
//! This is not a parser: the database is. It has to cut a file into exactly the statements that the
//! database would see, and to say of each what a reader of a plan must know. What it does not
//! recognize it calls [`Kind::Other`], and [`Facts::destroys`] then answers
//! [`Destroys::Possibly`]: text can prove that a statement destroys, hardly ever that it does not,
//! so the proof is the measured effect and this module only points at where to look.
//!
//! The module names no other part of the program and does no I/O.

mod body;
mod directives;
mod facts;
mod name;
mod split;
mod token;
mod transactions;

use std::error::Error;
use std::fmt;
use std::ops::Range;

pub use directives::{
    AllowLoss, DirectiveError, Directives, Ignore, NoTransaction, Scope, directives,
};
pub use facts::{
    AlterAction, Conflict, Constraint, Destroys, Facts, Kind, TypeChange, calls, facts,
};
pub use name::Name;
pub use split::split;
pub use token::{Lexer, Token, TokenKind, tokenize};
pub use transactions::transactions;

/// Whose SQL a text is. The dialects differ in what a quote, a comment and a body are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    Sqlite,
    /// PostgreSQL, with `standard_conforming_strings` on, its default since 9.1.
    Postgres,
    /// MySQL and MariaDB, without `ANSI_QUOTES` and `NO_BACKSLASH_ESCAPES`, their default.
    Mysql,
}

/// One statement of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement<'a> {
    /// From the first to the last token: comments inside stay, those around it and the
    /// terminating `;` do not. It is `&file[span]`.
    pub text: &'a str,
    /// Where `text` is in the file, in bytes.
    pub span: Range<usize>,
    /// The line on which the statement starts, from 1. Only LF ends a line.
    pub line: u32,
    /// The column at which the statement starts, from 1, in characters. A byte order mark at the
    /// start of the file has no column.
    pub column: u32,
}

impl<'a> Statement<'a> {
    /// A text that is one statement and comes from no file.
    pub const fn alone(text: &'a str) -> Self {
        Self {
            text,
            span: 0..text.len(),
            line: 1,
            column: 1,
        }
    }
}

/// Why a text cannot be cut into statements.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SplitError {
    /// Where the cause starts, in bytes.
    pub offset: usize,
    /// The line of the cause, from 1.
    pub line: u32,
    /// The column of the cause, from 1, in characters.
    pub column: u32,
    /// A lower-case fragment with operands in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: &'static str,
}

impl fmt::Display for SplitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            line,
            column,
            message,
            ..
        } = self;
        write!(f, "{line}:{column}: {message}")
    }
}

impl Error for SplitError {}

/// A place in a text that only moves forward, so that all places of a file cost one pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    offset: usize,
    line: u32,
    column: u32,
}

impl Place {
    /// The first character that is not a byte order mark.
    fn first(text: &str) -> Self {
        Self {
            offset: if text.starts_with('\u{feff}') { 3 } else { 0 },
            line: 1,
            column: 1,
        }
    }

    fn forward(&mut self, text: &str, to: usize) {
        for character in text[self.offset..to].chars() {
            if character == '\n' {
                self.line = self.line.saturating_add(1);
                self.column = 1;
            } else {
                self.column = self.column.saturating_add(1);
            }
        }
        self.offset = to;
    }

    fn error(self, message: impl Into<String>, hint: &'static str) -> SplitError {
        SplitError {
            offset: self.offset,
            line: self.line,
            column: self.column,
            message: message.into(),
            hint,
        }
    }
}
