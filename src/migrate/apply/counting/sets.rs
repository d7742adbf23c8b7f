//! The columns of which a statement may overwrite values. Pure.

use crate::model::{Names, Shape};
use crate::sql;
use crate::sql::{Conflict, Dialect, Facts, Kind, Token, TokenKind};

/// Those of a table that an UPDATE sets, also one by a conflict; where its text does not say which,
/// all of them. One that is filled only where it is NULL keeps its values.
pub(in crate::migrate::apply) fn sets<'a>(
    (facts, text): (&Facts, &str),
    (shape, names): (&'a Shape, Names),
) -> Vec<&'a str> {
    let columns = shape.columns.iter().map(|it| it.name.as_str());
    let replaces = matches!(
        facts.kind,
        Kind::Insert {
            conflict: Conflict::Replace,
            ..
        }
    );
    let set = Text::of(text).set();
    if replaces || set.is_empty() {
        return columns.collect();
    }
    let is_set = |column: &&str| {
        let mut set = set.iter();
        set.any(|it| names.columns.same(&it.column, column) && !it.fills)
    };
    columns.filter(is_set).collect()
}

/// What is set by one assignment.
#[derive(Debug, PartialEq, Eq)]
struct Set {
    column: String,
    /// Whether only a NULL gets another value.
    fills: bool,
}

struct Text<'a> {
    text: &'a str,
    tokens: Vec<Token>,
}

impl<'a> Text<'a> {
    fn of(text: &'a str) -> Self {
        let tokens = sql::tokenize(text, Dialect::Mysql);
        let tokens = tokens.into_iter();
        let tokens = tokens.filter(|it| it.kind != TokenKind::Comment);
        Self {
            text,
            tokens: tokens.collect(),
        }
    }

    fn at(&self, index: usize) -> &'a str {
        self.tokens.get(index).map_or("", |it| it.text(self.text))
    }

    fn is(&self, index: usize, words: &[&str]) -> bool {
        let token = self.tokens.get(index);
        token.is_some_and(|it| it.kind == TokenKind::Word)
            && words
                .iter()
                .any(|it| self.at(index).eq_ignore_ascii_case(it))
    }

    /// What the first list of assignments sets.
    fn set(&self) -> Vec<Set> {
        let begins = |index: &usize| {
            self.is(*index, &["SET"])
                || *index > 0 && self.is(*index, &["UPDATE"]) && self.is(index - 1, &["KEY"])
        };
        let Some(begin) = (0..self.tokens.len()).find(begins) else {
            return Vec::new();
        };
        let (mut depth, mut is_first, mut found) = (0_usize, true, Vec::new());
        let mut index = begin + 1;
        while index < self.tokens.len() {
            match self.at(index) {
                "(" => depth += 1,
                ")" => depth = depth.saturating_sub(1),
                "," if depth == 0 => is_first = true,
                "=" if is_first => {
                    let column = self.at(index - 1).trim_matches('`').to_owned();
                    found.push((column, index));
                    is_first = false;
                }
                _ if depth == 0 && self.is(index, &["WHERE", "ORDER", "LIMIT", "RETURNING"]) => {
                    break;
                }
                _ => {}
            }
            index += 1;
        }
        let condition = index;
        let of = |(column, equals): (String, usize)| Set {
            fills: self.keeps(equals + 1, &column) || self.is_null(condition, equals - 1),
            column,
        };
        found.into_iter().map(of).collect()
    }

    /// Whether a value is what the column has, where it has one.
    fn keeps(&self, value: usize, column: &str) -> bool {
        self.is(value, &["COALESCE", "IFNULL"])
            && self.at(value + 1) == "("
            && self.is_column(value + 2, column)
            && self.at(value + 3) == ","
    }

    /// Whether a condition leaves out all rows that have a value in the column at this place.
    fn is_null(&self, condition: usize, set: usize) -> bool {
        let all = condition..self.tokens.len();
        let column = self.at(set).trim_matches('`');
        let is_null = |index: usize| {
            self.is_column(index, column)
                && self.may_be_of_one_table(index, set)
                && self.is(index + 1, &["IS"])
                && self.is(index + 2, &["NULL"])
        };
        let mut words = all.clone();
        all.clone().any(is_null)
            && !words.any(|it| self.is(it, &["OR", "NOT", "XOR", "CASE", "IF"]))
            && !all
                .into_iter()
                .any(|it| self.at(it) == "|" || self.at(it) == "(")
    }

    /// Whether no two tables are named in front of these columns.
    fn may_be_of_one_table(&self, one: usize, other: usize) -> bool {
        match (self.qualifier(one), self.qualifier(other)) {
            (Some(one), Some(other)) => one.eq_ignore_ascii_case(other),
            _ => true,
        }
    }

    fn qualifier(&self, column: usize) -> Option<&'a str> {
        let is_given = column >= 2 && self.at(column - 1) == ".";
        is_given.then(|| self.at(column - 2).trim_matches('`'))
    }

    fn is_column(&self, index: usize, column: &str) -> bool {
        self.at(index)
            .trim_matches('`')
            .eq_ignore_ascii_case(column)
    }
}

#[cfg(test)]
mod tests {
    use super::{Set, Text};

    #[test]
    fn what_is_set_is_found_and_what_fills_only_what_is_null() {
        let set = |text: &str| {
            let found = Text::of(text).set().into_iter();
            let found = found.map(|Set { column, fills }| (column, fills));
            found.collect::<Vec<_>>()
        };
        let is = |column: &str, fills| (column.to_owned(), fills);
        for (text, found) in [
            (
                "UPDATE m SET body = LEFT(body, 20), `state` = IF(a = 1, 2, 3) WHERE x = 1",
                vec![is("body", false), is("state", false)],
            ),
            (
                "UPDATE m AS t SET t.a = 1 WHERE a IS NULL AND b = 2",
                vec![is("a", true)],
            ),
            (
                "UPDATE m AS t SET t.a = 1 WHERE t.a IS NULL",
                vec![is("a", true)],
            ),
            // An anti-join is of another table's column.
            (
                "UPDATE m LEFT JOIN u ON u.a = m.a SET m.a = 1 WHERE u.a IS NULL",
                vec![is("a", false)],
            ),
            (
                "UPDATE m SET a = 1 WHERE a IS NULL OR b = 2",
                vec![is("a", false)],
            ),
            ("UPDATE m SET a = coalesce(a, 'x')", vec![is("a", true)]),
            ("UPDATE m SET a = coalesce(b, a)", vec![is("a", false)]),
            (
                "INSERT INTO m VALUES (1, 'x') ON DUPLICATE KEY UPDATE a = VALUES(a)",
                vec![is("a", false)],
            ),
            ("EXECUTE s", vec![]),
        ] {
            assert_eq!(set(text), found, "{text}");
        }
    }
}
