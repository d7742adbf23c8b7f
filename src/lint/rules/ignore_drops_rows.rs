//! `IGNORE`, which turns errors into missing rows.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{UNKNOWN_TO_SQUAWK, actions, list};
use crate::report::Severity;
use crate::sql::{AlterAction, Conflict, Dialect, Kind};

pub(super) const RULE: Rule = Rule {
    code: "ignore-drops-rows",
    severity: Severity::Warning,
    dialects: UNKNOWN_TO_SQUAWK,
    why: "rows that do not fit are dropped silently",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let tables: Vec<_> = facts.tables().collect();
    let mysql = context.script.dialect == Dialect::Mysql;
    let ignores = match &facts.kind {
        // In SQLite it is the usual way to seed a table; only a copy must be whole.
        Kind::Insert {
            select,
            conflict: Conflict::Ignore,
        } => *select || mysql,
        Kind::AlterTable { .. } => actions(facts)
            .iter()
            .any(|action| matches!(action, AlterAction::Other { text } if text == "IGNORE")),
        _ => false,
    };
    if !ignores {
        return;
    }
    let also = if mysql {
        ", and values that are too long are cut"
    } else {
        ""
    };
    violations.add(
        context,
        Violation::new(
            format!(
                "`IGNORE` skips the rows that do not fit into {}, without an error{also}",
                list(&tables)
            ),
            "remove `IGNORE`, and exclude rows with a `WHERE`",
        ),
    );
}
