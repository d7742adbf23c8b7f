//! Variables of MySQL's users that a resumed file would give other values than before: what a done
//! statement set is gone with its session, and is evaluated once more. Pure.

use super::{Intent, Piece};
use crate::sql;
use crate::sql::{Dialect, Kind, TokenKind};
use std::collections::{BTreeMap, BTreeSet};

impl Intent<'_> {
    /// A variable that a statement before `first` gave another value than a resumed run would: it
    /// is computed and a done statement used it, or what set it is not run again. One that is to
    /// come reads it; with the number of what sets it.
    pub fn set_otherwise(&self, first: usize) -> Option<(usize, String)> {
        if self.dialect != Dialect::Mysql {
            return None;
        }
        let mut computed: BTreeMap<String, usize> = BTreeMap::new();
        let mut used: BTreeMap<String, usize> = BTreeMap::new();
        let mut known = BTreeSet::new();
        for (number, piece) in self.pieces[..first].iter().enumerate() {
            let text = Text::of(piece.text);
            let sets = matches!(piece.facts.kind, Kind::SetVariable { .. });
            let assigned = text.assigned(piece);
            known.extend(assigned.iter().cloned());
            if !sets && !self.is_of_session(number) {
                let read = text.variables().into_iter();
                used.extend(read.filter_map(|it| Some((it.clone(), *computed.get(&it)?))));
                // It is not run again, so that it would not set them.
                used.extend(assigned.into_iter().map(|it| (it, number)));
                if piece.facts.kind == Kind::Call {
                    // One that has no value yet is where the routine puts one.
                    let mut given = text.variables();
                    given.retain(|it| !known.contains(it));
                    used.extend(given.into_iter().map(|it| (it, number)));
                }
                continue;
            }
            let is_computed = text.computes() || {
                let mut read = text.read(piece).into_iter();
                read.any(|it| computed.contains_key(&it))
            };
            for name in assigned {
                used.remove(&name);
                if is_computed {
                    computed.insert(name, number);
                } else {
                    computed.remove(&name);
                }
            }
        }
        for piece in &self.pieces[first..] {
            let text = Text::of(piece.text);
            let mut read = text.read(piece).into_iter();
            if let Some(name) = read.find(|it| used.contains_key(it)) {
                return Some((used[&name], name));
            }
            let assigned = text.assigned(piece);
            used.retain(|name, _| !assigned.contains(name));
        }
        None
    }
}

/// The tokens of a statement, without comments.
struct Text(Vec<(TokenKind, String)>);

impl Text {
    fn of(text: &str) -> Self {
        let tokens = sql::tokenize(text, Dialect::Mysql).into_iter();
        let tokens = tokens.filter(|it| it.kind != TokenKind::Comment);
        Self(
            tokens
                .map(|it| (it.kind, it.text(text).to_lowercase()))
                .collect(),
        )
    }

    fn at(&self, index: usize) -> &str {
        self.0.get(index).map_or("", |(_, text)| text)
    }

