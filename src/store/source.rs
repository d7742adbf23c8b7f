//! The place of a value: a column, a path into its JSON, or the first of several.
//!
//! Of texts that older rows have in another column a source names both: `parts::$||content`.

use serde::{Deserialize, Serialize};
use serde_json_path::JsonPath;
use std::fmt;
use std::sync::Arc;

/// One place, or several: `topic_id|session_id`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(try_from = "String", into = "String")]
pub struct Source {
    /// The places, in the order in which they are tried.
    pub places: Vec<Place>,
    pub counts: Counts,
}

/// Which of several places counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Counts {
    /// `|`: the first that isn't NULL.
    #[default]
    Value,
    /// `||`: each, until one has a text. An empty text or list is often not NULL.
    Text,
}

/// A column, or a path into the JSON of a column: `message_data::$.role`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub column: String,
    /// The path (RFC 9535).
    pub path: Option<Path>,
}

/// A JSONPath, parsed once.
#[derive(Debug, Clone)]
pub struct Path {
    text: String,
    parsed: Arc<JsonPath>,
}

impl Source {
    pub fn column(name: impl Into<String>) -> Self {
        let column = name.into();
        Self {
            places: vec![Place { column, path: None }],
            counts: Counts::Value,
        }
    }

    /// The columns, in the order in which they are tried.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.places.iter().map(|place| place.column.as_str())
    }

    /// Whether it looks into JSON.
    pub fn is_json(&self) -> bool {
        self.places.iter().any(|place| place.path.is_some())
    }
}

impl Path {
    /// Whether it goes into the value, and does not mean the whole of it.
    pub(super) fn goes_in(&self) -> bool {
        self.text.trim() != "$"
    }

    /// The first node that the path finds.
    pub fn first<'v>(&self, value: &'v serde_json::Value) -> Option<&'v serde_json::Value> {
        self.parsed.query(value).first()
    }

    /// Every node that the path finds.
    pub fn all<'v>(&self, value: &'v serde_json::Value) -> Vec<&'v serde_json::Value> {
        self.parsed.query(value).all()
    }
}

impl PartialEq for Path {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Path {}

impl TryFrom<String> for Source {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let (alternatives, counts) = alternatives(&text)?;
        let places = alternatives
            .into_iter()
            .map(|alternative| place(alternative.trim()))
            .collect::<Result<_, _>>()?;
        Ok(Self { places, counts })
    }
}

impl From<Source> for String {
    fn from(source: Source) -> Self {
        source.to_string()
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, place) in self.places.iter().enumerate() {
            let between = match (index, self.counts) {
                (0, _) => "",
                (_, Counts::Value) => "|",
                (_, Counts::Text) => "||",
            };
            match &place.path {
                Some(path) => write!(f, "{between}{}::{}", place.column, path.text)?,
                None => write!(f, "{between}{}", place.column)?,
            }
        }
        Ok(())
    }
}

fn place(text: &str) -> Result<Place, String> {
    let (column, path) = match text.split_once("::") {
        Some((column, path)) => (column, Some(path.to_owned().try_into()?)),
        None => (text, None),
    };
    if column.is_empty() {
        Err(format!("`{text}` names no column"))
    } else {
        Ok(Place {
            column: column.to_owned(),
            path,
        })
    }
}

impl TryFrom<String> for Path {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parsed = JsonPath::parse(&text).map_err(|error| {
            format!("`{text}` is not a JSONPath (RFC 9535, such as `$.content`): {error}")
        })?;
        Ok(Self {
            parsed: Arc::new(parsed),
            text,
        })
    }
}

impl From<Path> for String {
    fn from(path: Path) -> Self {
        path.text
    }
}

impl<'de> Deserialize<'de> for Path {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.try_into().map_err(serde::de::Error::custom)
    }
}

impl Serialize for Path {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

/// Parts between `|` or `||`, but not where a path's brackets are open.
fn alternatives(text: &str) -> Result<(Vec<&str>, Counts), String> {
    let mut open = 0_usize;
    let mut from = 0;
    let mut parts = Vec::new();
    let mut between = Vec::new();
    for (at, c) in text.char_indices() {
        match c {
            '[' | '(' => open += 1,
            ']' | ')' => open = open.saturating_sub(1),
            // The second half of `||`.
            '|' if open == 0 && from == at && at > 0 && between.last() == Some(&Counts::Value) => {
                between.pop();
                between.push(Counts::Text);
                from = at + 1;
            }
            '|' if open == 0 => {
                parts.push(&text[from..at]);
                between.push(Counts::Value);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    let counts = between.first().copied().unwrap_or_default();
    if between.iter().all(|it| *it == counts) {
        Ok((parts, counts))
    } else {
        Err(format!(
            "`{text}` has both `|` and `||`: use `||` where the first with a text counts, else `|`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::Source;

    #[test]
    fn a_source_is_read_and_written_alike() {
        for text in [
            "content",
            "topic_id|session_id",
            "parts::$||content||body",
            "message_data::$.role|message_data::$.type",
            "parts::$[?@.type == 'text' || @.type == 'x'].text",
        ] {
            let source = Source::try_from(text.to_owned()).unwrap();
            assert_eq!(source.to_string(), text);
        }
        let source = Source::try_from("a::$[?@.x || @.y]|b".to_owned()).unwrap();
        assert_eq!(source.columns().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn what_is_no_source_is_reported() {
        for (text, what) in [
            ("a::content", "is not a JSONPath"),
            ("::$", "names no column"),
            ("a||||b", "names no column"),
            ("a|b||c", "both `|` and `||`"),
        ] {
            let error = Source::try_from(text.to_owned()).unwrap_err();
            assert!(error.contains(what), "{error}");
        }
    }
}
