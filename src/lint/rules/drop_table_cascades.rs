//! A rebuild of SQLite: `DROP TABLE` deletes the rows first, and that cascades.

use super::super::script::Moved;
use super::super::{Rule, RuleContext, Violation, Violations};
use super::{SQLITE, list};
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "drop-table-cascades",
    severity: Severity::Warning,
    dialects: SQLITE,
    why: "a rebuild deletes the rows of other tables under other runners",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    if !matches!(context.facts().kind, Kind::DropTable { .. }) {
        return;
    }
    for table in context.facts().tables() {
        let Moved::Rebuilt(copy) = context.moved(table) else {
            continue;
        };
        if context.is_made_here(table) {
            continue;
        }
        // A rename of the old table takes the references to it along.
        let mut children = context.schema.children(table);
        children.extend(context.schema.children(copy));
        let known = context.schema.knows(table) || context.schema.knows(copy);
        let whose = match (children.is_empty(), known) {
            (false, _) => list(&children),
            (true, false) => "every table that refers to it with `ON DELETE CASCADE`".to_owned(),
            (true, true) => continue,
        };
        violations.add(
            context,
            Violation::new(
                format!(
                    "if foreign keys are on, `DROP TABLE {table}` deletes the rows of {whose}; inside a transaction no pragma switches them off"
                ),
                "run the file with `chatctl migrate up`, which turns foreign keys off around its transaction, or change the table without a rebuild",
            ),
        );
        return;
    }
}
