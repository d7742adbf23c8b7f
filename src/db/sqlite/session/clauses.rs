//! What the text of a table says of its rows and no pragma shows. Pure.
//!
//! Two texts that mean the same give the same lines: quotes, blanks, comments, the names of
//! constraints and where a constraint is written do not count.

use crate::sql::{Dialect, TokenKind, tokenize};

type Token<'a> = (TokenKind, &'a str);

/// The clauses of a table with these columns, one in a line.
pub(super) fn clauses(sql: &str, columns: &[String]) -> Vec<String> {
    let tokens = tokenize(sql, Dialect::Sqlite);
    let tokens = tokens.iter().filter(|it| it.kind != TokenKind::Comment);
    let tokens: Vec<Token<'_>> = tokens.map(|it| (it.kind, it.text(sql))).collect();
    if tokens.get(1).is_some_and(|it| is(it, "VIRTUAL")) {
        let using = tokens.iter().skip_while(|it| !is(it, "USING"));
        let words: Vec<_> = using.map(|it| word(it, columns)).collect();
        return vec![words.join(" ")];
    }
    let body = tokens.iter().position(|it| it.1 == "(");
    let body = body.map(|at| group(&tokens[at..])).unwrap_or_default();
    let mut found: Vec<_> = items(body)
        .into_iter()
        .flat_map(|item| of_item(item, columns))
        .collect();
    found.sort();
    found
}

/// What is within the parentheses that a text begins with.
fn group<'t, 'a>(tokens: &'t [Token<'a>]) -> &'t [Token<'a>] {
    let mut depth = 0_usize;
    for (at, (_, text)) in tokens.iter().enumerate() {
        match *text {
            "(" => depth += 1,
            ")" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return tokens.get(1..at).unwrap_or_default();
        }
    }
    tokens.get(1..).unwrap_or_default()
}

/// The definitions of a table: what is between its commas.
fn items<'t, 'a>(body: &'t [Token<'a>]) -> Vec<&'t [Token<'a>]> {
    let mut depth = 0_usize;
    let parts = body.split(|(_, text)| {
        match *text {
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ => {}
        }
        depth == 0 && *text == ","
    });
    parts.filter(|it| !it.is_empty()).collect()
}

