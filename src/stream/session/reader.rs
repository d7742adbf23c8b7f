//! Typed access to a TOML table in which every value knows its place.
//!
//! The tables are read by hand and not derived: a derived reader knows the place
//! of a whole `json = {…}`, but not of the one string in it that is wrong.

use crate::source_error::{SourceError, listed, nearest};
use std::fmt;
use std::ops::Range;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// What a session file refers to outside of its own text.
#[derive(Clone, Copy)]
pub struct Outside<'a> {
    /// The names that `profile` may have; any when empty.
    pub profiles: &'a [&'a str],
    /// Reads a file whose path is relative to the session file; the error is a reason.
    pub read: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
    /// Reads a variable of the environment.
    pub env: &'a dyn Fn(&str) -> Option<String>,
}

impl fmt::Debug for Outside<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outside")
            .field("profiles", &self.profiles)
            .finish_non_exhaustive()
    }
}

/// The file that is being read.
#[derive(Debug, Clone, Copy)]
pub(in crate::stream) struct Origin<'a> {
    pub(in crate::stream) file: &'a str,
    pub(in crate::stream) text: &'a str,
}

impl Origin<'_> {
    pub(in crate::stream) fn error(&self, at: usize, message: impl Into<String>) -> SourceError {
        SourceError::at(self.file, self.text, at, message)
    }

    /// The place of a part of a string, `offset` bytes into `part`; the string
    /// itself when it is written with escapes and the part is not found in it.
    pub(in crate::stream) fn inside(&self, span: Range<usize>, part: &str, offset: usize) -> usize {
        let source = self.text.get(span.clone()).unwrap_or_default();
        let found = source.find(part).map(|start| start + offset);
        span.start + found.unwrap_or_default()
    }
}

/// The keys of a request over HTTP.
pub(in crate::stream) const OVER_HTTP: &[&str] = &[
    "request",
    "query",
    "headers",
    "json",
    "form",
    "multipart",
    "body",
    "status",
];
/// The keys of a request that can also be a WebSocket.
pub(in crate::stream) const OVER_EITHER: &[&str] = &[
    "request",
    "query",
    "headers",
    "json",
    "form",
    "multipart",
    "body",
    "status",
    "auth",
    "hello",
    "ready",
];

/// The kinds of places a key can be in: the heading and the keys under it.
#[derive(Debug)]
pub(in crate::stream) struct Place {
    /// As a user would write it: `[[turn]]`.
    pub(in crate::stream) name: &'static str,
    /// The keys of its request, if the section sends one.
    pub(in crate::stream) request: &'static [&'static str],
    /// Every other key that may be there.
    pub(in crate::stream) keys: &'static [&'static str],
}

impl Place {
    fn all_keys(&self) -> impl Iterator<Item = &'static str> {
        self.request.iter().chain(self.keys).copied()
    }
}

/// A table whose keys are all known.
#[derive(Debug, Clone, Copy)]
pub(in crate::stream) struct Fields<'a> {
    pub(in crate::stream) origin: Origin<'a>,
    pub(in crate::stream) place: &'static str,
    /// Offset of the heading.
    pub(in crate::stream) at: usize,
    table: &'a DeTable<'a>,
}

impl<'a> Fields<'a> {
    /// Refuses the first key that the place does not have.
    pub(in crate::stream) fn open(
        origin: Origin<'a>,
        place: &Place,
        at: usize,
        table: &'a DeTable<'a>,
    ) -> Result<Self, SourceError> {
        let unknown = table
            .keys()
            .filter(|key| !place.all_keys().any(|known| known == key.get_ref()))
            .min_by_key(|key| key.span().start);
        if let Some(key) = unknown {
            let name = key.get_ref();
            let help = match nearest(name, place.all_keys()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its keys are {}", listed(place.all_keys())),
            };
            let message = format!("unknown key `{name}` in {}", place.name);
            return Err(origin.error(key.span().start, message).help(help));
        }
        Ok(Self {
            origin,
            place: place.name,
            at,
            table,
        })
    }

    pub(in crate::stream) fn get(&self, key: &str) -> Option<Item<'a>> {
        Item::of(self.origin, self.table, key)
    }

    /// What `read` makes of the value of the key, if the key is there.
    pub(in crate::stream) fn read<T>(
        &self,
        key: &str,
        read: impl FnOnce(&Item<'a>) -> Result<T, SourceError>,
    ) -> Result<Option<T>, SourceError> {
        self.get(key).map(|item| read(&item)).transpose()
    }

    pub(in crate::stream) fn require(
        &self,
        key: &str,
        example: &str,
    ) -> Result<Item<'a>, SourceError> {
        self.get(key).ok_or_else(|| {
            self.error(format!("{} has no `{key}`", self.place))
                .help(format!("add {example}"))
        })
    }

    /// An error about the table as a whole.
    pub(in crate::stream) fn error(&self, message: impl Into<String>) -> SourceError {
        self.origin.error(self.at, message)
    }

    /// Those of the keys that are in the table, in the order of the file.
    pub(in crate::stream) fn present(&self, keys: &[&str]) -> Vec<Item<'a>> {
        let mut items: Vec<_> = keys.iter().filter_map(|key| self.get(key)).collect();
        items.sort_by_key(|item| item.key_at);
        items
    }
}

