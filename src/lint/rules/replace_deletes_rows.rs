//! `REPLACE INTO` and `INSERT OR REPLACE`.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{UNKNOWN_TO_SQUAWK, list, lost};
use crate::report::Severity;
use crate::sql::{Conflict, Kind};

pub(super) const RULE: Rule = Rule {
    code: "replace-deletes-rows",
    severity: Severity::Warning,
    dialects: UNKNOWN_TO_SQUAWK,
    why: "a row with the same key is deleted, with the rows that cascade from it",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let replaces = matches!(
        context.facts().kind,
        Kind::Insert {
            conflict: Conflict::Replace,
            ..
        }
    );
    if !replaces {
        return;
    }
    let tables = lost(context);
    if tables.is_empty() {
        return;
    }
    violations.add(
        context,
        Violation::new(
            format!(
                "`REPLACE` deletes each row of {} with the same key, and by cascade the rows that refer to it, before it inserts",
                list(&tables)
            ),
            "write `INSERT … ON CONFLICT DO UPDATE` (SQLite) or `ON DUPLICATE KEY UPDATE` \
             (MySQL), which keep the row",
        ),
    );
}
