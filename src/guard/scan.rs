//! Finds the comments and the strings of a text.
//!
//! A small scanner, not a parser: what it cannot read (a quote that is never closed) ends with
//! the line, so that one odd line never hides the rest of a file.

use super::language::Language;
use super::syntax::Syntax;
use std::ops::Range;

pub(super) struct Scanner<'a> {
    text: &'a str,
    language: Language,
    syntax: Syntax,
    at: usize,
    /// Open brackets; a string inside brackets is not a docstring.
    depth: i32,
    pub(super) comments: Vec<Range<usize>>,
    pub(super) strings: Vec<Range<usize>>,
}

impl<'a> Scanner<'a> {
    /// Reads the text once.
    pub(super) fn read(text: &'a str, language: Language, syntax: Syntax) -> Self {
        let mut scanner = Self {
            text,
            language,
            syntax,
            at: 0,
            depth: 0,
            comments: Vec::new(),
            strings: Vec::new(),
        };
        scanner.run();
        scanner
    }

    fn bytes(&self) -> &[u8] {
        self.text.as_bytes()
    }

    fn starts(&self, with: &str) -> bool {
        self.bytes()[self.at..].starts_with(with.as_bytes())
    }

    /// The next place of `what` at or after `from`, or the end of the text.
    fn find(&self, from: usize, what: &str) -> usize {
        let from = from.min(self.text.len());
        let rest = &self.bytes()[from..];
        let found = rest
            .windows(what.len())
            .position(|window| window == what.as_bytes());
        found.map_or(self.text.len(), |place| from + place)
    }

    fn run(&mut self) {
        while self.at < self.text.len() {
            if self.comment() || self.raw_string() || self.string() || self.heredoc() {
                continue;
            }
            match self.bytes()[self.at] {
                // A quotation mark as a character of Rust opens no string.
                b'\'' if self.language == Language::Rust && self.starts("'\"'") => self.at += 2,
                b'(' | b'[' | b'{' => self.depth += 1,
                b')' | b']' | b'}' => self.depth -= 1,
                b'/' if self.syntax.slash_regex => {
                    self.regex();
                    continue;
                }
                _ => {}
            }
            self.at += 1;
        }
    }

    fn comment(&mut self) -> bool {
        let start = self.at;
        let line = self.syntax.line.iter().any(|mark| self.starts(mark));
        if line && self.may_start_comment() {
            let end = self.find(start, "\n");
            self.comments.push(start..end);
            self.at = end;
            return true;
        }
        let Some((open, close)) = self.syntax.block else {
            return false;
        };
        // MySQL executes what is in `/*! … */`.
        let executed = self.language == Language::Sql && self.starts("/*!");
        if !self.starts(open) || executed {
            return false;
        }
        if self.language == Language::Ruby && !self.at_line_start() {
            return false;
        }
        let end = (self.find(start + open.len(), close) + close.len()).min(self.text.len());
        self.comments.push(start..end);
        self.at = end;
        true
    }

    fn at_line_start(&self) -> bool {
        self.at == 0 || self.bytes()[self.at - 1] == b'\n'
    }

    /// `$#`, `a#b` and `https://` are no comments where blanks matter.
    fn may_start_comment(&self) -> bool {
        let before = self.at.checked_sub(1).map(|at| self.bytes()[at]);
        let blank = before.is_none_or(|byte| byte.is_ascii_whitespace());
        match self.language {
            Language::Hash | Language::Yaml | Language::Json | Language::Ruby => blank,
            Language::Php => !self.starts("#["),
            Language::JavaScript => before != Some(b':'),
            _ => true,
        }
    }

    fn raw_string(&mut self) -> bool {
        if self.language != Language::Rust || !self.starts("r") {
            return false;
        }
        let rest = &self.bytes()[self.at + 1..];
        let hashes = rest.iter().take_while(|byte| **byte == b'#').count();
        if rest.get(hashes) != Some(&b'"') {
            return false;
        }
        let start = self.at + hashes + 2;
        let close = format!("\"{}", "#".repeat(hashes));
        let end = self.find(start, &close);
        self.strings.push(start.min(end)..end);
        self.at = (end + close.len()).min(self.text.len());
        true
    }

