//! On which conditions a body gives up the row that it was called for.

use super::{IN_RULES, Tokens, called, path};
use crate::model::On;
use crate::sql::Dialect;
use std::collections::BTreeSet;
use std::ops::Range;

/// Whether a body gives up each row that it is called for by such a write, whatever the row is.
pub(in crate::migrate::later) fn drops_row(body: &str, event: On, dialect: Dialect) -> bool {
    let tokens = Tokens::of(body, dialect);
    match dialect {
        Dialect::Sqlite => {
            let asks = tokens.has(&["WHERE", "CASE", "WHEN", "FROM"]);
            !asks && !raises(&tokens).is_empty()
        }
        Dialect::Postgres => {
            let returns = path::returns(&tokens, event);
            let mut places = returns.iter().map(|it| it.at);
            is_rule(&tokens) || !returns.is_empty() && places.all(|it| gives_none(&tokens, it))
        }
        Dialect::Mysql => false,
    }
}

/// The conditions, in SQL, on each of which a body gives up the row; none for one that nobody can
/// tell.
pub(in crate::migrate::later) fn discards(
    body: &str,
    event: On,
    dialect: Dialect,
) -> Vec<Option<String>> {
    let tokens = Tokens::of(body, dialect);
    let all: Vec<_> = match dialect {
        Dialect::Sqlite => {
            let raises = raises(&tokens).into_iter();
            raises.map(|it| raised_on(&tokens, it)).collect()
        }
        Dialect::Postgres if is_rule(&tokens) => vec![Some("TRUE".to_owned())],
        Dialect::Postgres => {
            let returns = path::returns(&tokens, event).into_iter();
            let none = returns.filter(|it| gives_none(&tokens, it.at));
            none.map(|it| it.on).collect()
        }
        Dialect::Mysql => Vec::new(),
    };
    let written = written(&tokens);
    let is_of_row = |condition: &String| written.is_disjoint(&named(condition, "NEW", dialect));
    // What it asks for after it changed it, no row that is there shows.
    all.into_iter()
        .map(|it| it.filter(|condition| is_of_row(condition)))
        .collect()
}

/// The columns of the row as it is (`NEW`) or was (`OLD`) that a condition names, in lower case; an
/// empty name where it names the row itself.
pub(in crate::migrate::later) fn named(
    condition: &str,
    which: &str,
    dialect: Dialect,
) -> BTreeSet<String> {
    let tokens = Tokens::of(condition, dialect);
    let places = (0..tokens.all.len()).filter(|at| tokens.is(*at, &[which]));
    let names = places.map(|at| match tokens.at(at + 1) {
        "." => tokens.name(at + 2).to_lowercase(),
        _ => String::new(),
    });
    names.collect()
}

/// Whether a condition reads a table of this name.
pub(in crate::migrate::later) fn reads(condition: &str, table: &str, dialect: Dialect) -> bool {
    let tokens = Tokens::of(condition, dialect);
    (1..tokens.all.len()).any(|at| {
        let is_table = tokens.is(at - 1, &["FROM", "JOIN", "ONLY"]) || tokens.at(at - 1) == ".";
        is_table && tokens.name(at).eq_ignore_ascii_case(table)
    })
}

/// What has another value in a trigger than in a query.
const OF_SESSION: [&str; 4] = [
    "CURRENT_ROLE",
    "CURRENT_USER",
    "SESSION_USER",
    "SYSTEM_USER",
];
/// The same of functions, and functions that do something themselves.
const ACTING: [&str; 7] = [
    "current_setting",
    "nextval",
    "rand",
    "random",
    "set_config",
    "setval",
    "user",
];

/// Whether a condition asks for the time, for the session, or for what one of these functions says.
pub(in crate::migrate::later) fn depends(
    condition: &str,
    is_of_user: impl Fn(&String) -> bool,
    dialect: Dialect,
) -> bool {
    let tokens = Tokens::of(condition, dialect);
    let is_of_engine = |it: &String| it.starts_with("pg_") || ACTING.contains(&it.as_str());
    let called = called(condition, dialect);
    tokens.has(&super::assigned::CLOCKS)
        || tokens.has(&OF_SESSION)
        || called.iter().any(|it| is_of_engine(it) || is_of_user(it))
}

/// The places of the token IGNORE in each `RAISE(IGNORE)`.
fn raises(tokens: &Tokens<'_>) -> Vec<usize> {
    let is_it = |at: &usize| {
        let begins = at.checked_sub(2);
        tokens.is(*at, &["IGNORE"]) && begins.is_some_and(|it| tokens.is(it, &["RAISE"]))
    };
    (0..tokens.all.len()).filter(is_it).collect()
}

/// The condition of the statement with such a word.
fn raised_on(tokens: &Tokens<'_>, ignore: usize) -> Option<String> {
    let is_end = |at: &usize| tokens.at(*at) == ";";
    let count = tokens.all.len();
    let start = (0..ignore).rev().find(is_end).map_or(0, |it| it + 1);
    let end = (ignore..count).find(is_end).unwrap_or(count);
    let text = |range: Range<usize>| {
        let (first, last) = (
            tokens.all.get(range.start)?,
            tokens.all.get(range.end.checked_sub(1)?)?,
        );
        tokens.text.get(first.start..last.end).map(str::to_owned)
    };
    let (raise, behind) = (ignore - 2, ignore + 2);
    let before = |at: usize, words: &[&str]| at > 0 && tokens.is(at - 1, words);
    if behind == end && before(raise, &["SELECT"]) {
        return Some("TRUE".to_owned());
    }
    if tokens.is(behind, &["WHERE"]) && before(raise, &["SELECT"]) {
        return text(behind + 1..end);
    }
    // SELECT CASE WHEN … THEN RAISE(IGNORE) END
    let begins = tokens.is(start, &["SELECT"])
        && tokens.is(start + 1, &["CASE"])
        && tokens.is(start + 2, &["WHEN"]);
    let is_first = !(start + 3..raise).any(|at| tokens.is(at, &["WHEN", "ELSE"]));
    let ends = tokens.is(behind, &["END"]) && behind + 1 == end;
    let is_case = begins && is_first && ends && before(raise, &["THEN"]);
    is_case.then(|| text(start + 3..raise - 1)).flatten()
}

fn is_rule(tokens: &Tokens<'_>) -> bool {
    tokens.is(0, &IN_RULES) || tokens.at(0) == "("
}

/// Whether a RETURN gives no row to be stored. The row as it was undoes an UPDATE, and is none for
/// a new row.
fn gives_none(tokens: &Tokens<'_>, at: usize) -> bool {
    let is_none = tokens.is(at + 1, &["NULL", "OLD"]) || path::gives_old(tokens, at);
    tokens.at(at + 2) == ";" && is_none
}

/// The columns of the new row that a body may assign to, in lower case.
fn written(tokens: &Tokens<'_>) -> BTreeSet<String> {
    let is_it = |at: &usize| {
        let given = tokens.at(at + 3);
        let is_into = tokens.is(at - 1, &["INTO", "STRICT"]);
        let begins =
            tokens.at(at - 1) == ";" || tokens.is(at - 1, &["BEGIN", "THEN", "ELSE", "LOOP"]);
        let is_given = begins && matches!(given, ":" | ":=" | "=");
        tokens.is(*at, &["NEW"]) && (is_into || is_given)
    };
    let places = (1..tokens.all.len()).filter(is_it);
    places
        .map(|at| tokens.name(at + 2).to_lowercase())
        .collect()
}
