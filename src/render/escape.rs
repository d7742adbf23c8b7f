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

/// For text behind a word at the beginning of a line: what follows its first line is indented, so
/// that none of it can be taken for a line of our own.
pub fn indented(text: &str) -> String {
    let mut indented = String::with_capacity(text.len());
    for (number, line) in block(text).split('\n').enumerate() {
        match number {
            0 => {}
            _ if line.starts_with("  ") => indented.push('\n'),
            _ => indented.push_str("\n  "),
        }
        indented.push_str(line);
    }
    indented
}

/// Characters that move the cursor, reorder what is around them, break a line or cannot be seen.
///
/// A joiner and a variation selector are among them: [`line`] and [`block`] let those through that
/// change how the letter before them looks.
pub fn is_unsafe(char: char) -> bool {
    // C0, DEL and C1: the last are honoured as one-character escapes by some terminals.
    char.is_control()
        || is_selector(char)
        || matches!(char,
            // Soft hyphen, grapheme joiner, fillers of Hangul, inherent vowels of Khmer.
            '\u{ad}' | '\u{34f}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{3164}' | '\u{ffa0}'
            // Zero-width space and joiners; direction marks, embeddings, overrides and isolates;
            // line and paragraph separator; invisible operators.
            | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            // Byte order mark, interlinear annotation, two non-characters that XML refuses.
            | '\u{feff}' | '\u{fff0}'..='\u{fffb}' | '\u{fffe}' | '\u{ffff}'
            // Controls of Egyptian, of shorthand and of musical notation.
            | '\u{13430}'..='\u{1343f}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            // Tags: ASCII that nobody sees.
            | '\u{e0000}'..='\u{e0fff}')
}

/// Variation selectors: each may follow a letter and change how it looks, or hide a byte.
fn is_selector(char: char) -> bool {
    matches!(char, '\u{180b}'..='\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

/// Whether a character that can't be seen has an effect that can, behind this one: the emoji or
/// text form of a symbol, and the non-joiner inside a word of Arabic script or of India.
pub(super) fn is_spelling(before: char, char: char) -> bool {
    match char {
        '\u{fe0e}' | '\u{fe0f}' => {
            !before.is_alphabetic() && !before.is_whitespace() && !is_unsafe(before)
        }
        '\u{200c}' => matches!(before, '\u{620}'..='\u{6ff}' | '\u{900}'..='\u{dff}'),
        _ => false,
    }
}

/// A character as it is spelled out.
pub(super) fn spelled(char: char) -> String {
    match char {
        '\t' | '\r' | '\n' => char.escape_default().collect(),
        _ => char.escape_unicode().collect(),
    }
}

fn spell(text: &str, is_spelled: impl Fn(char) -> bool) -> Cow<'_, str> {
    if !text.contains(&is_spelled) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    let mut before = '\n';
    for char in text.chars() {
        if is_spelled(char) && !is_spelling(before, char) {
            safe.push_str(&spelled(char));
        } else {
            safe.push(char);
        }
        before = char;
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::{block, indented, line};

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
    fn no_line_can_be_taken_for_one_of_our_own() {
        assert_eq!(indented("a\n  b\nhint: rm\r"), "a\n  b\n  hint: rm\\r");
    }

    #[test]
    fn what_cannot_be_seen_is_shown() {
        for invisible in [
            "\u{200d}",
            "\u{200c}",
            "\u{2060}",
            "\u{ad}",
            "\u{e0041}",
            "\u{e007f}",
            "\u{e0100}",
            "\u{fe00}",
            "\u{fe0f}",
            "\u{34f}",
            "\u{3164}",
            "\u{115f}",
            "\u{2064}",
            "\u{206a}",
            "\u{180e}",
            "\u{1d173}",
        ] {
            let shown = line(&format!("a{invisible}b")).into_owned();
            let code = invisible.escape_unicode();
            assert_eq!(shown, format!("a{code}b"));
        }
        // The form of a symbol is seen; a second selector, and one without a symbol, is not.
        for seen in [
            "\u{26a0}\u{fe0f} \u{2764}\u{fe0f}",
            "1\u{fe0f}\u{20e3}",
            "\u{645}\u{6cc}\u{200c}\u{62e}",
        ] {
            assert_eq!(line(seen), seen);
        }
        assert_eq!(
            line("\u{26a0}\u{fe0f}\u{fe0f}"),
            "\u{26a0}\u{fe0f}\\u{fe0f}"
        );
        assert_eq!(
            line("\u{1f468}\u{200d}\u{1f469}"),
            "\u{1f468}\\u{200d}\u{1f469}"
        );
    }

    #[test]
    fn only_a_block_keeps_its_newlines() {
        assert_eq!(line("a\r\n\tb"), "a\\r\\n\\tb");
        assert_eq!(block("a\r\n\tb"), "a\\r\n\\tb");
    }
}
