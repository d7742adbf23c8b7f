//! Small text helpers for all modules.

/// Words less like the wanted one than this are other words. Jaro-Winkler forgives a forgotten ending
/// and swapped letters, and ranks equal starts first.
const ALIKE: f64 = 0.7;

/// The word that was probably meant; none when nothing is like it.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    alike(word, known).into_iter().next()
}

/// The words that may have been meant, the most likely one first.
pub fn alike<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let form = |text: &str| text.to_lowercase().replace(['_', ' '], "-");
    let word = form(word);
    let likeness = |known: &'a str| (strsim::jaro_winkler(&word, &form(known)), known);
    let mut alike: Vec<_> = known.into_iter().map(likeness).collect();
    alike.retain(|(likeness, _)| *likeness > ALIKE);
    alike.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    alike.into_iter().map(|(_, known)| known).collect()
}

/// Bytes in lower-case hexadecimal digits.
pub fn hex(bytes: impl AsRef<[u8]>) -> String {
    let digit = |value: u8| char::from_digit(u32::from(value), 16).expect("it is below 16");
    let digits = |byte: &u8| [digit(byte >> 4), digit(byte & 15)];
    bytes.as_ref().iter().flat_map(digits).collect()
}

/// `1 error`, `2 errors`.
pub fn plural(count: u64, noun: &str) -> String {
    let s = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{s}")
}

/// At most `pieces` parts of nearly the same length, cut between characters.
pub fn pieces_of(text: &str, pieces: usize) -> Vec<String> {
    let characters: Vec<char> = text.chars().collect();
    let pieces = pieces.clamp(1, characters.len().max(1));
    (0..pieces)
        .map(|number| {
            let from = number * characters.len() / pieces;
            let to = (number + 1) * characters.len() / pieces;
            characters[from..to].iter().collect()
        })
        .filter(|piece: &String| !piece.is_empty())
        .collect()
}

/// A text of several lines, such as an error with the end of a server's output, as one line.
pub fn on_one_line(text: &str) -> String {
    if !text.contains('\n') {
        return text.to_owned();
    }
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::{alike, hex, nearest, on_one_line, plural};

    #[test]
    fn an_error_of_several_lines_fits_into_a_table() {
        let error = "the server ended; the end of its output:\n  a\n\n  b (check it)";
        let line = "the server ended; the end of its output: a b (check it)";
        assert_eq!(on_one_line(error), line);
        assert_eq!(on_one_line("two  blanks stay "), "two  blanks stay ");
    }

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        assert_eq!(nearest("cassete", ["user", "cassette"]), Some("cassette"));
        assert_eq!(nearest("Never_Saved", ["never-saved"]), Some("never-saved"));
        assert_eq!(nearest("temperature", ["user", "cassette"]), None);
        assert_eq!(nearest("", ["user"]), None);
        assert_eq!(
            alike("mesage", ["users", "messages", "message"]),
            ["message", "messages"]
        );
    }

    #[test]
    fn bytes_are_two_digits_each() {
        assert_eq!(hex([0, 0x0a, 0xff]), "000aff");
        assert_eq!(hex([0_u8; 0]), "");
    }

    #[test]
    fn one_has_no_s() {
        assert_eq!(plural(1, "row"), "1 row");
        assert_eq!(plural(0, "row"), "0 rows");
    }
}
