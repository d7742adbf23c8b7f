//! `TRUNCATE`.

use super::super::{Here, Hit, Hits, Rule};
use super::{SERVERS, acknowledge, list, lost};
use crate::report::Severity;
use crate::sql::Kind;

pub(super) const RULE: Rule = Rule {
    code: "truncate-table",
    severity: Severity::Error,
    dialects: SERVERS,
    why: "a table is emptied",
    check,
};

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    let Kind::Truncate { cascade, .. } = here.facts().kind else {
        return;
    };
    let tables = lost(here);
    let Some(first) = tables.first() else {
        return;
    };
    let along = if cascade {
        ", and every table that refers to it"
    } else {
        ""
    };
    hits.add(
        here,
        Hit::new(
            format!("`TRUNCATE` empties {}{along}", list(&tables)),
            format!("remove the statement, or {}", acknowledge(first)),
        ),
    );
}
