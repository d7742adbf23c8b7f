//! `SET sql_mode` without a strict mode.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::MYSQL;
use crate::report::Severity;

pub(super) const RULE: Rule = Rule {
    code: "loosens-sql-mode",
    severity: Severity::Warning,
    dialects: MYSQL,
    why: "after this statement, values that do not fit are cut without an error",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let Some(value) = context.facts().kind.set_value("sql_mode") else {
        return;
    };
    let upper = value.to_uppercase();
    let strict = ["STRICT_TRANS_TABLES", "STRICT_ALL_TABLES", "TRADITIONAL"]
        .iter()
        .any(|mode| upper.contains(mode));
    // What was put into a variable is brought back, and CONCAT only adds to the mode.
    let kept = upper == "DEFAULT" || upper.starts_with('@') || upper.starts_with("CONCAT");
    if (strict && !upper.starts_with("REPLACE")) || kept {
        return;
    }
    violations.add(
        context,
        Violation::new(
            format!(
                "with `sql_mode = '{value}'` the server cuts values that do not fit, \
             without an error"
            ),
            "leave `sql_mode` unchanged, or include `STRICT_TRANS_TABLES`",
        ),
    );
}
