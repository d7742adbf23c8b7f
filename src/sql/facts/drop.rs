//! `DROP`.

use super::create::behind;
use super::parser::Parser;
use super::{Facts, Kind};
use crate::sql::Dialect;

pub(super) fn drop(mut p: Parser<'_>) -> Facts {
    let temporary = p.eat(&["TEMPORARY"]);
    let materialized = p.eat(&["MATERIALIZED"]);
    if p.sees(&["FOREIGN", "TABLE"]) {
        p.at += 1;
    }
    let object = p.upper();
    p.at += 1;
    let concurrently = object == "INDEX" && p.eat(&["CONCURRENTLY"]);
    let if_exists = p.if_exists();
    let cascade = p.find(&["CASCADE"]).is_some();
    match object.as_str() {
        "TABLE" | "TABLES" => {
            let kind = Kind::DropTable {
                if_exists,
                cascade,
                temporary,
            };
            Facts::on_all(kind, p.tables())
        }
        "INDEX" => {
            let kind = Kind::DropIndex {
                concurrently,
                if_exists,
            };
            let mut facts = Facts::about(kind, p.name());
            facts.table = behind(p, "ON");
            facts
        }
        "TRIGGER" => {
            let mut facts = Facts::about(Kind::DropTrigger, p.name());
            facts.table = behind(p, "ON");
            facts
        }
        "VIEW" => {
            let kind = Kind::DropView {
                if_exists,
                materialized,
                cascade,
            };
            Facts::about(kind, p.name())
        }
        "SCHEMA" if p.dialect == Dialect::Mysql => Facts::about(Kind::DropDatabase, p.name()),
        "DATABASE" => Facts::about(Kind::DropDatabase, p.name()),
        "SCHEMA" => Facts::about(Kind::DropSchema { cascade }, p.name()),
        "TYPE" | "DOMAIN" => Facts::about(Kind::DropType { cascade }, p.name()),
        "EVENT" if p.dialect != Dialect::Mysql => other(p, "EVENT TRIGGER", cascade),
        "FUNCTION" | "PROCEDURE" | "ROUTINE" | "EVENT" => {
            Facts::about(Kind::DropFunction { cascade }, p.name())
        }
        "" => Facts::new(Kind::Other),
        _ => other(p, &object, cascade),
    }
}

fn other(mut p: Parser<'_>, object: &str, cascade: bool) -> Facts {
    let kind = Kind::DropOther {
        object: object.to_owned(),
        cascade,
    };
    Facts::about(kind, p.name())
}
