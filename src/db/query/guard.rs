//! Checks of a query by its tokens alone, before it is sent. Pure.
//!
//! A name that is called is before a parenthesis, whatever schema, quotes, blanks and
//! comments are around it. What could be read in two ways is refused instead of read.

use super::refused;
use crate::cli_error::CliError;
use crate::sql::{Dialect, Token, TokenKind, tokenize};

/// What a query names.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::db) struct QueryColumn {
    /// Each unquoted word, lower case, in order.
    pub(in crate::db) words: Vec<String>,
    /// Each name before a parenthesis, lower case.
    pub(in crate::db) called: Vec<String>,
    /// Those of them that the query defines, as `x` in `WITH x (a) AS (…)`.
    pub(in crate::db) defined: Vec<String>,
    /// Each word and each quoted name, as it is written and in lower case: one of them may be a
    /// table.
    pub(in crate::db) names: Vec<String>,
}

/// The names of a query that is one statement and begins with one of these words.
pub(in crate::db) fn names(
    sql: &str,
    dialect: Dialect,
    begins: &[&str],
) -> Result<QueryColumn, CliError> {
    let tokens = tokenize(sql, dialect);
    if let Some(token) = tokens.iter().find(|token| hides(token, sql)) {
        return Err(refused(&format!(
            "`{}` can hide its effect",
            token.text(sql).chars().take(40).collect::<String>()
        )));
    }
    let mut tokens: Vec<_> = tokens
        .into_iter()
        .filter(|token| token.kind != TokenKind::Comment)
        .collect();
    while matches!(tokens.last(), Some(token) if token.kind == TokenKind::Semicolon) {
        tokens.pop();
    }
    let is_end = |token: &Token| matches!(token.kind, TokenKind::Semicolon | TokenKind::Delimiter);
    if tokens.iter().any(is_end) {
        return Err(refused("it is more than one statement"));
    }
    let words: Vec<_> = tokens
        .iter()
        .filter(|token| token.kind == TokenKind::Word)
        .map(|token| token.text(sql).to_lowercase())
        .collect();
    let first = tokens.iter().find(|token| token.text(sql) != "(");
    let Some(first) = first else {
        return Err(super::empty());
    };
    if !begins.contains(&first.text(sql).to_lowercase().as_str()) {
        let shown: String = first.text(sql).chars().take(40).collect();
        let stop = refused(&format!(
            "`{shown}` is not a query; a query begins with {}",
            begins.join(", ").to_uppercase()
        ));
        return Err(match meant(first.text(sql), sql, begins) {
            Some(hint) => stop.hint(hint),
            None => stop,
        });
    }
    Ok(QueryColumn {
        words,
        called: called(&tokens, sql),
        defined: defined(&tokens, sql),
        names: spelled(&tokens, sql),
    })
}

/// What was probably meant by a query that begins with another word: a slip, or psql's `\d`.
fn meant(first: &str, sql: &str, begins: &[&str]) -> Option<String> {
    if let Some(command) = sql.trim_start().strip_prefix('\\') {
        let table = command.split_whitespace().nth(1);
        let call = ["chatctl inspect schema"].into_iter().chain(table);
        return Some(format!("`{}`", call.collect::<Vec<_>>().join(" ")));
    }
    // Fewer letters are no slip, and DELETE is none of SELECT.
    let first = first.to_lowercase();
    let is_near = |word: &&&str| first.len() > 3 && strsim::damerau_levenshtein(&first, word) <= 2;
    let near = begins.iter().find(is_near)?;
    Some(format!("did you mean {}?", near.to_uppercase()))
}

/// The names before a parenthesis.
fn called(tokens: &[Token], sql: &str) -> Vec<String> {
    let pairs = tokens.windows(2);
    let calls = pairs.filter(|pair| pair[1].text(sql) == "(");
    calls.filter_map(|pair| name(pair[0], sql)).collect()
}

/// What the body of a view or a function names, which the server has taken for one before.
pub(in crate::db) fn body(sql: &str, dialect: Dialect) -> QueryColumn {
    let mut tokens = tokenize(sql, dialect);
    tokens.retain(|token| token.kind != TokenKind::Comment);
    let words = tokens.iter().filter(|token| token.kind == TokenKind::Word);
    QueryColumn {
        words: words.map(|token| token.text(sql).to_lowercase()).collect(),
        called: called(&tokens, sql),
        defined: defined(&tokens, sql),
        names: spelled(&tokens, sql),
    }
}

/// The names with columns that a query gives to a part of it: before them is AS, or behind the
/// columns.
fn defined(tokens: &[Token], sql: &str) -> Vec<String> {
    let is = |at: usize, word: &str| {
        let token = tokens.get(at);
        token.is_some_and(|it| it.text(sql).eq_ignore_ascii_case(word))
    };
    let is_columns = |from: usize| {
        let mut inner = tokens[from..].iter().take_while(|it| it.text(sql) != ")");
        let count = inner.clone().count();
        let plain = inner.all(|it| it.text(sql) == "," || name(*it, sql).is_some());
        plain.then_some(from + count + 1)
    };
    let found = (0..tokens.len()).filter(|at| is(at + 1, "("));
    let found = found.filter(|at| {
        let behind = is_columns(at + 2);
        let is_aliased = *at > 0 && is(at - 1, "as");
        behind.is_some_and(|behind| is_aliased || is(behind, "as") && is(behind + 1, "("))
    });
    found.filter_map(|at| name(tokens[at], sql)).collect()
}

