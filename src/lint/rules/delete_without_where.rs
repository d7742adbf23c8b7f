//! A `DELETE` that names no rows.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{EVERY, acknowledge, does, joins, list, lost};
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "delete-without-where",
    severity: Severity::Error,
    dialects: EVERY,
    why: "every row of a table is deleted",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let whole = |kind: &Kind| matches!(kind, Kind::Delete { has_where: false });
    // A join of MySQL chooses the rows too.
    if !does(&context.facts().kind, &whole) || joins(context) {
        return;
    }
    let tables = lost(context);
    let Some(first) = tables.first() else {
        return;
    };
    violations.add(
        context,
        Violation::new(
            format!("the statement deletes every row of {}", list(&tables)),
            format!("name the rows in a `WHERE`, or {}", acknowledge(first)),
        ),
    );
}
