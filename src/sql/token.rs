//! The tokenizer: it knows quotes and comments, and nothing about statements.
//!
//! It never fails. What is opened and never closed becomes one [`TokenKind::Unclosed`] up to the
//! end of the text. Tokens and blanks together are the text, byte for byte.
//!
//! Sources: SQLite `tokenize.c`; PostgreSQL manual, "Lexical Structure", and `psqlscan.l`; MySQL
//! manual, "Language Structure", and the `mysql` client for `DELIMITER`.

#[cfg(test)]
mod tests;

use std::ops::Range;

use super::Dialect;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A keyword or an unquoted name.
    Word,
    /// `"x"`, `` `x` ``, `[x]` or `U&"x"`, where the dialect reads it as a name.
    QuotedName,
    /// A string, with its prefix `E` or `U&` if it has one; in MySQL also `"x"`.
    String,
    /// A string between two `$tag$` of PostgreSQL.
    DollarString,
    Number,
    /// One character that is none of the others.
    Punct,
    /// `;`, wherever it is outside of quotes and comments.
    Semicolon,
    /// What a `DELIMITER` line of the `mysql` client put in the place of `;`.
    Delimiter,
    /// A comment that no database executes; optimizer hints are among them.
    Comment,
    /// `/*!50000`: what follows is code to MySQL and MariaDB.
    CodeOpen,
    /// The `*/` that ends what [`TokenKind::CodeOpen`] began.
    CodeClose,
    /// A quote or a comment without its end.
    Unclosed,
}

/// A token and where it is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Its first byte.
    pub start: usize,
    /// The byte after it.
    pub end: usize,
}

impl Token {
    /// Where it is.
    pub fn span(self) -> Range<usize> {
        self.start..self.end
    }

    /// Its text, out of the text that was tokenized.
    pub fn text(self, sql: &str) -> &str {
        &sql[self.span()]
    }
}

/// All tokens of `text`, comments included.
pub fn tokenize(text: &str, dialect: Dialect) -> Vec<Token> {
    Lexer::new(text, dialect).collect()
}

/// Yields the tokens of a text one by one, so that its owner can stop where no SQL follows and
/// change the delimiter between two tokens.
#[derive(Debug, Clone)]
pub struct Lexer<'a> {
    text: &'a str,
    at: usize,
    dialect: Dialect,
    delimiter: Option<String>,
    code_since: Option<usize>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Escapes {
    /// A doubled quote is a quote.
    Doubled,
    /// A doubled quote is a quote, and a backslash takes the next character with it.
    Backslash,
    /// The first closing quote ends it.
    None,
}

impl<'a> Lexer<'a> {
    /// Starts at the first byte; a byte order mark there is skipped.
    pub fn new(text: &'a str, dialect: Dialect) -> Self {
        Self {
            text,
            at: if text.starts_with('\u{feff}') { 3 } else { 0 },
            dialect,
            delimiter: None,
            code_since: None,
        }
    }

    /// Where the open `/*!` is, if the next token is inside one.
    pub fn code_since(&self) -> Option<usize> {
        self.code_since
    }

    /// Whether a `DELIMITER` line replaced the `;`.
    pub fn has_delimiter(&self) -> bool {
        self.delimiter.is_some()
    }

    /// Reads the rest of the line as the argument of `DELIMITER` and continues behind it.
    /// `None`: there is no argument.
    pub fn read_delimiter(&mut self) -> Option<()> {
        let rest = &self.text[self.at..];
        let line = rest.split('\n').next().unwrap_or_default();
        self.at += line.len();
        let argument = line.split_ascii_whitespace().next()?;
        self.delimiter = (argument != ";").then(|| argument.to_owned());
        Some(())
    }

    fn byte(&self, ahead: usize) -> Option<u8> {
        self.text.as_bytes().get(self.at + ahead).copied()
    }

    fn delimiter_at(&self, at: usize) -> Option<usize> {
        let delimiter = self.delimiter.as_deref()?.as_bytes();
        self.text.as_bytes()[at..]
            .starts_with(delimiter)
            .then_some(delimiter.len())
    }

