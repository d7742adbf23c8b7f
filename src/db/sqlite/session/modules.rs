//! The modules of virtual tables, and their internal tables. Pure.
//!
//! SQLite calls each table that has a name which a module could give a shadow table, also one that
//! the user made.

use super::words::Order;
use crate::sql::{Dialect, Token, TokenKind, tokenize};
use std::collections::BTreeSet;

/// Modules that only show what is stored elsewhere.
const SHOW: [&str; 3] = ["fts5vocab", "fts4aux", "dbstat"];

/// Tables that a module keeps: the module, what it adds to the name, and the columns that it makes.
/// What a full-text table stores of the user's is not among them.
const KEPT: [(&str, &str, &str); 11] = [
    (
        "fts3",
        "_segments",
        "(blockid INTEGER PRIMARY KEY, block BLOB)",
    ),
    ("fts3", "_segdir", SEGDIR),
    (
        "fts4",
        "_segments",
        "(blockid INTEGER PRIMARY KEY, block BLOB)",
    ),
    ("fts4", "_segdir", SEGDIR),
    ("fts4", "_docsize", "(docid INTEGER PRIMARY KEY, size BLOB)"),
    ("fts4", "_stat", "(id INTEGER PRIMARY KEY, value BLOB)"),
    ("fts5", "_data", "(id INTEGER PRIMARY KEY, block BLOB)"),
    (
        "fts5",
        "_idx",
        "(segid, term, pgno, PRIMARY KEY(segid, term)) WITHOUT ROWID",
    ),
    ("fts5", "_docsize", "(id INTEGER PRIMARY KEY, sz BLOB)"),
    (
        "fts5",
        "_docsize",
        "(id INTEGER PRIMARY KEY, sz BLOB, origin INTEGER)",
    ),
    ("fts5", "_config", "(k PRIMARY KEY, v) WITHOUT ROWID"),
];

const SEGDIR: &str = "(level INTEGER,idx INTEGER,start_block INTEGER,leaves_end_block INTEGER,end_block INTEGER,root BLOB,PRIMARY KEY(level, idx))";

/// Whether a virtual table only shows what is stored elsewhere.
pub(super) fn only_shows(sql: &str) -> bool {
    module(sql).is_some_and(|module| SHOW.contains(&module.as_str()))
}

/// A full-text index, as far as it can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Index {
    /// Of rows that are in it.
    Own(Module),
    /// Of rows of another table, which it shows as its own.
    Shown(Module),
    /// Of rows that are nowhere else.
    Contentless(Module),
}

/// The modules that can check their indexes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Module {
    Fts4,
    Fts5,
}

/// The index that the text of a table makes.
pub(super) fn index(sql: &str) -> Option<Index> {
    let module = match module(sql)?.as_str() {
        "fts4" => Module::Fts4,
        "fts5" => Module::Fts5,
        _ => return None,
    };
    match (option(sql, "content"), module) {
        (None, _) => Some(Index::Own(module)),
        (Some(""), _) => Some(Index::Contentless(module)),
        (Some(_), _) => Some(Index::Shown(module)),
    }
}

/// How the row numbers of an index of FTS4 follow each other.
pub(super) fn order(sql: &str) -> Order {
    match option(sql, "order") {
        Some(order) if order.eq_ignore_ascii_case("desc") => Order::Falling,
        Some(_) | None => Order::Rising,
    }
}

/// How many kinds of beginnings of words an index of FTS4 has.
pub(super) fn prefixes(sql: &str) -> i64 {
    let lengths = option(sql, "prefix").unwrap_or_default().split(',');
    let lengths = lengths.filter_map(|it| it.trim().parse::<u32>().ok());
    let count = lengths.filter(|length| *length > 0).count();
    i64::try_from(count).unwrap_or(i64::MAX - 1)
}

/// The table whose rows an index finds by their row numbers, and shows as its own.
pub(super) fn shown_by_number(sql: &str) -> Option<&str> {
    let names_it = |column: &str| {
        let numbers = ["rowid", "oid", "_rowid_"];
        numbers.iter().any(|it| column.eq_ignore_ascii_case(it))
    };
    let of_column = option(sql, "content_rowid").is_some_and(|it| !names_it(it));
    let table = option(sql, "content").filter(|table| !table.is_empty());
    table.filter(|_| index(sql).is_some() && !of_column)
}

/// Whether a table that SQLite calls a shadow table is one that a module keeps, rather than one of
/// the user's with such a name.
pub(super) fn keeps(virtuals: &[(&str, &str)], name: &str, sql: &str) -> bool {
    virtuals.iter().any(|(owner, of_owner)| {
        let rest = name
            .get(..owner.len())
            .filter(|head| head.eq_ignore_ascii_case(owner));
        let Some(suffix) = rest.and_then(|_| name.get(owner.len()..)) else {
            return false;
        };
        let module = module(of_owner).unwrap_or_default();
        let columns = columns(sql);
        let known = KEPT.iter().any(|(of, adds, makes)| {
            module == *of && suffix.eq_ignore_ascii_case(adds) && columns == *makes
        });
        // With these options an index has no such table, so that it is the user's.
        let sizes = ["matchinfo", "columnsize"];
        let without = suffix.eq_ignore_ascii_case("_docsize")
            && sizes.iter().any(|name| option(of_owner, name).is_some());
        // Other modules make all that their names could mean.
        let others = !KEPT.iter().any(|(of, ..)| module == *of);
        (known && !without) || others
    })
}