/// The clauses of one definition.
fn of_item(item: &[Token<'_>], columns: &[String]) -> Vec<String> {
    const OF_TABLE: [&str; 5] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN"];
    let column = if OF_TABLE.iter().any(|it| is(&item[0], it)) {
        String::new()
    } else {
        named(item[0].1)
    };
    let mut found = Vec::new();
    // What a conflict or a delay is about.
    let mut about = None;
    let mut at = usize::from(!column.is_empty());
    while let Some(token) = item.get(at) {
        let rest = &item[at..];
        let inner = || {
            let open = rest.iter().position(|it| it.1 == "(");
            open.map_or_else(Vec::new, |open| inside(&rest[open..], columns))
        };
        let of_columns = |words: usize| match rest.get(words) {
            Some((_, "(")) => inner().join(" "),
            _ => column.clone(),
        };
        match begins(rest) {
            Some(Begins::Check) => {
                found.push(format!("check ({})", inner().join(" ")));
                about = None;
            }
            Some(Begins::Generated) => {
                let is_stored = rest.iter().any(|it| is(it, "STORED"));
                let stored = if is_stored { " stored" } else { "" };
                found.push(format!("{column} as ({}){stored}", inner().join(" ")));
            }
            Some(Begins::Collate) => {
                let name = rest.get(1).map(|it| named(it.1)).unwrap_or_default();
                if name != "binary" {
                    found.push(format!("{column} collate {name}"));
                }
            }
            Some(Begins::Autoincrement) => found.push("autoincrement".to_owned()),
            Some(Begins::NotNull) => about = Some(format!("{column} not null")),
            Some(Begins::Unique) => about = Some(format!("unique ({})", of_columns(1))),
            Some(Begins::Key) => about = Some(format!("key ({})", of_columns(2))),
            Some(Begins::ForeignKey) => about = Some(format!("foreign key ({})", of_columns(2))),
            Some(Begins::References) if !column.is_empty() => {
                about = Some(format!("foreign key ({column})"));
            }
            Some(Begins::Conflict) => {
                let way = rest.get(2).map(|it| named(it.1)).unwrap_or_default();
                let is_default = way == "abort";
                found.extend(
                    about
                        .take()
                        .filter(|_| !is_default)
                        .map(|it| format!("{it} on conflict {way}")),
                );
            }
            Some(Begins::Deferred) if at == 0 || !is(&item[at - 1], "NOT") => {
                found.extend(about.take().map(|it| format!("{it} deferred")));
            }
            Some(Begins::References | Begins::Deferred) | None => {}
        }
        at += if token.1 == "(" {
            group(rest).len() + 2
        } else {
            1
        };
    }
    found
}

/// How a clause begins.
#[derive(Clone, Copy)]
enum Begins {
    Check,
    Generated,
    Collate,
    Autoincrement,
    NotNull,
    Unique,
    Key,
    ForeignKey,
    References,
    Conflict,
    Deferred,
}

fn begins(tokens: &[Token<'_>]) -> Option<Begins> {
    const ALL: [(&[&str], Begins); 11] = [
        (&["CHECK", "("], Begins::Check),
        (&["AS", "("], Begins::Generated),
        (&["COLLATE"], Begins::Collate),
        (&["AUTOINCREMENT"], Begins::Autoincrement),
        (&["NOT", "NULL"], Begins::NotNull),
        (&["UNIQUE"], Begins::Unique),
        (&["PRIMARY", "KEY"], Begins::Key),
        (&["FOREIGN", "KEY"], Begins::ForeignKey),
        (&["REFERENCES"], Begins::References),
        (&["ON", "CONFLICT"], Begins::Conflict),
        (&["DEFERRABLE", "INITIALLY", "DEFERRED"], Begins::Deferred),
    ];
    let is_it = |words: &[&str]| {
        let mut pairs = words.iter().zip(tokens);
        tokens.len() >= words.len() && pairs.all(|(word, token)| is(token, word))
    };
    let found = ALL.iter().find(|(words, _)| is_it(words));
    found.map(|(_, begins)| *begins)
}

/// The words within parentheses, without those that only double them.
fn inside(tokens: &[Token<'_>], columns: &[String]) -> Vec<String> {
    let mut inner = group(tokens);
    while inner.first().is_some_and(|it| it.1 == "(") && group(inner).len() + 2 == inner.len() {
        inner = group(inner);
    }
    inner.iter().map(|it| word(it, columns)).collect()
}

fn is((kind, text): &Token<'_>, word: &str) -> bool {
    *kind != TokenKind::QuotedName && text.eq_ignore_ascii_case(word)
}

/// A token in one spelling. What is in `"` and names no column is a text to SQLite.
fn word((kind, text): &Token<'_>, columns: &[String]) -> String {
    let is_column = |name: &str| columns.iter().any(|it| it.eq_ignore_ascii_case(name));
    match kind {
        TokenKind::Word => text.to_ascii_lowercase(),
        TokenKind::QuotedName if text.starts_with('"') && !is_column(&named(text)) => {
            let text = text[1..text.len() - 1].replace("\"\"", "\"");
            format!("'{}'", text.replace('\'', "''"))
        }
        TokenKind::QuotedName => named(text),
        _ => (*text).to_owned(),
    }
}

/// A name without its quotes, in lower case: SQLite's names have no case.
fn named(text: &str) -> String {
    let bare = match text.as_bytes() {
        [b'"' | b'`' | b'[' | b'\'', .., _] => &text[1..text.len() - 1],
        _ => text,
    };
    bare.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::clauses;

    fn of(sql: &str) -> Vec<String> {
        clauses(
            sql,
            &["id", "role", "body", "a", "b"].map(ToOwned::to_owned),
        )
    }

    #[test]
    fn every_clause_is_a_line() {
        for (definition, lines) in [
            (
                "id INTEGER PRIMARY KEY AUTOINCREMENT",
                &["autoincrement"] as &[&str],
            ),
            (
                "role TEXT CHECK (role IN ('user', 'ai'))",
                &["check (role in ( 'user' , 'ai' ))"],
            ),
            ("body TEXT COLLATE NOCASE", &["body collate nocase"]),
            (
                "a INT, b INT GENERATED ALWAYS AS (a + 1) STORED",
                &["b as (a + 1) stored"],
            ),
            ("b INT AS (a + 1)", &["b as (a + 1)"]),
            (
                "a UNIQUE ON CONFLICT REPLACE",
                &["unique (a) on conflict replace"],
            ),
            (
                "a, b, UNIQUE (a, b) ON CONFLICT IGNORE",
                &["unique (a , b) on conflict ignore"],
            ),
            (
                "a NOT NULL ON CONFLICT IGNORE",
                &["a not null on conflict ignore"],
            ),
            (
                "a PRIMARY KEY ON CONFLICT REPLACE",
                &["key (a) on conflict replace"],
            ),
            (
                "a REFERENCES c (id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED",
                &["foreign key (a) deferred"],
            ),
            (
                "a, FOREIGN KEY (a) REFERENCES c (id) DEFERRABLE INITIALLY DEFERRED",
                &["foreign key (a) deferred"],
            ),
            // What changes nothing.
            ("id INTEGER PRIMARY KEY, body TEXT NOT NULL UNIQUE", &[]),
            (
                "a TEXT COLLATE BINARY NOT NULL ON CONFLICT ABORT DEFAULT 'check (x)'",
                &[],
            ),
            ("a REFERENCES c (id) NOT DEFERRABLE INITIALLY DEFERRED", &[]),
            ("\"check\" TEXT, \"collate\" TEXT", &[]),
        ] {
            let sql = format!("CREATE TABLE m ({definition})");
            assert_eq!(of(&sql), lines, "{definition}");
        }
    }

    #[test]
    fn another_spelling_is_the_same() {
        let one = of(
            "CREATE TABLE m (a INT, role TEXT CHECK (role IN ('user','ai')), body COLLATE nocase, CHECK (a > 0))",
        );
        let other = of(
            "create table \"m\" (\n  [body] collate \"NOCASE\", -- in another order\n  `a` int constraint positive check ((\"A\" > 0)),\n  \
             \"role\" text, constraint c check ( \"role\" in (\"user\", 'ai') )\n)",
        );
        assert_eq!(one, other);
        let case = of("CREATE TABLE m (role TEXT CHECK (role IN (\"User\")))");
        assert_eq!(case, ["check (role in ( 'User' ))"]);
    }

    #[test]
    fn a_module_is_told_with_what_it_is_given() {
        let of_search = of("CREATE VIRTUAL TABLE search USING fts5 (body, content = 'messages')");
        assert_eq!(of_search, ["using fts5 ( body , content = 'messages' )"]);
    }
}
