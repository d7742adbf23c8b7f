//! An `UPDATE` that names no rows.

use super::super::{Here, Hit, Hits, Rule};
use super::{EVERY, actions, does, joins, list, same, target};
use crate::report::Severity;
use crate::sql::{AlterAction, Kind, Name, TokenKind, tokenize};

pub(super) const RULE: Rule = Rule {
    code: "update-without-where",
    severity: Severity::Warning,
    dialects: EVERY,
    why: "every row of a table gets a new value",
    check,
};

fn check(here: &Here<'_>, hits: &mut Hits<'_>) {
    let whole = |kind: &Kind| matches!(kind, Kind::Update { has_where: false });
    if !does(&here.facts().kind, &whole) || joins(here) {
        return;
    }
    let columns = columns(here);
    let overwritten = |table: &&Name| {
        let known = |column: &String| {
            is_added_here(here, table, column) || here.is_acknowledged(table, Some(column))
        };
        !here.is_made_here(table)
            && !here.is_acknowledged(table, None)
            && (columns.is_empty() || !columns.iter().all(known))
    };
    let tables: Vec<_> = here.facts().tables().filter(overwritten).collect();
    let Some(first) = tables.first() else {
        return;
    };
    let allow = target(first, columns.first().map(String::as_str));
    hits.add(
        here,
        Hit::new(
            format!(
                "the statement overwrites {} in every row of {}",
                if columns.is_empty() {
                    "a value".to_owned()
                } else {
                    list(&columns)
                },
                list(&tables)
            ),
            format!(
                "name the rows in a `WHERE`, or acknowledge it: `-- chatctl: allow-loss {allow} \
                 reason=\"…\"`"
            ),
        ),
    );
}

/// Whether the column was added above, so that there is nothing to overwrite.
fn is_added_here(here: &Here<'_>, table: &Name, column: &str) -> bool {
    let of_table = here
        .before()
        .iter()
        .filter(|step| step.facts.table.as_ref().is_some_and(|it| same(it, table)));
    let mut actions = of_table.flat_map(|step| actions(&step.facts));
    actions.any(|action| match action {
        AlterAction::AddColumn { column: added, .. } => added.eq_ignore_ascii_case(column),
        _ => false,
    })
}

/// The columns behind `SET`; none when they are not plain names.
fn columns(here: &Here<'_>) -> Vec<String> {
    let text = here.step().statement.text;
    let tokens: Vec<_> = tokenize(text, here.script.dialect)
        .into_iter()
        .filter(|token| token.kind != TokenKind::Comment)
        .collect();
    let word = |index: usize| tokens.get(index).map_or("", |token| token.text(text));
    let Some(set) = (0..tokens.len()).find(|index| word(*index).eq_ignore_ascii_case("SET")) else {
        return Vec::new();
    };
    let mut columns = Vec::new();
    let mut depth = 0_u32;
    for index in set + 1..tokens.len() {
        let starts = index == set + 1 || word(index - 1) == ",";
        match word(index) {
            "(" if depth == 0 && starts => return Vec::new(),
            "(" => depth += 1,
            ")" => depth = depth.saturating_sub(1),
            _ if depth == 0 && starts => {
                let mut name = index;
                while word(name + 1) == "." {
                    name += 2;
                }
                columns.push(word(name).trim_matches(['"', '`', '[', ']']).to_owned());
            }
            _ => {}
        }
    }
    columns
}
