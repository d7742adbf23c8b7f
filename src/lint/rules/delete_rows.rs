//! A `DELETE` or `MERGE` that removes some rows.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{EVERY, acknowledge, does, joins, list, lost};
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "delete-rows",
    severity: Severity::Warning,
    dialects: EVERY,
    why: "rows are deleted that nothing in the file acknowledges",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let joins = joins(context);
    let some = |kind: &Kind| match kind {
        Kind::Delete { has_where } => *has_where || joins,
        Kind::Merge { deletes } => *deletes,
        _ => false,
    };
    if !does(&context.facts().kind, &some) {
        return;
    }
    let tables = lost(context);
    let Some(first) = tables.first() else {
        return;
    };
    violations.add(
        context,
        Violation::new(
            format!(
                "the statement deletes rows of {}, and the file does not say how many may be deleted",
                list(&tables)
            ),
            acknowledge(first),
        ),
    );
}
