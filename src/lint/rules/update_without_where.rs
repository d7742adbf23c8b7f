//! An `UPDATE` that names no rows.

use super::super::{Rule, RuleContext, Violation, Violations};
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

fn check(context: &RuleContext<'_>, violations: &mut Violations<'_>) {
    let whole = |kind: &Kind| matches!(kind, Kind::Update { has_where: false });
    if !does(&context.facts().kind, &whole) || joins(context) {
        return;
    }
    let columns = columns(context);
    let overwritten = |table: &&Name| {
        let known = |column: &String| {
            is_added_here(context, table, column) || context.is_acknowledged(table, Some(column))
        };
        !context.is_made_here(table)
            && !context.is_acknowledged(table, None)
            && (columns.is_empty() || !columns.iter().all(known))
    };
    let tables: Vec<_> = context.facts().tables().filter(overwritten).collect();
    let Some(first) = tables.first() else {
        return;
    };
    let allow = target(first, columns.first().map(String::as_str));
    violations.add(
        context,
        Violation::new(
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
fn is_added_here(context: &RuleContext<'_>, table: &Name, column: &str) -> bool {
    let of_table = context
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
fn columns(context: &RuleContext<'_>) -> Vec<String> {
    let text = context.step().statement.text;
    let tokens: Vec<_> = tokenize(text, context.script.dialect)
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