    /// The places of the names of variables; one of the server has two `@` before it.
    fn places(&self) -> impl Iterator<Item = usize> + '_ {
        let is_name =
            |index: &usize| self.at(index - 1) == "@" && (*index < 2 || self.at(index - 2) != "@");
        (1..self.0.len())
            .filter(is_name)
            .filter(|index| self.at(*index) != "@")
    }

    fn name(&self, index: usize) -> String {
        self.at(index).trim_matches(['`', '\'', '"']).to_owned()
    }

    fn variables(&self) -> Vec<String> {
        self.places().map(|it| self.name(it)).collect()
    }

    /// Those that it gives a value.
    fn assigned(&self, piece: &Piece<'_>) -> Vec<String> {
        let given = self.given(piece).into_iter();
        given.map(|it| self.name(it)).collect()
    }

    /// Those whose value it takes.
    fn read(&self, piece: &Piece<'_>) -> Vec<String> {
        let given = self.given(piece);
        let read = self.places().filter(|it| !given.contains(it));
        read.map(|it| self.name(it)).collect()
    }

    /// The places of those that it gives a value.
    fn given(&self, piece: &Piece<'_>) -> Vec<usize> {
        let sets = matches!(piece.facts.kind, Kind::SetVariable { .. });
        let into = self.into();
        let is_given = |index: &usize| match self.at(index + 1) {
            ":" => self.at(index + 2) == "=",
            "=" => sets && self.begins_assignment(index - 1),
            _ => into.contains(index),
        };
        self.places().filter(is_given).collect()
    }

    /// The places of those behind INTO: other words there are the name of a table.
    fn into(&self) -> Vec<usize> {
        let mut found = Vec::new();
        for begin in (0..self.0.len()).filter(|it| self.at(*it) == "into") {
            let mut at = begin + 1;
            while self.at(at) == "@" {
                found.push(at + 1);
                if self.at(at + 2) != "," {
                    break;
                }
                at += 3;
            }
        }
        found
    }

    /// Whether an assignment of SET begins here, and no comparison.
    fn begins_assignment(&self, at: usize) -> bool {
        let count = |text: &str| self.0[..at].iter().filter(|it| it.1 == text).count();
        let is_first = at > 0 && matches!(self.at(at - 1), "set" | ",");
        is_first && count("(") == count(")")
    }

    /// Whether another run may give another value.
    fn computes(&self) -> bool {
        const CLOCKS: [&str; 6] = [
            "current_timestamp",
            "current_date",
            "current_time",
            "localtime",
            "localtimestamp",
            "select",
        ];
        let mut texts = self.0.iter();
        texts.any(|(kind, text)| {
            text == "(" || *kind == TokenKind::Word && CLOCKS.contains(&text.as_str())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Intent;
    use crate::migrate::source::Migration;
    use crate::sql::Dialect;

    /// The variable that would have another value at the last statement.
    fn set_otherwise(text: &str) -> Option<String> {
        let migration = Migration::of_text(text);
        let intent = Intent::of(&migration, Dialect::Mysql).expect("the file can be read");
        let found = intent.set_otherwise(intent.pieces.len() - 1);
        found.map(|(_, name)| name)
    }

    #[test]
    fn a_variable_that_a_resumed_run_would_set_otherwise_is_found() {
        const COPY: &str = "INSERT INTO kept SELECT * FROM m WHERE a < @c;";
        const END: &str = "DELETE FROM m WHERE a < @c;";
        const NUMBER: &str = "UPDATE m SET n = (@c := @c + 1);";
        for (set, copy, end, found) in [
            ("SET @c = now() - INTERVAL 90 DAY;", COPY, END, true),
            ("SET @c := (SELECT max(a) FROM m);", COPY, END, true),
            ("SET @c = CURRENT_TIMESTAMP;", COPY, END, true),
            ("SELECT max(a) INTO @c FROM m;", COPY, END, true),
            ("SET @b = now(); SET @c = @b;", COPY, END, true),
            // The same value in each run.
            ("SET @c = 5;", COPY, END, false),
            (
                "SET @old = @@foreign_key_checks, @c = 'a';",
                COPY,
                END,
                false,
            ),
            ("SET @c = now(); SET @c = 5;", COPY, END, false),
            ("SET @c = now(); SET @c = @c;", COPY, END, true),
            // Read on one side only.
            (
                "SET @c = now();",
                "INSERT INTO kept VALUES (1);",
                END,
                false,
            ),
            ("SET @c = now();", COPY, "DELETE FROM m;", false),
            ("SET @c = now();", COPY, "SET @c = @c + 1;", true),
            ("SET @c = now();", COPY, COPY, true),
            ("SET @c = now();", COPY, "SET @b = (SELECT @c = 1);", true),
            // Set once more for what follows.
            ("SET @c = now();", COPY, "SET @c = 1;", false),
            (
                "SET @c = now();",
                COPY,
                "SELECT max(a) INTO @c FROM m;",
                false,
            ),
            // What set it is not run again.
            ("SET @c = 0;", NUMBER, NUMBER, true),
            ("SET @c = 0;", NUMBER, "SET @c = 0;", false),
            ("SET @c = 0;", NUMBER, "UPDATE m SET n = 1;", false),
            ("SET @b = 0;", "CALL p(@b, @c);", END, true),
            ("SET @c = 5;", "CALL p(@c);", END, false),
        ] {
            let text = format!("{set}\n{copy}\n{end}\n");
            let is = set_otherwise(&text);
            assert_eq!(is, found.then(|| "c".to_owned()), "{text}");
        }
    }
}
