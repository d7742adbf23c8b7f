//! `TRUNCATE`.

use super::super::Here;
use super::super::Hit;
use super::super::Hits;
use super::super::Rule;
use super::SERVERS;
use super::acknowledge;
use super::list;
use super::lost;
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
    let along = match cascade {
        true => ", and every table that refers to it",
        false => "",
    };
    hits.add(
        here,
        Hit::new(
            format!("`TRUNCATE` empties {}{along}", list(&tables)),
            format!("remove the statement, or {}", acknowledge(first)),
        ),
    );
}
