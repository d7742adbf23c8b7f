//! Which rows are copied, under which key, and whether a copy came back as it was written. Pure.

use crate::model::Cell;
use std::collections::BTreeSet;

/// No key, address or digest is longer, and a column with such values has what users write.
const LONG: usize = 128;
/// No time or number is longer.
const NUMBER: usize = 40;
/// A column with fewer values than these may hold states or kinds.
const FEW: usize = 10;
/// So many rows are copied at most.
const COPIES: usize = 5;
/// Names of columns that say who wrote a message, or of which kind it is.
const ROLES: [&str; 6] = ["author", "kind", "role", "sender", "status", "type"];

/// What became of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Harm {
    /// It is NULL or empty.
    Emptied,
    /// It has so many characters of so many.
    Cut(usize, usize),
}

/// What a written text lost; nothing where at most a few characters or spaces are gone, or a digest is in its
/// place, which the text of a trigger shows.
pub(super) fn harm(written: &str, back: Option<&str>) -> Option<Harm> {
    let (wanted, found) = (squeezed(written), squeezed(back.unwrap_or_default()));
    if wanted.is_empty() {
        return None;
    }
    if found.is_empty() {
        return Some(Harm::Emptied);
    }
    // A time or a number may be written in another way; neither is so long as a text of digits may be.
    if wanted.len() <= NUMBER && is_number(&wanted) && is_number(&found) {
        return None;
    }
    let (wanted, left) = (wanted.chars().count(), found.chars().count());
    let is_cut = left * 10 < wanted * 9;
    (is_cut && !is_digest(&found, written)).then_some(Harm::Cut(left, wanted))
}

/// Without space around it, and with one space between words.
fn squeezed(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

fn is_number(text: &str) -> bool {
    text.chars()
        .all(|it| it.is_ascii_digit() || "+-., :TZ".contains(it))
}

/// Whether it has the form of a digest: in hexadecimal, in Base64, or of a password.
fn is_digest(found: &str, written: &str) -> bool {
    let is_hex = found.chars().all(|it| it.is_ascii_hexdigit());
    let is_code = |it: char| it.is_ascii_alphanumeric() || "+/=-_".contains(it);
    let is_form = match found.len() {
        32 | 40 | 56 | 64 | 96 | 128 => is_hex,
        24 | 28 | 44 | 88 => found.ends_with('=') && found.chars().all(is_code),
        _ => found.starts_with('$'),
    };
    is_form && !found.contains(' ') && !written.contains(found)
}

/// Whether a column has texts that users wrote, by its values.
pub(super) fn is_content<'a>(values: impl Iterator<Item = &'a str>) -> bool {
    let all: Vec<_> = values.collect();
    let different = all.iter().collect::<BTreeSet<_>>().len();
    let is_long = all.iter().any(|it| it.chars().count() > LONG);
    is_long || different >= FEW && different * 2 >= all.len()
}

/// The rows to copy: of each role the one with the longest texts. Each row is a list of its texts.
pub(super) fn chosen(names: &[&str], rows: &[Vec<Option<&str>>]) -> Vec<usize> {
    let values = |column: usize| {
        let of = rows.iter().filter_map(move |row| row[column]);
        of.collect::<BTreeSet<_>>()
    };
    let is_role = |column: &usize| (2..=COPIES).contains(&values(*column).len());
    let is_named = |column: &usize| {
        let name = names[*column].to_lowercase();
        ROLES.iter().any(|role| name.contains(role))
    };
    let roles: Vec<_> = (0..names.len()).filter(is_role).collect();
    let role = roles.iter().copied().find(is_named);
    let role = role.or_else(|| roles.first().copied());
    let length = |row: &usize| {
        let texts = rows[*row].iter().flatten();
        texts.map(|text| text.len()).sum::<usize>()
    };
    let longest = |is_one: &dyn Fn(&usize) -> bool| {
        // The first of those that are equally long.
        (0..rows.len()).filter(is_one).rev().max_by_key(length)
    };
    match role {
        None => longest(&|_| true).into_iter().collect(),
        Some(role) => {
            let values = values(role).into_iter();
            let rows = values.filter_map(|value| longest(&|row| rows[*row][role] == Some(value)));
            rows.collect()
        }
    }
}