    fn scan(&mut self, first: u8) -> TokenKind {
        use Dialect::{Mysql, Postgres, Sqlite};
        if let Some(length) = self.delimiter_at(self.at) {
            self.at += length;
            return TokenKind::Delimiter;
        }
        match (first, self.dialect) {
            (b';', _) => self.take(1, TokenKind::Semicolon),
            (b'-', _) if self.byte(1) == Some(b'-') && self.is_dash_comment() => {
                self.line_comment()
            }
            (b'#', Mysql) => self.line_comment(),
            (b'/', _) if self.byte(1) == Some(b'*') => self.block_comment(),
            (b'*', _) if self.code_since.is_some() && self.byte(1) == Some(b'/') => {
                self.code_since = None;
                self.take(2, TokenKind::CodeClose)
            }
            (b'\'' | b'"', Mysql) => self.quoted(0, Escapes::Backslash, TokenKind::String),
            (b'\'', _) => self.quoted(0, Escapes::Doubled, TokenKind::String),
            (b'"', _) => self.quoted(0, Escapes::Doubled, TokenKind::QuotedName),
            (b'`', Mysql | Sqlite) => self.quoted(0, Escapes::Doubled, TokenKind::QuotedName),
            (b'[', Sqlite) => self.quoted(0, Escapes::None, TokenKind::QuotedName),
            (b'e' | b'E', Postgres) if self.byte(1) == Some(b'\'') => {
                self.quoted(1, Escapes::Backslash, TokenKind::String)
            }
            (b'u' | b'U', Postgres) if self.byte(1) == Some(b'&') => match self.byte(2) {
                Some(b'\'') => self.quoted(2, Escapes::Doubled, TokenKind::String),
                Some(b'"') => self.quoted(2, Escapes::Doubled, TokenKind::QuotedName),
                _ => self.word(),
            },
            (b'$', Postgres) => self.dollar(),
            (b'$', Mysql) => self.word(),
            (b'0'..=b'9', _) => self.number(),
            _ if is_word_byte(first) && first != b'$' => self.word(),
            _ => self.take(1, TokenKind::Punct),
        }
    }

    fn take(&mut self, length: usize, kind: TokenKind) -> TokenKind {
        self.at += length;
        kind
    }

    /// MySQL reads `5--3` as a subtraction, so there the dashes need a blank behind them.
    fn is_dash_comment(&self) -> bool {
        self.dialect != Dialect::Mysql
            || self.byte(2).is_none_or(|byte| byte <= b' ' || byte == 0x7f)
    }

    fn line_comment(&mut self) -> TokenKind {
        let rest = &self.text.as_bytes()[self.at..];
        // To PostgreSQL a bare CR ends the line too: what is behind it is executed.
        let ends =
            |byte: &u8| *byte == b'\n' || (*byte == b'\r' && self.dialect == Dialect::Postgres);
        self.at += rest.iter().position(ends).unwrap_or(rest.len());
        TokenKind::Comment
    }

    fn block_comment(&mut self) -> TokenKind {
        let bytes = self.text.as_bytes();
        if self.dialect == Dialect::Mysql {
            let mariadb = usize::from(self.byte(2) == Some(b'M'));
            if let Some(length) = sandbox(&self.text[self.at..]) {
                return self.take(length, TokenKind::Comment);
            }
            if self.byte(2 + mariadb) == Some(b'!') {
                self.code_since = Some(self.at);
                let open = 3 + mariadb;
                let digits = (0..6)
                    .take_while(|ahead| self.byte(open + ahead).is_some_and(|b| b.is_ascii_digit()))
                    .count();
                // Fewer than five digits are no version but the start of the code.
                return self.take(
                    open + if digits >= 5 { digits } else { 0 },
                    TokenKind::CodeOpen,
                );
            }
        }
        let nests = self.dialect == Dialect::Postgres;
        let mut depth = 1_usize;
        let mut at = self.at + 2;
        while at < bytes.len() {
            if bytes[at..].starts_with(b"*/") {
                depth -= 1;
                at += 2;
                if depth == 0 {
                    self.at = at;
                    return TokenKind::Comment;
                }
            } else if nests && bytes[at..].starts_with(b"/*") {
                depth += 1;
                at += 2;
            } else {
                at += 1;
            }
        }
        self.at = bytes.len();
        if self.dialect == Dialect::Sqlite {
            // SQLite lets the end of the text end a comment.
            TokenKind::Comment
        } else {
            TokenKind::Unclosed
        }
    }

