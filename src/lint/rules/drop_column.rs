//! `DROP COLUMN`, and statements that drop columns together with a type.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{EVERY, actions, list, target};
use crate::report::Severity;
use crate::sql::{AlterAction, Kind, TypeChange};

pub(super) const RULE: Rule = Rule {
    code: "drop-column",
    severity: Severity::Error,
    dialects: EVERY,
    why: "a column is dropped with every value in it",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let object = facts.object.as_ref();
    match &facts.kind {
        Kind::AlterTable { .. } => columns(context, violations),
        Kind::DropType { cascade: true } => {
            let name = object.map_or_else(String::new, |name| format!(" `{name}`"));
            violations.add(
                context,
                Violation::new(
                    format!("`CASCADE` drops every column of the type{name}"),
                    "drop each column by name, with an `allow-loss`, and then the type without `CASCADE`",
                )
                .only(Severity::Warning),
            );
        }
        Kind::AlterEnum {
            change: TypeChange::DropAttribute,
        } => {
            let name = object.map_or_else(String::new, |name| format!(" of `{name}`"));
            violations.add(
                context,
                Violation::new(
                    format!(
                        "an attribute{name} is dropped, with its value in every column of the type"
                    ),
                    "keep the attribute until no code reads it",
                )
                .only(Severity::Warning),
            );
        }
        _ => {}
    }
}

fn columns(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let Some(table) = context.older_table() else {
        return;
    };
    let lost: Vec<&String> = actions(facts)
        .iter()
        .filter_map(|action| match action {
            AlterAction::DropColumn { column, .. } => Some(column),
            _ => None,
        })
        .filter(|column| !context.is_acknowledged(table, Some(column)))
        .collect();
    let Some(first) = lost.first() else {
        return;
    };
    violations.add(
        context,
        Violation::new(
            format!(
                "the statement drops {} of `{table}` with every value",
                list(&lost)
            ),
            format!(
                "drop it once nothing reads it, and acknowledge the loss: `-- chatctl: \
                 allow-loss {} reason=\"…\"`",
                target(table, Some(first))
            ),
        ),
    );
}
