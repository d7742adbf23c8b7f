//! Texts that encode bytes or a list, which a migration decodes, or that it makes of them. Two unlike
//! texts never have the same value, but for the line ends that encoders put into Base64.

use super::number;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

/// How a text encodes bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Code {
    /// In hexadecimal, with small letters only.
    Lower,
    /// The same with capital letters.
    Upper,
    /// In Base64, maybe in lines.
    Base64,
    /// As a UUID with small letters only.
    Uuid,
    /// The same with capital letters.
    UpperUuid,
}

/// The lengths of the lines in which encoders write Base64.
const LINES: [usize; 3] = [64, 72, 76];

/// The bytes that a text encodes; none for one that is written in another way.
pub(super) fn decoded(code: Code, text: &str) -> Option<Vec<u8>> {
    match code {
        Code::Lower => hex(text, |byte| !byte.is_ascii_uppercase()),
        Code::Upper => hex(text, |byte| !byte.is_ascii_lowercase()),
        Code::Base64 => {
            let lines: Vec<_> = text.lines().collect();
            let Some((last, whole)) = lines.split_last() else {
                return Some(Vec::new());
            };
            let are_lines = |length: &usize| {
                whole.iter().all(|it| it.len() == *length) && last.len() <= *length
            };
            let is_one = whole.is_empty() || LINES.iter().any(are_lines);
            is_one
                .then(|| BASE64_STANDARD.decode(lines.concat()).ok())
                .flatten()
        }
        Code::Uuid => uuid(text, |byte| !byte.is_ascii_uppercase()),
        Code::UpperUuid => uuid(text, |byte| !byte.is_ascii_lowercase()),
    }
}

fn uuid(text: &str, may: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let groups: Vec<_> = text.split('-').collect();
    let lengths = groups.iter().map(|it| it.len());
    let is_one = lengths.eq([8, 4, 4, 4, 12]);
    is_one.then(|| hex(&groups.concat(), may)).flatten()
}

fn hex(text: &str, may: impl Fn(u8) -> bool) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) || !bytes.iter().all(|byte| may(*byte)) {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = bytes.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok())
        .collect()
}

/// A list as it is stored.
#[derive(Debug, Clone, Copy)]
pub(super) enum List<'t> {
    /// As a document: an object is none.
    Document(&'t str),
    /// As an array of PostgreSQL.
    Array(&'t str),
}

/// The text of which a list was made, or that is made of one: its parts with something between them;
/// with nothing there, its only part. None where another list has the same text.
pub(super) fn joined(list: List<'_>, between: Option<&str>) -> Option<String> {
    let parts = match list {
        List::Document(text) => serde_json::from_str(text).ok()?,
        List::Array(text) => parts(text)?,
    };
    match (between, parts.as_slice()) {
        (None, [only]) => Some(only.clone()),
        (None, _) => None,
        // A list without a part has this text.
        (Some(_), [only]) if only.is_empty() => None,
        (Some(between), parts) => {
            let is_in = parts.iter().any(|it| it.contains(between));
            (!is_in).then(|| parts.join(between))
        }
    }
}

/// What the parts of a list are, all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::db) enum Parts {
    Texts,
    Numbers,
}

/// A list in one way of writing, whether it is a document or an array. None where it has other
/// parts: a number and its text would be one part of an array.
pub(super) fn listed(list: List<'_>, of: Parts) -> Option<String> {
    let texts = || match list {
        List::Document(text) => serde_json::from_str(text).ok(),
        List::Array(text) => parts(text),
    };
    let numbers = || {
        let (List::Document(text) | List::Array(text)) = list;
        let ends = if matches!(list, List::Array(_)) {
            ('{', '}')
        } else {
            ('[', ']')
        };
        let inside = text
            .trim()
            .strip_prefix(ends.0)?
            .strip_suffix(ends.1)?
            .trim();
        let all = inside.split(',').filter(|_| !inside.is_empty());
        all.map(|it| number::plain(it.trim()))
            .collect::<Option<Vec<_>>>()
    };
    let all = match of {
        Parts::Texts => texts(),
        Parts::Numbers => numbers(),
    };
    serde_json::to_string(&all?).ok()
}

/// The parts of an array as PostgreSQL writes it.
fn parts(list: &str) -> Option<Vec<String>> {
    let mut rest = list.strip_prefix('{')?.strip_suffix('}')?;
    let mut parts = Vec::new();
    if rest.is_empty() {
        return Some(parts);
    }
    loop {
        let (part, behind) = part(rest)?;
        parts.push(part);
        match behind.strip_prefix(',') {
            Some(next) => rest = next,
            None => return behind.is_empty().then_some(parts),
        }
    }
}

