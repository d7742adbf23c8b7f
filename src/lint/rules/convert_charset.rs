//! `CONVERT TO CHARACTER SET` that is not utf8mb4.

use super::super::{Here, Hit, Hits, Rule};
use super::{MYSQL, actions};
use crate::report::Severity;
use crate::sql::AlterAction;

pub(super) const RULE: Rule = Rule {
    code: "convert-charset",
    severity: Severity::Warning,
    dialects: MYSQL,
    why: "characters that the new character set does not have become question marks",
    check,
};

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    let facts = here.facts();
    let Some(table) = facts
        .table
        .as_ref()
        .filter(|table| !here.is_made_here(table))
    else {
        return;
    };
    for action in actions(facts) {
        let AlterAction::ConvertCharset { to } = action else {
            continue;
        };
        // Only this one has every character.
        if to.eq_ignore_ascii_case("utf8mb4") || here.is_acknowledged(table, None) {
            continue;
        }
        hits.add(
            here,
            Hit::new(
                format!(
                    "`{to}` does not have every character: emoji and others in `{table}` \
                 are refused, or become `?`"
                ),
                "convert to `utf8mb4`",
            ),
        );
        return;
    }
}
