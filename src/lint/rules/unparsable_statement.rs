//! What is not recognised counts as destructive until somebody looked at it.

use super::super::{Rule, RuleContext, UNPARSABLE, Violation, Violations};
use super::EVERY;
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: UNPARSABLE,
    severity: Severity::Error,
    dialects: EVERY,
    why: "a statement is not recognised, so it may destroy anything",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    if context.facts().kind != Kind::Other {
        return;
    }
    let words = context.step().statement.text.split_whitespace().take(4);
    let words = words.collect::<Vec<_>>().join(" ");
    violations.add(
        context,
        Violation::new(
            format!("`{words}` is not recognised, so it may destroy anything"),
            "review its effect, then write `-- chatctl: ignore unparsable-statement reason=\"…\"` above it",
        ),
    );
}
