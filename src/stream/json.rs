//! The JSON of one event, borrowed from its text.
//!
//! A `serde_json::Value` copies every name and text and hashes the names. A stream has thousands of
//! events, of which a profile looks at a few fields, so its value borrows the names and the texts.

use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Number, Value};
use std::borrow::Cow;
use std::cell::{Cell, OnceCell};
use std::collections::HashMap;
use std::fmt;

/// A JSON value. Names of an object are in their order and differ from each other.
#[derive(Debug, Clone)]
pub enum Json<'a> {
    Null,
    /// `true`, `false`
    Bool(bool),
    Number(Number),
    Text(Cow<'a, str>),
    List(Vec<Json<'a>>),
    Object(Vec<(Cow<'a, str>, Json<'a>)>),
}

/// A document: its text, and what is in it.
#[derive(Debug)]
pub struct Document<'a> {
    text: &'a str,
    root: Json<'a>,
    names: Names,
    /// For those paths that only the library can follow.
    value: OnceCell<Value>,
}

impl<'a> Document<'a> {
    /// Reads a text.
    ///
    /// # Errors
    /// If it is not JSON.
    pub fn parse(text: &'a str) -> Result<Self, serde_json::Error> {
        let names = Cell::default();
        let mut deserializer = serde_json::Deserializer::from_str(text);
        let root = Values { names: &names }.deserialize(&mut deserializer)?;
        deserializer.end()?;
        Ok(Self {
            text,
            root,
            names: names.get(),
            value: OnceCell::new(),
        })
    }

    /// Whether objects in it may have all of these names.
    pub(super) fn may_have(&self, names: Names) -> bool {
        self.names.0 & names.0 == names.0
    }

    /// All of it.
    pub const fn root(&self) -> &Json<'a> {
        &self.root
    }

    /// All of it, as the library has it.
    pub(super) fn value(&self) -> &Value {
        self.value
            .get_or_init(|| serde_json::from_str(self.text).unwrap_or_default())
    }
}

/// Names of fields, as a set that may hold more than was put in: most paths of a profile go nowhere in
/// most events, and this shows it without a search.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Names(u64);

impl Names {
    pub(super) fn of(name: &str) -> Self {
        let bytes = name.as_bytes();
        let at = |place: usize| usize::from(bytes.get(place).copied().unwrap_or_default());
        let last = at(bytes.len().saturating_sub(1));
        let mixed = at(0) ^ (at(bytes.len() / 2) << 1) ^ (last << 2) ^ (bytes.len() << 3);
        Self(1 << (mixed & 63))
    }

    pub(super) const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Those that are in both.
    pub(super) const fn common(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl<'a> Json<'a> {
    pub fn get(&self, name: &str) -> Option<&Self> {
        let Self::Object(fields) = self else {
            return None;
        };
        let field = fields.iter().find(|(field, _)| field == name);
        field.map(|(_, value)| value)
    }

    /// The field of an object; `null` where it has none.
    pub fn at(&self, name: &str) -> &Self {
        self.get(name).unwrap_or(&Self::Null)
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Self] {
        match self {
            Self::List(items) => items,
            _ => &[],
        }
    }

    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A number that is a natural one.
    pub fn as_u64(&self) -> Option<u64> {
        match self {
            Self::Number(number) => number.as_u64(),
            _ => None,
        }
    }

    /// A number that is an integer.
    pub fn as_i64(&self) -> Option<i64> {
        match self {
            Self::Number(number) => number.as_i64(),
            _ => None,
        }
    }

    /// Whether it is an object.
    pub const fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// A value as text; there is none in `null`.
    pub fn said(&self) -> Option<String> {
        match self {
            Self::Null => None,
            Self::Text(text) => Some(text.clone().into_owned()),
            Self::Bool(_) | Self::Number(_) | Self::List(_) | Self::Object(_) => {
                Some(self.to_string())
            }
        }
    }

    /// What the library found, as one of these.
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::Text(Cow::Borrowed(text)),
            Value::Array(items) => Self::List(items.iter().map(Self::of).collect()),
            Value::Object(fields) => {
                let fields = fields.iter();
                let field = |(name, value): (&'a String, &'a Value)| {
                    (Cow::Borrowed(name.as_str()), Self::of(value))
                };
                Self::Object(fields.map(field).collect())
            }
        }
    }
}

/// The order of an object's names means nothing.
impl PartialEq for Json<'_> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Bool(one), Self::Bool(other)) => one == other,
            (Self::Number(one), Self::Number(other)) => one == other,
            (Self::Text(one), Self::Text(other)) => one == other,
            (Self::List(one), Self::List(other)) => one == other,
            (Self::Object(one), Self::Object(fields)) => {
                one.len() == fields.len()
                    && (one.iter()).all(|(name, value)| other.get(name) == Some(value))
            }
            _ => false,
        }
    }
}

impl PartialEq<Value> for Json<'_> {
    fn eq(&self, other: &Value) -> bool {
        match (self, other) {
            (Self::Text(one), Value::String(other)) => one == other,
            _ => *self == Json::of(other),
        }
    }
}

impl fmt::Display for Json<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = serde_json::to_string(self).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

