//! `CREATE`.

use super::functions::{body_writes, calls};
use super::parser::Parser;
use super::query::{reads, starts_query, with_writes};
use super::{Facts, Kind};
use crate::sql::token::TokenKind;
use crate::sql::{Dialect, Name};

/// What is between `CREATE` and the kind of object.
#[derive(Default)]
struct Modifiers {
    or_replace: bool,
    temporary: bool,
    unique: bool,
    materialized: bool,
}

pub(super) fn create(mut p: Parser<'_>) -> Facts {
    let whole = p;
    let modifiers = modifiers(&mut p);
    let object = p.upper();
    p.at += 1;
    match object.as_str() {
        "TABLE" => table(whole, p, &modifiers),
        "INDEX" => index(p, &modifiers),
        "TRIGGER" => trigger(p, &modifiers),
        "VIEW" => view(p, &modifiers),
        // PostgreSQL's EVENT TRIGGER is not an EVENT.
        "EVENT" if p.dialect != Dialect::Mysql => other(p, "EVENT TRIGGER", &modifiers),
        "FUNCTION" | "PROCEDURE" | "EVENT" => {
            p.if_not_exists();
            let name = p.name();
            let writes = body_writes(p);
            Facts::about(Kind::CreateFunction { writes }, name)
        }
        "DATABASE" => database(p, &modifiers),
        "SCHEMA" if p.dialect == Dialect::Mysql => database(p, &modifiers),
        "SCHEMA" => {
            p.if_not_exists();
            p.eat(&["AUTHORIZATION"]);
            Facts::about(Kind::CreateSchema, p.name())
        }
        "" => Facts::new(Kind::Other),
        _ => other(p, &object, &modifiers),
    }
}

fn modifiers(p: &mut Parser<'_>) -> Modifiers {
    let mut found = Modifiers::default();
    loop {
        match p.upper().as_str() {
            "OR" if p.eat(&["OR", "REPLACE"]) => found.or_replace = true,
            "TEMP" | "TEMPORARY" => {
                found.temporary = true;
                p.at += 1;
            }
            "UNIQUE" => {
                found.unique = true;
                p.at += 1;
            }
            "MATERIALIZED" => {
                found.materialized = true;
                p.at += 1;
            }
            // FOREIGN DATA WRAPPER is an object of its own.
            "FOREIGN" if p.sees(&["FOREIGN", "TABLE"]) => p.at += 1,
            "GLOBAL" | "LOCAL" | "UNLOGGED" | "RECURSIVE" | "FULLTEXT" | "SPATIAL" | "VIRTUAL"
            | "CONSTRAINT" | "AGGREGATE" | "TRUSTED" | "PROCEDURAL"
                if p.tokens.get(p.at + 1).map(|token| token.kind) == Some(TokenKind::Word)
                    && !(p.dialect == Dialect::Postgres && p.sees(&["AGGREGATE"])) =>
            {
                p.at += 1;
            }
            "DEFINER" | "ALGORITHM" => option(p),
            "SQL" if p.eat(&["SQL", "SECURITY"]) => p.at += 1,
            _ => return found,
        }
    }
}

/// `DEFINER = user@host` or `ALGORITHM = MERGE` of MySQL.
fn option(p: &mut Parser<'_>) {
    p.at += 1;
    p.eat_mark("=");
    p.at += 1;
    p.parens();
    if p.eat_mark("@") {
        p.at += 1;
    }
}

fn table(whole: Parser<'_>, mut p: Parser<'_>, modifiers: &Modifiers) -> Facts {
    let if_not_exists = p.if_not_exists();
    let name = p.name();
    let mut facts = Facts::on(Kind::Other, name);
    facts.reads = references(p);
    if p.eat(&["LIKE"]) || p.eat(&["PARTITION", "OF"]) {
        facts.reads.extend(p.name());
    }
    let query = p
        .outside()
        // A WITH that is not behind AS holds the options of the table.
        .find(|index| {
            let behind_as = *index > 0 && p.word_at(index - 1, "AS");
            let starts = p.text_at(*index) == "("
                || p.any_word_at(*index, &["WITH", "TABLE", "VALUES", "EXECUTE"]);
            let bracket = p.text_at(*index) == "(" && starts_query(&p, *index);
            p.word_at(*index, "SELECT") || bracket || (behind_as && starts)
        });
    facts.kind = Kind::CreateTable {
        if_not_exists,
        or_replace: modifiers.or_replace,
        temporary: modifiers.temporary,
        as_select: query.is_some(),
    };
    let Some(query) = query else {
        return facts;
    };
    if p.word_at(query, "EXECUTE") {
        // What was prepared is not in this text.
        facts.calls.push("EXECUTE".to_owned());
    }
    p.at = query;
    facts.reads.extend(reads(p));
    facts.calls.extend(calls(p));
    with_writes(whole, facts)
}

/// The tables behind `REFERENCES`.
pub(super) fn references(p: Parser<'_>) -> Vec<Name> {
    let mut found: Vec<Name> = Vec::new();
    for index in p.at..p.tokens.len() {
        if p.word_at(index, "REFERENCES") {
            let mut target = p;
            target.at = index + 1;
            if let Some(name) = target.name()
                && !found.contains(&name)
            {
                found.push(name);
            }
        }
    }
    found
}

fn index(mut p: Parser<'_>, modifiers: &Modifiers) -> Facts {
    let concurrently = p.eat(&["CONCURRENTLY"]);
    let if_not_exists = p.if_not_exists();
    let object = if p.sees(&["ON"]) { None } else { p.name() };
    let mut facts = Facts::about(
        Kind::CreateIndex {
            unique: modifiers.unique,
            concurrently,
            if_not_exists,
        },
        object,
    );
    facts.table = behind(p, "ON");
    facts
}

fn trigger(mut p: Parser<'_>, modifiers: &Modifiers) -> Facts {
    let if_not_exists = p.if_not_exists();
    let name = p.name();
    let mut facts = Facts::about(
        Kind::CreateTrigger {
            if_not_exists,
            or_replace: modifiers.or_replace,
        },
        name,
    );
    facts.table = behind(p, "ON");
    facts
}

/// The table behind the first `word`.
pub(super) fn behind(mut p: Parser<'_>, word: &str) -> Option<Name> {
    p.at = p.find(&[word])? + 1;
    p.table()
}

fn view(mut p: Parser<'_>, modifiers: &Modifiers) -> Facts {
    let if_not_exists = p.if_not_exists();
    let name = p.name();
    let kind = Kind::CreateView {
        if_not_exists,
        or_replace: modifiers.or_replace,
        materialized: modifiers.materialized,
    };
    Facts {
        reads: reads(p),
        ..Facts::about(kind, name)
    }
}

fn database(mut p: Parser<'_>, modifiers: &Modifiers) -> Facts {
    p.if_not_exists();
    let kind = Kind::CreateDatabase {
        or_replace: modifiers.or_replace,
    };
    Facts::about(kind, p.name())
}

fn other(mut p: Parser<'_>, object: &str, modifiers: &Modifiers) -> Facts {
    p.if_not_exists();
    let kind = Kind::CreateOther {
        object: object.to_owned(),
        or_replace: modifiers.or_replace,
    };
    Facts::about(kind, p.name())
}
