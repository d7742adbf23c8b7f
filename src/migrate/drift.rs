//! Compares two schemas. Pure.

use similar::{ChangeTag, TextDiff};

/// A line that only one of two schemas has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SchemaDifference {
    /// Only the first has it.
    Missing(String),
    /// Only the second has it.
    Extra(String),
}

/// What differs: the schema that is expected, and the one that is there.
pub fn differences(expected: &[String], there: &[String]) -> Vec<SchemaDifference> {
    let (expected, there) = (expected.join("\n"), there.join("\n"));
    let diff = TextDiff::from_lines(&expected, &there);
    diff.iter_all_changes()
        .filter_map(|change| {
            let line = change.value().trim_end().to_owned();
            match change.tag() {
                ChangeTag::Equal => None,
                ChangeTag::Delete => Some(SchemaDifference::Missing(line)),
                ChangeTag::Insert => Some(SchemaDifference::Extra(line)),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{SchemaDifference, differences};

    #[test]
    fn a_schema_is_compared_line_by_line() {
        let lines = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        assert_eq!(differences(&lines("a b"), &lines("a b")), []);
        assert_eq!(
            differences(&lines("a b"), &lines("a c")),
            [
                SchemaDifference::Missing("b".into()),
                SchemaDifference::Extra("c".into())
            ]
        );
    }
}
