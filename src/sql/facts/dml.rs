//! Statements that write rows.

use super::functions::calls;
use super::parser::Parser;
use super::query::{Source, reads, sources, starts_query, with_writes};
use super::{Conflict, Facts, Kind};
use crate::sql::Name;
use crate::sql::token::{Token, TokenKind};

/// A write whose first word, `word`, was read.
pub(super) fn write(word: &str, p: Parser<'_>) -> Facts {
    match word {
        "DELETE" => delete(p),
        "UPDATE" => update(p),
        "MERGE" => merge(p),
        _ => insert(word, p),
    }
}

fn insert(word: &str, mut p: Parser<'_>) -> Facts {
    let mut conflict = Conflict::Fail;
    if word == "REPLACE" || p.sees(&["OR", "REPLACE"]) {
        conflict = Conflict::Replace;
    }
    if p.sees(&["OR", "IGNORE"]) {
        conflict = Conflict::Ignore;
    }
    if p.eat(&["OR"]) {
        p.at += 1;
    }
    while p.any_word_at(
        p.at,
        &["LOW_PRIORITY", "DELAYED", "HIGH_PRIORITY", "IGNORE"],
    ) {
        if p.eat(&["IGNORE"]) {
            conflict = Conflict::Ignore;
        } else {
            p.at += 1;
        }
    }
    p.eat(&["INTO"]);
    p.eat(&["TABLE"]);
    let Some(table) = p.name() else {
        return Facts::new(Kind::Other);
    };
    if p.eat(&["AS"]) {
        p.at += 1;
    }
    let mut select = starts_query(&p, p.at);
    if !select {
        if p.eat(&["PARTITION"]) {
            p.parens();
        }
        if !starts_query(&p, p.at) {
            // The columns.
            p.parens();
        }
        let rows = [
            "SELECT", "WITH", "TABLE", "VALUES", "VALUE", "SET", "DEFAULT",
        ];
        let index = p.find(&rows).unwrap_or(p.at);
        select = starts_query(&p, index) || starts_query(&p, p.at);
    }
    for index in p.outside() {
        let mut clause = p;
        clause.at = index;
        if clause.sees(&["DUPLICATE", "KEY", "UPDATE"]) || clause.sees(&["DO", "UPDATE"]) {
            conflict = Conflict::Update;
        } else if clause.sees(&["DO", "NOTHING"]) && conflict == Conflict::Fail {
            conflict = Conflict::Ignore;
        }
    }
    Facts {
        reads: reads(p),
        calls: calls(p),
        ..Facts::on(Kind::Insert { select, conflict }, Some(table))
    }
}

fn update(mut p: Parser<'_>) -> Facts {
    p.eat(&["LOW_PRIORITY"]);
    p.eat(&["IGNORE"]);
    if p.eat(&["OR"]) {
        p.at += 1;
    }
    let Some(set) = p.find(&["SET"]) else {
        return Facts::new(Kind::Other);
    };
    // MySQL changes several tables at once: UPDATE a JOIN b ON … SET a.x = b.x.
    let mut head = p.slice(p.at, set);
    let mut tables = head.tables_with_aliases();
    for source in sources(head, &["JOIN", "STRAIGHT_JOIN"]) {
        tables.push(source.table);
    }
    p.at = set + 1;
    if tables.is_empty() {
        return Facts::new(Kind::Other);
    }
    Facts {
        reads: reads(p),
        calls: calls(p),
        ..Facts::on_all(
            Kind::Update {
                has_where: has_where(&p),
            },
            tables,
        )
    }
}

fn delete(mut p: Parser<'_>) -> Facts {
    while p.eat_any(&["LOW_PRIORITY", "QUICK", "IGNORE"]) {}
    let mut tables = Vec::new();
    let mut rest = p;
    if rest.eat(&["FROM"]) {
        // DELETE FROM t …, or MySQL's DELETE FROM t, u USING t JOIN u …
        tables = targets(&mut rest);
    } else if let Some(from) = p.find(&["FROM"]) {
        // MySQL's DELETE t, u FROM t JOIN u …
        tables = targets(&mut p.slice(p.at, from));
        rest.at = from;
    }
    if tables.is_empty() {
        return Facts::new(Kind::Other);
    }
    let from = sources(rest, &["FROM", "JOIN", "USING"]);
    for table in &mut tables {
        resolve(table, &from);
    }
    let mut read: Vec<Name> = Vec::new();
    for source in from {
        if !read.contains(&source.table) && !tables.contains(&source.table) {
            read.push(source.table);
        }
    }
    let kind = Kind::Delete {
        has_where: has_where(&rest),
    };
    Facts {
        reads: read,
        calls: calls(rest),
        ..Facts::on_all(kind, tables)
    }
}