/// The first part, and what is behind it; none for NULL and for another array.
fn part(text: &str) -> Option<(String, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find(',').unwrap_or(text.len());
        let (part, behind) = text.split_at(end);
        let is_text = !part.eq_ignore_ascii_case("NULL") && !part.contains('{');
        return is_text.then(|| (part.to_owned(), behind));
    };
    let mut part = String::new();
    let mut characters = quoted.char_indices();
    while let Some((at, character)) = characters.next() {
        match character {
            '"' => return Some((part, &quoted[at + 1..])),
            '\\' => part.push(characters.next()?.1),
            other => part.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{Code, List, Parts, decoded, joined, listed};

    #[test]
    fn bytes_are_those_that_are_written_so() {
        let bytes = Some(vec![0xc3, 0xa9]);
        assert_eq!(decoded(Code::Lower, "c3a9"), bytes);
        assert_eq!(decoded(Code::Upper, "C3A9"), bytes);
        assert_eq!(decoded(Code::Base64, "w6k="), bytes);
        assert_eq!(decoded(Code::Base64, "w6k=\n"), bytes);
        assert_eq!(decoded(Code::Base64, ""), Some(Vec::new()));
        let lines = format!("{}\n{}\n", "AAAA".repeat(19), "AAAA");
        assert_eq!(decoded(Code::Base64, &lines), Some(vec![0; 60]));
        let uuid = decoded(Code::Uuid, "550e8400-e29b-41d4-a716-446655440000");
        assert_eq!(uuid.map(|it| it.len()), Some(16));
        let uuid = decoded(Code::UpperUuid, "550E8400-E29B-41D4-A716-446655440000");
        assert_eq!(uuid.map(|it| it.len()), Some(16));
        for (code, text) in [
            (Code::Lower, "C3a9"),
            (Code::Upper, "C3a9"),
            (Code::Lower, "c3a"),
            (Code::Lower, "é"),
            (Code::Lower, "+1"),
            (Code::Base64, "w6l="),
            (Code::Base64, "w6k"),
            (Code::Base64, "Done\nnext"),
            (Code::Uuid, "550E8400-e29b-41d4-a716-446655440000"),
            (Code::UpperUuid, "550E8400-e29b-41d4-a716-446655440000"),
            (Code::Uuid, "550e8400e29b41d4a716446655440000"),
        ] {
            assert_eq!(decoded(code, text), None, "{code:?} {text}");
        }
    }

    #[test]
    fn an_array_is_the_list_of_its_parts() {
        use List::{Array, Document};
        for (document, array, of) in [
            (r#"["a", "b,c", ""]"#, r#"{a,"b,c",""}"#, Parts::Texts),
            ("[0.10, 2e0]", "{0.1,2}", Parts::Numbers),
            (" [ ] ", "{}", Parts::Numbers),
            ("[]", "{}", Parts::Texts),
            (r#"["1"]"#, "{1}", Parts::Texts),
        ] {
            let found = listed(Document(document), of);
            assert!(found.is_some(), "{document}");
            assert_eq!(found, listed(Array(array), of), "{document} {array}");
        }
        for (list, of) in [
            (Document("[1]"), Parts::Texts),
            (Document(r#"["1"]"#), Parts::Numbers),
            (Document("[null]"), Parts::Texts),
            (Document("[[1]]"), Parts::Numbers),
            (Document("[1,]"), Parts::Numbers),
            (Document("{}"), Parts::Texts),
            (Document("1,2"), Parts::Numbers),
            (Array("{NULL}"), Parts::Texts),
            (Array("{NaN}"), Parts::Numbers),
            (Array("{{1}}"), Parts::Numbers),
        ] {
            assert_eq!(listed(list, of), None, "{list:?} {of:?}");
        }
    }

    #[test]
    fn a_list_has_a_text_that_no_other_list_has() {
        for (list, between, text) in [
            ("{a,b}", Some(","), Some("a,b")),
            (r#"{"a b","c\"\\"}"#, Some("; "), Some(r#"a b; c"\"#)),
            ("{}", Some(","), Some("")),
            (r#"{""}"#, Some(","), None),
            (r#"{"a,b",c}"#, Some(","), None),
            (r#"{"a,b"}"#, None, Some("a,b")),
            (r#"{""}"#, None, Some("")),
            ("{a,b}", None, None),
            ("{a,NULL}", Some(","), None),
            (r#"{"NULL"}"#, None, Some("NULL")),
            ("{{a},{b}}", Some(","), None),
            ("[0:1]={a,b}", Some(","), None),
        ] {
            let found = joined(List::Array(list), between);
            assert_eq!(found.as_deref(), text, "{list} {between:?}");
        }
        for (list, between, text) in [
            (r#"["a","b"]"#, Some(","), Some("a,b")),
            ("[]", Some(","), Some("")),
            ("{}", Some(","), None),
            ("[1]", None, None),
        ] {
            let found = joined(List::Document(list), between);
            assert_eq!(found.as_deref(), text, "{list} {between:?}");
        }
    }
}
