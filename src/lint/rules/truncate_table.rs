//! `TRUNCATE`.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{SERVERS, acknowledge, list, lost};
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "truncate-table",
    severity: Severity::Error,
    dialects: SERVERS,
    why: "a table is emptied",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let Kind::Truncate { cascade, .. } = context.facts().kind else {
        return;
    };
    let tables = lost(context);
    let Some(first) = tables.first() else {
        return;
    };
    let along = if cascade {
        ", and every table that refers to it"
    } else {
        ""
    };
    violations.add(
        context,
        Violation::new(
            format!("`TRUNCATE` empties {}{along}", list(&tables)),
            format!("remove the statement, or {}", acknowledge(first)),
        ),
    );
}
