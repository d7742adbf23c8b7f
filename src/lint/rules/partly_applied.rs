//! Several statements that no rollback undoes: DDL of MySQL, files without a transaction.

use super::super::script::Step;
use super::super::{Rule, RuleContext, Violation, Violations};
use super::SERVERS;
use crate::report::Severity;
use crate::sql::{AlterAction, Conflict, Dialect, Facts, Kind};

pub(super) const RULE: Rule = Rule {
    code: "partly-applied",
    severity: Severity::Warning,
    dialects: SERVERS,
    why: "a failure leaves a part of the file applied, and it cannot be run again",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let script = context.script;
    let commits = |step: &Step<'_>| match script.dialect {
        Dialect::Mysql => step.facts.implicit_commit(Dialect::Mysql),
        _ => script.no_transaction,
    };
    let stays =
        |step: &Step<'_>| changes(&step.facts) && !can_run_again(&step.facts) && commits(step);
    // Reported once, at the first statement that stays behind and has another after it.
    if !stays(context.step())
        || context.before().iter().any(stays)
        || !context.after().iter().any(|step| changes(&step.facts))
    {
        return;
    }
    let why = match script.dialect {
        Dialect::Mysql => "commits by itself",
        _ => "is not in a transaction",
    };
    violations.add(
        context,
        Violation::new(
            format!(
                "the statement {why}: when a later one fails, it stays, and the file cannot \
             be run again"
            ),
            "put each statement into a separate file, or make it repeatable (`IF NOT EXISTS`)",
        ),
    );
}

fn changes(facts: &Facts) -> bool {
    !matches!(
        facts.kind,
        Kind::SetVariable { .. }
            | Kind::Select
            | Kind::Use
            | Kind::Lock
            | Kind::Analyze
            | Kind::Begin
            | Kind::Commit
            | Kind::Rollback { .. }
            | Kind::Savepoint
            | Kind::Release
    )
}

/// Whether the statement has no further effect when it runs a second time.
fn can_run_again(facts: &Facts) -> bool {
    match &facts.kind {
        Kind::CreateTable { if_not_exists, .. } | Kind::CreateIndex { if_not_exists, .. } => {
            *if_not_exists
        }
        Kind::DropTable { if_exists, .. } | Kind::DropIndex { if_exists, .. } => *if_exists,
        Kind::CreateView {
            or_replace,
            if_not_exists,
            ..
        } => *or_replace || *if_not_exists,
        Kind::CreateTrigger {
            or_replace,
            if_not_exists,
        } => *or_replace || *if_not_exists,
        Kind::Insert { conflict, .. } => *conflict != Conflict::Fail,
        Kind::Delete { .. } | Kind::Truncate { .. } | Kind::RefreshView | Kind::Vacuum => true,
        Kind::AlterTable { actions } => actions.iter().all(|action| {
            matches!(
                action,
                AlterAction::AddColumn {
                    if_not_exists: true,
                    ..
                } | AlterAction::DropColumn {
                    if_exists: true,
                    ..
                } | AlterAction::Modify { .. }
                    | AlterAction::ConvertCharset { .. }
            )
        }),
        _ => false,
    }
}
