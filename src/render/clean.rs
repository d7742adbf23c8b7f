//! The last step of every output text: makes it safe, whatever its source.
//!
//! A format escapes each part that it puts into its lines; this looks at the lines as they leave.
//! Nothing but colours of our own moves a terminal, and no line is taken for a command by a CI
//! system that reads its log: `::error::…` at the beginning of a line after blanks, `##[…]`,
//! `##vso[…]` and `##teamcity[…]` anywhere in it
//! (<https://github.com/actions/runner/blob/main/src/Runner.Common/ActionCommand.cs>,
//! <https://learn.microsoft.com/azure/devops/pipelines/scripts/logging-commands>).

use super::escape;
use std::io;
use std::io::Write;

/// What a text is, which says how a character can be spelled out in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Lines for a person; with colours, or without.
    Text {
        /// Whether sequences that colour are ours.
        color: bool,
    },
    /// JSON: a string can spell each character.
    Json,
    /// XML: a text can spell each character.
    Xml,
    /// Cells as they are stored, which can spell nothing.
    Cells,
    /// Commands of our own for a CI system.
    Commands,
}

/// A writer that everything passes through on its way to a stream or a file.
pub struct Clean<W> {
    out: W,
    lines: Lines,
    /// Bytes of a character whose rest has not come yet.
    part: Vec<u8>,
}

impl<W: Write> Clean<W> {
    /// The way to `out`.
    pub fn new(kind: Kind, out: W) -> Self {
        Self {
            out,
            lines: Lines::new(kind),
            part: Vec::new(),
        }
    }
}

impl<W: Write> Write for Clean<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.part.extend_from_slice(bytes);
        let mut safe = String::with_capacity(self.part.len() + 16);
        let rest = self.lines.take(&self.part, &mut safe);
        self.part.drain(..rest);
        self.out.write_all(safe.as_bytes())?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// The lines so far, as far as the next character depends on them.
#[derive(Debug)]
pub struct Lines {
    kind: Kind,
    at: At,
    mark: Mark,
    before: char,
    /// A sequence that may become a colour.
    sequence: String,
    was_raw: bool,
}

/// How far a line has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    /// Nothing but blanks.
    Begin,
    /// Blanks and a colon.
    Colon,
    /// Anything else.
    Inside,
}

/// How much of `##word[` was just written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    No,
    Hash,
    Word,
}

impl Lines {
    /// At the beginning of a text.
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            at: At::Begin,
            mark: Mark::No,
            before: '\n',
            sequence: String::new(),
            was_raw: false,
        }
    }

    /// Whether something that can act was let through, since the text can't spell it.
    pub fn was_raw(&self) -> bool {
        self.was_raw
    }

    /// A text that is safe to write behind what was written.
    pub fn safe(&mut self, text: &str) -> String {
        let mut safe = String::with_capacity(text.len() + 16);
        text.chars().for_each(|char| self.push(char, &mut safe));
        safe
    }

    /// Takes whole characters, and tells how many bytes they are; what is not text becomes `U+FFFD`.
    fn take(&mut self, bytes: &[u8], safe: &mut String) -> usize {
        let mut taken = 0;
        for chunk in bytes.utf8_chunks() {
            chunk.valid().chars().for_each(|char| self.push(char, safe));
            taken += chunk.valid().len();
            let is_begun = taken + chunk.invalid().len() == bytes.len()
                && std::str::from_utf8(chunk.invalid()).is_err_and(|e| e.error_len().is_none());
            if !chunk.invalid().is_empty() && !is_begun {
                self.push(char::REPLACEMENT_CHARACTER, safe);
                taken += chunk.invalid().len();
            }
        }
        taken
    }

    fn push(&mut self, char: char, safe: &mut String) {
        if self.in_sequence(char, safe) {
            return;
        }
        let begins = self.at == At::Colon && char == ':';
        let marks = self.mark == Mark::Word && char == '[';
        let acts =
            char != '\n' && escape::is_unsafe(char) && !escape::is_spelling(self.before, char);
        let code = u32::from(char);
        let spelled = match self.kind {
            Kind::Text { .. } if begins || marks => char.escape_unicode().collect(),
            Kind::Text { .. } if acts => escape::spelled(char),
            Kind::Json if marks => format!("\\u{code:04x}"),
            Kind::Xml if begins || marks => format!("&#{code};"),
            kind => {
                let raw = begins || marks || acts && char != '\r';
                self.was_raw |= kind == Kind::Cells && raw;
                safe.push(char);
                self.follow(char);
                return;
            }
        };
        safe.push_str(&spelled);
        (self.at, self.mark, self.before) = (At::Inside, Mark::No, char);
    }

    /// Whether the character belongs to a sequence that colours, or may come to.
    fn in_sequence(&mut self, char: char, safe: &mut String) -> bool {
        if self.sequence.is_empty() {
            let may = self.kind == Kind::Text { color: true } && char == '\u{1b}';
            if may {
                self.sequence.push(char);
            }
            return may;
        }
        self.sequence.push(char);
        let parameters = self.sequence.strip_prefix("\u{1b}[");
        match parameters {
            None if self.sequence.len() == 2 && char == '[' => return true,
            Some(rest)
                if rest
                    .bytes()
                    .all(|byte| byte.is_ascii_digit() || byte == b';') =>
            {
                return true;
            }
            Some(_) if char == 'm' => {
                safe.push_str(&std::mem::take(&mut self.sequence));
                return true;
            }
            _ => {}
        }
        // It is none: each of its characters is examined by itself.
        let sequence = std::mem::take(&mut self.sequence);
        let mut chars = sequence.chars();
        if let Some(escape) = chars.next() {
            safe.push_str(&escape::spelled(escape));
            (self.at, self.mark, self.before) = (At::Inside, Mark::No, escape);
        }
        chars.for_each(|char| self.push(char, safe));
        true
    }

    fn follow(&mut self, char: char) {
        self.at = match (self.at, char) {
            (_, '\n' | '\r') => At::Begin,
            (At::Begin, ':') => At::Colon,
            (At::Begin, char) if char.is_whitespace() => At::Begin,
            _ => At::Inside,
        };
        self.mark = match (self.mark, char) {
            (Mark::No, '#') => Mark::Hash,
            (Mark::Hash | Mark::Word, '#') => Mark::Word,
            (Mark::Word, char) if char.is_ascii_alphabetic() => Mark::Word,
            _ => Mark::No,
        };
        self.before = char;
    }
}

