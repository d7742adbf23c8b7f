//! JSON documents that differ only in white space or in the order of their names.

use super::number;
use serde_json::Value;
use std::collections::BTreeMap;

/// A document in one way of writing. A name that is twice in one object keeps it from being one:
/// most readers know the last only. None for a text that is not a document.
pub(super) fn canonical(text: &str) -> Option<String> {
    Some(match whole(text)? {
        // A text that was made a document is a string in it, unless that text is a document too.
        Parsed::Text(text) if whole(&text).is_none() => text,
        other => other.written(),
    })
}

/// The text that a document is, where it is nothing else.
pub(super) fn string(text: &str) -> Option<String> {
    match whole(text)? {
        Parsed::Text(text) => Some(text),
        Parsed::Other(_) => None,
    }
}

/// The text that stands in a document at this place among all of its texts.
pub(super) fn leaf(text: &str, place: usize) -> Option<String> {
    let document = serde_json::from_str(text).ok()?;
    let mut found = Vec::new();
    leaves(document, &mut found);
    found.into_iter().nth(place)
}

fn leaves(document: Value, found: &mut Vec<String>) {
    match document {
        Value::String(text) => found.push(text),
        Value::Array(items) => items.into_iter().for_each(|it| leaves(it, found)),
        Value::Object(members) => members.into_iter().for_each(|(_, it)| leaves(it, found)),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn whole(text: &str) -> Option<Parsed> {
    let mut rest = Rest(text);
    let value = rest.value(0)?;
    rest.space();
    rest.0.is_empty().then_some(value)
}

/// How deep a document may be.
const DEEP: usize = 200;

enum Parsed {
    /// A string, without its quotes.
    Text(String),
    /// What else there is, as it is written.
    Other(String),
}

impl Parsed {
    fn written(self) -> String {
        match self {
            Self::Text(text) => format!("{text:?}"),
            Self::Other(text) => text,
        }
    }
}

struct Rest<'a>(&'a str);

impl Rest<'_> {
    fn space(&mut self) {
        self.0 = self.0.trim_start_matches([' ', '\t', '\n', '\r']);
    }

    fn take(&mut self, what: &str) -> bool {
        self.space();
        let rest = self.0.strip_prefix(what);
        self.0 = rest.unwrap_or(self.0);
        rest.is_some()
    }

    fn value(&mut self, depth: usize) -> Option<Parsed> {
        if depth > DEEP {
            return None;
        }
        self.space();
        match self.0.chars().next()? {
            '"' => self.string().map(Parsed::Text),
            '{' => self.object(depth).map(Parsed::Other),
            '[' => self.array(depth).map(Parsed::Other),
            _ => {
                let end = self.0.find([',', ']', '}', ' ', '\t', '\n', '\r']);
                let (word, rest) = self.0.split_at(end.unwrap_or(self.0.len()));
                self.0 = rest;
                match word {
                    "true" | "false" | "null" => Some(Parsed::Other(word.to_owned())),
                    number => number::plain(number).map(Parsed::Other),
                }
            }
        }
    }

    fn string(&mut self) -> Option<String> {
        let mut escaped = false;
        let end = self.0.char_indices().skip(1).find(|(_, character)| {
            let ends = *character == '"' && !escaped;
            escaped = *character == '\\' && !escaped;
            ends
        });
        let (text, rest) = self.0.split_at(end?.0 + 1);
        self.0 = rest;
        serde_json::from_str(text).ok()
    }

    fn object(&mut self, depth: usize) -> Option<String> {
        let mut members = BTreeMap::new();
        self.take("{");
        if !self.take("}") {
            loop {
                self.space();
                let name = self.string()?;
                if !self.take(":") {
                    return None;
                }
                let value = self.value(depth + 1)?.written();
                if members.insert(name, value).is_some() {
                    return None;
                }
                if self.take("}") {
                    break;
                }
                if !self.take(",") {
                    return None;
                }
            }
        }
        let members = members
            .into_iter()
            .map(|(name, value)| format!("{name:?}:{value}"));
        Some(format!("{{{}}}", members.collect::<Vec<_>>().join(",")))
    }

    fn array(&mut self, depth: usize) -> Option<String> {
        let mut items = Vec::new();
        self.take("[");
        if !self.take("]") {
            loop {
                items.push(self.value(depth + 1)?.written());
                if self.take("]") {
                    break;
                }
                if !self.take(",") {
                    return None;
                }
            }
        }
        Some(format!("[{}]", items.join(",")))
    }
}

#[cfg(test)]
mod tests {
    use super::{canonical, leaf, string};

    #[test]
    fn a_text_is_found_by_its_place_in_a_document() {
        let parts = r#"[{"type":"text","n":1,"text":"a \"b\""}]"#;
        assert_eq!(leaf(parts, 1).as_deref(), Some("a \"b\""));
        assert_eq!(leaf(parts, 2), None);
        assert_eq!(leaf("plain words", 0), None);
    }

    #[test]
    fn a_text_that_is_a_document_is_not_the_document() {
        for (a, b) in [("\"true\"", "true"), ("\"1\"", "1"), ("\"{}\"", "{}")] {
            assert_ne!(canonical(a), canonical(b), "{a} {b}");
        }
        assert_eq!(canonical("\"a b\"").as_deref(), Some("a b"));
        assert_eq!(string("\"true\"").as_deref(), Some("true"));
        assert_eq!(string("true"), None);
    }

    #[test]
    fn a_document_is_itself_however_it_is_written() {
        let same = [
            (r#"{"a": 1, "b":[ 1.50 , "x"]}"#, r#"{"b":[1.5,"x"],"a":1}"#),
            (r#""h\u00e9""#, "\"hé\""),
            ("[ ]", "[]"),
            (" {} ", "{}"),
            ("1e2", "100"),
        ];
        for (a, b) in same {
            assert!(canonical(a).is_some(), "{a}");
            assert_eq!(canonical(a), canonical(b), "{a} {b}");
        }
        let other = [
            (r#"{"a":1}"#, r#"{"a":2}"#),
            (r#"["1"]"#, "[1]"),
            (r#"{"a":["x"]}"#, r#"{"a":"[x]"}"#),
            (
                r#"{"role":"user","role":"assistant"}"#,
                r#"{"role":"assistant"}"#,
            ),
        ];
        for (a, b) in other {
            assert_ne!(canonical(a), canonical(b), "{a} {b}");
        }
        for none in [
            "",
            "{",
            "[1,]",
            "{\"a\"}",
            "plain words",
            "{\"a\":1,\"a\":1}",
            "[1,]2]",
        ] {
            assert_eq!(canonical(none), None, "{none}");
        }
    }
}
