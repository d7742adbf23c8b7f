//! Splits a text into statements.

#[cfg(test)]
mod tests;

use super::body::Body;
use super::token::{Lexer, Token, TokenKind};
use super::{Dialect, Place, SplitError, Statement};

/// All statements of `text`, in their order. Empty statements are dropped; a missing `;` at the
/// end of the text is none.
///
/// # Errors
///
/// A quote, a comment or a body without its end, and what only a command line client understands:
/// commands of psql, mysql and sqlite3, and the data behind `COPY … FROM stdin`. Nothing behind
/// such a place can be trusted, so there are no statements then.
pub fn split(text: &str, dialect: Dialect) -> Result<Vec<Statement<'_>>, SplitError> {
    let scan = scan(text, dialect);
    match scan.error {
        Some(error) => Err(error),
        None => Ok(scan.statements),
    }
}

/// A comment, and where it is in relation to the statements.
#[derive(Debug, Clone, Copy)]
pub(super) struct Comment {
    pub(super) token: Token,
    pub(super) place: Place,
    /// The start of the statement that has begun and not ended before the comment.
    pub(super) inside: Option<usize>,
    /// A statement ended on the same line.
    pub(super) trails: bool,
}

/// What is known of a text, up to the first error.
pub(super) struct Scan<'a> {
    pub(super) statements: Vec<Statement<'a>>,
    pub(super) comments: Vec<Comment>,
    pub(super) error: Option<SplitError>,
}

struct Pending {
    start: Place,
    /// The end of the last token that is no `;`.
    end: usize,
    body: Body,
    stdin: Stdin,
}

/// How far a statement is on its way to being `COPY … FROM stdin`.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stdin {
    Start,
    No,
    Copy,
    From,
}

struct Splitter<'a> {
    text: &'a str,
    dialect: Dialect,
    lexer: Lexer<'a>,
    place: Place,
    pending: Option<Pending>,
    /// The line on which the last token that is not a comment ends.
    last: Option<u32>,
    scan: Scan<'a>,
}

pub(super) fn scan(text: &str, dialect: Dialect) -> Scan<'_> {
    let mut splitter = Splitter {
        text,
        dialect,
        lexer: Lexer::new(text, dialect),
        place: Place::first(text),
        pending: None,
        last: None,
        scan: Scan {
            statements: Vec::new(),
            comments: Vec::new(),
            error: None,
        },
    };
    if let Err(error) = splitter.run() {
        splitter.scan.error = Some(error);
    }
    splitter.scan
}

/// What to do about what has no end.
const CLOSE: &str = "close the open quote or comment there, or save the complete file";

