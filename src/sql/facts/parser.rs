//! A cursor over the tokens of one statement.

use crate::sql::name::{inner, unquote};
use crate::sql::token::{Token, TokenKind};
use crate::sql::{Dialect, Name};

/// Cheap to copy: a copy is a place to come back to.
#[derive(Debug, Clone, Copy)]
pub(super) struct Parser<'t> {
    pub(super) text: &'t str,
    pub(super) tokens: &'t [Token],
    pub(super) at: usize,
    pub(super) dialect: Dialect,
}

impl<'t> Parser<'t> {
    pub(super) fn new(text: &'t str, tokens: &'t [Token], dialect: Dialect) -> Self {
        Self {
            text,
            tokens,
            at: 0,
            dialect,
        }
    }

    /// The text of the token at `index`; empty behind the last.
    pub(super) fn text_at(&self, index: usize) -> &'t str {
        self.tokens
            .get(index)
            .map_or("", |token| token.text(self.text))
    }

    fn kind_at(&self, index: usize) -> Option<TokenKind> {
        self.tokens.get(index).map(|token| token.kind)
    }

    /// Whether the token at `index` is this unquoted word. What is behind a dot is a name.
    pub(super) fn word_at(&self, index: usize, word: &str) -> bool {
        self.kind_at(index) == Some(TokenKind::Word)
            && self.text_at(index).eq_ignore_ascii_case(word)
            && !(index > 0 && self.text_at(index - 1) == ".")
    }

    pub(super) fn any_word_at(&self, index: usize, words: &[&str]) -> bool {
        words.iter().any(|word| self.word_at(index, word))
    }

    /// Whether the words from here on are these.
    pub(super) fn sees(&self, words: &[&str]) -> bool {
        words
            .iter()
            .enumerate()
            .all(|(n, word)| self.word_at(self.at + n, word))
    }

    pub(super) fn is_done(&self) -> bool {
        self.at >= self.tokens.len()
    }

    /// The next unquoted word in upper case; empty when something else comes.
    pub(super) fn upper(&self) -> String {
        match self.kind_at(self.at) {
            Some(TokenKind::Word) => self.text_at(self.at).to_ascii_uppercase(),
            _ => String::new(),
        }
    }

    /// Goes behind these words, if they come next.
    pub(super) fn eat(&mut self, words: &[&str]) -> bool {
        let sees = self.sees(words);
        if sees {
            self.at += words.len();
        }
        sees
    }

    /// Goes behind the next word, if it is one of these.
    pub(super) fn eat_any(&mut self, words: &[&str]) -> bool {
        let sees = self.any_word_at(self.at, words);
        if sees {
            self.at += 1;
        }
        sees
    }

    pub(super) fn eat_mark(&mut self, mark: &str) -> bool {
        let sees = self.text_at(self.at) == mark;
        if sees {
            self.at += 1;
        }
        sees
    }

    pub(super) fn part(&mut self) -> Option<String> {
        let token = self.tokens.get(self.at)?;
        let part = unquote(token.text(self.text), token.kind, self.dialect)?;
        self.at += 1;
        Some(part)
    }

    /// A name with or without its schema.
    pub(super) fn name(&mut self) -> Option<Name> {
        let mut name = Name::new(self.part()?);
        while self.text_at(self.at) == "." {
            let mut ahead = *self;
            ahead.at += 1;
            let Some(part) = ahead.part() else { break };
            *self = ahead;
            name.schema = Some(std::mem::replace(&mut name.name, part));
        }
        Some(name)
    }

    /// A table: `ONLY` before it and `*` behind it are PostgreSQL's.
    pub(super) fn table(&mut self) -> Option<Name> {
        let only = self.dialect == Dialect::Postgres && self.word_at(self.at, "ONLY");
        let parens = only && {
            self.at += 1;
            self.eat_mark("(")
        };
        let name = self.name();
        if parens {
            self.eat_mark(")");
        }
        self.eat_mark("*");
        name
    }

    /// Tables between commas.
    pub(super) fn tables(&mut self) -> Vec<Name> {
        let mut tables = Vec::new();
        while let Some(table) = self.table() {
            tables.push(table);
            if !self.eat_mark(",") {
                break;
            }
        }
        tables
    }

    pub(super) fn if_exists(&mut self) -> bool {
        self.eat(&["IF", "EXISTS"])
    }

    pub(super) fn if_not_exists(&mut self) -> bool {
        self.eat(&["IF", "NOT", "EXISTS"])
    }

    /// Goes behind the bracket that is opened here and returns what is inside.
    pub(super) fn parens(&mut self) -> Option<Self> {
        if self.text_at(self.at) != "(" {
            return None;
        }
        let open = self.at;
        let mut depth = 0_usize;
        while !self.is_done() {
            depth = depth_after(self.text_at(self.at), depth);
            self.at += 1;
            if depth == 0 {
                return Some(self.slice(open + 1, self.at - 1));
            }
        }
        Some(self.slice(open + 1, self.at))
    }

    /// The first of these words from here on, outside of all brackets.
    pub(super) fn find(&self, words: &[&str]) -> Option<usize> {
        self.outside().find(|index| self.any_word_at(*index, words))
    }

    /// The indexes from here on that are outside of all brackets.
    pub(super) fn outside(&self) -> impl Iterator<Item = usize> + use<'t> {
        let parser = *self;
        let mut depth = 0_usize;
        (self.at..self.tokens.len()).filter(move |index| {
            let before = depth;
            depth = depth_after(parser.text_at(*index), depth);
            before == 0
        })
    }

    /// Whether this word is anywhere from here on.
    pub(super) fn has(&self, word: &str) -> bool {
        (self.at..self.tokens.len()).any(|index| self.word_at(index, word))
    }

    /// A parser that sees only the tokens `from..to`.
    pub(super) fn slice(&self, from: usize, to: usize) -> Self {
        let to = to.min(self.tokens.len());
        Self {
            tokens: self.tokens.get(from..to).unwrap_or_default(),
            at: 0,
            ..*self
        }
    }

    /// What is left, cut at the commas outside of all brackets.
    pub(super) fn pieces(&self) -> Vec<Self> {
        let mut pieces = Vec::new();
        let mut from = self.at;
        for index in self.outside().filter(|index| self.text_at(*index) == ",") {
            pieces.push(self.slice(from, index));
            from = index + 1;
        }
        if from < self.tokens.len() {
            pieces.push(self.slice(from, self.tokens.len()));
        }
        pieces
    }

    /// What is left, as it is in the text.
    pub(super) fn rest(&self) -> &'t str {
        self.between(self.at, self.tokens.len())
    }

    /// The tokens `from..to`, as they are in the text.
    pub(super) fn between(&self, from: usize, to: usize) -> &'t str {
        match self.tokens.get(from..to) {
            Some([first, .., last]) => &self.text[first.start..last.end],
            Some([only]) => only.text(self.text),
            _ => "",
        }
    }

    /// What is left as a value: a single string without its quotes, anything else as it is.
    pub(super) fn value(&self) -> String {
        match self.tokens.get(self.at..) {
            Some([token]) if token.kind == TokenKind::String => inner(token.text(self.text)),
            _ => self.rest().to_owned(),
        }
    }
}

fn depth_after(text: &str, depth: usize) -> usize {
    match text {
        "(" | "[" => depth + 1,
        ")" | "]" => depth.saturating_sub(1),
        _ => depth,
    }
}
