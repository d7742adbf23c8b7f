//! `DROP TABLE` and `CREATE OR REPLACE TABLE`.

use super::super::script::Moved;
use super::super::{Rule, RuleContext, Violation, Violations};
use super::{EVERY, acknowledge, list, lost};
use crate::report::Severity;
use crate::sql::{Kind, Name};

pub(super) const RULE: Rule = Rule {
    code: "drop-table",
    severity: Severity::Error,
    dialects: EVERY,
    why: "a table is dropped with every row in it",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    match context.facts().kind {
        Kind::DropTable {
            temporary: false, ..
        } => dropped(context, violations),
        Kind::CreateTable {
            or_replace: true, ..
        } => replaced(context, violations),
        _ => {}
    }
}

fn dropped(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let gone = lost(context);
    let of = |wanted: fn(Moved<'_>) -> bool| -> Vec<&Name> {
        let tables = gone.iter().copied();
        tables
            .filter(|table| wanted(context.moved(table)))
            .collect()
    };
    let lost = of(|moved| moved == Moved::No);
    let copied = of(|moved| matches!(moved, Moved::Copied(_)));
    let violation = match (lost.first(), copied.first()) {
        (Some(first), _) => Violation::new(
            format!("`DROP TABLE` deletes {} with every row", list(&lost)),
            format!(
                "keep the table until no code reads it, then {}",
                acknowledge(first)
            ),
        ),
        (None, Some(first)) => Violation::new(
            format!(
                "`DROP TABLE` deletes {}; rows that the copy above left out are gone",
                list(&copied)
            ),
            format!(
                "drop it in a later migration, after checking the copy, or {}",
                acknowledge(first)
            ),
        )
        .only(Severity::Warning),
        (None, None) => return,
    };
    violations.add(context, violation);
}

fn replaced(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    if let Some(table) = lost(context).first() {
        violations.add(
            context,
            Violation::new(
                format!("`CREATE OR REPLACE TABLE` deletes `{table}` with every row"),
                "write `CREATE TABLE`, or `ALTER TABLE` if it exists already",
            ),
        );
    }
}
