//! Makes text from a database or a server safe to show.
//!
//! A message may hold sequences that clear a terminal, set its title or make a
//! line read backwards. What is shown must be what is stored, so such characters
//! are spelled out (`\u{1b}`) and never dropped.

use std::borrow::Cow;

/// For text that must stay on one line: line ends are spelled out too.
pub fn line(text: &str) -> Cow<'_, str> {
    spell(text, is_unsafe)
}

/// For text that is printed as a block: newlines stay.
pub fn block(text: &str) -> Cow<'_, str> {
    spell(text, |char| char != '\n' && is_unsafe(char))
}

/// Characters that move the cursor, reorder what is around them, break a line or cannot be seen.
pub fn is_unsafe(char: char) -> bool {
    // C0, DEL and C1: the last are honoured as one-character escapes by some terminals.
    char.is_control()
        || matches!(char,
            // Direction marks, embeddings, overrides and isolates.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Line and paragraph separator.
            | '\u{2028}' | '\u{2029}'
            // Zero-width space and byte order mark: a difference that nobody would see.
            | '\u{200b}' | '\u{feff}'
            // Interlinear annotation; two non-characters that XML refuses.
            | '\u{fff9}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}')
}

fn spell(text: &str, spelled: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&spelled) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for char in text.chars() {
        match char {
            '\t' | '\r' | '\n' if spelled(char) => safe.extend(char.escape_default()),
            _ if spelled(char) => safe.extend(char.escape_unicode()),
            _ => safe.push(char),
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::block;
    use super::line;

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(
            line("zażółć 🦀 \"`"),
            std::borrow::Cow::Borrowed(_)
        ));
    }

    #[test]
    fn terminal_sequences_are_spelled_out() {
        assert_eq!(
            line("\u{1b}[2J\u{7f}\u{9b}2J\0"),
            "\\u{1b}[2J\\u{7f}\\u{9b}2J\\u{0}"
        );
    }

    #[test]
    fn direction_overrides_are_spelled_out() {
        assert_eq!(line("a\u{202e}b\u{2066}c"), "a\\u{202e}b\\u{2066}c");
    }

    #[test]
    fn only_a_block_keeps_its_newlines() {
        assert_eq!(line("a\r\n\tb"), "a\\r\\n\\tb");
        assert_eq!(block("a\r\n\tb"), "a\\r\n\\tb");
    }
}
