//! Transactions, settings, maintenance and the rest.

use super::create::behind;
use super::parser::Parser;
use super::{Facts, Kind};
use crate::sql::{Dialect, Name};

/// A statement whose first word, `word`, was read.
pub(super) fn statement(word: &str, mut p: Parser<'_>) -> Facts {
    let mysql = p.dialect == Dialect::Mysql;
    let kind = match word {
        "BEGIN" if p.sees(&["NOT", "ATOMIC"]) => Kind::Do,
        "BEGIN" => Kind::Begin,
        "START" if p.sees(&["TRANSACTION"]) => Kind::Begin,
        "COMMIT" | "ROLLBACK" if p.sees(&["PREPARED"]) => Kind::Other,
        "COMMIT" | "END" => Kind::Commit,
        "ROLLBACK" | "ABORT" => Kind::Rollback {
            to_savepoint: p.has("TO"),
        },
        "SAVEPOINT" => return Facts::about(Kind::Savepoint, p.name()),
        "RELEASE" => {
            p.eat(&["SAVEPOINT"]);
            return Facts::about(Kind::Release, p.name());
        }
        "DO" => Kind::Do,
        "IF" | "CASE" | "LOOP" | "WHILE" | "REPEAT" | "FOR" if mysql => Kind::Do,
        "CALL" => return Facts::about(Kind::Call, p.name()),
        "PRAGMA" => return pragma(p),
        "SET" => set(p),
        "RESET" if p.dialect == Dialect::Postgres => Kind::SetVariable {
            name: p.rest().to_ascii_lowercase(),
            value: "DEFAULT".to_owned(),
            also: Vec::new(),
        },
        "RENAME" if p.eat_any(&["TABLE", "TABLES"]) => return rename(p),
        "VACUUM" => return vacuum(p),
        "REINDEX" => return reindex(p),
        "ANALYZE" | "ANALYSE" => return analyze(p),
        "OPTIMIZE" | "CHECK" if mysql => return analyze(p),
        "EXPLAIN" | "DESCRIBE" | "DESC" if runs(&p) => Kind::Other,
        "EXPLAIN" | "DESCRIBE" | "DESC" | "SHOW" => Kind::Select,
        "GRANT" | "REVOKE" => Kind::Grant,
        "COMMENT" => return comment(p),
        "REFRESH" if p.eat(&["MATERIALIZED", "VIEW"]) => {
            p.eat(&["CONCURRENTLY"]);
            return Facts::about(Kind::RefreshView, p.name());
        }
        "LOCK" => {
            p.eat_any(&["TABLE", "TABLES"]);
            return Facts::on_all(Kind::Lock, locked(p));
        }
        "UNLOCK" => Kind::Lock,
        "USE" => return Facts::about(Kind::Use, p.name()),
        "ATTACH" => return Facts::about(Kind::Attach, behind(p, "AS")),
        "DETACH" => {
            p.eat(&["DATABASE"]);
            return Facts::about(Kind::Detach, p.name());
        }
        _ => Kind::Other,
    };
    Facts::new(kind)
}

/// Whether an `EXPLAIN` runs what it explains.
fn runs(p: &Parser<'_>) -> bool {
    p.dialect != Dialect::Sqlite && (p.has("ANALYZE") || p.has("ANALYSE"))
}

fn pragma(mut p: Parser<'_>) -> Facts {
    let Some(name) = p.name() else {
        return Facts::new(Kind::Other);
    };
    let value = if p.eat_mark("=") {
        Some(p.value())
    } else {
        p.parens().map(|inside| inside.value())
    };
    Facts::new(Kind::Pragma {
        name: name.name.to_ascii_lowercase(),
        value,
    })
}

fn set(p: Parser<'_>) -> Kind {
    // In PostgreSQL a comma belongs to the value, as in SET search_path TO a, b.
    let pieces = if p.dialect == Dialect::Mysql {
        p.pieces()
    } else {
        vec![p]
    };
    let mut pairs = pieces.into_iter().map(assignment);
    let Some((name, value)) = pairs.next() else {
        return Kind::Other;
    };
    Kind::SetVariable {
        name,
        value,
        also: pairs.collect(),
    }
}

