//! Marks by which the texts of a run are recognized everywhere.

/// How the mark in a question begins; random letters follow.
pub const QUESTION: &str = "chatctl-u";
/// The same at the end of an answer.
pub const ANSWER: &str = "chatctl-a";
/// The same in the text of a provider's error.
pub const ERROR: &str = "chatctl-e";
/// Is in the place of half a surrogate pair, which no text of this program can hold.
pub const HALF_PAIR: char = '\u{f8ff}';
/// How many letters follow.
pub const LETTERS: usize = 16;

pub fn of(text: &str) -> Vec<&str> {
    let mut found = Vec::new();
    for mark in [QUESTION, ANSWER] {
        found.extend(text.match_indices(mark).map(|(at, _)| {
            let letters = text[at + mark.len()..].find(|c: char| !c.is_ascii_alphanumeric());
            let end = letters.map_or(text.len(), |end| at + mark.len() + end);
            &text[at..end]
        }));
    }
    found.retain(|mark| mark.len() >= QUESTION.len() + LETTERS);
    found
}

/// Whether a text holds the end of another answer than the one that ends with the nonce.
pub fn has_other_answer(text: &str, nonce: &str) -> bool {
    let is_other = |mark: &str| mark.starts_with(ANSWER) && !mark.starts_with(nonce);
    of(text).into_iter().any(is_other)
}

#[cfg(test)]
mod tests {
    use super::{has_other_answer, of};

    #[test]
    fn marks_stand_anywhere_in_a_text() {
        let text = "Hello [chatctl-u0123456789abcdef], chatctl-audit: chatctl-aabcdefghij012345.";
        assert_eq!(
            of(text),
            ["chatctl-u0123456789abcdef", "chatctl-aabcdefghij012345"]
        );
        let own = "chatctl-aabcdefghij012345";
        assert!(!has_other_answer(text, own) && !has_other_answer(&own.repeat(2), own));
        assert!(has_other_answer(text, "chatctl-azbcdefghij012345"));
    }
}
