//! `DROP TABLE` and `CREATE OR REPLACE TABLE`.

use super::super::script::Moved;
use super::super::{Here, Hit, Hits, Rule};
use super::{EVERY, acknowledge, list, lost};
use crate::report::Severity;
use crate::sql::{Kind, Name};

pub(super) const RULE: Rule = Rule {
    code: "drop-table",
    severity: Severity::Error,
    dialects: EVERY,
    why: "a table is dropped with every row in it",
    check,
};

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    match here.facts().kind {
        Kind::DropTable {
            temporary: false, ..
        } => dropped(here, hits),
        Kind::CreateTable {
            or_replace: true, ..
        } => replaced(here, hits),
        _ => {}
    }
}

fn dropped(here: &Here<'_>, hits: &mut Hits<'_>) {
    let gone = lost(here);
    let of = |wanted: fn(Moved<'_>) -> bool| -> Vec<&Name> {
        let tables = gone.iter().copied();
        tables.filter(|table| wanted(here.moved(table))).collect()
    };
    let lost = of(|moved| moved == Moved::No);
    let copied = of(|moved| matches!(moved, Moved::Copied(_)));
    let hit = match (lost.first(), copied.first()) {
        (Some(first), _) => Hit::new(
            format!("`DROP TABLE` deletes {} with every row", list(&lost)),
            format!(
                "keep the table until nobody reads it, then {}",
                acknowledge(first)
            ),
        ),
        (None, Some(first)) => Hit::new(
            format!(
                "`DROP TABLE` deletes {}; what the copy above left out is gone",
                list(&copied)
            ),
            format!(
                "drop it in a later migration, after checking the copy, or {}",
                acknowledge(first)
            ),
        )
        .only(Severity::Warning),
        (None, None) => return,
    };
    hits.add(here, hit);
}

fn replaced(here: &Here<'_>, hits: &mut Hits<'_>) {
    if let Some(table) = lost(here).first() {
        hits.add(
            here,
            Hit::new(
                format!("`CREATE OR REPLACE TABLE` deletes `{table}` with every row"),
                "write `CREATE TABLE`, or `ALTER TABLE` if it exists already",
            ),
        );
    }
}