#[cfg(test)]
mod tests {
    use super::{Clean, Kind, Lines};
    use std::io::Write as _;

    const TEXT: Kind = Kind::Text { color: false };

    fn safe(kind: Kind, text: &str) -> String {
        // However the text is cut into pieces, even inside a character.
        let whole = through(kind, text.as_bytes(), text.len().max(1));
        for size in 1..5 {
            assert_eq!(through(kind, text.as_bytes(), size), whole);
        }
        whole
    }

    fn through(kind: Kind, text: &[u8], size: usize) -> String {
        let mut clean = Clean::new(kind, Vec::new());
        text.chunks(size)
            .for_each(|part| clean.write_all(part).unwrap());
        String::from_utf8(clean.out).unwrap()
    }

    #[test]
    fn no_line_begins_with_a_command() {
        for (text, safely) in [
            ("::error::x", ":\\u{3a}error::x"),
            ("a\n \u{a0} ::add-mask::x", "a\n \u{a0} :\\u{3a}add-mask::x"),
            ("a\r::stop-commands::x", "a\\r::stop-commands::x"),
            ("x ##[error]y", "x ##\\u{5b}error]y"),
            (
                "###vso[task.setvariable]y",
                "###vso\\u{5b}task.setvariable]y",
            ),
            ("##teamcity[a]", "##teamcity\\u{5b}a]"),
        ] {
            assert_eq!(safe(TEXT, text), safely);
        }
        for text in ["std::fs", "  : :", "## [a]", "#[derive]", "a ::b\n:c:\n"] {
            assert_eq!(safe(TEXT, text), text);
        }
    }

    #[test]
    fn each_kind_spells_it_in_its_own_way() {
        assert_eq!(
            safe(Kind::Json, "{\"a\":\"##[x]\"}"),
            "{\"a\":\"##\\u005bx]\"}"
        );
        assert_eq!(safe(Kind::Json, "::a"), "::a", "no JSON begins so");
        assert_eq!(
            safe(Kind::Xml, "<a>\n::x ##[y]</a>"),
            "<a>\n:&#58;x ##&#91;y]</a>"
        );
        assert_eq!(safe(Kind::Commands, "::error::x"), "::error::x");
    }

    #[test]
    fn only_our_colours_reach_a_terminal() {
        let colored = "\u{1b}[1;31mred\u{1b}[0m";
        assert_eq!(safe(Kind::Text { color: true }, colored), colored);
        assert_eq!(safe(TEXT, colored), "\\u{1b}[1;31mred\\u{1b}[0m");
        for (text, safely) in [
            ("\u{1b}[2J", "\\u{1b}[2J"),
            ("\u{1b}]52;c;x\u{7}", "\\u{1b}]52;c;x\\u{7}"),
            ("\u{1b}\u{1b}[1m", "\\u{1b}\u{1b}[1m"),
            ("\u{1b}[1\n::a", "\\u{1b}[1\n:\\u{3a}a"),
        ] {
            assert_eq!(safe(Kind::Text { color: true }, text), safely);
        }
        assert_eq!(through(TEXT, b"a\xffb", 1), "a\u{fffd}b");
    }

    #[test]
    fn cells_stay_and_it_is_known_that_they_can_act() {
        for (cells, raw) in [
            ("a,\"b\r\nc\"\r\n", false),
            ("a,\u{1b}[2J\r\n", true),
            ("a\u{202e}\r\n", true),
            ("\"a\n::error::b\"\r\n", true),
        ] {
            let mut lines = Lines::new(Kind::Cells);
            assert_eq!(lines.safe(cells), cells);
            assert_eq!(lines.was_raw(), raw, "{cells:?}");
        }
    }
}
