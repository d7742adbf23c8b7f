//! `CONVERT TO CHARACTER SET` that is not utf8mb4.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{MYSQL, actions};
use crate::report::Severity;
use crate::sql::AlterAction;

pub(super) const RULE: Rule = Rule {
    code: "convert-charset",
    severity: Severity::Warning,
    dialects: MYSQL,
    why: "characters that the new character set does not have become question marks",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let Some(table) = context.older_table() else {
        return;
    };
    for action in actions(facts) {
        let AlterAction::ConvertCharset { to } = action else {
            continue;
        };
        // Only this one has every character.
        if to.eq_ignore_ascii_case("utf8mb4") || context.is_acknowledged(table, None) {
            continue;
        }
        violations.add(
            context,
            Violation::new(
                format!(
                    "`{to}` can't store every character: emoji and others in `{table}` \
                 are refused, or become `?`"
                ),
                "convert to `utf8mb4`",
            ),
        );
        return;
    }
}
