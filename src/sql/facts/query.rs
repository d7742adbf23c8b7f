//! The kind of a statement; queries, and the writes inside them.

use super::alter::alter;
use super::create::create;
use super::drop::drop;
use super::functions::calls;
use super::parser::Parser;
use super::{Facts, Kind, dml, session};
use crate::sql::Name;

/// Words with which a query or a write can start.
const WRITES: [&str; 5] = ["INSERT", "REPLACE", "UPDATE", "DELETE", "MERGE"];
const READS: [&str; 3] = ["SELECT", "VALUES", "TABLE"];

pub(super) fn statement(mut p: Parser<'_>) -> Facts {
    // MariaDB runs what follows the FOR.
    while p.sees(&["SET", "STATEMENT"]) {
        match p.find(&["FOR"]) {
            Some(index) => p.at = index + 1,
            None => return Facts::new(Kind::Other),
        }
    }
    if let Some(facts) = query(p) {
        return facts;
    }
    let word = p.upper();
    p.at += 1;
    match word.as_str() {
        "CREATE" => create(p),
        "DROP" => drop(p),
        "ALTER" => alter(p),
        "TRUNCATE" => dml::truncate(p),
        "LOAD" => dml::load(p),
        "COPY" => dml::copy(p),
        _ => session::statement(&word, p),
    }
}

/// `None`: it is neither a query nor a write.
fn query(mut p: Parser<'_>) -> Option<Facts> {
    let whole = p;
    let mut names = Vec::new();
    if p.eat(&["WITH"]) {
        match with(&mut p) {
            Some(found) => names = found,
            None => return Some(Facts::new(Kind::Other)),
        }
    }
    while p.eat_mark("(") {}
    let main = p.upper();
    let mut facts = if main == "WITH" || READS.contains(&main.as_str()) {
        let mut facts = Facts::new(Kind::Select);
        facts.reads = reads(p);
        facts.calls = calls(p);
        if p.eat(&["TABLE"]) {
            facts.reads.extend(p.table());
        }
        facts
    } else if WRITES.contains(&main.as_str()) {
        p.at += 1;
        dml::write(&main, p)
    } else if whole.sees(&["WITH"]) {
        return Some(Facts::new(Kind::Other));
    } else {
        return None;
    };
    if whole.at < p.at {
        // The common table expressions and the brackets before the main statement.
        let head = whole.slice(0, p.at);
        facts.reads.extend(reads(head));
        facts.calls.extend(calls(head));
    }
    facts.reads.retain(|name| !is_one_of(name, &names));
    facts
        .calls
        .retain(|call| !names.iter().any(|name| name.eq_ignore_ascii_case(call)));
    Some(with_writes(whole, facts))
}

fn is_one_of(name: &Name, names: &[String]) -> bool {
    name.schema.is_none() && names.iter().any(|own| own.eq_ignore_ascii_case(&name.name))
}

/// Goes behind the common table expressions and returns their names.
fn with(p: &mut Parser<'_>) -> Option<Vec<String>> {
    p.eat(&["RECURSIVE"]);
    let mut names = Vec::new();
    loop {
        names.push(p.part()?);
        p.parens();
        if !p.eat(&["AS"]) {
            return None;
        }
        p.eat(&["NOT"]);
        p.eat(&["MATERIALIZED"]);
        p.parens()?;
        // SEARCH and CYCLE of PostgreSQL come before the comma or the main statement.
        if p.any_word_at(p.at, &["SEARCH", "CYCLE"]) {
            let ends = |index: &usize| {
                p.text_at(*index) == ","
                    || p.any_word_at(*index, &READS)
                    || p.any_word_at(*index, &WRITES)
            };
            p.at = p.outside().find(ends)?;
        }
        if !p.eat_mark(",") {
            return Some(names);
        }
    }
}

