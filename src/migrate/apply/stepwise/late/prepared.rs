//! The statement that a text or a variable holds which EXECUTE runs.

use crate::db::Session;
use crate::migrate::intent::Intent;
use crate::sql;
use crate::sql::{Dialect, Facts, Statement, TokenKind};

/// What a statement runs that is put together: as far as that can be asked for without running
/// anything.
pub(super) fn prepared(
    session: &mut dyn Session,
    (intent, number): (&Intent<'_>, usize),
) -> anyhow::Result<Option<Facts>> {
    let words = words(intent.pieces[number].text);
    let [first, second, rest @ ..] = words.as_slice() else {
        return Ok(None);
    };
    if !first.eq_ignore_ascii_case("EXECUTE") {
        return Ok(None);
    }
    let source = if second.eq_ignore_ascii_case("IMMEDIATE") {
        Some(rest.to_vec())
    } else {
        let pieces = intent.pieces[..number].iter().rev();
        pieces
            .map(|piece| self::words(piece.text))
            .find_map(|words| {
                let [prepare, name, from, rest @ ..] = words.as_slice() else {
                    return None;
                };
                let is_it = prepare.eq_ignore_ascii_case("PREPARE")
                    && name.eq_ignore_ascii_case(second)
                    && from.eq_ignore_ascii_case("FROM");
                is_it.then(|| rest.to_vec())
            })
    };
    let Some(source) = source.filter(|it| is_plain(it)) else {
        return Ok(None);
    };
    let text = session.seen(&format!("SELECT {}", source.concat()))?;
    Ok(text[0][0].text().map(|text| {
        let statement = Statement {
            text,
            span: 0..text.len(),
            line: 1,
            column: 1,
        };
        sql::facts(&statement, Dialect::Mysql)
    }))
}

fn words(text: &str) -> Vec<String> {
    let tokens = sql::tokenize(text, Dialect::Mysql);
    let tokens = tokens
        .iter()
        .filter(|it| !matches!(it.kind, TokenKind::Comment | TokenKind::Semicolon));
    tokens.map(|it| it.text(text).to_owned()).collect()
}

/// Whether it is one string, or one variable of the user's own.
fn is_plain(source: &[String]) -> bool {
    match source {
        [text] => text.starts_with(['\'', '"']),
        [at, name] => at == "@" && !name.starts_with('@'),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::{is_plain, words};

    #[test]
    fn only_a_string_or_a_variable_is_asked_for() {
        for (text, is) in [
            ("'DROP TABLE t'", true),
            ("@q", true),
            ("@@version", false),
            ("tidy()", false),
            ("concat('a', tidy())", false),
            ("(SELECT 1)", false),
        ] {
            assert_eq!(is_plain(&words(text)), is, "{text}");
        }
    }
}
