//! `BEGIN`, `COMMIT` and `ROLLBACK` in a file that runs in a transaction. A pair of BEGIN and COMMIT
//! is what it says; one around the whole file is chatctl's own.

use super::super::script::Step;
use super::super::{Rule, RuleContext, Violation, Violations};
use super::TRANSACTIONAL;
use crate::report::Severity;
use crate::sql::Kind;
use std::ops::Range;

pub(super) const RULE: Rule = Rule {
    code: "ends-transaction",
    severity: Severity::Error,
    dialects: TRANSACTIONAL,
    why: "the transaction around the migration is ended, so nothing can be rolled back",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    // A file without a transaction of its own may open one.
    if context.script.no_transaction {
        return;
    }
    match context.own_transactions() {
        Some(own) => return in_parts(context, &own, violations),
        None if context.facts().kind.controls_transaction() => {}
        None => return,
    }
    let harm = match context.facts().kind {
        Kind::Begin => "`BEGIN` opens a transaction inside chatctl's own, which would end with it",
        Kind::Commit => {
            "`COMMIT` ends chatctl's transaction, so no loss before it can be rolled back"
        }
        Kind::Rollback {
            to_savepoint: false,
        } => "`ROLLBACK` ends chatctl's transaction, and undoes everything before it",
        _ => return,
    };
    violations.add(
        context,
        Violation::new(
            harm,
            "remove `BEGIN`, `COMMIT` and `ROLLBACK`: the file already runs in one transaction",
        ),
    );
}

/// The file is committed in parts where it is more than one transaction of its own.
fn in_parts(context: &RuleContext<'_>, own: &[Range<usize>], violations: &mut Violations<'_>) {
    let is_commit = matches!(context.facts().kind, Kind::Commit);
    let sets = |step: &Step<'_>| {
        matches!(
            step.facts.kind,
            Kind::Pragma { .. } | Kind::SetVariable { .. }
        )
    };
    let steps = &context.script.steps;
    let whole = match own {
        [one] => steps[..one.start]
            .iter()
            .chain(&steps[one.end + 1..])
            .all(sets),
        _ => false,
    };
    if is_commit && !whole {
        violations.add(
            context,
            Violation::new(
                "the part before `COMMIT` stays if a later statement of the file fails",
                "remove the pair, or put each part into a separate file",
            )
            .only(Severity::Warning),
        );
    }
}
