//! `DROP DATABASE`, `DROP SCHEMA … CASCADE`, `DROP OWNED`.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::SERVERS;
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "drop-database",
    severity: Severity::Error,
    dialects: SERVERS,
    why: "a database or a schema is dropped with all its tables",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let words = match &facts.kind {
        Kind::DropDatabase => "`DROP DATABASE` deletes",
        Kind::CreateDatabase { or_replace: true } => "`CREATE OR REPLACE DATABASE` deletes",
        Kind::DropSchema { cascade: true } => "`DROP SCHEMA … CASCADE` deletes",
        Kind::DropOther { object, .. } if object == "OWNED" => {
            "`DROP OWNED` deletes what belongs to"
        }
        _ => return,
    };
    let name = match &facts.object {
        Some(name) => format!(" `{name}`"),
        None => " what it names".to_owned(),
    };
    violations.add(
        context,
        Violation::new(
            format!("{words}{name} with every table"),
            "drop each table by name, with an `allow-loss`; no comment can acknowledge a whole database",
        ),
    );
}