fn assignment(mut p: Parser<'_>) -> (String, String) {
    let mut user = false;
    if p.eat_mark("@") {
        user = !p.eat_mark("@");
    }
    let scopes = ["SESSION", "LOCAL", "GLOBAL", "PERSIST", "PERSIST_ONLY"];
    // SET SESSION AUTHORIZATION and SET LOCAL = … have no scope.
    if p.any_word_at(p.at, &scopes) && !user {
        let mut ahead = p;
        ahead.at += 1;
        ahead.eat_mark(".");
        ahead.eat_mark("@");
        ahead.eat_mark("@");
        let authorization = ahead.any_word_at(ahead.at, &["AUTHORIZATION", "CHARACTERISTICS"]);
        if !authorization && ahead.part().is_some() {
            p.at += 1;
            while p.eat_mark(".") || p.eat_mark("@") {}
        }
    }
    let start = p.at;
    // SET TIME ZONE 'UTC' is the only name of two words that has no sign behind it.
    if !p.eat(&["TIME", "ZONE"]) && p.name().is_none() {
        return (String::new(), p.rest().to_owned());
    }
    let mut name = p.between(start, p.at).to_ascii_lowercase();
    name.retain(|c| !matches!(c, '`' | '"'));
    if user {
        name.insert(0, '@');
    }
    p.eat_mark(":");
    let _sign = p.eat_mark("=") || p.eat(&["TO"]);
    (name, p.value())
}

fn rename(mut p: Parser<'_>) -> Facts {
    p.if_exists();
    let mut renames: Vec<(Name, Name)> = Vec::new();
    while let Some(from) = p.name() {
        if p.eat(&["WAIT"]) {
            p.at += 1;
        }
        p.eat(&["NOWAIT"]);
        if !p.eat(&["TO"]) {
            return Facts::new(Kind::Other);
        }
        let Some(to) = p.name() else {
            return Facts::new(Kind::Other);
        };
        renames.push((from, to));
        if !p.eat_mark(",") {
            break;
        }
    }
    let tables = renames
        .iter()
        .flat_map(|(from, to)| [from.clone(), to.clone()])
        .collect();
    Facts::on_all(Kind::RenameTable { renames }, tables)
}

fn vacuum(mut p: Parser<'_>) -> Facts {
    if p.dialect == Dialect::Sqlite {
        // The name is a schema here.
        return Facts::new(Kind::Vacuum);
    }
    p.parens();
    while p.eat_any(&["FULL", "FREEZE", "VERBOSE", "ANALYZE"]) {}
    Facts::on_all(Kind::Vacuum, p.tables())
}

fn reindex(mut p: Parser<'_>) -> Facts {
    let concurrently = p.has("CONCURRENTLY");
    p.parens();
    let object = p.upper();
    let postgres = p.dialect == Dialect::Postgres;
    if postgres {
        p.at += 1;
        p.eat(&["CONCURRENTLY"]);
    }
    let whole = postgres && matches!(object.as_str(), "SCHEMA" | "DATABASE" | "SYSTEM");
    let name = p.name();
    let kind = Kind::Reindex {
        concurrently,
        whole,
    };
    if postgres && object == "TABLE" {
        Facts::on(kind, name)
    } else {
        Facts::about(kind, name)
    }
}

fn analyze(mut p: Parser<'_>) -> Facts {
    // MariaDB's ANALYZE runs the statement behind it.
    if p.dialect == Dialect::Mysql {
        p.eat_any(&["NO_WRITE_TO_BINLOG", "LOCAL"]);
        if !p.eat_any(&["TABLE", "TABLES"]) {
            return Facts::new(Kind::Other);
        }
    }
    p.parens();
    p.eat(&["VERBOSE"]);
    Facts::on(Kind::Analyze, p.table())
}

fn comment(mut p: Parser<'_>) -> Facts {
    let mut facts = Facts::new(Kind::Comment);
    if p.eat(&["ON", "TABLE"]) {
        facts.table = p.name();
    } else if p.eat(&["ON", "COLUMN"]) {
        facts.table = p.name().and_then(|column| column.schema).map(Name::new);
    } else if p.eat(&["ON"]) {
        p.at += 1;
        facts.object = p.name();
    }
    facts
}

fn locked(p: Parser<'_>) -> Vec<Name> {
    p.pieces()
        .into_iter()
        .filter_map(|mut piece| piece.table())
        .collect()
}
