//! A `DELETE` that names no rows.

use super::super::{Here, Hit, Hits, Rule};
use super::{EVERY, acknowledge, does, joins, list, lost};
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "delete-without-where",
    severity: Severity::Error,
    dialects: EVERY,
    why: "every row of a table is deleted",
    check,
};

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    let whole = |kind: &Kind| matches!(kind, Kind::Delete { has_where: false });
    // A join of MySQL chooses the rows too.
    if !does(&here.facts().kind, &whole) || joins(here) {
        return;
    }
    let tables = lost(here);
    let Some(first) = tables.first() else {
        return;
    };
    hits.add(
        here,
        Hit::new(
            format!("the statement deletes every row of {}", list(&tables)),
            format!("name the rows in a `WHERE`, or {}", acknowledge(first)),
        ),
    );
}
