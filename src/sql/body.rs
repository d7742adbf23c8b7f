//! Bodies: where a `;` does not end the statement, because it is inside of a trigger, a
//! function or a procedure.
//!
//! Sources: SQLite `complete.c`; PostgreSQL `psqlscan.l`; MySQL manual, "Compound Statement
//! Syntax"; MariaDB knowledge base, "Using Compound Statements Outside of Stored Programs".

mod compound;

use super::Dialect;
use super::token::{Token, TokenKind};
use compound::{Compound, Gate};

/// Follows the tokens of one statement.
#[derive(Debug)]
pub(super) struct Body {
    dialect: Dialect,
    state: State,
    parens: usize,
    /// The token before was a dot, an `@` or `AS`, so that a word here is a name.
    names: bool,
}

#[derive(Debug)]
enum State {
    /// The words so far may still turn out to begin a statement with a body.
    Head(Head),
    Plain,
    SqliteTrigger {
        last: Last,
        before: Last,
    },
    PgRoutine {
        begin: bool,
        depth: usize,
    },
    Compound(Compound),
}

#[derive(Debug, Clone, Copy)]
enum Head {
    First,
    Create,
    /// `CREATE DEFINER = …`: names and punctuation up to the kind of object.
    Definer,
    /// `BEGIN`, which MariaDB continues with `NOT ATOMIC` when it is a block.
    Begin,
    BeginNot,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Other,
    Semicolon,
    End,
}

impl Body {
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            state: State::Head(Head::First),
            parens: 0,
            names: false,
        }
    }

    /// Whether a `;` that comes now belongs to the statement.
    pub(super) fn holds_semicolon(&self) -> bool {
        match &self.state {
            // A body statement of SQLite cannot be END, so this is the end and nothing else is.
            State::SqliteTrigger { last, before } => {
                !(*last == Last::End && *before == Last::Semicolon)
            }
            State::PgRoutine { depth, .. } => *depth > 0 || self.parens > 0,
            State::Compound(compound) => compound.is_open(),
            // As psql does: CREATE RULE … DO (a; b).
            State::Head(_) | State::Plain => self.dialect == Dialect::Postgres && self.parens > 0,
        }
    }

    /// What is missing, when the text ends now.
    pub(super) fn missing(&self) -> Option<&'static str> {
        match &self.state {
            State::SqliteTrigger { .. } => self
                .holds_semicolon()
                .then_some("the trigger that starts here has no `END;`"),
            State::PgRoutine { depth: 1.., .. } => {
                Some("the `BEGIN ATOMIC` of the routine that starts here has no `END`")
            }
            State::Compound(compound) => compound.is_open().then_some(
                "a block of the statement that starts here has no `END`; \
                 if it has one, put the statement between `DELIMITER` lines",
            ),
            _ => None,
        }
    }

    /// Takes the next token that is not a comment.
    pub(super) fn feed(&mut self, token: Token, sql: &str) {
        let text = token.text(sql);
        let word =
            (token.kind == TokenKind::Word && !self.names).then(|| text.to_ascii_uppercase());
        let word = word.as_deref();
        match text {
            "(" => self.parens += 1,
            ")" => self.parens = self.parens.saturating_sub(1),
            _ => {}
        }
        self.names = matches!(text, "." | "@") || text.eq_ignore_ascii_case("AS");
        match &mut self.state {
            State::Head(head) => {
                let next = follow(self.dialect, *head, word);
                self.state = next;
            }
            State::Plain => {}
            State::SqliteTrigger { last, before } => {
                *before = *last;
                *last = match (token.kind, word) {
                    (TokenKind::Semicolon, _) => Last::Semicolon,
                    (_, Some("END")) => Last::End,
                    _ => Last::Other,
                };
            }
            State::PgRoutine { begin, depth } => {
                match word {
                    Some("ATOMIC") if *begin && *depth == 0 => *depth = 1,
                    Some("CASE") if *depth > 0 => *depth += 1,
                    Some("END") => *depth = depth.saturating_sub(1),
                    _ => {}
                }
                *begin = word == Some("BEGIN");
            }
            State::Compound(compound) => match (token.kind, word) {
                (_, Some(word)) => compound.word(word),
                (TokenKind::Semicolon, _) => compound.semicolon(),
                _ => compound.other(text, sql[token.end..].starts_with('='), self.parens),
            },
        }
    }
}

fn follow(dialect: Dialect, head: Head, word: Option<&str>) -> State {
    use Dialect::{Mysql, Postgres, Sqlite};
    match (head, word, dialect) {
        (Head::First, Some("CREATE"), _) => State::Head(Head::Create),
        (Head::First, Some("BEGIN"), Mysql) => State::Head(Head::Begin),
        (Head::Begin, Some("NOT"), Mysql) => State::Head(Head::BeginNot),
        (Head::BeginNot, Some("ATOMIC"), Mysql) => State::Compound(Compound::in_block()),
        (
            Head::First,
            Some(word @ ("IF" | "CASE" | "LOOP" | "WHILE" | "REPEAT" | "FOR")),
            Mysql,
        ) => {
            let mut compound = Compound::new(Gate::Open);
            compound.word(word);
            State::Compound(compound)
        }
        (Head::First, Some("EXPLAIN" | "QUERY" | "PLAN"), Sqlite) => State::Head(head),
        (Head::Create, Some("TEMP" | "TEMPORARY"), Sqlite) => State::Head(head),
        (Head::Create, Some("TRIGGER"), Sqlite) => State::SqliteTrigger {
            last: Last::Other,
            before: Last::Other,
        },
        (Head::Create, Some("OR" | "REPLACE"), Postgres) => State::Head(head),
        (Head::Create, Some("FUNCTION" | "PROCEDURE"), Postgres) => State::PgRoutine {
            begin: false,
            depth: 0,
        },
        (Head::Create | Head::Definer, Some("TRIGGER"), Mysql) => {
            State::Compound(Compound::new(Gate::Row))
        }
        (Head::Create | Head::Definer, Some("EVENT"), Mysql) => {
            State::Compound(Compound::new(Gate::Do))
        }
        (Head::Create | Head::Definer, Some("PROCEDURE" | "FUNCTION"), Mysql) => {
            State::Compound(Compound::new(Gate::Parameters))
        }
        (Head::Create, Some("OR" | "REPLACE" | "AGGREGATE"), Mysql) => State::Head(head),
        (Head::Create, Some("DEFINER"), Mysql) => State::Head(Head::Definer),
        (Head::Definer, Some("VIEW" | "SQL"), Mysql) => State::Plain,
        (Head::Definer, _, Mysql) => State::Head(head),
        _ => State::Plain,
    }
}
