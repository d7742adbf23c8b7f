//! `BEGIN`, `COMMIT` and `ROLLBACK` in a file that runs in a transaction.

use super::super::Here;
use super::super::Hit;
use super::super::Hits;
use super::super::Rule;
use super::TRANSACTIONAL;
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "ends-transaction",
    severity: Severity::Error,
    dialects: TRANSACTIONAL,
    why: "the transaction around the migration is ended, so nothing can be taken back",
    check,
};

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    // A file without a transaction of its own may open one.
    if here.script.no_transaction {
        return;
    }
    let harm = match here.facts().kind {
        Kind::Begin => {
            "`BEGIN` opens a transaction inside of chatctl's own, which would end with it"
        }
        Kind::Commit => {
            "`COMMIT` ends chatctl's transaction, so that no loss before it can be taken back"
        }
        Kind::Rollback {
            to_savepoint: false,
        } => "`ROLLBACK` ends chatctl's transaction, and takes back what was to be kept",
        _ => return,
    };
    hits.add(
        here,
        Hit::new(
            harm,
            "remove `BEGIN`, `COMMIT` and `ROLLBACK`: the file runs in one transaction as it is",
        ),
    );
}