impl Splitter<'_> {
    fn run(&mut self) -> Result<(), SplitError> {
        while let Some(token) = self.lexer.next() {
            self.place.forward(self.text, token.start);
            match token.kind {
                TokenKind::Comment => {
                    self.comment(token);
                    continue;
                }
                TokenKind::Delimiter => self.finish(),
                TokenKind::Semicolon if self.ends_here() => self.finish(),
                TokenKind::Unclosed => {
                    return Err(self.place.error(self.unclosed(token), CLOSE));
                }
                _ => {
                    if let Some((command, hint)) = self.command(token) {
                        return Err(self.place.error(command, hint));
                    }
                    if self.is_delimiter_line(token) {
                        self.lexer.read_delimiter().ok_or_else(|| {
                            let hint = "write one after it: `DELIMITER //`";
                            self.place.error("`DELIMITER` names no delimiter", hint)
                        })?;
                    } else {
                        self.token(token)?;
                    }
                }
            }
            self.place.forward(self.text, token.end);
            self.last = Some(self.place.line);
        }
        if let Some(open) = self.lexer.code_since() {
            let mut place = Place::first(self.text);
            place.forward(self.text, open);
            return Err(place.error(
                "the version comment that starts here is never closed",
                CLOSE,
            ));
        }
        if let Some(pending) = self.pending.take() {
            if !self.lexer.has_delimiter()
                && let Some(missing) = pending.body.missing()
            {
                return Err(pending
                    .start
                    .error(missing, "complete the statement, or save the complete file"));
            }
            self.push(&pending);
        }
        Ok(())
    }

    /// Whether a `;` at this place ends a statement, if there is one.
    fn ends_here(&self) -> bool {
        !self.lexer.has_delimiter()
            && self.lexer.code_since().is_none()
            && self
                .pending
                .as_ref()
                .is_none_or(|pending| !pending.body.holds_semicolon())
    }

    fn comment(&mut self, token: Token) {
        self.scan.comments.push(Comment {
            token,
            place: self.place,
            inside: self.pending.as_ref().map(|pending| pending.start.offset),
            trails: self.last == Some(self.place.line),
        });
    }

    fn token(&mut self, token: Token) -> Result<(), SplitError> {
        if self.pending.is_none() && token.kind == TokenKind::Semicolon {
            return Ok(());
        }
        let place = self.place;
        let pending = self.pending.get_or_insert_with(|| Pending {
            start: place,
            end: token.end,
            body: Body::new(self.dialect),
            stdin: Stdin::Start,
        });
        if token.kind != TokenKind::Semicolon {
            pending.end = token.end;
        }
        if matches!(token.kind, TokenKind::CodeOpen | TokenKind::CodeClose) {
            return Ok(());
        }
        pending.body.feed(token, self.text);
        if self.dialect == Dialect::Postgres {
            pending.stdin = pending.stdin.after(token.text(self.text));
            if pending.stdin == Stdin::From && self.reads_stdin() {
                return Err(place.error(
                    "the rows of `COPY … FROM stdin` can only be sent by psql; \
                     write them as `INSERT` statements",
                    "`pg_dump --inserts` writes the rows in this way",
                ));
            }
        }
        Ok(())
    }

    /// Whether the next token is `STDIN`; it must not be read, as rows may follow.
    fn reads_stdin(&self) -> bool {
        let next = self
            .lexer
            .clone()
            .find(|token| token.kind != TokenKind::Comment);
        next.is_some_and(|token| token.text(self.text).eq_ignore_ascii_case("STDIN"))
    }

    fn finish(&mut self) {
        if let Some(pending) = self.pending.take() {
            self.push(&pending);
        }
    }

    fn push(&mut self, pending: &Pending) {
        let span = pending.start.offset..pending.end;
        self.scan.statements.push(Statement {
            text: &self.text[span.clone()],
            span,
            line: pending.start.line,
            column: pending.start.column,
        });
    }

    fn is_delimiter_line(&self, token: Token) -> bool {
        self.dialect == Dialect::Mysql
            && self.pending.is_none()
            && token.kind == TokenKind::Word
            && token.text(self.text).eq_ignore_ascii_case("DELIMITER")
    }

    /// What to say about a command of a command line client, if `token` begins one, and what to do.
    fn command(&self, token: Token) -> Option<(String, &'static str)> {
        let rest = &self.text[token.start..];
        let starts = self.pending.is_none();
        let client = match (self.dialect, token.text(self.text)) {
            (_, "\0") if self.dialect != Dialect::Mysql => {
                let what = "a NUL character ends the text for the database".to_owned();
                return Some((what, "remove it from the file"));
            }
            (Dialect::Postgres, "\\") => "psql",
            (Dialect::Mysql, "\\") if !rest.starts_with("\\N") => "mysql",
            (Dialect::Mysql, source) if starts && source.eq_ignore_ascii_case("SOURCE") => "mysql",
            (Dialect::Sqlite, ".") if starts => "sqlite3",
            _ => return None,
        };
        let word = rest.split_ascii_whitespace().next().unwrap_or_default();
        let word: String = word.chars().take(40).collect();
        let what =
            format!("`{word}` is a command of the {client} client, which no database understands");
        Some((what, "remove it, or write in SQL what it does"))
    }

    fn unclosed(&self, token: Token) -> String {
        let text = token.text(self.text);
        let what = match text.as_bytes().first() {
            Some(b'/') => "comment",
            Some(b'$') => "dollar quote",
            Some(b'"') if self.dialect == Dialect::Mysql => "string",
            Some(b'"' | b'`' | b'[') => "quoted name",
            Some(b'u' | b'U') if text.as_bytes().get(2) == Some(&b'"') => "quoted name",
            _ => "string",
        };
        format!("the {what} that starts here is never closed")
    }
}

impl Stdin {
    fn after(self, text: &str) -> Self {
        match self {
            Self::Start if text.eq_ignore_ascii_case("COPY") => Self::Copy,
            Self::Copy | Self::From if text.eq_ignore_ascii_case("FROM") => Self::From,
            Self::Copy | Self::From => Self::Copy,
            _ => Self::No,
        }
    }
}
