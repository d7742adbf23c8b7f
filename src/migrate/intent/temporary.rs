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

const KINDS: [&str; 4] = ["table", "view", "sequence", "trigger"];

/// An object that a statement makes or drops.
struct Object {
    schema: Option<String>,
    name: String,
    what: What,
}

impl Intent<'_> {
    /// A temporary object that a statement before `first` made, and on which a later one depends;
    /// with the number of that one. `is_there` says whether a table is called so now. MySQL's files are
    /// looked at otherwise.
    pub fn lost_with_session(
        &self,
        first: usize,
        is_there: impl Fn(&str) -> bool,
    ) -> Option<(usize, String)> {
        if self.dialect == Dialect::Mysql {
            return None;
        }
        let mut left: BTreeMap<String, What> = BTreeMap::new();
        for piece in &self.pieces[..first] {
            let tokens = tokens(piece.text, self.dialect);
            if let Some(made) = makes_temporary(&tokens, self.dialect) {
                left.insert(made.name, made.what);
            } else {
                for dropped in drops(&tokens) {
                    left.remove(&dropped.name);
                }
            }
        }
        for (number, piece) in self.pieces.iter().enumerate().skip(first) {
            let tokens = tokens(piece.text, self.dialect);
            if let Some(made) = makes_temporary(&tokens, self.dialect) {
                left.remove(&made.name);
            }
            let may_lack = tokens.iter().any(|it| it == "exists");
            let is_table = tokens.get(1).is_some_and(|it| it == "table");
            for dropped in drops(&tokens).iter().filter(|_| may_lack) {
                // Nothing is dropped where nothing is called so; only of tables that is known.
                if dropped.is_temporary(self.dialect) || is_table && !is_there(&dropped.name) {
                    left.remove(&dropped.name);
                }
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

impl Object {
    /// Whether its schema is the one of the session.
    fn is_temporary(&self, dialect: Dialect) -> bool {
        let own = match dialect {
            Dialect::Postgres => "pg_temp",
            Dialect::Sqlite | Dialect::Mysql => "temp",
        };
        self.schema.as_deref() == Some(own)
    }
}

/// The words, names and dots of a statement, without quotes, in lower case.
fn tokens(text: &str, dialect: Dialect) -> Vec<String> {
    let tokens = sql::tokenize(text, dialect).into_iter();
    let tokens = tokens.filter(|it| {
        matches!(it.kind, TokenKind::Word | TokenKind::QuotedName) || it.text(text) == "."
    });
    tokens
        .map(|it| {
            it.text(text)
                .trim_matches(['"', '`', '[', ']'])
                .to_lowercase()
        })
        .collect()
}

/// The names behind what says which kind of objects they are, and IF EXISTS or the like.
fn named(tokens: &[String]) -> Vec<Object> {
    let kind = tokens.iter().position(|it| KINDS.contains(&it.as_str()));
    let Some(kind) = kind else { return Vec::new() };
    let what = if tokens[kind] == "trigger" {
        What::Trigger
    } else {
        What::Named
    };
    names(&tokens[kind + 1..], what)
}

/// The names that a list begins with: each may have a schema before it.
fn names(tokens: &[String], what: What) -> Vec<Object> {
    const BETWEEN: [&str; 3] = ["if", "not", "exists"];
    let mut all: Vec<Object> = Vec::new();
    let mut is_next = false;
    let list = tokens.iter();
    for token in list.skip_while(|it| BETWEEN.contains(&it.as_str())) {
        match (token.as_str(), all.last_mut()) {
            (".", _) => is_next = true,
            (_, Some(last)) if is_next => {
                last.schema = Some(std::mem::replace(&mut last.name, token.clone()));
                is_next = false;
            }
            _ => all.push(Object {
                schema: None,
                name: token.clone(),
                what,
            }),
        }
    }
    all
}

fn makes_temporary(tokens: &[String], dialect: Dialect) -> Option<Object> {
    const BEFORE: [&str; 10] = [
        "create",
        "or",
        "replace",
        "local",
        "global",
        "temp",
        "temporary",
        "recursive",
        "unlogged",
        "virtual",
    ];
    let is_one = |it: &String| it == "temp" || it == "temporary";
    match tokens.first()?.as_str() {
        "create" => {
            let kind = tokens.iter().position(|it| KINDS.contains(&it.as_str()))?;
            let (before, _) = tokens.split_at(kind);
            if !before.iter().all(|it| BEFORE.contains(&it.as_str())) {
                return None;
            }
            let object = named(tokens).into_iter().next()?;
            (before.iter().any(is_one) || object.is_temporary(dialect)).then_some(object)
        }
        "select" | "with" if dialect == Dialect::Postgres => {
            let makes = |at: &usize| {
                let before = at.checked_sub(1).map(|before| tokens[before].as_str());
                tokens[*at] == "into" && !matches!(before, Some("insert" | "merge"))
            };
            let into = (0..tokens.len()).find(makes)?;
            let words = ["local", "global", "temp", "temporary", "table"];
            let name = tokens[into + 1..].iter();
            let before = name.take_while(|it| words.contains(&it.as_str())).count();
            let (before, rest) = tokens[into + 1..].split_at(before);
            let object = names(rest, What::Named).into_iter().next()?;
            (before.iter().any(is_one) || object.is_temporary(dialect)).then_some(object)
        }
        _ => None,
    }
}

fn drops(tokens: &[String]) -> Vec<Object> {
    let is_one = tokens.first().is_some_and(|it| it == "drop");
    let mut all = if is_one { named(tokens) } else { Vec::new() };
    if all.first().is_some_and(|it| it.what == What::Trigger) {
        // Behind it PostgreSQL names the table.
        all.truncate(1);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::Intent;
    use crate::migrate::source::Migration;
    use crate::sql::Dialect;

    /// The object that the rest lacks when the file is resumed at its last statement.
    fn lost(text: &str) -> Option<String> {
        lost_of(text, Dialect::Sqlite)
    }

    /// The same, where a table `there` is in the database.
    fn lost_of(text: &str, dialect: Dialect) -> Option<String> {
        let migration = Migration::of_text(text);
        let intent = Intent::of(&migration, dialect).expect("the file can be read");
        let found = intent.lost_with_session(intent.pieces.len() - 1, |it| it == "there");
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

    #[test]
    fn every_way_to_make_or_drop_a_temporary_table_is_read() {
        use Dialect::{Postgres, Sqlite};
        for (dialect, made, is_one) in [
            (Sqlite, "CREATE TABLE temp.staging AS SELECT 1;", true),
            (Postgres, "CREATE TABLE pg_temp.staging (id int);", true),
            (
                Postgres,
                "CREATE VIEW IF NOT EXISTS \"pg_temp\".staging AS SELECT 1;",
                true,
            ),
            (Postgres, "SELECT * INTO TEMP staging FROM m;", true),
            (
                Postgres,
                "SELECT * INTO LOCAL TEMPORARY TABLE staging FROM m;",
                true,
            ),
            (Postgres, "SELECT * INTO pg_temp.staging FROM m;", true),
            (Postgres, "SELECT * INTO staging FROM m;", false),
            // A schema of the user's, and a table.
            (Postgres, "CREATE TABLE temp.staging (id int);", false),
            (
                Postgres,
                "WITH m AS (SELECT 1) INSERT INTO temp SELECT * FROM m;",
                false,
            ),
            (Sqlite, "CREATE TABLE temp (staging);", false),
            (Sqlite, "CREATE INDEX temp.i ON staging (id);", false),
        ] {
            let text = format!("{made} VACUUM; DELETE FROM m WHERE id IN (SELECT id FROM staging)");
            let expected = is_one.then(|| "staging".to_owned());
            assert_eq!(lost_of(&text, dialect), expected, "{made}");
        }
        const MADE: &str = "CREATE TEMP TABLE a (id); CREATE TEMP TABLE b (id);";
        for (rest, expected) in [
            ("DROP TABLE a, temp.b; VACUUM; UPDATE m SET b = 1", None),
            ("DROP TABLE a; VACUUM; UPDATE m SET b = 1", Some("b")),
            ("VACUUM; DROP TABLE IF EXISTS a", None),
            // Whether a view is called so is not known.
            ("VACUUM; DROP VIEW IF EXISTS a", Some("a")),
            ("VACUUM; DROP VIEW IF EXISTS temp.a", None),
            ("VACUUM; DROP TABLE a", Some("a")),
        ] {
            let expected = expected.map(str::to_owned);
            assert_eq!(lost(&format!("{MADE} {rest}")), expected, "{rest}");
        }
        // What is dropped there is another one.
        let made = "CREATE TEMP TABLE there (id); VACUUM;";
        for (rest, expected) in [
            ("DROP TABLE IF EXISTS there", Some("there".to_owned())),
            ("DROP TABLE IF EXISTS temp.there", None),
        ] {
            assert_eq!(lost(&format!("{made} {rest}")), expected, "{rest}");
        }
    }
}
