//! `DROP PARTITION` and `TRUNCATE PARTITION`.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{MYSQL, acknowledge, actions, list, lost};
use crate::report::Severity;
use crate::sql::AlterAction;

pub(super) const RULE: Rule = Rule {
    code: "drop-partition",
    severity: Severity::Error,
    dialects: MYSQL,
    why: "a partition is dropped or emptied with its rows",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    for action in actions(context.facts()) {
        let (words, partitions) = match action {
            AlterAction::DropPartition { partitions } => ("`DROP PARTITION`", partitions),
            AlterAction::TruncatePartition { partitions } => ("`TRUNCATE PARTITION`", partitions),
            _ => continue,
        };
        let tables = lost(context);
        let Some(table) = tables.first() else {
            return;
        };
        violations.add(
            context,
            Violation::new(
                format!(
                    "{words} deletes every row in {} of `{table}`",
                    list(partitions)
                ),
                format!("move the rows first, or {}", acknowledge(table)),
            ),
        );
    }
}
