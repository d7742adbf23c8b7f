//! One query that a person wrote, which can't change anything.
//!
//! What forbids it is the engine: a connection that can't write, a transaction that is read-only,
//! and a statement that is prepared first, so that the engine itself takes it for one. What an
//! engine lets a reader do all the same (end other sessions, take locks, read and write files of
//! the server) is refused before it is sent; each backend's file says how that is known.

pub(super) mod guard;

use crate::cli_error::CliError;
use crate::model::Value;
use std::time::Duration;
use tokio::sync::mpsc::Sender;

/// What a query gives, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum QueryOutput {
    /// Its columns, once and first.
    Columns(Vec<QueryColumn>),
    Row(QueryRow),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct QueryRow {
    /// As many values as columns.
    pub values: Vec<Value>,
    /// How many of them were longer and are cut.
    pub cut: usize,
}

/// A column of a query's rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueryColumn {
    /// The name that the engine gives it.
    pub name: String,
    /// The engine's type; empty when it has none.
    pub declared: String,
}

/// A query, and where its rows go. It ends early when nobody takes them any more.
#[derive(Debug)]
pub struct Query {
    /// The text: one statement.
    pub sql: String,
    /// How many of its rows are wanted.
    pub rows: u64,
    /// How long it may run.
    pub timeout: Duration,
    /// How many bytes of a value are shown.
    pub longest: usize,
    /// Where the answers go.
    pub answers: Sender<QueryOutput>,
}

/// How much longer than its time a query may take, so that the engine may say that it is late.
const OVER: Duration = Duration::from_secs(1);

/// How a query failed that is not to be: by what the engine says of it.
pub(super) enum Failure {
    /// The query is wrong.
    Wrong,
    /// It would have written.
    Writes,
    /// It took too long.
    Late,
}

impl QueryRow {
    /// Adds a text that is `whole` bytes long, as far as it may be shown.
    pub(super) fn text(&mut self, text: &str, whole: usize, longest: usize) {
        if whole <= longest {
            self.values.push(Value::from(text));
        } else {
            let shown = &text[..text.floor_char_boundary(longest)];
            let text = format!("{shown}… (cut: {} of {whole} bytes)", shown.len());
            self.values.push(Value::Text(text));
            self.cut += 1;
        }
    }

    /// Adds bytes of which there are `whole`, as far as they may be shown.
    pub(super) fn blob(&mut self, bytes: &[u8], whole: usize, longest: usize) {
        let shown = &bytes[..bytes.len().min(longest)];
        self.cut += usize::from(shown.len() < whole);
        self.values.push(Value::Blob(shown.to_vec()));
    }
}

impl Query {
    /// When it is stopped from outside of the engine, whose own clock stands still while nobody
    /// takes what it reads.
    pub(super) async fn over(&self) {
        tokio::time::sleep(self.timeout.saturating_add(OVER)).await;
    }

    /// The query ended late: not by what the engine says of it, but by the clock.
    pub(super) fn late(&self) -> CliError {
        self.failed(Failure::Late, "it ran too long")
    }

    pub(super) fn failed(&self, failure: Failure, message: &str) -> CliError {
        match failure {
            Failure::Wrong => CliError::usage(format!("the query is wrong: {message}"))
                .hint(hint_of(message)),
            Failure::Writes => refused(message),
            Failure::Late => CliError::unreachable(format!(
                "the query was stopped after {:?}: {message}",
                self.timeout
            ))
            .hint(
                "narrow it with WHERE and LIMIT, or give it more time: --timeout 5m; if it waited for a lock, \
                 end the transaction that holds it",
            ),
        }
    }
}

/// What databases say of a syntax that they can't read, in lower case.
const SYNTAX: &[&str] = &[
    "syntax error",
    "error in your sql syntax",
    "incomplete input",
    "unrecognized token",
];

fn hint_of(message: &str) -> &'static str {
    let message = message.to_lowercase();
    if SYNTAX.iter().any(|part| message.contains(part)) {
        "correct the SQL where the message points; the query is read in the dialect of the database"
    } else {
        "`chatctl inspect schema` lists tables and columns"
    }
}

/// There is nothing to send.
pub(super) fn empty() -> CliError {
    CliError::usage("the query is empty").hint("chatctl inspect sql 'SELECT 1'")
}

/// A query that is not sent, or that the engine turned down.
pub(super) fn refused(why: &str) -> CliError {
    CliError::refused(format!("the query is refused: {why}"))
        .hint("inspect only reads; use the database's own client for anything else")
}

/// A text of a file that is not an expression.
pub(super) fn no_expression(message: &str) -> CliError {
    CliError::usage(format!("it is wrong: {message}"))
        .hint("write a condition with columns in braces, such as {deleted} IS NOT TRUE")
}