/// The tables of a `DELETE`; MySQL allows `t.*`.
fn targets(p: &mut Parser<'_>) -> Vec<Name> {
    let mut tables = Vec::new();
    while let Some(table) = p.table() {
        if p.eat_mark(".") {
            p.eat_mark("*");
        }
        tables.push(table);
        if !p.eat_mark(",") {
            break;
        }
    }
    tables
}

/// MySQL deletes from an alias: DELETE m FROM messages m.
fn resolve(table: &mut Name, from: &[Source]) {
    let alias = |source: &&Source| {
        source
            .alias
            .as_ref()
            .is_some_and(|alias| alias.eq_ignore_ascii_case(&table.name))
    };
    if table.schema.is_none()
        && let Some(source) = from.iter().find(alias)
    {
        *table = source.table.clone();
    }
}

fn merge(mut p: Parser<'_>) -> Facts {
    p.eat(&["INTO"]);
    let table = p.table();
    if table.is_none() {
        return Facts::new(Kind::Other);
    }
    let deletes = (p.at..p.tokens.len())
        .any(|index| p.word_at(index, "THEN") && p.word_at(index + 1, "DELETE"));
    let mut read: Vec<Name> = Vec::new();
    for source in sources(p, &["USING", "FROM", "JOIN"]) {
        read.push(source.table);
    }
    Facts {
        reads: read,
        calls: calls(p),
        ..Facts::on(Kind::Merge { deletes }, table)
    }
}

pub(super) fn truncate(mut p: Parser<'_>) -> Facts {
    p.eat_any(&["TABLE", "TABLES"]);
    let tables = p.tables();
    let kind = Kind::Truncate {
        cascade: p.has("CASCADE"),
        tables: tables.clone(),
    };
    Facts::on_all(kind, tables)
}

/// `LOAD DATA [LOCAL] INFILE … [REPLACE | IGNORE] INTO TABLE t` of MySQL.
pub(super) fn load(mut p: Parser<'_>) -> Facts {
    let Some(into) = p
        .find(&["INTO"])
        .filter(|_| p.any_word_at(p.at, &["DATA", "XML"]))
    else {
        return Facts::new(Kind::Other);
    };
    let conflict = match p.slice(into.saturating_sub(1), into).upper().as_str() {
        "REPLACE" => Conflict::Replace,
        "IGNORE" => Conflict::Ignore,
        _ => Conflict::Fail,
    };
    p.at = into + 1;
    p.eat(&["TABLE"]);
    let kind = Kind::Insert {
        select: false,
        conflict,
    };
    let table = p.name();
    // Behind it are columns, and what is computed for others.
    let set = p.outside().filter(|index| {
        p.word_at(*index, "SET") && !p.any_word_at(index - 1, &["CHARACTER", "CHAR"])
    });
    p.at = set.last().unwrap_or(p.tokens.len());
    Facts {
        reads: reads(p),
        calls: calls(p),
        ..Facts::on(kind, table)
    }
}

pub(super) fn copy(mut p: Parser<'_>) -> Facts {
    let whole = p;
    if let Some(inside) = p.parens() {
        let facts = Facts {
            reads: reads(inside),
            calls: calls(inside),
            ..Facts::new(Kind::Select)
        };
        return with_writes(whole, facts);
    }
    let table = p.name();
    p.parens();
    if p.sees(&["FROM"]) {
        let kind = Kind::Insert {
            select: false,
            conflict: Conflict::Fail,
        };
        return Facts::on(kind, table);
    }
    Facts {
        reads: table.into_iter().collect(),
        ..Facts::new(Kind::Select)
    }
}

/// Whether there is a `WHERE` that is not true by itself, like `WHERE 1 = 1`.
fn has_where(p: &Parser<'_>) -> bool {
    let Some(index) = p.find(&["WHERE"]) else {
        return false;
    };
    let mut condition = *p;
    condition.at = index + 1;
    let end = condition
        .find(&["RETURNING", "ORDER", "LIMIT"])
        .unwrap_or(p.tokens.len());
    let literal = |token: &Token| matches!(token.kind, TokenKind::Number | TokenKind::String);
    match &p.tokens[index + 1..end] {
        [only] => !(p.word_at(index + 1, "TRUE") || (literal(only) && only.text(p.text) != "0")),
        [left, equals, right] => {
            !(equals.text(p.text) == "="
                && literal(left)
                && literal(right)
                && left.text(p.text) == right.text(p.text))
        }
        _ => true,
    }
}

impl Parser<'_> {
    /// Tables between commas, each with or without an alias, which is dropped.
    fn tables_with_aliases(&mut self) -> Vec<Name> {
        let mut tables = Vec::new();
        while let Some(table) = self.table() {
            tables.push(table);
            if self.find(&["JOIN", "STRAIGHT_JOIN"]).is_none()
                && let Some(comma) = self.outside().find(|index| self.text_at(*index) == ",")
            {
                self.at = comma + 1;
            } else {
                break;
            }
        }
        tables
    }
}
