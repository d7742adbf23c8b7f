//! `ADD COLUMN … NOT NULL` without a default. For PostgreSQL squawk says it.

use super::super::{Here, Hit, Hits, Rule};
use super::{UNKNOWN_TO_SQUAWK, actions, list};
use crate::report::Severity;
use crate::sql::{AlterAction, Dialect};

pub(super) const RULE: Rule = Rule {
    code: "add-not-null-without-default",
    severity: Severity::Warning,
    dialects: UNKNOWN_TO_SQUAWK,
    why: "a new column is NOT NULL and has no default for the rows that are there",
    check,
};

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    let facts = here.facts();
    let Some(table) = facts
        .table
        .as_ref()
        .filter(|table| !here.is_made_here(table))
    else {
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
    let what = match here.script.dialect {
        Dialect::Sqlite => "SQLite refuses it, even when the table is empty",
        _ => "every existing row gets `''` or 0, which nobody chose",
    };
    hits.add(
        here,
        Hit::new(
            format!(
                "{} of `{table}` is NOT NULL without a default: {what}",
                list(&columns)
            ),
            "give it a `DEFAULT`, or add it without `NOT NULL`, fill it, and tighten it later",
        ),
    );
}
