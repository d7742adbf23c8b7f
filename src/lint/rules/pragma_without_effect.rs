//! `PRAGMA foreign_keys` in a file that runs in a transaction.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::SQLITE;
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "pragma-without-effect",
    severity: Severity::Warning,
    dialects: SQLITE,
    why: "a pragma has no effect inside a transaction",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    match &context.facts().kind {
        Kind::Pragma {
            name,
            value: Some(_),
        } if name == "foreign_keys" && !context.script.no_transaction => violations.add(
            context,
            Violation::new(
                "`PRAGMA foreign_keys` does nothing inside a transaction, and a migration runs in one",
                "remove it: `chatctl migrate up` turns foreign keys off around its transaction, and checks them before COMMIT",
            ),
        ),
        _ => {}
    }
}
