//! Text with `{name}` in it.

use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt;

/// What was captured so far, by name; a number stays a number.
pub type Captures = BTreeMap<String, Value>;

/// A password or a token from the environment or a file. Its `Debug` hides it.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Takes the text out of sight.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself: to be sent, and to be masked wherever it comes back.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// Text in which `{name}` stands for a captured value; `{{` and `}}` are braces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Template {
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Name(String),
    Secret(Secret),
}

/// Why a text is not a template.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    /// Where in the text, in bytes.
    pub offset: usize,
    /// What is wrong with it.
    pub message: String,
}

/// Why a template could not be filled in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ExpandError {
    /// Nothing was captured under the name.
    Missing {
        /// The name in the braces.
        name: String,
    },
    /// An object or an array was captured, and the place takes only text.
    NotText {
        /// The name in the braces.
        name: String,
    },
    /// A line break would end the header.
    LineBreak {
        /// The name of the header.
        header: String,
    },
}

impl fmt::Display for ExpandError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { name } => write!(f, "nothing was captured for `{{{name}}}`"),
            Self::NotText { name } => write!(
                f,
                "`{{{name}}}` is an object or an array: it can only be a whole JSON value"
            ),
            Self::LineBreak { header } => write!(f, "the header `{header}` has a line break in it"),
        }
    }
}

impl std::error::Error for ExpandError {}

impl Template {
    /// Reads `{name}`, `{{` and `}}`.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(brace) = rest.find(['{', '}']) {
            plain.push_str(&rest[..brace]);
            rest = &rest[brace..];
            if let Some(after) = rest.strip_prefix("{{") {
                plain.push('{');
                rest = after;
            } else if let Some(after) = rest.strip_prefix("}}") {
                plain.push('}');
                rest = after;
            } else {
                let offset = text.len() - rest.len();
                let (name, after) =
                    name_in_braces(rest).map_err(|message| TemplateError { offset, message })?;
                if !plain.is_empty() {
                    parts.push(Part::Text(std::mem::take(&mut plain)));
                }
                parts.push(Part::Name(name.to_owned()));
                rest = after;
            }
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { parts })
    }

    /// Text without names.
    pub fn literal(text: impl Into<String>) -> Self {
        let parts = vec![Part::Text(text.into())];
        Self { parts }
    }

    /// Nothing but `{name}`.
    pub(super) fn name(name: impl Into<String>) -> Self {
        let parts = vec![Part::Name(name.into())];
        Self { parts }
    }

    /// A secret with what is before it (`Bearer `); braces in it mean nothing.
    pub fn secret(before: &str, secret: Secret) -> Self {
        let parts = vec![Part::Text(before.to_owned()), Part::Secret(secret)];
        Self { parts }
    }

    /// The names in it, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(|part| match part {
            Part::Name(name) => Some(name.as_str()),
            Part::Text(_) | Part::Secret(_) => None,
        })
    }

    /// The text without what is filled in.
    pub(super) fn own_text(&self) -> String {
        let own = self.parts.iter().map(|part| match part {
            Part::Text(text) => text.as_str(),
            Part::Name(_) | Part::Secret(_) => "",
        });
        own.collect()
    }

    /// The name when the template is only `{name}`.
    pub fn sole_name(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [Part::Name(name)] => Some(name),
            _ => None,
        }
    }

    /// The text with every name filled in.
    pub fn expand(&self, captures: &Captures) -> Result<String, ExpandError> {
        self.expand_encoded(captures, str::to_owned, str::to_owned)
    }

    /// As `expand`, with own text and filled-in values each encoded for their place.
    pub(super) fn expand_encoded(
        &self,
        captures: &Captures,
        own: impl Fn(&str) -> String,
        filled: impl Fn(&str) -> String,
    ) -> Result<String, ExpandError> {
        let mut text = String::new();
        for part in &self.parts {
            match part {
                Part::Text(plain) => text.push_str(&own(plain)),
                Part::Secret(secret) => text.push_str(&filled(secret.expose())),
                Part::Name(name) => text.push_str(&filled(&scalar(name, captures)?)),
            }
        }
        Ok(text)
    }
}

fn name_in_braces(rest: &str) -> Result<(&str, &str), String> {
    let inner = rest.strip_prefix('{').ok_or("a lone `}`")?;
    let end = inner.find('}').ok_or("a lone `{`")?;
    let name = &inner[..end];
    if !is_name(name) {
        return Err(format!("`{{{name}}}` holds no name"));
    }
    Ok((name, &inner[end + 1..]))
}