impl Serialize for Json<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Bool(flag) => serializer.serialize_bool(*flag),
            Self::Number(number) => number.serialize(serializer),
            Self::Text(text) => serializer.serialize_str(text),
            Self::List(items) => serializer.collect_seq(items),
            Self::Object(fields) => {
                let mut map = serializer.serialize_map(Some(fields.len()))?;
                for (name, value) in fields {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

/// Reads values, and collects the names in them.
#[derive(Clone, Copy)]
struct Values<'n> {
    names: &'n Cell<Names>,
}

impl<'de> DeserializeSeed<'de> for Values<'_> {
    type Value = Json<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Json<'de>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Values<'_> {
    type Value = Json<'de>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Self::Value, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Self::Value, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Self::Value, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Self::Value, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Self::Value, E> {
        Ok(Number::from_f64(number).map_or(Json::Null, Json::Number))
    }

    fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Borrowed(text)))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Json::Text(Cow::Owned(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Json::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut fields = Vec::new();
        while let Some(Name(name)) = map.next_key()? {
            self.names.set(self.names.get().and(Names::of(&name)));
            fields.push((name, map.next_value_seed(self)?));
        }
        Ok(Json::Object(distinct(fields)))
    }
}

/// The name of a field.
struct Name<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Name<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Keys;

        impl<'de> Visitor<'de> for Keys {
            type Value = Name<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Name(Cow::Owned(text.to_owned())))
            }
        }

        deserializer.deserialize_str(Keys)
    }
}

type Field<'a> = (Cow<'a, str>, Json<'a>);

/// From how many fields on names are looked up by their hash.
const MANY: usize = 16;

/// A name that comes again replaces the value of its first place, as in `serde_json` and in browsers.
fn distinct(fields: Vec<Field<'_>>) -> Vec<Field<'_>> {
    let is_again = if fields.len() <= MANY {
        let mut places = fields.iter().enumerate();
        places.any(|(place, (name, _))| fields[..place].iter().any(|(other, _)| other == name))
    } else {
        let mut names: Vec<&str> = fields.iter().map(|(name, _)| &**name).collect();
        names.sort_unstable();
        names.windows(2).any(|pair| pair[0] == pair[1])
    };
    if !is_again {
        return fields;
    }
    let mut places: HashMap<Cow<'_, str>, usize> = HashMap::new();
    let mut kept: Vec<Field<'_>> = Vec::new();
    for (name, value) in fields {
        if let Some(place) = places.get(&name) {
            kept[*place].1 = value;
        } else {
            places.insert(name.clone(), kept.len());
            kept.push((name, value));
        }
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::{Document, Json};
    use serde_json::Value;

    /// The document and the library agree on what is JSON, and on what is in it.
    #[test]
    fn a_document_is_what_the_library_reads() {
        let many: Vec<_> = (0..40).map(|n| format!("\"k{}\":{n}", n % 30)).collect();
        let many = format!("{{{}}}", many.join(","));
        let deep = "[".repeat(200);
        for text in [
            "null",
            "[true,false,null]",
            r#"{"a":1,"b":-2,"c":1.5,"d":1e300,"e":18446744073709551615,"f":-0.0}"#,
            r#"{"a":"plain","b":"\u00fc\n\"","\u0063":{"d":[[],{}]}}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            &many,
            r#"{"a":1"#,
            r#""\ud800""#,
            "1e999",
            "[1,]",
            "",
            "{} x",
            "\u{feff}{}",
            &deep,
        ] {
            let library = serde_json::from_str::<Value>(text);
            match (Document::parse(text), library) {
                (Ok(document), Ok(value)) => {
                    assert_eq!(document.root().to_string(), value.to_string(), "{text}");
                    assert_eq!(*document.root(), Json::of(&value), "{text}");
                    assert_eq!(*document.root(), value, "{text}");
                }
                (Err(error), Err(library)) => {
                    assert_eq!(error.to_string(), library.to_string(), "{text}");
                }
                (document, library) => panic!("{text}: {document:?} {library:?}"),
            }
        }
    }

    #[test]
    fn texts_without_escapes_are_borrowed() {
        let text = r#"{"a":"plain","b":"line\n"}"#;
        let document = Document::parse(text).unwrap();
        let borrowed = |name: &str| match document.root().at(name) {
            Json::Text(std::borrow::Cow::Borrowed(_)) => true,
            Json::Text(std::borrow::Cow::Owned(_)) => false,
            other => panic!("{other} is no text"),
        };
        assert!(borrowed("a") && !borrowed("b"));
    }

    #[test]
    fn numbers_are_equal_only_in_the_same_form() {
        let is = |one: &str, other: &str| {
            let value: Value = serde_json::from_str(other).unwrap();
            *Document::parse(one).unwrap().root() == value
        };
        assert!(is("1", "1") && is("1.0", "1.0") && !is("1", "1.0") && !is("1", "\"1\""));
        assert!(is(r#"{"a":1,"b":[2]}"#, r#"{"b":[2],"a":1}"#));
        assert!(!is(r#"{"a":1}"#, r#"{"a":1,"b":2}"#) && !is("[1]", "[1,2]"));
    }
}
