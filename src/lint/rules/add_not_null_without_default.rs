//! `ADD COLUMN … NOT NULL` without a default. On PostgreSQL squawk reports it.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{UNKNOWN_TO_SQUAWK, actions, list};
use crate::report::Severity;
use crate::sql::{AlterAction, Dialect};

pub(super) const RULE: Rule = Rule {
    code: "add-not-null-without-default",
    severity: Severity::Warning,
    dialects: UNKNOWN_TO_SQUAWK,
    why: "a new column is NOT NULL and has no default for existing rows",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let Some(table) = context.older_table() else {
        return;
    };
    let columns: Vec<&String> = actions(facts)
        .iter()
        .filter_map(|action| match action {
            AlterAction::AddColumn {
                column,
                not_null: true,
                has_default: false,
                ..
            } => Some(column),
            _ => None,
        })
        .collect();
    if columns.is_empty() {
        return;
    }
    let what = match context.script.dialect {
        Dialect::Sqlite => "SQLite refuses it, even when the table is empty",
        _ => "every existing row gets `''` or 0 without notice",
    };
    violations.add(
        context,
        Violation::new(
            format!(
                "{} of `{table}` is NOT NULL without a default: {what}",
                list(&columns)
            ),
            "give it a `DEFAULT`, or add it without `NOT NULL`, fill it, and tighten it later",
        ),
    );
}
