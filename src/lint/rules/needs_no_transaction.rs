//! What cannot run in a transaction, in a file that runs in one.

use super::super::{Rule, RuleContext, Violation, Violations};
use super::TRANSACTIONAL;
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "needs-no-transaction",
    severity: Severity::Warning,
    dialects: TRANSACTIONAL,
    why: "the statement fails inside the migration's transaction",
    check,
};

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let facts = context.facts();
    let dialect = context.script.dialect;
    // This one does not fail; `pragma-without-effect` speaks of it.
    let silent = matches!(&facts.kind, Kind::Pragma { name, .. } if name == "foreign_keys");
    if context.script.no_transaction || silent || !facts.needs_no_transaction(dialect) {
        return;
    }
    let words = context.step().statement.text.split_whitespace().take(4);
    let words = words.collect::<Vec<_>>().join(" ");
    // What chatctl runs in no file at all.
    let by_hand = match &facts.kind {
        Kind::Detach => true,
        Kind::Pragma { name, .. } => name == "temp_store",
        _ => false,
    };
    let help = if by_hand {
        "run it by hand, outside the migrations"
    } else {
        "put it alone into a file that starts with `-- no-transaction`"
    };
    violations.add(
        context,
        Violation::new(
            format!("`{words}` fails inside a transaction, and the file runs in one"),
            help,
        ),
    );
}