/// Another key of the same form: the last digits, and letters that are digits too, are turned.
pub(super) fn other_text(text: &str, by: u8) -> String {
    let turn = |it: char, first: char, count: u8| {
        let place = (it as u8 - first as u8 + by) % count;
        char::from(first as u8 + place)
    };
    let start = text.chars().count().saturating_sub(8);
    let turned = text.chars().enumerate().map(|(at, it)| match it {
        _ if at < start => it,
        '0'..='9' => turn(it, '0', 10),
        'a'..='f' => turn(it, 'a', 6),
        'A'..='F' => turn(it, 'A', 6),
        _ => it,
    });
    let turned: String = turned.collect();
    if turned == text {
        return text.chars().rev().collect();
    }
    turned
}

/// A text of the same length that differs in its end.
pub(super) fn altered(text: &str) -> String {
    let mut all: Vec<_> = text.chars().collect();
    let end = if all.last() == Some(&'~') { '!' } else { '~' };
    all.pop();
    all.into_iter().chain([end]).collect()
}

/// A value of a key as a number.
pub(super) fn number(cell: &Cell) -> Option<i64> {
    match cell {
        Cell::Int(number) => Some(*number),
        Cell::Text(text) => text.parse().ok(),
        Cell::Null | Cell::Real(_) | Cell::Blob(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{Harm, altered, chosen, harm, is_content, other_text};

    #[test]
    fn a_text_that_comes_back_empty_or_shorter_is_harmed() {
        let text = "An answer with several words in it, and more of them";
        for (back, expected) in [
            (None, Some(Harm::Emptied)),
            (Some("  "), Some(Harm::Emptied)),
            (Some("An a"), Some(Harm::Cut(4, 52))),
            (Some("An..."), Some(Harm::Cut(5, 52))),
            (
                Some("Ananswerwithseveralwordsinit,andmoreofthem"),
                Some(Harm::Cut(42, 52)),
            ),
            (Some(text), None),
            (Some(&text.to_lowercase() as &str), None),
            (Some(&text.replace(',', "") as &str), None),
            (Some("$2b$10$nOUIs5kJ7naTuTFkBy1veu"), None),
            (Some("0cc175b9c0f1b6a831c399e269772661"), None),
        ] {
            assert_eq!(harm(text, back), expected, "{back:?}");
        }
        assert_eq!(harm("  a   b ", Some("a b")), None);
        assert_eq!(harm(" ", None), None);
        let (long, short) = ("2024-01-01T00:00:00.000Z", "2026-12-03 14:00:00");
        assert_eq!(harm(long, Some(short)), None);
        assert_eq!(harm("text 12", Some("12")), Some(Harm::Cut(2, 7)));
        let digits = "7".repeat(300);
        assert_eq!(harm(&digits, Some("777")), Some(Harm::Cut(3, 300)));
        // A part of the text is not a digest.
        let (long, part) = ("x".repeat(200), "x".repeat(40));
        assert_eq!(harm(&long, Some(&part)), Some(Harm::Cut(40, 200)));
    }

    #[test]
    fn a_row_of_each_role_is_copied() {
        let rows = [
            vec![Some("user"), Some("hi")],
            vec![Some("ai"), Some("a long answer")],
            vec![Some("user"), Some("a question")],
            vec![Some("ai"), None],
        ];
        assert_eq!(chosen(&["role", "body"], &rows), [1, 2]);
        assert_eq!(
            chosen(&["body"], &[vec![Some("a")], vec![Some("b, c")]]),
            [0, 1]
        );
        assert_eq!(chosen(&[], &[vec![], vec![]]), [0]);
        assert!(chosen(&["body"], &[]).is_empty());
    }

    #[test]
    fn another_key_has_the_same_form() {
        assert_eq!(other_text("msg_01", 1), "msg_12");
        assert_eq!(
            other_text("6f1c2d3e-0000-4000-8000-00000000000f", 1),
            "6f1c2d3e-0000-4000-8000-00001111111a"
        );
        assert_eq!(altered("text"), "tex~");
        assert_eq!(altered("tex~"), "tex!");
    }

    #[test]
    fn states_are_no_content() {
        let states = ["new", "sent", "read"];
        let states = (0..30).map(|row| states[row % 3]);
        assert!(!is_content(states));
        let texts: Vec<_> = (0..30).map(|row| format!("text {row}")).collect();
        assert!(is_content(texts.iter().map(String::as_str)));
        assert!(is_content(["x".repeat(200)].iter().map(String::as_str)));
    }
}
