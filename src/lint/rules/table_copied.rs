//! Changes that MySQL and MariaDB make only by a copy, or while writers are blocked.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::{MYSQL, actions};
use crate::report::Severity;
use crate::sql::{AlterAction, Constraint};

pub(super) const RULE: Rule = Rule {
    code: "table-copied",
    severity: Severity::Warning,
    dialects: MYSQL,
    why: "the table is copied while nobody can write to it",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let Some(table) = context.older_table() else {
        return;
    };
    let actions = actions(facts);
    // With one of these the server refuses rather than lock writers out.
    let online = actions.iter().any(|action| {
        let AlterAction::Other { text } = action else {
            return false;
        };
        let words = text.to_uppercase().replace([' ', '='], "");
        [
            "ALGORITHMINPLACE",
            "ALGORITHMINSTANT",
            "ALGORITHMNOCOPY",
            "LOCKNONE",
        ]
        .contains(&words.as_str())
    });
    // A primary key that takes the place of another is brought in next to the writers.
    let replaced = actions.iter().any(|action| {
        matches!(
            action,
            AlterAction::AddConstraint {
                what: Constraint::PrimaryKey,
                ..
            }
        )
    });
    let copies = |action: &AlterAction| match action {
        AlterAction::DropConstraint { name: None } if replaced => None,
        action => copies(action),
    };
    let Some(what) = actions.iter().find_map(copies).filter(|_| !online) else {
        return;
    };
    violations.add(
        context,
        Violation::new(
            format!(
                "{what} blocks writers of `{table}` while the server copies or reads all of it"
            ),
            "add `ALGORITHM=INPLACE, LOCK=NONE` and check that the server accepts it, or use an online schema change",
        ),
    );
}

fn copies(action: &AlterAction) -> Option<String> {
    let words = match action {
        AlterAction::ConvertCharset { .. } => "`CONVERT TO CHARACTER SET`",
        AlterAction::DropConstraint { name: None } => "`DROP PRIMARY KEY`",
        AlterAction::AddConstraint {
            what: Constraint::ForeignKey,
            ..
        } => "`ADD FOREIGN KEY`",
        AlterAction::AddColumn { definition, .. } => {
            let upper = definition.to_uppercase();
            match () {
                () if upper.contains("AUTO_INCREMENT") => "an `AUTO_INCREMENT` column",
                () if upper.contains(" STORED") || upper.contains(" PERSISTENT") => {
                    "a stored generated column"
                }
                () => return None,
            }
        }
        AlterAction::Other { text } => {
            let upper = text.to_uppercase();
            let starts = [
                "ENGINE",
                "PARTITION BY",
                "REMOVE PARTITIONING",
                "ORDER BY",
                "ADD FULLTEXT",
                "ADD SPATIAL",
            ];
            // A rebuild into the engine that it has needs no lock.
            if upper.replace([' ', '='], "") == "ENGINEINNODB" {
                return None;
            }
            let start = starts.iter().find(|start| upper.starts_with(*start))?;
            return Some(format!("`{start}`"));
        }
        _ => return None,
    };
    Some(words.to_owned())
}