/// One value with its key and place.
#[derive(Debug, Clone, Copy)]
pub(in crate::stream) struct Item<'a> {
    pub(in crate::stream) origin: Origin<'a>,
    pub(in crate::stream) name: &'a str,
    /// Offset of the key.
    pub(in crate::stream) key_at: usize,
    value: &'a Spanned<DeValue<'a>>,
}

impl<'a> Item<'a> {
    /// The value of a key, next to keys that are read elsewhere.
    pub(in crate::stream) fn of(
        origin: Origin<'a>,
        table: &'a DeTable<'a>,
        key: &str,
    ) -> Option<Self> {
        let (key, value) = table.get_key_value(key)?;
        Some(Self {
            origin,
            name: key.get_ref(),
            key_at: key.span().start,
            value,
        })
    }

    pub(in crate::stream) fn value(&self) -> &'a DeValue<'a> {
        self.value.get_ref()
    }

    pub(in crate::stream) fn span(&self) -> Range<usize> {
        self.value.span()
    }

    pub(in crate::stream) fn error(&self, message: impl Into<String>) -> SourceError {
        self.origin.error(self.value.span().start, message)
    }

    /// An error at the key: the value is right, but the key should not be there.
    pub(in crate::stream) fn key_error(&self, message: impl Into<String>) -> SourceError {
        self.origin.error(self.key_at, message)
    }

    pub(in crate::stream) fn wrong_type(&self, wanted: &str) -> SourceError {
        let found = match self.value() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.error(format!("`{}` must be {wanted}, not {found}", self.name))
    }

    pub(in crate::stream) fn text(&self) -> Result<&'a str, SourceError> {
        match self.value() {
            DeValue::String(text) => Ok(text),
            _ => Err(self.wrong_type("a string")),
        }
    }

    pub(in crate::stream) fn integer(&self) -> Result<i64, SourceError> {
        let parsed = match self.value() {
            DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => None,
        };
        parsed.ok_or_else(|| self.wrong_type("an integer"))
    }

    pub(in crate::stream) fn truth(&self) -> Result<bool, SourceError> {
        match self.value() {
            DeValue::Boolean(truth) => Ok(*truth),
            _ => Err(self.wrong_type("a boolean")),
        }
    }

    pub(in crate::stream) fn table(&self, place: &Place) -> Result<Fields<'a>, SourceError> {
        match self.value() {
            DeValue::Table(table) => Fields::open(self.origin, place, self.span().start, table),
            // A second `[request]` is told by the TOML parser; only `[[request]]` comes here.
            DeValue::Array(_) if place.name.starts_with('[') => Err(self
                .wrong_type("a table")
                .help(format!("write `{}` once, with single brackets", place.name))),
            _ => Err(self.wrong_type("a table")),
        }
    }

    /// The tables of a `[[place]]`, in the order of the file.
    pub(in crate::stream) fn tables(&self, place: &Place) -> Result<Vec<Fields<'a>>, SourceError> {
        let wrong = |item: &Self| {
            item.wrong_type("an array of tables")
                .help(format!("write `{}`, with double brackets", place.name))
        };
        let DeValue::Array(_) = self.value() else {
            return Err(wrong(self));
        };
        self.items()?
            .iter()
            .map(|item| match item.value() {
                DeValue::Table(_) => item.table(place),
                _ => Err(wrong(item)),
            })
            .collect()
    }

    /// The elements of an array; each goes by the array's name.
    pub(in crate::stream) fn items(&self) -> Result<Vec<Self>, SourceError> {
        let DeValue::Array(array) = self.value() else {
            return Err(self.wrong_type("an array"));
        };
        let items = array.iter().map(|value| Self { value, ..*self });
        Ok(items.collect())
    }

    /// The entries of a table with free keys, in the order of the file.
    pub(in crate::stream) fn entries(&self) -> Result<Vec<Self>, SourceError> {
        let DeValue::Table(table) = self.value() else {
            return Err(self.wrong_type("a table"));
        };
        let mut entries: Vec<_> = table
            .iter()
            .map(|(key, value)| Self {
                origin: self.origin,
                name: key.get_ref(),
                key_at: key.span().start,
                value,
            })
            .collect();
        entries.sort_by_key(|entry| entry.key_at);
        Ok(entries)
    }
}