/// The module of a virtual table, where it is none of these: its rows can't be read, and no
/// statement can write them.
pub(super) fn unknown(known: &BTreeSet<String>, sql: &str) -> Option<String> {
    module(sql).filter(|module| !known.contains(module))
}

/// The module of a virtual table, in lower case.
fn module(sql: &str) -> Option<String> {
    let tokens = tokenize(sql, Dialect::Sqlite);
    let at = tokens
        .iter()
        .position(|token| is_word(sql, token, "using"))?;
    let name = sql.get(tokens.get(at + 1)?.span())?;
    Some(name.trim_matches(['"', '`', '[', ']', '\'']).to_lowercase())
}

/// The value of an option that a virtual table was made with, without quotes.
fn option<'a>(sql: &'a str, name: &str) -> Option<&'a str> {
    let tokens = tokenize(sql, Dialect::Sqlite);
    let mut triples = tokens.windows(3);
    let found =
        triples.find(|it| is_word(sql, &it[0], name) && sql.get(it[1].span()) == Some("="))?;
    let value = sql.get(found[2].span())?;
    Some(value.trim_matches(['"', '`', '[', ']', '\'']))
}

fn is_word(sql: &str, token: &Token, word: &str) -> bool {
    let text = sql.get(token.span()).unwrap_or_default();
    token.kind == TokenKind::Word && text.eq_ignore_ascii_case(word)
}

/// The columns of a table, as its text has them.
fn columns(sql: &str) -> &str {
    let tokens = tokenize(sql, Dialect::Sqlite);
    let mut opening = tokens
        .iter()
        .filter(|token| sql.get(token.span()) == Some("("));
    let start = opening.next().map_or(sql.len(), |token| token.start);
    sql.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{Index, Module, index, keeps, only_shows, shown_by_number};

    #[test]
    fn an_index_is_known_by_its_module_and_its_content() {
        use Module::{Fts4, Fts5};
        for (sql, is) in [
            (
                "CREATE VIRTUAL TABLE s USING fts5(body)",
                Some(Index::Own(Fts5)),
            ),
            (
                "CREATE VIRTUAL TABLE s USING fts5(body, content='m')",
                Some(Index::Shown(Fts5)),
            ),
            (
                "CREATE VIRTUAL TABLE s USING FTS5(body, content = \"\")",
                Some(Index::Contentless(Fts5)),
            ),
            (
                "CREATE VIRTUAL TABLE s USING fts4(content=\"m\", body)",
                Some(Index::Shown(Fts4)),
            ),
            (
                "CREATE VIRTUAL TABLE s USING fts4(content=\"\", body)",
                Some(Index::Contentless(Fts4)),
            ),
            ("CREATE VIRTUAL TABLE s USING rtree(id, a, b)", None),
            ("CREATE TABLE s (content TEXT)", None),
        ] {
            assert_eq!(index(sql), is, "{sql}");
        }
    }

    #[test]
    fn an_index_finds_rows_by_their_numbers_or_by_a_column() {
        for (options, table) in [
            ("content='m'", Some("m")),
            ("content='m', content_rowid='rowid'", Some("m")),
            ("content='m', content_rowid='id'", None),
            ("content=''", None),
            ("tokenize='porter'", None),
        ] {
            let sql = format!("CREATE VIRTUAL TABLE s USING fts5(body, {options})");
            assert_eq!(shown_by_number(&sql), table, "{options}");
        }
    }

    #[test]
    fn a_module_is_a_word_behind_using() {
        assert!(only_shows(
            "CREATE VIRTUAL TABLE v USING fts5vocab(m, 'row')"
        ));
        assert!(!only_shows(
            "CREATE VIRTUAL TABLE m USING fts5(body, fts5vocab)"
        ));
        assert!(!only_shows(
            "CREATE VIRTUAL TABLE \"using dbstat\" USING fts4(body)"
        ));
    }

    #[test]
    fn a_table_that_looks_like_one_of_a_module_is_the_users() {
        let stat = "CREATE TABLE m_stat(id INTEGER PRIMARY KEY, value BLOB)";
        let size = "CREATE TABLE 'm_docsize'(docid INTEGER PRIMARY KEY, size BLOB)";
        let fts = |module| format!("CREATE VIRTUAL TABLE m USING {module}");
        for (module, name, sql, is) in [
            ("fts4(body)", "m_stat", stat, true),
            ("fts3(body)", "m_stat", stat, false),
            ("fts4(body)", "m_docsize", size, true),
            ("fts4(body, matchinfo=fts3)", "m_docsize", size, false),
            (
                "fts4(body)",
                "m_stat",
                "CREATE TABLE m_stat(id INTEGER PRIMARY KEY)",
                false,
            ),
            (
                "fts4(body)",
                "m_content",
                "CREATE TABLE 'm_content'(docid INTEGER PRIMARY KEY, 'c0body')",
                false,
            ),
        ] {
            assert_eq!(
                keeps(&[("m", &fts(module))], name, sql),
                is,
                "{module} {name}"
            );
        }
    }
}