/// Adds the writes that are in brackets, at any depth.
pub(super) fn with_writes(whole: Parser<'_>, main: Facts) -> Facts {
    let mut inner = Vec::new();
    for open in (0..whole.tokens.len()).filter(|index| whole.text_at(*index) == "(") {
        let mut p = whole;
        p.at = open + 1;
        if !p.any_word_at(p.at, &WRITES) && !p.sees(&["WITH"]) {
            continue;
        }
        p.at = open;
        let Some(mut inside) = p.parens() else {
            continue;
        };
        if inside.eat(&["WITH"]) && with(&mut inside).is_none() {
            continue;
        }
        // Only with the next word it is a write and not a column or a function of that name.
        let word = inside.upper();
        inside.at += 1;
        let writes = match word.as_str() {
            "DELETE" => inside.sees(&["FROM"]),
            "INSERT" | "MERGE" => inside.sees(&["INTO"]),
            "UPDATE" => inside.has("SET"),
            _ => false,
        };
        if writes {
            inner.push(dml::write(&word, inside));
        }
    }
    if inner.is_empty() {
        return main;
    }
    let mut tables: Vec<Name> = main.tables().cloned().collect();
    let mut writes = Vec::new();
    let mut reads = main.reads;
    let mut calls = main.calls;
    for facts in inner {
        tables.extend(facts.tables().cloned());
        reads.extend(facts.reads);
        calls.extend(facts.calls);
        writes.push(facts.kind);
    }
    if main.kind.writes_rows() {
        writes.push(main.kind);
    }
    Facts {
        reads,
        calls,
        ..Facts::on_all(Kind::With { writes }, tables)
    }
}

/// A table behind `FROM`, `JOIN` or `USING` and what it is called there.
pub(super) struct Source {
    pub(super) table: Name,
    pub(super) alias: Option<String>,
}

/// The tables that are behind `FROM` and `JOIN` from here on, at any depth.
pub(super) fn reads(p: Parser<'_>) -> Vec<Name> {
    let mut found: Vec<Name> = Vec::new();
    for source in sources(p, &["FROM", "JOIN"]) {
        if !found.contains(&source.table) {
            found.push(source.table);
        }
    }
    found
}

/// The tables behind these words from here on, at any depth.
pub(super) fn sources(p: Parser<'_>, words: &[&str]) -> Vec<Source> {
    let mut found = Vec::new();
    // Whether each open bracket belongs to a function whose arguments hold a FROM.
    let mut functions = Vec::new();
    for index in p.at..p.tokens.len() {
        match p.text_at(index) {
            "(" => {
                let names = [
                    "EXTRACT",
                    "SUBSTRING",
                    "SUBSTR",
                    "TRIM",
                    "OVERLAY",
                    "POSITION",
                ];
                functions.push(index > 0 && p.any_word_at(index - 1, &names));
            }
            ")" => {
                functions.pop();
            }
            _ => {}
        }
        let distinct = index > 0 && p.word_at(index - 1, "DISTINCT");
        if p.any_word_at(index, words) && !distinct && functions.last() != Some(&true) {
            let mut from = p;
            from.at = index + 1;
            table_list(&mut from, &mut found);
        }
    }
    found
}

fn table_list(p: &mut Parser<'_>, found: &mut Vec<Source>) {
    loop {
        while p.eat_mark("(") || p.eat(&["LATERAL"]) {}
        if p.any_word_at(p.at, &["SELECT", "VALUES", "WITH"]) {
            return;
        }
        let Some(table) = p.table() else { return };
        if p.text_at(p.at) == "(" {
            return;
        }
        let alias = alias(p);
        found.push(Source { table, alias });
        if !p.eat_mark(",") {
            return;
        }
    }
}

/// What a table is called, if it gets another name here.
fn alias(p: &mut Parser<'_>) -> Option<String> {
    if p.eat(&["AS"]) {
        return p.part();
    }
    let clause = p.any_word_at(
        p.at,
        &[
            "WHERE",
            "SET",
            "JOIN",
            "INNER",
            "LEFT",
            "RIGHT",
            "FULL",
            "CROSS",
            "NATURAL",
            "ON",
            "USING",
            "GROUP",
            "ORDER",
            "LIMIT",
            "HAVING",
            "UNION",
            "EXCEPT",
            "INTERSECT",
            "RETURNING",
            "FOR",
            "WHEN",
            "OFFSET",
            "FETCH",
            "WINDOW",
            "STRAIGHT_JOIN",
            "PARTITION",
            "INDEXED",
            "NOT",
            "TABLESAMPLE",
            "USE",
            "FORCE",
            "IGNORE",
            "VALUES",
            "SELECT",
            "INTO",
        ],
    );
    if clause { None } else { p.part() }
}

/// Whether a query starts at `index`, with or without a bracket before it.
pub(super) fn starts_query(p: &Parser<'_>, index: usize) -> bool {
    p.any_word_at(index, &["SELECT", "WITH", "TABLE"])
        || (p.text_at(index) == "(" && p.any_word_at(index + 1, &["SELECT", "WITH", "TABLE"]))
}
