//! Whether a stored text is the one that was said, up to what no store can be asked for.
//!
//! White space and marks of direction are left out. U+0000 and half a surrogate pair may be missing or stored
//! as something else: no encoding of text has the one in every store, and none has the other.

use crate::stream::marks;

/// As many characters may be in the place of one that can't be stored, such as `\ud83d`.
const LONGEST_STAND_IN: usize = 6;
/// As many characters are shown on each side of a difference.
const SHOWN: usize = 12;

/// How a stored text differs from the one that was said; nothing where it does not.
pub fn same(said: &str, stored: &str) -> Option<String> {
    let stored = plain(stored);
    let said = plain(said);
    let mut parts = said.split(is_unstorable);
    let first = parts.next().unwrap_or_default();
    let Some(at) = stored.find(first) else {
        return Some(difference(first, &stored));
    };
    let mut rest = &stored[at + first.len()..];
    for part in parts {
        match rest.find(part) {
            Some(at) if rest[..at].chars().count() <= LONGEST_STAND_IN => {
                rest = &rest[at + part.len()..];
            }
            Some(_) | None => return Some(difference(part, rest)),
        }
    }
    None
}

/// Whether a stored text has the lines of a text with indented ones, each in a line of its own and
/// indented where it was. How many blanks that takes, and which, is not compared.
pub fn same_lines(said: &str, stored: &str) -> Option<String> {
    let is_indented = |line: &str| line.starts_with([' ', '\t']);
    if !said.lines().any(is_indented) {
        return None;
    }
    let mut rest = stored.lines().filter(|line| !line.trim().is_empty());
    let mut lines = said.lines().filter(|line| !line.trim().is_empty());
    // Words of the server's own may be around the answer, and its first words before the first line end.
    lines.next();
    let lost = lines.find(|line| {
        let is_it = |it: &str| {
            it.trim_start().starts_with(line.trim()) && is_indented(it) == is_indented(line)
        };
        !rest.any(is_it)
    })?;
    Some(format!(
        "the line `{lost}` is not stored as a line with this indentation"
    ))
}

/// A text without what no store can be asked for.
pub fn without_marks(text: &str) -> String {
    text.replace(is_unstorable, "")
}

fn is_unstorable(c: char) -> bool {
    c == '\0' || c == marks::HALF_PAIR
}

/// A text without white space, and without the characters that only say where others go.
fn plain(text: &str) -> String {
    let goes = |c: char| {
        c.is_whitespace()
            || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    text.chars().filter(|c| !goes(*c)).collect()
}

/// Where two texts part.
fn difference(said: &str, stored: &str) -> String {
    let alike = said.chars().zip(stored.chars());
    let alike = alike.take_while(|(ours, its)| ours == its).count();
    let around = |text: &str| {
        let from = alike.saturating_sub(SHOWN);
        let shown: String = text.chars().skip(from).take(2 * SHOWN).collect();
        shown.escape_debug().to_string()
    };
    format!(
        "said `{}`, stored `{}`, at character {alike} without white space",
        around(said),
        around(stored)
    )
}

#[cfg(test)]
mod tests {
    use super::{same, same_lines};

    #[test]
    fn white_space_and_what_cannot_be_stored_may_differ() {
        for (said, stored) in [
            ("One.\r\n\r\nTwo.", "One.\nTwo."),
            ("a\0b", "ab"),
            ("a\0b", "a\u{fffd}b"),
            ("a\0b", "a\0b"),
            ("Cut \u{f8ff} here", "Cut \u{fffd}\u{fffd}\u{fffd} here"),
            ("Cut \u{f8ff} here", r"Cut \ud83d here"),
            ("שלום \u{200f}(1)", "שלום (1)"),
            ("said", "<p>said</p>"),
        ] {
            assert_eq!(same(said, stored), None, "{said:?} {stored:?}");
        }
    }

    #[test]
    fn lines_of_code_stay_lines_and_indented() {
        let said = "So:\n```\ndef f():\n    if x:\n        return 1\n```\nDone.";
        for right in [
            said.to_owned(),
            format!("Assistant: {said} [end]"),
            said.replace('\n', "\r\n"),
            said.replace("    ", "\t"),
            said.replace('\n', "\n\n"),
        ] {
            assert_eq!(same_lines(said, &right), None, "{right:?}");
        }
        for wrong in [
            said.replace('\n', " "),
            said.replace("    ", ""),
            said.replace("\n    ", " "),
        ] {
            assert!(same_lines(said, &wrong).is_some(), "{wrong:?}");
        }
        // Only a text with indented lines is compared.
        assert_eq!(same_lines("One.\nTwo.", "One. Two."), None);
    }

    #[test]
    fn letters_may_not() {
        for (said, stored) in [
            ("👋 hello", "???? hello"),
            ("Grüße", "Gr\u{fffd}\u{fffd}\u{fffd}\u{fffd}e"),
            ("a\0b chatctl", "a"),
            ("👨‍👩‍👧 x", "👨 x"),
            ("one two three", "one three"),
            ("12", "21"),
        ] {
            assert!(same(said, stored).is_some(), "{said:?} {stored:?}");
        }
        assert_eq!(
            same("Good morning", "Good evening").unwrap(),
            "said `Goodmorning`, stored `Goodevening`, at character 4 without white space"
        );
    }
}
