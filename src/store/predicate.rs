//! A condition in SQL, in which `{column}` is a column of the mapped table.

use serde::{Deserialize, Serialize};

/// The condition, as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub struct Predicate(String);

impl Predicate {
    /// The columns that it names.
    pub fn columns(&self) -> Vec<&str> {
        pieces(&self.0)
            .into_iter()
            .filter_map(|piece| match piece {
                Piece::Column(name) => Some(name),
                Piece::Text(_) => None,
            })
            .collect()
    }

    /// The condition with each column as `quoted` writes it.
    pub fn sql(&self, quoted: impl Fn(&str) -> String) -> String {
        let written = pieces(&self.0).into_iter().map(|piece| match piece {
            Piece::Column(name) => quoted(name),
            Piece::Text(text) => text.to_owned(),
        });
        written.collect()
    }

    /// Whether values could be put into it: a `?` stands for one, and so it would within a quote
    /// that is not closed as every engine closes one.
    pub fn takes_values(&self) -> bool {
        let mut quoted = None;
        for c in self.0.chars() {
            match (quoted, c) {
                (None, '?') => return true,
                (None, '\'' | '"' | '`') => quoted = Some(c),
                (Some(quote), c) if quote == c => quoted = None,
                _ => {}
            }
        }
        quoted.is_some()
    }

    /// The same with other names.
    #[must_use]
    pub fn renamed(&self, name: impl Fn(&str) -> String) -> Self {
        Self(self.sql(|column| format!("{{{}}}", name(column))))
    }
}

impl From<String> for Predicate {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl From<Predicate> for String {
    fn from(predicate: Predicate) -> Self {
        predicate.0
    }
}

enum Piece<'a> {
    Text(&'a str),
    Column(&'a str),
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut found = Vec::new();
    let mut rest = text;
    while let Some((before, (name, after))) = rest
        .split_once('{')
        .and_then(|(before, inner)| Some((before, inner.split_once('}')?)))
    {
        found.push(Piece::Text(before));
        // `'{}'` is an empty JSON object.
        found.push(match name {
            "" => Piece::Text("{}"),
            name => Piece::Column(name),
        });
        rest = after;
    }
    found.push(Piece::Text(rest));
    found
}

#[cfg(test)]
mod tests {
    use super::Predicate;

    #[test]
    fn a_value_never_gets_into_a_predicate() {
        for (text, takes) in [
            ("{a} = 'x?' AND {b} <> 'it''s'", false),
            ("{a} ? 'x'", true),
            ("{a} = E'\\' OR '", true),
            ("{a} = 1 -- it's", true),
        ] {
            assert_eq!(Predicate(text.to_owned()).takes_values(), takes, "{text}");
        }
    }

    #[test]
    fn columns_are_found_and_quoted() {
        let predicate = Predicate("{partial} IS NOT TRUE AND {a b} = 'x'".to_owned());
        assert_eq!(predicate.columns(), ["partial", "a b"]);
        assert_eq!(
            predicate.sql(|name| format!("\"{name}\"")),
            "\"partial\" IS NOT TRUE AND \"a b\" = 'x'"
        );
        let json = Predicate("{meta} <> '{}'".to_owned());
        assert_eq!(json.sql(str::to_owned), "meta <> '{}'");
    }
}
