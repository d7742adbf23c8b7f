//! A rename of an object that a running server still reads. On PostgreSQL squawk reports it.

use super::super::script::renames;
use super::super::{Rule, RuleContext, Violation, Violations};
use super::{UNKNOWN_TO_SQUAWK, actions, list, same};
use crate::report::Severity;
use crate::sql::{AlterAction, Kind, Name};

pub(super) const RULE: Rule = Rule {
    code: "rename-in-use",
    severity: Severity::Warning,
    dialects: UNKNOWN_TO_SQUAWK,
    why: "a server that still runs uses a table or a column by its old name",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let mut old: Vec<String> = renames(context.step())
        .filter(|(from, to)| {
            !context.is_made_here(from) && !comes_back(context, from) && !is_given_away(context, to)
        })
        .map(|(from, _)| from.to_string())
        .collect();
    if let Some(table) = context.older_table() {
        let columns = actions(context.facts())
            .iter()
            .filter_map(|action| match action {
                AlterAction::RenameColumn { from, .. } => Some(from),
                // Case is not a difference to MySQL.
                AlterAction::Change { from, to, .. } if !from.eq_ignore_ascii_case(to) => {
                    Some(from)
                }
                _ => None,
            });
        old.extend(columns.map(|column| format!("{table}.{column}")));
    }
    if old.is_empty() {
        return;
    }
    violations.add(
        context,
        Violation::new(
            format!(
                "a server that still runs the old code, or is rolled back to it, queries {} by the old name and fails",
                list(&old)
            ),
            "add the new name next to the old one, deploy, and drop the old one in a later \
             migration",
        ),
    );
}

/// Whether another table takes the old name, so that nobody misses it.
fn comes_back(context: &RuleContext<'_>, from: &Name) -> bool {
    let taken = renames(context.step()).any(|(_, to)| same(to, from));
    let made = context.after().iter().any(|step| {
        let made = matches!(step.facts.kind, Kind::CreateTable { .. })
            && step.facts.table.as_ref().is_some_and(|it| same(it, from));
        made || renames(step).any(|(_, to)| same(to, from))
    });
    taken || made
}

/// Whether the new name belonged to another table until here: its place is taken, and what takes
/// it was made for that.
fn is_given_away(context: &RuleContext<'_>, to: &Name) -> bool {
    let mut steps = context.before().iter().chain([context.step()]);
    steps.any(|step| renames(step).any(|(from, _)| same(from, to)))
}