    fn quoted(&mut self, prefix: usize, escapes: Escapes, kind: TokenKind) -> TokenKind {
        let bytes = self.text.as_bytes();
        let quote = match bytes[self.at + prefix] {
            b'[' => b']',
            other => other,
        };
        let mut at = self.at + prefix + 1;
        while let Some(byte) = bytes.get(at) {
            if *byte == b'\\' && escapes == Escapes::Backslash {
                at += 2;
            } else if *byte != quote {
                at += 1;
            } else if escapes != Escapes::None && bytes.get(at + 1) == Some(&quote) {
                at += 2;
            } else {
                self.at = at + 1;
                return kind;
            }
        }
        self.at = bytes.len();
        TokenKind::Unclosed
    }

    fn dollar(&mut self) -> TokenKind {
        let rest = &self.text[self.at..];
        let tag = rest[1..]
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()))
            .map_or("", |end| &rest[..=end + 1]);
        if !tag.ends_with('$') || tag[1..].starts_with(|c: char| c.is_ascii_digit()) {
            return self.take(1, TokenKind::Punct);
        }
        if let Some(end) = rest[tag.len()..].find(tag) {
            self.take(tag.len() + end + tag.len(), TokenKind::DollarString)
        } else {
            self.take(rest.len(), TokenKind::Unclosed)
        }
    }

    /// Takes letters, digits, `_`, `$` and everything that is not ASCII.
    fn run(&mut self) -> &'a str {
        let start = self.at;
        while let Some(byte) = self.byte(0) {
            // The mysql client finds its delimiter even in `END$$`, where `$` is a letter.
            if !is_word_byte(byte) || (self.at > start && self.delimiter_at(self.at).is_some()) {
                break;
            }
            self.at += 1;
        }
        &self.text[start..self.at]
    }

    fn word(&mut self) -> TokenKind {
        self.run();
        TokenKind::Word
    }

    fn number(&mut self) -> TokenKind {
        let digits = self.run();
        // MySQL has names that start with a digit.
        if self.dialect == Dialect::Mysql && !is_numeric(digits) {
            return TokenKind::Word;
        }
        if self.byte(0) == Some(b'.') && self.byte(1) != Some(b'.') {
            self.at += 1;
            self.run();
        }
        let signed = matches!(self.byte(0), Some(b'+' | b'-'));
        let exponent = matches!(self.text.as_bytes()[self.at - 1], b'e' | b'E');
        if exponent && signed && self.byte(1).is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
            self.run();
        }
        TokenKind::Number
    }
}

impl Iterator for Lexer<'_> {
    type Item = Token;

    fn next(&mut self) -> Option<Token> {
        while self.byte(0).is_some_and(is_blank) {
            self.at += 1;
        }
        let start = self.at;
        let first = self.byte(0)?;
        let kind = self.scan(first);
        Some(Token {
            kind,
            start,
            end: self.at,
        })
    }
}

/// The length of the mark that mariadb-dump begins with, for its client only: no server has that
/// version.
fn sandbox(text: &str) -> Option<usize> {
    let inside = text.strip_prefix("/*M!999999\\-")?;
    let end = inside.find("*/")?;
    // In a comment of a version a server skips others, too.
    (!inside[..end].contains("/*")).then(|| text.len() - inside.len() + end + 2)
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c)
}

fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'$' || byte >= 0x80
}

fn is_numeric(run: &str) -> bool {
    let digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    match run.split_once(['x', 'e', 'E', 'b']) {
        None => digits(run),
        Some(("0", hex)) if run.starts_with("0x") => hex.bytes().all(|b| b.is_ascii_hexdigit()),
        Some((head, tail)) => {
            digits(head) && digits(tail) && (head == "0" || !run.contains(['b', 'x']))
        }
    }
}