    fn string(&mut self) -> bool {
        let quote = self.bytes()[self.at];
        if !self.syntax.quotes.contains(&quote) {
            return false;
        }
        let open = self.at;
        let mark = String::from(char::from(quote)).repeat(3);
        let triple = self.syntax.triple && self.starts(&mark);
        let (start, end, after) = if triple {
            let end = self.find(open + 3, &mark);
            (open + 3, end, end + 3)
        } else {
            let end = self.string_end(open + 1, quote);
            let closed = self.bytes().get(end) == Some(&quote);
            (open + 1, end, end + usize::from(closed))
        };
        let after = after.min(self.text.len());
        let start = start.min(end);
        if self.is_docstring(open, after) {
            self.comments.push(open..after);
        } else {
            self.strings.push(start..end);
        }
        self.at = after;
        true
    }

    /// Where a string with one quote ends: at its quote, or at the end of the line.
    fn string_end(&self, from: usize, quote: u8) -> usize {
        let long = self.syntax.long.contains(&quote);
        let escapes = !matches!(self.language, Language::Sql | Language::Yaml);
        let bytes = self.bytes();
        let mut at = from;
        // Open `${` of a template; a quote inside belongs to the expression.
        let mut holes = 0_u32;
        while at < bytes.len() {
            match bytes[at] {
                b'\\' if escapes => at += 1,
                b'\n' if !long => return at,
                b'{' if quote == b'`' && (holes > 0 || bytes[at - 1] == b'$') => holes += 1,
                b'}' if quote == b'`' && holes > 0 => holes -= 1,
                byte if byte == quote && holes == 0 => return at,
                _ => {}
            }
            at += 1;
        }
        bytes.len()
    }

    /// A string that is a statement by itself does nothing, as a comment.
    fn is_docstring(&self, open: usize, after: usize) -> bool {
        if !self.syntax.docstrings || self.depth > 0 {
            return false;
        }
        let line = self.text[..open].rfind('\n').map_or(0, |at| at + 1);
        let before = self.text[line..open].trim_start();
        let prefix = before.len() <= 2 && before.chars().all(|c| "rRuUbBfF".contains(c));
        let continued = line > 1 && self.text[..line - 1].ends_with('\\');
        let rest = self.text[after..].lines().next().unwrap_or_default();
        let rest = rest.trim_start();
        prefix && !continued && (rest.is_empty() || rest.starts_with(['#', ';']))
    }

    /// A regular expression of JavaScript may hold quotes that open no string.
    fn regex(&mut self) {
        let before = self.text[..self.at].trim_end();
        let operand = before.ends_with(|c: char| c.is_alphanumeric() || "_$)]}\"'`".contains(c));
        let keyword = before.ends_with("return") || before.ends_with("typeof");
        self.at += 1;
        // `</p>` of JSX is not a regular expression.
        if (operand && !keyword) || before.ends_with('<') {
            return;
        }
        let bytes = self.text.as_bytes();
        let mut at = self.at;
        let mut class = false;
        while at < bytes.len() && bytes[at] != b'\n' {
            match bytes[at] {
                b'\\' => at += 1,
                b'[' => class = true,
                b']' => class = false,
                b'/' if !class => {
                    self.at = at + 1;
                    return;
                }
                _ => {}
            }
            at += 1;
        }
    }

    /// Ruby's `<<~SQL`: the lines up to the one that is only the word.
    fn heredoc(&mut self) -> bool {
        if !self.syntax.heredoc || !(self.starts("<<~") || self.starts("<<-")) {
            return false;
        }
        let rest = self.text[self.at + 3..].trim_start_matches(['"', '\'']);
        let word: String = rest
            .chars()
            .take_while(|c| c.is_ascii_uppercase() || *c == '_')
            .collect();
        if word.is_empty() {
            return false;
        }
        let start = self.find(self.at, "\n");
        let mut end = start;
        for line in self.text[start..].split_inclusive('\n') {
            if line.trim() == word {
                break;
            }
            end += line.len();
        }
        self.strings.push(start..end);
        self.at = (end + 1).min(self.text.len());
        while !self.text.is_char_boundary(self.at) {
            self.at += 1;
        }
        true
    }
}
