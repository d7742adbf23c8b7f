//! The statement in a text or variable that EXECUTE runs.

use crate::db::Session;
use crate::sql;
use crate::sql::{Dialect, Facts, Kind, Statement, TokenKind};
use std::collections::BTreeMap;

/// The texts of prepared statements, by their names.
#[derive(Debug, Default)]
pub(super) struct Prepared(BTreeMap<String, String>);

impl Prepared {
    /// What a statement runs that is put together: as far as that can be asked for without running
    /// anything. The text of one that is prepared is kept: the variable may hold another one when
    /// it is run.
    pub(super) fn look(
        &mut self,
        session: &mut dyn Session,
        text: &str,
    ) -> anyhow::Result<Option<Facts>> {
        let is_of_it = |word: &str| {
            let first = text.get(..word.len());
            first.is_some_and(|it| it.eq_ignore_ascii_case(word))
        };
        if !["PREPARE", "EXECUTE"].into_iter().any(is_of_it) {
            return Ok(None);
        }
        let words = words(text);
        let is = |at: usize, word: &str| {
            words
                .get(at)
                .is_some_and(|it: &String| it.eq_ignore_ascii_case(word))
        };
        let name = words.get(1).map(|it| it.trim_matches('`').to_lowercase());
        let source = |from: usize| source(words.get(from..).unwrap_or_default());
        let text = match name {
            Some(name) if is(0, "PREPARE") && is(2, "FROM") => {
                match asked(session, source(3))? {
                    Some(text) => self.0.insert(name, text),
                    None => self.0.remove(&name),
                };
                return Ok(None);
            }
            Some(_) if is(0, "EXECUTE") && is(1, "IMMEDIATE") => asked(session, source(2))?,
            Some(name) if is(0, "EXECUTE") => self.0.get(&name).cloned(),
            Some(_) | None => None,
        };
        Ok(text.map(|text| facts(&text)).filter(runs_alone))
    }
}

fn asked(session: &mut dyn Session, source: Option<String>) -> anyhow::Result<Option<String>> {
    let Some(source) = source else {
        return Ok(None);
    };
    let text = session.seen(&format!("SELECT {source}"))?;
    Ok(text[0][0].text().map(str::to_owned))
}

fn facts(text: &str) -> Facts {
    sql::facts(&Statement::alone(text), Dialect::Mysql)
}

/// Whether what a statement does depends on none of those around it.
fn runs_alone(facts: &Facts) -> bool {
    !matches!(
        facts.kind,
        Kind::Begin | Kind::Commit | Kind::Rollback { .. } | Kind::Lock | Kind::SetVariable { .. }
    )
}

fn words(text: &str) -> Vec<String> {
    let tokens = sql::tokenize(text, Dialect::Mysql);
    let tokens = tokens
        .iter()
        .filter(|it| !matches!(it.kind, TokenKind::Comment | TokenKind::Semicolon));
    tokens.map(|it| it.text(text).to_owned()).collect()
}

/// Where the text comes from, without the values for it: one string, or one variable of the user's
/// own.
fn source(words: &[String]) -> Option<String> {
    let end = words.iter().position(|it| it.eq_ignore_ascii_case("USING"));
    match &words[..end.unwrap_or(words.len())] {
        [text] if text.starts_with(['\'', '"']) => Some(text.clone()),
        [at, name] if at == "@" && !name.starts_with('@') => Some(format!("{at}{name}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{facts, runs_alone, source, words};

    #[test]
    fn only_a_string_or_a_variable_is_asked_for() {
        for (text, is) in [
            ("'DROP TABLE t'", Some("'DROP TABLE t'")),
            ("@q", Some("@q")),
            ("@q USING @a, @b", Some("@q")),
            (
                "'DELETE FROM t WHERE id = ?' USING 1",
                Some("'DELETE FROM t WHERE id = ?'"),
            ),
            ("@@version", None),
            ("tidy()", None),
            ("concat('a', tidy())", None),
            ("(SELECT 1)", None),
        ] {
            assert_eq!(source(&words(text)).as_deref(), is, "{text}");
        }
    }

    #[test]
    fn what_holds_other_statements_together_is_left_as_it_is() {
        for (text, is) in [
            ("DELETE FROM t WHERE id = ?", true),
            ("DROP TABLE t", true),
            ("COMMIT", false),
            ("START TRANSACTION", false),
            ("UNLOCK TABLES", false),
            ("SET @a = 1", false),
        ] {
            assert_eq!(runs_alone(&facts(text)), is, "{text}");
        }
    }
}
