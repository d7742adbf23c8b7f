//! Temporary objects of done statements, which a resumed file no longer has: they went with the
//! session. What has the same name may be another table. Pure.

use super::Intent;
use crate::sql;
use crate::sql::{Dialect, TokenKind};
use std::collections::BTreeMap;

/// What a statement makes or drops.
#[derive(Clone, Copy, PartialEq, Eq)]
enum What {
    /// It acts on what is written, and no statement names it.
    Trigger,
    Named,
}

impl Intent<'_> {
    /// A temporary object that a statement before `first` made, and on which a later one depends;
    /// with the number of that one. MySQL's files are looked at otherwise.
    pub fn lost_with_session(&self, first: usize) -> Option<(usize, String)> {
        if self.dialect == Dialect::Mysql {
            return None;
        }
        let mut left: BTreeMap<String, What> = BTreeMap::new();
        for piece in &self.pieces[..first] {
            let tokens = tokens(piece.text, self.dialect);
            if let Some((name, what)) = makes_temporary(&tokens) {
                left.insert(name, what);
            } else if let Some(name) = drops(&tokens) {
                left.remove(&name);
            }
        }
        for (number, piece) in self.pieces.iter().enumerate().skip(first) {
            let tokens = tokens(piece.text, self.dialect);
            if let Some((name, _)) = makes_temporary(&tokens) {
                left.remove(&name);
            }
            let depends = |(name, what): &(&String, &What)| {
                tokens.contains(name) || **what == What::Trigger && piece.facts.writes_rows()
            };
            if let Some((name, _)) = left.iter().find(depends) {
                return Some((number, name.clone()));
            }
        }
        None
    }
}

/// The words and names of a statement, without quotes, in lower case.
fn tokens(text: &str, dialect: Dialect) -> Vec<String> {
    let tokens = sql::tokenize(text, dialect).into_iter();
    let tokens = tokens.filter(|it| matches!(it.kind, TokenKind::Word | TokenKind::QuotedName));
    tokens
        .map(|it| {
            it.text(text)
                .trim_matches(['"', '`', '[', ']'])
                .to_lowercase()
        })
        .collect()
}

/// The name behind what says which kind of object it is, and IF EXISTS or the like, and a schema.
fn named(tokens: &[String]) -> Option<(String, What)> {
    const KINDS: [&str; 4] = ["table", "view", "sequence", "trigger"];
    let kind = tokens.iter().position(|it| KINDS.contains(&it.as_str()))?;
    let what = if tokens[kind] == "trigger" {
        What::Trigger
    } else {
        What::Named
    };
    let mut names = tokens[kind + 1..].iter();
    let name = names
        .find(|it| !["if", "not", "exists", "temp", "pg_temp", "main"].contains(&it.as_str()))?;
    Some((name.clone(), what))
}

fn makes_temporary(tokens: &[String]) -> Option<(String, What)> {
    const BEFORE: [&str; 5] = ["create", "or", "replace", "local", "global"];
    let is_one = |it: &String| it == "temp" || it == "temporary";
    let place = tokens.iter().position(is_one)?;
    let mut before = tokens[..place].iter();
    let is_made = place > 0 && before.all(|it| BEFORE.contains(&it.as_str()));
    is_made.then(|| named(&tokens[place + 1..])).flatten()
}

fn drops(tokens: &[String]) -> Option<String> {
    let is_one = tokens.first().is_some_and(|it| it == "drop");
    let (name, _) = is_one.then(|| named(&tokens[1..])).flatten()?;
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::Intent;
    use crate::migrate::source::{File, Migration, Version};
    use crate::sql::Dialect;

    /// The object that the rest lacks when the file is resumed at its last statement.
    fn lost(text: &str) -> Option<String> {
        let file = File {
            name: "1_a.sql".to_owned(),
            bytes: text.as_bytes().to_vec(),
        };
        let migration = Migration::whole(Version::number(1), String::new(), &file)
            .expect("the file is a migration");
        let intent = Intent::of(&migration, Dialect::Sqlite).expect("the file can be read");
        let found = intent.lost_with_session(intent.pieces.len() - 1);
        found.map(|(_, name)| name)
    }

    #[test]
    fn what_the_rest_needs_of_a_session_that_ended_is_found() {
        const MADE: &str = "CREATE TEMP TABLE staging AS SELECT * FROM m; VACUUM;";
        const TRIGGER: &str = "CREATE TEMPORARY TRIGGER t AFTER INSERT ON m BEGIN INSERT INTO n VALUES (new.id); END; VACUUM;";
        let of = |made: &str, rest: &str| lost(&format!("{made} {rest}"));
        let staging = Some("staging".to_owned());
        for rest in [
            "INSERT INTO m SELECT * FROM staging",
            "DROP TABLE \"Staging\"",
            "SELECT * FROM temp.[staging]",
        ] {
            assert_eq!(of(MADE, rest), staging, "{rest}");
        }
        assert_eq!(
            of(
                "CREATE TEMP VIEW IF NOT EXISTS temp.staging AS SELECT 1; VACUUM;",
                "SELECT * FROM staging"
            ),
            staging
        );
        assert_eq!(
            of(TRIGGER, "INSERT INTO m VALUES (1)"),
            Some("t".to_owned())
        );
        for (made, rest) in [
            (MADE, "INSERT INTO m VALUES ('staging')"),
            (MADE, "CREATE TEMP TABLE staging (id)"),
            (TRIGGER, "CREATE TABLE o (id)"),
            (
                "CREATE TEMP TABLE staging (id); DROP TABLE temp.staging; VACUUM;",
                "CREATE TABLE staging (id)",
            ),
            ("CREATE TABLE staging (temp); VACUUM;", "DROP TABLE staging"),
        ] {
            assert_eq!(of(made, rest), None, "{made} {rest}");
        }
    }
}
