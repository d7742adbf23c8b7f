//! Triggers, read from their texts.

use super::Sqlite;
use crate::db::catalog::quoted;
use crate::db::session::Session as _;
use crate::model::{Action, Actions, Body, On, Transitions};
use crate::sql::{Dialect, TokenKind, tokenize};

impl Sqlite {
    pub(super) fn all_actions(&mut self) -> anyhow::Result<Actions> {
        let rows =
            self.rows("SELECT name, tbl_name, sql FROM main.sqlite_master WHERE type = 'trigger'")?;
        let triggers = rows.iter().filter_map(|row| {
            let (name, table) = (row[0].to_string(), row[1].to_string());
            action(&name, &table, row[2].text()?)
        });
        let triggers: Vec<_> = triggers.collect();
        let tables = self.rows("SELECT name, sql FROM main.sqlite_master WHERE type = 'table'")?;
        let clauses = tables.iter().flat_map(|row| {
            let (table, sql) = (row[0].to_string(), row[1].text().unwrap_or_default());
            let ways = [Conflict::Replace, Conflict::Ignore].into_iter();
            let ways = ways.filter(|it| it.is_in(sql));
            ways.map(|it| it.clause(&table)).collect::<Vec<_>>()
        });
        Ok(Actions::new(
            triggers.into_iter().chain(clauses).collect(),
            [],
        ))
    }
}

/// A trigger from its text: what is before the first BEGIN says when it runs.
fn action(name: &str, table: &str, sql: &str) -> Option<Action> {
    let tokens = tokenize(sql, Dialect::Sqlite);
    let words = tokens.iter().filter(|it| it.kind == TokenKind::Word);
    let words: Vec<_> = words.map(|it| (it, it.text(sql).to_uppercase())).collect();
    let begin = words.iter().position(|(_, word)| word == "BEGIN")?;
    let (head, body) = words.split_at(begin);
    let has = |wanted: &str| head.iter().any(|(_, word)| word == wanted);
    let on = [
        ("INSERT", On::Insert),
        ("UPDATE", On::Update),
        ("DELETE", On::Delete),
    ];
    let on = on.iter().filter(|(word, _)| has(word)).map(|(_, on)| *on);
    let (first, last) = (body.first()?.0.end, body.last()?.0.start);
    let condition = head.iter().find(|(_, word)| word == "WHEN");
    Some(Action {
        title: format!("trigger `{name}` on `{table}`"),
        table: Some(table.to_owned()),
        on: on.collect(),
        // Without a word it is BEFORE.
        decides: !has("AFTER"),
        condition: condition
            .and_then(|(it, _)| Some(sql.get(it.end..body.first()?.0.start)?.trim().to_owned())),
        transitions: Transitions::default(),
        body: Body::Statements(sql.get(first..last)?.trim().to_owned()),
    })
}

/// What a constraint of a table does with a conflict, other than to refuse the new row.
#[derive(Clone, Copy)]
enum Conflict {
    /// It deletes the row that is there.
    Replace,
    /// It drops the new row.
    Ignore,
}

impl Conflict {
    /// Whether a table has such a constraint.
    fn is_in(self, sql: &str) -> bool {
        let way = match self {
            Self::Replace => "REPLACE",
            Self::Ignore => "IGNORE",
        };
        let mut tokens = tokenize(sql, Dialect::Sqlite);
        tokens.retain(|it| it.kind != TokenKind::Comment);
        let words = ["ON", "CONFLICT", way];
        tokens.windows(3).any(|found| {
            let mut pairs = found.iter().zip(words);
            pairs.all(|(it, word)| {
                it.kind == TokenKind::Word && it.text(sql).eq_ignore_ascii_case(word)
            })
        })
    }

    /// What such a constraint does.
    fn clause(self, table: &str) -> Action {
        let body = match self {
            Self::Replace => format!("DELETE FROM {}", quoted(table)),
            Self::Ignore => "SELECT RAISE(IGNORE)".to_owned(),
        };
        Action {
            title: format!("conflict clause of `{table}`"),
            table: Some(table.to_owned()),
            on: vec![On::Insert],
            decides: matches!(self, Self::Ignore),
            condition: None,
            transitions: Transitions::default(),
            body: Body::Statements(body),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Conflict, action};
    use crate::model::{Body, On};

    #[test]
    fn a_constraint_that_replaces_rows_is_known_by_its_words() {
        let replaces = |sql: &str| Conflict::Replace.is_in(sql);
        assert!(replaces("CREATE TABLE m (a UNIQUE ON CONFLICT REPLACE)"));
        assert!(replaces(
            "CREATE TABLE m (a UNIQUE on\n\tconflict/**/replace)"
        ));
        let ignores =
            "CREATE TABLE m (a UNIQUE ON CONFLICT IGNORE, b DEFAULT 'on conflict replace')";
        assert!(!replaces(ignores));
        assert!(Conflict::Ignore.is_in(ignores));
    }

    #[test]
    fn a_trigger_is_read_from_its_text() {
        let sql = "CREATE TRIGGER \"t\" BEFORE UPDATE OF body ON m WHEN new.id > 1 BEGIN SELECT 1; DELETE FROM m; END";
        let found = action("t", "m", sql).unwrap();
        assert_eq!(found.on, [On::Update]);
        assert!(found.decides);
        let decides = |sql: &str| action("t", "m", sql).unwrap().decides;
        assert!(decides("CREATE TRIGGER t INSERT ON m BEGIN SELECT 1; END"));
        assert!(!decides(
            "CREATE TRIGGER t AFTER INSERT ON m BEGIN SELECT 1; END"
        ));
        assert_eq!(found.condition.as_deref(), Some("new.id > 1"));
        assert_eq!(
            found.body,
            Body::Statements("SELECT 1; DELETE FROM m;".to_owned())
        );
    }
}