/// Code in a comment, a quote without its end, and a name that is written in escapes.
fn hides(token: &Token, sql: &str) -> bool {
    let text = token.text(sql).as_bytes();
    match token.kind {
        TokenKind::CodeOpen | TokenKind::CodeClose | TokenKind::Unclosed => true,
        TokenKind::Comment => text.starts_with(b"/*!") || text.starts_with(b"/*M!"),
        TokenKind::QuotedName => matches!(text.first(), Some(b'u' | b'U')),
        _ => false,
    }
}

/// Every name, in both spellings.
fn spelled(tokens: &[Token], sql: &str) -> Vec<String> {
    let names = tokens.iter().filter_map(|token| written(*token, sql));
    let both = names.flat_map(|name| [name.to_lowercase(), name]);
    both.collect()
}

/// The name that a token is, in lower case.
fn name(token: Token, sql: &str) -> Option<String> {
    written(token, sql).map(|name| name.to_lowercase())
}

/// The name that a token is. In MySQL a text in double quotes is one in some modes.
fn written(token: Token, sql: &str) -> Option<String> {
    let text = token.text(sql);
    let inner = |close: char| {
        let inner = text
            .get(1..text.len().saturating_sub(1))
            .unwrap_or_default();
        inner.replace(&format!("{close}{close}"), &close.to_string())
    };
    let name = match (token.kind, text.chars().next()?) {
        (TokenKind::Word, _) => text.to_owned(),
        (TokenKind::QuotedName | TokenKind::String, '"') => inner('"'),
        (TokenKind::QuotedName, '`') => inner('`'),
        (TokenKind::QuotedName, '[') => inner(']'),
        _ => return None,
    };
    Some(name)
}

#[cfg(test)]
mod tests {
    use super::{Dialect, meant, names};

    const BEGINS: &[&str] = &["select", "with"];

    #[test]
    fn a_slip_gets_the_word_that_was_meant() {
        let hint = |sql: &str| {
            let first = sql.split(' ').next().unwrap();
            meant(first, sql, BEGINS)
        };
        assert_eq!(hint("SELEC 1").as_deref(), Some("did you mean SELECT?"));
        for writes in [
            "DELETE FROM a",
            "INSERT INTO a",
            "UPDATE a",
            "SET a",
            "DROP a",
        ] {
            assert_eq!(hint(writes), None, "{writes}");
        }
        let schema = |sql: &str| hint(sql).unwrap();
        assert_eq!(schema("\\d messages"), "`chatctl inspect schema messages`");
        assert_eq!(schema("\\d"), "`chatctl inspect schema`");
    }

    #[test]
    fn a_call_is_seen_through_quotes_comments_and_schemas() {
        let sql = "SELECT a, pg_catalog . \"Kill\"\"it\" /* x */ -- (\n (1), f(g (2)), 'h('";
        let named = names(sql, Dialect::Postgres, BEGINS).unwrap();
        assert_eq!(named.called, ["kill\"it", "f", "g"]);
        let named = names("SELECT `x` (1), \"y\"(2)", Dialect::Mysql, BEGINS).unwrap();
        assert_eq!(named.called, ["x", "y"]);
    }

    #[test]
    fn what_a_query_defines_itself_is_known() {
        let defined = |sql: &str| names(sql, Dialect::Mysql, BEGINS).unwrap().defined;
        assert_eq!(
            defined("WITH x (a, `b`) AS (SELECT f(1), 2) SELECT g(a) FROM x"),
            ["x"]
        );
        assert_eq!(defined("SELECT f(a) FROM (SELECT 1) AS t (a)"), ["t"]);
        assert_eq!(defined("SELECT f(a) AS b, g(1) AS c FROM t"), [""; 0]);
    }

    #[test]
    fn what_can_hide_something_is_refused() {
        for (sql, dialect) in [
            ("SELECT U&\"\\0061\"(1)", Dialect::Postgres),
            ("SELECT 1 /*! INTO OUTFILE 'x' */", Dialect::Mysql),
            ("SELECT 1 /*M!100100 INTO OUTFILE 'x' */", Dialect::Mysql),
            ("SELECT 'open", Dialect::Sqlite),
            ("SELECT 1; SELECT 2", Dialect::Sqlite),
            ("DELETE FROM m", Dialect::Sqlite),
            ("/* SELECT */ DROP TABLE m", Dialect::Postgres),
        ] {
            assert!(names(sql, dialect, BEGINS).is_err(), "{sql}");
        }
    }

    #[test]
    fn plain_reading_is_let_through() {
        for sql in [
            "SELECT 1;",
            "-- why\n(SELECT ';' AS \"drop\")",
            "WITH x AS (SELECT 1) SELECT * FROM x",
        ] {
            assert!(names(sql, Dialect::Postgres, BEGINS).is_ok(), "{sql}");
        }
    }
}
