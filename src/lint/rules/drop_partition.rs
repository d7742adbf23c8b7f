//! `DROP PARTITION` and `TRUNCATE PARTITION`.

use super::super::{Here, Hit, Hits, Rule};
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

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    for action in actions(here.facts()) {
        let (words, partitions) = match action {
            AlterAction::DropPartition { partitions } => ("`DROP PARTITION`", partitions),
            AlterAction::TruncatePartition { partitions } => ("`TRUNCATE PARTITION`", partitions),
            _ => continue,
        };
        let tables = lost(here);
        let Some(table) = tables.first() else {
            return;
        };
        hits.add(
            here,
            Hit::new(
                format!(
                    "{words} deletes every row in {} of `{table}`",
                    list(partitions)
                ),
                format!("move the rows first, or {}", acknowledge(table)),
            ),
        );
    }
}