/// Letters, digits and `_`, not beginning with a digit.
pub(super) fn is_name(text: &str) -> bool {
    !text.is_empty()
        && !text.starts_with(|first: char| first.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

fn scalar(name: &str, captures: &Captures) -> Result<String, ExpandError> {
    let value = captures.get(name).ok_or_else(|| ExpandError::Missing {
        name: name.to_owned(),
    })?;
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Object(_) | Value::Array(_) => Err(ExpandError::NotText {
            name: name.to_owned(),
        }),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.to_string()),
    }
}

/// A JSON value whose strings are templates; the names of its keys are not.
#[derive(Debug, Clone, PartialEq)]
pub enum JsonTemplate {
    /// A number or a boolean.
    Scalar(Value),
    /// A string; one that is only `{name}` takes the captured value with its type.
    Text(Template),
    Array(Vec<Self>),
    /// An object, its keys in the order of the file.
    Object(Vec<(String, Self)>),
}

impl JsonTemplate {
    /// The value with every name filled in.
    pub fn expand(&self, captures: &Captures) -> Result<Value, ExpandError> {
        Ok(match self {
            Self::Scalar(value) => value.clone(),
            Self::Text(template) => match template.sole_name() {
                Some(name) => captures.get(name).cloned().ok_or_else(|| {
                    let name = name.to_owned();
                    ExpandError::Missing { name }
                })?,
                None => Value::String(template.expand(captures)?),
            },
            Self::Array(items) => {
                let items = items.iter().map(|item| item.expand(captures));
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            Self::Object(entries) => {
                let entries = entries
                    .iter()
                    .map(|(key, value)| Ok((key.clone(), value.expand(captures)?)));
                Value::Object(entries.collect::<Result<_, _>>()?)
            }
        })
    }

    /// Whether `{name}` is nowhere in a longer text.
    pub(super) fn has_only_whole(&self, name: &str) -> bool {
        match self {
            Self::Scalar(_) => true,
            Self::Text(template) => {
                template.sole_name().is_some() || template.names().all(|used| used != name)
            }
            Self::Array(items) => items.iter().all(|item| item.has_only_whole(name)),
            Self::Object(entries) => entries.iter().all(|(_, value)| value.has_only_whole(name)),
        }
    }

    /// Whether `{name}` is anywhere in it.
    pub fn uses(&self, name: &str) -> bool {
        match self {
            Self::Scalar(_) => false,
            Self::Text(template) => template.names().any(|used| used == name),
            Self::Array(items) => items.iter().any(|item| item.uses(name)),
            Self::Object(entries) => entries.iter().any(|(_, value)| value.uses(name)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Captures, ExpandError, JsonTemplate, Secret, Template};
    use serde_json::json;

    fn captures() -> Captures {
        Captures::from([
            ("id".to_owned(), json!(7)),
            ("user".to_owned(), json!("say {id}")),
            ("all".to_owned(), json!([1])),
        ])
    }

    #[test]
    fn names_are_filled_in_once() {
        let template = Template::parse("{{{id}}} {user}").unwrap();
        assert_eq!(template.expand(&captures()).unwrap(), "{7} say {id}");
    }

    #[test]
    fn a_sole_name_keeps_its_type() {
        let object = JsonTemplate::Object(vec![
            (
                "a".to_owned(),
                JsonTemplate::Text(Template::parse("{id}").unwrap()),
            ),
            (
                "b".to_owned(),
                JsonTemplate::Text(Template::parse("n{id}").unwrap()),
            ),
            (
                "c".to_owned(),
                JsonTemplate::Text(Template::parse("{all}").unwrap()),
            ),
        ]);
        assert_eq!(
            object.expand(&captures()).unwrap(),
            json!({"a": 7, "b": "n7", "c": [1]})
        );
    }

    #[test]
    fn an_array_is_no_text() {
        let error = Template::parse("x{all}").unwrap().expand(&captures());
        let name = "all".to_owned();
        assert_eq!(error, Err(ExpandError::NotText { name }));
    }

    #[test]
    fn lone_braces_are_mistakes() {
        for (text, message) in [
            ("a { b", "a lone `{`"),
            ("a } b", "a lone `}`"),
            ("{\"a\": 1}", "`{\"a\": 1}` holds no name"),
            ("{}", "`{}` holds no name"),
        ] {
            assert_eq!(Template::parse(text).unwrap_err().message, message);
        }
    }

    #[test]
    fn debug_hides_a_secret() {
        let template = Template::secret("Bearer ", Secret::new("hunter2"));
        assert!(!format!("{template:?}").contains("hunter2"));
        assert_eq!(template.expand(&captures()).unwrap(), "Bearer hunter2");
    }
}
